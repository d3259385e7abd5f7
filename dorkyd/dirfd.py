"""Going down a folder by file descriptors, so that nothing swapped in meanwhile can lead us elsewhere.

Rules:

1. A path is never handed whole to the kernel. Each component is opened below the one before it with `O_NOFOLLOW` and
   `O_DIRECTORY`; the last is only ever named together with its parent's descriptor. A symlink anywhere is refused.
2. A component on another file system is refused: what is there may come and go, and nothing can be renamed to it.
3. Once a folder is open, work goes on in it by descriptor, wherever it is renamed to: no ghost of its old name is made.
4. On a file system that folds names, a name exists only when the listing holds exactly it (in NFC), whatever `lstat`
   says: otherwise `Readme` and `readme` would be one file with two histories.
"""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType

from dorkyd.core.model import StatTuple
from dorkyd.core.paths import is_reserved
from dorkyd.durable import fsync
from dorkyd.errors import PathProblem, Stale, Transient
from dorkyd.faults import fault, faults

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Missing(Stale):
    """An ancestor is not there, or is a regular file: proof that nothing is at the path."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A name in an open folder: all that an operation on one path works with."""

    fd: int
    """The folder."""
    name: str
    """As it is on disk, or shall be."""
    path: str
    """The whole path, for messages."""
    taken_by: str | None = None
    """On a folding file system: another name that stands where this one would be. None: the place is its own."""


_LARGEST = 2**63 - 1
"""What the journal can hold."""


def stat_tuple(info: os.stat_result) -> StatTuple:
    """What identifies a file's state, in numbers that the journal can hold. Inodes have 64 bits without a sign: mergerfs and
    overlayfs use the uppermost. Times are nanoseconds, and a file system may hold years that are too far away for those.
    """
    mtime_ns, ctime_ns, inode = info.st_mtime_ns, info.st_ctime_ns, info.st_ino
    if inode > _LARGEST:
        inode -= 2**64
    if not (-_LARGEST <= mtime_ns <= _LARGEST and ctime_ns <= _LARGEST):
        mtime_ns, ctime_ns = max(-_LARGEST, min(mtime_ns, _LARGEST)), min(ctime_ns, _LARGEST)
    return StatTuple._make((info.st_size, mtime_ns, ctime_ns, inode))


def same_bytes(one: StatTuple, other: StatTuple) -> bool:
    """The same file with its content untouched, as far as a stat tells: renaming and chmod change only the ctime."""
    return (one.inode, one.size, one.mtime_ns) == (other.inode, other.size, other.mtime_ns)


def same_file(one: Spot, other: Spot) -> bool:
    """Two spellings of one name in one folder."""
    with faults(one.path, "read"):
        if not os.path.samestat(os.fstat(one.fd), os.fstat(other.fd)):
            return False
        here, there = (os.stat(spot.name, dir_fd=spot.fd, follow_symlinks=False) for spot in (one, other))
        return os.path.samestat(here, there)


class open_root:  # noqa: N801  as `faults`
    """The folder's root, by name, fresh each time: a root that was replaced is noticed. `Stale` when it is gone."""

    __slots__ = ("_fd", "_root")

    def __init__(self, root: str) -> None:
        self._root = root

    def __enter__(self) -> int:
        try:
            # No O_NOFOLLOW: how a person's path leads to the root is their business.
            self._fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as exc:
            ours = fault(exc, self._root, "read")
            # Not a problem of one path: whether the folder is there at all is the next question.
            raise ours if isinstance(ours, Transient) else Stale(f"{self._root}: {exc.strerror}") from exc
        return self._fd

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)


@contextmanager
def open_folder(root: int, parts: Sequence[str], path: str) -> Iterator[int]:
    """The folder `parts` below `root`, named as on disk. Raises `Missing`, or `PathProblem` as the rules above say."""
    with faults(path, "read"):
        fd = os.dup(root)
    try:
        device = os.fstat(root).st_dev
        for part in parts:
            fd = _down(fd, part, path, device)
        yield fd
    finally:
        os.close(fd)


class spot_of:  # noqa: N801  as `faults`
    """As `open_spot`, for a look where names do not fold and nothing is made."""

    __slots__ = ("_fd", "_path", "_root")

    def __init__(self, root: int, path: str) -> None:
        self._root = root
        self._path = path

    def __enter__(self) -> Spot:
        path = self._path
        *parents, leaf = path.split("/")
        with faults(path, "read"):
            fd = self._fd = os.dup(self._root)
        try:
            if parents:
                device = os.fstat(self._root).st_dev
                for part in parents:
                    fd = self._fd = _down(fd, part, path, device)
        except BaseException:
            os.close(self._fd)
            raise
        return Spot(fd, leaf, path)

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)


@contextmanager
def open_spot(root: int, path: str, *, folds: bool, make: bool = False) -> Iterator[Spot]:
    """The place of `path`, which is a checked path.

    `make` makes the folders above it, each durable before the next, and removes those again when the block fails.
    `Missing` when a folder above is not there; when making, a file in the way is `not-a-folder` instead.
    """
    *parents, leaf = path.split("/")
    names: list[str] = []
    first_made: int | None = None
    with faults(path, "read"):
        fd = os.dup(root)
    try:
        device = os.fstat(root).st_dev
        for wanted in parents:
            name = _folder_name(fd, wanted, path, make=make) if folds else wanted
            if make and _make(fd, name, path) and first_made is None:
                first_made = len(names)
            fd = _down(fd, name, path, device, make=make)
            names.append(name)
        name, taken_by = _on_disk(fd, leaf, path) if folds else (leaf, None)
        yield Spot(fd, name, path, taken_by)
    except BaseException:
        if first_made is not None:
            drop_empty(root, [*names, *parents[len(names) :]], path, keep=first_made)
        raise
    finally:
        os.close(fd)


def look(spot: Spot) -> os.stat_result | None:
    """What stands there, links not followed; None: nothing of exactly this name."""
    if spot.taken_by is not None:
        return None
    with faults(spot.path, "read"):
        try:
            return os.stat(spot.name, dir_fd=spot.fd, follow_symlinks=False)
        except FileNotFoundError:
            return None


def clear(spot: Spot) -> None:
    """Remove a folder without a file in it from a place that shall be filled. `PathProblem` (`clash`) when it, or a
    folder in it, holds anything else: then nothing was removed.
    """
    info = look(spot)
    if info is None or not stat.S_ISDIR(info.st_mode):
        return
    with faults(spot.path, "write"):
        try:
            # Deepest first. rmdir(2) takes nothing but empty folders, whatever appears in them meanwhile.
            for parts in reversed(_hollow(spot, (spot.name,))):
                with open_folder(spot.fd, parts[:-1], spot.path) as above:
                    os.rmdir(parts[-1], dir_fd=above)
        except OSError as exc:
            if exc.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            raise _not_empty(spot) from exc


def _hollow(spot: Spot, parts: tuple[str, ...]) -> list[tuple[str, ...]]:
    """A folder and all folders below it, none before the one it is in. `PathProblem` at anything that is no folder."""
    found = [parts]
    with open_folder(spot.fd, parts, spot.path) as fd:
        for name in names_in(fd, spot.path):
            info = look(Spot(fd, name, spot.path))
            if info is None:
                continue
            if not stat.S_ISDIR(info.st_mode) or is_reserved(name):
                raise _not_empty(spot)
            found += _hollow(spot, (*parts, name))
    return found


def _not_empty(spot: Spot) -> PathProblem:
    return PathProblem(
        spot.path,
        f"{spot.path}: a folder that is not empty stands where the file belongs",
        code="clash",
        hint="rename the folder here, or the object in the bucket",
    )


def names_in(fd: int, path: str) -> list[str]:
    """The names in an open folder, in order."""
    with faults(path, "read"):
        return sorted(os.listdir(fd))


def drop_empty(root: int, parts: Sequence[str], path: str, *, keep: int = 0) -> None:
    """Remove the folder `parts` if it is empty, then the one above, down to the first `keep`, never the root.

    One that is not there counts as removed. Stops without an error at the first that cannot be removed, whatever the
    reason: an empty folder left behind is nobody's loss, and rmdir(2) takes nothing but empty ones.
    """
    for depth in range(len(parts), keep, -1):
        try:
            with open_folder(root, parts[: depth - 1], path) as fd:
                os.rmdir(parts[depth - 1], dir_fd=fd)
                fsync(fd)
        except (FileNotFoundError, Missing):
            continue
        except (OSError, PathProblem, Stale):
            return


def _down(fd: int, part: str, path: str, device: int, *, make: bool = False) -> int:
    """Trade the folder `fd` for the folder `part` in it. When this raises, `fd` is still open."""
    try:
        child = os.open(part, _FOLDER, dir_fd=fd)
    except OSError as exc:
        raise _no_way(fd, part, path, exc, make=make) from exc
    if os.fstat(child).st_dev != device:
        os.close(child)
        raise PathProblem(
            path,
            f"{path}: another file system is mounted at the folder {part}; only the project's own is synced",
            code="mount",
            hint=f"unmount {part}, ignore it, or make it a project of its own",
        )
    os.close(fd)
    return child


def _no_way(fd: int, part: str, path: str, exc: OSError, *, make: bool) -> Exception:
    """Why the component cannot be entered: proof of absence, a problem, or a change while we looked."""
    if exc.errno == errno.ENOENT:
        return Missing(f"{path}: its folder {part} does not exist")
    if exc.errno not in {errno.ENOTDIR, errno.ELOOP, errno.EMLINK}:
        return fault(exc, path, "read") or exc
    # A link in the last component is ENOTDIR on Linux, ELOOP on macOS, EMLINK on FreeBSD: only lstat tells what it is.
    found = look(Spot(fd, part, path))
    if found is not None and stat.S_ISLNK(found.st_mode):
        return PathProblem(
            path,
            f"{path}: {part} is a symlink; links are never followed",
            code="symlink",
            hint=f"put a real folder in the place of {part}, or ignore it",
        )
    if found is not None and stat.S_ISREG(found.st_mode):
        if make:
            return PathProblem(
                path,
                f"{path}: {part} is a file, so no folder of this name can be made",
                code="not-a-folder",
                hint=f"rename the file {part}",
            )
        return Missing(f"{path}: {part} is a file, so nothing is below it")
    if found is None or stat.S_ISDIR(found.st_mode):
        return Stale(f"{path}: {part} changed while it was opened")
    # Not absence: what a device or FIFO hides is unknown, and a deletion must not follow from it.
    return PathProblem(path, f"{path}: {part} is no folder but a device, FIFO or socket", code="special")


def _make(fd: int, name: str, path: str) -> bool:
    """Make the folder unless something is there. True: made, and durable."""
    if look(Spot(fd, name, path)) is not None:
        return False
    with faults(path, "write"):
        try:
            os.mkdir(name, 0o777, dir_fd=fd)
        except FileExistsError:
            return False
        fsync(fd)
    return True


def _folder_name(fd: int, wanted: str, path: str, *, make: bool) -> str:
    """The name on disk of a folder above, on a file system that folds names."""
    name, taken_by = _on_disk(fd, wanted, path)
    if taken_by is None:
        return name
    if make:
        raise clash(path, wanted, taken_by)
    raise Missing(f"{path}: its folder {wanted} does not exist under exactly this name")


def clash(path: str, wanted: str, taken_by: str) -> PathProblem:
    """Two names that this file system cannot tell apart."""
    return PathProblem(
        path,
        f"{path}: this file system holds {taken_by} and cannot hold {wanted} beside it",
        code="case-clash",
        hint=f"rename {taken_by}, or the object in the bucket",
    )


def _on_disk(fd: int, wanted: str, path: str) -> tuple[str, str | None]:
    """The entry whose NFC form is `wanted`, else `wanted` and the entry that stands in its way, if any does."""
    found = look(Spot(fd, wanted, path))
    # Only case can differ from an ASCII name, and case is what lstat folds: not found means not there in any form.
    if found is None and wanted.isascii():
        return wanted, None
    names = names_in(fd, path)
    if wanted in names:
        return wanted, None
    for name in names:
        if unicodedata.normalize("NFC", name) == wanted:
            return name, None
    if found is None:
        return wanted, None
    others = [name for name in names if unicodedata.normalize("NFC", name).casefold() == wanted.casefold()]
    return wanted, others[0] if others else "another name for it"
