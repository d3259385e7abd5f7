"""The JSON API over HTTP/1.1, each connection in a thread."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Mapping
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.gcs.faults import Fault, Faults
from tests.gcs.store import Blob, Conditions, Refusal, Store
from tests.gcs.uploads import PIECE, Uploads

STEP = 256 * 1024
"""Bytes written to a socket at once."""


class Reply:
    """What to answer: a document, bytes, or nothing."""

    def __init__(
        self,
        status: int = 200,
        document: Any = None,
        *,
        data: bytes | bytearray | None = None,
        headers: Mapping[str, str] = {},
    ) -> None:
        self.status = status
        self.headers = dict(headers)
        if data is None:
            data = b"" if document is None else json.dumps(document).encode()
            self.headers.setdefault("Content-Type", "application/json; charset=UTF-8")
        self.data = data


class Vanish(Exception):
    """Close the connection without an answer."""


class GcsServer:
    """A server in this process. `token` not None: requests without that bearer token are answered 401."""

    def __init__(self, port: int = 0, *, rewrite_bytes: int = 4 * 1024 * 1024, token: str | None = None) -> None:
        self.store = Store(rewrite_bytes=rewrite_bytes)
        self.uploads = Uploads(self.store)
        self.faults = Faults()
        self.token = token
        outer = self

        class Handler(_Handler):
            server_state = outer

        class Http(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        self._http = Http(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True, name="gcs")

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def start(self) -> GcsServer:
        """Serve in a thread."""
        self._thread.start()
        return self

    def run(self) -> None:
        """Serve in this thread."""
        self._http.serve_forever()

    def stop(self) -> None:
        """End, and give the port back."""
        self._http.shutdown()
        self._http.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 64 * 1024
    server_state: GcsServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep quiet."""

    def do_GET(self) -> None:
        """Answer."""
        self._serve()

    do_POST = do_PUT = do_DELETE = do_PATCH = do_GET  # noqa: N815

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        with contextlib.suppress(ConnectionError):
            try:
                reply, cut = self._answer(parts.path, query, body, whole=len(body) == length)
                self._write(reply, cut=cut)
            except Vanish:
                self.close_connection = True

    def _answer(self, path: str, query: dict[str, str], body: bytes, *, whole: bool) -> tuple[Reply, bool]:
        state = self.server_state
        try:
            if path.startswith("/_test/"):
                return self._steer(path, body), False
            operation, key, act = self._route(path, query, body, whole=whole)
            fault = state.faults.take(operation, key)
            if state.token is not None and self.headers.get("Authorization") != f"Bearer {state.token}":
                raise Refusal(401, "authError", "Invalid Credentials")
            missing = state.faults.missing(operation)
            if missing is not None:
                raise _denied(missing)
            if fault is not None and fault.when == "before":
                raise self._failed(fault)
            if fault is not None and fault.when == "short" and len(body) > PIECE:
                body = body[:PIECE]
                _, _, act = self._route(path, query, body, whole=False)
            reply = act()
            if fault is not None and fault.when == "after":
                raise self._failed(fault)
            return reply, fault is not None and fault.when == "cut"
        except Refusal as refusal:
            return _refused(refusal, media=query.get("alt") == "media"), False
        except (ValueError, KeyError, TypeError) as error:
            return _refused(Refusal(400, "parseError", f"{type(error).__name__}: {error}"), media=False), False

    def _failed(self, fault: Fault) -> Exception:
        if fault.hold:
            self.server_state.faults.hold()
        if not fault.status:
            return Vanish()
        return Refusal(fault.status, fault.reason, fault.message, retry_after=fault.retry_after)

    def _write(self, reply: Reply, *, cut: bool) -> None:
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.status not in {204, 304}:
            self.send_header("Content-Length", str(len(reply.data)))
        self.end_headers()
        data = reply.data[: len(reply.data) // 2] if cut else reply.data
        for start in range(0, len(data), STEP):
            self.wfile.write(data[start : start + STEP])
        self.wfile.flush()
        if cut:
            raise Vanish

    def _steer(self, path: str, body: bytes) -> Reply:
        """For tests that run it as a process."""
        faults, uploads = self.server_state.faults, self.server_state.uploads
        given = json.loads(body or b"{}")
        match path:
            case "/_test/fault":
                faults.order(Fault(**given))
            case "/_test/deny":
                faults.denied.update(given["permissions"])
            case "/_test/clear":
                faults.clear()
            case "/_test/release":
                faults.release()
            case "/_test/held":
                return Reply(document={"held": faults.held})
            case "/_test/expire":
                uploads.expire()
            case "/_test/calls":
                return Reply(document=dict(faults.calls))
            case "/_test/uploads":
                return Reply(document=[{"name": upload.name, "bytes": len(upload.data)} for upload in uploads.open])
            case _:
                raise Refusal(404, "notFound", "Not Found")
        return Reply()

    def _route(
        self, path: str, query: dict[str, str], body: bytes, *, whole: bool
    ) -> tuple[str, str, Callable[[], Reply]]:
        """Operation, object and what does it."""
        places = {
            r"(?:/download)?/storage/v1/b/([^/]+)/o/([^/]+)": self._object,
            r"/storage/v1/b/([^/]+)/o/([^/]+)/(rewriteTo|copyTo)/b/([^/]+)/o/([^/]+)": self._copying,
            r"/storage/v1/b/([^/]+)/o/([^/]+)/compose": self._composing,
            r"/storage/v1/b/([^/]+)/o": self._listing,
            r"/(?:resumable/)?upload/storage/v1/b/([^/]+)/o": self._upload,
            r"/storage/v1/b(?:/([^/]+))?": self._bucket,
        }
        for pattern, place in places.items():
            found = re.fullmatch(pattern, path)
            if found is not None:
                names = [unquote(part, errors="strict") if part else "" for part in found.groups()]
                return place(names, query, body, whole)
        raise Refusal(404, "notFound", "Not Found")

    def _bucket(
        self, names: list[str], query: dict[str, str], body: bytes, whole: bool
    ) -> tuple[str, str, Callable[[], Reply]]:
        store = self.server_state.store
        match self.command:
            case "POST":
                given = json.loads(body or b"{}")
                versioning = bool(given.get("versioning", {}).get("enabled"))
                return (
                    "buckets.insert",
                    "",
                    lambda: Reply(document=store.make_bucket(given["name"], versioning=versioning)),
                )
            case "GET":
                return "buckets.get", "", lambda: Reply(document=store.bucket(names[0]))
            case "DELETE":
                return "buckets.delete", "", lambda: _nothing(store.drop_bucket(names[0]))
        raise Refusal(405, "methodNotAllowed", "Method Not Allowed")

    def _listing(
        self, names: list[str], query: dict[str, str], body: bytes, whole: bool
    ) -> tuple[str, str, Callable[[], Reply]]:
        return (
            "objects.list",
            query.get("prefix", ""),
            lambda: Reply(document=self.server_state.store.list(names[0], query)),
        )

    def _object(
        self, names: list[str], query: dict[str, str], body: bytes, whole: bool
    ) -> tuple[str, str, Callable[[], Reply]]:
        store, conditions = self.server_state.store, Conditions.of(query)
        bucket, name = names
        generation = int(query["generation"]) if "generation" in query else None
        match self.command:
            case "GET" if query.get("alt") == "media":
                return "objects.get", name, lambda: self._media(store.look(bucket, name, conditions, generation))
            case "GET":
                return (
                    "objects.get",
                    name,
                    lambda: Reply(document=store.look(bucket, name, conditions, generation).resource()),
                )
            case "DELETE":
                return "objects.delete", name, lambda: _nothing(store.delete(bucket, name, conditions, generation))
            case "PATCH":
                given = json.loads(body or b"{}")
                return (
                    "objects.patch",
                    name,
                    lambda: Reply(document=store.patch(bucket, name, given, conditions).resource()),
                )
        raise Refusal(405, "methodNotAllowed", "Method Not Allowed")

    def _media(self, blob: Blob) -> Reply:
        headers = {
            "Content-Type": str(blob.fields.get("contentType", "application/octet-stream")),
            "x-goog-generation": str(blob.generation),
            "x-goog-metageneration": str(blob.metageneration),
            "x-goog-stored-content-length": str(len(blob.data)),
            "x-goog-stored-content-encoding": "identity",
            "x-goog-hash": f"crc32c={blob.crc32c}" + ("" if blob.md5 is None else f",md5={blob.md5}"),
            "Last-Modified": formatdate(blob.updated_ns / 1e9, usegmt=True),
        }
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked is None:
            return Reply(data=blob.data, headers=headers)
        first, size = int(asked[1]), len(blob.data)
        last = min(int(asked[2]) if asked[2] else size - 1, size - 1)
        if first > last:
            raise Refusal(416, "requestedRangeNotSatisfiable", "The requested range cannot be satisfied.")
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        return Reply(206, data=blob.data[first : last + 1], headers=headers)

    def _copying(
        self, names: list[str], query: dict[str, str], body: bytes, whole: bool
    ) -> tuple[str, str, Callable[[], Reply]]:
        store = self.server_state.store
        source, goal = (names[0], names[1]), (names[3], names[4])
        given = json.loads(body) if body else None
        conditions, source_conditions = Conditions.of(query), Conditions.of(query, "Source")
        generation = int(query["sourceGeneration"]) if "sourceGeneration" in query else None
        if names[2] == "copyTo":
            return (
                "objects.copy",
                goal[1],
                lambda: Reply(
                    document=store.copy(
                        source, goal, given, conditions, source_conditions, source_generation=generation
                    ).resource()
                ),
            )
        return (
            "objects.rewrite",
            goal[1],
            lambda: Reply(
                document=store.rewrite(
                    source,
                    goal,
                    given,
                    conditions,
                    source_conditions,
                    token=query.get("rewriteToken"),
                    source_generation=generation,
                )
            ),
        )

    def _composing(
        self, names: list[str], query: dict[str, str], body: bytes, whole: bool
    ) -> tuple[str, str, Callable[[], Reply]]:
        bucket, name = names
        return (
            "objects.compose",
            name,
            lambda: Reply(
                document=self.server_state.store.compose(
                    bucket, name, json.loads(body), Conditions.of(query)
                ).resource()
            ),
        )

    def _upload(
        self, names: list[str], query: dict[str, str], body: bytes, whole: bool
    ) -> tuple[str, str, Callable[[], Reply]]:
        if self.command in {"PUT", "DELETE"}:
            return self._session(query.get("upload_id", ""), body, whole=whole)
        if not whole:
            raise Vanish
        (bucket,) = names
        conditions = Conditions.of(query)
        match query.get("uploadType"):
            case "resumable":
                given = {"name": query.get("name", ""), **(json.loads(body) if body else {})}
                return "uploads.begin", given["name"], lambda: self._begin(bucket, given, conditions)
            case "multipart":
                given, data = _related(self.headers.get("Content-Type", ""), body)
                given = {"name": query.get("name", ""), **given}
            case "media":
                given, data = {"name": query.get("name", "")}, body
                given["contentType"] = self.headers.get("Content-Type")
            case _:
                raise Refusal(400, "invalid", "Unknown uploadType.")
        given.update(self._sums())
        return (
            "objects.insert",
            given["name"],
            lambda: Reply(
                document=self._overwriting(bucket, given["name"])
                .write(bucket, given["name"], data, given, conditions)
                .resource()
            ),
        )

    def _overwriting(self, bucket: str, name: str) -> Store:
        """The store, once this caller may replace what is there."""
        state = self.server_state
        missing = state.faults.missing("objects.update")
        if missing is not None and name in state.store.live(bucket):
            raise _denied(missing)
        return state.store

    def _begin(self, bucket: str, given: Mapping[str, Any], conditions: Conditions) -> Reply:
        size = self.headers.get("X-Upload-Content-Length")
        self._overwriting(bucket, given["name"])
        upload_id = self.server_state.uploads.begin(bucket, given, conditions, int(size) if size else None)
        where = f"{self.server_state.url}/upload/storage/v1/b/{bucket}/o?uploadType=resumable&upload_id={upload_id}"
        return Reply(headers={"Location": where, "X-GUploader-UploadID": upload_id})

    def _session(self, upload_id: str, body: bytes, *, whole: bool) -> tuple[str, str, Callable[[], Reply]]:
        uploads = self.server_state.uploads
        if self.command == "DELETE":

            def cancel() -> Reply:
                uploads.cancel(upload_id)
                return Reply(499)

            return "uploads.cancel", "", cancel

        def send() -> Reply:
            outcome = uploads.send(upload_id, self.headers.get("Content-Range"), body, self._sums(), whole=whole)
            if isinstance(outcome, Blob):
                return Reply(document=outcome.resource())
            return Reply(308, headers={"Range": f"bytes=0-{outcome - 1}"} if outcome else {})

        query = (self.headers.get("Content-Range") or "").startswith("bytes */")
        return "uploads.status" if query else "uploads.send", uploads.find(upload_id).name, send

    def _sums(self) -> dict[str, str]:
        """What `x-goog-hash` says of the whole object."""
        told = dict(
            part.strip().split("=", 1) for part in self.headers.get("x-goog-hash", "").split(",") if "=" in part
        )
        named = {"crc32c": told.get("crc32c"), "md5Hash": told.get("md5")}
        return {name: value for name, value in named.items() if value is not None}


def _related(content_type: str, body: bytes) -> tuple[dict[str, Any], bytes]:
    """The two parts of a multipart/related body."""
    found = re.search(r'boundary="?([^";]+)"?', content_type)
    if found is None:
        raise Refusal(400, "invalid", "No boundary.")
    mark = b"--" + found[1].encode()
    end = body.rfind(b"\r\n" + mark + b"--")
    first = body.find(mark)
    second = body.find(b"\r\n" + mark, first + len(mark))
    if min(first, second, end) < 0 or second >= end:
        raise Refusal(400, "invalid", "A part is missing.")
    _, _, head = body[first:second].partition(b"\r\n\r\n")
    kind, _, _ = body[second : second + 4096].partition(b"\r\n\r\n")
    data = body[second + len(kind) + 4 : end]
    given = json.loads(head)
    stated = re.search(rb"(?im)^content-type:\s*(\S+)", kind)
    if stated is not None:
        given.setdefault("contentType", stated[1].decode())
    return given, data


def _nothing(_: None) -> Reply:
    return Reply(204)


def _denied(permission: str) -> Refusal:
    return Refusal(
        403,
        "forbidden",
        f"tester@example.iam.gserviceaccount.com does not have {permission} access to the Google Cloud Storage "
        f"object. Permission '{permission}' denied on resource (or it may not exist).",
    )


def _refused(refusal: Refusal, *, media: bool) -> Reply:
    headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
    if refusal.status == 304:
        return Reply(304)
    if media:  # such errors are plain text
        return Reply(refusal.status, data=refusal.message.encode(), headers={"Content-Type": "text/html", **headers})
    error = {"domain": "global", "reason": refusal.reason, "message": refusal.message}
    return Reply(
        refusal.status,
        {"error": {"code": refusal.status, "message": refusal.message, "errors": [error]}},
        headers=headers,
    )
