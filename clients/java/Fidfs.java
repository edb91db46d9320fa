import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.SequenceInputStream;
import java.io.UncheckedIOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Client of fidfs: one file, Java 17 or later, no dependencies. README.md has examples. Threads may share a client. Sizes are bytes, times
 * ISO 8601 in UTC, as the server sends them. Methods throw {@link Refused} if the server refuses, or if no server can be reached.
 */
public final class Fidfs {
    /**
     * What a client is made of; null where something is not needed.
     *
     * @param servers addresses of nodes of one cluster: the next one is asked if one cannot be reached, or answers 502, 503 or 504
     * @param key the key of the settings, a named one, or an upload token
     * @param publicUrl begins the addresses of links; by default the first server
     * @param downloadKey {@code downloadKey} of the settings, for private files
     * @param signKey a key with the right {@code sign}, for upload tokens; by default {@code key}
     * @param signName its name; null for the key of the settings
     * @param timeout until an answer begins, by default ten minutes, because a large file is sent in that time; and without any byte of a
     *     download, by default one minute
     */
    public record Options(
        List<String> servers, String key, String publicUrl, String downloadKey, String signKey, String signName, Duration timeout) {
        /** Without the keys, so that no log has them. */
        @Override
        public String toString() {
            return "Options[servers=" + servers + ", publicUrl=" + publicUrl + ", signName=" + signName + ", timeout=" + timeout + "]";
        }
    }

    /** How a file is stored; null where nothing is wanted. Of the name only the extension is kept; {@code ext} takes precedence. */
    public record As(String name, String ext, String group, String master, String prefix) {
        public static As name(String name) {
            return new As(name, null, null, null, null);
        }

        public static As ext(String ext) {
            return new As(null, ext, null, null, null);
        }

        public static As slave(String master, String prefix, String ext) {
            return new As(null, ext, null, master, prefix);
        }

        public As group(String group) {
            return new As(name, ext, group, master, prefix);
        }
    }

    /** A file that was stored. After a resumable upload {@code crc32}, {@code sha256} and {@code created} are null, {@code copies} is 0. */
    public record Stored(String id, String url, long size, String crc32, String sha256, String created, int copies) {}

    /** A file of a list, or the answer about one of many: {@code status} is null in lists, otherwise "stored", "deleted" or a problem. */
    public record Entry(
        String id, String status, String detail, String kind, long size, String created, String sha256, String crc32, String ext) {}

    /** What a list has; null where there is no limit. {@code from} and {@code to} (exclusive) are ISO 8601 or seconds since 1970. */
    public record Wanted(String from, String to, String group, String ext, boolean oldestFirst, int page) {
        public static final Wanted ALL = new Wanted(null, null, null, null, false, 1000);
    }

    /** What an upload token permits; null where there is no limit. */
    public record Limits(Duration valid, Long maxSize, List<String> types, String group) {}

    /** How a resumable upload goes on: called with the bytes stored and all bytes. What it throws ends the upload, which can be resumed. */
    public interface Progress {
        void at(long stored, long size);
    }

    /** A refusal. */
    public static final class Refused extends IOException {
        private static final long serialVersionUID = 1;
        /** A name of docs/problems.md; "unreachable" without an answer, empty if the answer was no problem document. */
        public final String problem;
        /** The status of HTTP; 0 without an answer. */
        public final int status;
        public final String detail;
        /** Seconds until it may be tried again; -1 if the server did not say. */
        public final int retryAfter;

        Refused(String problem, int status, String detail, int retryAfter) {
            super(status + " " + problem + ": " + detail);
            this.problem = problem;
            this.status = status;
            this.detail = detail;
            this.retryAfter = retryAfter;
        }
    }

    private static final Pattern ID =
        Pattern.compile("(?:[\\w-]{1,16}/)?(?:M[0-9A-F]{2}/)?(?:[0-9A-F]{2}/){2}[\\w-]{27}[\\w.-]{1,60}");
    private static final Pattern EXTENSION = Pattern.compile("\\.((?i:tar\\.gz)|[A-Za-z0-9]{1,6})$");
    private static final List<Integer> PASSING = List.of(0, 409, 423, 500, 502, 503, 504);
    private static final Map<Integer, String> WITHOUT_BODY =
        Map.of(403, "no-right", 404, "not-found", 410, "upload-expired", 423, "upload-busy", 503, "unavailable");
    /** Answers of a node that cannot be used now, or of a proxy before it: the next server is asked. */
    private static final List<Integer> AWAY = List.of(502, 503, 504);
    private static final int BATCH = 1000;
    /** Characters of an ID that are sent: no ID is longer, and one that makes the request too long would make the others fail, too. */
    private static final int LONGEST = 160;
    /** Characters of a name that are sent: only its extension counts. */
    private static final int NAME = 200;
    private static final int PIECE = 8 << 20;
    private static final int TRIES = 10;

    private final HttpClient client =
        HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).connectTimeout(Duration.ofSeconds(5)).build();
    private final Options options;
    private final List<String> servers;
    private final String publicUrl;
    private volatile int first = 0;

    public Fidfs(Options options) {
        if (options.servers().isEmpty()) throw new IllegalArgumentException("no server");
        this.options = options;
        this.servers = options.servers().stream().map(Fidfs::withoutSlash).toList();
        this.publicUrl = options.publicUrl() == null ? servers.get(0) : withoutSlash(options.publicUrl());
    }

    public Fidfs(String server, String key) {
        this(new Options(List.of(server), key, null, null, null, null, null));
    }

    // Uploads

    /** Stores a file of the disk under the extension of its name. */
    public Stored upload(Path path) throws IOException, InterruptedException {
        return upload(path, As.name(path.getFileName().toString()));
    }

    /**
     * Stores a file of the disk. If a server stops while it stores a slave, the repeated request may be refused with {@code exists}
     * although the slave was stored.
     */
    public Stored upload(Path path, As as) throws IOException, InterruptedException {
        return stored(ask("POST", "/upload" + query(as), BodyPublishers.ofFile(path), Map.of()));
    }

    /** Stores bytes. */
    public Stored upload(byte[] content, As as) throws IOException, InterruptedException {
        return stored(ask("POST", "/upload" + query(as), BodyPublishers.ofByteArray(content), Map.of()));
    }

    /** Stores what is left of a stream, of which nothing is held in memory. Once something was read of it, no other server is asked. */
    public Stored upload(InputStream content, As as) throws IOException, InterruptedException {
        int next = content.read();
        InputStream whole = next < 0 ? content : new SequenceInputStream(new ByteArrayInputStream(new byte[] {(byte) next}), content);
        Once body = new Once(whole);
        return stored(ask("POST", "/upload" + query(as), body, Map.of()));
    }

    /** Stores a file without sending it, if the server has its content already; else empty: upload it. Reads it once to hash it. */
    public Optional<Stored> uploadKnown(Path path, As as) throws IOException, InterruptedException {
        try (FileChannel file = FileChannel.open(path)) {
            MessageDigest digest = sha256();
            ByteBuffer block = ByteBuffer.allocate(1 << 18);
            while (file.read(block.clear()) >= 0) digest.update(block.flip());
            Map<String, Object> asked = new LinkedHashMap<>();
            asked.put("sha256", HexFormat.of().formatHex(digest.digest()));
            asked.put("size", file.size());
            var found = EXTENSION.matcher(as.name() == null ? "" : as.name());
            if (as.ext() != null) asked.put("ext", as.ext());
            else if (found.find()) asked.put("ext", found.group(1));
            try {
                String address = "/upload/known" + parameters("group", as.group());
                Answer answer = json("POST", address, asked, servers());
                Map<?, ?> challenge = answer.object();
                String nonce = (String) challenge.get("nonce");
                digest.update(nonce.getBytes(StandardCharsets.US_ASCII));
                for (Object range : (List<?>) challenge.get("ranges")) {
                    List<?> pair = (List<?>) range;
                    digest.update(read(file, number(pair.get(0)), (int) number(pair.get(1))));
                }
                String proof = HexFormat.of().formatHex(digest.digest());
                // Only the server that asked knows the answer.
                return Optional.of(stored(json("POST", address, Map.of("nonce", nonce, "proof", proof), List.of(answer.server()))));
            } catch (Refused refused) {
                if (refused.problem.equals("not-known") || refused.problem.equals("wrong-proof")) return Optional.empty();
                throw refused;
            }
        }
    }

    /** Stores a large file in pieces; goes on after lost connections and restarts of nodes. */
    public Stored uploadResumable(Path path, As as) throws IOException, InterruptedException {
        return uploadResumable(path, as, null, name -> {}, (stored, size) -> {});
    }

    /**
     * Stores a large file in pieces of 8 MiB. After ten tries in a row without any progress it throws; it waits between them, as long as
     * the server says, or up to 10 seconds.
     *
     * @param resume the name of an upload of before, within 24 hours; null for a new one. A file of another size is an
     *     IllegalArgumentException; one with other bytes cannot be noticed.
     * @param created called with the name of a new upload
     */
    public Stored uploadResumable(Path path, As as, String resume, Consumer<String> created, Progress progress)
        throws IOException, InterruptedException {
        try (FileChannel file = FileChannel.open(path)) {
            long size = file.size();
            String upload = resume;
            Answer answer;
            if (upload == null) {
                String name = as.ext() != null ? "file." + as.ext() : as.name() == null ? "file" : end(as.name());
                String metadata = "filename " + Base64.getEncoder().encodeToString(name.getBytes(StandardCharsets.UTF_8));
                Map<String, String> headers = Map.of("Upload-Length", "" + size, "Upload-Metadata", metadata);
                answer = tus("POST", parameters("group", as.group()), headers, new byte[0]);
                String location = answer.header("Location");
                upload = location.substring(location.lastIndexOf('/') + 1);
                created.accept(upload);
            } else {
                if (!upload.matches("[\\w-]+")) throw new IllegalArgumentException("not the name of an upload");
                answer = tus("HEAD", upload, Map.of(), new byte[0]);
                if (!answer.header("Upload-Length").equals("" + size))
                    throw new IllegalArgumentException("the upload to be resumed is that of a file of another size");
            }
            long offset = answer.header("Upload-Offset").isEmpty() ? 0 : Long.parseLong(answer.header("Upload-Offset"));
            int failures = 0;
            while (answer.header("Fidfs-Id").isEmpty()) {
                Refused error = null;
                try {
                    boolean asks = failures > 0 || offset == size;
                    if (asks) {
                        answer = tus("HEAD", upload, Map.of(), new byte[0]);
                    } else {
                        byte[] piece = read(file, offset, (int) Math.min(PIECE, size - offset));
                        answer = tus("PATCH", upload, Map.of("Upload-Offset", "" + offset), piece);
                    }
                    long reached = Long.parseLong(answer.header("Upload-Offset"));
                    failures = reached != offset || failures > 0 && reached < size ? 0 : failures + 1;
                    offset = reached;
                } catch (Refused refused) {
                    if (!PASSING.contains(refused.status)) throw refused;
                    error = refused;
                    failures++;
                }
                if (error == null) progress.at(offset, size);
                if (failures > TRIES) throw error != null ? error : new Refused("", 0, "the upload makes no progress", -1);
                if (failures > 0) {
                    boolean says = error != null && error.retryAfter > 0;
                    Thread.sleep(says ? error.retryAfter * 1000L : Math.min(10_000, 100L << failures));
                }
            }
            return new Stored(answer.header("Fidfs-Id"), answer.header("Fidfs-Url"), size, null, null, null, 0);
        }
    }

    // Files that are there

    /** Deletes a file with its metadata and slaves. False: it was not there. True also if fewer nodes than {@code copies} know it yet. */
    public boolean delete(String id) throws IOException, InterruptedException {
        return found("DELETE", path(id)).isPresent();
    }

    /** Deletes files, in requests of 1,000. */
    public List<Entry> delete(Collection<String> ids) throws IOException, InterruptedException {
        return many("/delete", ids);
    }

    /** What the store knows of a file; empty if it is not there. */
    public Optional<Entry> stat(String id) throws IOException, InterruptedException {
        Entry entry = stat(List.of(id)).get(0);
        if (entry.status().equals("stored")) return Optional.of(entry);
        if (entry.status().equals("not-found")) return Optional.empty();
        throw new Refused(entry.status(), 200, entry.detail(), -1);
    }

    public List<Entry> stat(Collection<String> ids) throws IOException, InterruptedException {
        return many("/stat", ids);
    }

    /** All files by time, read in pages while it is iterated. What a page is refused with is thrown as UncheckedIOException. */
    public Iterable<Entry> list(Wanted wanted) {
        String order = wanted.oldestFirst() ? "oldest" : "newest";
        String query = parameters("from", wanted.from(), "to", wanted.to(), "group", wanted.group(), "ext", wanted.ext(),
            "limit", "" + wanted.page(), "order", order);
        return () -> new Iterator<>() {
            private Iterator<Entry> page = List.<Entry>of().iterator();
            private String after = "";

            @Override
            public boolean hasNext() {
                while (!page.hasNext() && after != null) {
                    String place = after.isEmpty() ? "" : "&after=" + encode(after);
                    try {
                        Map<?, ?> answer = ask("GET", "/files" + query + place, BodyPublishers.noBody(), Map.of()).object();
                        page = ((List<?>) answer.get("files")).stream().map(Fidfs::entry).iterator();
                        after = (String) answer.get("next");
                    } catch (IOException failure) {
                        throw new UncheckedIOException(failure);
                    } catch (InterruptedException stop) {
                        Thread.currentThread().interrupt();
                        throw new UncheckedIOException(new IOException("interrupted", stop));
                    }
                }
                return page.hasNext();
            }

            @Override
            public Entry next() {
                if (!hasNext()) throw new NoSuchElementException();
                return page.next();
            }
        };
    }

    /** What an ID contains, whether or not the file is there: the object of docs/http.md. */
    public Map<?, ?> info(String id) throws IOException, InterruptedException {
        String link = options.downloadKey() == null ? "" : link(id, Duration.ofMinutes(5), "", "");
        return ask("GET", "/info" + path(id) + link, BodyPublishers.noBody(), Map.of()).object();
    }

    /** The metadata of a file, whose values are strings; empty if the file is not there. */
    public Optional<Map<?, ?>> metadata(String id) throws IOException, InterruptedException {
        Optional<Answer> answer = found("GET", "/metadata" + path(id));
        return answer.isEmpty() ? Optional.empty() : Optional.of(answer.get().object());
    }

    /** Replaces the metadata of a file. */
    public void setMetadata(String id, Map<String, String> metadata) throws IOException, InterruptedException {
        json("PUT", "/metadata" + path(id), metadata, servers());
    }

    /** Writes a file to a path, at which is the whole file or what was there before. Returns its size. */
    public long download(String id, Path target) throws IOException, InterruptedException {
        String address = path(id) + (options.downloadKey() == null ? "" : link(id, Duration.ofMinutes(5), "", ""));
        Path temporary = target.resolveSibling(".fidfs-" + java.util.UUID.randomUUID() + ".part");
        try {
            send("GET", address, BodyPublishers.noBody(), Map.of(), servers(), temporary);
            Files.move(temporary, target, StandardCopyOption.REPLACE_EXISTING);
            return Files.size(target);
        } finally {
            Files.deleteIfExists(temporary);
        }
    }

    // Addresses and tokens

    /** The address of a file; {@code download} is the name under which a browser saves it, or null. */
    public String url(String id, String download) throws Refused {
        return publicUrl + path(id) + parameters("download", download);
    }

    /** The address of a picture of a file. */
    public String pictureUrl(String preset, String id) throws Refused {
        return publicUrl + "/picture/" + encode(preset) + path(id);
    }

    /** The address of a private file or, with a preset, of its picture, for some time. Needs the whole ID. {@code download} may be null. */
    public String signedUrl(String id, Duration valid, String download, String preset) throws Refused {
        if (options.downloadKey() == null) throw new IllegalStateException("signedUrl needs downloadKey");
        String address = preset == null ? publicUrl + path(id) : pictureUrl(preset, id);
        if (id.chars().filter(character -> character == '/').count() != 4)
            throw new Refused("bad-id", 400, "a link is signed for a whole ID, with group and store path", -1);
        return address + link(id, valid, download == null ? "" : download, preset == null ? "" : preset);
    }

    /** A token (JWT) with which a browser may upload. */
    public String uploadToken(Limits limits) {
        Map<String, Object> header = new LinkedHashMap<>(Map.of("alg", "HS256"));
        if (options.signName() != null) header.put("kid", options.signName());
        Map<String, Object> claims = new LinkedHashMap<>();
        claims.put("exp", Instant.now().plus(limits.valid()).getEpochSecond());
        if (limits.maxSize() != null) claims.put("maxSize", limits.maxSize());
        if (limits.types() != null) claims.put("types", limits.types());
        if (limits.group() != null) claims.put("group", limits.group());
        String text = base64url(Json.write(header)) + "." + base64url(Json.write(claims));
        return text + "." + hmac(options.signKey() == null ? options.key() : options.signKey(), text);
    }

    private String link(String id, Duration valid, String download, String preset) {
        long expires = Instant.now().plus(valid).getEpochSecond();
        String text = String.join("\n", "fidfs", id, "" + expires, download, preset);
        String signature = hmac(options.downloadKey(), text);
        return parameters("expires", "" + expires, "signature", signature, "download", download.isEmpty() ? null : download);
    }

    // Requests

    private record Answer(int status, java.net.http.HttpHeaders headers, String body, String server) {
        String header(String name) {
            return headers.firstValue(name).orElse("");
        }

        Map<?, ?> object() throws IOException {
            return (Map<?, ?>) Json.read(body);
        }
    }

    /** A body that can be sent once only. */
    private static final class Once implements BodyPublisher {
        private final InputStream content;
        private volatile boolean isRead = false;
        /** Why the stream could not be read. */
        private volatile IOException failure;

        Once(InputStream content) {
            this.content = new java.io.FilterInputStream(content) {
                @Override
                public int read(byte[] into, int offset, int length) throws IOException {
                    try {
                        return super.read(into, offset, length);
                    } catch (IOException error) {
                        failure = error;
                        throw error;
                    }
                }
            };
        }

        @Override
        public long contentLength() {
            return -1;
        }

        @Override
        public void subscribe(java.util.concurrent.Flow.Subscriber<? super ByteBuffer> subscriber) {
            isRead = true;
            BodyPublishers.ofInputStream(() -> content).subscribe(subscriber);
        }
    }

    private List<String> servers() {
        List<String> ordered = new ArrayList<>(servers.subList(first, servers.size()));
        ordered.addAll(servers.subList(0, first));
        return ordered;
    }

    private Answer ask(String method, String address, BodyPublisher body, Map<String, String> headers)
        throws IOException, InterruptedException {
        return send(method, address, body, headers, servers(), null);
    }

    private Answer json(String method, String address, Object body, List<String> servers) throws IOException, InterruptedException {
        BodyPublisher publisher = BodyPublishers.ofString(Json.write(body));
        return send(method, address, publisher, Map.of("Content-Type", "application/json"), servers, null);
    }

    private Answer tus(String method, String upload, Map<String, String> headers, byte[] body) throws IOException, InterruptedException {
        Map<String, String> all = new LinkedHashMap<>(headers);
        all.put("Tus-Resumable", "1.0.0");
        all.put("Content-Type", "application/offset+octet-stream");
        return ask(method, "/tus/" + upload, body.length > 0 ? BodyPublishers.ofByteArray(body) : BodyPublishers.noBody(), all);
    }

    private Optional<Answer> found(String method, String address) throws IOException, InterruptedException {
        try {
            return Optional.of(ask(method, address, BodyPublishers.noBody(), Map.of()));
        } catch (Refused refused) {
            if (refused.problem.equals("not-found")) return Optional.empty();
            throw refused;
        }
    }

    private List<Entry> many(String address, Collection<String> ids) throws IOException, InterruptedException {
        List<String> wanted = List.copyOf(ids);
        List<Entry> results = new ArrayList<>();
        for (int start = 0; start < wanted.size(); start += BATCH) {
            List<String> batch = wanted.subList(start, Math.min(wanted.size(), start + BATCH));
            List<String> cut = batch.stream().map(id -> id.substring(0, Math.min(LONGEST, id.length()))).toList();
            Map<?, ?> answer = json("POST", address, Map.of("ids", cut), servers()).object();
            ((List<?>) answer.get("results")).forEach(result -> results.add(entry(result)));
        }
        return results;
    }

    /** Asks one server after the other. With a target, a download is written there, and the answer has no body. */
    private Answer send(
        String method, String address, BodyPublisher body, Map<String, String> headers, List<String> servers, Path target)
        throws IOException, InterruptedException {
        Refused error = null;
        for (String server : servers) {
            if (error != null && body instanceof Once once && once.isRead) break;
            HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(server + address)).method(method, body);
            request.timeout(options.timeout() == null ? Duration.ofMinutes(10) : options.timeout()).header("Accept", "application/json");
            headers.forEach(request::setHeader);
            if (!headers.containsKey("Content-Type")) request.header("Content-Type", "application/octet-stream");
            if (options.key() != null && target == null) request.header("Authorization", "Bearer " + options.key());
            Answer answer;
            try {
                HttpResponse<InputStream> response = client.send(request.build(), BodyHandlers.ofInputStream());
                try (InputStream content = response.body()) {
                    boolean isDownload = target != null && response.statusCode() == 200;
                    if (isDownload) save(content, target);
                    String text = isDownload ? "" : new String(content.readAllBytes(), StandardCharsets.UTF_8);
                    answer = new Answer(response.statusCode(), response.headers(), text, server);
                }
            } catch (UncheckedIOException local) {
                throw local.getCause();
            } catch (IOException failure) {
                if (body instanceof Once once && once.failure != null) throw once.failure;
                error = new Refused("unreachable", 0, server + ": " + failure, -1);
                continue;
            }
            if (answer.status() / 100 == 2) {
                first = Math.max(0, this.servers.indexOf(server));
                return answer;
            }
            error = refused(answer);
            if (!AWAY.contains(answer.status())) break;
        }
        throw error;
    }

    /** Writes a body to a file. What is wrong with the file is an UncheckedIOException, because another server would not help. */
    private void save(InputStream content, Path target) throws IOException {
        Watch watch = new Watch(content, options.timeout() == null ? Duration.ofMinutes(1) : options.timeout());
        try (OutputStream file = local(() -> Files.newOutputStream(target))) {
            byte[] block = new byte[1 << 16];
            for (int length; (length = content.read(block)) >= 0; ) {
                int bytes = length;
                watch.last = System.nanoTime();
                local(() -> {
                    file.write(block, 0, bytes);
                    return null;
                });
            }
        } finally {
            watch.isEnded = true;
        }
    }

    private static <T> T local(java.util.concurrent.Callable<T> action) {
        try {
            return action.call();
        } catch (IOException failure) {
            throw new UncheckedIOException(failure);
        } catch (Exception impossible) {
            throw new IllegalStateException(impossible);
        }
    }

    /** Closes a body of which nothing comes any more: HttpClient limits the time to the head of an answer only. */
    private static final class Watch implements Runnable {
        private final InputStream content;
        private final long limit;
        private volatile long last = System.nanoTime();
        private volatile boolean isEnded = false;

        Watch(InputStream content, Duration limit) {
            this.content = content;
            this.limit = limit.toNanos();
            again();
        }

        @Override
        public void run() {
            if (isEnded) return;
            if (System.nanoTime() - last < limit) {
                again();
                return;
            }
            try {
                content.close();
            } catch (IOException closed) {
                // The reader gets its error.
            }
        }

        private void again() {
            java.util.concurrent.CompletableFuture.delayedExecutor(1, java.util.concurrent.TimeUnit.SECONDS).execute(this);
        }
    }

    private static Refused refused(Answer answer) {
        String problem = answer.body().isEmpty() ? WITHOUT_BODY.getOrDefault(answer.status(), "") : "";
        String detail = answer.body();
        try {
            if (Json.read(answer.body()) instanceof Map<?, ?> document && document.get("type") instanceof String type) {
                problem = type.substring(type.lastIndexOf(':') + 1);
                detail = String.valueOf(document.get(document.get("detail") == null ? "title" : "detail"));
            }
        } catch (IOException none) {
            // No problem document: the answer of something between.
        }
        String after = answer.header("Retry-After");
        return new Refused(problem, answer.status(), detail, after.matches("\\d{1,9}") ? Integer.parseInt(after) : -1);
    }

    private static Stored stored(Answer answer) throws IOException {
        Map<?, ?> file = (Map<?, ?>) ((List<?>) answer.object().get("files")).get(0);
        return new Stored(text(file, "id"), text(file, "url"), number(file.get("size")), text(file, "crc32"), text(file, "sha256"),
            text(file, "created"), (int) number(file.get("copies")));
    }

    private static Entry entry(Object found) {
        Map<?, ?> file = (Map<?, ?>) found;
        return new Entry(text(file, "id"), text(file, "status"), text(file, "detail"), text(file, "kind"), number(file.get("size")),
            text(file, "created"), text(file, "sha256"), text(file, "crc32"), text(file, "ext"));
    }

    private static String text(Map<?, ?> object, String name) {
        return object.get(name) instanceof String text ? text : null;
    }

    private static long number(Object value) {
        return value instanceof Number number ? number.longValue() : 0;
    }

    /** The address of an ID. A string that is none is refused here, because it could be the address of something else. */
    private static String path(String id) throws Refused {
        if (!ID.matcher(id).matches()) throw new Refused("bad-id", 400, "not a file ID", -1);
        return "/" + id;
    }

    private static String query(As as) {
        String name = as.ext() == null && as.name() != null ? end(as.name()) : null;
        return parameters("filename", name, "ext", as.ext(), "group", as.group(), "master", as.master(), "prefix", as.prefix());
    }

    /** A query of names and values; leaves out those that are null. */
    private static String parameters(String... pairs) {
        StringBuilder query = new StringBuilder();
        for (int index = 0; index < pairs.length; index += 2) {
            if (pairs[index + 1] == null) continue;
            query.append(query.isEmpty() ? '?' : '&').append(pairs[index]).append('=').append(encode(pairs[index + 1]));
        }
        return query.toString();
    }

    private static String encode(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
    }

    private static String end(String name) {
        return name.length() > NAME ? name.substring(name.length() - NAME) : name;
    }

    private static String withoutSlash(String address) {
        return address.endsWith("/") ? address.substring(0, address.length() - 1) : address;
    }

    private static byte[] read(FileChannel file, long offset, int length) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(length);
        while (bytes.hasRemaining() && file.read(bytes, offset + bytes.position()) >= 0) {}
        return bytes.hasRemaining() ? java.util.Arrays.copyOf(bytes.array(), bytes.position()) : bytes.array();
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (GeneralSecurityException missing) {
            throw new IllegalStateException(missing);
        }
    }

    private static String base64url(String text) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(text.getBytes(StandardCharsets.UTF_8));
    }

    /** The HMAC-SHA256 in base64url. */
    private static String hmac(String key, String text) {
        try {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(key.getBytes(StandardCharsets.UTF_8), "HmacSHA256"));
            return Base64.getUrlEncoder().withoutPadding().encodeToString(mac.doFinal(text.getBytes(StandardCharsets.UTF_8)));
        } catch (GeneralSecurityException missing) {
            throw new IllegalStateException(missing);
        }
    }

    /** JSON: objects are maps, arrays lists; numbers are Long, or Double with a fraction. */
    static final class Json {
        private static final int DEPTH = 100;
        private final String text;
        private int at = 0;

        private Json(String text) {
            this.text = text;
        }

        static Object read(String text) throws IOException {
            Json json = new Json(text);
            try {
                Object value = json.value(0);
                if (json.peek() != 0) throw new IOException("no JSON: more after its end");
                return value;
            } catch (IndexOutOfBoundsException | NumberFormatException broken) {
                throw new IOException("no JSON", broken);
            }
        }

        /** The next character that is no white space; 0 at the end. */
        private char peek() {
            while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) at++;
            return at < text.length() ? text.charAt(at) : 0;
        }

        private boolean take(char expected) {
            if (peek() != expected) return false;
            at++;
            return true;
        }

        private void need(char expected) throws IOException {
            if (!take(expected)) throw new IOException("no JSON at " + at);
        }

        private Object value(int depth) throws IOException {
            if (depth > DEPTH) throw new IOException("JSON too deep");
            char next = peek();
            if (next == '"') return string();
            if (next == '{') {
                at++;
                Map<String, Object> object = new LinkedHashMap<>();
                if (take('}')) return object;
                do {
                    peek();
                    String name = string();
                    need(':');
                    object.put(name, value(depth + 1));
                } while (take(','));
                need('}');
                return object;
            }
            if (next == '[') {
                at++;
                List<Object> array = new ArrayList<>();
                if (take(']')) return array;
                do {
                    array.add(value(depth + 1));
                } while (take(','));
                need(']');
                return array;
            }
            int start = at;
            while (at < text.length() && ",]} \t\r\n".indexOf(text.charAt(at)) < 0) at++;
            String word = text.substring(start, at);
            return switch (word) {
                case "true" -> true;
                case "false" -> false;
                case "null" -> null;
                default -> word.matches("-?\\d+") ? (Object) Long.valueOf(word) : (Object) Double.valueOf(word);
            };
        }

        private String string() throws IOException {
            need('"');
            StringBuilder result = new StringBuilder();
            while (text.charAt(at) != '"') {
                char next = text.charAt(at++);
                if (next != '\\') {
                    result.append(next);
                    continue;
                }
                char escaped = text.charAt(at++);
                int place = "bfnrt".indexOf(escaped);
                if (escaped == 'u') {
                    result.append((char) Integer.parseInt(text.substring(at, at + 4), 16));
                    at += 4;
                } else {
                    result.append(place < 0 ? escaped : "\b\f\n\r\t".charAt(place));
                }
            }
            at++;
            return result.toString();
        }

        static String write(Object value) {
            if (value instanceof Map<?, ?> map) {
                List<String> members = new ArrayList<>();
                map.forEach((name, member) -> members.add(write(name) + ":" + write(member)));
                return "{" + String.join(",", members) + "}";
            }
            if (value instanceof Collection<?> array) return "[" + String.join(",", array.stream().map(Json::write).toList()) + "]";
            if (!(value instanceof String string)) return String.valueOf(value);
            StringBuilder result = new StringBuilder("\"");
            for (char next : string.toCharArray()) {
                if (next == '"' || next == '\\') result.append('\\').append(next);
                else if (next < ' ') result.append(String.format("\\u%04x", (int) next));
                else result.append(next);
            }
            return result.append('"').toString();
        }
    }
}
