"""A project's folder on disk: the `Folder` port. What each method promises is said there (`dorkyd.ports.Folder`).

Each operation opens the root by name, goes down by descriptors (`dorkyd.dirfd`), looks, and acts with a rename that
refuses when the name is not as looked at (`dorkyd.renames`). So between looking and acting anything may happen, and
the worst outcome is `Stale`.
"""

from __future__ import annotations

import io
import os
import stat
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import BinaryIO

from dorkyd import basecopies, looking, marker, permissions, scanning, staging, trash
from dorkyd.core import paths
from dorkyd.core.model import Digest, Local, Path, Problem, StatTuple
from dorkyd.dirfd import (
    Missing,
    Spot,
    clash,
    clear,
    drop_empty,
    look,
    names_in,
    open_folder,
    open_root,
    open_spot,
    same_bytes,
    same_file,
    spot_of,
    stat_tuple,
)
from dorkyd.durable import fsync
from dorkyd.errors import Configuration, DorkyError, PathProblem, Stale
from dorkyd.faults import faults
from dorkyd.ports import ABSENT, Entry, Identity, Known, Observation, Trashed
from dorkyd.recent import Recent
from dorkyd.renames import AtomicRenames, Place, Renames
from dorkyd.streams import reader


@dataclass(frozen=True, slots=True)
class _Probed:
    """What trying the file system told."""

    folds: bool
    mode: int
    """Permission bits of a new file (umask, default ACL)."""
    exact: bool
    """Every change after a look moves ctime."""


def _nothing(_step: str) -> None:
    """The step that nobody waits for."""


class LocalFolder:
    """The folder at `root`, an absolute path with symlinks resolved. Making one touches nothing.

    `time_ns` is the wall clock, by which files in the trash are named. `renames` is how names change hands; `between` is
    called with a step's name between looking and acting: tests put there what another program could do at that moment.
    """

    def __init__(
        self,
        root: str,
        *,
        time_ns: Callable[[], int] = time.time_ns,
        renames: Renames | None = None,
        between: Callable[[str], None] = _nothing,
    ) -> None:
        if sys.getfilesystemencoding().lower().replace("-", "") != "utf8":
            raise Configuration(
                f"file names are read as {sys.getfilesystemencoding()}, and paths are UTF-8",
                hint="start dorkyd in a UTF-8 locale, or with PYTHONUTF8=1",
            )
        self._path = root
        self._time_ns = time_ns
        self._renames = renames if renames is not None else AtomicRenames()
        self._between = between
        self._probed: _Probed | None = None
        self._recent = Recent()
        self._lock_fd: int | None = None
        self._lock_guard = Lock()

    def __repr__(self) -> str:
        return f"LocalFolder({self._path!r})"

    @property
    def folds(self) -> bool:
        """As the port says. Probed once, in staging: `Stale` while `.dorky` is missing."""
        return self._probe().folds

    # --- identity ----------------------------------------------------------------------------------------------------

    def identity(self) -> Identity | None:
        """As the port says."""
        try:
            with self._root() as root:
                return marker.read_identity(root)
        except Stale:
            return None

    def write_identity(self, identity: Identity) -> None:
        """As the port says. `Stale` when the root is gone: it is never made."""
        with self._root() as root:
            marker.write_identity(root, identity)

    def update_identity(self, identity: Identity) -> None:
        """As the port says."""
        with self._root() as root:
            marker.update_identity(root, identity)

    def marker_inode(self) -> int:
        """As the port says. `Stale` when there is none."""
        with self._root() as root:
            return marker.inode(root)

    def root_exists(self) -> bool:
        """As the port says."""
        try:
            with self._root() as root, os.scandir(root) as entries:
                next(entries, None)
        except (OSError, DorkyError):
            # Any reason that it cannot be listed is the answer, not an error: unmounted, unreadable, disconnected.
            return False
        return True

    def root_names(self) -> Sequence[str]:
        """As the port says."""
        try:
            with self._root() as root:
                return [name for name in names_in(root, "") if name != ".dorky"]
        except DorkyError:
            # Any reason that it cannot be listed is the answer, as in `root_exists`.
            return []

    def lock(self) -> None:
        """As the port says. Taking a lock that this object holds changes nothing."""
        with self._lock_guard, self._root() as root:
            if self._lock_fd is None:
                self._lock_fd = marker.take_lock(root)

    def unlock(self) -> None:
        """As the port says."""
        with self._lock_guard:
            if self._lock_fd is not None:
                os.close(self._lock_fd)
                self._lock_fd = None

    # --- looking -----------------------------------------------------------------------------------------------------

    def scan(self, skip: Callable[[Path, bool], bool], under: Path | None = None) -> Iterator[Entry | Problem]:
        """As the port says. `Stale` when the root is gone, cannot be listed, or is another one at the end."""
        folds = self.folds
        with self._root() as root:
            yield from scanning.scan(root, skip, under, folds=folds)
            with self._root() as now:
                if not os.path.samestat(os.fstat(root), os.fstat(now)):
                    raise Stale(f"{self._path}: was replaced while it was scanned")

    def observe(self, path: Path, known: Known | None) -> Observation:
        """As the port says. A path that may not be looked at is a Problem."""
        try:
            with self._root() as root, self._seen_from(root, path) as spot:
                return looking.observe(spot, known, self._between, None if self.folds else self._recent)
        except Missing:
            return ABSENT
        except PathProblem as exc:
            return looking.problem(path, exc)

    def stands(self, path: Path, stat: StatTuple) -> bool:
        """As the port says."""
        return self._stands(path, stat)

    def now_ns(self) -> int:
        """As the port says."""
        with self._root() as root, _tmp(root) as tmp:
            return staging.now_ns(tmp)

    def open(self, path: Path, expected: Local) -> BinaryIO:
        """As the port says."""
        read = self._recent.take(path, expected.stat)
        if read is not None and self._stands(path, expected.stat):
            return io.BytesIO(read)
        with self._root() as root, self._seen_from(root, path) as spot:
            return reader(looking.open_file_fd(spot, expected.stat), path, expected.stat)

    def peek(self, path: Path, expected: Local, limit: int) -> bytes:
        """As the port says."""
        read = self._recent.peek(path, expected.stat)
        if read is not None:
            return read[:limit]
        with self._root() as root, self._seen_from(root, path) as spot:
            fd = looking.open_file_fd(spot, expected.stat)
        with reader(fd, path, expected.stat) as stream:
            return stream.read(limit)

    def taken_by(self, path: Path) -> str | None:
        """As the port says."""
        if not self.folds:
            return None
        with self._root() as root:
            for part in (*paths.ancestors(path), path):
                try:
                    with open_spot(root, part, folds=True) as spot:
                        if spot.taken_by is not None:
                            return spot.taken_by
                except (Missing, PathProblem):
                    # Nothing stands there, or something that is another rule's to tell of.
                    return None
        return None

    def entries(self, path: Path | None) -> Sequence[tuple[str, bool]]:
        """As the port says."""
        try:
            with (
                self._root() as root,
                open_folder(root, path.split("/") if path is not None else (), path or "") as fd,
                os.scandir(fd) as found,
            ):
                named = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
        except (OSError, DorkyError):
            # Any reason that it cannot be listed is the answer, as in `root_exists`.
            return []
        return sorted((name, is_folder) for name, is_folder in named if name != ".dorky" and _is_text(name))

    def tree_of(self, path: Path) -> Sequence[str]:
        """As the port says. Names that are not UTF-8 are given in a printable form."""
        try:
            with self._root() as root, self._spot(root, path) as spot:
                info = look(spot)
                if info is None or not stat.S_ISDIR(info.st_mode):
                    return []
                with open_folder(spot.fd, (spot.name,), path) as fd:
                    return [name.encode(errors="backslashreplace").decode() for name in names_in(fd, path)]
        except Missing:
            return []

    # --- staging -----------------------------------------------------------------------------------------------------

    def stage(self, name: str, *, resume: bool = False) -> BinaryIO:
        """As the port says. `Stale` when a new one's name is taken: it may hold what came out of the folder."""
        with self._root() as root, _staged(root, name) as staged:
            return staging.create(staged, resume=resume)

    def stage_copy(self, path: Path, expected: Local, name: str) -> None:
        """As the port says."""
        with self._root() as root, _staged(root, name) as staged, self._spot(root, path) as spot:
            staging.copy(spot, expected.stat, staged)

    def seal(self, name: str, *, mode: int | None, mtime_ns: int | None) -> int:
        """As the port says."""
        with self._root() as root, _staged(root, name) as staged:
            return staging.seal(staged, mode=self._probe().mode if mode is None else mode, mtime_ns=mtime_ns)

    def staged(self) -> Sequence[str]:
        """As the port says."""
        with self._root() as root, _tmp(root) as tmp:
            return staging.names(tmp)

    def open_staged(self, name: str) -> BinaryIO:
        """As the port says."""
        with self._root() as root, _staged(root, name) as staged:
            return staging.reading(staged)

    def staged_size(self, name: str) -> int | None:
        """As the port says."""
        with self._root() as root, _staged(root, name) as staged:
            found = staging.present(staged)
            return None if found is None else found.size

    def staged_digest(self, name: str) -> Digest | None:
        """As the port says."""
        with self._root() as root, _staged(root, name) as staged:
            return staging.digest(staged)

    def unstage(self, name: str) -> None:
        """As the port says."""
        with self._root() as root, _staged(root, name) as staged:
            staging.unstage(staged)

    # --- what both sides held ----------------------------------------------------------------------------------------

    def keep(self, digest: Digest, data: bytes) -> None:
        """As the port says."""
        with self._root() as root, marker.open_ours(root, basecopies.BASE) as base:
            basecopies.put(base, digest, data)

    def kept(self, digest: Digest) -> bytes | None:
        """As the port says."""
        with self._root() as root, marker.open_ours(root, basecopies.BASE) as base:
            return basecopies.get(base, digest)

    def all_kept(self) -> Sequence[Digest]:
        """As the port says."""
        with self._root() as root, marker.open_ours(root, basecopies.BASE) as base:
            return basecopies.names(base)

    def unkeep(self, digest: Digest) -> None:
        """As the port says."""
        with self._root() as root, marker.open_ours(root, basecopies.BASE) as base:
            basecopies.remove(base, digest)

    # --- effects -----------------------------------------------------------------------------------------------------

    def swap_in(self, name: str, path: Path, expected: Local | None) -> StatTuple | None:
        """As the port says. A folder with anything in it is the `PathProblem` `clash`."""
        with self._root() as root, _staged(root, name) as staged:
            ours = staging.require(staged)
            with self._spot(root, path, make=expected is None) as spot, faults(path, "write"):
                if expected is None:
                    clear(spot)
                    self._between("looked")
                    self._renames.place(_place(staged), _place(spot))
                else:
                    looking.require(spot, expected.stat)
                    self._between("looked")
                    self._exchange(staged, spot, ours)
                stands = look(spot)
                fsync(spot.fd)
                fsync(staged.fd)
        if stands is None or not self._probe().exact or not same_bytes(stat_tuple(stands), ours):
            return None
        return stat_tuple(stands)

    def _exchange(self, staged: Spot, spot: Spot, ours: StatTuple) -> None:
        """Trade the two names, and take it back when what came out is no file."""
        # Stepwise, the place may be taken between two steps: what came out then waits in staging as `<name>.out`, and
        # whoever journalled the exchange knows whether that is a conflict.
        self._renames.exchange(_place(staged), _place(spot))
        if staging.present(staged) is not None:
            return
        self._renames.exchange(_place(staged), _place(spot))
        back = staging.present(staged)
        if back is None or not same_bytes(back, ours):
            self._keep(staged, spot)
        raise Stale(f"{spot.path}: a folder or link took its place meanwhile")

    def _keep(self, staged: Spot, spot: Spot) -> None:
        """What came out twice in one race has no place left to return to: the trash keeps it."""
        if staging.present(staged) is not None:
            self.to_trash(staged.name, Path(spot.path))

    def take_out(self, path: Path, name: str, expected: Local) -> None:
        """As the port says."""
        with self._root() as root, _staged(root, name) as staged, self._spot(root, path) as spot, faults(path, "write"):
            looking.require(spot, expected.stat)
            self._between("looked")
            self._renames.withdraw(_place(spot), _place(staged))
            if staging.present(staged) is None:
                self._renames.place(_place(staged), _place(spot))
                raise Stale(f"{path}: a folder or link took its place meanwhile")
            fsync(staged.fd)
            fsync(spot.fd)

    def put_in(self, name: str, path: Path) -> bool:
        """As the port says. `Stale` when there is no such staged file."""
        with self._root() as root, _staged(root, name) as staged:
            staging.require(staged)
            with self._spot(root, path, make=True) as spot, faults(path, "write"):
                try:
                    self._renames.place(_place(staged), _place(spot))
                except FileExistsError:
                    return False
                fsync(spot.fd)
                fsync(staged.fd)
        return True

    def rename(self, path: Path, to: Path, expected: Local) -> None:
        """As the port says. A new spelling of its own name is free where the file system folds names."""
        with self._root() as root, _tmp(root) as tmp, self._spot(root, path) as spot, faults(path, "write"):
            looking.require(spot, expected.stat)
            with self._spot(root, to, make=True, instead_of=spot) as free:
                clear(free)
                self._between("looked")
                way = Place(tmp, f"rename-{expected.stat.inode}")
                if free.taken_by is not None:
                    os.rename(spot.name, free.name, src_dir_fd=spot.fd, dst_dir_fd=free.fd)
                else:
                    self._renames.move(_place(spot), _place(free), way)
                moved = look(Spot(free.fd, free.name, to))
                if moved is None or not same_bytes(stat_tuple(moved), expected.stat):
                    # Something else stood there by then: it goes back, unless its old place is taken again already.
                    self._renames.move(_place(free), _place(spot), way)
                    raise Stale(f"{path}: changed while it was renamed to {to}")
                fsync(free.fd)
                fsync(spot.fd)
            # In the root that was opened: by name it may be another folder by now.
            drop_empty(root, path.split("/")[:-1], path)

    def set_mode(self, path: Path, mode: int, expected: Local) -> Local:
        """As the port says."""
        with self._root() as root, self._spot(root, path) as spot:
            looking.require(spot, expected.stat)
            self._between("looked")
            return permissions.set_mode(spot, mode, expected)

    def drop_empty_parents(self, path: Path) -> None:
        """As the port says."""
        parts = paths.parse(path).split("/")[:-1]
        with self._root() as root:
            # A root that lacks our folder is somebody else's.
            if look(Spot(root, marker.OURS, path)) is not None:
                drop_empty(root, parts, path)

    # --- trash -------------------------------------------------------------------------------------------------------

    def to_trash(self, name: str, path: Path) -> Trashed:
        """As the port says."""
        with self._root() as root, _staged(root, name) as staged, _trash(root) as bin_:
            return trash.put(bin_, staged, paths.parse(path), self._renames, self._time_ns())

    def trash(self) -> Sequence[Trashed]:
        """As the port says."""
        with self._root() as root, _trash(root) as bin_:
            return trash.contents(bin_)

    def trash_digest(self, name: str) -> Digest | None:
        """As the port says."""
        with self._root() as root, _trash(root) as bin_:
            return trash.digest_of(bin_, name)

    def trash_to_stage(self, trashed: str, name: str, *, keep: bool) -> None:
        """As the port says. `Stale` when it is gone."""
        with self._root() as root, _staged(root, name) as staged, _trash(root) as bin_:
            trash.bring_back(bin_, trashed, staged, self._renames, keep=keep)

    def purge(self, name: str) -> None:
        """As the port says."""
        with self._root() as root, _trash(root) as bin_:
            trash.purge(bin_, name)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _probe(self) -> _Probed:
        if self._probed is None:
            with self._root() as root, _tmp(root) as tmp:
                self._probed = _Probed(*staging.probe(tmp))
        return self._probed

    def _root(self) -> AbstractContextManager[int]:
        """Opened once per operation, so that all of it happens in one and the same folder."""
        return open_root(self._path)

    def _stands(self, path: Path, seen: StatTuple) -> bool:
        """The very file, untouched, as far as one look tells: that it is reached through no link is not looked at."""
        try:
            return stat_tuple(os.stat(f"{self._path}/{path}", follow_symlinks=False)) == seen
        except OSError:
            return False  # why it cannot be read is found in the careful way

    def _seen_from(self, root: int, path: Path) -> AbstractContextManager[Spot]:
        """As `_spot`, to look at what is there: cheap where names do not fold."""
        if self.folds:
            return self._spot(root, path)
        paths.parse(path)
        return spot_of(root, path)

    @contextmanager
    def _spot(self, root: int, path: Path, *, make: bool = False, instead_of: Spot | None = None) -> Iterator[Spot]:
        """The place of a path that came from outside: checked, and never one that another spelling holds.

        `make` also makes the folders above, for an effect that fills the place; then a place that another spelling
        holds is a `case-clash`, unless that is the file `instead_of`, whose name is about to go.
        """
        folds = self.folds
        paths.parse(path)
        if folds and not unicodedata.is_normalized("NFC", path):
            raise clash(path, path, "its other Unicode form")
        with open_spot(root, path, folds=folds, make=make) as spot:
            if make and spot.taken_by is not None and (instead_of is None or not same_file(spot, instead_of)):
                raise clash(path, spot.name, spot.taken_by)
            yield spot


@contextmanager
def _tmp(root: int) -> Iterator[int]:
    with marker.open_ours(root, staging.TMP) as tmp:
        yield tmp


@contextmanager
def _trash(root: int) -> Iterator[int]:
    with marker.open_ours(root, trash.TRASH) as bin_:
        yield bin_


@contextmanager
def _staged(root: int, name: str) -> Iterator[Spot]:
    with marker.open_ours(root, staging.TMP) as tmp:
        yield staging.staged_spot(tmp, name)


def _is_text(name: str) -> bool:
    """Python escapes what of a name is not UTF-8 as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _place(spot: Spot) -> Place:
    return Place(spot.fd, spot.name)
