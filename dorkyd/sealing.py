"""A bucket whose objects are encrypted where they must be: plain bytes above, stored bytes below.

The one seam. Whoever reads and writes objects through it (transfers, clients of the API, the bucket's trash, snapshots)
inherits the class without knowing of it:

- An upload is encrypted when a pattern covers its key, or when its metadata say that what it replaces was (`dorky-key`,
  which goes with the bytes, `metadata.HOW_STORED`). Without the key that is `Blocked`, never a plain upload.
- What is read is decrypted by what the object says of itself, and verified (`dorkyd.codecs`) before it ends.
- A copy inside the store keeps its bytes, so it keeps its class, and no key is needed.
- What lies under `.dorky/` is ours and plain, but for `.dorky/trash/` and `.dorky/objects/`, which hold copies of objects.

Sizes and digests that the store tells are those of stored bytes. `ObjectInfo.stored_otherwise` says so.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from dorkyd import codecs
from dorkyd.buckets.wrapped import Wrapped
from dorkyd.codecs import ZSTD, Coding
from dorkyd.core import metadata
from dorkyd.core.ignore import Patterns
from dorkyd.core.model import Digest, Path, Version
from dorkyd.core.sealing import outward
from dorkyd.errors import Blocked, DiskFull, DorkyError, SessionGone, Stale
from dorkyd.keyring import Keyring
from dorkyd.ports import Body, Bucket, Chunk, Clock, Folder, ObjectInfo, Reading, Session, Written

SEALED = "sealed-"
"""How the staged names of ciphertext begin. Nothing that comes out of a folder ever has such a name, so that what has one is
ours to remove.
"""
_DOTS = 3
"""In such a name (`Sealing._name`)."""
IN_MEMORY_BYTES = 1024 * 1024
"""A body up to this size is encrypted in memory."""
_OURS, _NAMED = ".dorky/", ".dorky/objects/"
_COPIES = (".dorky/trash/", _NAMED)


@dataclass(frozen=True, slots=True)
class _Small:
    """Stored bytes in memory."""

    data: bytes
    digest: Digest

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)

    def open(self) -> BinaryIO:
        """From the first byte."""
        return io.BytesIO(self.data)


@dataclass(frozen=True, slots=True)
class _Staged:
    """Stored bytes in staging."""

    folder: Folder
    name: str
    size: int
    digest: Digest

    def open(self) -> BinaryIO:
        """From the first byte. `Stale` when it is gone."""
        return self.folder.open_staged(self.name)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A download that is decoded as it comes."""

    reading: Reading
    info: ObjectInfo
    coding: Coding
    skip: int
    """Plain bytes that are not wanted."""
    stop: int | None = None
    """Where those that are wanted end, as an offset of all of them; None: with the last."""
    _proved: list[Digest] = field(default_factory=list)

    @property
    def proved(self) -> Digest | None:
        """As `Proving`."""
        return self._proved[-1] if self._proved and not self.skip and self.stop is None else None

    def __iter__(self) -> Iterator[Chunk]:
        at, left = 0, self.skip
        sealed = metadata.sealed_word(self.info.meta)
        for piece in codecs.opened(self.reading, self.reading.info.size, self.coding, sealed, self._proved.append):
            at += len(piece)
            # What is not wanted is decoded all the same: only the end tells whether it is to be trusted.
            unwanted = 0 if self.stop is None else max(0, at - self.stop)
            if left >= len(piece) or unwanted >= len(piece):
                left = max(0, left - len(piece))
                continue
            yield piece[left : len(piece) - unwanted]
            left = 0


@dataclass(frozen=True, slots=True)
class _Unsealed:
    """A download of what is to be encrypted and by its metadata is not, as another tool may have stored it. Where it is
    ciphertext all the same, a copy of the bucket lost what says so: taken for content it would replace everybody's secret.
    """

    reading: Reading

    @property
    def info(self) -> ObjectInfo:
        """Of the object."""
        return self.reading.info

    def __iter__(self) -> Iterator[Chunk]:
        head: Chunk | None = b""
        for chunk in self.reading:
            if head is not None:
                head = bytes(head) + bytes(chunk) if head else chunk
                if len(head) < len(codecs.AGE) and codecs.AGE.startswith(bytes(head)):
                    continue
                if bytes(head[: len(codecs.AGE)]) == codecs.AGE:
                    raise codecs.stripped()
                chunk, head = head, None  # noqa: PLW2901
            yield chunk
        if head:
            yield head


class Sealing(Wrapped):
    """See the module. From any thread. What one of the layers below is asked for past us is ciphertext, until `decoding` had
    it; `read`, for what is ours under `.dorky/`, is plain.
    """

    def __init__(
        self, inner: Bucket, keyring: Keyring, folder: Folder, clock: Clock, compress: tuple[str, ...] = ()
    ) -> None:
        super().__init__(inner)
        self._keyring = keyring
        self._folder = folder
        self._clock = clock
        self._compress = Patterns(compress)

    def blinded(self, digest: Digest) -> Digest:
        """As `Keyring.blinded`."""
        return self._keyring.blinded(digest)

    # --- reading ------------------------------------------------------------------------------------------------

    def head(self, key: str) -> ObjectInfo | None:
        """As the port says."""
        info = self._bucket.head(key)
        return None if info is None else _shown(info)

    @contextmanager
    def get(
        self, key: str, *, if_match: Version | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[Reading]:
        """As the port says. `Blocked` (`no-key`); `Integrity` (`tampered`) at the end of what is not to be trusted."""
        with ExitStack() as stack:
            try:
                reading = stack.enter_context(self._bucket.get(key, if_match=if_match, start=start, stop=stop))
            except Stale:
                # Packed, it may have fewer bytes than that.
                info = _shown(found) if start and (found := self._bucket.head(key)) is not None else None
                if info is None or not info.stored_otherwise or info.version != (if_match or info.version):
                    raise
                reading = stack.enter_context(self._bucket.get(key, if_match=info.version))
                yield _Opened(reading, _shown(reading.info), self._coding_of(info.meta), start, stop)
                return
            info = _shown(reading.info)
            if not info.stored_otherwise:
                secret = start == 0 and not key.startswith(_OURS) and self._keyring.covers(Path(key))
                yield _Unsealed(reading) if secret else reading
                return
            coding = self._coding_of(info.meta)
            if start or stop is not None:
                # Only from the beginning can it be decoded, and only its end tells whether it is to be trusted.
                stack.close()
                reading = stack.enter_context(self._bucket.get(key, if_match=info.version, start=0))
            yield _Opened(reading, info, coding, start, stop)

    @contextmanager
    def decoding(self, opening: AbstractContextManager[Reading]) -> Iterator[Reading]:
        """What a layer below opens from its beginning, as `get` shows it."""
        with opening as reading:
            info = _shown(reading.info)
            yield _Opened(reading, info, self._coding_of(info.meta), 0) if info.stored_otherwise else reading

    def _coding_of(self, meta: Mapping[str, str]) -> Coding:
        epoch = meta.get(metadata.EPOCH)
        key = self._keyring.reading(epoch) if epoch is not None and metadata.is_epoch(epoch) else None
        packed = metadata.CODEC if key is not None else metadata.ENCODING
        return Coding(key, meta.get(packed) == ZSTD)

    # --- writing ------------------------------------------------------------------------------------------------

    def put(
        self,
        key: str,
        body: Body,
        *,
        replaces: Version | None,
        meta: Mapping[str, str],
        session: Session | None = None,
    ) -> Written:
        """As the port says. `Blocked` (`no-key` and others) for what must be encrypted and cannot be."""
        if session is not None:
            return self._go_on(key, body, replaces, meta, session)
        coding = self._coding_for(key, meta)
        if coding.plain:
            return self._bucket.put(key, body, replaces=replaces, meta=_bare(meta))
        name = self._name(meta, coding, body.size)
        try:
            stored = self._encoded(body, coding, name)
            if coding.key is not None and self._keyring.writing().id != coding.key.id:
                raise Stale(f"{key}: somebody left the team while it was encrypted")
            told = _told(meta, coding, body.size)
            if key.startswith(_NAMED) and metadata.sealed_word(told) != metadata.sealed_word(meta):
                raise Stale(f"{key}: a new epoch began, in which the content has another name")
            written = self._bucket.put(key, stored, replaces=replaces, meta=told)
        finally:
            self._folder.unstage(name)
        return replace(written, sealed=metadata.sealed_word(told))

    def stored_size(self, key: str, body: Body, meta: Mapping[str, str]) -> int:
        """Make ready what `begin` will announce the size of, and `put` with its session sends, after a restart too. Bytes."""
        coding = self._coding_for(key, meta)
        if coding.plain:
            return body.size
        for name in self._kept(meta):
            self._folder.unstage(name)
        name = self._name(meta, coding, body.size)
        stored = self._encoded(body, coding, name, keep=True)
        # Durable, since the session will be: other bytes would not be what it holds a part of.
        try:
            self._folder.seal(name, mode=0o600, mtime_ns=None)
        except DorkyError:
            self._folder.unstage(name)
            raise
        return stored.size

    def begin(self, key: str, size: int, *, replaces: Version | None, meta: Mapping[str, str]) -> Session:
        """As the port says, with the size that `stored_size` told."""
        kept = self._coding_kept(meta)
        told = _bare(meta) if kept is None else _told(meta, *kept)
        try:
            return self._bucket.begin(key, size, replaces=replaces, meta=told)
        except DorkyError:
            # Whatever the store made of it: what is begun next has an op and a ciphertext of its own.
            self.forget(meta.get(metadata.OP, ""))
            raise

    def forget(self, op: str) -> None:
        """An upload that was made ready is wanted no more."""
        for name in self._kept({metadata.OP: op}):
            self._folder.unstage(name)

    def _go_on(
        self, key: str, body: Body, replaces: Version | None, meta: Mapping[str, str], session: Session
    ) -> Written:
        kept = self._coding_kept(meta)
        if kept is None:
            if not self._coding_for(key, meta).plain:
                self._bucket.abandon(key, session)
                raise SessionGone(f"{key}: what its upload was begun with is gone")
            return self._bucket.put(key, body, replaces=replaces, meta=_bare(meta), session=session)
        coding, plain_size = kept
        if coding.key is None and self._coding_for(key, meta).key is not None:
            self._bucket.abandon(key, session)
            self.forget(meta.get(metadata.OP, ""))
            raise SessionGone(f"{key}: it is to be encrypted since its upload began")
        if coding.key is not None and self._keyring.writing().id != coding.key.id:
            self._bucket.abandon(key, session)
            self.forget(meta.get(metadata.OP, ""))
            raise SessionGone(f"{key}: somebody left the team since its upload began")
        name = self._kept(meta)[0]
        size, digest = self._folder.staged_size(name), self._folder.staged_digest(name)
        if size is None or digest is None:
            raise SessionGone(f"{key}: what its upload was begun with is gone")
        told = _told(meta, coding, plain_size)
        stored = _Staged(self._folder, name, size, digest)
        try:
            written = self._bucket.put(key, stored, replaces=replaces, meta=told, session=session)
        except SessionGone:
            # Nothing goes on from here: what is begun next has a ciphertext of its own.
            self.forget(meta.get(metadata.OP, ""))
            raise
        self._folder.unstage(name)
        return replace(written, sealed=metadata.sealed_word(told))

    def copy(
        self,
        source: str,
        key: str,
        *,
        source_version: Version,
        replaces: Version | None,
        meta: Mapping[str, str] | None,
    ) -> Written:
        """As the port says. Metadata that take the place of the source's must carry on how its bytes are stored."""
        if meta is not None and source != key:
            # A teammate's settings may have packed what a commit keeps or a push brings, whatever ours say.
            of_commits = source.startswith(_COPIES) or key.startswith(_COPIES)
            if of_commits or (self._keyring.in_use and metadata.sealed_word(meta) is None):
                meta = self._carried(source, key, meta)
        if meta is not None and metadata.sealed_word(meta) is not None:
            meta = {name: value for name, value in meta.items() if name != metadata.SHA256}
        written = self._bucket.copy(source, key, source_version=source_version, replaces=replaces, meta=meta)
        return written if meta is None else replace(written, sealed=metadata.sealed_word(meta))

    def _carried(self, source: str, key: str, meta: Mapping[str, str]) -> Mapping[str, str]:
        """Whoever copies without knowing how the bytes are stored neither makes plain of what is encrypted, nor tells its
        digest, nor lets what is packed pass for what it holds. `Blocked` (`must-be-encrypted`) for a copy that would be
        plain where it may not.
        """
        info = self._bucket.head(source)
        how = metadata.how_stored(info.meta) if info is not None else {}
        word, wanted = metadata.sealed_word(how), metadata.sealed_word(meta)
        if wanted is not None and word != wanted:
            raise Stale(f"{source}: it is not the encrypted content that it was")
        if word is not None:
            return {**meta, **how}
        if not key.startswith(_OURS) and self._keyring.covers(Path(key)):
            raise Blocked(
                f"{key}: it is to be encrypted, and a copy of {source} would not be",
                code="must-be-encrypted",
                hint="save the file in the folder, so that it is sent anew",
            )
        return {**meta, **how}

    # --- inside -------------------------------------------------------------------------------------------------

    def _coding_for(self, key: str, meta: Mapping[str, str]) -> Coding:
        """How an object with this key is to be stored."""
        if key.startswith(_OURS) and not key.startswith(_COPIES):
            return Coding()
        path = Path(key)
        packed = self._compress.picks(path)
        sealed = metadata.EPOCH in meta or self._keyring.covers(path)
        return Coding(self._keyring.writing() if sealed else None, packed)

    def _encoded(self, body: Body, coding: Coding, name: str, *, keep: bool = False) -> _Small | _Staged:
        """The stored form of a body. `Stale` when it is no longer what was observed."""
        if body.size <= IN_MEMORY_BYTES and not keep:
            out = io.BytesIO()
            with body.open() as plain:
                stored = codecs.store(plain, out, coding, body.digest)
            return _Small(out.getvalue(), stored.digest)
        try:
            with body.open() as plain, self._folder.stage(name) as staged:
                stored = codecs.store(plain, staged, coding, body.digest)
        except BaseException as exc:
            with suppress(Stale):
                self._folder.unstage(name)
            if isinstance(exc, DiskFull):
                what = f"no space left on the folder's disk to encrypt {body.size} bytes"
                raise DiskFull(what, hint=exc.hint) from exc
            raise
        return _Staged(self._folder, name, stored.size, stored.digest)

    def _name(self, meta: Mapping[str, str], coding: Coding, size: int) -> str:
        """A staged name that tells whose it is, and how it is coded: nothing else needs to remember that."""
        op = meta.get(metadata.OP) or self._clock.random_id()
        epoch = coding.key.id if coding.key is not None else ""
        return f"{SEALED}{op}.{epoch}.{ZSTD if coding.zstd else ''}.{size}"

    def _kept(self, meta: Mapping[str, str]) -> Sequence[str]:
        op = meta.get(metadata.OP)
        ours = [name for name in self._folder.staged() if op is not None and name.startswith(f"{SEALED}{op}.")]
        return [name for name in ours if name.count(".") == _DOTS]

    def _coding_kept(self, meta: Mapping[str, str]) -> tuple[Coding, int] | None:
        """How what `stored_size` made ready is coded, and its plain size; None: nothing is."""
        for name in self._kept(meta):
            _, epoch, packed, size = name.split(".")
            return Coding(self._keyring.reading(epoch) if epoch else None, packed == ZSTD), int(size)
        return None


def op_of(name: str) -> str | None:
    """The op of a staged name that `Sealing` made; None: it is another's."""
    return name.removeprefix(SEALED).partition(".")[0] if name.startswith(SEALED) else None


def _shown(info: ObjectInfo) -> ObjectInfo:
    """A sealed object's own word of its plain digest is nobody's of ours."""
    if metadata.sealed_word(info.meta) is not None:
        meta = {name: value for name, value in info.meta.items() if name != metadata.SHA256}
        return replace(info, meta=meta, stored_otherwise=True)
    return replace(info, stored_otherwise=True) if info.meta.get(metadata.ENCODING) == ZSTD else info


def _bare(meta: Mapping[str, str]) -> dict[str, str]:
    """Of bytes that are stored as they are."""
    return {name: value for name, value in meta.items() if name not in metadata.HOW_STORED}


def _told(meta: Mapping[str, str], coding: Coding, size: int) -> dict[str, str]:
    """What the object will say of itself. `size`: of the plain bytes, which is nobody's business where they are encrypted."""
    told = _bare(meta)
    if coding.key is not None:
        told = outward(told, coding.key.content)
    if coding.zstd:
        told[metadata.CODEC if coding.key is not None else metadata.ENCODING] = ZSTD
    if coding.zstd and coding.key is None:
        told[metadata.SIZE] = str(size)
    return told
