"""People at work in folders while daemons run, and the account of what they wrote.

Every content is unique, and a person always knows exactly what an edit replaced: files are edited through the handle they
were read from, replaced by an exchange of names, and deleted by being moved out of the folder and read there. So the
account is exact however the daemons race with the edits: what was written and not given up must
be live at the end, under its name or as a conflict copy. In the trash alone it would have been silently overwritten.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import secrets
import time
from pathlib import Path

from dorkyd.renames import AtomicRenames
from dorkyd.renames import Place as At
from tests.daemons import RealDaemon, settle, wait_until
from tests.e2e.places import Place, read_folder

MODES = (0o644, 0o600, 0o755, 0o640)
_KINDS = (
    *("edit",) * 6,
    *("save",) * 4,
    *("create",) * 6,
    *("delete",) * 2,
    *("rename",) * 4,
    "rename folder",
    "delete folder",
    *("chmod",) * 3,
)


class Account:
    """What was written, and what a person on a device that had it replaced or deleted."""

    def __init__(self) -> None:
        self.written: dict[str, str] = {}
        """By digest: who wrote it where."""
        self.given_up: set[str] = set()

    def write(self, data: bytes, where: str) -> None:
        self.written[digest(data)] = where

    def give_up(self, data: bytes) -> None:
        self.given_up.add(digest(data))

    def lost(self, *found: list[bytes]) -> list[str]:
        """Who wrote what is neither in `found` nor given up."""
        there = self.given_up | {digest(data) for group in found for data in group}
        return [where for content, where in self.written.items() if content not in there]


def digest(data: bytes) -> str:
    """Identity of a content."""
    return hashlib.sha256(data).hexdigest()


class Person:
    """Works in one device's folder. `away` is a folder outside of it on the same file system."""

    def __init__(self, daemon: RealDaemon, rng: random.Random, account: Account, away: Path) -> None:
        self.root, self.name = daemon.root, daemon.name
        self.rng, self.account, self.away = rng, account, away
        self.away.mkdir(exist_ok=True)
        self.serial = 0
        self.done: dict[str, int] = {}

    def adopt(self) -> None:
        """What lies in the folder was written by this person."""
        for path, data in mine(self.root).items():
            self.account.write(data, f"{self.name}: {path}")

    def edit(self, near: str | None = None) -> str | None:
        """One random thing. Returns the path it was done to. `near`: write to this path."""
        kind = self.rng.choice(_KINDS) if near is None else self.rng.choice(("edit", "save"))
        files = sorted(self._files())
        path = near if near is not None else self.rng.choice(files) if files else "first.txt"
        try:
            self._do(kind, path)
        except (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError):
            return None  # the daemon was quicker
        self.done[kind] = self.done.get(kind, 0) + 1
        return path

    def _do(self, kind: str, path: str) -> None:
        match kind:
            case "edit":
                self.edit_in_place(path)
            case "save":
                self.save(path)
            case "create":
                self.create(self._new_name(path))
            case "delete":
                self.delete(path)
            case "rename":
                self._move(path, self._new_name(path))
            case "rename folder":
                folder = self._small_folder(60)
                if folder is not None:
                    os.rename(self.root / folder, self.root / f"{folder}-{secrets.token_hex(2)}")
            case "delete folder":
                folder = self._small_folder(12)
                if folder is not None:
                    os.rename(self.root / folder, self.away / secrets.token_hex(8))
            case "chmod":
                (self.root / path).chmod(self.rng.choice(MODES))
            case _:
                raise AssertionError(kind)

    def create(self, path: str) -> None:
        """A new file, as a program that makes its folder first."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        data = self._content(path)
        with target.open("xb") as stream:
            stream.write(data)
        self.account.write(data, f"{self.name}: {path}, created")

    def edit_in_place(self, path: str) -> None:
        """Replace the content of the very file that was read."""
        with (self.root / path).open("r+b") as stream:
            before = stream.read()
            data = self._content(path)
            stream.seek(0)
            stream.write(data)
            stream.truncate()
        self.account.give_up(before)
        self.account.write(data, f"{self.name}: {path}, edited")

    def save(self, path: str) -> None:
        """As an editor: the new content under another name, then in one step in place of the old."""
        data = self._content(path)
        temporary = (self.root / path).with_name(f".{secrets.token_hex(4)}.swp")
        temporary.write_bytes(data)
        try:
            self._rename(temporary, self.root / path, exchange=True)
        except OSError:
            temporary.unlink()
            raise
        self.account.write(data, f"{self.name}: {path}, saved")
        self.account.give_up(temporary.read_bytes())
        temporary.unlink()

    def delete(self, path: str) -> None:
        """Gone from the folder; read afterwards, so that it is known what went."""
        os.rename(self.root / path, self.away / secrets.token_hex(8))

    def close(self) -> None:
        """Account for all that was deleted."""
        for data in read_folder(self.away).values():
            self.account.give_up(data)

    def _move(self, path: str, to: str) -> None:
        (self.root / to).parent.mkdir(parents=True, exist_ok=True)
        self._rename(self.root / path, self.root / to, exchange=False)

    def _rename(self, file: Path, to: Path, *, exchange: bool) -> None:
        """Never over something that is not known."""
        with contextlib.ExitStack() as open_folders:
            places = []
            for full in (file, to):
                fd = os.open(full.parent, os.O_RDONLY | os.O_DIRECTORY)
                open_folders.callback(os.close, fd)
                places.append(At(fd, full.name))
            if exchange:
                AtomicRenames().exchange(*places)
            else:
                AtomicRenames().place(*places)

    def _content(self, path: str) -> bytes:
        self.serial += 1
        line = f"{self.name} {self.serial} {path} {secrets.token_hex(8)}\n"
        size = self.rng.choice((1, 1, 1, 20, 400, 20_000))
        return (line * size).encode()

    def _files(self) -> list[str]:
        return [p for p in names(self.root) if not p.endswith(".swp")]

    def _new_name(self, path: str) -> str:
        folder = self.rng.choice((os.path.dirname(path), os.path.dirname(path), "new", "new/deep/er"))
        stem = self.rng.choice(("note", "data", "ünïcode name", ".env", "a+b & c=%d?#'"))
        return os.path.join(folder, f"{stem}-{self.rng.randrange(200)}.txt")

    def _small_folder(self, files: int) -> str | None:
        counts: dict[str, int] = {}
        for path in self._files():
            for above in Path(path).parents:
                counts[str(above)] = counts.get(str(above), 0) + 1
        small = sorted(folder for folder, count in counts.items() if count <= files and folder != ".")
        return self.rng.choice(small) if small else None


def names(root: Path) -> list[str]:
    """The files of a folder outside `.dorky`."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [f for f in folders if f != ".dorky"]
        found += [os.path.relpath(os.path.join(folder, file), root) for file in files]
    return found


def mine(root: Path) -> dict[str, bytes]:
    """The files of a folder outside `.dorky`, with their content."""
    return {path: data for path, data in read_folder(root).items() if not path.startswith(".dorky/")}


def assert_settled(place: Place, account: Account, *daemons: RealDaemon, upkeep_s: float = 0.0) -> None:
    """Equal everywhere, nothing lost, no leftovers, and at rest. `upkeep_s`: by then the bucket's log is shortened, which is not
    rest.
    """
    over = time.monotonic() + upkeep_s
    first, *others = ({p: (data, mode) for p, (data, mode, _) in d.tree().items()} for d in daemons)
    for other in others:
        differ = [p for p in first.keys() | other.keys() if first.get(p) != other.get(p)]
        assert not differ, f"{len(differ)} paths differ, such as {sorted(differ)[:5]}"
    live = place.live()
    differ = [p for p in first.keys() | live.keys() if p not in live or p not in first or first[p][0] != live[p]]
    assert not differ, f"{len(differ)} objects differ from the folders, such as {sorted(differ)[:5]}"
    replaced = account.lost(list(live.values()))
    if replaced:
        trash = [list(read_folder(d.root / ".dorky" / "trash").values()) for d in daemons]
        lost = account.lost(list(live.values()), place.trash(), *trash)
        assert not lost, f"{len(lost)} contents are nowhere: {lost[:5]}"
        # A write into a file that sync displaced at that moment is found within a minute, and becomes a conflict copy.
        wait_until(
            f"back from the trash: {replaced[:5]}", lambda: not account.lost(list(mine(daemons[0].root).values()))
        )
        settle(*daemons)
    for daemon in daemons:
        status = daemon.status()
        assert (str(status.state), status.problems, status.halt) == ("in-sync", 0, None), status
        left = read_folder(daemon.root / ".dorky" / "tmp").keys() - {".clock"}
        assert not left, f"{daemon.name}: staging still holds {sorted(left)[:5]}"
    wait_until("upkeep has been there", lambda: time.monotonic() >= over, upkeep_s + 60)
    assert_at_rest(*daemons)


def assert_at_rest(*daemons: RealDaemon) -> None:
    """A second look at both sides moves nothing."""
    before = [d.requests() for d in daemons]
    for daemon in daemons:
        daemon.sync()
    for daemon, was in zip(daemons, before, strict=True):
        now = daemon.requests()
        for count in ("PUT", "COPY", "DELETE", "bytes_up", "bytes_down"):
            assert now[count] == was[count], f"{daemon.name} at rest: {count} went from {was[count]} to {now[count]}"
