"""Renames that never overwrite.

Between looking at a name and renaming to it another program may put a file there, and rename(2) would destroy it.
Linux (`renameat2`) and macOS (`renameatx_np`) can refuse, or exchange two names, in the same step: `AtomicRenames`.
Where the file system cannot (NFS, FAT, some FUSE), `StepwiseRenames` reaches the same end in steps chosen so that a
crash or a race between any two leaves every byte under some name: in its place, or in staging.

Staging is a folder that only we write to, so a name checked there stays free; the other folders are everybody's.
Both classes raise `OSError`: `FileExistsError` when the name is taken, and then nothing was moved.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from dataclasses import dataclass
from functools import cache
from typing import Protocol

_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
_NO_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK})


@dataclass(frozen=True, slots=True)
class Place:
    """A name in an open folder."""

    fd: int
    name: str


class Renames(Protocol):
    """What `LocalFolder` asks of the file system."""

    def place(self, staged: Place, to: Place) -> None:
        """Move a staged file to a free name."""

    def withdraw(self, file: Place, staged: Place) -> None:
        """Move what stands at `file` to a free name in staging."""

    def exchange(self, staged: Place, file: Place) -> None:
        """Let the two trade names. `FileNotFoundError` when either is missing."""

    def move(self, file: Place, to: Place, staged: Place) -> None:
        """Move a file to a free name; `staged` is a free name in staging for the way."""


class AtomicRenames:
    """One system call each; where the file system refuses it, `StepwiseRenames`."""

    def __init__(self) -> None:
        self._stepwise = StepwiseRenames()

    def place(self, staged: Place, to: Place) -> None:
        """As the protocol says."""
        if not _call(staged, to, exchange=False):
            self._stepwise.place(staged, to)

    def withdraw(self, file: Place, staged: Place) -> None:
        """As the protocol says."""
        if not _call(file, staged, exchange=False):
            self._stepwise.withdraw(file, staged)

    def exchange(self, staged: Place, file: Place) -> None:
        """As the protocol says."""
        if not _call(staged, file, exchange=True):
            self._stepwise.exchange(staged, file)

    def move(self, file: Place, to: Place, staged: Place) -> None:
        """As the protocol says."""
        if not _call(file, to, exchange=False):
            self._stepwise.move(file, to, staged)


class StepwiseRenames:
    """Steps that any POSIX file system has."""

    def place(self, staged: Place, to: Place) -> None:
        """Link, which refuses a taken name, then drop the staged name. A crash between leaves the file under both."""
        try:
            self._link(staged, to)
        except OSError as exc:
            if exc.errno not in _NO_LINKS:
                raise
            # FAT has no links. This last look and the rename are two steps: the one window that cannot be closed.
            _refuse_taken(to)
            os.rename(staged.name, to.name, src_dir_fd=staged.fd, dst_dir_fd=to.fd)
        else:
            os.unlink(staged.name, dir_fd=staged.fd)

    def _link(self, staged: Place, to: Place) -> None:
        os.link(staged.name, to.name, src_dir_fd=staged.fd, dst_dir_fd=to.fd, follow_symlinks=False)

    def withdraw(self, file: Place, staged: Place) -> None:
        """A plain rename: the name in staging stays free. Link and unlink would unlink what replaced it meanwhile."""
        _refuse_taken(staged)
        os.rename(file.name, staged.name, src_dir_fd=file.fd, dst_dir_fd=staged.fd)

    def exchange(self, staged: Place, file: Place) -> None:
        """Withdraw the file to `<staged>.out`, place the staged one, give the withdrawn one the staged name.

        A crash between leaves the place empty and both files in staging. When the place is taken meanwhile
        `FileExistsError` is raised and both files stay in staging, the withdrawn one as `<staged>.out`.
        """
        os.stat(staged.name, dir_fd=staged.fd, follow_symlinks=False)
        out = Place(staged.fd, staged.name + ".out")
        self.withdraw(file, out)
        try:
            self.place(staged, file)
        except FileExistsError:
            raise
        except OSError:
            self.place(out, file)
            raise
        os.rename(out.name, staged.name, src_dir_fd=out.fd, dst_dir_fd=staged.fd)

    def move(self, file: Place, to: Place, staged: Place) -> None:
        """By way of staging: whatever is withdrawn is whole, and placing it refuses a taken name."""
        _refuse_taken(to)
        self.withdraw(file, staged)
        try:
            self.place(staged, to)
        except OSError:
            self.place(staged, file)
            raise


def _refuse_taken(place: Place) -> None:
    try:
        os.stat(place.name, dir_fd=place.fd, follow_symlinks=False)
    except FileNotFoundError:
        return
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), place.name)


def _call(old: Place, new: Place, *, exchange: bool) -> bool:
    """Rename in one step. False: this system or file system cannot, and nothing was done."""
    function, no_replace, swap = _system()
    if function is None:
        return False
    flags = swap if exchange else no_replace
    if function(old.fd, os.fsencode(old.name), new.fd, os.fsencode(new.name), flags) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), old.name, None, new.name)


@cache
def _system() -> tuple[ctypes._NamedFuncPointer | None, int, int]:
    """The system's call with its flags for "refuse a taken name" and "exchange".

    Linux: rename(2), `RENAME_NOREPLACE` 1 and `RENAME_EXCHANGE` 2 in <linux/fs.h>. macOS: renameatx_np(2),
    `RENAME_EXCL` 4 and `RENAME_SWAP` 2 in <sys/stdio.h>.
    """
    library = ctypes.CDLL(None, use_errno=True)
    name, no_replace, swap = ("renameatx_np", 4, 2) if sys.platform == "darwin" else ("renameat2", 1, 2)
    function = getattr(library, name, None)
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
        function.restype = ctypes.c_int
    return function, no_replace, swap
