"""Does this store enforce the conditions that dorkyd sends? Asked before the first sync, on throw-away keys.

Every probe is a step that must be refused, on an object that only this probe knows. A store that carries it out has
ignored the header, and somebody would be overwritten silently one day: it is refused, unless the settings say that nobody
else writes there. A store that refuses the fresh step as well would be useless, so each fresh one must succeed.

Why no condition is dispensable: docs/decisions/0014-any-ignored-condition-refuses-the-store.md.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol, runtime_checkable

from dorkyd.core.metadata import sha256
from dorkyd.core.model import Digest, Version
from dorkyd.errors import Blocked, DorkyError, Stale, UnsafeStore, Unsupported
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
PART_COPY_FROM = "UploadPartCopy ignores x-amz-copy-source-if-match"

COPIES = frozenset({COPY_FROM, COPY_CREATE, COPY_UPDATE, PART_COPY_FROM})
ALL = COPIES | {CREATE, UPDATE, DELETE, COMPLETE_CREATE, COMPLETE_UPDATE}


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a store was found to do."""

    versioned: bool
    """It keeps replaced and deleted states by itself."""
    ignored: tuple[str, ...]
    """Operation and header, e.g. `PutObject ignores If-None-Match`; empty: it enforces everything."""
    copies_safe: bool
    """False, which only `single_writer` lets happen: do not call `Bucket.copy` where something may be in its way; send
    bytes, or leave it.
    """
    missing_denied: bool
    """This identity is answered 403, not 404, when it looks at a missing key (it may not list the bare bucket), so that a
    look is a listing of exactly that key, and costs as much.
    """
    warnings: tuple[str, ...]
    """For people; empty when all is well."""


ORDINARY = ProbeResult(versioned=False, ignored=(), copies_safe=True, missing_denied=False, warnings=())
"""A store that enforces every condition, and of which there is nothing else to know."""

PROBE = 1
"""Rises when more is probed, so that older proofs do not count."""


@runtime_checkable
class InParts(Protocol):
    """What a bucket has beside the port when it can send an object in parts."""

    def put_in_parts(self, key: str, body: Body, *, replaces: Version | None, meta: Mapping[str, str]) -> Written:
        """As `Bucket.put`, in parts whatever the size."""


@runtime_checkable
class CopiesInParts(Protocol):
    """What a bucket has beside the port when it can copy an object in parts."""

    def copy_in_parts(
        self,
        source: str,
        key: str,
        *,
        source_version: Version,
        replaces: Version | None,
        meta: Mapping[str, str] | None,
    ) -> Written:
        """As `Bucket.copy`, in parts whatever the size."""


@runtime_checkable
class TellsMissing(Protocol):
    """What a bucket has beside the port when absence may have to be proven by a listing."""

    @property
    def missing_denied(self) -> bool:
        """A look at a missing key was answered 403. False until one was."""


@runtime_checkable
class NamesConditions(Protocol):
    """What a bucket has beside the port when its store calls operations and conditions by other names than S3 does."""

    @property
    def condition_names(self) -> Mapping[str, str]:
        """Each text of `ALL` that can be found there: how it is said of this store."""


@runtime_checkable
class JudgesAtBegin(Protocol):
    """What a bucket has beside the port when its store refuses a session already at its beginning. What it does at the
    end, long after, must be proven apart.
    """

    judges_at_begin: bool


@runtime_checkable
class Wraps(Protocol):
    """A bucket around another, as `dorkyd.buckets.retry.Retrying`."""

    @property
    def bucket(self) -> Bucket:
        """The one below."""


def probe(bucket: Bucket, *, single_writer: bool, random_id: Callable[[], str]) -> ProbeResult:
    """Ask the store, leaving nothing behind but what it refuses to delete (harmless, below `.dorky/probe/`).

    Raises `UnsafeStore` when a condition is ignored, unless `single_writer`; `Denied` when this identity may not read,
    write, delete or tell that a key is missing; what the bucket raises otherwise. May be repeated.
    """
    ignored = _Probe(bucket, PREFIX + random_id()).run()
    said = as_said(bucket, ignored)
    if ignored and not single_writer:
        raise UnsafeStore(
            f"{bucket.url} does not enforce conditional writes: {', '.join(said)}. "
            "Two writers would overwrite each other silently",
            hint="use another store, or set `single_writer: true` if no other machine ever writes there",
        )
    tells = next((layer for layer in layers(bucket) if isinstance(layer, TellsMissing)), None)
    return ProbeResult(
        versioned=bucket.versioned,
        ignored=ignored,
        copies_safe=not COPIES & set(ignored),
        missing_denied=tells is not None and tells.missing_denied,
        warnings=tuple(f"{words}{_consequence(text)}" for words, text in zip(said, ignored, strict=True)),
    )


class _Probe:
    """One run. `_ignored` grows as steps that must be refused are carried out."""

    def __init__(self, bucket: Bucket, root: str) -> None:
        self._bucket = bucket
        self._root = root
        self._ignored: list[str] = []
        self._names: dict[str, None] = {}
        """What may have been written, in order."""

    def run(self) -> tuple[str, ...]:
        try:
            if self._bucket.head(self._key("absent")) is not None:
                raise Blocked(f"{self._bucket.url} shows an object that nobody wrote", code="not-supported")
            self._puts()
            self._copies()
            self._parts()
            self._part_copies()
            self._sessions()
            self._deletes()
        except DorkyError as error:
            # The first error is the one to act on.
            try:
                self._clean()
            except DorkyError as left:
                error.add_note(f"the probe's own objects below {PREFIX} may be left: {left}")
            raise
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
        parts = next((layer for layer in layers(self._bucket) if isinstance(layer, InParts)), None)
        if parts is None:
            return
        key = self._key("parts")
        old = parts.put_in_parts(key, _Bytes(b"first"), replaces=None, meta={})
        self._must_refuse(COMPLETE_CREATE, lambda: parts.put_in_parts(key, _Bytes(b"second"), replaces=None, meta={}))
        parts.put_in_parts(key, _Bytes(b"third"), replaces=self._version(key), meta={})
        self._must_refuse(
            COMPLETE_UPDATE, lambda: parts.put_in_parts(key, _Bytes(b"fourth"), replaces=old.version, meta={})
        )

    def _sessions(self) -> None:
        if not any(isinstance(layer, JudgesAtBegin) and layer.judges_at_begin for layer in layers(self._bucket)):
            return
        key, late = self._key("session"), _Bytes(b"late")
        session = self._bucket.begin(key, late.size, replaces=None, meta={})
        old = self._bucket.put(key, _Bytes(b"first"), replaces=None, meta={})
        self._must_refuse(COMPLETE_CREATE, lambda: self._bucket.put(key, late, replaces=None, meta={}, session=session))
        self._bucket.abandon(key, session)
        if self._version(key) != old.version:
            return  # found out already
        later = self._bucket.begin(key, late.size, replaces=old.version, meta={})
        self._bucket.put(key, _Bytes(b"second"), replaces=old.version, meta={})
        self._must_refuse(
            COMPLETE_UPDATE, lambda: self._bucket.put(key, late, replaces=old.version, meta={}, session=later)
        )
        self._bucket.abandon(key, later)

    def _part_copies(self) -> None:
        copies = next((layer for layer in layers(self._bucket) if isinstance(layer, CopiesInParts)), None)
        if copies is None:
            return
        source = self._key("part-from")
        old = self._bucket.put(source, _Bytes(b"from, old"), replaces=None, meta={})
        self._bucket.put(source, _Bytes(b"from, new"), replaces=old.version, meta={})

        def copy(name: str, source_version: Version) -> None:
            copies.copy_in_parts(source, self._key(name), source_version=source_version, replaces=None, meta={})

        try:
            copy("part-copied", self._version(source))
        except Unsupported:
            return  # it cannot, and says so: what is too large for one request is sent
        self._must_refuse(PART_COPY_FROM, lambda: copy("part-stale", old.version))

    def _deletes(self) -> None:
        key = self._key("delete")
        old = self._bucket.put(key, _Bytes(b"first"), replaces=None, meta={})
        fresh = self._bucket.put(key, _Bytes(b"second"), replaces=old.version, meta={})
        if self._must_refuse(DELETE, lambda: self._bucket.delete(key, replaces=old.version)):
            self._bucket.delete(key, replaces=fresh.version)
            if self._bucket.head(key) is not None:
                raise Blocked(f"{self._bucket.url} keeps what was deleted", code="not-supported")

    def _clean(self) -> None:
        for name in tuple(self._names):
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
        if text not in self._ignored:
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
        self._names[name] = None
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


def as_said(bucket: Bucket, ignored: Sequence[str]) -> tuple[str, ...]:
    """Texts of `ALL` in the words of the bucket's own store."""
    named = next((layer.condition_names for layer in layers(bucket) if isinstance(layer, NamesConditions)), {})
    return tuple(named.get(text, text) for text in ignored)


def layers(bucket: Bucket) -> Iterator[object]:
    """A bucket and those it wraps, from the outside."""
    layer: object = bucket
    yield layer
    while isinstance(layer, Wraps):
        layer = layer.bucket
        yield layer


def _consequence(text: str) -> str:
    if text in COPIES:
        return ": nothing is copied inside the store"
    return ": safe only while no other machine writes there"
