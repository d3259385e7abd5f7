"""What start-up finds after a kill at any instant, and what it makes of it."""

from __future__ import annotations

import pathlib
from dataclasses import replace

import pytest

from dorkyd.buckets.memory import MemoryBucket
from dorkyd.core.model import Base, Digest, Op, Path, Remote, Version
from dorkyd.core.paths import conflict_name
from dorkyd.ledger import Install, Intent, IntentVerb
from dorkyd.recovery import Landed, Settled, settle_install, settle_intents
from dorkyd.renames import StepwiseRenames
from dorkyd.transfer import Placed, Transfer
from tests.devices import SimClock
from tests.folders import Fixture, names

F = Path("d/f")
OURS = tuple(Op(letter * 32) for letter in "abc")
THEIRS = Op("f" * 32)
DIGESTS = tuple(Digest("sha256:" + letter * 64) for letter in "abc")
V1, V2 = Version("1"), Version("2")


# --- intents ---------------------------------------------------------------------------------------------------------


def intent(n: int = 0, verb: IntentVerb = "put") -> Intent:
    """Our n-th write to the path, with content of its own."""
    if verb == "delete":
        return Intent(OURS[n], F, verb, None, None, None, V1, False, 0, seq=n + 1)
    return Intent(OURS[n], F, verb, DIGESTS[n], n + 1, 0o644, V1, False, 0, seq=n + 1)


def looked(op: Op | None, *ancestry: Op, version: Version = V2) -> Remote:
    """The object as a fresh look tells it."""
    return Remote(version, 9, DIGESTS[2], 0o600, modified=77, op=op, ancestry=ancestry)


def base(n: int, version: Version | None, modified: int | None = None) -> Base:
    """What our n-th write wrote."""
    return Base(DIGESTS[n], n + 1, version, 0o644, modified)


@pytest.mark.parametrize("verb", ["put", "copy", "patch"])
def test_our_op_on_the_object_took_effect(verb: IntentVerb) -> None:
    """The reply was lost, the write was not: base is what it wrote, in the version that is there (G02, G03)."""
    settled = settle_intents([intent(verb=verb)], looked(OURS[0]))
    assert settled == Settled(True, base(0, V2, 77), ((OURS[0], V2),), ())


def test_our_op_in_the_ancestry_took_effect_before_a_teammates() -> None:
    """Base is what we wrote, not what is there now: the table then sees their edit over an agreed state."""
    settled = settle_intents([intent()], looked(THEIRS, Op("9" * 32), OURS[0]))
    assert settled == Settled(True, base(0, None), ((OURS[0], None),), ())


def test_a_delete_and_no_object() -> None:
    """Our delete took effect: there is no base any more."""
    assert settle_intents([intent(verb="delete")], None) == Settled(True, None, ((OURS[0], None),), ())


@pytest.mark.parametrize(
    ("verb", "found"),
    [
        pytest.param("put", None, id="a write, and no object"),
        pytest.param("put", looked(None), id="a write, and another tool's object"),
        pytest.param("put", looked(THEIRS, Op("9" * 32)), id="a write, and a teammate's object"),
        pytest.param("delete", looked(THEIRS), id="a delete, and the object is there"),
        pytest.param("delete", looked(OURS[0]), id="a delete has no op on any object"),
        pytest.param("delete", looked(THEIRS, OURS[0]), id="nor in any ancestry"),
    ],
)
def test_what_did_not_happen_leaves_base_alone(verb: IntentVerb, found: Remote | None) -> None:
    """The intent is dropped and base stands."""
    assert settle_intents([intent(verb=verb)], found) == Settled(False, None, (), (OURS[0],))


def test_no_intents_settle_nothing() -> None:
    """A look without open intents says nothing of base."""
    assert settle_intents([], looked(THEIRS)) == Settled(False, None, (), ())


@pytest.mark.parametrize(
    ("found", "settled"),
    [
        pytest.param(looked(OURS[2], OURS[1]), Settled(True, base(2, V2, 77), ((OURS[2], V2),), OURS[:2]), id="last"),
        pytest.param(
            looked(OURS[1], OURS[0]), Settled(True, base(1, V2, 77), ((OURS[1], V2),), (OURS[0], OURS[2])), id="second"
        ),
        pytest.param(looked(THEIRS, OURS[0]), Settled(True, base(0, None), ((OURS[0], None),), OURS[1:]), id="first"),
        pytest.param(
            looked(THEIRS, OURS[1], OURS[0]),
            Settled(True, base(1, None), ((OURS[1], None),), (OURS[0], OURS[2])),
            id="the newest of two in the ancestry",
        ),
        pytest.param(looked(THEIRS), Settled(False, None, (), OURS), id="none"),
    ],
)
def test_of_several_the_newest_that_is_found_counts(found: Remote, settled: Settled) -> None:
    """Each try was an intent of its own; the newest found on the object or in its ancestry is what base is."""
    assert settle_intents([intent(0), intent(1), intent(2)], found) == settled


def test_a_delete_then_a_write() -> None:
    """Deleted and created again: whichever the object shows."""
    both = [intent(0, "delete"), intent(1)]
    assert settle_intents(both, looked(OURS[1])) == Settled(True, base(1, V2, 77), ((OURS[1], V2),), (OURS[0],))
    assert settle_intents(both, None) == Settled(True, None, ((OURS[0], None),), (OURS[1],))
    assert settle_intents(both, looked(THEIRS)) == Settled(False, None, (), OURS[:2])


def test_a_write_then_a_delete() -> None:
    """Written and deleted again: absent means that the delete came last; our op there, that it did not happen."""
    both = [intent(0), intent(1, "delete")]
    assert settle_intents(both, None) == Settled(True, None, ((OURS[1], None),), (OURS[0],))
    assert settle_intents(both, looked(OURS[0])) == Settled(True, base(0, V2, 77), ((OURS[0], V2),), (OURS[1],))


# --- installs --------------------------------------------------------------------------------------------------------

STAGED = "5" * 32
OLD_BYTES, NEW_BYTES, EDIT = b"old", b"new from the bucket", b"saved meanwhile"


class Killed(Fixture):
    """A folder as a kill left it, and the journal row that describes what was under way."""

    def __init__(self, root: pathlib.Path) -> None:
        super().__init__(root)
        self.transfer = Transfer(MemoryBucket(), self.folder, SimClock("pc"), "pc")

    def install(self, *, over: bytes | None = OLD_BYTES, keep_both: bool = False) -> Install:
        """The row of an install of `NEW_BYTES`. `over`: the content that was known to stand there."""
        return Install(
            verb="install",
            path=F,
            staged=STAGED,
            staged_digest=self.digest(NEW_BYTES),
            version=V2,
            size=len(NEW_BYTES),
            mode=0o644,
            modified=None,
            expected=None if over is None or keep_both else self.digest(over),
            keep_both=keep_both,
            mtime_ns=0 if over is None else 7,
        )

    def discard(self) -> Install:
        """The row of a discard of `OLD_BYTES`."""
        row = self.install()
        return replace(row, verb="discard", staged_digest=None, version=V1, mode=None)

    def digest(self, content: bytes) -> Digest:
        found = self.write("scratch", content).digest
        (self.root / "scratch").unlink()
        return found

    def left(self, *, at: bytes | None, staged: bytes | None, out: bytes | None = None) -> None:
        """What the kill left: under the name, under the staged name, and beside it (`out`)."""
        if at is not None:
            self.write(F, at)
        for name, content in ((STAGED, staged), (f"{STAGED}.out", out)):
            if content is not None:
                self.stage(name, content)

    def settle(self, install: Install) -> Landed:
        return settle_install(install, self.folder, self.transfer)

    def copy_of(self, content: bytes) -> Path:
        return conflict_name(F, device="pc", mtime_ns=7, digest=self.digest(content))

    def trashed(self) -> list[bytes]:
        return sorted(file.read_bytes() for file in (self.root / ".dorky/trash").rglob("*") if file.is_file())

    def tmp(self) -> list[str]:
        return [name for name in names(self.root / ".dorky/tmp") if not name.startswith(".")]


@pytest.fixture
def at(tmp_path: pathlib.Path) -> Killed:
    """A folder after a kill."""
    return Killed(tmp_path / "root")


@pytest.mark.parametrize("there", [OLD_BYTES, EDIT, None])
@pytest.mark.parametrize("keep_both", [False, True])
def test_killed_before_the_swap(at: Killed, there: bytes | None, keep_both: bool) -> None:
    """The staged file is still what we fetched: base stands, nothing moves, the bytes are used again."""
    at.left(at=there, staged=NEW_BYTES)
    assert at.settle(at.install(keep_both=keep_both)) == Landed(False, Placed(), True)
    assert (at.tmp(), at.trashed()) == ([STAGED], [])
    assert there is None or at.read(F) == there


def test_killed_after_the_exchange_with_what_was_expected(at: Killed) -> None:
    """The staged name holds what stood there: it happened, and the old bytes go to the trash."""
    at.left(at=NEW_BYTES, staged=OLD_BYTES)
    landed = at.settle(at.install())
    assert (landed.happened, landed.staged_kept, landed.placed.copy) == (True, False, None)
    assert landed.placed.trashed is not None
    assert landed.placed.trashed.path == F
    assert landed.placed.trashed_digest == at.digest(OLD_BYTES)
    assert (at.read(F), at.trashed(), at.tmp()) == (NEW_BYTES, [OLD_BYTES], [])


def test_killed_after_the_exchange_with_something_newer(at: Killed) -> None:
    """A save that fell between the look and the swap becomes a conflict copy (R01)."""
    at.left(at=NEW_BYTES, staged=EDIT)
    landed = at.settle(at.install())
    assert landed == Landed(True, Placed(copy=at.copy_of(EDIT), copied=at.digest(EDIT)), False)
    assert (at.read(F), at.read(at.copy_of(EDIT)), at.trashed()) == (NEW_BYTES, EDIT, [])


@pytest.mark.parametrize("loser", [OLD_BYTES, EDIT])
def test_killed_after_the_exchange_of_two_edits(at: Killed, loser: bytes) -> None:
    """Where both were edited what came out is a conflict copy, whatever it is."""
    at.left(at=NEW_BYTES, staged=loser)
    assert at.settle(at.install(keep_both=True)) == Landed(
        True, Placed(copy=at.copy_of(loser), copied=at.digest(loser)), False
    )
    assert at.read(at.copy_of(loser)) == loser


def test_killed_after_the_exchange_and_edited_since(at: Killed) -> None:
    """It happened all the same: the edit that followed is an edit over the installed state."""
    at.left(at=EDIT, staged=OLD_BYTES)
    landed = at.settle(at.install())
    assert (landed.happened, at.read(F), at.trashed()) == (True, EDIT, [OLD_BYTES])


def test_a_copy_made_before_the_kill_is_used_again(at: Killed) -> None:
    """A retry makes the same name; the second file with the same bytes goes to the trash."""
    at.left(at=NEW_BYTES, staged=EDIT)
    at.write(at.copy_of(EDIT), EDIT)
    placed = at.settle(at.install()).placed
    assert (placed.copy, placed.trashed_digest) == (at.copy_of(EDIT), at.digest(EDIT))
    assert (names(at.root / "d"), at.tmp()) == (sorted(["f", at.copy_of(EDIT)[2:]]), [])


@pytest.mark.parametrize("over", [None, OLD_BYTES])
def test_killed_after_a_swap_whose_old_bytes_found_their_place(at: Killed, over: bytes | None) -> None:
    """Staged name empty, target as installed (NOREPLACE, or the trash came first): it happened."""
    at.left(at=NEW_BYTES, staged=None)
    assert at.settle(at.install(over=over)) == Landed(True, Placed(), False)


@pytest.mark.parametrize("there", [OLD_BYTES, EDIT, None])
def test_the_staged_file_is_lost(at: Killed, there: bytes | None) -> None:
    """Neither here nor there: base stands, and the path is looked at again."""
    at.left(at=there, staged=None)
    assert at.settle(at.install()) == Landed(False, Placed(), False)
    assert there is None or at.read(F) == there


def test_killed_before_a_discard(at: Killed) -> None:
    """The file is in its place: nothing happened."""
    at.left(at=OLD_BYTES, staged=None)
    assert at.settle(at.discard()) == Landed(False, Placed(), False)
    assert at.read(F) == OLD_BYTES


def test_killed_after_a_discard_went_to_the_trash(at: Killed) -> None:
    """Neither name holds it: base stands, and the look that follows finds both sides absent."""
    assert at.settle(at.discard()) == Landed(False, Placed(), False)


def test_killed_in_the_middle_of_a_discard(at: Killed) -> None:
    """What was taken out is what was expected: it goes to the trash, and the folder it emptied goes."""
    at.left(at=None, staged=OLD_BYTES)
    (at.root / "d").mkdir()
    landed = at.settle(at.discard())
    assert (landed.happened, landed.placed.trashed_digest) == (True, at.digest(OLD_BYTES))
    assert (at.trashed(), names(at.root), at.tmp()) == ([OLD_BYTES], [".dorky"], [])


def test_a_discard_that_took_newer_bytes_gives_them_back(at: Killed) -> None:
    """An edit beats a deletion: the place is free, the file returns to it (R03)."""
    at.left(at=None, staged=EDIT)
    assert at.settle(at.discard()) == Landed(False, Placed(restored=True), False)
    assert (at.read(F), at.trashed(), at.tmp()) == (EDIT, [], [])


def test_a_discard_that_took_newer_bytes_whose_place_is_taken(at: Killed) -> None:
    """Saved once more since: both edits stay, one of them as a conflict copy."""
    at.left(at=NEW_BYTES, staged=EDIT)
    assert at.settle(at.discard()) == Landed(False, Placed(copy=at.copy_of(EDIT)), False)
    assert (at.read(F), at.read(at.copy_of(EDIT)), at.trashed()) == (NEW_BYTES, EDIT, [])


def test_a_discard_of_newer_bytes_that_have_a_copy_already(at: Killed) -> None:
    """The copy that is there is reused: nothing happened to base, and no byte is lost."""
    at.left(at=NEW_BYTES, staged=EDIT)
    at.write(at.copy_of(EDIT), EDIT)
    landed = at.settle(at.discard())
    assert (landed.happened, landed.placed.copy) == (False, at.copy_of(EDIT))
    assert at.trashed() == [EDIT]


@pytest.mark.parametrize("row", ["install", "discard"])
def test_settling_twice_changes_nothing_more(at: Killed, row: str) -> None:
    """A kill while settling leaves what settling again understands."""
    at.left(at=NEW_BYTES, staged=EDIT)
    install = at.install() if row == "install" else at.discard()
    at.settle(install)
    files = {name: at.read(f"d/{name}") for name in names(at.root / "d")}
    again = at.settle(install)
    assert again.placed == Placed()
    assert {name: at.read(f"d/{name}") for name in names(at.root / "d")} == files
    assert EDIT in files.values()


# --- exchanges in steps: file systems that cannot trade two names at once ----------------------------------------------


@pytest.mark.parametrize("keep_both", [False, True])
@pytest.mark.parametrize("displaced", [OLD_BYTES, EDIT])
def test_killed_with_the_file_taken_out_and_nothing_in_its_place(at: Killed, displaced: bytes, keep_both: bool) -> None:
    """The first step alone: the file goes back, and nothing has happened."""
    at.left(at=None, staged=NEW_BYTES, out=displaced)
    landed = at.settle(at.install(keep_both=keep_both))
    assert landed == Landed(False, Placed(restored=True), True)
    assert (at.read(F), at.tmp(), at.trashed()) == (displaced, [STAGED], [])


@pytest.mark.parametrize(("displaced", "keep_both"), [(EDIT, False), (OLD_BYTES, True)])
def test_killed_with_both_swapped_and_the_displaced_file_not_renamed(
    at: Killed, displaced: bytes, keep_both: bool
) -> None:
    """All steps but the last: what came out is a person's edit and becomes a conflict copy."""
    at.left(at=NEW_BYTES, staged=None, out=displaced)
    copy = at.copy_of(displaced)
    assert at.settle(at.install(keep_both=keep_both)) == Landed(
        True, Placed(copy=copy, copied=at.digest(displaced)), False
    )
    assert (at.read(F), at.read(copy), at.tmp()) == (NEW_BYTES, displaced, [])


def test_killed_with_both_swapped_and_what_was_expected_not_renamed(at: Killed) -> None:
    """What was expected to come out goes to the trash."""
    at.left(at=NEW_BYTES, staged=None, out=OLD_BYTES)
    landed = at.settle(at.install())
    assert (landed.happened, landed.placed.trashed_digest) == (True, at.digest(OLD_BYTES))
    assert (at.trashed(), at.tmp()) == ([OLD_BYTES], [])


def test_killed_with_the_file_taken_out_and_its_place_taken_since(at: Killed) -> None:
    """Somebody saved under the free name: that stays, what was taken out becomes a copy, nothing was installed."""
    at.left(at=b"third", staged=NEW_BYTES, out=EDIT)
    assert at.settle(at.install()) == Landed(False, Placed(copy=at.copy_of(EDIT), copied=at.digest(EDIT)), True)
    assert (at.read(F), at.read(at.copy_of(EDIT)), at.tmp()) == (b"third", EDIT, [STAGED])


def test_the_steps_leave_what_these_tests_say(at: Killed, tmp_path: pathlib.Path) -> None:
    """`StepwiseRenames` itself, stopped after its first step, leaves the displaced file where recovery looks."""

    class Kill(BaseException):
        pass

    class Stopped(StepwiseRenames):
        def place(self, staged: object, to: object) -> None:
            raise Kill

    slow = Fixture(tmp_path / "slow", Stopped())
    old = slow.write(F, OLD_BYTES)
    slow.stage(STAGED, NEW_BYTES)
    with pytest.raises(Kill):
        slow.folder.swap_in(STAGED, F, old)
    transfer = Transfer(MemoryBucket(), slow.folder, SimClock("pc"), "pc")
    slow = Fixture(tmp_path / "slow")
    assert settle_install(at.install(), slow.folder, transfer=transfer).happened is False
    assert slow.read(F) == OLD_BYTES
