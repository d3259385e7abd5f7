"""A conversion from path to path: the target appears whole under its name, or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from dorkyd.core.conversion import Conversion, Converted
from dorkyd.durable import fsync
from dorkyd.errors import DiskFull, Refused
from dorkyd.tables.converting.run import convert


def convert_file(asked: Conversion, source: str, target: str, rejects: str, *, force: bool) -> Converted:
    """As `run.convert`. `rejects` is written only where there are any, for its owner's eyes. `force` replaces what is there.
    `Refused` (`exists`, `changed`, `no-such-file`), `DiskFull`.
    """
    for place in (target, rejects):
        if os.path.isdir(place) or (not force and os.path.lexists(place)):
            raise _taken(place)
        if os.path.exists(place) and os.path.exists(source) and os.path.samefile(place, source):
            raise Refused(f"{place} is the file that is read", code="exists", hint="name another file to write")
    if os.path.realpath(target) == os.path.realpath(rejects):
        raise Refused(f"{target} cannot hold the rejects as well", code="exists", hint="name another file for them")
    try:
        with (
            open(source, "rb") as given,
            _beside(target, 0o666) as (table, new),
            _beside(rejects, 0o600) as (listed, list_),
        ):
            before = os.fstat(given.fileno())
            told = convert(asked, given, table, listed)
            after = os.fstat(given.fileno())
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise Refused(f"{source} changed while it was read", code="changed", hint="try again")
            if told.rejects:
                _keep(listed, list_, rejects, force=force)
            _keep(table, new, target, force=force)
    except OSError as exc:
        if exc.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFull(f"there is no space left for {target}", hint="make room, and try again") from exc
        name = exc.filename if isinstance(exc.filename, str) else source
        raise Refused(f"{name}: {exc.strerror}", code="no-such-file", hint="check the path and its rights") from exc
    return told


@contextmanager
def _beside(place: str, mode: int) -> Iterator[tuple[IO[bytes], str]]:
    """A file to be written beside its place, which goes unless it is kept. Partial downloads are never synced: its name is
    one.
    """
    folder, name = os.path.split(place)
    path = os.path.join(folder, f".{name[:100]}.{secrets.token_hex(4)}.part")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "w+b") as file:
            yield file, path
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _keep(file: IO[bytes], path: str, place: str, *, force: bool) -> None:
    """Give it its name. What came there meanwhile is not replaced."""
    file.flush()
    if force:
        if os.path.lexists(place):
            fsync(file.fileno())  # a power cut leaves the one or the other; a new one can be made again
        os.replace(path, place)
        return
    try:
        os.link(path, place)
    except FileExistsError as exc:
        raise _taken(place) from exc
    except OSError:
        # A file system without links, such as FAT.
        if os.path.lexists(place):
            raise _taken(place) from None
        os.replace(path, place)


def _taken(place: str) -> Refused:
    if os.path.isdir(place):
        return Refused(f"{place} is a folder", code="exists", hint="name the file to write")
    return Refused(f"{place} is there already", code="exists", hint="--force replaces it")
