import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.RandomAccessFile;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Random;
import java.util.Set;

/** Tests against a node; prints "ok" or "not ok" and the name of each. FIDFS_TEST is JSON: addresses, of which nobody serves the first, and keys. */
public final class FidfsTest {
    private static final long LARGE = 200L << 20;

    private interface Body {
        void run() throws Exception;
    }

    private static Map<?, ?> given;
    private static Path directory;
    private static Fidfs fidfs;

    private static String fact(String name) {
        return (String) given.get(name);
    }

    private static String server(int index) {
        return (String) ((List<?>) given.get("servers")).get(index);
    }

    private static Fidfs client(String key, String... servers) {
        return new Fidfs(new Fidfs.Options(List.of(servers), key, server(1), fact("downloadKey"), fact("signKey"), "signer", null));
    }

    private static void equal(Object found, Object wanted) {
        if (!Objects.equals(found, wanted)) throw new AssertionError("found " + found + ", wanted " + wanted);
    }

    private static Fidfs.Refused refused(String problem, Body body) throws Exception {
        try {
            body.run();
        } catch (Fidfs.Refused refused) {
            equal(refused.problem, problem);
            return refused;
        }
        throw new AssertionError("not refused: " + problem);
    }

    private static byte[] content(String id) throws Exception {
        Path target = directory.resolve("content");
        fidfs.download(id, target);
        return Files.readAllBytes(target);
    }

    private static String text(String id) throws Exception {
        return new String(content(id), StandardCharsets.UTF_8);
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] random(int size) {
        byte[] content = new byte[size];
        new Random().nextBytes(content);
        return content;
    }

    private static Path file(String name, byte[] content) throws IOException {
        return Files.write(directory.resolve(name), content);
    }

    private static HttpResponse<byte[]> get(String address) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(address)).build();
        return HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofByteArray());
    }

    /** Throws a checked exception where none is declared. */
    @SuppressWarnings("unchecked")
    private static <E extends Throwable> void sneak(Throwable failure) throws E {
        throw (E) failure;
    }

    static void uploadsOfEachKind() throws Exception {
        Fidfs.Stored stored = fidfs.upload(file("Grüße & \"1\"?#%.jpg", bytes("from a path")));
        equal(stored.id().endsWith(".jpg"), true);
        equal(List.of(stored.size(), stored.copies()), List.of(11L, 1));
        equal(text(stored.id()), "from a path");
        InputStream slow = new ByteArrayInputStream(bytes("from a stream")) {
            @Override
            public synchronized int read(byte[] into, int offset, int length) {
                return super.read(into, offset, Math.min(length, 3));
            }
        };
        equal(text(fidfs.upload(slow, Fidfs.As.ext("tar.gz").group("group1")).id()), "from a stream");
        equal(text(fidfs.upload(new byte[0], Fidfs.As.ext("txt")).id()), "");
        IOException away = new IOException("the disk is away");
        InputStream torn = new ByteArrayInputStream(new byte[100_000]) {
            @Override
            public synchronized int read(byte[] into, int offset, int length) {
                if (available() < 50_000) sneak(away);
                return super.read(into, offset, Math.min(length, 10_000));
            }
        };
        try {
            fidfs.upload(torn, Fidfs.As.ext("txt"));
            throw new AssertionError("stored");
        } catch (IOException failure) {
            equal(failure, away);
        }
        equal(fidfs.upload(new byte[1], Fidfs.As.name("ü".repeat(5000) + ".pdf")).id().endsWith(".pdf"), true);
        refused("bad-extension", () -> fidfs.upload(new byte[1], Fidfs.As.ext("../../x")));
        refused("no-such-group", () -> fidfs.upload(new byte[1], Fidfs.As.ext("x").group("group9")));
    }

    static void slavesAndDeletions() throws Exception {
        String master = fidfs.upload(bytes("master"), Fidfs.As.ext("jpg")).id();
        String slave = fidfs.upload(bytes("slave"), Fidfs.As.slave(master, "_small", "jpg")).id();
        equal(slave, master.replace(".jpg", "_small.jpg"));
        refused("exists", () -> fidfs.upload(bytes("other"), Fidfs.As.slave(master, "_small", "jpg")));
        equal(fidfs.delete(List.of(slave, slave, "x")).stream().map(Fidfs.Entry::status).toList(), List.of("deleted", "not-found", "bad-id"));
        equal(fidfs.delete(master), true);
        equal(fidfs.delete(master), false);
        equal(fidfs.stat(master).isEmpty(), true);
        equal(fidfs.stat(Collections.nCopies(1001, master)).size(), 1001);
        equal(fidfs.stat(List.of(master, "x".repeat(300_000))).stream().map(Fidfs.Entry::status).toList(), List.of("not-found", "bad-id"));
    }

    static void known() throws Exception {
        byte[] content = random(300_000);
        Path path = file("a.bin", content);
        Fidfs.As as = Fidfs.As.name("a.bin");
        equal(fidfs.uploadKnown(path, as).isEmpty(), true);
        Fidfs.Stored stored = fidfs.upload(path);
        Fidfs.Stored again = fidfs.uploadKnown(path, as).orElseThrow();
        equal(again.id().equals(stored.id()), false);
        equal(again.id().endsWith(".bin"), true);
        equal(again.sha256(), stored.sha256());
        equal(Arrays.equals(content(again.id()), content), true);
    }

    static void whatIsThere() throws Exception {
        Set<String> ids = new LinkedHashSet<>();
        for (int index = 0; index < 5; index++) ids.add(fidfs.upload(new byte[] {(byte) index}, Fidfs.As.ext("lst")).id());
        List<String> listed = new ArrayList<>();
        String from = "" + Instant.now().minusSeconds(60).getEpochSecond();
        for (Fidfs.Entry entry : fidfs.list(new Fidfs.Wanted(from, null, null, "lst", true, 2))) listed.add(entry.id());
        equal(listed.size(), 5);
        equal(ids.containsAll(listed), true);
        String id = listed.get(0);
        equal(fidfs.stat(id).orElseThrow().size(), 1L);
        equal(fidfs.info(id).get("kind"), "normal");
        fidfs.setMetadata(id, Map.of("title", "Größe \"1\"\n\\ \uD83D\uDE00"));
        equal(fidfs.metadata(id).orElseThrow(), Map.of("title", "Größe \"1\"\n\\ \uD83D\uDE00"));
        Path target = file("target", bytes("before"));
        fidfs.delete(id);
        Thread.sleep(1200); // nginx may send it for a second
        refused("not-found", () -> fidfs.download(id, target));
        equal(Files.readString(target), "before");
        equal(fidfs.metadata(id).isEmpty(), true);
        try (var files = Files.list(directory)) {
            equal(files.filter(path -> path.toString().endsWith(".part")).count(), 0L);
        }
    }

    static void links() throws Exception {
        byte[] picture = fact("picture").getBytes(StandardCharsets.ISO_8859_1);
        String id = fidfs.upload(picture, Fidfs.As.ext("png")).id();
        Duration hour = Duration.ofHours(1);
        equal(Arrays.equals(get(fidfs.signedUrl(id, hour, "Hafen \"Ä\" & 1 +.png", null)).body(), picture), true);
        equal(get(fidfs.signedUrl(id, hour, null, "console")).statusCode(), 200);
        for (String address : List.of(fidfs.url(id, "a b"), fidfs.pictureUrl("console", id), fidfs.signedUrl(id, hour.negated(), null, null)))
            equal(get(address).statusCode(), 403);
        refused("bad-id", () -> fidfs.signedUrl(id.replace("group1/", ""), hour, null, null));
    }

    static void tokensAndKeys() throws Exception {
        Duration hour = Duration.ofHours(1);
        Fidfs browser = client(fidfs.uploadToken(new Fidfs.Limits(hour, 5L, List.of("txt"), null)), server(1));
        equal(text(browser.upload(bytes("12345"), Fidfs.As.ext("txt")).id()), "12345");
        refused("too-large", () -> browser.upload(bytes("123456"), Fidfs.As.ext("txt")));
        refused("type-not-allowed", () -> browser.upload(bytes("1"), Fidfs.As.ext("pdf")));
        refused("no-right", () -> browser.delete(List.of("x")));
        String expired = fidfs.uploadToken(new Fidfs.Limits(hour.negated(), null, null, null));
        refused("wrong-token", () -> client(expired, server(1)).upload(bytes("1"), Fidfs.As.ext("txt")));
        Fidfs.Options secret = new Fidfs.Options(List.of("http://a"), "secret", null, "secret", "secret", "name", null);
        equal(secret.toString().contains("secret"), false);
        Fidfs.Refused wrong = refused("wrong-key", () -> client("wrong", server(1)).upload(bytes("1"), Fidfs.As.ext("txt")));
        equal(List.of(wrong.status, wrong.retryAfter), List.of(401, -1));
        // The answer comes before the end of the body.
        refused("too-large", () -> browser.upload(new byte[20_000_000], Fidfs.As.ext("txt")));
    }

    static void hostileIds() throws Exception {
        for (String id : List.of("", "files", "../x", "group1/M00/00/00/../../../../../files", "group1/M00/00/00/a?b#c\r\nx: y aaaaaaaaa", "info/00/00/aaaaaaaaaa")) {
            refused("bad-id", () -> fidfs.delete(id));
            refused("bad-id", () -> fidfs.info(id));
            refused("bad-id", () -> fidfs.metadata(id));
            refused("bad-id", () -> fidfs.url(id, null));
        }
    }

    static void otherServers() throws Exception {
        equal(refused("unreachable", () -> client(fact("key"), server(0)).upload(new byte[1], Fidfs.As.ext("x"))).status, 0);
        for (String away : List.of(server(0), fact("unready"))) {
            Fidfs.Stored stored = client(fact("key"), away, server(1)).upload(bytes("by another"), Fidfs.As.ext("txt"));
            equal(text(stored.id()), "by another");
        }
        // What was read of a stream cannot be sent again.
        Fidfs both = client(fact("key"), fact("unready"), server(1));
        refused("unavailable", () -> both.upload(new ByteArrayInputStream(bytes("abc")), Fidfs.As.ext("txt")));
        Fidfs.Refused busy = refused("unavailable", () -> client(fact("key"), fact("unready")).stat(List.of("x")));
        equal(List.of(busy.status, busy.retryAfter), List.of(503, 7));
        String id = fidfs.upload(new byte[300_000], Fidfs.As.ext("bin")).id();
        Fidfs.Options options = new Fidfs.Options(List.of(fact("stalls")), null, null, null, null, null, Duration.ofSeconds(1));
        equal(refused("unreachable", () -> new Fidfs(options).download(id, directory.resolve("stalled"))).status, 0);
        try {
            // Nothing is wrong with the server.
            fidfs.download(id, Path.of("/dev/full/x"));
            throw new AssertionError("written");
        } catch (Fidfs.Refused refused) {
            throw new AssertionError(refused);
        } catch (IOException local) {
            // as it should be
        }
    }

    static void resumable() throws Exception {
        Path path = file("large.mp4", random(20_000_000));
        List<String> names = new ArrayList<>();
        List<Long> steps = new ArrayList<>();
        Fidfs.As as = Fidfs.As.name("large.mp4");
        try {
            fidfs.uploadResumable(path, as, null, names::add, (stored, size) -> {
                throw new IllegalStateException("stop");
            });
            throw new AssertionError("not stopped");
        } catch (IllegalStateException stopped) {
            equal(stopped.getMessage(), "stop");
        }
        Fidfs.Stored stored = client(fact("key"), server(1)).uploadResumable(path, as, names.get(0), names::add, (at, size) -> steps.add(at));
        equal(steps, List.of(16_777_216L, 20_000_000L));
        equal(names.size(), 1);
        try {
            Path other = file("other.mp4", random(19_000_000));
            fidfs.uploadResumable(other, as, names.get(0), names::add, (at, size) -> {});
            throw new AssertionError("another file");
        } catch (IllegalArgumentException refused) {
            // The size is another one.
        }
        equal(stored.id().endsWith(".mp4"), true);
        Path target = directory.resolve("downloaded");
        fidfs.download(stored.id(), target);
        equal(Files.mismatch(path, target), -1L);
        equal(text(fidfs.uploadResumable(file("empty", new byte[0]), as).id()), "");
        String missing = "1-00000000000000000000000000000000";
        refused("not-found", () -> fidfs.uploadResumable(path, as, missing, names::add, (at, size) -> {}));
    }

    static void resumableThroughLostConnections() throws Exception {
        byte[] content = random(3_000_000);
        // Behind this address each second connection is lost after 1 MB.
        Fidfs lossy = client(fact("key"), fact("lossy"));
        lossy.stat(List.of("x"));
        Fidfs.Stored stored = client(fact("key"), fact("lossy")).uploadResumable(file("lossy.bin", content), Fidfs.As.ext("bin"));
        equal(Arrays.equals(content(stored.id()), content), true);
    }

    static void largeFilesInFlatMemory() throws Exception {
        Path path = directory.resolve("huge.bin");
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
            file.setLength(LARGE);
        }
        Fidfs.Stored stored = fidfs.upload(path);
        try (InputStream stream = Files.newInputStream(path)) {
            equal(fidfs.upload(stream, Fidfs.As.ext("bin")).size(), LARGE);
        }
        equal(fidfs.uploadKnown(path, Fidfs.As.ext("bin")).isPresent(), true);
        equal(fidfs.uploadResumable(path, Fidfs.As.ext("bin")).size(), LARGE);
        equal(fidfs.download(stored.id(), path), LARGE);
    }

    static void json() throws Exception {
        for (String broken : List.of("", "{", "[1", "{\"a\"}", "\"a", "01x", "[1,]", "nul", "{} {}", "[".repeat(5000), "\"\\u00\"")) {
            try {
                Fidfs.Json.read(broken);
            } catch (IOException refused) {
                continue;
            }
            throw new AssertionError("taken: " + broken);
        }
        equal(Fidfs.Json.read(" { \"a\\u00e4\\n\" : [ 1 , -2.5e1, true, null ] } ").toString(), "{aä\n=[1, -25.0, true, null]}");
    }

    private static void test(String name, Body body) {
        try {
            body.run();
            System.out.println("ok " + name);
        } catch (Exception | AssertionError failure) {
            System.out.println("not ok " + name);
            failure.printStackTrace();
        }
    }

    public static void main(String[] words) throws Exception {
        given = (Map<?, ?>) Fidfs.Json.read(System.getenv("FIDFS_TEST"));
        directory = Path.of(words[0]);
        fidfs = client(fact("key"), server(0), server(1));
        test("uploads of each kind", FidfsTest::uploadsOfEachKind);
        test("slaves and deletions", FidfsTest::slavesAndDeletions);
        test("known", FidfsTest::known);
        test("what is there", FidfsTest::whatIsThere);
        test("links", FidfsTest::links);
        test("tokens and keys", FidfsTest::tokensAndKeys);
        test("hostile IDs", FidfsTest::hostileIds);
        test("other servers", FidfsTest::otherServers);
        test("resumable", FidfsTest::resumable);
        test("resumable through lost connections", FidfsTest::resumableThroughLostConnections);
        test("large files in flat memory", FidfsTest::largeFilesInFlatMemory);
        test("JSON", FidfsTest::json);
    }
}
