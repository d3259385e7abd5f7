"""What goes up and where what comes down goes: hashed on the way, told to whoever wants to show progress."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from threading import RLock
from typing import BinaryIO, Protocol

from dorkyd.api.failures import BadBytes, BadRequest, Failed
from dorkyd.beside import Beside, Chunk
from dorkyd.pages import PageWriter

CHUNK_BYTES = 1024 * 1024
_REPR_DIGEST = re.compile(r"\bsha-256=:([A-Za-z0-9+/]{43}=):")


class Readable(Protocol):
    """A binary file, or what reads like one."""

    def read(self, size: int = -1, /) -> bytes:
        """At most so many bytes; empty at the end."""


class Writable(Protocol):
    """A binary file, or what is written like one."""

    def write(self, data: bytes, /) -> object:
        """All of it."""


Source = str | os.PathLike[str] | bytes | bytearray | memoryview | Readable
"""What can be uploaded: a path, bytes, or a binary file that is open."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one transfer is. Told from whichever thread moves the bytes."""

    name: str
    """As the caller named it."""
    moved: int
    """Bytes so far. May fall: a request that is sent again begins anew."""
    size: int | None
    """Bytes in all; None: not known before the end."""


Watching = Callable[[Progress], None]


@dataclass(slots=True)
class Counter:
    """Tells somebody how far it is."""

    name: str
    size: int | None
    watching: Watching | None
    moved: int = 0

    def at(self, moved: int) -> None:
        """So far it is now."""
        self.moved = moved
        if self.watching is not None:
            self.watching(Progress(self.name, moved, self.size))


# --- up ---------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Upload:
    """A body on its way up. `digest` is of the last time it was sent whole."""

    name: str
    """The base name it has here; empty: none."""
    size: int | None
    repeatable: bool
    digest: str | None = None
    watching: Watching | None = None
    label: str = ""
    """What progress calls it."""

    def chunks(self) -> Iterator[bytes]:
        """All of it."""
        hashing, counter = hashlib.sha256(), Counter(self.label or self.name, self.size, self.watching)
        counter.at(0)
        for chunk in self.pieces():
            hashing.update(chunk)
            yield chunk
            counter.at(counter.moved + len(chunk))
        # Once more before the end is told: whoever gave up meanwhile must not have half of a pipe stored as the whole.
        counter.at(counter.moved)
        self.digest = f"sha256:{hashing.hexdigest()}"

    def pieces(self) -> Iterator[bytes]:
        """The same, as it is read."""
        raise NotImplementedError


class BytesUpload(Upload):
    """Bytes that are here."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = memoryview(data).cast("B")
        super().__init__("", len(self._data), repeatable=True)

    def pieces(self) -> Iterator[bytes]:
        """In chunks."""
        for start in range(0, len(self._data), CHUNK_BYTES):
            yield bytes(self._data[start : start + CHUNK_BYTES])


class PathUpload(Upload):
    """A file by its path, opened when it is sent. `BadRequest` when it cannot be, or is a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._open() as file:
            size = os.fstat(file.fileno()).st_size
        super().__init__(path.name, size, repeatable=True, label=str(path))

    def pieces(self) -> Iterator[bytes]:
        """As it was in one instant, or `Failed` (`file-changed`): the last chunk is kept back until that is known."""
        with self._open() as file:
            before = _state(file.fileno())
            left = self.size or 0
            while left:
                try:
                    chunk = file.read(min(CHUNK_BYTES, left))
                except OSError as exc:
                    raise _unreadable(self._path, exc) from exc
                left -= len(chunk)
                if not chunk or (not left and _state(file.fileno()) != before):
                    break
                yield chunk
            if left or _state(file.fileno()) != before or before[0] != self.size:
                raise Failed(
                    f"{self._path} was changed while it was sent; nothing was stored.",
                    code="file-changed",
                    hint="Send it again when nobody writes to it.",
                )

    def _open(self) -> BinaryIO:
        try:
            return self._path.open("rb")
        except OSError as exc:
            raise _unreadable(self._path, exc) from exc


def _unreadable(path: Path, exc: OSError) -> BadRequest:
    return BadRequest(f"{path} cannot be read: {exc.strerror}", code="unreadable-file")


def _state(fd: int) -> tuple[int, int]:
    seen = os.fstat(fd)
    return seen.st_size, seen.st_mtime_ns


class FileUpload(Upload):
    """A binary file that is open, from where it stands. A pipe can be sent once."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self._start = _position(file)
        name = getattr(file, "name", "")
        base = os.path.basename(name) if isinstance(name, str) and not name.startswith("<") else ""
        super().__init__(base, self._length(), repeatable=self._start is not None)

    def pieces(self) -> Iterator[bytes]:
        """From where it stood at first."""
        if self._start is not None:
            self._file.seek(self._start)  # type: ignore[attr-defined]
        left = self.size
        while left is None or left > 0:
            chunk = self._file.read(CHUNK_BYTES if left is None else min(CHUNK_BYTES, left))
            if not isinstance(chunk, bytes):
                raise BadRequest(
                    "The file must be opened in binary mode.", code="text-file", hint='Use open(path, "rb").'
                )
            if not chunk:
                break
            left = None if left is None else left - len(chunk)
            yield chunk
        if left:
            raise Failed("The file became shorter while it was sent; nothing was stored.", code="file-changed")

    def _length(self) -> int | None:
        if self._start is None:
            return None
        end = int(self._file.seek(0, os.SEEK_END))  # type: ignore[attr-defined]
        self._file.seek(self._start)  # type: ignore[attr-defined]
        return max(0, end - self._start)


def _position(file: Readable) -> int | None:
    """None: it cannot go back."""
    try:
        return int(file.tell()) if file.seekable() else None  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return None


def upload_of(source: Source) -> Upload:
    """A source as a body."""
    if isinstance(source, str | os.PathLike):
        return PathUpload(Path(source))
    if isinstance(source, bytes | bytearray | memoryview):
        return BytesUpload(source)
    return FileUpload(source)


def media_type_of(name: str) -> str | None:
    """What a name's ending says of the content; None: nothing."""
    kind, coding = mimetypes.guess_type(name)
    return kind if coding is None else None


# --- down -------------------------------------------------------------------------------------------------------------


LARGE_BYTES = 8 * CHUNK_BYTES
"""What is left of a larger body is hashed, and written to a file of ours, on threads of their own."""


class Download:
    """A body on its way into `out`. It may come in several answers: 206 goes on, 200 begins anew.

    Close it before `out`: a thread may be at work that somebody who was cancelled does not wait for any more (the awaited
    client's), and must not write to whatever has its descriptor next.
    """

    def __init__(self, out: Writable, counter: Counter) -> None:
        self.out = out
        self.counter = counter
        self.tag: str | None = None
        """The entity tag of what comes."""
        self.digest: str | None = None
        """What the daemon says it is; None: nobody knows."""
        self.size: int | None = None
        """Bytes of the whole."""
        self._hash = hashlib.sha256()
        self._beside = ExitStack()
        """Ends the threads."""
        self._hashing: Callable[[Chunk], object] = self._hash.update
        self._turn = RLock()
        self._closed = False

    @property
    def moved(self) -> int:
        """Bytes so far."""
        return self.counter.moved

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """An answer: the rest, or all of it."""
        with self._turn:
            self._check_open()
            self.take(status, headers)

    def take(self, status: int, headers: Mapping[str, str]) -> None:
        """As `begin`."""
        self.finish()
        if status != 206 and self.moved:
            self.anew()
            self._hash = hashlib.sha256()
            self.counter.at(0)
        self.tag, self.digest = headers.get("ETag"), digest_of(headers)
        length = headers.get("Content-Length", "")
        left = int(length) if length.isdigit() else None
        self.size = self.counter.size = None if left is None else self.moved + left
        self._hashing = self._hash.update
        if left is not None and left >= LARGE_BYTES:
            self._hashing = self.beside(self._hash.update, "hashing")
        self.counter.at(self.moved)

    def write(self, data: Chunk) -> None:
        """Some of it."""
        with self._turn:
            self._check_open()
            self._hashing(data)
            with _written():
                self.put(data)
        self.counter.at(self.moved + len(data))

    def put(self, data: Chunk) -> None:
        """Write it. `OSError`."""
        self.out.write(bytes(data))

    def anew(self) -> None:
        """Forget what was written."""
        raise Failed("The artifact changed while it was fetched.", code="changed-meanwhile", hint="Fetch it again.")

    def beside(self, take: Callable[[Chunk], object], name: str) -> Callable[[Chunk], object]:
        """The same on a thread of its own, until `finish`."""
        worker = self._beside.enter_context(Beside(take, name))
        self._beside.callback(worker.end)
        return worker.update

    def finish(self) -> None:
        """What came is hashed and written. May be repeated."""
        with _written():
            self._beside.close()

    def close(self) -> None:
        """Whether it is whole or not, no thread works on it any more."""
        with self._turn, suppress(Failed):
            self._closed = True
            self.finish()

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError("the download was given up")

    def check(self) -> None:
        """`BadBytes` when what came is not what the daemon says it is."""
        self.finish()
        found = f"sha256:{self._hash.hexdigest()}"
        if (self.size is not None and self.size != self.moved) or (self.digest is not None and self.digest != found):
            told = f"{self.counter.name}: what arrived is not what the bucket holds."
            raise BadBytes(told, code="digest-mismatch", hint="Fetch it again; if it happens twice, look at the disk.")


class FileDownload(Download):
    """Into a file of ours, which can be emptied to begin anew."""

    def __init__(self, out: FileIO, counter: Counter) -> None:
        super().__init__(out, counter)
        self._file = out
        self._put: Callable[[Chunk], object] = PageWriter(out.fileno()).write

    def take(self, status: int, headers: Mapping[str, str]) -> None:
        """A large one is written beside its coming."""
        super().take(status, headers)
        self._put = PageWriter(self._file.fileno()).write
        if self.size is not None and self.size - self.moved >= LARGE_BYTES:
            self._put = self.beside(self._put, "writing")

    def put(self, data: Chunk) -> None:
        """Write it, or have it written."""
        self._put(data)

    def anew(self) -> None:
        """Empty the file."""
        with _written():
            self._file.seek(0)
            self._file.truncate()


@contextmanager
def _written() -> Iterator[None]:
    """Tells what a disk does apart from what the network does: it is not tried again."""
    try:
        yield
    except OSError as exc:
        raise Failed(f"It cannot be written here: {exc.strerror}", code="unwritable-file") from exc


def digest_of(headers: Mapping[str, str]) -> str | None:
    """`Repr-Digest` (RFC 9530) as digests are written here; None: it has none that is known."""
    found = _REPR_DIGEST.search(headers.get("Repr-Digest", ""))
    return None if found is None else f"sha256:{base64.b64decode(found[1]).hex()}"


def beside(dest: Path, bits: int | None = None) -> tuple[Path, FileIO]:
    """A new file beside `dest`, under a name that sync ignores. `Failed` when there can be none. `bits`: those it will have;
    nobody else reads it before. None: as any new file.
    """
    staged = dest.with_name(f".{dest.name[:100]}.{secrets.token_hex(6)}.part")
    try:
        fd = os.open(
            staged,
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC,
            0o666 if bits is None else 0o600,
        )
    except OSError as exc:
        raise Failed(f"{dest} cannot be written: {exc.strerror}", code="unwritable-file") from exc
    return staged, FileIO(fd, "wb")
