"""The sync table: each row, and what must hold of all of them together.

Rows name a side by what happened to it since base: `same`, `edited`, `gone`. The properties run a small model of two
devices over one bucket through every state there is, consistent or not. That they are strong enough is shown by running
wrong tables through them: each must violate one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import pytest

from dorkyd.core.model import (
    Action,
    Adopt,
    Base,
    DeleteLocal,
    DeleteRemote,
    Digest,
    Download,
    Fetch,
    Forget,
    KeepBoth,
    Local,
    Look,
    PatchMode,
    Path,
    Remote,
    SetMode,
    Upload,
    Version,
)
from dorkyd.core.reconcile import content_of, merged_mode, reconcile
from tests.core.sides import NEW, OLD, OP, OTHER, V1, V2, a_base, a_local, a_remote, foreign, listed

F = Path("f")
BASE = a_base()
SAME, EDITED = a_local(OLD), a_local(NEW)
OBJECT, EDITED_OBJECT = a_remote(OLD, V1), a_remote(OTHER, V2)
EQUAL_OBJECT = a_remote(NEW, V2)


def decide(base: Base | None, local: Local | None, remote: Remote | None) -> Action | None:
    """The row's answer for the path `f`."""
    return reconcile(F, base, local, remote)


# --- the rows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("local", "remote", "expected"),
    [
        pytest.param(SAME, OBJECT, None, id="same same"),
        pytest.param(SAME, EDITED_OBJECT, Download(F, EDITED_OBJECT, SAME, 0o644), id="same edited"),
        pytest.param(SAME, None, DeleteLocal(F, SAME, BASE), id="same gone"),
        pytest.param(EDITED, OBJECT, Upload(F, EDITED, OBJECT, 0o644), id="edited same"),
        pytest.param(EDITED, EDITED_OBJECT, KeepBoth(F, EDITED, EDITED_OBJECT, 0o644), id="edited edited"),
        pytest.param(EDITED, EQUAL_OBJECT, Adopt(F, EDITED, EQUAL_OBJECT, 0o644), id="edited equally"),
        pytest.param(EDITED, None, Upload(F, EDITED, None, 0o644), id="edited gone"),
        pytest.param(None, OBJECT, DeleteRemote(F, V1, BASE), id="gone same"),
        pytest.param(None, EDITED_OBJECT, Download(F, EDITED_OBJECT, None, 0o644), id="gone edited"),
        pytest.param(None, None, Forget(F), id="gone gone"),
    ],
)
def test_the_table_with_a_base(local: Local | None, remote: Remote | None, expected: Action | None) -> None:
    """Every cell of the table, where both sides agreed once."""
    assert decide(BASE, local, remote) == expected


@pytest.mark.parametrize(
    ("local", "remote", "expected"),
    [
        pytest.param(EDITED, EQUAL_OBJECT, Adopt(F, EDITED, EQUAL_OBJECT, 0o644), id="equal (B17)"),
        pytest.param(EDITED, EDITED_OBJECT, KeepBoth(F, EDITED, EDITED_OBJECT, 0o644), id="unequal (B18)"),
        pytest.param(EDITED, None, Upload(F, EDITED, None, 0o644), id="only here (B19)"),
        pytest.param(None, OBJECT, Download(F, OBJECT, None, 0o644), id="only there"),
        pytest.param(None, None, None, id="nowhere"),
    ],
)
def test_the_table_without_a_base(local: Local | None, remote: Remote | None, expected: Action | None) -> None:
    """Without a base, present reads as edited and absent as same: nothing is ever deleted."""
    assert decide(None, local, remote) == expected


def test_a_revert_is_no_edit() -> None:
    """A file edited and put back reads as same, whatever its times say (B05)."""
    reverted = a_local(OLD, mtime_ns=99)
    assert decide(BASE, reverted, EDITED_OBJECT) == Download(F, EDITED_OBJECT, reverted, 0o644)


def test_a_touch_moves_nothing() -> None:
    """Times are carried, never compared (A07)."""
    assert decide(BASE, a_local(OLD, mtime_ns=12345), replace(OBJECT, mtime_ns=1)) is None


def test_a_rewritten_object_with_equal_bytes_is_adopted() -> None:
    """Other version, same digest: base learns the version and no bytes move (H08)."""
    rewritten = a_remote(OLD, V2)
    assert decide(BASE, SAME, rewritten) == Adopt(F, SAME, rewritten, 0o644)


def test_a_deletion_takes_exactly_the_state_looked_at() -> None:
    """An object rewritten with base's own bytes is deleted under its new version, never the old one."""
    assert decide(BASE, None, a_remote(OLD, V2)) == DeleteRemote(F, V2, BASE)


# --- permission bits -------------------------------------------------------------------------------------------------

EXEC, SHUT, PLAIN = 0o755, 0o600, 0o644


@pytest.mark.parametrize(
    ("base", "local", "remote", "merged"),
    [
        pytest.param(PLAIN, PLAIN, PLAIN, PLAIN, id="same same"),
        pytest.param(PLAIN, EXEC, PLAIN, EXEC, id="changed here"),
        pytest.param(PLAIN, PLAIN, EXEC, EXEC, id="changed there"),
        pytest.param(PLAIN, EXEC, EXEC, EXEC, id="changed alike"),
        pytest.param(PLAIN, EXEC, SHUT, SHUT, id="changed on both: the object's"),
        pytest.param(PLAIN, PLAIN, None, PLAIN, id="the object does not say: as base"),
        pytest.param(PLAIN, EXEC, None, EXEC, id="changed here, the object does not say"),
        pytest.param(None, EXEC, SHUT, SHUT, id="never agreed: the object's"),
        pytest.param(None, EXEC, None, EXEC, id="nobody says: the file's"),
    ],
)
def test_permission_bits_are_a_three_way_field(base: int | None, local: int, remote: int | None, merged: int) -> None:
    """A side that changed alone wins; changed on both, or never agreed on, the object's win."""
    assert merged_mode(a_base(mode=base), a_local(mode=local), a_remote(mode=remote)) == merged


def test_without_a_base_the_objects_bits_win() -> None:
    """A lost database takes the bits of the bucket."""
    assert merged_mode(None, a_local(mode=EXEC), a_remote(mode=SHUT)) == SHUT


@pytest.mark.parametrize(
    ("local", "remote", "expected"),
    [
        pytest.param(EXEC, PLAIN, PatchMode, id="here: a metadata copy (A10)"),
        pytest.param(PLAIN, EXEC, SetMode, id="there: set on the file"),
        pytest.param(EXEC, SHUT, SetMode, id="both: the object's"),
        pytest.param(EXEC, None, PatchMode, id="here, the object does not say"),
        pytest.param(PLAIN, None, None, id="unchanged, the object does not say"),
        pytest.param(EXEC, EXEC, Adopt, id="alike"),
    ],
)
def test_bits_alone_move_no_bytes(local: int, remote: int | None, expected: type[Action] | None) -> None:
    """With equal content only the bits are settled."""
    action = decide(BASE, a_local(mode=local), a_remote(mode=remote))
    assert (type(action) if action is not None else None) is expected


def test_an_edit_of_theirs_leaves_bits_changed_here() -> None:
    """New content comes with the bits of the side that changed them: a chmod here survives (A11)."""
    here = a_local(mode=0o744)
    assert decide(BASE, here, EDITED_OBJECT) == Download(F, EDITED_OBJECT, here, 0o744)


def test_an_edit_of_ours_leaves_bits_changed_there() -> None:
    """The object keeps bits that a teammate set while we edited the content."""
    there = a_remote(OLD, V2, EXEC)
    assert decide(BASE, EDITED, there) == Upload(F, EDITED, there, EXEC)


def test_the_loser_takes_its_bits_along() -> None:
    """The name gets the object's bits when both were edited; the file's own go with its copy."""
    assert decide(BASE, a_local(NEW, EXEC), EDITED_OBJECT) == KeepBoth(F, a_local(NEW, EXEC), EDITED_OBJECT, PLAIN)


def test_nobody_says_the_bits() -> None:
    """A new foreign object comes with the file system's default."""
    assert decide(None, None, foreign(digest=OLD)) == Download(F, foreign(digest=OLD), None, None)


# --- what is not known -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "local", "remote", "expected"),
    [
        pytest.param(BASE, SAME, listed(V1), None, id="listed in base's version: nothing to ask"),
        pytest.param(BASE, EDITED, listed(V1), Upload(F, EDITED, listed(V1), 0o644), id="an edit over base's version"),
        pytest.param(BASE, None, listed(V1), DeleteRemote(F, V1, BASE), id="gone, listed in base's version"),
        pytest.param(BASE, SAME, listed(V2), Look(F), id="listed in another version: its metadata may tell"),
        pytest.param(BASE, None, listed(V2), Look(F), id="gone here, another version there"),
        pytest.param(None, EDITED, listed(V2, size=3), Look(F), id="new to us, the sizes agree: it may be equal"),
        pytest.param(None, EDITED, listed(V2, size=4), Fetch(F, listed(V2, size=4)), id="new, other size: not equal"),
        pytest.param(None, None, listed(V2), Fetch(F, listed(V2)), id="new and not here: its bytes are wanted anyway"),
        pytest.param(BASE, SAME, foreign(V2), Fetch(F, foreign(V2)), id="foreign: only its bytes can tell (H09)"),
        pytest.param(BASE, None, foreign(V2), Fetch(F, foreign(V2)), id="foreign, gone here"),
        pytest.param(BASE, SAME, foreign(V1), None, id="foreign, in base's version"),
        pytest.param(
            BASE, SAME, foreign(V2, NEW), Download(F, foreign(V2, NEW), SAME, 0o644), id="foreign, its bytes fetched"
        ),
        pytest.param(
            BASE, SAME, foreign(V2, OLD), Adopt(F, SAME, foreign(V2, OLD), 0o644), id="foreign, equal bytes fetched"
        ),
    ],
)
def test_what_is_unknown_is_asked_only_where_it_matters(
    base: Base | None, local: Local | None, remote: Remote, expected: Action | None
) -> None:
    """One HEAD where metadata may spare the body, the bytes where only they can tell, else neither."""
    assert decide(base, local, remote) == expected


def test_a_base_without_a_version_vouches_for_no_object() -> None:
    """Of what we wrote only the content is known: an object without a digest must be asked about."""
    unsure = a_base(version=None)
    assert content_of(listed(V1), unsure) is None
    assert decide(unsure, SAME, listed(V1)) == Look(F)
    assert decide(unsure, SAME, OBJECT) == Adopt(F, SAME, OBJECT, 0o644)
    assert decide(unsure, None, OBJECT) == DeleteRemote(F, V1, unsure)
    assert decide(unsure, SAME, None) == DeleteLocal(F, SAME, unsure)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [(5, 5, None), (5, 6, Look(F)), (5, None, None), (None, 6, Adopt)],
)
def test_another_last_modified_is_looked_at(
    before: int | None, now: int | None, expected: Action | type[Action] | None
) -> None:
    """A self-copy keeps the ETag and may have changed the metadata: a HEAD tells. Unknown matches anything."""
    action = decide(a_base(modified=before), SAME, listed(V1, modified=now))
    assert action == expected or type(action) is expected


def test_a_last_modified_that_was_looked_at_is_settled() -> None:
    """After the look the question is answered: base takes the new hint, nothing is asked twice."""
    now = a_remote(modified=6)
    assert decide(a_base(modified=5), SAME, now) == Adopt(F, SAME, now, 0o644)
    assert decide(a_base(modified=6), SAME, now) is None


# --- the model -------------------------------------------------------------------------------------------------------

Decide = Callable[[Base | None, Local | None, Remote | None], Action | None]
"""A table: three sides in, an action out. The object comes whole; a table that asks does so inside."""


class Violation(Exception):
    """A property does not hold."""


@dataclass
class Device:
    base: Base | None
    local: Local | None


@dataclass
class World:
    """Two devices, one object, and the conflict copies made so far. Effects are what `carrying` records of them."""

    devices: tuple[Device, Device]
    remote: Remote | None
    copies: list[Digest] = field(default_factory=list)
    writes: int = 100

    @property
    def contents(self) -> list[Digest | None]:
        sides = [device.local.digest if device.local else None for device in self.devices]
        return [*sides, self.remote.digest if self.remote else None]

    @property
    def modes(self) -> set[int | None]:
        sides = (*(device.local for device in self.devices), self.remote)
        return {side.mode for side in sides if side is not None and side.mode is not None}

    def settle(self, table: Decide) -> None:
        """Let the devices take turns until neither has anything to do."""
        for _ in range(12):
            first, second = (self.step(device, table) for device in self.devices)
            if not first and not second:
                return
        raise Violation("never comes to rest")

    def step(self, device: Device, table: Decide) -> bool:
        action = table(device.base, device.local, self.remote)
        if action is None:
            return False
        self.apply(device, action)
        return True

    def apply(self, device: Device, action: Action) -> None:
        local, remote = device.local, self.remote
        equal = local is not None and remote is not None and local.digest == remote.digest
        match action:
            case Upload(mode=mode) if local is not None and not equal:
                self.writes += 1
                self.remote = Remote(Version(str(self.writes)), 3, local.digest, mode, op=OP)
                device.base = Base(local.digest, 3, self.remote.version, local.mode)
            case Download(mode=mode) | KeepBoth(mode=mode) if remote is not None and not equal:
                assert remote.digest is not None
                if isinstance(action, KeepBoth):
                    if local is None:
                        raise Violation("nothing to copy")
                    self.copies.append(local.digest)
                device.local = a_local(remote.digest, 0o644 if mode is None else mode)
                agreed = mode if remote.mode is None else remote.mode
                device.base = Base(remote.digest, 3, remote.version, agreed)
            # A deletion answers a deletion, whose absence was proven: never a way to replace something.
            case DeleteLocal() if local is not None and remote is None:
                device.local = device.base = None
            case DeleteRemote() if remote is not None and local is None:
                self.remote = device.base = None
            case Forget() if local is None and remote is None:
                device.base = None
            case Adopt(mode=mode) if equal and local is not None and remote is not None:
                device.base = Base(local.digest, 3, remote.version, mode)
            case SetMode(mode=mode) if equal and local is not None and remote is not None:
                device.local = replace(local, mode=mode)
                device.base = Base(local.digest, 3, remote.version, mode)
            case PatchMode(mode=mode) if equal and local is not None and remote is not None:
                self.writes += 1
                self.remote = replace(remote, version=Version(str(self.writes)), mode=mode, op=OP)
                device.base = Base(local.digest, 3, self.remote.version, local.mode)
            case _:
                raise Violation(f"{type(action).__name__} where it cannot be, or bytes moved between equal sides")


def copied(world: World) -> World:
    """The same state, to be carried on from."""
    first, second = (replace(device) for device in world.devices)
    return World((first, second), world.remote, [], world.writes)


def check(world: World, table: Decide) -> None:
    """From any state: all sides end equal, and no content that nobody agreed on is lost."""
    agreed = {device.base.digest for device in world.devices if device.base is not None}
    edited = {content for content in world.contents if content is not None} - agreed
    world.settle(table)
    live = set(world.contents)
    if len(live) != 1 or len(world.modes) > 1:
        raise Violation("the sides differ")
    if not edited <= live | set(world.copies):
        raise Violation("edited content is lost")


def check_lone_changes(rest: World, table: Decide) -> None:
    """From a state at rest: whatever one side then does alone is what all have afterwards, without a copy."""
    for side, content in itertools.product(range(3), (None, OLD, NEW, OTHER)):
        world = copied(rest)
        if content == world.contents[side]:
            continue
        if side < 2:
            world.devices[side].local = None if content is None else a_local(content)
        else:
            world.remote = None if content is None else a_remote(content, Version("lone"))
        world.settle(table)
        if set(world.contents) != {content} or world.copies:
            raise Violation("a lone change did not win")


def at_rest() -> Iterator[World]:
    """Every agreed state."""
    for content in (None, OLD, NEW, OTHER):
        base = a_base(content) if content else None
        local = a_local(content) if content else None
        yield World((Device(base, local), Device(base, local)), a_remote(content) if content else None)


def any_state(
    contents: Iterable[Digest], versions: Iterable[Version | None], *, rewritten: bool = True
) -> Iterator[World]:
    """Every state of two bases, two files and an object: also those that no history leads to. `rewritten`: with
    objects that hold base's content under another version.
    """
    contents, versions = list(contents), list(versions)
    locals_ = [None, *(a_local(content) for content in contents)]
    for remote in (None, *(a_remote(content) for content in contents)):
        bases = [
            None,
            *(
                a_base(content, version)
                for content, version in itertools.product(contents, versions)
                # A version names one state, so base cannot have other content under the object's version.
                if remote is None
                or (version == remote.version) == (content == remote.digest)
                or (rewritten and version != remote.version)
            ),
        ]
        for base_1, local_1, base_2, local_2 in itertools.product(bases, locals_, bases, locals_):
            yield World((Device(base_1, local_1), Device(base_2, local_2)), remote)


def hold_all(table: Decide, states: Iterable[World]) -> None:
    """All properties, from every agreed state and from all others."""
    for world in at_rest():
        check_lone_changes(world, table)
    rested: set[str] = set()
    for world in states:
        check(world, table)
        rest = repr((world.devices, world.remote and replace(world.remote, version=V1)))
        if rest not in rested:
            rested.add(rest)
            check_lone_changes(world, table)


# --- the properties --------------------------------------------------------------------------------------------------


def asking(*, first: Callable[[Remote], Remote], on_look: Callable[[Remote], Remote]) -> Decide:
    """The real table, told of the object only what a listing, then a look, then a fetch would tell."""

    def table(base: Base | None, local: Local | None, truth: Remote | None) -> Action | None:
        if truth is None:
            return decide(base, local, None)
        known = first(truth)
        for _ in range(3):
            action = decide(base, local, known)
            match action:
                case Look():
                    known = on_look(truth)
                case Fetch():
                    known = replace(on_look(truth), digest=truth.digest)
                case _:
                    return action
        raise Violation("asks again and again")

    return table


def as_listed(truth: Remote) -> Remote:
    """What a listing tells."""
    return listed(truth.version)


def as_foreign(truth: Remote) -> Remote:
    """What a look tells of another tool's object."""
    return foreign(truth.version)


def as_it_is(truth: Remote) -> Remote:
    """What a look tells of a device's object."""
    return truth


@pytest.mark.parametrize(
    ("first", "on_look"),
    [
        pytest.param(as_it_is, as_it_is, id="looked at"),
        pytest.param(as_listed, as_it_is, id="listed"),
        pytest.param(as_listed, as_foreign, id="listed, foreign"),
    ],
)
def test_from_every_state_both_sides_end_equal_nothing_edited_is_lost_and_a_lone_change_wins(
    first: Callable[[Remote], Remote], on_look: Callable[[Remote], Remote]
) -> None:
    """The three promises of the table, from every state that three contents and two devices can be in."""
    hold_all(asking(first=first, on_look=on_look), any_state((OLD, NEW, OTHER), (V1, V2, None)))


def test_permission_bits_come_to_rest_equal_from_every_state() -> None:
    """Bits and content together: the sides end equal in both, and nothing edited is lost."""
    modes = (PLAIN, EXEC)
    contents = (OLD, NEW)
    locals_ = [None, *(a_local(c, m) for c in contents for m in modes)]
    bases = [None, *(a_base(c, V2, m) for c in contents for m in (*modes, None))]
    objects = [None, *(a_remote(c, V1, m) for c in contents for m in (*modes, None))]
    for remote, base_1, local_1, base_2, local_2 in itertools.product(objects, bases, locals_, bases, locals_):
        world = World((Device(base_1, local_1), Device(base_2, local_2)), remote)
        if remote is not None and remote.mode is None:
            # Another tool's object says nothing of bits: each device keeps its own until somebody changes them.
            world.settle(decide)
            assert len(set(world.contents)) == 1
        else:
            check(world, decide)


@pytest.mark.parametrize("side", range(3))
def test_a_lone_change_of_bits_wins(side: int) -> None:
    """Whoever changes the bits alone, all have them afterwards, and no bytes moved."""
    device = Device(a_base(), a_local())
    world = World((device, replace(device)), a_remote())
    if side < 2:
        world.devices[side].local = a_local(mode=EXEC)
    else:
        world.remote = a_remote(version=V2, mode=EXEC)
    world.settle(decide)
    assert world.modes == {EXEC}
    assert world.contents == [OLD] * 3


def test_bits_and_content_changed_on_different_sides_both_win() -> None:
    """A chmod here and an edit there are no conflict, in either direction."""
    for mine, theirs in ((a_local(mode=EXEC), a_remote(NEW, V2)), (a_local(NEW), a_remote(OLD, V2, EXEC))):
        world = World((Device(a_base(), mine), Device(a_base(), a_local())), theirs)
        world.settle(decide)
        assert (world.modes, set(world.contents), world.copies) == ({EXEC}, {NEW}, [])


# --- the strength of the properties ----------------------------------------------------------------------------------

Cell = tuple[str, str]
"""Local and remote, in the table's words."""

ACTIONS: dict[str, Callable[[Base | None, Local | None, Remote | None], Action | None]] = {
    "nothing": lambda _base, _local, _remote: None,
    "Adopt": lambda _base, local, remote: Adopt(F, local, remote, PLAIN),  # type: ignore[arg-type]
    "Upload": lambda _base, local, remote: Upload(F, local, remote, PLAIN),  # type: ignore[arg-type]
    "Download": lambda _base, local, remote: Download(F, remote, local, PLAIN),  # type: ignore[arg-type]
    "KeepBoth": lambda _base, local, remote: KeepBoth(F, local, remote, PLAIN),  # type: ignore[arg-type]
    "DeleteLocal": lambda base, local, _remote: DeleteLocal(F, local, base),  # type: ignore[arg-type]
    "DeleteRemote": lambda base, _local, _remote: DeleteRemote(F, V1, base),  # type: ignore[arg-type]
    "Forget": lambda _base, _local, _remote: Forget(F),
}

TABLE: dict[Cell, str] = {
    ("same", "same"): "nothing",
    ("same", "edited"): "Download",
    ("same", "gone"): "DeleteLocal",
    ("edited", "same"): "Upload",
    ("edited", "edited"): "KeepBoth",
    ("edited", "equal"): "Adopt",
    ("edited", "gone"): "Upload",
    ("gone", "same"): "DeleteRemote",
    ("gone", "edited"): "Download",
    ("gone", "gone"): "Forget",
    ("new", "never"): "Upload",
    ("never", "new"): "Download",
    ("new", "new"): "KeepBoth",
    ("new", "equal"): "Adopt",
    ("never", "never"): "nothing",
}
"""The table as DESIGN.md draws it, with the cells that a missing base makes."""


def cell(base: Base | None, local: Local | None, remote: Remote | None) -> Cell:
    """Where in the table three sides stand."""
    equal = local is not None and remote is not None and local.digest == remote.digest
    if base is None:
        return "new" if local else "never", "equal" if equal else "new" if remote else "never"
    here = "gone" if local is None else "same" if local.digest == base.digest else "edited"
    there = "gone" if remote is None else "same" if remote.digest == base.digest else "edited"
    if equal and here == "edited":
        there = "equal"
    return here, there


def tabled(table: dict[Cell, str]) -> Decide:
    """A table as a decision."""
    return lambda base, local, remote: ACTIONS[table[cell(base, local, remote)]](base, local, remote)


def few_states() -> Iterator[World]:
    """Enough states to tell tables apart: a version more or less is no cell of the table."""
    return any_state((OLD, NEW, OTHER), (V1, V2), rewritten=False)


WRONG = [(where, action) for where, right in TABLE.items() for action in ACTIONS if action != right]


def test_the_drawn_table_holds_and_is_the_real_one() -> None:
    """The table that the wrong ones are made from is right, and says what `reconcile` says in every state."""
    drawn = tabled(TABLE)
    hold_all(drawn, few_states())
    for world in few_states():
        device = world.devices[0]
        assert decide(device.base, device.local, world.remote) == drawn(device.base, device.local, world.remote)


def test_there_are_enough_wrong_tables() -> None:
    """Each cell with each other action, so that no cell goes unproven."""
    assert len(WRONG) == len(TABLE) * (len(ACTIONS) - 1) >= 100


@pytest.mark.parametrize(("where", "action"), WRONG, ids=["/".join(w) + f" -> {a}" for w, a in WRONG])
def test_a_wrong_table_is_caught(where: Cell, action: str) -> None:
    """With any one cell wrong some property is violated: the properties pin the table down."""
    with pytest.raises(Violation):
        hold_all(tabled({**TABLE, where: action}), few_states())


def test_deleting_everything_is_caught() -> None:
    """All sides equal is also reached by deleting everything, and is not enough."""

    def table(base: Base | None, local: Local | None, remote: Remote | None) -> Action | None:
        if local is not None:
            return DeleteLocal(F, local, base or a_base())
        return DeleteRemote(F, remote.version, base or a_base()) if remote is not None else None

    with pytest.raises(Violation, match=r"lone change|lost"):
        hold_all(table, few_states())


def test_the_model_counts_wrong_merges_of_bits() -> None:
    """A table that forgets to set, or to patch, permission bits is caught by the model too."""
    for forgotten in (SetMode, PatchMode):
        world = World((Device(a_base(), a_local(mode=EXEC)), Device(a_base(), a_local(mode=EXEC))), a_remote())
        if forgotten is SetMode:
            world = World((Device(a_base(), a_local()), Device(a_base(), a_local())), a_remote(mode=EXEC, version=V2))

        def table(
            base: Base | None, local: Local | None, remote: Remote | None, forgotten: type[Action] = forgotten
        ) -> Action | None:
            action = decide(base, local, remote)
            return None if isinstance(action, forgotten) else action

        with pytest.raises(Violation, match="differ"):
            check(world, table)
