"""A folder swapped for a link to somewhere else, before each single system call of each operation: nothing there changes.

Python tells every call that opens, renames, links, removes, chmods or lists to an audit hook before it happens; renames by
`renameat2` are told by the folder's own hook. So for every operation, for every folder on its way, and for every call, there
is a run in which exactly then the folder becomes a link to a place outside.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dorkyd.core import model
from dorkyd.core.model import Local, ReplicaId
from dorkyd.errors import DorkyError
from dorkyd.folder import LocalFolder
from dorkyd.ports import Entry, Identity
from dorkyd.renames import AtomicRenames, Renames, StepwiseRenames

F, G, NEW = model.Path("d/f"), model.Path("d/g"), model.Path("d/sub/new")
_CALLS = ("open", "os.")
_act: list[Callable[[], None]] = []


def _hear(event: str, _args: object) -> None:
    if _act and event.startswith(_CALLS):
        _act[-1]()


sys.addaudithook(_hear)


class Place:
    """A folder with a file, something staged and something trashed, and a place outside that looks like it."""

    def __init__(self, base: Path, renames: Renames) -> None:
        shutil.rmtree(base, ignore_errors=True)
        self.base, self.root, self.outside = base, base / "root", base / "outside"
        for top in (self.root, self.outside):
            (top / "d/empty").mkdir(parents=True)
            (top / "d/f").write_bytes(b"inside" if top == self.root else b"a secret outside")
            (top / "f").write_bytes(b"top")
        for ours in ("tmp", "trash"):
            (self.outside / ours).mkdir()
        (self.outside / "staged").write_bytes(b"a secret outside")
        self.folder = LocalFolder(str(self.root), renames=renames, between=lambda _: _act and _act[-1]())
        self.folder.write_identity(Identity("project", ReplicaId("r"), 1))
        assert not self.folder.folds
        for name in ("staged", "old"):
            with self.folder.stage(name) as stream:
                stream.write(b"new")
        self.trashed = self.folder.to_trash("old", F).name
        found = self.folder.observe(F, None)
        assert isinstance(found, Local)
        self.seen = found
        os.utime(self.outside, ns=(1, 1))

    def swap(self, part: str) -> None:
        """Put a link to the outside in the place of a part of the folder."""
        place = self.root / part if part else self.root
        goal = self.outside / "d" if part == "d" else self.outside / "f" if part == "d/f" else self.outside
        with suppress(FileNotFoundError):
            place.rename(self.base / "aside")
        if not place.is_symlink() and not place.exists():
            with suppress(FileNotFoundError):
                place.symlink_to(goal)

    def outside_now(self) -> dict[str, object]:
        """All that is there, with what tells a change."""
        found: dict[str, object] = {}
        for path in [*sorted(self.outside.rglob("*")), self.outside]:
            info = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(info.st_mode) else b""
            found[str(path.relative_to(self.outside))] = (info.st_mode, info.st_ino, info.st_mtime_ns, content)
        return found


def _write(place: Place) -> None:
    with place.folder.stage("fresh") as stream:
        stream.write(b"fresh")
    place.folder.seal("fresh", mode=0o644, mtime_ns=1)


def _read(place: Place) -> None:
    place.folder._recent.take(F, place.seen.stat)  # of bytes that were kept nothing is opened
    with place.folder.open(F, place.seen) as stream:
        assert stream.read() == b"inside"


def _scan(place: Place) -> None:
    found = [met for met in place.folder.scan(lambda *_: False) if isinstance(met, Entry)]
    assert {met.stat.inode for met in found if met.path == F} <= {place.seen.stat.inode}


def _observe(place: Place) -> None:
    found = place.folder.observe(F, None)
    assert not isinstance(found, Local) or found.digest == place.seen.digest


READS: dict[str, Callable[[Place], object]] = {"read": _read, "scan": _scan, "observe": _observe}
"""What they find of the outside is found only when the root itself is the link: a person's own doing."""

EFFECTS: dict[str, Callable[[Place], object]] = {
    "stage": _write,
    "seal": lambda p: p.folder.seal("staged", mode=0o600, mtime_ns=5),
    "stage-copy": lambda p: p.folder.stage_copy(F, p.seen, "copy"),
    "unstage": lambda p: p.folder.unstage("staged"),
    "install-new": lambda p: p.folder.swap_in("staged", NEW, None),
    "install-over-empty": lambda p: p.folder.swap_in("staged", model.Path("d/empty"), None),
    "install-over": lambda p: p.folder.swap_in("staged", F, p.seen),
    "take-out": lambda p: p.folder.take_out(F, "out", p.seen),
    "put-in": lambda p: p.folder.put_in("staged", G),
    "rename": lambda p: p.folder.rename(F, NEW, p.seen),
    "rename-out": lambda p: p.folder.rename(F, model.Path("top"), p.seen),
    "chmod": lambda p: p.folder.set_mode(F, 0o600, p.seen),
    "drop-empty": lambda p: p.folder.drop_empty_parents(model.Path("d/empty/x")),
    "to-trash": lambda p: p.folder.to_trash("staged", F),
    "from-trash": lambda p: p.folder.trash_to_stage(p.trashed, "back", keep=False),
    "copy-from-trash": lambda p: p.folder.trash_to_stage(p.trashed, "back", keep=True),
    "purge": lambda p: p.folder.purge(p.trashed),
    "mark": lambda p: p.folder.update_identity(Identity("project", ReplicaId("r"), 2)),
    "found": lambda p: p.folder.write_identity(Identity("project", ReplicaId("r"), 2)),
    "lock": lambda p: p.folder.lock(),
    "clock": lambda p: p.folder.now_ns(),
    "tree": lambda p: p.folder.tree_of(model.Path("d")),
    "trash": lambda p: p.folder.trash(),
    **READS,
}
PARTS = ["d", "d/f", "", ".dorky", ".dorky/tmp", ".dorky/trash"]
_runs = 0


@pytest.fixture
def acting() -> Iterator[list[Callable[[], None]]]:
    """What to do at each call; none after the test."""
    yield _act
    _act.clear()


@pytest.mark.parametrize("renames", [AtomicRenames, StepwiseRenames])
@pytest.mark.parametrize("effect", EFFECTS)
def test_nothing_outside_changes(
    quick_path: Path, acting: list[Callable[[], None]], effect: str, renames: type[Renames]
) -> None:
    """Whichever folder on the way becomes a link, at whichever call; and what is read is not from there."""
    global _runs  # noqa: PLW0603  counted for docs/reliability.md
    for part in PARTS:
        if effect in {*READS, "found"} and not part:
            continue  # whatever folder stands at the root is the one a person means
        at = 0
        while True:
            at += 1
            place = Place(quick_path / "p", renames())
            before = place.outside_now()
            left = [at]

            def act(place: Place = place, left: list[int] = left, part: str = part) -> None:
                left[0] -= 1
                if left[0] == 0:
                    acting.clear()
                    place.swap(part)

            acting.append(act)
            with suppress(DorkyError, FileNotFoundError):
                EFFECTS[effect](place)
            reached = not acting
            acting.clear()
            place.folder.unlock()
            assert place.outside_now() == before, (effect, part, at)
            _runs += 1
            if not reached:
                break
        assert at > 1, "no call was heard of: this proves nothing"


def test_the_hook_sees_a_write_that_follows_links(quick_path: Path, acting: list[Callable[[], None]]) -> None:
    """The same check of a naive install goes red: it opens by path, and the link leads it outside."""
    place = Place(quick_path / "p", AtomicRenames())
    before = place.outside_now()

    def act() -> None:
        acting.clear()
        place.swap("d")

    acting.append(act)
    (place.root / "d/f").write_bytes(b"new")
    assert place.outside_now() != before


@pytest.mark.parametrize("part", [".dorky", ".dorky/tmp", ".dorky/trash", "d"])
def test_a_link_stands_there_from_the_start(quick_path: Path, part: str) -> None:
    """Every effect that would pass through it is refused."""
    for effect, run in EFFECTS.items():
        place = Place(quick_path / "p", AtomicRenames())
        place.swap(part)
        before = place.outside_now()
        with suppress(DorkyError):
            run(place)
        assert place.outside_now() == before, effect
