"""Does this store enforce the conditions that dorkyd sends? Asked before the first sync, on throw-away keys.

    conditional create, update, delete    indispensable: without them somebody is overwritten silently
    conditional copy                      dispensable: bytes can go through us instead (`copies_safe`)
    conditional complete of parts         dispensable: a body goes in one conditional request (`complete_safe`)

Every probe is a step that must be refused, on an object that only this probe knows. A store that carries it out has
ignored the header. A store that refuses the fresh step as well would be useless, so each fresh one must succeed.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Protocol, runtime_checkable

from dorkyd.buckets.retry import Retrying
from dorkyd.core.metadata import sha256
from dorkyd.core.model import Digest, Version
from dorkyd.errors import Blocked, Stale, UnsafeStore
from dorkyd.ports import Body, Bucket, Written

PREFIX = ".dorky/probe/"

CREATE = "PutObject ignores If-None-Match"
UPDATE = "PutObject ignores If-Match"
DELETE = "DeleteObject ignores If-Match"
COPY_FROM = "CopyObject ignores x-amz-copy-source-if-match"
COPY_CREATE = "CopyObject ignores If-None-Match"
COPY_UPDATE = "CopyObject ignores If-Match"
COMPLETE_CREATE = "CompleteMultipartUpload ignores If-None-Match"
COMPLETE_UPDATE = "CompleteMultipartUpload ignores If-Match"

INDISPENSABLE = frozenset({CREATE, UPDATE, DELETE})
COPIES = frozenset({COPY_FROM, COPY_CREATE, COPY_UPDATE})
COMPLETES = frozenset({COMPLETE_CREATE, COMPLETE_UPDATE})


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a store was found to do."""

    versioned: bool
    """It keeps replaced and deleted states by itself."""
    ignored: tuple[str, ...]
    """Operation and header, e.g. `PutObject ignores If-None-Match`; empty: it enforces everything."""
    copies_safe: bool
    """False: `Bucket.copy` may overwrite what its condition should protect. Do not call it; send bytes, or leave it."""
    complete_safe: bool
    """False: the bucket was told to send no parts (`avoid_parts`), so that `Bucket.put` stays safe; it must be told
    again after a restart. With `single_writer` it goes on sending them.
    """
    warnings: tuple[str, ...]
    """For people; empty when all is well."""


@runtime_checkable
class InParts(Protocol):
    """What a bucket has beside the port when it can send an object in parts."""

    def put_in_parts(self, key: str, body: Body, *, replaces: Version | None, meta: Mapping[str, str]) -> Written:
        """As `Bucket.put`, in parts whatever the size."""

    def avoid_parts(self) -> None:
        """From here on `Bucket.put` sends no parts."""


def probe(bucket: Bucket, *, single_writer: bool, random_id: Callable[[], str]) -> ProbeResult:
    """Ask the store, leaving nothing behind but what it refuses to delete (harmless, below `.dorky/probe/`).

    Raises `UnsafeStore` when an indispensable condition is ignored, unless `single_writer`; `Denied` when this identity
    may not read, write, delete or tell that a key is missing; what the bucket raises otherwise. May be repeated.
    """
    ignored = _Probe(bucket, PREFIX + random_id()).run()
    fatal = tuple(text for text in ignored if text in INDISPENSABLE)
    if fatal and not single_writer:
        raise UnsafeStore(
            f"{bucket.url} does not enforce conditional writes: {', '.join(fatal)}. "
            "Two writers would overwrite each other silently",
            hint="use another store, or set `single_writer: true` if no other machine ever writes there",
        )
    complete_safe = not COMPLETES & set(ignored)
    parts = _in_parts(bucket)
    if not complete_safe and not single_writer and parts is not None:
        parts.avoid_parts()
    return ProbeResult(
        versioned=bucket.versioned,
        ignored=ignored,
        copies_safe=not COPIES & set(ignored),
        complete_safe=complete_safe,
        warnings=tuple(f"{text}{_consequence(text, single_writer=single_writer)}" for text in ignored),
    )


class _Probe:
    """One run. `_ignored` grows as steps that must be refused are carried out."""

    def __init__(self, bucket: Bucket, root: str) -> None:
        self._bucket = bucket
        self._root = root
        self._ignored: list[str] = []

    def run(self) -> tuple[str, ...]:
        try:
            if self._bucket.head(self._key("absent")) is not None:
                raise Blocked(f"{self._bucket.url} shows an object that nobody wrote", code="not-supported")
            self._puts()
            self._copies()
            self._parts()
            self._deletes()
        finally:
            self._clean()
        return tuple(self._ignored)

    def _puts(self) -> None:
        put, key = self._bucket.put, self._key("put")
        old = put(key, _Bytes(b"first"), replaces=None, meta={})
        self._must_refuse(CREATE, lambda: put(key, _Bytes(b"second"), replaces=None, meta={}))
        fresh = self._version(key)
        put(key, _Bytes(b"third"), replaces=fresh, meta={})
        self._must_refuse(UPDATE, lambda: put(key, _Bytes(b"fourth"), replaces=old.version, meta={}))

    def _copies(self) -> None:
        old = self._bucket.put(self._key("from"), _Bytes(b"from, old"), replaces=None, meta={})
        self._bucket.put(self._key("from"), _Bytes(b"from, new"), replaces=old.version, meta={})
        there = self._bucket.put(self._key("onto"), _Bytes(b"there"), replaces=None, meta={})
        fresh = self._version(self._key("from"))
        self._copy("copied", fresh, None)
        self._must_refuse(COPY_FROM, lambda: self._copy("copied-stale", old.version, None))
        self._must_refuse(COPY_CREATE, lambda: self._copy("onto", fresh, None))
        self._must_refuse(COPY_UPDATE, lambda: self._copy("onto", fresh, old.version))
        if self._version(self._key("onto")) == there.version:
            self._copy("onto", fresh, there.version)

    def _parts(self) -> None:
        parts = _in_parts(self._bucket)
        if parts is None:
            return
        key = self._key("parts")
        old = parts.put_in_parts(key, _Bytes(b"first"), replaces=None, meta={})
        self._must_refuse(COMPLETE_CREATE, lambda: parts.put_in_parts(key, _Bytes(b"second"), replaces=None, meta={}))
        parts.put_in_parts(key, _Bytes(b"third"), replaces=self._version(key), meta={})
        self._must_refuse(
            COMPLETE_UPDATE, lambda: parts.put_in_parts(key, _Bytes(b"fourth"), replaces=old.version, meta={})
        )

    def _deletes(self) -> None:
        key = self._key("delete")
        old = self._bucket.put(key, _Bytes(b"first"), replaces=None, meta={})
        fresh = self._bucket.put(key, _Bytes(b"second"), replaces=old.version, meta={})
        if self._must_refuse(DELETE, lambda: self._bucket.delete(key, replaces=old.version)):
            self._bucket.delete(key, replaces=fresh.version)
            if self._bucket.head(key) is not None:
                raise Blocked(f"{self._bucket.url} keeps what was deleted", code="not-supported")

    def _clean(self) -> None:
        for name in ("put", "from", "onto", "copied", "copied-stale", "parts", "delete"):
            try:
                info = self._bucket.head(self._key(name))
                if info is not None:
                    self._bucket.delete(self._key(name), replaces=info.version)
            except Stale:
                continue  # gone meanwhile, which is what was wanted

    def _must_refuse(self, text: str, step: Callable[[], object]) -> bool:
        try:
            step()
        except Stale:
            return True
        self._ignored.append(text)
        return False

    def _copy(self, name: str, source_version: Version, replaces: Version | None) -> None:
        self._bucket.copy(
            self._key("from"), self._key(name), source_version=source_version, replaces=replaces, meta={"probe": "1"}
        )

    def _version(self, key: str) -> Version:
        """Whatever is there now: an ignored condition may have replaced it."""
        info = self._bucket.head(key)
        if info is None:
            raise Blocked(f"{self._bucket.url} does not show what was just written", code="not-supported")
        return info.version

    def _key(self, name: str) -> str:
        return f"{self._root}/{name}"


@dataclass(frozen=True, slots=True)
class _Bytes:
    """A body in memory."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def digest(self) -> Digest:
        return sha256(hashlib.sha256(self.data).hexdigest())

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)


def _in_parts(bucket: Bucket) -> InParts | None:
    while isinstance(bucket, Retrying):
        bucket = bucket.bucket
    return bucket if isinstance(bucket, InParts) else None


def _consequence(text: str, *, single_writer: bool) -> str:
    if text in COPIES:
        return ": nothing is copied inside the store"
    if text in COMPLETES and not single_writer:
        return ": large files go in one request, up to 5 GiB"
    return ": safe only while no other machine writes there"
