"""What persons do in folders, and the account of what they wrote."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping

from dorkyd.core.model import Path
from dorkyd.core.paths import without_conflict
from tests.devices import Device
from tests.simulation.steps import Edit
from tests.stamps import Stamps

IGNORE = ".dorkyignore"
SHARED = ".env.team"
"""A file of variables to which everybody adds lines, and to which nobody does anything else."""


def is_shared(path: str) -> bool:
    """`SHARED`, or a conflict copy of it."""
    return without_conflict(Path(path)) == SHARED


class Account:
    """Every content that was ever written, and which of them nobody wants any more."""

    def __init__(self) -> None:
        self.written: set[str] = set()
        self.given_up: set[str] = set()
        """Replaced or deleted by a person on a device that had them, or by another tool in the bucket."""
        self.late: set[str] = set()
        """Written through an open file: somewhere, the trash too, is all that is promised."""
        self.lines: set[str] = set()
        """Variables that were added to `SHARED`, which nobody takes away but who asks for what was before."""
        self.edits: list[Edit] = []
        """Since all settled last, those that were possible."""

    def gives_up(self, path: str, text: str) -> None:
        """A person asks for what was before, where this stands: it may give way, whatever becomes of the asking."""
        self.given_up.add(text)
        self.lines -= _lines({path: text})

    def takes_back(self, before: Mapping[str, str], after: Mapping[str, str]) -> None:
        """A person asked for what was before: what stood in the folder gave way on purpose."""
        self.given_up |= set(before.values()) - set(after.values())
        self.lines -= _lines(before) - _lines(after)


def _lines(tree: Mapping[str, str]) -> set[str]:
    return {line for path, text in tree.items() if is_shared(path) for line in text.splitlines()}


class Person:
    """Works in one device's folder."""

    def __init__(self, device: Device, stamps: Stamps, account: Account, say: Callable[[str], None]) -> None:
        self.device, self.stamps, self.account, self.say = device, stamps, account, say
        self.root = device.root
        self._edits = 0
        self._open: list[int] = []

    def files(self) -> list[str]:
        """Every file of the folder, but the one that always stays and `SHARED`."""
        return sorted(path for path in self.device.tree() if path != "stays" and not is_shared(path))

    def edit(self, edit: Edit) -> None:
        """Do it, where it is possible."""
        try:
            done = self._edit(edit)
        except OSError:
            done = False
        if done:
            self.account.edits.append(edit)
            self.say(str(edit))
        self.stamps.see(self.root)

    def _edit(self, edit: Edit) -> bool:
        path, arg, root = edit.path, edit.arg, self.root
        here = root / path
        match edit.verb:
            case "write" | "save" | "backup-save" | "ignore":
                return self._put(path, arg, edit.verb)
            case "set":
                had = here.read_text() if here.is_file() else ""
                here.write_text(f"{had}{arg}\n")
                self._stamp(path)
                self.account.lines.add(arg)
            case "copy":
                return (root / arg).is_file() and self._put(path, (root / arg).read_text(), "write")
            case "delete":
                self._gives_up(path)
                here.unlink()
            case "move":
                if not here.is_file() or path == arg or not self._room(arg):
                    return False
                self._gives_up(arg)
                here.rename(root / arg)
            case "swap":
                if not here.is_file() or not (root / arg).is_file() or path == arg:
                    return False
                here.rename(root / "swapping")
                (root / arg).rename(here)
                (root / "swapping").rename(root / arg)
            case "move-folder":
                if not here.is_dir() or (root / arg).exists() or f"{arg}/".startswith(f"{path}/"):
                    return False
                (root / arg).parent.mkdir(parents=True, exist_ok=True)
                here.rename(root / arg)
            case "delete-folder" | "collapse":
                if not here.is_dir():
                    return False
                for below in [p for p in self.files() if p.startswith(f"{path}/")]:
                    self._gives_up(below)
                shutil.rmtree(here)
                if edit.verb == "collapse":
                    self._put(path, arg, "write")
            case "turn":
                if not here.is_file():
                    return False
                self._gives_up(path)
                here.unlink()
                self._put(f"{path}/x", arg, "write")
            case "chmod":
                if not here.is_file() or here.stat().st_mode & 0o777 == int(arg, 8):
                    return False
                before = here.stat().st_ctime_ns
                here.chmod(int(arg, 8))
                while here.stat().st_ctime_ns == before:
                    here.chmod(int(arg, 8))  # an old kernel's stamps are coarse
            case "touch":
                if not here.is_file():
                    return False
                self._stamp(path)
        return True

    def _put(self, path: str, text: str, how: str) -> bool:
        if not self._room(path):
            return False
        target = self.root / path
        self._gives_up(path)
        self.account.written.add(text)
        beside = target.with_name(f"{target.name}.tmp~")
        if how == "save":
            beside.write_text(text)
            beside.replace(target)
        elif how == "backup-save" and target.is_file():
            target.rename(beside)
            target.write_text(text)
            beside.unlink()
        else:
            target.write_text(text)
        self._stamp(path)
        return True

    def _stamp(self, path: str) -> None:
        """The mtime of an edit: of the story's own time, and like no other."""
        self._edits += 1
        stamp = self.stamps.time_ns() + self._edits
        os.utime(self.root / path, ns=(stamp, stamp))

    def _gives_up(self, path: str) -> None:
        target = self.root / path
        if target.is_file():
            self.account.given_up.add(target.read_text())

    def _room(self, path: str) -> bool:
        target = self.root / path
        if target.is_dir():
            return False
        for above in target.relative_to(self.root).parents:
            if (self.root / above).is_file():
                return False
        target.parent.mkdir(parents=True, exist_ok=True)
        return True

    # --- a program that keeps a file open -----------------------------------------------------------------------------

    def open(self, path: str) -> bool:
        """Open a file for writing, and keep it so."""
        if not (self.root / path).is_file():
            return False
        self._open.append(os.open(self.root / path, os.O_RDWR))
        return True

    def write_late(self, text: str) -> bool:
        """Write through the file opened first, wherever it is now. False: there is none, or it was removed."""
        if not self._open:
            return False
        fd = self._open.pop(0)
        try:
            info = os.fstat(fd)
            if info.st_nlink == 0:
                return False
            self.account.given_up.add(os.pread(fd, info.st_size, 0).decode())
            os.pwrite(fd, text.encode(), 0)
            os.ftruncate(fd, len(text))
            self._edits += 1
            stamp = self.stamps.time_ns() + self._edits
            os.utime(fd, ns=(stamp, stamp))
        finally:
            os.close(fd)
        self.account.written.add(text)
        self.account.late.add(text)
        self.stamps.see(self.root)
        return True

    def leave(self) -> None:
        """Close what is open."""
        while self._open:
            os.close(self._open.pop())
