"""The journal: what is remembered, what a mark means, and what a listing may and may not change."""

from __future__ import annotations

import os
import pathlib
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from dorkyd import schema
from dorkyd.core.model import Base, Digest, Op, Path, Problem, Remote, StatTuple, Version
from dorkyd.dirfd import stat_tuple
from dorkyd.errors import NewerSchema
from dorkyd.journal import IS_SEALED, RACY_NS, Dirty, Journal
from dorkyd.ledger import Displaced, Event, Fetched, Install, Intent
from dorkyd.ports import AHEAD_NS, Entry, Known

A, B, C = (Digest("sha256:" + letter * 64) for letter in "abc")
F, G, H = Path("d/f"), Path("d/g"), Path("h")
OP = Op("0" * 32)
REMOTE = Remote(Version("1"), 3, A, 0o644, 7, 5, OP, (Op("1" * 32), Op("2" * 32)), "pc")
BASE = Base(A, 3, Version("1"), 0o644, 5)
KNOWN = Known(StatTuple(3, 1, 2, 4), A, 10 * RACY_NS)


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    """Where the journal is."""
    return tmp_path / "journals" / "replica.db"


@pytest.fixture
def journal(file: pathlib.Path) -> Iterator[Journal]:
    """A new one."""
    made = Journal(file)
    yield made
    made.close()


def listed(version: str = "1", modified: int | None = None) -> Remote:
    """An object as a listing tells it."""
    return Remote(Version(version), 3, modified=modified, looked=False)


def marks(journal: Journal) -> dict[Path, bool]:
    """Dirty paths, and whether the bucket must be asked."""
    return {row.path: row.remote for row in journal.dirty(100)}


# --- the file --------------------------------------------------------------------------------------------------------


def test_everything_is_there_after_reopening(file: pathlib.Path) -> None:
    """Each table gives back what it was given."""
    install = Install("install", F, "s1", A, Version("1"), 3, 0o644, 5, B, True, 7)
    intent = Intent(OP, G, "put", A, 3, 0o644, Version("0"), False, 9)
    displaced = Displaced("t1", F, A, 3, Version("1"), 5, 1)
    first = Journal(file)
    with first.atomic():
        first.put("key", "value")
        first.mark([F], remote=True)
        first.set_base(F, BASE)
        first.set_remote(F, REMOTE)
        first.set_known(F, KNOWN)
        first.ledger.intend([intent])
        first.ledger.installing([install])
        first.ledger.set_fetched(Fetched("s1", F, Version("1"), None))
        first.ledger.displace(displaced)
        first.ledger.log(8, [Event("upload", F, "pc", A, 3, Version("1"), "note")])
        first.ledger.set_problem(Problem(G, "symlink", "is a link", "replace it"))
        first.ledger.approve([(F, Version("1"))])
        first.ledger.count_deletion(4, "local", F)
    first.close()
    again = Journal(file)
    assert again.get("key") == "value"
    assert marks(again) == {F: True}
    assert (again.base(F), again.remote(F), again.known(F)) == (BASE, REMOTE, KNOWN)
    (found_intent,) = again.ledger.open_intents(G)
    assert (found_intent.op, found_intent.path, found_intent.replaces) == (OP, G, Version("0"))
    (found_install,) = again.ledger.open_installs()
    assert found_install == Install("install", F, "s1", A, Version("1"), 3, 0o644, 5, B, True, 7, id=found_install.id)
    assert again.ledger.all_fetched() == [Fetched("s1", F, Version("1"), None)]
    assert again.ledger.displaced() == [displaced]
    assert again.ledger.problems() == [(Problem(G, "symlink", "is a link", "replace it"), 1)]
    assert again.ledger.is_approved((F, Version("1")))
    assert again.ledger.deletions_since(4, "local") == 1


@pytest.mark.parametrize("inode", [2**63 - 1, 2**63, 2**64 - 1])
def test_whatever_a_file_system_calls_its_files_is_remembered(journal: Journal, inode: int) -> None:
    """Inodes of 64 bits, as of mergerfs, where half of them are beyond what a database takes for a number."""
    info = os.stat_result((0o644, inode, 1, 1, 0, 0, 3, 1, 1, 1), {"st_mtime_ns": 2**70, "st_ctime_ns": 7})
    other = os.stat_result((0o644, inode - 1, 1, 1, 0, 0, 3, 1, 1, 1), {"st_mtime_ns": 2**70, "st_ctime_ns": 7})
    known = Known(stat_tuple(info), A, 9)
    journal.set_known(F, known)
    assert journal.known(F) == known
    assert stat_tuple(info) != stat_tuple(other)


def test_unknown_fields_come_back_unknown(journal: Journal) -> None:
    """None stays None, and a listing's row stays one."""
    journal.set_base(F, Base(A, 3, None, None))
    journal.set_remote(F, listed())
    assert (journal.base(F), journal.remote(F)) == (Base(A, 3, None, None), listed())


def test_forgetting(journal: Journal) -> None:
    """None takes a row away; what never was is None."""
    journal.put("key", "value")
    journal.set_base(F, BASE)
    journal.set_remote(F, REMOTE)
    journal.set_known(F, KNOWN)
    journal.put("key", None)
    journal.set_base(F, None)
    journal.set_remote(F, None)
    journal.set_known(F, None)
    assert (journal.get("key"), journal.base(F), journal.remote(F), journal.known(F)) == (None, None, None, None)


def test_the_database_is_as_safe_as_it_must_be(file: pathlib.Path, journal: Journal) -> None:
    """WAL, and a sync at every commit; readable by its owner alone."""
    assert journal._conn.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert journal._conn.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_a_newer_schema_is_refused_and_nothing_written(file: pathlib.Path, journal: Journal) -> None:
    """A downgrade stops with the remedy; the newer journal stays as it was, byte for byte (G18)."""
    journal._conn.execute(
        "INSERT INTO _sqlite_migrations (migration_set, name, applied_at)"
        " VALUES ('dorkyd.journal', 'm9999_later', '2030-01-01')"
    )
    journal._conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    journal.close()
    before = file.read_bytes()
    with pytest.raises(NewerSchema, match="m9999_later") as refused:
        Journal(file)
    assert refused.value.hint
    assert file.read_bytes() == before


@pytest.mark.parametrize("damage", ["not a database", "torn page"])
def test_a_corrupt_file_is_a_database_error(file: pathlib.Path, journal: Journal, damage: str) -> None:
    """What SQLite cannot vouch for is refused at opening, so that it is rebuilt by hashing (G17)."""
    with journal.atomic():
        journal.mark([Path(f"d/{n:05}") for n in range(3000)])
    journal._conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    journal.close()
    whole = file.read_bytes()
    page = int.from_bytes(whole[16:18], "big")
    middle = len(whole) // page // 2 * page
    torn = whole[:middle] + b"\x5a" * page + whole[middle + page :]
    file.write_bytes(b"nonsense" * 1000 if damage == "not a database" else torn)
    with pytest.raises(sqlite3.DatabaseError):
        Journal(file)


def test_a_reading_connection_cannot_write(file: pathlib.Path, journal: Journal) -> None:
    """API threads read beside the engine, and only read."""
    journal.set_base(F, BASE)
    reading = schema.connect_readonly(file)
    assert reading.execute("SELECT path FROM base").fetchall() == [(F,)]
    with pytest.raises(sqlite3.OperationalError):
        reading.execute("DELETE FROM base")
    reading.close()
    with pytest.raises(sqlite3.OperationalError):
        schema.connect_readonly(file.with_name("none.db")).execute("SELECT 1")
    assert not file.with_name("none.db").exists()


def test_a_reader_sees_what_was_committed_alone(file: pathlib.Path, journal: Journal) -> None:
    """A batch that is under way is invisible until it is whole."""
    reading = schema.connect_readonly(file)
    with journal.atomic():
        journal.set_base(F, BASE)
        assert reading.execute("SELECT count(*) FROM base").fetchone() == (0,)
    assert reading.execute("SELECT count(*) FROM base").fetchone() == (1,)
    reading.close()


def test_atomic_is_all_or_nothing(journal: Journal) -> None:
    """An exception takes back everything of the block, in journal and ledger alike, and nothing before it."""
    journal.mark([G])

    def broken() -> None:
        with journal.atomic():
            journal.mark([F, G], remote=True)
            journal.set_base(F, BASE)
            journal.ledger.approve([(F, Version("1"))])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert marks(journal) == {G: False}
    assert journal.base(F) is None
    assert not journal.ledger.is_approved((F, Version("1")))
    with journal.atomic():
        journal.mark([F])
    assert F in marks(journal)


# --- marks -----------------------------------------------------------------------------------------------------------


def test_what_is_settled_is_clean(journal: Journal) -> None:
    """A mark goes when its path was settled."""
    journal.mark([F, G])
    journal.clean(journal.dirty_rows([F]))
    assert marks(journal) == {G: False}


def test_what_was_marked_again_meanwhile_stays_dirty(journal: Journal) -> None:
    """A change that arrives while a path is worked on is not lost with the older mark."""
    journal.mark([F])
    rows = journal.dirty(1)
    journal.mark([F])
    journal.clean(rows)
    assert F in marks(journal)
    journal.clean(journal.dirty(1))
    assert marks(journal) == {}


def test_a_mark_that_asks_for_the_bucket_survives_a_plain_one(journal: Journal) -> None:
    """A local event does not unsay that the object must be looked at."""
    journal.mark([F], remote=True)
    journal.mark([F])
    assert marks(journal) == {F: True}


def test_a_plain_mark_is_raised_by_one_that_asks(journal: Journal) -> None:
    """News of an object turns a local mark into one that asks."""
    journal.mark([F])
    journal.mark([F], remote=True)
    assert marks(journal) == {F: True}


def test_asking_answers_its_own_mark_alone(journal: Journal) -> None:
    """The bucket was asked under one mark; news that came since wants it asked again. Both stay dirty."""
    journal.mark([F, G], remote=True)
    rows = journal.dirty_rows([F, G])
    journal.mark([G], remote=True)
    journal.asked(rows)
    assert marks(journal) == {F: False, G: True}


def test_asking_again(journal: Journal) -> None:
    """After an absence every dirty path is asked about once more."""
    journal.mark([F, G])
    journal.ask_again()
    assert marks(journal) == {F: True, G: True}


def test_the_longest_marked_come_first(journal: Journal) -> None:
    """A path that changes all the time does not hold up the others; skipped ones are left out."""
    for path in (H, F, G):
        journal.mark([path])
    journal.mark([H])
    assert [row.path for row in journal.dirty(9)] == [F, G, H]
    assert [row.path for row in journal.dirty(1, skip=[F])] == [G]
    assert [row.path for row in journal.dirty(9)] == [F, G, H]
    assert journal.dirty_count() == 3


def test_marks_rise_across_restarts(file: pathlib.Path, journal: Journal) -> None:
    """A row of before the restart cannot clean a mark of after it."""
    journal.mark([F])
    journal.mark([F])
    row = journal.dirty(1)
    journal.close()
    again = Journal(file)
    again.mark([F])
    assert again.dirty(1)[0].mark > row[0].mark
    again.clean(row)
    assert F in marks(again)


def test_the_other_halves_of_moves(journal: Journal) -> None:
    """Dirty paths by the content that base gives them; clean ones are no halves."""
    for path in (F, G):
        journal.set_base(path, BASE)
    journal.set_base(H, Base(B, 3, Version("2"), None))
    journal.mark([F, H])
    assert [row.path for row in journal.dirty_with_content([A])] == [F]
    assert {row.path for row in journal.dirty_with_content([A, B])} == {F, H}
    assert journal.dirty_with_content([]) == []


# --- listings --------------------------------------------------------------------------------------------------------


def test_a_page_marks_what_is_new_or_other(journal: Journal) -> None:
    """Unknown keys, other versions and other times are marked; what is as known is not."""
    for path in (F, G, H):
        journal.set_remote(path, REMOTE)
    began = journal.listing_begins()
    new = Path("new")
    page = [(F, listed("1", 5)), (G, listed("2", 5)), (H, listed("1", 6)), (new, listed())]
    assert journal.listing_page(began, page) == [G, H, new]
    assert marks(journal) == {G: False, H: False, new: False}
    assert journal.remote(F) == REMOTE
    assert journal.remote(new) == listed()
    assert journal.listed_count() == 4


def test_nearly_all_of_a_page_is_as_known(journal: Journal) -> None:
    """What would change nothing is not told of: equal rows, rows learned since, times that one side does not know."""
    since, new = Path("since"), Path("new")
    for path in (F, G, H):
        journal.set_remote(path, REMOTE)
    began = journal.listing_begins()
    journal.set_remote(since, REMOTE)
    one = Version("1")
    page = [(F, one, 5), (G, Version("2"), 5), (H, one, 6), (new, one, 5), (since, Version("0"), 5)]
    assert journal.listing_shows(began, page) == [G, H, new]
    assert journal.listing_shows(began, [(F, one, None)]) == []
    assert journal.listing_shows(began, []) == []
    assert journal.listed_count() == 5


def test_a_page_of_two_keys_far_apart(journal: Journal) -> None:
    """However much is known between them, it is not read."""
    known = [Path(f"p{n:02}") for n in range(20)]
    for path in known:
        journal.set_remote(path, REMOTE)
    began = journal.listing_begins()
    page = [(known[0], Version("1"), 5), (known[19], Version("2"), 5), (Path("p11x"), Version("1"), 5)]
    assert journal.listing_shows(began, page) == [known[19], Path("p11x")]


def test_an_unknown_time_matches_any(journal: Journal) -> None:
    """Where either side does not know when, the version alone speaks."""
    journal.set_remote(F, REMOTE)
    journal.set_remote(G, listed("1"))
    began = journal.listing_begins()
    assert journal.listing_page(began, [(F, listed("1")), (G, listed("1", 9))]) == []


def test_a_replaced_row_remembers_the_op(journal: Journal) -> None:
    """Whether a later state still claims the old op tells a device's write from another tool's that kept our keys,
    however often it is listed before somebody looks.
    """
    journal.set_remote(F, REMOTE)
    for version in ("2", "3"):
        began = journal.listing_begins()
        journal.listing_page(began, [(F, listed(version))])
        assert journal.remote(F) == Remote(Version(version), 3, ancestry=(OP, *REMOTE.ancestry), looked=False)


def test_a_row_whose_metadata_alone_may_differ_keeps_its_op(journal: Journal) -> None:
    """The same version at another time is the same content: whoever claims its op may still have made it."""
    journal.set_remote(F, replace(REMOTE, modified=5))
    journal.listing_page(journal.listing_begins(), [(F, listed(REMOTE.version, 6))])
    row = journal.remote(F)
    assert row is not None
    assert (row.op, row.ancestry, row.looked) == (OP, REMOTE.ancestry, False)


def test_a_page_never_overwrites_what_was_learned_since(journal: Journal) -> None:
    """A listing shows the past: what a look or a write of ours told since it began stands."""
    journal.set_remote(F, REMOTE)
    began = journal.listing_begins()
    newer = Remote(Version("9"), 3, B, op=OP)
    journal.set_remote(F, newer)
    assert journal.listing_page(began, [(F, listed("1", 5))]) == []
    assert journal.remote(F) == newer
    assert marks(journal) == {}


def test_the_end_of_a_listing_names_what_it_did_not_show(journal: Journal) -> None:
    """Known objects and agreed paths that are missing; what was learned since it began is not."""
    only_base, seen, since = Path("only-base"), Path("seen"), Path("since")
    for path in (F, seen):
        journal.set_remote(path, REMOTE)
        journal.set_base(path, BASE)
    journal.set_base(only_base, BASE)
    journal.set_remote(G, REMOTE)
    began = journal.listing_begins()
    journal.listing_page(began, [(seen, listed("1", 5))])
    journal.set_remote(since, REMOTE)
    journal.set_base(since, BASE)
    assert set(journal.listing_ends(began)) == {F, G, only_base}
    assert marks(journal) == {}  # absence still needs proof
    assert journal.remote(F) == REMOTE


def test_a_listing_forgets_the_one_before(journal: Journal) -> None:
    """A listing that was given up says nothing in the next."""
    journal.set_remote(F, REMOTE)
    journal.listing_page(journal.listing_begins(), [(F, listed("1", 5))])
    assert journal.listing_ends(journal.listing_begins()) == [F]


def test_rows_rise_across_restarts(file: pathlib.Path, journal: Journal) -> None:
    """A listing begun after a restart is newer than every row of before it."""
    journal.set_remote(F, REMOTE)
    journal.close()
    again = Journal(file)
    began = again.listing_begins()
    assert again.listing_page(began, [(F, listed("2"))]) == [F]


# --- scans -----------------------------------------------------------------------------------------------------------


def scanned(journal: Journal, *entries: Entry, under: Path | None = None) -> tuple[list[Path], list[Path]]:
    """A whole scan that met these."""
    found = journal.scanned(sorted(entries), under)
    assert found.met == len(entries)
    return found.changed, found.missing


def agreed(journal: Journal, *paths: Path) -> None:
    """Files that were seen and synced."""
    for path in paths:
        journal.set_base(path, BASE)
        journal.set_known(path, KNOWN)


def entry(path: Path = F, **changed: int) -> Entry:
    """A file as `agreed` has it, with some of its stat changed."""
    said = {"size": 3, "mtime_ns": 1, "ctime_ns": 2, "inode": 4} | changed
    return Entry(path, StatTuple(**said), 0o644)


@pytest.mark.parametrize(
    "changed",
    [
        {"size": 4},
        {"mtime_ns": 0},
        {"mtime_ns": 3},
        {"ctime_ns": 3},
        {"inode": 5},
        {"mtime_ns": 9 * RACY_NS},
    ],
    ids=str,
)
def test_any_other_stat_is_a_change(journal: Journal, changed: dict[str, int]) -> None:
    """Size, mtime in either direction, ctime and inode each count (A08, A09)."""
    agreed(journal, F)
    assert scanned(journal, entry(**changed)) == ([F], [])


def test_an_equal_stat_is_no_change(journal: Journal) -> None:
    """What is as it was is not marked."""
    agreed(journal, F)
    assert scanned(journal, entry()) == ([], [])


def test_a_racy_stat_is_looked_at_again(journal: Journal) -> None:
    """Hashed too soon after its last change, an equal stat proves nothing."""
    agreed(journal, F, G)
    journal.set_known(F, Known(KNOWN.stat, A, 2 + RACY_NS))
    journal.set_known(G, Known(KNOWN.stat, A, 3 + RACY_NS))
    assert scanned(journal, entry(), entry(G)) == ([F], [])


def test_an_mtime_of_the_far_future_is_not_looked_at_in_each_scan(journal: Journal) -> None:
    """No write leaves it: a scan compares it as it compares an old one."""
    agreed(journal, F, G)
    for path, ahead_ns in ((F, AHEAD_NS), (G, AHEAD_NS - 1)):
        journal.set_known(path, Known(KNOWN.stat._replace(mtime_ns=KNOWN.at_ns + ahead_ns), A, KNOWN.at_ns))
    met = [entry(path, mtime_ns=KNOWN.at_ns + ahead_ns) for path, ahead_ns in ((F, AHEAD_NS), (G, AHEAD_NS - 1))]
    assert scanned(journal, *met) == ([G], [])


def test_what_was_never_agreed_is_a_change(journal: Journal) -> None:
    """New files, files seen and not synced, and files whose content is not base's."""
    journal.set_known(F, KNOWN)
    journal.set_base(G, BASE)
    journal.set_base(H, Base(B, 3, Version("1"), 0o644))
    journal.set_known(H, KNOWN)
    new = Path("new")
    changed, missing = scanned(journal, entry(F), entry(G), entry(H), entry(new))
    assert (set(changed), missing) == ({F, G, H, new}, [])


def test_what_comes_out_of_order_is_looked_at(journal: Journal) -> None:
    """A scan that tells of files in another order than that of their paths hides nothing."""
    agreed(journal, F, G, H)
    found = journal.scanned([entry(G), entry(F), entry(H, size=4)], None)
    assert {*found.changed, *found.missing} >= {F, H}


def test_what_the_scan_did_not_meet_is_missing(journal: Journal) -> None:
    """Paths that base or seen know; a part of the folder misses only what is below it."""
    beside = Path("d0/f")
    agreed(journal, F, H, beside)
    journal.set_known(G, KNOWN)
    assert scanned(journal) == ([], sorted([F, G, H, beside]))
    assert scanned(journal, under=Path("d")) == ([], [F, G])
    assert scanned(journal, entry(H), entry(beside)) == ([], [F, G])


# --- ranges ----------------------------------------------------------------------------------------------------------


def test_below_a_folder_is_below_it_alone(journal: Journal) -> None:
    """Names that only begin alike are not inside, whatever character follows."""
    inside = [Path("d/f"), Path("d/x/y"), Path("d/\U0010ffff")]
    for path in (*inside, Path("d"), Path("d.txt"), Path("d0"), Path("d!/f"), Path("dd/f"), Path("D/f")):
        journal.set_remote(path, REMOTE)
        journal.set_base(path, BASE)
    assert sorted(path for path, _ in journal.remotes_below(Path("d"), 99)) == sorted(inside)
    journal.mark_clashing([Path("d")], ())
    assert sorted(row.path for row in journal.dirty(99)) == sorted(inside)
    assert list(journal.base_paths(Path("d"))) == sorted(inside)
    assert len(list(journal.base_paths())) == len(inside) + 6


# --- the ledger ------------------------------------------------------------------------------------------------------


def intent(op: str, path: Path = F) -> Intent:
    """A write about to be sent."""
    return Intent(Op(op), path, "put", A, 3, 0o644, None, False, 5)


def test_an_intent_becomes_an_announcement_until_it_is_announced(journal: Journal) -> None:
    """Open from before it is sent, then announced once, in the order of the journal."""
    ledger = journal.ledger
    ledger.intend([intent("1"), intent("2", G)])
    assert [i.op for i in ledger.open_intents()] == ["1", "2"]
    assert set(journal.ledger.paths_at_work()) == {F, G}
    ledger.took_effect(Op("2"), Version("8"))
    ledger.took_effect(Op("1"), None)
    assert ledger.open_intents() == []
    assert [(i.op, i.version) for i in ledger.announcements(9)] == [("1", None), ("2", "8")]
    ledger.announced([Op("1")])
    assert [i.op for i in ledger.announcements(9)] == ["2"]


def test_announcing_does_not_end_an_open_intent(journal: Journal) -> None:
    """What is not known to have happened is not announced, whoever names its op."""
    journal.ledger.intend([intent("1")])
    journal.ledger.announced([Op("1")])
    assert [i.op for i in journal.ledger.open_intents(F)] == ["1"]


def test_a_dropped_intent_may_land_late(journal: Journal) -> None:
    """It is remembered for a while, and neither open nor announced."""
    ledger = journal.ledger
    ledger.intend([intent("1")])
    ledger.dropped(Op("1"))
    late = ledger.late_intent(Op("1"))
    assert late is not None
    assert late.path == F
    assert ledger.open_intents() == ledger.announcements(9) == []
    ledger.forget_dropped(5)
    assert ledger.late_intent(Op("1")) is not None
    ledger.forget_dropped(6)
    assert ledger.late_intent(Op("1")) is None


def test_what_took_effect_is_not_dropped(journal: Journal) -> None:
    """An announcement outlives a doubt that came late."""
    journal.ledger.intend([intent("1")])
    journal.ledger.took_effect(Op("1"), None)
    journal.ledger.dropped(Op("1"))
    assert [i.op for i in journal.ledger.announcements(9)] == ["1"]


def test_what_a_write_made_base(journal: Journal) -> None:
    """A write's base is what it sent; a delete's is none."""
    assert intent("1").wrote(Version("2"), 5) == Base(A, 3, Version("2"), 0o644, 5)
    assert Intent(OP, F, "delete", None, None, None, Version("1"), False, 5).wrote(None) is None


@pytest.mark.parametrize("kept", [True, False])
def test_a_settled_install_keeps_or_forgets_its_bytes(journal: Journal, kept: bool) -> None:
    """Only while the staged name holds what we fetched may it be used, or unlinked, as ours."""
    ledger = journal.ledger
    ledger.set_fetched(Fetched("s", F, Version("1"), A))
    ledger.installing([Install("install", F, "s", A, Version("1"), 3, None, None, None, False, 0)])
    ledger.install_settled("s", staged_kept=kept)
    assert ledger.open_installs() == []
    assert bool(ledger.fetched(F)) is kept


def test_problems_count_while_they_stay_the_same(journal: Journal) -> None:
    """Another code is another problem, and begins at one."""
    found = Problem(F, "unreadable", "detail")
    assert [journal.ledger.set_problem(found) for _ in range(3)] == [1, 2, 3]
    assert journal.ledger.set_problem(Problem(F, "symlink", "detail")) == 1
    journal.ledger.clear_problem(F)
    assert journal.ledger.problems() == []


def test_the_guards_window(journal: Journal) -> None:
    """Deletions count per side, from the window's start on; older ones are forgotten."""
    for at_ns in (1, 2, 3):
        journal.ledger.count_deletion(at_ns, "local", F)
    journal.ledger.count_deletion(3, "remote", F)
    assert journal.ledger.deletions_since(2, "local") == 2
    assert journal.ledger.deletions_since(0, "local") == 2
    assert journal.ledger.deletions_since(0, "remote") == 1


def test_an_approval_is_for_one_state_of_one_path(journal: Journal) -> None:
    """Another version is not approved; settling the path ends it."""
    ledger = journal.ledger
    ledger.approve([(F, Version("1")), (F, Version("1")), (G, Version("1"))])
    assert ledger.is_approved((F, Version("1")))
    assert not ledger.is_approved((F, Version("2")))
    ledger.unapprove(F)
    assert not ledger.is_approved((F, Version("1")))
    assert ledger.is_approved((G, Version("1")))


def test_only_the_newest_history_stays(journal: Journal) -> None:
    """Trimming keeps the last rows."""
    journal.ledger.log(1, [Event("upload", Path(f"f{n}"), "pc") for n in range(5)])
    journal.ledger.trim_history(2)
    rows = journal._conn.execute("SELECT path FROM history ORDER BY seq").fetchall()
    assert rows == [("f3",), ("f4",)]


def test_a_dirty_row_is_what_it_says(journal: Journal) -> None:
    """Path, whether to ask, and the mark it was given."""
    journal.mark([F], remote=True)
    assert journal.dirty_rows([F, G]) == [Dirty(F, True, journal.highest_mark())]


def test_whether_a_content_is_encrypted_is_asked_of_indexes(journal: Journal, file: pathlib.Path) -> None:
    """For each upload, so that it must not read every object that is known: by the object's digest, by base's, or by what an
    encrypted object held that is gone.
    """
    with journal.atomic():
        journal.set_remote(F, replace(REMOTE, sealed="1 abc"))
        journal.set_remote(G, replace(REMOTE, digest=None, sealed="1 abd"))
        journal.set_base(G, replace(BASE, digest=B))
        journal.set_remote(H, replace(REMOTE, digest=C))
    assert [journal.is_sealed_content(one) for one in (A, B, C)] == [True, True, False]
    with journal.atomic():
        journal.set_remote(F, None)
    assert journal.is_sealed_content(A)
    with closing(sqlite3.connect(file)) as conn:
        plan = [row[3] for row in conn.execute(f"EXPLAIN QUERY PLAN {IS_SEALED}", (A,))]
    assert not [step for step in plan if step.startswith("SCAN")], plan
