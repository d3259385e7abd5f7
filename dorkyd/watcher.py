"""The operating system's events, turned into marks: hints about where to look, never the truth.

Rules that hold here and in `dorkyd.inotify`:

- *Watch first, mark second.* A new folder is marked as a tree after watches for all of it exist: what was made inside
  before is found by the engine's scan, what is made after has an event. The same after an overflow.
- *A folder is watched only when its parent is*, so one refused or skipped folder stands for all below it.
- *Our own reading is silent.* Opening, reading, closing after reading and listing are not asked for, so scans and
  hashing never wake the engine.
- *The thread never dies silently.* Trouble in it ends with everything marked, one wake-up and `alive` False.

On Linux `InotifyTree` prunes what is skipped, so `node_modules` costs no watches. Elsewhere watchdog's own observers
serve: they cannot be pruned, but FSEvents spends nothing per folder; what is skipped is dropped on arrival.
"""

from __future__ import annotations

import logging
import os
import pathlib
import stat
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileAttribEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver
from watchdog.observers.polling import PollingObserver

from dorkyd.core.model import Path
from dorkyd.errors import Stale
from dorkyd.hints import Hints, Sift, Skip
from dorkyd.ports import Marks

if TYPE_CHECKING or sys.platform == "linux":
    from watchdog.observers.inotify_c import InotifyFD
if sys.platform == "linux":
    from dorkyd.inotify import InotifyTree
elif sys.platform == "darwin":
    from watchdog.observers.fsevents import FSEventsEmitter

logger = logging.getLogger(__name__)

INOTIFY_HINT = "sudo sysctl fs.inotify.max_user_watches=524288 fs.inotify.max_user_instances=1024"
"""What a person runs when `unwatched` is not empty (lasting: the same settings in a file in /etc/sysctl.d)."""

WHOLE = Path("")
"""In `unwatched`: the root itself, so nothing is watched at all. The one use of an empty path: `everything` is due."""

_FSEVENTS_LOST = 0x1 | 0x2 | 0x4
"""kFSEventStreamEventFlag MustScanSubDirs, UserDropped, KernelDropped (FSEvents.h): watchdog 7.1 ignores them."""


class OsWatcher:
    """The `Watcher` of this operating system.

    When the constructor returns every later change has its mark: make the watcher first, then scan. It walks the folders
    (about a second for 50,000). Raises `Stale` when the root is no folder that can be listed.

    `skip(path, is_folder)` True leaves the path and all below it out. It is asked in this thread and then in the
    watcher's, with a lock held: it decides from its arguments, waits for nothing, and keeps its answers; rules that
    changed want a new watcher. `wake()` is called without locks, once, when the first mark comes after a `drain`.
    `stop` waits for a running `wake`: never call it holding what `wake` waits for.
    """

    def __init__(
        self, root: str, *, skip: Skip, wake: Callable[[], None], inotify: Callable[[], InotifyFD] | None = None
    ) -> None:
        """`inotify` makes the kernel's queue (Linux); None: the real one. Tests hand in one with a limit."""
        self._root = root
        self._identity = _identity(root)
        if self._identity is None:
            raise Stale(f"{root} is not a folder now")
        self._hints = Hints(wake)
        # Events carry real paths, and the kernel is told not to follow a link where a folder is meant.
        real = os.path.realpath(root)
        name = f"watch {pathlib.Path(real).name}"
        sift = Sift(skip)
        self._tree: _Tree
        if sys.platform == "linux":
            try:
                queue = (inotify or InotifyFD)()
            except OSError as exc:
                logger.warning("nothing below %s is watched: %s", root, exc)
                self._tree = _NoTree()
            else:
                queue.name = name
                self._tree = InotifyTree(real, sift, self._hints, queue)
        else:
            self._tree = ObservedTree(real, sift, self._hints, _new_observer(self._hints), name)

    def drain(self) -> Marks:
        """Take what was noticed. Any thread."""
        return self._hints.drain()

    @property
    def pending(self) -> bool:
        """There is something to drain. Any thread."""
        return self._hints.pending

    @property
    def unwatched(self) -> frozenset[Path]:
        """Folders, each with all below it, that the system refused to watch. `WHOLE` alone: nothing is watched."""
        return self._tree.unwatched

    @property
    def alive(self) -> bool:
        """The thread runs, and the root's path still names the folder it watches (one stat)."""
        return self._tree.alive and _identity(self._root) == self._identity

    def stop(self) -> None:
        """End the thread and wait for it. May be repeated; any thread."""
        self._tree.stop()


class _Tree(Protocol):
    @property
    def unwatched(self) -> frozenset[Path]: ...
    @property
    def alive(self) -> bool: ...
    def stop(self) -> None: ...


class _NoTree:
    """The kernel gave no queue at all: alive, watching nothing."""

    unwatched = frozenset({WHOLE})
    alive = True

    def stop(self) -> None:
        pass  # no thread was started


# --- elsewhere -------------------------------------------------------------------------------------------------------


_TOLD: list[type[FileSystemEvent]] = [
    *(DirCreatedEvent, DirDeletedEvent, DirMovedEvent),
    *(FileAttribEvent, FileClosedEvent, FileCreatedEvent, FileDeletedEvent, FileModifiedEvent, FileMovedEvent),
]


class ObservedTree(FileSystemEventHandler):
    """One root below a watchdog observer. Takes `observer` over, and starts it."""

    unwatched: frozenset[Path] = frozenset()

    def __init__(self, root: str, sift: Sift, hints: Hints, observer: BaseObserver, name: str) -> None:
        self._root = root
        self._sift = sift
        self._hints = hints
        self._observer = observer
        self._failed = False
        observer.schedule(self, root, recursive=True, event_filter=_TOLD)
        for thread in (observer, *observer.emitters):
            thread.name = name
        observer.start()

    @property
    def alive(self) -> bool:
        """Events still come."""
        threads = (self._observer, *self._observer.emitters)
        return not self._failed and all(thread.is_alive() for thread in threads)

    def stop(self) -> None:
        """End the threads and wait for them. May be repeated."""
        self._observer.stop()
        self._observer.join()

    def dispatch(self, event: FileSystemEvent) -> None:
        """One event, in the observer's thread."""
        try:
            for raw in (event.src_path, event.dest_path):
                if raw:
                    self._happened(os.path.relpath(os.fsdecode(raw), self._root), event)
        except Exception:  # guards the thread: whatever it was, the engine must hear that hints ended
            logger.exception("the watcher of %s failed", self._root)
            self._failed = True
            self._hints.everything()
        self._hints.announce()

    def _happened(self, path: str, event: FileSystemEvent) -> None:
        if path == ".":
            self._hints.everything()  # the root itself went, or was moved
        elif not path.startswith("../") and not self._sift.drops_below(path, folder=event.is_directory):
            content = isinstance(event, (FileModifiedEvent, FileAttribEvent, FileClosedEvent))
            self._hints.noticed(path, folder=event.is_directory, content=content)


def _new_observer(hints: Hints) -> BaseObserver:
    if sys.platform == "darwin":

        class Emitter(FSEventsEmitter):
            def events_callback(self, paths: list[bytes], inodes: list[int], flags: list[int], ids: list[int]) -> None:
                if any(flag & _FSEVENTS_LOST for flag in flags):
                    hints.everything()
                    hints.announce()
                super().events_callback(paths, inodes, flags, ids)

        return BaseObserver(Emitter)
    return PollingObserver()


def _identity(root: str) -> tuple[int, int] | None:
    try:
        found = pathlib.Path(root).stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None
