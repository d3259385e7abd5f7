"""A file is replaced only while it holds what was read of it: compare and swap on a name, by exchanging two.

For who edits a file of a person's outside staging (`dorkyctl env set`). The new file trades names with the one that stands
there, and only then what came out is compared with what was read: whatever somebody saved in between is put back. Killed
between the two, what came out stands beside the file, under a name that sync passes over and nobody removes.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dorkyd.renames import AtomicRenames, Place, Renames


def replaced(target: Path, data: bytes, seen: bytes | None, mode: int, renames: Renames | None = None) -> bool:
    """Put these bytes in the file's place, whole, durable, with these permission bits. `seen`: what it held; None: there was
    none. False: it holds something else by now, and stays. `OSError`; `BlockingIOError` when it was saved twice meanwhile, and
    says where the first of that is.
    """
    renames = renames or AtomicRenames()
    with _folder(target.parent) as fd:
        # Whatever is added to it, sync passes over a name that begins so: what stands there may be a secret.
        new, place = Place(fd, f".#{target.name}.{secrets.token_hex(8)}.part"), Place(fd, target.name)
        _write(new, data, mode)
        try:
            done = _placed(renames, new, place) if seen is None else _traded(renames, new, place, data, seen)
        except BlockingIOError:
            raise
        except BaseException:
            if _read(new) == data:
                _drop(new)
            raise
        os.fsync(fd)
        return done


def _placed(renames: Renames, new: Place, place: Place) -> bool:
    try:
        renames.place(new, place)
    except FileExistsError:
        _drop(new)
        return False
    return True


def _traded(renames: Renames, new: Place, place: Place, data: bytes, seen: bytes) -> bool:
    out = Place(new.fd, f"{new.name}.out")
    try:
        renames.exchange(new, place)
    except FileNotFoundError:
        _drop(new)
        return False
    except FileExistsError:
        # Where names cannot be exchanged: somebody took the place while it was free, and keeps it.
        _drop(new)
        if _read(out) != seen:
            raise BlockingIOError(f"what was saved meanwhile is in {out.name}") from None
        _drop(out)
        return False
    if _read(new) == seen:
        _drop(new)
        return True
    # It is somebody's work, and not what the new bytes were made of.
    renames.exchange(new, place)
    if _read(new) == data:
        _drop(new)
        return False
    # Saved once more since: that keeps the name, and what was saved before it is not for us to give up.
    renames.exchange(new, place)
    raise BlockingIOError(f"what was saved meanwhile is in {new.name}")


def _write(place: Place, data: bytes, mode: int) -> None:
    fd = os.open(
        place.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=place.fd
    )
    with os.fdopen(fd, "wb") as out:
        out.write(data)
        os.fchmod(fd, mode)
        out.flush()
        os.fsync(fd)


def _read(place: Place) -> bytes | None:
    """None: it is not there, or no file."""
    with suppress(OSError):
        fd = os.open(place.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=place.fd)
        with os.fdopen(fd, "rb") as reading:
            return reading.read()
    return None


def _drop(place: Place) -> None:
    with suppress(FileNotFoundError):
        os.unlink(place.name, dir_fd=place.fd)


@contextmanager
def _folder(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)
