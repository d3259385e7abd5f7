"""A strict bucket in memory, for tests and for the simulator: what a perfect store does, and what a bad day does to it.

One lock guards each step, so every condition is checked in the same step as its write. Nothing here is random or reads
a clock: versions count up, and the same calls give the same answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import BinaryIO, Literal

from dorkyd.buckets.counting import Counter, Verb
from dorkyd.core.metadata import sha256
from dorkyd.core.model import Version
from dorkyd.errors import Blocked, DorkyError, SessionGone, Stale, Unsupported
from dorkyd.ports import Body, Listed, ObjectInfo, Requests, Session, StoredVersion, Written

CHUNK_BYTES = 1024 * 1024
_NOW = 2**40
"""Ids of versions from here on stand for objects as they are."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong with one request."""

    error: DorkyError
    """What the caller gets: `Stale` for a 409 or 412, `RateLimited` for a 503, `Transient` for a lost connection."""
    when: Literal["before", "midway", "after"] = "before"
    """`before` the effect; `midway`: half of a downloaded body arrives (elsewhere: as `before`); `after` the effect,
    so that only the reply is lost.
    """


Faults = Callable[[Verb, str], Fault | None]
"""Asked once for each request, and for each page of a listing (with its prefix). None: this one goes well."""


@dataclass(frozen=True, slots=True)
class _Object:
    info: ObjectInfo
    data: bytes
    md5: str | None

    def listed_as(self, key: str) -> Listed:
        return Listed(key, self.info.version, self.info.size, self.info.modified, self.md5)


@dataclass(slots=True)
class _Upload:
    key: str
    size: int
    meta: Mapping[str, str]
    data: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class _Store:
    """What all clients of one bucket share. Touched only under `lock`."""

    lock: Lock = field(default_factory=Lock)
    objects: dict[str, _Object] = field(default_factory=dict)
    writes: int = 0
    """How many there were: the next version."""
    sessions: dict[str, _Upload] = field(default_factory=dict)
    """Uploads begun and not ended, by id."""
    begun: int = 0
    """How many sessions there were: the next id."""
    old: list[tuple[str, _Object]] = field(default_factory=list)
    """States that were replaced or deleted, oldest first, by key: where versions are kept."""

    def match(self, key: str, expected: Version | None) -> None:
        """Raise `Stale` unless the object's state is `expected`; None: there must be none."""
        found = self.objects.get(key)
        if (found.info.version if found else None) != expected:
            raise Stale(f"{key}: not the version expected")

    def require(self, key: str, version: Version | None) -> _Object:
        """The object, in this state; None takes any."""
        found = self.objects.get(key)
        if found is None or version not in {None, found.info.version}:
            raise Stale(f"{key}: not the version expected")
        return found


@dataclass(frozen=True, slots=True)
class _MemoryReading:
    key: str
    info: ObjectInfo
    data: bytes
    """From the offset asked for to the end."""
    fault: Fault | None
    counter: Counter

    def __iter__(self) -> Iterator[bytes]:
        end = len(self.data) // 2 if self.fault else len(self.data)
        for start in range(0, end, CHUNK_BYTES):
            chunk = self.data[start : min(start + CHUNK_BYTES, end)]
            self.counter.moved(self.key, down=len(chunk))
            yield chunk
        if self.fault:
            raise self.fault.error


class MemoryBucket:
    """One client of a bucket that lives as long as somebody holds it.

    `seconds` gives LastModified, the store's clock (None: the store tells none). `etags` makes versions as S3 does,
    the MD5 of the content: equal bytes have equal versions, a change of metadata keeps the version, and listings tell it. Bodies of more than
    `sessions_over` bytes take sessions, in parts of `part_bytes`; None: none does. `versioned`: replaced and deleted states are kept.
    """

    url = "memory://"

    def __init__(
        self,
        *,
        faults: Faults | None = None,
        seconds: Callable[[], int] | None = None,
        page_keys: int = 1000,
        etags: bool = False,
        sessions_over: int | None = None,
        part_bytes: int = 4,
        versioned: bool = False,
    ) -> None:
        self._store = _Store()
        self.versioned = versioned
        self._faults = faults
        self._seconds = seconds
        self._page_keys = page_keys
        self._etags = etags
        self._part_bytes = part_bytes
        self.sessions_over = sessions_over
        self._counter = Counter()

    def client(self, *, faults: Faults | None = None) -> MemoryBucket:
        """Another device's view of the same bucket, with faults and counters of its own."""
        other = MemoryBucket(
            faults=faults,
            seconds=self._seconds,
            page_keys=self._page_keys,
            etags=self._etags,
            sessions_over=self.sessions_over,
            part_bytes=self._part_bytes,
            versioned=self.versioned,
        )
        other._store = self._store
        return other

    @property
    def requests(self) -> Requests:
        """A snapshot of the counters of this client."""
        return self._counter.snapshot()

    def head(self, key: str) -> ObjectInfo | None:
        """As `Bucket.head`."""
        with self._request("HEAD", key), self._store.lock:
            found = self._store.objects.get(key)
            return found.info if found else None

    @contextmanager
    def get(
        self, key: str, *, if_match: Version | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[_MemoryReading]:
        """As `Bucket.get`."""
        with self._request("GET", key, may_break_midway=True) as fault, self._store.lock:
            found = self._store.require(key, if_match)
        if start > found.info.size:
            raise Stale(f"{key!r} has no byte {start} any more")
        yield _MemoryReading(key, found.info, found.data[start:stop], fault, self._counter)

    def read(self, key: str, *, limit: int = 16 * 1024 * 1024) -> tuple[ObjectInfo, bytes] | None:
        """As `Bucket.read`."""
        with self._request("GET", key), self._store.lock:
            found = self._store.objects.get(key)
            if found is None:
                return None
            if found.info.size > limit:
                raise Blocked(f"{key} has {found.info.size} bytes, more than {limit}", code="too-large")
            self._counter.moved(key, down=found.info.size)
            return found.info, found.data

    def begin(self, key: str, size: int, *, replaces: Version | None, meta: Mapping[str, str]) -> Session:
        """As `Bucket.begin`. The condition is checked at the end alone."""
        del replaces
        _check(key)
        with self._request("PUT", key), self._store.lock:
            self._store.begun += 1
            name = f"session-{self._store.begun}"
            self._store.sessions[name] = _Upload(key, size, dict(meta))
            return Session(name, self._part_bytes)

    def abandon(self, key: str, session: Session) -> None:
        """As `Bucket.abandon`."""
        with self._request("DELETE", key), self._store.lock:
            self._store.sessions.pop(session.id, None)

    @property
    def open_sessions(self) -> list[str]:
        """Keys of the uploads begun and not ended, for tests."""
        with self._store.lock:
            return sorted(upload.key for upload in self._store.sessions.values())

    @property
    def open_session_ids(self) -> set[str]:
        """Their ids."""
        with self._store.lock:
            return set(self._store.sessions)

    @property
    def begun_sessions(self) -> int:
        """How many uploads were begun in sessions so far, for tests."""
        return self._store.begun

    def forget_sessions(self) -> None:
        """What a lifecycle rule for unfinished uploads does."""
        with self._store.lock:
            self._store.sessions.clear()

    def put(
        self,
        key: str,
        body: Body,
        *,
        replaces: Version | None,
        meta: Mapping[str, str],
        session: Session | None = None,
    ) -> Written:
        """As `Bucket.put`."""
        _check(key)
        if session is not None:
            return self._put_in_parts(key, body, replaces, session)
        with self._request("PUT", key):
            with body.open() as stream:
                data = stream.read()
            self._counter.moved(key, up=len(data))
            if len(data) != body.size or sha256(hashlib.sha256(data).hexdigest()) != body.digest:
                raise Stale(f"{key}: the bytes are not those observed")
            with self._store.lock:
                self._store.match(key, replaces)
                return self._write(key, data, meta)

    def _put_in_parts(self, key: str, body: Body, replaces: Version | None, session: Session) -> Written:
        with self._request("LIST", key):
            upload = self._upload(key, session)
        hashing = hashlib.sha256()
        with body.open() as stream:
            at = 0
            while part := _fill(stream, session.part_bytes):
                hashing.update(part)
                at += len(part)
                if at > len(upload.data):
                    with self._request("PUT", key), self._store.lock:
                        upload.data += part
                        self._counter.moved(key, up=len(part))
        with self._request("PUT", key):
            if sha256(hashing.hexdigest()) != body.digest:
                raise Stale(f"{key}: the bytes are not those observed")
            if hashing.digest() != hashlib.sha256(upload.data).digest():
                with self._store.lock:
                    self._store.sessions.pop(session.id, None)
                raise SessionGone(f"{key}: what was sent before are other bytes")
            with self._store.lock:
                self._store.match(key, replaces)
                if self._store.sessions.pop(session.id, None) is None:
                    raise SessionGone(f"{key}: the upload is not known")
                return self._write(key, bytes(upload.data), upload.meta)

    def _upload(self, key: str, session: Session) -> _Upload:
        with self._store.lock:
            upload = self._store.sessions.get(session.id)
        if upload is None or upload.key != key:
            raise SessionGone(f"{key}: the upload is not known")
        return upload

    def delete(self, key: str, *, replaces: Version) -> None:
        """As `Bucket.delete`."""
        with self._request("DELETE", key), self._store.lock:
            self._store.match(key, replaces)
            self._keep(key)
            del self._store.objects[key]

    def copy(
        self,
        source: str,
        key: str,
        *,
        source_version: Version,
        replaces: Version | None,
        meta: Mapping[str, str] | None,
    ) -> Written:
        """As `Bucket.copy`."""
        _check(key)
        with self._request("COPY", key), self._store.lock:
            found = self._store.require(source, source_version)
            self._store.match(key, replaces)
            return self._write(key, found.data, found.info.meta if meta is None else meta)

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[Sequence[Listed]]:
        """As `Bucket.list`. Each page is made when it is asked for, so writes may land between two pages."""
        after = start_after
        while True:
            with self._request("LIST", prefix), self._store.lock:
                found = sorted(
                    (key for key in self._store.objects if key.startswith(prefix) and _bytes(key) > _bytes(after)),
                    key=_bytes,
                )
                page = [self._store.objects[key].listed_as(key) for key in found[: self._page_keys]]
            yield page
            if len(found) <= self._page_keys:
                return
            after = page[-1].key

    def versions(self, prefix: str) -> Iterator[Sequence[StoredVersion]]:
        """As `dorkyd.ports.Versioned`, without marks of deletions."""
        if not self.versioned:
            return
        with self._request("LIST", prefix), self._store.lock:
            now = [
                (key, at, self._store.objects[key], True) for at, key in enumerate(sorted(self._store.objects), _NOW)
            ]
            old = [(key, at, state, False) for at, (key, state) in enumerate(self._store.old)]
            states = sorted((each for each in [*now, *old] if each[0].startswith(prefix)), key=lambda s: (s[0], -s[1]))
        yield [
            StoredVersion(key, o.info.version, f"v{at}", o.info.size, o.info.modified, current)
            for key, at, o, current in states
        ]

    @contextmanager
    def open_version(self, key: str, id: str) -> Iterator[_MemoryReading]:  # noqa: A002 - as the port says
        """As `dorkyd.ports.Versioned`."""
        with self._request("GET", key), self._store.lock:
            at = int(id.removeprefix("v"))
            if at >= _NOW:
                kept, found = key, self._store.require(key, None)
            else:
                kept, found = self._store.old[at]
        if kept != key:
            raise Stale(f"{key}: no such version is kept")
        yield _MemoryReading(key, found.info, found.data, None, self._counter)

    def close(self) -> None:
        """Nothing to free."""

    def _keep(self, key: str) -> None:
        """Under the lock: what is replaced or deleted is kept."""
        found = self._store.objects.get(key)
        if self.versioned and found is not None:
            self._store.old.append((key, found))

    @contextmanager
    def _request(self, verb: Verb, key: str, *, may_break_midway: bool = False) -> Iterator[Fault | None]:
        """Count the request and let its fault happen; yields a fault that is left for the body."""
        self._counter.add(verb)
        fault = self._faults(verb, key) if self._faults else None
        midway = fault is not None and fault.when == "midway" and may_break_midway
        if fault and fault.when != "after" and not midway:
            raise fault.error
        yield fault if midway else None
        if fault and fault.when == "after":
            raise fault.error

    def _write(self, key: str, data: bytes, meta: Mapping[str, str]) -> Written:
        """Under the lock, once every condition holds."""
        self._store.writes += 1
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest() if self._etags else None
        version = Version(md5 or str(self._store.writes))
        modified = self._seconds() if self._seconds else None
        lower = {name.lower(): value for name, value in meta.items()}
        self._keep(key)
        self._store.objects[key] = _Object(ObjectInfo(version, len(data), modified, lower, md5), data, md5)
        return Written(version, modified)


def _bytes(key: str) -> bytes:
    return key.encode("utf-8", "surrogatepass")


def _fill(stream: BinaryIO, count: int) -> bytes:
    """Exactly `count` bytes, fewer only at the end."""
    data = stream.read(count)
    while len(data) < count and (more := stream.read(count - len(data))):
        data += more
    return data


def _check(key: str) -> None:
    if not key or key.startswith("/"):
        raise Unsupported(key, f"{key!r} is no key: it is empty or begins with a slash", code="bad-key")
