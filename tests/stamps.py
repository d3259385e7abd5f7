"""A real folder with the stamps of a simulation: the same story has the same stat tuples, and the same trace, in every run.

The kernel's stamps and inode numbers differ from run to run, and with them what looks racy, what a scan marks and how
copies are named. Here every state of a file is given a ctime by the simulated clock when it is first seen, and a number
for its inode; its mtime is real, so whoever edits sets it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path as FilePath
from typing import BinaryIO

from dorkyd.core.model import Local, Path, Problem, StatTuple
from dorkyd.folder import LocalFolder
from dorkyd.looking import racy
from dorkyd.ports import Entry, Known, Observation, Trashed
from dorkyd.renames import Renames

_NEVER_RACY = 2**62


class Stamps:
    """The stamps of one folder. They outlive its engine, as those on a disk do."""

    def __init__(self, time_ns: Callable[[], int]) -> None:
        self.time_ns = time_ns
        self._told: dict[StatTuple, StatTuple] = {}
        self._real: dict[StatTuple, StatTuple] = {}
        self._inodes: dict[int, int] = {}

    def told(self, real: StatTuple) -> StatTuple:
        """What the engine sees of a state."""
        if real not in self._told:
            inode = self._inodes.setdefault(real.inode, len(self._inodes) + 1)
            # No two states have equal tuples, even within one instant of the simulation.
            ctime_ns = self.time_ns() + len(self._told) + 1
            made = StatTuple(real.size, real.mtime_ns, ctime_ns, inode)
            while made in self._real:  # the clock was set back
                made = replace(made, ctime_ns=made.ctime_ns + 1)
            self.remember(real, made)
        return self._told[real]

    def remember(self, real: StatTuple, told: StatTuple) -> None:
        """This state is told so from here on."""
        self._told[real], self._real[told] = told, real
        self._inodes[real.inode] = told.inode

    def real(self, told: StatTuple) -> StatTuple:
        """The state that was told so."""
        return self._real[told]

    def see(self, root: FilePath) -> None:
        """Somebody edited: what is new in the folder is of this instant."""
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(set(folders) - {".dorky"})
            for file in sorted(files):
                info = (FilePath(folder) / file).lstat()
                self.told(StatTuple(info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino))


class StampedFolder(LocalFolder):
    """See the module. What `LocalFolder` says of stats is told, what it is asked about them is real."""

    def __init__(
        self, root: str, stamps: Stamps, *, renames: Renames | None = None, between: Callable[[str], None]
    ) -> None:
        super().__init__(root, renames=renames, between=between)
        self.stamps = stamps

    def _expected(self, local: Local) -> Local:
        return replace(local, stat=self.stamps.real(local.stat))

    def scan(self, skip: Callable[[Path, bool], bool], under: Path | None = None) -> Iterator[Entry | Problem]:
        for met in sorted(super().scan(skip, under), key=lambda met: met.path):
            yield met._replace(stat=self.stamps.told(met.stat)) if isinstance(met, Entry) else met

    def observe(self, path: Path, known: Known | None) -> Observation:
        trusted = None
        if known is not None and not racy(known):
            trusted = Known(self.stamps.real(known.stat), known.digest, _NEVER_RACY)
        found = super().observe(path, trusted)
        return replace(found, stat=self.stamps.told(found.stat)) if isinstance(found, Local) else found

    def stands(self, path: Path, stat: StatTuple) -> bool:
        return super().stands(path, self.stamps.real(stat))

    def now_ns(self) -> int:
        super().now_ns()
        return self.stamps.time_ns()

    def open(self, path: Path, expected: Local) -> BinaryIO:
        return super().open(path, self._expected(expected))

    def stage_copy(self, path: Path, expected: Local, name: str) -> None:
        super().stage_copy(path, self._expected(expected), name)

    def swap_in(self, name: str, path: Path, expected: Local | None) -> None:
        super().swap_in(name, path, None if expected is None else self._expected(expected))

    def take_out(self, path: Path, name: str, expected: Local) -> None:
        super().take_out(path, name, self._expected(expected))

    def rename(self, path: Path, to: Path, expected: Local) -> None:
        super().rename(path, to, self._expected(expected))

    def seal(self, name: str, *, mode: int | None, mtime_ns: int | None) -> int:
        return super().seal(name, mode=mode, mtime_ns=self.stamps.time_ns() if mtime_ns is None else mtime_ns)

    def set_mode(self, path: Path, mode: int, expected: Local) -> Local:
        made = super().set_mode(path, mode, self._expected(expected))
        return replace(made, stat=self.stamps.told(made.stat))

    def to_trash(self, name: str, path: Path) -> Trashed:
        return replace(super().to_trash(name, path), at_ns=self.stamps.time_ns())

    def staged(self) -> Sequence[str]:
        return sorted(super().staged())
