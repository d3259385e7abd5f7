"""What a watcher noticed, kept until the engine asks; and what it need not notice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from dorkyd.core.model import Path
from dorkyd.core.paths import is_reserved
from dorkyd.ports import Marks

MOST_MARKS = 50_000
"""Distinct marks kept in memory; past it they become `everything`, for a scan costs less than so many single looks."""

Skip = Callable[[Path, bool], bool]
"""`skip(path, is_folder)`: True leaves the path and all below it out."""


class Hints:
    """The marks between two drains. Safe from any thread."""

    def __init__(self, wake: Callable[[], None], most: int = MOST_MARKS) -> None:
        self._wake = wake
        self._most = most
        self._lock = threading.Lock()
        self._paths: set[Path] = set()
        self._trees: set[Path] = set()
        self._everything = False
        self._woken = False

    def noticed(self, path: str, *, folder: bool, content: bool) -> None:
        """Something happened to `path`; `content`: it stood there before and still does.

        A name that is not UTF-8 can be no `Path`: its coming and going concerns the folder that holds it, where the
        scan will report it, and its content concerns nobody.
        """
        if not nameable(path):
            if not content:
                while not nameable(path):
                    path = holder(path)
                self._note_tree(path)
        elif not folder:
            self._note(self._paths, Path(path))
        elif not content:
            self._note_tree(path)

    def everything(self) -> None:
        """Nobody knows where things happened."""
        with self._lock:
            self._collapse()

    def announce(self) -> None:
        """Wake the engine when there is something to drain and it was not woken since it last did. No lock is held."""
        with self._lock:
            due = not self._woken and bool(self._paths or self._trees or self._everything)
            self._woken = self._woken or due
        if due:
            self._wake()

    @property
    def pending(self) -> bool:
        """There are marks to drain."""
        with self._lock:
            return bool(self._paths or self._trees or self._everything)

    def drain(self) -> Marks:
        """Take the marks; the next one wakes again."""
        with self._lock:
            marks = Marks(frozenset(self._paths), frozenset(self._trees), self._everything)
            self._paths.clear()
            self._trees.clear()
            self._everything = self._woken = False
            return marks

    def _note_tree(self, path: str) -> None:
        if path:
            self._note(self._trees, Path(path))
        else:
            self.everything()

    def _note(self, marks: set[Path], path: Path) -> None:
        with self._lock:
            if not self._everything:  # the scan that it asks for begins after the next drain and sees this too
                marks.add(path)
                if len(self._paths) + len(self._trees) > self._most:
                    self._collapse()

    def _collapse(self) -> None:
        self._everything = True
        self._paths.clear()
        self._trees.clear()


@dataclass(frozen=True, slots=True)
class Sift:
    """What is not ours to look at."""

    skip: Skip

    def drops(self, path: str, *, folder: bool) -> bool:
        """`path` itself is left out, given that no folder above it is. A name that is not UTF-8 cannot be judged."""
        if not nameable(path):
            return False
        return is_reserved(path.rpartition("/")[2]) or self.skip(Path(path), folder)

    def drops_below(self, path: str, *, folder: bool) -> bool:
        """`path` or a folder above it is left out."""
        parts = path.split("/")
        above = ("/".join(parts[:depth]) for depth in range(1, len(parts)))
        return any(self.drops(each, folder=True) for each in above) or self.drops(path, folder=folder)


def joined(folder: str, name: str) -> str:
    """The path of `name` in `folder`, which is empty for the root."""
    return f"{folder}/{name}" if folder else name


def holder(path: str) -> str:
    """The folder that holds `path`; empty for the root."""
    return path.rpartition("/")[0]


def nameable(path: str) -> bool:
    """The name is UTF-8 on disk: no lone surrogates came out of decoding it. Only then can it be a `Path`."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
