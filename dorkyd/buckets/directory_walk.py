"""Listing a directory in the order of keys, reading only folders that can hold what is asked for.

In a listing a folder stands where its name with a slash stands, so `a.txt` comes before `a/b` and that before `a0`.
No sidecar is read, and only names that are asked for are stat-ed.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass

from dorkyd.buckets.directory_files import FileState, Root, folder
from dorkyd.buckets.directory_internals import INTERNALS
from dorkyd.ports import Listed

_READS = 3
_QUIET_S = 1.0


@dataclass(frozen=True, slots=True)
class Walk:
    """One listing. Bytes throughout: the order is that of UTF-8."""

    root: Root
    prefix: bytes
    start_after: bytes

    def items(self) -> Generator[Listed, None, None]:
        """Every key asked for, in order. A folder that cannot be read raises: all below it is unknown, not absent.

        A name that is not UTF-8 cannot be a key and is left out. A symlink or special file is told like an object,
        so that nobody takes it for a deletion; looking at it says what it is.
        """
        top = self.prefix.rpartition(b"/")[0]
        parts = top.split(b"/") if top else []
        if {b"", b".", b".."} & set(parts) or b"\0" in top or (top + b"/").startswith(INTERNALS + b"/"):
            return  # no key can have this prefix
        # Without such a folder no key has the prefix.
        with suppress(FileNotFoundError, NotADirectoryError):
            yield from self._below(parts)

    def _below(self, parts: list[bytes]) -> Iterator[Listed]:
        path = b"".join(part + b"/" for part in parts)
        with folder(self.root, parts) as fd:
            for sort_key, entry in self._wanted(fd, path):
                if sort_key.endswith(b"/"):
                    # Removed since its name was read: at that moment it held no key.
                    with suppress(FileNotFoundError, NotADirectoryError):
                        yield from self._below([*parts, sort_key[len(path) : -1]])
                    continue
                with suppress(FileNotFoundError):
                    found = entry.stat(follow_symlinks=False)
                    if not stat.S_ISDIR(found.st_mode):
                        state = FileState.of(found)
                        yield Listed(sort_key.decode(), state.version, state.size, state.modified)

    def _wanted(self, fd: int, path: bytes) -> list[tuple[bytes, os.DirEntry[str]]]:
        """Entries that are, or can hold, what is asked for: in order, folders with a slash at the end."""
        wanted = []
        for entry in _entries(fd):
            key = path + os.fsencode(entry.name)
            below = key + b"/"
            # A folder's keys all begin with `below`; as a file it would be `key`, which sorts before that.
            if below <= self.start_after and not self.start_after.startswith(below):
                continue
            # The walk began in the prefix's own folder, so a folder here is asked for just as a file is.
            if not key.startswith(self.prefix) or key == INTERNALS or not _utf8(key):
                continue
            if entry.is_dir(follow_symlinks=False):
                wanted.append((below, entry))
            elif key > self.start_after:
                wanted.append((key, entry))
        return sorted(wanted, key=lambda pair: pair[0])


def _entries(fd: int) -> list[os.DirEntry[str]]:
    """Every entry of a folder.

    Some file systems (btrfs, tmpfs) give a name that is replaced a new position, behind where a read in progress
    ends, so that one read can miss a key that was there all along. A folder that changed just now is therefore read
    again; a key would have to be replaced during each read to be missed.
    """
    found: dict[str, os.DirEntry[str]] = {}
    for _ in range(_READS):
        before = os.fstat(fd).st_mtime
        with os.scandir(fd) as entries:
            found.update((entry.name, entry) for entry in entries)
        if os.fstat(fd).st_mtime == before and abs(time.time() - before) > _QUIET_S:
            break
    return list(found.values())


def _utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
