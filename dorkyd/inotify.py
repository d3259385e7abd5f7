"""The folders of one root as inotify sees them (Linux only: the import fails elsewhere).

This hangs on watchdog's reader of the kernel's queue (`InotifyFD`, half private: looked at in 7.1) and keeps its own map
of watched folders. watchdog's own (`InotifyWatchGroup`) was the alternative. It cannot prune `node_modules`, hides a
refused watch, tells nobody about an overflow, holds back what moved out for half a second, and answers an overflow by
taking every watch away and setting it again: one IN_IGNORED each, which overflows the queue once more, for ever, when
there are more folders than `max_queued_events`.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from watchdog.observers.inotify_c import CallbackId, InotifyEvent, InotifyFD, Mask, WatchDescriptor
from watchdog.observers.inotify_c import InotifyConstants as In

from dorkyd.core.model import Path
from dorkyd.errors import Stale
from dorkyd.hints import Hints, Sift, holder, joined, nameable

logger = logging.getLogger(__name__)

_ROOT_GONE = Mask(In.IN_DELETE_SELF | In.IN_MOVE_SELF | In.IN_UNMOUNT)
_TOLD = Mask(In.IN_CREATE | In.IN_DELETE | In.IN_MOVE | In.IN_MODIFY | In.IN_CLOSE_WRITE | In.IN_ATTRIB)
"""Changes alone: neither opening nor reading nor closing after reading."""
_MASK = Mask(_TOLD | _ROOT_GONE & ~In.IN_UNMOUNT | In.IN_ONLYDIR | In.IN_DONT_FOLLOW | In.IN_EXCL_UNLINK)
"""IN_UNMOUNT comes unasked; the last three say how to watch: a folder, no link, nothing about unlinked files."""


@dataclass(slots=True)
class _Watched:
    path: str
    """Below the root; empty for the root itself."""
    id: CallbackId
    """Of this registration. Unique, because watchdog warns about one callback registered twice for a folder."""
    inside: set[str] = field(default_factory=set)
    """Paths of the watched folders directly in it."""


class InotifyTree:
    """The watched folders of one root: one inotify watch each. Implements watchdog's `WatchCallback`.

    A folder is known to the kernel by its inode, to us by its path, and the two part whenever something is moved before
    its event is read. What mends that: whoever comes (created, moved here) is forgotten under that path and watched
    anew, whoever goes is forgotten, and a watch met under a second path belongs to the later one. Walking by path may
    pass a link that somebody swaps in; such a watch gives needless hints and nothing else.
    """

    def __init__(self, root: str, sift: Sift, hints: Hints, inotify: InotifyFD) -> None:
        """Takes `inotify` over, and starts it. Raises `Stale` when the root cannot be listed."""
        self._root = os.fsencode(root)
        self._sift = sift
        self._hints = hints
        self._inotify = inotify
        # Guards the maps. Held while an event is handled, so that `stop` never closes the queue under a walk: the
        # number of a closed descriptor may already be another watcher's.
        self._lock = threading.RLock()
        self._ids = itertools.count()
        self._folders: dict[WatchDescriptor, _Watched] = {}
        self._descriptors: dict[str, WatchDescriptor] = {}
        self._refused: set[str] = set()
        self._stopped = False
        inotify.start()  # an InotifyFD closes its descriptors only when its thread ran
        try:
            with self._lock:
                self._device = os.lstat(self._root).st_dev
                self._watch("")
                if not self._descriptors and not self._refused:
                    raise Stale(f"{root} cannot be listed now")
        except BaseException as exc:
            self.stop()
            if isinstance(exc, OSError):
                raise Stale(f"{root} is not a folder now") from exc
            raise

    @property
    def unwatched(self) -> frozenset[Path]:
        """The refused folders, each with all below it; the empty path stands for the root."""
        with self._lock:
            return frozenset(Path(path) for path in self._refused)

    @property
    def alive(self) -> bool:
        """Events still come."""
        return not self._stopped and self._inotify.is_alive()

    def stop(self) -> None:
        """End the thread and wait for it. May be repeated."""
        self._stopped = True
        with self._lock:
            self._inotify.stop()
        if self._inotify is not threading.current_thread():
            self._inotify.join()

    # called by watchdog's thread

    def on_event(self, event: InotifyEvent) -> None:
        """One event of one watched folder."""
        with self._turn():
            folder = self._folders.get(event.wd)
            if self._stopped or folder is None:
                return  # forgotten since: whoever forgot it marked the tree
            if event.name:
                self._entry(joined(folder.path, os.fsdecode(event.name)), event)
            elif not folder.path and event.mask & _ROOT_GONE:
                self._end()

    def on_watch_deleted(self, wd: WatchDescriptor) -> None:
        """The kernel removed a watch: the folder is deleted or unmounted. Also called for each watch by a stop."""
        if self._stopped:
            return
        with self._turn():
            folder = self._folders.get(wd)
            if folder is None:
                return
            self._drop(wd)
            if not folder.path:
                self._end()

    def on_queue_overflow(self) -> None:
        """Events were lost, among them perhaps those of new folders: walk again, then have everything looked at.

        Watches that the walk meets stay; removing them first would queue one IN_IGNORED each, and overflow again.
        """
        with self._turn():
            if self._stopped:
                return
            logger.warning("more changes below %s than the kernel's queue holds; scanning it", os.fsdecode(self._root))
            self._refused.clear()
            met = self._watch("")
            self._release([wd for wd in self._folders if wd not in met])
            self._hints.everything()
            if not met and not self._refused:
                self._end()  # the root went, and that event was lost too

    @contextmanager
    def _turn(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except Exception:  # guards the thread: whatever it was, the engine must hear that hints ended
            logger.exception("the watcher of %s failed", os.fsdecode(self._root))
            with self._lock:
                self._end()
        self._hints.announce()

    # below: the lock is held

    def _entry(self, path: str, event: InotifyEvent) -> None:
        folder = event.is_directory
        if self._sift.drops(path, folder=folder):
            return
        came = event.is_create or event.is_moved_to
        gone = event.is_delete or event.is_moved_from
        if folder and (came or gone):
            self._forget(path)
        # A folder that neither came nor went but is not watched: its attributes changed, it may have become readable.
        if folder and not gone and nameable(path) and path not in self._descriptors:
            self._watch(path)
            came = True
        self._hints.noticed(path, folder=folder, content=not (came or gone))

    def _end(self) -> None:
        """Nothing more will come: say so once, and let the thread run out."""
        self._stopped = True
        self._hints.everything()
        self._inotify.stop()

    def _watch(self, top: str) -> set[WatchDescriptor]:
        """Watch a folder and all below it; the watches met."""
        met = set()
        waiting = [top]
        while waiting and not self._stopped:
            path = waiting.pop()
            wd = self._add(path)
            if wd is not None:
                met.add(wd)
                # Listed after its watch exists: what comes later has an event.
                waiting.extend(self._subfolders(path))
        return met

    def _add(self, path: str) -> WatchDescriptor | None:
        """Watch one folder. None: not a folder we read (gone, unreadable, another file system), or refused."""
        full = self._full(path)
        id_ = CallbackId(next(self._ids))
        try:
            if os.lstat(full).st_dev != self._device:
                return None  # a mount point is a Problem of the scan, and all below it unknown
            wd = self._inotify.add_callback(full, _MASK, self, id_)
        except OSError as exc:
            if exc.errno not in {errno.ENOENT, errno.ENOTDIR}:  # those: it went meanwhile, which has its own event
                if not self._refused:
                    logger.warning("%s is not watched, others may follow: %s", os.fsdecode(full), exc.strerror)
                self._refused.add(path)
            return None
        if wd == -1:
            # How watchdog 7.1 reports EACCES, having registered us for it. A scan reports unreadable folders.
            self._inotify.remove_callbacks([(wd, id_)])
            return None
        old = self._folders.get(wd)
        if old is not None:  # met under another path, or again
            self._drop(wd)
            self._inotify.remove_callbacks([(wd, old.id)])
        self._folders[wd] = _Watched(path, id_)
        self._descriptors[path] = wd
        self._refused.discard(path)
        above = self._above(path)
        if above is not None:
            above.inside.add(path)
        return wd

    def _subfolders(self, path: str) -> Iterable[str]:
        try:
            with os.scandir(self._full(path)) as entries:
                found = [
                    joined(path, os.fsdecode(entry.name)) for entry in entries if entry.is_dir(follow_symlinks=False)
                ]
        except OSError:
            return ()  # gone, which has its own event, or unreadable, which the scan reports
        return [each for each in found if nameable(each) and not self._sift.drops(each, folder=True)]

    def _forget(self, path: str) -> None:
        """Watch neither the folder nor anything below it any more."""
        below = path + "/"
        self._refused = {each for each in self._refused if each != path and not each.startswith(below)}
        wds = []
        waiting = [path]
        while waiting:
            wd = self._descriptors.get(waiting.pop())
            if wd is not None:
                wds.append(wd)
                waiting.extend(self._folders[wd].inside)
        self._release(wds)

    def _release(self, wds: list[WatchDescriptor]) -> None:
        self._inotify.remove_callbacks([(wd, self._drop(wd).id) for wd in wds])

    def _drop(self, wd: WatchDescriptor) -> _Watched:
        """Out of the maps, whatever the kernel does with the watch."""
        folder = self._folders.pop(wd)
        if self._descriptors.get(folder.path) == wd:
            del self._descriptors[folder.path]
            above = self._above(folder.path)
            if above is not None:
                above.inside.discard(folder.path)
        return folder

    def _full(self, path: str) -> bytes:
        return self._root + b"/" + os.fsencode(path) if path else self._root

    def _above(self, path: str) -> _Watched | None:
        wd = self._descriptors.get(holder(path)) if path else None
        return None if wd is None else self._folders[wd]
