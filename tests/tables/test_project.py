"""Tables of a project, on devices without threads: what is kept where, who is told of what, and what is never kept."""

from __future__ import annotations

import hashlib
import itertools
import json
import pathlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dorkyd.artifacts import Artifacts
from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.core.differing import Compared
from dorkyd.core.model import Digest
from dorkyd.core.settings import Mode
from dorkyd.diffing import Diffing
from dorkyd.errors import Refused, Transient
from dorkyd.journal import Journal
from dorkyd.reading import Reader
from dorkyd.tables import kept, notices
from dorkyd.tables.dropping import Known, drop_facts
from dorkyd.tables.facts import loads
from dorkyd.tables.harvesting import Harvester
from dorkyd.tables.kept import PLACE, Cache, key_of
from dorkyd.tables.looking import Tables
from dorkyd.tables.supervisor import Workshop
from tests.devices import Device, World
from tests.scenarios.test_encryption import founded
from tests.tables import data
from tests.tables.test_worker import TASKS


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    """One process for all of this."""
    made = Workshop(nice=0, tasks=TASKS)
    yield made
    made.close()


@pytest.fixture
def world(tmp_path: pathlib.Path) -> World:
    """Devices over a bucket in memory."""
    ticks = itertools.count(10**9)
    return World(tmp_path, MemoryBucket(seconds=lambda: next(ticks)))


class Desk:
    """A device whose tables are harvested when the test says so."""

    def __init__(self, device: Device, workshop: Workshop) -> None:
        self.device = device
        cache = Cache(device.root.with_name(f"{device.name}.tables"))
        self.harvester = Harvester(cache, workshop, linger_s=0.0, threaded=False)
        self.tables = Tables(device.engine, Artifacts.of(device.engine), workshop, self.harvester.cache)
        device.engine.recorded = lambda event: self.harvester.heard(self.tables, event)
        if device.engine.journal is not None:
            device.engine.journal.ledger.heard = device.engine.recorded

    @property
    def journal(self) -> Journal:
        """Of the device."""
        assert self.device.engine.journal is not None
        return self.device.engine.journal

    def make(self, name: str, maker: Callable[[Path], Path]) -> Digest:
        """A file of the folder; returns what it holds."""
        file = maker(self.device.root / name)
        return Digest(f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}")

    def told(self) -> list[str]:
        """The notices, newest first."""
        return [f"{each.path}: {each.what} by {each.device}" for each in notices.noted(self.journal)]

    def logged(self) -> list[str]:
        """What the history says of schemas."""
        rows = self.journal._conn.execute("SELECT path, detail, device FROM history WHERE verb = 'schema' ORDER BY seq")
        return [f"{path}: {detail} by {device}" for path, detail, device in rows]


@pytest.fixture
def two(world: World, workshop: Workshop) -> tuple[Desk, Desk]:
    """Two devices of a team, at rest."""
    ann, ben = (Desk(world.device(name), workshop) for name in ("ann", "ben"))
    world.settle()
    return ann, ben


def in_bucket(world: World) -> dict[str, bytes]:
    """The facts that the bucket keeps."""
    client = world.store.client()
    keys = [listed.key for page in client.list(PLACE) for listed in page]
    found = {key: client.read(key) for key in keys}
    return {key: read[1] for key, read in found.items() if read is not None}


def settled(world: World, *desks: Desk) -> None:
    """Synced and harvested everywhere."""
    world.settle()
    for desk in desks:
        desk.harvester.run_due()
    world.settle()


def test_facts_are_kept_beside_the_object_once(world: World, two: tuple[Desk, Desk]) -> None:
    """By the content's digest: the device that receives it finds them, reads no file and writes nothing."""
    ann, ben = two
    digest = ann.make("t.parquet", data.taxi)
    settled(world, ann)
    (key,) = in_bucket(world)
    assert key == key_of(digest)
    facts = loads(in_bucket(world)[key])
    assert facts is not None
    assert (facts.rows, facts.format) == (1000, "parquet")
    before = world.store.client().head(key)
    started, ben.harvester.workshop = ben.harvester.workshop, Workshop(nice=0)
    settled(world, ben)
    assert ben.harvester.workshop.pid is None  # it never asked a worker
    ben.harvester.workshop = started
    after = world.store.client().head(key)
    assert before is not None
    assert after is not None
    assert before.version == after.version
    assert ben.tables.remembered(digest, None) == facts


def test_both_sides_are_told_of_a_changed_schema_once(world: World, two: tuple[Desk, Desk]) -> None:
    """By whom and what, in the notices and in the log; a change of values alone is no news."""
    ann, ben = two
    ann.make("t.parquet", data.taxi)
    settled(world, ann, ben)
    ann.make("t.parquet", lambda file: data.taxi(file, seed=2))
    settled(world, ann, ben)
    assert (ann.told(), ben.told()) == ([], [])
    ann.make("t.parquet", lambda file: data.taxi(file, 400, seed=3, drop=("payment",)))
    settled(world, ann, ben)
    said = ["t.parquet: dropped payment; rows fell from 1,000 to 400 by ann"]
    for desk in two:
        settled(world, desk)
        assert desk.told() == desk.logged() == said
        reader = Reader(desk.device.engine.journal_file, desk.device.project, desk.device.name)
        last = reader.why("t.parquet", desk.device.engine.rules(), {}).last
        assert last is not None
        assert last.verb != "schema"  # nothing that was done to the file


def test_a_state_that_was_replaced_before_anybody_looked_is_brought_for_the_comparison(
    world: World, two: tuple[Desk, Desk]
) -> None:
    """Who saves twice in a moment is told of the difference all the same, on both sides."""
    ann, ben = two
    ann.make("t.csv", data.taxi_csv)
    world.settle()
    ann.make("t.csv", lambda file: data.taxi_csv(file, 100))
    settled(world, ann, ben)
    said = ["t.csv: rows fell from 300 to 100 by ann"]
    assert (ann.told(), ben.told()) == (said, said)


def test_notices_end_after_some_days_or_when_they_were_read(world: World, two: tuple[Desk, Desk]) -> None:
    """`status` tells the newest of a path; the log keeps all."""
    ann, _ = two
    with ann.journal.atomic():
        ann.journal.put("x", None)
    notice = notices.Notice(10**18, "a.csv", "dropped x", "ben")  # type: ignore[arg-type]
    notices.note(ann.journal, notice, Digest("sha256:1"), None)
    later = notices.Notice(10**18 + 1, "a.csv", "added y", "ben")  # type: ignore[arg-type]
    notices.note(ann.journal, later, Digest("sha256:2"), None)
    (warning,) = notices.warnings(notices.noted(ann.journal), "p", 10**18 + 2)
    assert (warning.code, warning.detail) == ("table-changed", "a.csv: added y (by ben)")
    assert warning.hint == "dorkyctl diff 'p:a.csv'"
    assert notices.warnings(notices.noted(ann.journal), "p", 10**18 + notices.KEPT_NS + 1) == []
    notices.seen(ann.journal)
    assert ann.told() == []
    assert len(ann.logged()) == 2


def test_what_changed_meanwhile_is_passed_over(world: World, two: tuple[Desk, Desk]) -> None:
    """Facts are of a content that still stands: of another none are written under its name."""
    ann, _ = two
    ann.make("t.parquet", data.taxi)
    world.settle()
    digest = ann.make("t.parquet", data.nested)
    ann.harvester.run_due()
    assert in_bucket(world) == {}
    settled(world, ann)
    assert list(in_bucket(world)) == [key_of(digest)]


def test_nothing_of_what_is_encrypted_is_kept_or_told(world: World, workshop: Workshop) -> None:
    """Neither in the bucket nor on this disk, nor in a notice; who has the key sees it all the same, read anew."""
    ann = Desk(founded(world, encrypt=("secret/*",)), workshop)
    (ann.device.root / "secret").mkdir()
    digest = ann.make("secret/t.parquet", data.taxi)
    settled(world, ann)
    ann.make("secret/t.parquet", lambda file: data.taxi(file, 100, drop=("fare",)))
    settled(world, ann)
    assert in_bucket(world) == {}
    assert (ann.told(), ann.logged()) == ([], [])
    looked = ann.tables.look("secret/t.parquet", None, head=1, columns=None)
    assert (looked.facts.rows, looked.source, looked.content.secret) == (100, "folder", True)
    assert ann.harvester.cache.get(digest) is None
    assert ann.tables.look("secret/t.parquet", None, head=0, columns=None).source == "folder"
    # Under another name it is what it was.
    (ann.device.root / "secret/t.parquet").rename(ann.device.root / "open.parquet")
    settled(world, ann)
    assert in_bucket(world) == {}
    shown = Diffing(ann.device.engine, ann.tables).diff("secret/t.parquet", None, None)
    assert (shown.table, shown.compared) == (None, Compared("masked", ""))


def test_what_is_to_be_encrypted_while_it_is_looked_at_is_not_kept(world: World, workshop: Workshop) -> None:
    """The worker may take a minute, and somebody decides in that time that nobody may know the least of it."""
    from dorkyd.core.model import Path as ProjectPath

    ann = Desk(founded(world), workshop)
    digest = ann.make("t.parquet", data.taxi)

    class Slow(Workshop):
        def do(self, *args: Any, **more: Any) -> dict[str, Any]:
            done = workshop.do(*args, **more)
            ann.device.keyring.encrypt(("*.parquet",))
            return done

    ann.harvester.workshop = Slow()
    settled(world, ann)
    assert ann.tables.now(ProjectPath("t.parquet")).secret
    assert in_bucket(world) == {}
    assert ann.harvester.cache.get(digest) is None


def test_what_a_pause_keeps_from_the_bucket_is_told_here(world: World, two: tuple[Desk, Desk]) -> None:
    """Nothing moves, and the notice is this machine's own."""
    ann, _ = two
    ann.make("t.csv", data.taxi_csv)
    settled(world, ann)
    ann.make("t.csv", lambda file: data.taxi_csv(file, 20))
    world.settle()
    before = in_bucket(world)
    ann.device.engine.pause(2**62)
    ann.harvester.run_due()
    assert in_bucket(world) == before
    assert ann.told() == ["t.csv: rows fell from 300 to 20 by ann"]


def test_facts_that_could_not_be_kept_are_kept_later(world: World, two: tuple[Desk, Desk]) -> None:
    """A store that was away for a moment gets them all the same."""
    ann, _ = two
    now = [0.0]
    ann.harvester.monotonic = lambda: now[0]
    ann.make("t.csv", data.taxi_csv)
    world.settle()
    fault = Fault(Transient("busy"), "before")
    world.faults = lambda _who, what, key: fault if what == "PUT" and key.startswith(PLACE) else None
    now[0] += 10
    ann.harvester.run_due()
    assert in_bucket(world) == {}
    world.faults = lambda _who, _what, _key: None
    now[0] += 100
    ann.harvester.run_due()
    assert len(in_bucket(world)) == 1


def test_mode_pull_writes_no_facts(world: World, two: tuple[Desk, Desk], workshop: Workshop) -> None:
    """It looks for itself where the bucket keeps none, and is told of changes."""
    ann, _ = two
    cat = Desk(world.device("cat", mode=Mode.PULL), workshop)
    ann.make("t.csv", data.taxi_csv)
    settled(world, cat)
    ann.make("t.csv", lambda file: data.taxi_csv(file, 20))
    settled(world, cat)
    assert in_bucket(world) == {}
    assert cat.told() == ["t.csv: rows fell from 300 to 20 by ann"]


@pytest.mark.parametrize(
    "forged", [b"[]", b'{"schema":"dorky.table/1"}', b"\xff" * 100, json.dumps({"schema": "dorky.table/1", "format": "csv", "size": 1, "width": 0, "columns": []}).encode()]
)  # fmt: skip
def test_what_strangers_write_in_their_place_is_not_believed(
    world: World, two: tuple[Desk, Desk], forged: bytes
) -> None:
    """What is no document of facts, or contradicts the content's size: the table is looked at."""
    ann, ben = two
    digest = ann.make("t.csv", data.taxi_csv)
    world.store.client().put(key_of(digest), kept.Bytes(forged), replaces=None, meta={})
    settled(world, ann, ben)
    looked = ben.tables.look("t.csv", None, head=0, columns=None)
    assert (looked.facts.rows, looked.source) == (300, "kept")
    assert in_bucket(world)[key_of(digest)] == forged  # create-only: nobody fights over it


def test_what_breaks_the_worker_is_no_trouble_of_sync(world: World, two: tuple[Desk, Desk]) -> None:
    """It is remembered, across restarts too, and not tried again."""
    ann, ben = two
    cache = ann.harvester.cache
    ann.harvester.workshop = breaking = Workshop(nice=0, tasks={"facts": "tests.tables.misbehaving:crash"})
    try:
        digest = ann.make("t.parquet", data.taxi)
        settled(world, ann)
        assert cache.is_hard(digest)
        assert ben.device.tree()["t.parquet"] == ann.device.tree()["t.parquet"]
        again = Workshop(nice=0)
        ann.harvester.workshop = again
        ann.device.write("other.csv", "a\n1\n")
        (ann.device.root / "t.parquet").touch()
        settled(world, ann)
        assert again.pid is not None  # for the other one
        assert in_bucket(world).keys() == {key_of(Digest("sha256:" + hashlib.sha256(b"a\n1\n").hexdigest()))}
        again.close()
    finally:
        breaking.close()


def test_a_backlog_has_a_limit(two: tuple[Desk, Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is left out, and a path that changes again waits once."""
    from dorkyd.core.model import Path as ProjectPath
    from dorkyd.ledger import Event
    from dorkyd.tables import harvesting

    monkeypatch.setattr(harvesting, "MOST", 3)
    ann, _ = two
    for number in (1, 2, 3, 4, 4, 5):
        ann.harvester.heard(
            ann.tables, Event("upload", ProjectPath(f"{number}.csv"), "ann", Digest(f"sha256:{number}"))
        )
    ann.harvester.heard(ann.tables, Event("upload", ProjectPath("notes.txt"), "ann", Digest("sha256:9")))
    ann.harvester.heard(ann.tables, Event("delete-remote", ProjectPath("6.csv"), "ann", Digest("sha256:9")))
    assert [path for _, path in ann.harvester._waiting] == ["3.csv", "4.csv", "5.csv"]


def test_looking_at_what_is_in_the_bucket_alone(world: World, two: tuple[Desk, Desk], workshop: Workshop) -> None:
    """A state of before too; only the bytes that are needed are moved."""
    ann, _ = two
    cat = Desk(world.device("cat", mode=Mode.PUSH), workshop)
    ann.make("big.parquet", lambda file: data.large(file, 2_000_000, rows=16_384))
    world.settle()
    size = (ann.device.root / "big.parquet").stat().st_size
    bucket = cat.device.engine.bucket
    assert bucket is not None
    before = bucket.requests.bytes_down
    looked = cat.tables.look("big.parquet", None, head=0, columns=None)
    assert (looked.source, looked.content.where, looked.facts.rows) == ("bucket", "bucket", 32_768)
    assert 0 < bucket.requests.bytes_down - before < 100_000 < size
    assert cat.tables.look("big.parquet", None, head=0, columns=None).source == "kept"
    first = cat.tables.look("big.parquet", None, head=3, columns=["signal_0"]).head
    assert first is not None
    assert [len(row) for row in first.rows] == [1, 1, 1]
    assert bucket.requests.bytes_down - before < 600_000


@pytest.mark.parametrize(
    ("path", "code"), [("notes.txt", "no-table"), ("gone.csv", "no-such-path"), ("noise.parquet", "unreadable-table")]
)
def test_what_is_no_table_gets_a_clear_answer(two: tuple[Desk, Desk], path: str, code: str) -> None:
    """What is supported, or what is wrong with it."""
    ann, _ = two
    ann.device.write("notes.txt", "x")
    ann.make("noise.parquet", data.noise)
    with pytest.raises(Refused) as caught:
        ann.tables.look(path, None, head=0, columns=None)
    assert caught.value.code == code
    assert caught.value.hint
    assert str(caught.value).isprintable()


def test_a_diff_of_two_states(world: World, two: tuple[Desk, Desk]) -> None:
    """Schema, rows, statistics and rows by key; the older one comes from the trash."""
    ann, _ = two
    ann.make("t.parquet", lambda file: data.taxi(file, 100))
    settled(world, ann)
    ann.make("t.parquet", lambda file: data.taxi(file, 120, drop=("payment",)))
    settled(world, ann)
    diffing = Diffing(ann.device.engine, ann.tables)
    found = diffing.diff("t.parquet", None, None, key=["ride_id"])
    assert found.compared.kind == "table"
    assert found.table is not None
    assert [column.name for column in found.table.changes.dropped] == ["payment"]
    assert found.table.changes.rows == (100, 120)
    assert found.table.by_key is not None
    assert (found.table.by_key.added, found.table.by_key.removed) == (20, 0)
    with pytest.raises(Refused, match="not called a table"):
        diffing.diff("notes.txt", None, None, key=["ride_id"])
    with pytest.raises(Refused, match="no column"):
        diffing.diff("t.parquet", None, None, key=["nothing"])


def test_text_that_is_no_table_is_compared_as_text(world: World, two: tuple[Desk, Desk]) -> None:
    """What only looks like one by its name; and a CSV has its lines beside."""
    ann, _ = two
    for lines in ("nothing\n", "nothing more\n"):
        ann.device.write("t.jsonl", lines)
        ann.device.write("t.csv", f"a,b\n1,{lines}")
        world.settle()
    diffing = Diffing(ann.device.engine, ann.tables)
    found = diffing.diff("t.jsonl", None, None)
    assert (found.table, found.compared.kind) == (None, "text")
    found = diffing.diff("t.csv", None, None)
    assert found.compared.kind == "table"
    assert "+1,nothing more" in found.compared.text


def test_facts_go_with_their_contents(world: World, two: tuple[Desk, Desk]) -> None:
    """Those that nobody needs and that are old; those of what is a secret by now, at once; no other object."""
    ann, _ = two
    digest = ann.make("t.csv", data.taxi_csv)
    settled(world, ann)
    client, other, secret = world.store.client(), Digest(f"sha256:{1:064x}"), Digest(f"sha256:{2:064x}")
    for each in (other, secret):
        client.put(key_of(each), kept.Bytes(b"{}"), replaces=None, meta={})
    client.put(f"{PLACE}not-ours.txt", kept.Bytes(b"x"), replaces=None, meta={})
    info = client.head(key_of(other))
    assert info is not None
    assert info.modified is not None
    known = Known(frozenset({digest}), frozenset({secret}))
    assert drop_facts(client, known, now=info.modified, days=1) == 1
    assert key_of(secret) not in in_bucket(world)
    assert drop_facts(client, known, now=info.modified + 29 * 86_400, days=1) == 0
    assert drop_facts(client, known, now=info.modified + 31 * 86_400, days=60) == 0
    assert drop_facts(client, known, now=info.modified + 31 * 86_400, days=1) == 1
    assert in_bucket(world).keys() == {key_of(digest), f"{PLACE}not-ours.txt"}
