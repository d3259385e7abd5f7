"""Requests that fail one by one: lost replies, connections cut in bodies, bytes that change on the way, slow lines."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemons import wait_until
from tests.e2e.persons import Account, assert_settled, mine
from tests.e2e.places import FULL, SEED
from tests.e2e.test_random_edits import people, work
from tests.faults.lines import Pair, pair
from tests.servers import GcsProcess, Server
from tests.wire import Asked, Cut, Fault, Flip, Rule, Wait, Wire

pytestmark = [pytest.mark.daemon, pytest.mark.s3, pytest.mark.timeout(900)]

MiB = 1024 * 1024
LARGE = 20 * MiB
"""Sent in parts, fetched in ranges."""
WRITES = ("PUT", "UploadPart", "Copy", "CreateMultipartUpload", "CompleteMultipartUpload", "DELETE", "POST", "PATCH")


def each_kind_once(fault: Fault) -> Rule:
    """The first write of each kind, of files and of what is ours apart, goes wrong."""
    seen: set[tuple[str, str]] = set()
    lock = threading.Lock()

    def rule(asked: Asked) -> Fault | None:
        what = asked.path.partition("/.dorky/")[2].partition("/")[0]
        with lock:
            if asked.kind not in WRITES or (asked.kind, what) in seen:
                return None
            seen.add((asked.kind, what))
            return fault

    return rule


def every(one_in: int, rng: random.Random, faults: list[Fault]) -> Rule:
    """One request in so many meets one of these."""
    lock = threading.Lock()

    def rule(_: Asked) -> Fault | None:
        with lock:
            return rng.choice(faults) if rng.randrange(one_in) == 0 else None

    return rule


def _use(one: Pair) -> dict[str, bytes]:
    """Everything that writes: creations, small and large, edits, a rename, a change of bits, deletions."""
    root, large = one.a.root, os.urandom(LARGE)
    (root / "edited").write_text("first")
    (root / "moved").write_text("moved, and long enough")
    (root / "gone").write_text("gone")
    (root / "bits").write_text("bits")
    (root / "large").write_bytes(large)
    _rest(one)
    (root / "edited").write_text("second")
    (root / "moved").rename(root / "moved here")
    (root / "gone").unlink()
    (root / "bits").chmod(0o755)
    _rest(one)
    return {"edited": b"second", "moved here": b"moved, and long enough", "bits": b"bits", "large": large}


def _rest(one: Pair, within_s: float = 120.0) -> None:
    """Both folders equal and at rest, without a word to either daemon: it must come by itself."""

    def same() -> bool:
        states = [daemon.status() for daemon in (one.a, one.b)]
        at_rest = all(s.state == "in-sync" and s.pending.upload == s.pending.download == 0 for s in states)
        return at_rest and mine(one.a.root) == mine(one.b.root)

    try:
        wait_until("the two are equal by themselves", same, within_s)
    except AssertionError as late:
        logs = "\n".join(daemon.log.read_text()[-3000:] for daemon in (one.a, one.b))
        raise AssertionError(f"{late}: {one.a.status()} {one.b.status()}\n{logs}") from late


@pytest.fixture(autouse=True)
def _told(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What was injected, for docs/reliability.md."""
    made: list[Wire] = []
    whole = Wire.begin
    monkeypatch.setattr(Wire, "begin", lambda line: (made.append(line), whole(line)))
    yield
    sys.stdout.write(f"injected: {sorted(sum((line.injected for line in made), Counter()).items())}\n")


@contextlib.contextmanager
def _watched(root: Path, allowed: set[str]) -> Iterator[None]:
    """Whatever is read in the folder at any moment was written by somebody."""
    ended, strange = threading.Event(), []

    def look() -> None:
        while not ended.wait(0.2):
            strange.extend(
                path
                for path, data in mine(root).items()
                if hashlib.sha256(data).hexdigest() not in allowed and path not in strange
            )

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    assert not strange


def _bodies_are_what_they_claim(server: Server, one: Pair) -> None:
    name, _, prefix = one.place.bucket.removeprefix("s3://").partition("/")
    with contextlib.closing(server.client()) as client:
        for item in client.list_objects_v2(Bucket=name, Prefix=prefix)["Contents"]:
            found = client.get_object(Bucket=name, Key=item["Key"])
            claimed = found["Metadata"].get("dorky-sha256")
            if claimed is not None:
                assert claimed.endswith(hashlib.sha256(found["Body"].read()).hexdigest()), item["Key"]


@pytest.mark.parametrize("rst", [True, False], ids=["rst", "fin"])
def test_the_reply_of_each_kind_of_write_is_lost(tmp_path: Path, seaweed: Server, rst: bool) -> None:
    """The store did it and nobody heard: nothing happens twice, and nobody is in conflict with himself."""
    if rst and not FULL:
        pytest.skip("DORKY_FULL=1")
    with pair(tmp_path, seaweed) as one:
        (one.a.root / "begin").write_text("begin")
        one.start()
        one.line_a.rule = each_kind_once(Cut("reply", rst=rst))
        expected = _use(one)
        lost = sum(one.line_a.injected.values())
        assert lost >= 8, one.line_a.injected
        one.whole()
        one.equal({**expected, "begin": b"begin"})
        assert oct((one.b.root / "bits").stat().st_mode)[-3:] == "755"


def test_the_reply_of_each_kind_of_write_is_lost_on_gcs(tmp_path: Path, strict_gcs: GcsProcess) -> None:
    """As on S3."""
    with pair(tmp_path, strict_gcs) as one:
        (one.a.root / "begin").write_text("begin")
        one.start()
        one.line_a.rule = each_kind_once(Cut("reply"))
        expected = _use(one)
        assert sum(one.line_a.injected.values()) >= 3, one.line_a.injected
        one.whole()
        one.equal({**expected, "begin": b"begin"})


@pytest.mark.parametrize("way", ["up", "down"])
def test_bytes_that_change_on_the_way(tmp_path: Path, seaweed: Server, way: str) -> None:
    """Of every other body, whole or in parts or ranges, a byte at some offset: nothing wrong ever reaches the folder, and
    no object's bytes are other than its digest says.
    """
    rng = random.Random(SEED)
    with pair(tmp_path, seaweed) as one:
        (one.a.root / "begin").write_text("begin")
        one.start()
        seen: dict[tuple[str, str], int] = {}

        def rule(asked: Asked) -> Fault | None:
            # Not every try: what fails four times in a row is told to a person, and waits.
            at = (asked.path, asked.headers.get("range", "") + asked.query.get("partNumber", ""))
            seen[at] = seen.get(at, 0) + 1
            kinds = {"PUT", "UploadPart"} if way == "up" else {"GET"}
            if asked.kind not in kinds or not asked.of_file or seen[at] > 2:
                return None
            largest = asked.size if way == "up" else 8
            return Flip("up" if way == "up" else "down", rng.randrange(max(1, min(largest, 4 * MiB))))

        line = one.line_a if way == "up" else one.line_b
        line.rule = rule
        written = {f"f{n}": os.urandom(rng.choice((40, 3_000, 300_000))) for n in range(8)} | {
            "large": os.urandom(LARGE)
        }
        allowed = {hashlib.sha256(data).hexdigest() for data in [*written.values(), b"begin", b""]}
        with _watched(one.b.root, allowed):
            for path, data in written.items():
                staged = tmp_path / "staged"
                staged.write_bytes(data)
                staged.rename(one.a.root / path)
            _rest(one)
        assert line.injected[f"flip {way}"] >= 12, line.injected
        one.whole()
        one.equal({**written, "begin": b"begin"})
        _bodies_are_what_they_claim(seaweed, one)
        assert not mine(one.b.root / ".dorky" / "trash")


@pytest.mark.skipif(not FULL, reason="DORKY_FULL=1")
def test_a_slow_line(tmp_path: Path, seaweed: Server) -> None:
    """At 200 kB/s (CI: 4 MB/s), with a second's delay before some requests: a file in parts and small ones arrive, once each."""
    with pair(tmp_path, seaweed) as one:
        (one.a.root / "begin").write_text("begin")
        one.start()
        one.line_a.pace = 4_000_000 if not FULL else 200_000
        one.line_a.rule = every(5, random.Random(SEED), [Wait(1.0)])
        expected = {"large": os.urandom(LARGE), **{f"f{n}": os.urandom(60_000) for n in range(20)}}
        before = one.a.requests()["bytes_up"]
        for path, data in expected.items():
            (one.a.root / path).write_bytes(data)
        _rest(one, 120 if not FULL else 3 * LARGE / 200_000)
        again = one.a.requests()["bytes_up"] - before - sum(map(len, expected.values()))
        # A part waits for its answer while the line still carries what the system took of it: one may be given up.
        assert 0 <= again <= (8 * MiB if FULL else 0), "sent twice"
        one.whole()
        one.equal({**expected, "begin": b"begin"})


STORM: list[Fault] = [
    *(
        Cut(at, after, rst)
        for at in ("up", "down")
        for after in (0, 1, 700, 70_000, 3_000_000)
        for rst in (True, False)
    ),
    *(Cut("reply", rst=rst) for rst in (True, False)),
    *(Flip(way, after) for way in ("up", "down") for after in (0, 30, 5_000)),
    Wait(0.3),
]
"""Metadata and lists too: nothing on such a line can be trusted."""


def _storm(one: Pair, seed: int, edits: int) -> None:
    rng = random.Random(seed)
    account = Account()
    persons = people(one.place, account, seed, one.a, one.b)
    for n in range(20):
        (one.a.root / f"first {n}").write_bytes(b"%d" % n * rng.choice((5, 5_000)))
    persons[0].adopt()
    one.start()
    for line in (one.line_a, one.line_b):
        line.rule = every(4, random.Random(rng.random()), STORM)
    for part in range(max(1, edits // 40)):
        work(persons, seed + part, 40, 0.05)
        for line in rng.sample((one.line_a, one.line_b), rng.randrange(3)):
            line.state = rng.choice(("refused", "reset"))
        threading.Event().wait(1.0)
        for line in (one.line_a, one.line_b):
            line.state = "up"
            line.hang_up(rst=rng.random() < 0.5)
    one.whole()
    _rest(one)
    for daemon in (one.a, one.b):
        daemon.sync()
    for person in persons:
        person.close()
    assert_settled(one.place, account, one.a, one.b)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [SEED + n for n in range(10 if FULL else 1)])
def test_a_storm(tmp_path: Path, seaweed: Server, seed: int) -> None:
    """A quarter of all requests goes wrong in some way while people work on both sides, and the line is down now and then:
    afterwards all is equal, nothing is lost, and nobody had to do anything.
    """
    with pair(tmp_path, seaweed) as one:
        _storm(one, seed, 400 if FULL else 80)
        assert sum((one.line_a.injected + one.line_b.injected).values()) >= (50 if FULL else 15)


@pytest.mark.slow
@pytest.mark.skipif(not FULL, reason="DORKY_FULL=1")
@pytest.mark.parametrize("seed", [SEED + n for n in range(3)])
def test_a_storm_on_gcs(tmp_path: Path, strict_gcs: GcsProcess, seed: int) -> None:
    """As on S3."""
    with pair(tmp_path, strict_gcs) as one:
        _storm(one, seed, 200)
