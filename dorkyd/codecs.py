"""The seam where plain bytes become stored bytes, and back: age encryption, and zstd before it where a pattern asks.

Streams in, streams out, at flat memory. Rules:

1. age gives out plaintext before it has met a truncation, and anyone who knows a public key can make a valid file. So what
   `opened` yields counts only once it has ended without an exception: it then was whole, and its keyed digest is the one
   that the object claims, which only somebody who holds the epoch's identity can have made.
2. The ciphertext of the same bytes differs every time. Who sends it in several requests keeps it until it is sent.
3. What is compressed is not unpacked without bound.
"""

from __future__ import annotations

import hashlib
import io
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

import pyrage
import zstandard

from dorkyd.core import metadata
from dorkyd.core.model import Digest
from dorkyd.errors import DorkyError, Integrity, Stale
from dorkyd.keys import EpochKey, recipient_of

CHUNK_BYTES = 256 * 1024
_HELD = 8
"""Chunks that wait between the two threads of a decryption."""
ZSTD = "zstd"
_LEVEL = 3
_WINDOW_BYTES = 64 * 1024 * 1024
_RATIO, _ROOM = 4000, 64 * 1024 * 1024
"""An object of so many bytes unpacks to at most this many times as many, and so many more."""
TAMPERED = "tampered"
AGE = b"age-encryption.org/v1\n"
"""How every ciphertext of ours begins (https://age-encryption.org/v1, *Header*)."""


@dataclass(frozen=True, slots=True)
class Coding:
    """How an object's bytes are stored."""

    key: EpochKey | None = None
    """Encrypted to this epoch; None: not encrypted."""
    zstd: bool = False
    """Compressed (before it is encrypted)."""

    @property
    def plain(self) -> bool:
        """As they are."""
        return self.key is None and not self.zstd


class _Hashing(io.RawIOBase):
    """Passes bytes on and hashes them."""

    def __init__(self, source: BinaryIO) -> None:
        super().__init__()
        self._source = source
        self.hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self.hash.update(data)
        return data

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(cast("bytearray", buffer))
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)


class _Out(io.RawIOBase):
    """Writes to a stream, counts and hashes."""

    def __init__(self, out: BinaryIO) -> None:
        super().__init__()
        self._out = out
        self.hash = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        piece = memoryview(cast("bytes", data))
        self._out.write(piece)
        self.hash.update(piece)
        self.size += len(piece)
        return len(piece)


@dataclass(frozen=True, slots=True)
class Stored:
    """What was written."""

    size: int
    """Bytes."""
    digest: Digest
    """SHA-256 of the stored bytes, for the store to check."""


def store(plain: BinaryIO, out: BinaryIO, coding: Coding, expected: Digest) -> Stored:
    """Write the stored form of a stream. `Stale` when its bytes are not `expected`: what was written is of no use then."""
    source, sink = _Hashing(plain), _Out(out)
    stream: BinaryIO = cast("BinaryIO", source)
    if coding.zstd:
        stream = zstandard.ZstdCompressor(level=_LEVEL).stream_reader(stream)
    if coding.key is not None:
        failed: list[BaseException] = []
        try:
            pyrage.encrypt_io(_Kept(stream, failed), sink, [recipient_of(coding.key.recipient)])
        except Exception:
            if failed:
                raise failed[0] from None
            raise
    else:
        while piece := stream.read(CHUNK_BYTES):
            sink.write(piece)
    if metadata.sha256(source.hash.hexdigest()) != expected:
        raise Stale("the file changed while it was encrypted")
    return Stored(sink.size, metadata.sha256(sink.hash.hexdigest()))


def opened(
    stored: Iterable[bytes | memoryview],
    size: int,
    coding: Coding,
    sealed: str | None,
    told: Callable[[Digest], None] = lambda _digest: None,
) -> Iterator[bytes]:
    """The plain bytes of an object of `size` stored bytes. `sealed`: as `Remote.sealed`, what they must turn out to be. `told`
    is called with their digest when they ended well.

    `Integrity` (`tampered`) at the end, or before, when they are not: nothing yielded so far may be used. What the source
    raises comes through.
    """
    pieces: Iterator[bytes] = (bytes(piece) for piece in stored)
    if coding.key is not None:
        pieces = _decrypted(pieces, coding.key)
    if coding.zstd:
        pieces = _unpacked(pieces, size * _RATIO + _ROOM)
    seen = hashlib.sha256()
    for piece in pieces:
        seen.update(piece)
        yield piece
    digest = metadata.sha256(seen.hexdigest())
    if coding.key is not None and coding.key.content.word(digest) != sealed:
        raise _tampered("its bytes are not what it claims to hold")
    told(digest)


def stripped() -> Integrity:
    """For ciphertext whose metadata say nothing of that."""
    return Integrity(
        "the object is encrypted, and its metadata, which say how, are gone: some tool copied it without them",
        code=TAMPERED,
        hint="copy it again with a tool that keeps metadata, or put the file again: dorkyctl put FILE NAME:PATH",
    )


def _tampered(why: str) -> Integrity:
    return Integrity(
        f"the encrypted object cannot be trusted: {why}",
        code=TAMPERED,
        hint="somebody without the project's key changed it; restore an earlier version, or put the file again",
    )


def _unpacked(pieces: Iterator[bytes], most: int) -> Iterator[bytes]:
    unpacker = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
    stream = unpacker.stream_reader(cast("BinaryIO", _Pulled(pieces)), read_across_frames=True)
    total = 0
    try:
        while piece := stream.read(CHUNK_BYTES):
            total += len(piece)
            if total > most:
                raise Integrity("the object unpacks to far more than it can hold", code=TAMPERED)
            yield piece
    except zstandard.ZstdError as exc:
        raise Integrity("the object cannot be unpacked", code=TAMPERED) from exc


class _Pulled(io.RawIOBase):
    """An iterator of pieces as a stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = memoryview(piece)
        if size < 0:
            size = len(self._rest)
        taken, self._rest = bytes(self._rest[:size]), self._rest[size:]
        return taken

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(cast("bytearray", buffer))
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)


class _Kept(io.RawIOBase):
    """A stream whose failure is kept: age tells of it in words of its own."""

    def __init__(self, source: BinaryIO, failed: list[BaseException]) -> None:
        super().__init__()
        self._source = source
        self._failed = failed

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        try:
            return self._source.read(size)
        except BaseException as exc:
            self._failed.append(exc)
            raise OSError("the source failed") from exc

    def readinto(self, buffer: object, /) -> int:
        view = memoryview(cast("bytearray", buffer))
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)


class _Handed(io.RawIOBase):
    """Hands what is written to another thread, which may have left."""

    def __init__(self, line: queue.Queue[bytes | None], left: threading.Event) -> None:
        super().__init__()
        self._line, self._left = line, left

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        piece = bytes(cast("bytes", data))
        while not self._left.is_set():
            try:
                self._line.put(piece, timeout=0.2)
            except queue.Full:
                continue
            return len(piece)
        raise OSError("nobody reads any more")


def _decrypted(pieces: Iterator[bytes], key: EpochKey) -> Iterator[bytes]:
    """age pushes plaintext, a download is pulled: age has a thread of its own, which ends with the iterator."""
    line: queue.Queue[bytes | None] = queue.Queue(_HELD)
    left = threading.Event()
    failed: list[BaseException] = []
    wrong: list[BaseException] = []

    def work() -> None:
        source = _Kept(cast("BinaryIO", _Pulled(pieces)), failed)
        sink = io.BufferedWriter(_Handed(line, left), CHUNK_BYTES)
        try:
            pyrage.decrypt_io(source, sink, [key.identity])
            sink.flush()
        except BaseException as exc:  # raised where the bytes are read
            wrong.append(exc)
        finally:
            while not left.is_set():
                try:
                    line.put(None, timeout=0.2)
                    break
                except queue.Full:
                    continue

    thread = threading.Thread(target=work, name="age", daemon=True)
    thread.start()
    try:
        while (piece := line.get()) is not None:
            yield piece
    finally:
        left.set()
        thread.join()
    if failed:
        raise failed[0]
    if wrong:
        if isinstance(wrong[0], DorkyError):
            raise wrong[0]
        raise _tampered("age refuses it") from wrong[0]
