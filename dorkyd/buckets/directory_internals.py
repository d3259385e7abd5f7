"""What `DirectoryBucket` keeps for itself below `.dorky/directory/`: metadata, locks, and bodies on their way in.

    meta/<2 hex>/<sha256 of the key>.json   metadata of a key, see `Sidecars`
    locks/<2 hex>                           shards of the keys, see `Locks`
    tmp/<32 hex>                            staged bodies, removed after a day if a crash left them
    id                                      32 hex: this directory and no other, see `Root`

Whoever needs a folder of these makes it, so a directory that was emptied heals with the next write.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from dorkyd.buckets.directory_files import ID, FileState, Root, folder, open_file, sync, write_all
from dorkyd.buckets.directory_place import Stage, move_to_free
from dorkyd.core.model import Digest

INTERNALS = b".dorky/directory"
_PARTS = (b".dorky", b"directory")
TMP = (*_PARTS, b"tmp")
_LOCKS = (*_PARTS, b"locks")
_META = (*_PARTS, b"meta")
_SHARDS = 64
_LEFTOVER_S = 24 * 3600

_CREATE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Recorded:
    """What is kept of one state of a data file."""

    bond: tuple[int, int, int]
    meta: Mapping[str, str]
    digest: Digest | None = None
    """SHA-256 of its bytes; None: a server-side copy of what another tool wrote, which nobody read."""


@contextmanager
def staged(root: Root) -> Iterator[tuple[int, int, bytes]]:
    """A new empty file in `tmp/`: its folder, itself, its name there. Gone at the end unless it was moved away."""
    with folder(root, TMP, make=True) as tmp:
        name = secrets.token_hex(16).encode()
        fd = os.open(name, _CREATE | os.O_EXCL, 0o666, dir_fd=tmp)
        try:
            yield tmp, fd, name
        finally:
            os.close(fd)
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=tmp)


def mark(root: Root) -> None:
    """Give the directory its id, before anything is written there. An emptied one gets the same again."""
    with suppress(FileNotFoundError), folder(root, ID[:-1]) as ours:
        os.stat(ID[-1], dir_fd=ours, follow_symlinks=False)
        if root.id is None:
            root.look_again()
        return
    with staged(root) as (tmp, fd, name):
        write_all(fd, root.id or secrets.token_hex(16).encode())
        sync(fd)
        with suppress(FileExistsError), folder(root, ID[:-1], make=True) as ours:  # somebody else gave it one
            move_to_free(Stage(tmp, fd, name), ours, ID[-1])
            sync(ours)
    root.look_again()


def sweep(root: Root) -> None:
    """Remove staged files that a crash left. What they held, their writer still has or has sent again."""
    try:
        with folder(root, TMP) as tmp:
            with os.scandir(tmp) as entries:
                names = [entry.name for entry in entries]
            for name in names:
                with suppress(FileNotFoundError):  # somebody else swept it, or moved it into its place
                    found = os.stat(name, dir_fd=tmp, follow_symlinks=False)
                    if time.time() - found.st_mtime > _LEFTOVER_S:
                        os.unlink(name, dir_fd=tmp)
    except FileNotFoundError:
        return  # nothing was ever staged


class Locks:
    """One writer at a time for a key, among all threads and processes that keep to it.

    A shard is locked with flock on a file opened for it alone, so threads exclude each other as processes do, and a
    process that dies lets go. Readers take none.
    """

    def __init__(self, root: Root) -> None:
        self._root = root

    @contextmanager
    def held(self, keys: Sequence[str]) -> Iterator[None]:
        """The shards of these keys, taken in one order everywhere so that nobody waits in a ring."""
        shards = sorted({_name_of(key)[0] % _SHARDS for key in keys})
        with ExitStack() as taken:
            for shard in shards:
                taken.callback(os.close, self._take(b"%02x" % shard))
            yield

    def _take(self, name: bytes) -> int:
        while True:
            # A lock folder that is removed while we come in is made again by the next turn.
            with suppress(FileNotFoundError), folder(self._root, _LOCKS, make=True) as locks:
                fd = os.open(name, _CREATE, 0o666, dir_fd=locks)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX)
                    # Invariant: the lock that counts is the one on the file which has the name now. Somebody may have
                    # removed the internals while we waited, and others lock a new file.
                    if os.path.samestat(os.fstat(fd), os.stat(name, dir_fd=locks, follow_symlinks=False)):
                        return fd
                except BaseException:
                    os.close(fd)
                    raise
                os.close(fd)


class Sidecars:
    """Metadata of data files, kept beside them.

    Invariant: the sidecar of a key holds the metadata of the data file that is there, and perhaps that of the file
    about to replace it. It is written before the data file gets its name, so a crash in between leaves the old state
    with its metadata or the new one with its own. Each entry is bound to inode, size and mtime. A data file that
    matches none was written by another tool. If it has the bytes of an entry it is a copy, as when the bucket moved to
    another disk or came back from a backup, and has that metadata: without it nobody could tell what is encrypted. Any other
    has none. Written under the key's lock, read without.
    """

    def __init__(self, root: Root) -> None:
        self._root = root

    def find(self, key: str, state: FileState, digest: Callable[[], Digest]) -> Recorded | None:
        """What is recorded of this state; None: nothing is. `digest` reads the bytes, which is done for a copy alone."""
        entries = self._entries(key)
        bound = next((entry for entry in entries if entry.bond == state.bond), None)
        likely = [entry for entry in entries if entry.bond[1] == state.size and entry.digest is not None]
        if bound is not None or not likely:
            return bound
        seen = digest()
        return next((entry for entry in likely if entry.digest == seen), None)

    def record(
        self, key: str, new: FileState, meta: Mapping[str, str], digest: Digest | None, *, present: FileState | None
    ) -> None:
        """Durably add what the new state will carry, keeping only what may be of the `present` one beside it."""
        said = {name.lower(): value for name, value in meta.items()}
        kept = [entry for entry in self._entries(key) if present and entry.bond[1] == present.size]
        bound = [entry for entry in kept if present and entry.bond == present.bond]
        states = [
            {"bond": list(entry.bond), "meta": dict(entry.meta), "digest": entry.digest}
            for entry in (Recorded(new.bond, said, digest), *(bound or kept))
        ]
        text = json.dumps({"key": key, "states": states})
        with staged(self._root) as (tmp, fd, name), folder(self._root, _place(key)[0], make=True) as metas:
            write_all(fd, text.encode())
            sync(fd)
            os.rename(name, _place(key)[1], src_dir_fd=tmp, dst_dir_fd=metas)
            sync(metas)

    def drop(self, key: str) -> None:
        """Forget a key whose data file is gone. A crash before this leaves an entry that matches no file."""
        parts, name = _place(key)
        with suppress(FileNotFoundError), folder(self._root, parts) as metas:
            os.unlink(name, dir_fd=metas)

    def _entries(self, key: str) -> Sequence[Recorded]:
        parts, name = _place(key)
        try:
            with folder(self._root, parts) as metas:
                opened = open_file(metas, name, b"/".join((*parts, name)))
                if opened is None:
                    return ()
                with os.fdopen(opened[0], "rb") as file:
                    return _parse(file.read())
        except FileNotFoundError:
            return ()


def _name_of(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _place(key: str) -> tuple[tuple[bytes, ...], bytes]:
    name = _name_of(key).hex().encode()
    return (*_META, name[:2]), name + b".json"


def _parse(data: bytes) -> Sequence[Recorded]:
    """Total: a sidecar that is not ours in form says nothing, and its file counts as another tool's."""
    try:
        states = json.loads(data)["states"]
        return [
            Recorded(
                (int(inode), int(size), int(mtime_ns)),
                {str(name): str(value) for name, value in state["meta"].items()},
                Digest(state["digest"]) if isinstance(state.get("digest"), str) else None,
            )
            for state in states
            for inode, size, mtime_ns in (state["bond"],)
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ()
