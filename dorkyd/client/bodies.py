"""What goes up and where what comes down goes: hashed on the way, told to whoever wants to show progress."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from dorkyd.api.failures import BadBytes, BadRequest, Failed

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


@dataclass(slots=True)
class Download:
    """A body on its way into `out`. It may come in several answers: 206 goes on, 200 begins anew."""

    out: Writable
    counter: Counter
    again: bool
    """`out` is a file of ours that can be emptied, so that it may begin anew."""
    tag: str | None = None
    """The entity tag of what comes."""
    digest: str | None = None
    """What the daemon says it is; None: nobody knows."""
    size: int | None = None
    """Bytes of the whole."""
    _hashing: hashlib._Hash = field(default_factory=hashlib.sha256)

    @property
    def moved(self) -> int:
        """Bytes so far."""
        return self.counter.moved

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """An answer: the rest, or all of it."""
        if status != 206 and self.moved:
            if not self.again:
                told = "The artifact changed while it was fetched."
                raise Failed(told, code="changed-meanwhile", hint="Fetch it again.")
            self.out.seek(0)  # type: ignore[attr-defined]
            self.out.truncate()  # type: ignore[attr-defined]
            self._hashing = hashlib.sha256()
            self.counter.at(0)
        self.tag, self.digest = headers.get("ETag"), digest_of(headers)
        length = headers.get("Content-Length", "")
        self.size = self.counter.size = self.moved + int(length) if length.isdigit() else None
        self.counter.at(self.moved)

    def write(self, data: bytes) -> None:
        """Some of it."""
        try:
            self.out.write(data)
        except OSError as exc:
            # Told apart from what the network does: this is not tried again.
            raise Failed(f"It cannot be written here: {exc.strerror}", code="unwritable-file") from exc
        self._hashing.update(data)
        self.counter.at(self.moved + len(data))

    def check(self) -> None:
        """`BadBytes` when what came is not what the daemon says it is."""
        found = f"sha256:{self._hashing.hexdigest()}"
        if (self.size is not None and self.size != self.moved) or (self.digest is not None and self.digest != found):
            told = f"{self.counter.name}: what arrived is not what the bucket holds."
            raise BadBytes(told, code="digest-mismatch", hint="Fetch it again; if it happens twice, look at the disk.")


def digest_of(headers: Mapping[str, str]) -> str | None:
    """`Repr-Digest` (RFC 9530) as digests are written here; None: it has none that is known."""
    found = _REPR_DIGEST.search(headers.get("Repr-Digest", ""))
    return None if found is None else f"sha256:{base64.b64decode(found[1]).hex()}"


def beside(dest: Path) -> tuple[Path, BinaryIO]:
    """A new file beside `dest`, under a name that sync ignores. `Failed` when there can be none."""
    staged = dest.with_name(f".{dest.name[:100]}.{secrets.token_hex(6)}.part")
    try:
        fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as exc:
        raise Failed(f"{dest} cannot be written: {exc.strerror}", code="unwritable-file") from exc
    return staged, os.fdopen(fd, "wb")
