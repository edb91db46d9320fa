"""Client of fidfs: one file, Python 3.9 or later, the standard library alone. README.md has examples.

A Client may be used by several threads. Sizes are bytes; times are ISO 8601 in UTC, as the server sends them.
Every method raises FidfsError if the server refuses, and if no server can be reached.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import io
import json
import os
import re
import secrets
import time
from dataclasses import dataclass, fields
from typing import Any, BinaryIO, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, Union
from urllib.parse import quote, urlencode, urlsplit

__all__ = ["Client", "FidfsError", "File"]

Source = Union[bytes, bytearray, memoryview, str, "os.PathLike[str]", BinaryIO]

_BLOCK = 2**18
_BATCH = 1000
_ID = re.compile(r"(?:[\w-]{1,16}/)?(?:M[0-9A-F]{2}/)?(?:[0-9A-F]{2}/){2}[\w-]{27}[\w.-]{1,60}", re.ASCII)
#: Answers after which the same request may succeed later: /tus/ is busy, and the node is not available.
_PASSING = (409, 423, 500, 502, 503, 504)
#: Answers of a node that cannot be used now, or of a proxy before it: the next server is asked.
_AWAY = (502, 503, 504)

#: Characters of a name that are sent: only its extension counts.
_NAME = 200
#: Characters of an ID that are sent: no ID is longer, and one that makes the request too long would make the others fail, too.
_LONGEST = 160
_SERVER = re.compile(r"https?://[^/\s?#@]+(?:/[^\s?#]*)?", re.IGNORECASE)

_WITHOUT_BODY = {403: "no-right", 404: "not-found", 410: "upload-expired", 423: "upload-busy", 503: "unavailable"}


class FidfsError(Exception):
    """A refusal. `problem` is a name of docs/problems.md, "unreachable" without an answer, "source" if a file became shorter while it was
    sent, "" if the answer was no problem document; `status` is that of HTTP, 0 without an answer; `retry_after` is in seconds, None if the server did not say."""

    def __init__(self, problem: str, status: int, detail: str, retry_after: Optional[int] = None) -> None:
        super().__init__(f"{status} {problem}: {detail}")
        self.problem = problem
        self.status = status
        self.detail = detail
        self.retry_after = retry_after


@dataclass(frozen=True)
class File:
    """A file that was stored. After a resumable upload the fields with a default are not known."""

    id: str
    url: str
    size: int
    crc32: Optional[str] = None
    sha256: Optional[str] = None
    created: Optional[str] = None
    copies: Optional[int] = None


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError as failure:
            raise FidfsError("", self.status, "the answer is none of fidfs") from failure


class _Body:
    """What is sent. It can be sent again if it is bytes or can be positioned, or while nothing was read of it."""

    def __init__(self, source: Source) -> None:
        self.name: Optional[str] = None
        self._closes = False
        if isinstance(source, (str, os.PathLike)):
            self.name = os.path.basename(os.fspath(source))
            self.file: BinaryIO = open(source, "rb")
            self._closes = True
        elif isinstance(source, (bytes, bytearray, memoryview)):
            self.file = io.BytesIO(source)
        else:
            self.file = source
        self.size: Optional[int] = None
        self._start = 0
        self._is_read = False
        if not hasattr(self.file, "seekable") or self.file.seekable():
            self._start = self.file.tell()
            self.size = self.file.seek(0, os.SEEK_END) - self._start

    def close(self) -> None:
        if self._closes:
            self.file.close()

    def __enter__(self) -> "_Body":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def repeatable(self) -> bool:
        return self.size is not None or not self._is_read

    def at(self, offset: int, length: int) -> bytes:
        self.file.seek(self._start + offset)
        parts = []
        while length > 0:
            part = self.file.read(length)
            if not part:
                break
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def blocks(self) -> Iterator[bytes]:
        if self.size is not None:
            self.file.seek(self._start)
        left = self.size
        while left != 0:
            block = self.file.read(_BLOCK if left is None else min(_BLOCK, left))
            if not block:
                if left is None:
                    return
                raise FidfsError("source", 0, "the file became shorter while it was read")
            if left is not None:
                left -= len(block)
            self._is_read = True
            yield block


def _path(identifier: str) -> str:
    """The address of an ID. A string that is none is refused here, because it could be the address of something else."""
    if not _ID.fullmatch(identifier):
        raise FidfsError("bad-id", 400, f"not a file ID: {identifier[:200]!r}")
    return "/" + identifier


def _problem(answer: _Answer) -> FidfsError:
    try:
        document = json.loads(answer.body)
        problem = str(document["type"]).rpartition(":")[2]
        detail = str(document.get("detail") or document.get("title"))
    except (ValueError, KeyError, TypeError, AttributeError):
        # An answer to HEAD has no body.
        problem = "" if answer.body else _WITHOUT_BODY.get(answer.status, "")
        detail = answer.body[:500].decode(errors="replace")
    after = answer.headers.get("Retry-After", "")
    return FidfsError(problem, answer.status, detail, int(after) if after.isdigit() else None)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Client:
    """
    :param servers: address of a node, or of several of one cluster: the next one is asked if one cannot be reached or answers 502, 503 or 504
    :param key: the key of the settings, a named one, or an upload token
    :param public_url: begins the addresses that url(), signed_url() and picture_url() return; by default the first server
    :param download_key: `downloadKey` of the settings, for private files
    :param sign_key: with right `sign`, for upload_token(); by default `key`
    :param sign_name: its name; None for the key of the settings
    :param timeout: seconds without any byte until a server counts as unreachable
    """

    def __init__(
        self,
        servers: Union[str, Sequence[str]],
        key: Optional[str] = None,
        *,
        public_url: Optional[str] = None,
        download_key: Optional[str] = None,
        sign_key: Optional[str] = None,
        sign_name: Optional[str] = None,
        timeout: float = 60,
    ) -> None:
        self._servers = [server.rstrip("/") for server in ([servers] if isinstance(servers, str) else servers)]
        if not self._servers:
            raise ValueError("no server")
        for server in self._servers:
            if not _SERVER.fullmatch(server):
                raise ValueError(f"not an address such as http://127.0.0.1:8080: {server}")
        self._key = key
        self._public = (public_url or self._servers[0]).rstrip("/")
        self._download_key = download_key
        self._sign_key = sign_key or key
        self._sign_name = sign_name
        self._timeout = timeout
        self._first = 0

    # Uploads

    def upload(
        self,
        source: Source,
        *,
        name: Optional[str] = None,
        ext: Optional[str] = None,
        group: Optional[str] = None,
        master: Optional[str] = None,
        prefix: Optional[str] = None,
    ) -> File:
        """Stores a file: bytes, the path of a file, or a binary stream (read from where it is).

        :param name: the original name, of which the extension is kept; by default that of the path
        :param ext: the extension, such as "jpg" or "tar.gz"
        :param master: with `prefix`: the file becomes a slave of this one, and its ID can be computed

        A stream that cannot be positioned is sent to one server only. If a server stops while it stores a slave, the repeated request may
        be refused with `exists` (409) although the slave was stored.
        """
        with _Body(source) as body:
            name = (name or body.name or "")[-_NAME:]
            query = {"filename": name if name and ext is None else None, "ext": ext, "group": group, "master": master, "prefix": prefix}
            return _stored(self._ask("POST", "/upload", body, query=query))

    def upload_known(
        self, source: Source, *, name: Optional[str] = None, ext: Optional[str] = None, group: Optional[str] = None
    ) -> Optional[File]:
        """Stores a file without sending it, if the server has its content already; else None: upload() it. Reads it once to hash it."""
        with _Body(source) as body:
            if body.size is None:
                return None
            hashed = hashlib.sha256()
            for block in body.blocks():
                hashed.update(block)
            asked = {"sha256": hashed.hexdigest(), "size": body.size, **_extension(name or body.name, ext)}
            try:
                query = {"group": group}
                answer, server = self._send("POST", "/upload/known", json.dumps(asked).encode(), query=query, kind="application/json")
                challenge = answer.json()
                proof = hashlib.sha256(challenge["nonce"].encode())
                for offset, length in challenge["ranges"]:
                    proof.update(body.at(offset, length))
                proven = json.dumps({"nonce": challenge["nonce"], "proof": proof.hexdigest()}).encode()
                # Only the server that asked knows the answer.
                answer, _ = self._send("POST", "/upload/known", proven, query=query, kind="application/json", servers=[server])
            except FidfsError as error:
                if error.problem in ("not-known", "wrong-proof"):
                    return None
                raise
            return _stored(answer)

    def upload_resumable(
        self,
        source: Source,
        *,
        name: Optional[str] = None,
        ext: Optional[str] = None,
        group: Optional[str] = None,
        piece: int = 8 * 2**20,
        resume: Optional[str] = None,
        created: Optional[Callable[[str], None]] = None,
        progress: Optional[Callable[[int, int], None]] = None,
        tries: int = 10,
    ) -> File:
        """Stores a large file in pieces; goes on after lost connections and restarts of nodes. The source must be positionable.

        :param piece: bytes of a piece, which is held in memory
        :param created: called with the name of the upload; store it to go on in another process, with `resume`, within 24 hours
        :param resume: that name; a file of another size is a ValueError, one with other bytes cannot be noticed
        :param progress: called with the bytes stored and all bytes; what it raises ends the upload, which can be resumed
        :param tries: how often in a row without any progress it tries; it waits between them, up to 10 seconds or as the server says
        """
        with _Body(source) as body:
            size = body.size
            if size is None:
                raise ValueError("a resumable upload needs a source that can be positioned")
            if resume is None:
                label = (name or body.name or "file")[-_NAME:] if ext is None else f"file.{ext}"
                metadata = "filename " + base64.b64encode(label.encode(errors="replace")).decode()
                headers = {"Upload-Length": str(size), "Upload-Metadata": metadata}
                answer = self._tus("POST", "", headers, query={"group": group})
                resume = answer.headers.get("Location", "").rpartition("/")[2]
                if created is not None:
                    created(resume)
                offset = 0
            else:
                if not re.fullmatch(r"[\w-]+", resume, re.ASCII):
                    raise ValueError("not the name of an upload")
                answer = self._tus("HEAD", resume)
                if answer.headers["Upload-Length"] != str(size):
                    raise ValueError("the upload to be resumed is that of a file of another size")
                offset = int(answer.headers["Upload-Offset"])
            failures = 0
            while answer.headers.get("Fidfs-Id") is None:
                try:
                    if failures > 0 or offset == size:
                        answer = self._tus("HEAD", resume)
                    else:
                        headers = {"Upload-Offset": str(offset)}
                        answer = self._tus("PATCH", resume, headers, body.at(offset, min(piece, size - offset)))
                    reached = int(answer.headers["Upload-Offset"])
                    failures = 0 if reached != offset or failures > 0 and reached < size else failures + 1
                    offset = reached
                    if progress is not None:
                        progress(offset, size)
                    error: Optional[FidfsError] = None
                except FidfsError as refusal:
                    if refusal.status != 0 and refusal.status not in _PASSING:
                        raise
                    error = refusal
                    failures += 1
                if failures > tries:
                    raise error or FidfsError("", 0, "the upload makes no progress")
                if failures > 0:
                    time.sleep((error.retry_after if error else None) or min(10.0, 0.1 * 2**failures))
            return File(answer.headers["Fidfs-Id"], answer.headers["Fidfs-Url"], size)

    # Files that are there

    def delete(self, identifier: str, *, keep_slaves: bool = False) -> bool:
        """Deletes a file, with its metadata and slaves. False: it was not there. True also if fewer nodes than `copies` know it yet."""
        query = {"slaves": "keep" if keep_slaves else None}
        return self._find("DELETE", _path(identifier), query=query) is not None

    def delete_many(self, identifiers: Iterable[str], *, keep_slaves: bool = False) -> List[Dict[str, Any]]:
        """Deletes files, in requests of 1,000. Returns for each {"id", "status", …}; `status` is "deleted", "accepted" or a problem."""
        return self._many("/delete", identifiers, {"slaves": "keep" if keep_slaves else None})

    def stat(self, identifier: str) -> Optional[Dict[str, Any]]:
        """What the store knows of a file (size, created, sha256, …); None if it is not there."""
        [result] = self.stat_many([identifier])
        if result["status"] == "stored":
            return result
        if result["status"] == "not-found":
            return None
        raise FidfsError(result["status"], 200, result.get("detail", ""))

    def stat_many(self, identifiers: Iterable[str]) -> List[Dict[str, Any]]:
        """As stat(), for many: `status` is "stored", "not-found" or another problem."""
        return self._many("/stat", identifiers, {})

    def list(
        self,
        *,
        since: Union[str, int, None] = None,
        until: Union[str, int, None] = None,
        group: Optional[str] = None,
        ext: Optional[str] = None,
        newest_first: bool = True,
        page: int = 1000,
    ) -> Iterator[Dict[str, Any]]:
        """All files by time, read in pages; `since` and `until` (exclusive) are ISO 8601 or seconds since 1970."""
        query = {
            **{"from": since, "to": until, "group": group, "ext": ext, "limit": page},
            "order": "newest" if newest_first else "oldest",
        }
        while True:
            answer = self._ask("GET", "/files", query=query).json()
            yield from answer["files"]
            if "next" not in answer:
                return
            query["after"] = answer["next"]

    def info(self, identifier: str) -> Dict[str, Any]:
        """What an ID contains, whether or not the file is there."""
        return self._ask("GET", "/info" + _path(identifier), query=self._link(identifier)).json()

    def metadata(self, identifier: str) -> Optional[Dict[str, str]]:
        """The metadata of a file; None if the file is not there."""
        answer = self._find("GET", "/metadata" + _path(identifier))
        return None if answer is None else answer.json()

    def set_metadata(self, identifier: str, metadata: Dict[str, str]) -> None:
        """Replaces the metadata of a file."""
        self._ask("PUT", "/metadata" + _path(identifier), json.dumps(metadata).encode(), kind="application/json")

    def download(self, identifier: str, target: Union[str, "os.PathLike[str]", BinaryIO], *, preset: str = "") -> int:
        """Writes a file, or its picture by a preset, to a path or a stream; returns its size. At the path is the whole file or what was there."""
        path = (f"/picture/{quote(preset, safe='')}" if preset else "") + _path(identifier)
        query = self._link(identifier, preset=preset)
        if not isinstance(target, (str, os.PathLike)):
            return self._receive(path, query, target)
        directory = os.path.dirname(os.path.abspath(os.fspath(target)))
        temporary = os.path.join(directory, f".fidfs-{secrets.token_hex(8)}.part")
        try:
            with open(temporary, "xb") as file:
                size = self._receive(path, query, file)
            os.replace(temporary, target)
            return size
        except BaseException:
            if os.path.exists(temporary):
                os.unlink(temporary)
            raise

    # Addresses and tokens

    def url(self, identifier: str, *, download: Optional[str] = None) -> str:
        """The address of a file; `download` is the name under which a browser saves it."""
        return self._public + _path(identifier) + _query({"download": download})

    def picture_url(self, preset: str, identifier: str) -> str:
        """The address of a picture of a file."""
        return f"{self._public}/picture/{quote(preset, safe='')}{_path(identifier)}"

    def signed_url(self, identifier: str, *, seconds: int = 3600, download: str = "", preset: str = "") -> str:
        """The address of a private file, or of its picture by a preset, valid for some time. Needs the whole ID and `download_key`."""
        if self._download_key is None:
            raise ValueError("signed_url needs download_key")
        if identifier.count("/") != 4:
            raise FidfsError("bad-id", 400, "a link is signed for a whole ID, with group and store path")
        address = self.picture_url(preset, identifier) if preset else self.url(identifier)
        return address + _query(self._link(identifier, seconds, download, preset))

    def upload_token(
        self, *, seconds: int = 3600, max_size: Optional[int] = None, types: Optional[Sequence[str]] = None, group: Optional[str] = None
    ) -> str:
        """A token (JWT) with which a browser may upload; `types` are extensions and media types, such as ["image/*", "pdf"]."""
        if self._sign_key is None:
            raise ValueError("upload_token needs a key")
        claims = {"exp": int(time.time()) + seconds, "maxSize": max_size, "types": [*types] if types else None, "group": group}
        header = {"alg": "HS256", "typ": "JWT", **({"kid": self._sign_name} if self._sign_name else {})}
        parts = (header, {claim: value for claim, value in claims.items() if value is not None})
        text = ".".join(_base64url(json.dumps(part).encode()) for part in parts)
        return f"{text}.{_base64url(hmac.new(self._sign_key.encode(), text.encode(), hashlib.sha256).digest())}"

    def _link(self, identifier: str, seconds: int = 300, download: str = "", preset: str = "") -> Dict[str, Any]:
        if self._download_key is None:
            return {}
        expires = int(time.time()) + seconds
        text = f"fidfs\n{identifier}\n{expires}\n{download}\n{preset}"
        signature = hmac.new(self._download_key.encode(), text.encode(), hashlib.sha256).digest()
        return {"expires": expires, "signature": _base64url(signature), "download": download or None}

    # Requests

    def _many(self, path: str, identifiers: Iterable[str], query: Dict[str, Any]) -> List[Dict[str, Any]]:
        wanted = [*identifiers]
        results: List[Dict[str, Any]] = []
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            body = json.dumps({"ids": [identifier[:_LONGEST] for identifier in batch]}).encode()
            found = self._ask("POST", path, body, query=query, kind="application/json").json()["results"]
            results += [{**result, "id": identifier} for identifier, result in zip(batch, found)]
        return results

    def _find(self, method: str, path: str, **options: Any) -> Optional[_Answer]:
        """As _ask; None if the file is not there."""
        try:
            return self._ask(method, path, **options)
        except FidfsError as error:
            if error.problem == "not-found":
                return None
            raise

    def _tus(self, method: str, upload: str, headers: Optional[Dict[str, str]] = None, body: bytes = b"", **options: Any) -> _Answer:
        headers = {"Tus-Resumable": "1.0.0", **(headers or {})}
        return self._ask(method, f"/tus/{upload}", body, headers=headers, kind="application/offset+octet-stream", **options)

    def _ask(self, method: str, path: str, body: Union[bytes, _Body] = b"", **options: Any) -> _Answer:
        return self._send(method, path, body, **options)[0]

    def _send(
        self,
        method: str,
        path: str,
        body: Union[bytes, _Body] = b"",
        *,
        query: Optional[Dict[str, Any]] = None,
        headers: Optional[Dict[str, str]] = None,
        kind: str = "application/octet-stream",
        servers: Optional[List[str]] = None,
    ) -> Tuple[_Answer, str]:
        """Asks one server after the other, from the one that answered last. Returns the answer and the server that gave it."""
        sent = {"Accept": "application/json", "Content-Type": kind, **(headers or {})}
        if self._key is not None:
            sent["Authorization"] = f"Bearer {self._key}"
        error: Optional[FidfsError] = None
        first = self._first
        for server in servers or self._servers[first:] + self._servers[:first]:
            if error is not None and isinstance(body, _Body) and not body.repeatable:
                break
            try:
                with self._open(server, method, path + _query(query or {}), sent, body) as response:
                    answer = _Answer(response.status, response.headers, response.read())
            except (OSError, http.client.HTTPException) as failure:
                error = FidfsError("unreachable", 0, f"{server}: {failure}")
                continue
            if 200 <= answer.status < 300:
                self._first = self._servers.index(server)
                return answer, server
            error = _problem(answer)
            if answer.status not in _AWAY:
                break
        assert error is not None
        raise error

    def _receive(self, path: str, query: Dict[str, Any], target: BinaryIO) -> int:
        """Copies a file to a stream. The next server is asked only while nothing has come."""
        error: Optional[FidfsError] = None
        failed: List[OSError] = []

        def write(block: bytes) -> None:
            try:
                target.write(block)
            except OSError as failure:
                failed.append(failure)  # not the server's
                raise

        for server in self._servers[self._first :] + self._servers[: self._first]:
            size = 0
            try:
                with self._open(server, "GET", path + _query(query), {}, b"") as response:
                    if response.status == 200:
                        expected = response.length
                        while True:
                            block = response.read(_BLOCK)
                            if not block:
                                break
                            size += len(block)
                            write(block)
                        if expected is not None and size != expected:
                            raise http.client.IncompleteRead(b"", expected - size)
                        return size
                    error = _problem(_Answer(response.status, response.headers, response.read()))
            except (OSError, http.client.HTTPException) as failure:
                if failed:
                    raise
                error = FidfsError("unreachable", 0, f"{server}: {failure}")
            if size > 0 or error.status not in (0, *_AWAY):
                break
        assert error is not None
        raise error

    def _open(
        self, server: str, method: str, path: str, headers: Dict[str, str], body: Union[bytes, _Body]
    ) -> http.client.HTTPResponse:
        """Sends a request; the connection ends with the answer."""
        parts = urlsplit(server)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=self._timeout)
        connection.connect()
        headers = {**headers, "Connection": "close"}
        content: Union[bytes, Iterator[bytes], None] = body if isinstance(body, bytes) else body.blocks()
        if isinstance(body, bytes):
            content = body or None
            if method not in ("GET", "HEAD"):
                headers["Content-Length"] = str(len(body))
        elif body.size is not None:
            headers["Content-Length"] = str(body.size)
        try:
            try:
                connection.request(method, parts.path + path, content, headers, encode_chunked=False)
            except (BrokenPipeError, ConnectionResetError):
                pass  # The server refuses the body before its end, and its answer says why.
            return connection.getresponse()
        except BaseException:
            connection.close()
            raise


def _stored(answer: _Answer) -> File:
    [found] = answer.json()["files"]
    known = {field.name for field in fields(File)}
    # A later version of the server may say more.
    return File(**{name: value for name, value in found.items() if name in known})


def _query(parameters: Dict[str, Any]) -> str:
    given = {name: value for name, value in parameters.items() if value is not None}
    return "?" + urlencode(given, quote_via=quote, safe="", errors="replace") if given else ""


def _extension(name: Optional[str], ext: Optional[str]) -> Dict[str, str]:
    """The extension that a question for a known file has: of a name, the one that an upload of that name would get."""
    if ext is None:
        found = re.search(r"\.((?i:tar\.gz)|[A-Za-z0-9]{1,6})$", name or "")
        ext = found.group(1) if found else None
    return {} if ext is None else {"ext": ext}
