"""Google Cloud Storage: `dorkyd.ports.Bucket` over its JSON API and the credentials of google-cloud-storage.

Rules:

1. A version is a generation. Every write carries `ifGenerationMatch` (0: there must be none); there is no other path to the
   store, not even after an error. A copy names its source's generation too.
2. Nothing is repeated here, nor by the SDK. (`dorkyd.buckets.retry` repeats reads.) Only a 401, with which the store did
   nothing, is answered by reading the credentials afresh and sending once more.
3. A change of metadata is a rewrite of the object onto itself: that makes a new generation, so that the version protects
   metadata as well. A patch would keep the generation.
4. Absence is believed when the store says that there is no such *object*, or when a listing of exactly that name lacks it. A
   bare 404 may as well mean that the bucket is gone.
5. Only requests about objects: a role on the objects of one bucket is enough.

Preconditions: https://cloud.google.com/storage/docs/request-preconditions
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from dorkyd.buckets.gcs_body import Enveloped, Summed
from dorkyd.buckets.gcs_calls import Calls, Connection, Request, json_of
from dorkyd.buckets.gcs_names import generation_of, info_of, md5_of, parse_url, resource_of, seconds_of, size_of
from dorkyd.buckets.gcs_reading import GcsPiece, GcsReading, Seen, media_request, state_query
from dorkyd.buckets.gcs_sessions import Sessions, abandon_after
from dorkyd.buckets.ranges import Ranges, Shape
from dorkyd.buckets.sense import sense
from dorkyd.core.model import Version
from dorkyd.errors import Blocked, Denied, DorkyError, Integrity, Stale, Transient
from dorkyd.ports import Body, Chunk, Listed, ObjectInfo, Requests, Session, StoredVersion, Written
from dorkyd.slabs import Slabs

MIB = 1024 * 1024
IN_MEMORY_BYTES = MIB
"""A body up to this is read once and sent from memory; a larger one is read twice, to be summed and to be sent."""
THREADS = 16
"""How many may call at once without waiting for a connection."""
BOUNDARY = "dorkyd-9f0c2b7e4a6d4c11"
"""Between the parts of a multipart request. Its reader counts from the ends, so a body may hold it."""


class GcsBucket:
    """A bucket of Google Cloud Storage, below one prefix.

    Credentials are the application default ones, read at the first request and again after they were refused.
    `endpoint_url` None is Google itself, or what `STORAGE_EMULATOR_HOST` names; over http none are sent.
    """

    condition_names: Mapping[str, str] = {
        "PutObject ignores If-None-Match": "objects.insert ignores ifGenerationMatch=0",
        "PutObject ignores If-Match": "objects.insert ignores ifGenerationMatch",
        "DeleteObject ignores If-Match": "objects.delete ignores ifGenerationMatch",
        "CopyObject ignores x-amz-copy-source-if-match": "objects.rewrite ignores ifSourceGenerationMatch",
        "CopyObject ignores If-None-Match": "objects.rewrite ignores ifGenerationMatch=0",
        "CopyObject ignores If-Match": "objects.rewrite ignores ifGenerationMatch",
        "CompleteMultipartUpload ignores If-None-Match": "resumable objects.insert ignores ifGenerationMatch=0",
        "CompleteMultipartUpload ignores If-Match": "resumable objects.insert ignores ifGenerationMatch",
    }
    """What the probe's findings are called here."""
    judges_at_begin = True
    """A session is refused at its beginning as well as at its end."""

    def __init__(
        self,
        url: str,
        *,
        endpoint_url: str | None = None,
        sessions_over: int = 16 * MIB,
        part_bytes: int = 8 * MIB,
        shape: Shape | None = None,
    ) -> None:
        """`sessions_over`: larger bodies go in sessions, in parts of `part_bytes` (a multiple of 256 KiB). `shape`: how
        downloads come.
        """
        name, prefix = parse_url(url)
        self._url = url
        self._endpoint_url = endpoint_url
        self._calls = Calls(self._connect, bucket=name, prefix=prefix, endpoint_url=endpoint_url)
        self._sessions = Sessions(self._calls, part_bytes=part_bytes)
        self._sessions_over = sessions_over
        self._slabs = Slabs()
        self._ranges = Ranges(self._piece, shape)
        self._seen = Seen()
        self._versioned: bool | None = None

    def __repr__(self) -> str:
        return f"GcsBucket({self._url!r})"

    @property
    def url(self) -> str:
        """As configured."""
        return self._url

    @property
    def versioned(self) -> bool:
        """After the last replacement that was looked into (the probe's, or the first of all), the replaced generation could
        still be looked at: versioning is on.
        """
        return bool(self._versioned)

    @property
    def requests(self) -> Requests:
        """Requests sent. Beginning a session counts as PUT, giving it up as DELETE, asking how far it came as HEAD. A download
        that no look at the same state went before is a HEAD and a GET: the reply with the bytes does not carry the metadata.
        """
        return self._calls.requests

    @property
    def missing_denied(self) -> bool:
        """A look at a missing object was answered 403: this identity may not list, or not all of the bucket."""
        return self._calls.missing_denied

    def head(self, key: str) -> ObjectInfo | None:
        """Look at one object."""
        found = self._look(key)
        if found is None:
            return None
        self._seen.add(key, found)
        return info_of(found)

    @contextlib.contextmanager
    def get(
        self, key: str, *, if_match: Version | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[GcsReading]:
        """Open the object's bytes from offset `start` on."""
        with contextlib.ExitStack() as closing:
            closing.enter_context(self._slabs.while_in_use())
            seen = None if if_match is None else self._seen.take(key, if_match)
            for last in (False, False, True):
                found = seen or self._look(key)
                if found is None or if_match not in {None, found["generation"]}:
                    raise Stale(f"{key!r} is not the state expected")
                try:
                    reading = self._open(key, found, start, stop, closing)
                    break
                except Stale:
                    # Its metadata may have changed since, or the object since the look a moment ago.
                    seen = None
                    if last:
                        raise
            yield reading

    def read(self, key: str, *, limit: int = 16 * MIB) -> tuple[ObjectInfo, bytes] | None:
        """One small object, whole."""
        found = self._look(key)
        if found is None:
            return None
        info = info_of(found)
        if info.size > limit:
            raise Blocked(f"{key!r} has {info.size} bytes, over the limit of {limit}", code="too-large")
        try:
            with contextlib.ExitStack() as closing:
                return info, b"".join(self._open(key, found, 0, None, closing))
        except Stale as error:
            raise Transient(f"{key!r} changed while it was read") from error

    @property
    def sessions_over(self) -> int:
        """Bodies of more bytes take sessions."""
        return self._sessions_over

    def begin(self, key: str, size: int, *, replaces: Version | None, meta: Mapping[str, str]) -> Session:
        """Begin an upload session. A condition that does not hold now is `Stale` at once."""
        return self._sessions.begin(key, size, self._resource(key, meta), _condition(replaces))

    def abandon(self, key: str, session: Session) -> None:
        """Give a session up."""
        self._sessions.abandon(key, session)

    def put(
        self,
        key: str,
        body: Body,
        *,
        replaces: Version | None,
        meta: Mapping[str, str],
        session: Session | None = None,
    ) -> Written:
        """Write an object: a small body in one request, which carries its CRC32C."""
        if session is not None:
            return self._finish(key, replaces, self._sessions.put(key, body, session))
        if body.size > self._sessions_over:
            return self.put_in_parts(key, body, replaces=replaces, meta=meta)
        return self._finish(key, replaces, self._insert(key, body, self._resource(key, meta), _condition(replaces)))

    def put_in_parts(self, key: str, body: Body, *, replaces: Version | None, meta: Mapping[str, str]) -> Written:
        """As `put`, in a session whatever the size. The probe proves the condition at its end with it."""
        session = self.begin(key, body.size, replaces=replaces, meta=meta)
        try:
            return self._finish(key, replaces, self._sessions.put(key, body, session, held=0))
        except BaseException as error:
            abandon_after(self._sessions, key, session, error)
            raise

    def delete(self, key: str, *, replaces: Version) -> None:
        """Delete exactly this state."""
        self._calls.send(
            Request("DELETE", "objects.delete", "DELETE", key, self._calls.object_path(key), _condition(replaces))
        )

    def copy(
        self,
        source: str,
        key: str,
        *,
        source_version: Version,
        replaces: Version | None,
        meta: Mapping[str, str] | None,
    ) -> Written:
        """Copy inside the store, in as many calls as the size wants; the last one makes the object."""
        resource = self._resource(key, {} if meta is None else meta)
        query = {**_condition(replaces), "ifSourceGenerationMatch": generation_of(source_version)}
        goal = self._calls.object_path(key).removeprefix("/storage/v1")
        request = Request(
            "COPY",
            "objects.rewrite",
            "POST",
            key,
            f"{self._calls.object_path(source)}/rewriteTo{goal}",
            query,
            {"Content-Type": "application/json; charset=UTF-8"},
            b"" if meta is None else json.dumps(resource).encode(),
        )
        token = ""
        while True:
            told = json_of(self._calls.send(request.asking(rewriteToken=token) if token else request))
            if told.get("done", True):
                with sense():
                    made = told["resource"]
                    return Written(Version(str(made["generation"])), seconds_of(made.get("updated")))
            if not told.get("rewriteToken"):
                raise Transient(f"the copy of {source!r} broke off without saying how to go on")
            token = told["rewriteToken"]

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[Sequence[Listed]]:
        """Pages of at most 1,000 names."""
        query = {
            "prefix": self._calls.full(prefix),
            "maxResults": "1000",
            "fields": "nextPageToken,items(name,generation,size,updated,md5Hash)",
        }
        if start_after:
            query["startOffset"] = self._calls.full(start_after)
        for items in self._pages(prefix, query):
            with sense():
                page = [listed for item in items if (listed := self._listed(item, start_after)) is not None]
            if page:
                yield page

    def _pages(self, prefix: str, query: dict[str, str]) -> Iterator[Sequence[Mapping[str, Any]]]:
        """The items of each page of a listing."""
        while True:
            told = json_of(
                self._calls.send_listing(Request("LIST", "objects.list", "GET", prefix, self._calls.bucket_path, query))
            )
            with sense():
                items = told.get("items", ())
            yield items
            token = told.get("nextPageToken")
            if not token:
                return
            if not isinstance(token, str) or token == query.get("pageToken"):
                raise Transient(f"the listing of {self._url} does not come to an end")
            query["pageToken"] = token

    def versions(self, prefix: str) -> Iterator[Sequence[StoredVersion]]:
        """As `dorkyd.ports.Versioned`: generations. A deletion leaves no mark of its own."""
        query = {
            "prefix": self._calls.full(prefix),
            "versions": "true",
            "maxResults": "1000",
            "fields": "nextPageToken,items(name,generation,size,updated,timeDeleted)",
        }
        for items in self._pages(prefix, query):
            with sense():
                states = [self._stored(item) for item in items if item["name"].startswith(self._calls.full(""))]
            # The store tells each name's generations oldest first.
            yield sorted(states, key=lambda state: (state.key.encode(), -int(state.id)))

    @contextlib.contextmanager
    def open_version(self, key: str, id: str) -> Iterator[GcsReading]:  # noqa: A002 - as the port says
        """As `dorkyd.ports.Versioned`."""
        query = {"generation": generation_of(Version(id))}
        found = json_of(
            self._calls.send(Request("HEAD", "objects.get", "GET", key, self._calls.object_path(key), query))
        )
        info = info_of(found)
        request = media_request(self._calls, key, query, 0, None)
        with self._slabs.while_in_use(), contextlib.closing(self._calls.send(request)) as reply:
            piece = GcsPiece(self._calls, request, reply, info, 0, self._slabs)
            yield GcsReading(key, info, piece, crc32c=found.get("crc32c"), left=info.size)

    def close(self) -> None:
        """Free connections and threads. May be repeated."""
        self._ranges.close()
        self._calls.close()

    def _connect(self) -> Connection:
        from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415  47 MB that other stores need not carry
        from google.auth.transport.requests import AuthorizedSession  # noqa: PLC0415
        from google.cloud import storage  # noqa: PLC0415
        from requests.adapters import HTTPAdapter  # noqa: PLC0415

        plain = self._endpoint_url is not None and self._endpoint_url.startswith("http://")
        client = storage.Client(
            # No project: objects are found by their bucket's name alone.
            project=None,
            credentials=AnonymousCredentials() if plain else None,
            client_options=None if self._endpoint_url is None else {"api_endpoint": self._endpoint_url},
        )
        # The SDK's own session would repeat what was answered 401, with a body that is spent.
        session = AuthorizedSession(client._credentials, max_refresh_attempts=0)  # noqa: SLF001
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(pool_maxsize=THREADS + Shape().workers))
        session.headers["User-Agent"] = "dorkyd"
        base = str(client.api_endpoint).rstrip("/")
        if "://" not in base:  # people write STORAGE_EMULATOR_HOST as host and port alone
            base = f"http://{base}"
        client.close()
        return Connection(session, base)

    def _look(self, key: str) -> dict[str, Any] | None:
        """The object's resource; None is proof of absence."""
        reply = self._calls.find(Request("HEAD", "objects.get", "GET", key, self._calls.object_path(key)))
        if reply is None:
            return None
        found = json_of(reply)
        info_of(found)  # raises where it is no object's: what is taken from it later is there
        return found

    def _open(
        self, key: str, found: Mapping[str, Any], start: int, stop: int | None, closing: contextlib.ExitStack
    ) -> GcsReading:
        """The bytes of the state that was found, from `start` to `stop`. Closed with `closing`."""
        info = info_of(found)
        if start > info.size:
            raise Stale(f"{key!r} has no byte {start} any more")
        chunks: Iterable[Chunk] = ()

        @contextlib.contextmanager
        def first(key: str, version: Version | None, start: int, stop: int) -> Iterator[GcsPiece]:
            """What is asked for first must be the very state that was looked at."""
            del version
            end = None if stop >= info.size else stop
            request = media_request(self._calls, key, state_query(found), start, end)
            with contextlib.closing(self._calls.send(request)) as reply:
                yield GcsPiece(self._calls, request, reply, info, start, self._slabs)

        # At the object's end there is nothing to ask for, and a store would refuse the range. An empty object is asked for all
        # the same: that proves that it may be read.
        if start < info.size or start == 0:
            chunks = closing.enter_context(self._ranges.open(key, info.version, start, stop, opened=first))
        end = info.size if stop is None else min(stop, info.size)
        crc32c = found.get("crc32c") if start == 0 and end == info.size else None
        return GcsReading(key, info, chunks, crc32c=crc32c, left=end - start)

    @contextlib.contextmanager
    def _piece(self, key: str, version: Version | None, start: int, stop: int) -> Iterator[GcsPiece]:
        """What follows. Of the same generation: its bytes cannot have changed."""
        request = media_request(self._calls, key, {"ifGenerationMatch": str(version)}, start, stop)
        with contextlib.closing(self._calls.send(request)) as reply:
            yield GcsPiece(self._calls, request, reply, None, start, self._slabs)

    def _insert(self, key: str, body: Body, resource: dict[str, Any], condition: Mapping[str, str]) -> dict[str, Any]:
        small = body.size <= IN_MEMORY_BYTES
        with contextlib.closing(Summed(body)) as summing:
            # Before anything is sent: bytes that are not what was observed cost no request.
            data = summing.fill(body.size) if small and body.size else b""
            summing.finish()
            crc32c = summing.crc32c
        head = (
            f"--{BOUNDARY}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n"
            f"{json.dumps({**resource, 'crc32c': crc32c})}\r\n"
            f"--{BOUNDARY}\r\nContent-Type: {resource['contentType']}\r\n\r\n"
        ).encode()
        tail = f"\r\n--{BOUNDARY}--\r\n".encode()
        reply = self._calls.send(
            Request(
                "PUT",
                "objects.insert",
                "POST",
                key,
                "/upload" + self._calls.bucket_path,
                {"uploadType": "multipart", **condition},
                {"Content-Type": f'multipart/related; boundary="{BOUNDARY}"'},
                head + data + tail if small else lambda: Enveloped(head, body, tail),
                up=body.size,
            )
        )
        made = json_of(reply)
        if made.get("crc32c") not in {None, crc32c}:
            raise Integrity(f"the store holds other bytes of {key!r} than were sent")
        return made

    def _finish(self, key: str, replaced: Version | None, resource: Mapping[str, Any]) -> Written:
        self._learn(key, replaced)
        with sense():
            return Written(Version(str(resource["generation"])), seconds_of(resource.get("updated")))

    def _learn(self, key: str, replaced: Version | None) -> None:
        """Whether the store kept the state that was just replaced. Failing to learn it fails no write."""
        if replaced is None or (self._versioned is not None and not key.startswith(".dorky/probe/")):
            return
        request = Request(
            "HEAD", "objects.get", "GET", key, self._calls.object_path(key), {"generation": generation_of(replaced)}
        )
        try:
            told = json_of(self._calls.send(request))
        except (Stale, Denied):  # without storage.objects.list a missing state is answered 403
            self._versioned = False
        except DorkyError:
            return  # unknown as before, which counts as not versioned
        else:
            self._versioned = told.get("generation") == replaced

    def _resource(self, key: str, meta: Mapping[str, str]) -> dict[str, Any]:
        return resource_of(key, self._calls.full(key), meta)

    def _stored(self, item: Mapping[str, Any]) -> StoredVersion:
        generation = str(item["generation"])
        return StoredVersion(
            key=item["name"][len(self._calls.full("")) :],
            version=Version(generation),
            id=generation,
            size=size_of(item),
            modified=seconds_of(item.get("updated")),
            current=item.get("timeDeleted") is None,
        )

    def _listed(self, item: Mapping[str, Any], start_after: str) -> Listed | None:
        root, name = self._calls.full(""), item["name"]
        if not name.startswith(root) or name == root:  # the marker that consoles make for a folder
            return None
        key = name[len(root) :]
        if start_after and key == start_after:  # the store's offset includes itself
            return None
        return Listed(
            key,
            Version(str(item["generation"])),
            size_of(item),
            seconds_of(item.get("updated")),
            md5_of(item.get("md5Hash")),
        )


def _condition(replaces: Version | None) -> dict[str, str]:
    return {"ifGenerationMatch": "0" if replaces is None else generation_of(replaces)}
