"""Tests against a node. FIDFS_TEST is a JSON object: its addresses, the first of which nobody serves, and its keys."""

import io
import json
import os
import pathlib
import resource
import tempfile
import time
import unittest
import urllib.error
import urllib.request

from fidfs import Client, FidfsError

GIVEN = json.loads(os.environ["FIDFS_TEST"])
LARGE = 200 * 2**20


def client(**options):
    options = {"download_key": GIVEN["downloadKey"], "sign_key": GIVEN["signKey"], "sign_name": "signer", "public_url": GIVEN["servers"][1], **options}
    return Client(options.pop("servers", GIVEN["servers"]), options.pop("key", GIVEN["key"]), **options)


def body_of(address):
    with urllib.request.urlopen(address) as answer:
        return answer.read()


class Slow(io.RawIOBase):
    """A stream that cannot be positioned."""

    def __init__(self, content):
        self.rest = content

    def readable(self):
        return True

    def read(self, size=-1):
        part, self.rest = self.rest[:7], self.rest[7:]
        return part


class Shrinking(io.BytesIO):
    """A file that becomes shorter, or longer, after its size was asked for."""

    def __init__(self, content, later):
        super().__init__(content)
        self.later = later

    def read(self, size=-1):
        if self.later is not None:
            self.truncate(0)
            self.seek(0)
            self.write(self.later)
            self.seek(0)
            self.later = None
        return super().read(size)


class ClientTest(unittest.TestCase):
    def setUp(self):
        self.fidfs = client()
        self.directory = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()) if hasattr(self, "enterContext") else tempfile.mkdtemp())

    def content(self, identifier):
        target = io.BytesIO()
        self.fidfs.download(identifier, target)
        return target.getvalue()

    def refused(self, problem, call, *words, **options):
        with self.assertRaises(FidfsError) as caught:
            call(*words, **options)
        self.assertEqual(caught.exception.problem, problem)
        return caught.exception

    def test_uploads_of_each_kind(self):
        path = self.directory / 'Grüße & "1"?#%.jpg'
        path.write_bytes(b"from a path")
        file = self.fidfs.upload(path)
        self.assertTrue(file.id.endswith(".jpg"))
        self.assertEqual((file.size, file.copies), (11, 1))
        self.assertEqual(self.content(file.id), b"from a path")
        for source in (b"bytes", io.BytesIO(b"bytes"), Slow(b"bytes" * 10)):
            stored = self.fidfs.upload(source, ext="tar.gz", group="group1")
            self.assertTrue(stored.id.endswith(".tar.gz"))
            self.assertIn(self.content(stored.id), (b"bytes", b"bytes" * 10))
        self.assertEqual(self.content(self.fidfs.upload(b"").id), b"")
        self.refused("source", self.fidfs.upload, Shrinking(bytes(1_000_000), b"short"))
        self.assertEqual(self.content(self.fidfs.upload(Shrinking(b"123", b"12345")).id), b"123")
        for method in (self.fidfs.upload, self.fidfs.upload_resumable):
            self.assertTrue(method(b"x", name="\udcff" + "ü" * 5000 + ".pdf").id.endswith(".pdf"))
        self.refused("bad-extension", self.fidfs.upload, b"x", ext="../../x")
        self.refused("no-such-group", self.fidfs.upload, b"x", group="group9")

    def test_slaves_and_deletions(self):
        master = self.fidfs.upload(b"master", ext="jpg").id
        slave = self.fidfs.upload(b"slave", master=master, prefix="_small", ext="jpg").id
        self.assertEqual(slave, master.replace(".jpg", "_small.jpg"))
        self.refused("exists", self.fidfs.upload, b"other", master=master, prefix="_small", ext="jpg")
        self.assertTrue(self.fidfs.delete(master, keep_slaves=True))
        self.assertFalse(self.fidfs.delete(master))
        self.assertEqual(self.content(slave), b"slave")
        self.assertEqual([one["status"] for one in self.fidfs.delete_many([slave, slave, "x"])], ["deleted", "not-found", "bad-id"])
        self.assertEqual([one["status"] for one in self.fidfs.stat_many([slave, "x" * 300_000])], ["not-found", "bad-id"])
        self.assertIsNone(self.fidfs.stat(slave))
        many = self.fidfs.stat_many([slave] * 1001)
        self.assertEqual({one["status"] for one in many} | {len(many)}, {"not-found", 1001})

    def test_known(self):
        content = os.urandom(300_000)
        self.assertIsNone(self.fidfs.upload_known(content, ext="bin"))
        first = self.fidfs.upload(content, ext="bin")
        (self.directory / "a.bin").write_bytes(content)
        again = self.fidfs.upload_known(self.directory / "a.bin")
        self.assertNotEqual(again.id, first.id)
        self.assertEqual((again.sha256, self.content(again.id)), (first.sha256, content))

    def test_what_is_there(self):
        before = int(time.time()) - 1
        ids = [self.fidfs.upload(bytes([number]), ext="lst").id for number in range(5)]
        listed = [one["id"] for one in self.fidfs.list(since=before, ext="lst", newest_first=False, page=2)]
        self.assertEqual(sorted(listed), sorted(ids))
        self.assertEqual(self.fidfs.stat(ids[0])["size"], 1)
        self.assertEqual(self.fidfs.info(ids[0])["kind"], "normal")
        self.assertEqual(self.fidfs.metadata(ids[0]), {})
        self.fidfs.set_metadata(ids[0], {"title": "Größe"})
        self.assertEqual(self.fidfs.metadata(ids[0]), {"title": "Größe"})
        target = self.directory / "target"
        self.assertEqual(self.fidfs.download(ids[3], target), 1)
        self.assertEqual(target.read_bytes(), b"\3")
        self.assertTrue(self.fidfs.delete(ids[3]))
        time.sleep(1.2)  # nginx may send it for a second
        self.refused("not-found", self.fidfs.download, ids[3], target)
        self.assertEqual([one.name for one in self.directory.iterdir()], ["target"])
        long = self.directory / ("n" * 255)
        self.assertEqual(self.fidfs.download(ids[2], long), 1)
        self.assertEqual(long.stat().st_mode & 0o777, 0o666 & ~os.umask(os.umask(0o022)))
        self.assertIsNone(self.fidfs.metadata(ids[3]))

    def test_links(self):
        file = self.fidfs.upload(GIVEN["picture"].encode("latin1"), ext="png")
        content = self.content(file.id)
        name = 'Hafen "Ä" & 1.png'
        self.assertEqual(body_of(self.fidfs.signed_url(file.id, download=name)), content)
        self.assertNotEqual(body_of(self.fidfs.signed_url(file.id, preset="console")), content)
        for address in (self.fidfs.url(file.id), self.fidfs.picture_url("console", file.id), self.fidfs.signed_url(file.id, seconds=-2)):
            with self.assertRaises(urllib.error.HTTPError) as caught:
                body_of(address)
            self.assertEqual(caught.exception.code, 403)
            caught.exception.close()
        self.refused("bad-id", self.fidfs.signed_url, file.id.replace("group1/", ""))

    def test_tokens_and_keys(self):
        token = self.fidfs.upload_token(max_size=5, types=["txt"])
        browser = client(key=token)
        self.assertEqual(self.content(browser.upload(b"12345", ext="txt").id), b"12345")
        self.refused("too-large", browser.upload, b"123456", ext="txt")
        self.refused("type-not-allowed", browser.upload, b"1", ext="pdf")
        self.refused("no-right", browser.delete_many, ["x"])
        self.refused("wrong-token", client(key=self.fidfs.upload_token(seconds=-5)).upload, b"1")
        wrong = self.refused("wrong-key", client(key="wrong").upload, b"1")
        self.assertEqual((wrong.status, wrong.retry_after), (401, None))
        # The answer comes before the end of the body.
        self.refused("too-large", browser.upload, bytes(50_000_000), ext="txt")

    def test_hostile_ids(self):
        for identifier in ("", "files", "../x", "group1/M00/00/00/../../../../../files", "group1/M00/00/00/a?b#c\r\nx: y aaaaaaaaa", "info/00/00/aaaaaaaaaa"):
            for call in (self.fidfs.delete, self.fidfs.info, self.fidfs.metadata, self.fidfs.url):
                self.refused("bad-id", call, identifier)

    def test_servers(self):
        nobody = GIVEN["servers"][0]
        for wrong in ("127.0.0.1:8080", "ftp://a", "http://user@a", "http://a?x", ""):
            self.assertRaises(ValueError, client, servers=[wrong])
        self.refused("", client(servers=[GIVEN["other"]]).stat, "x")
        later = client(servers=[GIVEN["later"]]).upload(b"x")
        self.assertEqual((later.id, later.size), ("group1/x", 1))
        error = self.refused("unreachable", client(servers=[nobody]).upload, b"x")
        self.assertEqual(error.status, 0)
        for address in (nobody, GIVEN["unready"]):
            other = client(servers=[address, GIVEN["servers"][1]])
            file = other.upload(b"by another server", ext="txt")
            self.assertEqual(self.content(file.id), b"by another server")
            # A stream of which nothing was read is sent to the next server, too.
            if address == nobody:
                self.assertEqual(client(servers=[address, GIVEN["servers"][1]]).upload(Slow(b"abc")).size, 3)
        # What was read of a stream cannot be sent again.
        self.refused("unavailable", client(servers=[GIVEN["unready"], GIVEN["servers"][1]]).upload, Slow(b"abc"))
        busy = self.refused("unavailable", client(servers=[GIVEN["unready"]]).stat, file.id)
        self.assertEqual((busy.status, busy.retry_after), (503, 7))

    def test_resumable(self):
        content = os.urandom(1_000_000)
        names, steps = [], []

        def stop(sent, size):
            steps.append((sent, size))
            if sent == 400_000:
                raise KeyboardInterrupt

        with self.assertRaises(KeyboardInterrupt):
            self.fidfs.upload_resumable(content, ext="bin", piece=200_000, created=names.append, progress=stop)
        self.assertRaises(ValueError, self.fidfs.upload_resumable, content[:400_000], resume=names[0])
        file = client().upload_resumable(content, piece=300_000, resume=names[0], progress=lambda *step: steps.append(step))
        self.assertEqual([sent for sent, _ in steps], [200_000, 400_000, 700_000, 1_000_000])
        self.assertTrue(file.id.endswith(".bin"))
        self.assertEqual(self.content(file.id), content)
        self.assertEqual(self.content(self.fidfs.upload_resumable(b"").id), b"")
        missing = "1-00000000000000000000000000000000"
        self.refused("not-found", self.fidfs.upload_resumable, content, resume=missing)

    def test_resumable_through_lost_connections(self):
        content = os.urandom(3_000_000)
        # Behind this address each second connection is lost after 1 MB.
        file = client(servers=[GIVEN["lossy"]]).upload_resumable(content, piece=2_000_000, name="a b.mp4")
        self.assertTrue(file.id.endswith(".mp4"))
        self.assertEqual(self.content(file.id), content)

    def test_large_files_in_flat_memory(self):
        path = self.directory / "large.bin"
        with open(path, "wb") as file:
            file.truncate(LARGE)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        file = self.fidfs.upload(path)
        self.assertIsNotNone(self.fidfs.upload_known(path))
        self.assertEqual(self.fidfs.upload_resumable(path).size, LARGE)
        self.fidfs.download(file.id, path)
        self.assertEqual(path.stat().st_size, LARGE)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        self.assertLess(grown, 60_000, "kB")


if __name__ == "__main__":
    unittest.main()
