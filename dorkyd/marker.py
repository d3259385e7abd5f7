"""`.dorky/`: the marker that proves a folder is really there, the lock, and our other fixed contents."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from dorkyd.core.model import ReplicaId
from dorkyd.dirfd import Spot, look, open_folder
from dorkyd.durable import fsync
from dorkyd.errors import Blocked, Busy, Stale
from dorkyd.faults import faults
from dorkyd.ports import Identity

OURS = ".dorky"
"""Our own folder in a project's root."""

_FORMAT = 1
_MARKER = "folder.json"
_LOCK = "lock"
_MARKER_LIMIT_BYTES = 64 * 1024
_PRIVATE = 0o700
_MALFORMED_HINT = (
    "move .dorky/folder.json away: the folder is then joined anew, comparing both sides, and nothing is deleted"
)


_PATH = f"{OURS}/{_MARKER}"


def read_identity(root: int) -> Identity | None:
    """The marker; None when it or `.dorky` is not there. `Blocked` when it cannot be understood."""
    try:
        with open_folder(root, (OURS,), _PATH) as ours:
            return _read(ours)
    except Stale:
        return None


def write_identity(root: int, identity: Identity) -> None:
    """Replace the marker, making `.dorky` and its contents where missing: after a crash it is the old one or the new
    one, whole.
    """
    _furnish(root)
    with open_folder(root, (OURS,), _PATH) as ours:
        _write(ours, identity)


def update_identity(root: int, identity: Identity) -> None:
    """Replace the marker of the same replica. `Stale` when there is none, or another's."""
    with open_folder(root, (OURS,), _PATH) as ours:
        if _read(ours).replica != identity.replica:
            raise Stale(f"{_PATH}: another folder stands here now")
        _write(ours, identity)


def _read(ours: int) -> Identity:
    with faults(_PATH, "read"):
        fd = os.open(_MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=ours)
        with os.fdopen(fd, "rb") as file:
            content = file.read(_MARKER_LIMIT_BYTES)
    try:
        return _parse(json.loads(content))
    except (ValueError, RecursionError) as exc:
        raise Blocked(f"{_PATH} is malformed", hint=_MALFORMED_HINT, code="marker") from exc


def _write(ours: int, identity: Identity) -> None:
    content = {
        "format": _FORMAT,
        "project_id": identity.project_id,
        "replica": identity.replica,
        "counter": identity.counter,
    }
    fresh = f"{_MARKER}.new"
    with faults(_PATH, "write"):
        # Left by a crash, perhaps half written: never the marker, so it may go.
        with suppress(FileNotFoundError):
            os.unlink(fresh, dir_fd=ours)
        _create(ours, fresh, json.dumps(content, indent=1).encode() + b"\n")
        os.rename(fresh, _MARKER, src_dir_fd=ours, dst_dir_fd=ours)
        fsync(ours)


@contextmanager
def open_ours(root: int, name: str) -> Iterator[int]:
    """`.dorky/<name>`, made when only it is missing. `Stale` when `.dorky` itself is: this may not be our folder."""
    path = f"{OURS}/{name}"
    with open_folder(root, (OURS,), path) as ours:
        if look(Spot(ours, name, path)) is None:
            with faults(path, "write"), suppress(FileExistsError):
                os.mkdir(name, _PRIVATE, dir_fd=ours)
                fsync(ours)
        with open_folder(ours, (name,), path) as fd:
            yield fd


def inode(root: int) -> int:
    """Inode of `.dorky`. `Stale` when it is not there."""
    with open_folder(root, (OURS,), OURS) as ours:
        return os.fstat(ours).st_ino


def take_lock(root: int) -> int:
    """Lock the folder for this process; the lock lives as long as the returned descriptor."""
    path = f"{OURS}/{_LOCK}"
    with open_folder(root, (OURS,), path) as ours, faults(path, "write"):
        fd = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600, dir_fd=ours)
        try:
            _flock(fd)
            held = os.fstat(fd)
            named = look(Spot(ours, _LOCK, path))
            if named is None or named.st_ino != held.st_ino:
                raise Stale(f"{path}: was replaced while it was locked")
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except BaseException:
            os.close(fd)
            raise
        return fd


def _flock(fd: int) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        # Empty for an instant while the holder writes it.
        known = holder.isdecimal()
        raise Busy(
            f"this folder is already synced by {f'process {holder}' if known else 'another process'}",
            hint="run `dorkyctl stop` with the DORKY_HOME of that daemon" + (f", or `kill {holder}`" if known else ""),
        ) from exc
    except OSError as exc:
        if exc.errno in {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EOPNOTSUPP}:
            raise Blocked(
                f"this folder's file system has no file locks ({exc.strerror})",
                hint="move the project to a local disk, or turn on locking for the mount",
                code="no-locks",
            ) from exc
        raise


def _furnish(root: int) -> None:
    """Make `.dorky/` and its fixed contents where missing. Private: its trash and staging hold people's secrets."""
    with faults(OURS, "write"), suppress(FileExistsError):
        os.mkdir(OURS, _PRIVATE, dir_fd=root)
        fsync(root)
    with open_folder(root, (OURS,), OURS) as ours, faults(OURS, "write"):
        # The npm tool of the same name left its own `.dorky`, open to all and with credentials in it.
        if os.fstat(ours).st_mode & 0o077:
            os.fchmod(ours, _PRIVATE)
        with suppress(FileExistsError):
            _create(ours, ".gitignore", b"*\n")
        for name in ("tmp", "trash"):
            with suppress(FileExistsError):
                os.mkdir(name, _PRIVATE, dir_fd=ours)
        fsync(ours)


def _create(folder: int, name: str, content: bytes) -> None:
    """A new private file, its content on the disk."""
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        fsync(fd)


def _parse(content: object) -> Identity:
    """Raises `ValueError` for what no dorkyd wrote, `Blocked` for what a newer one did."""
    match content:
        case {"format": int(number)} if number > _FORMAT:
            raise Blocked(
                f"{OURS}/{_MARKER} was written by a newer dorkyd (format {number})",
                hint="upgrade dorkyd on this machine",
                code="newer-format",
            )
        case {"format": 1, "project_id": str(project_id), "replica": str(replica), "counter": int(counter)} if (
            replica and counter >= 0 and not isinstance(counter, bool)
        ):
            return Identity(project_id, ReplicaId(replica), counter)
        case _:
            raise ValueError("not a folder's marker")
