"""Garbage collection beside commits that are being made: every order of the two, and of several collections.

The store gives equal bytes equal versions, as S3 does, so that no condition on a version tells an object that was removed
and made again from the one before.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path as FilePath

import pytest

from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.collection import RELIST_S, Collection
from dorkyd.commit_cache import CommitCache
from dorkyd.commit_store import CommitStore, Source
from dorkyd.commits import Committer
from dorkyd.core.commits import COMMITS, OBJECTS, Commit, CommitFile, CommitId, commit_key, new_commit, object_key
from dorkyd.core.committed import Collected
from dorkyd.core.garbage import CONDEMNED_S, GARBAGE, Kept, condemned_key
from dorkyd.core.metadata import sha256
from dorkyd.core.model import Digest, Path
from dorkyd.core.pushes import plan_key
from dorkyd.errors import Integrity, Stale
from dorkyd.news import Bytes
from tests.devices import Kill, SimClock

STRIDE = int(os.environ.get("DORKY_COLLECTION_STRIDE", "211"))
"""Of all orders every so many are tried; 1: each."""
DAY_S = CONDEMNED_S + 3600


NOTHING = CommitCache(FilePath(os.devnull) / "cache")
"""Remembers nothing: there can be no such file."""


def digest(text: str) -> Digest:
    """Of a content."""
    return sha256(hashlib.sha256(text.encode()).hexdigest())


@dataclass
class Team:
    """Anybody who commits or collects, over one bucket whose clock is the simulated one."""

    clock: SimClock
    store: MemoryBucket
    acknowledged: dict[int, CommitId] = field(default_factory=dict)
    """By number: what was said to be made."""
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def hands(self, hook: Callable[[str, str], Fault | None] | None = None) -> CommitStore:
        """Somebody's; nobody remembers anything."""
        return CommitStore(self.store.client(faults=hook), NOTHING, at_once=1)

    def write(self, *texts: str) -> None:
        """Objects that hold these, named by them."""
        client = self.store.client()
        for text in texts:
            if client.head(text) is None:
                client.put(text, Bytes(text.encode()), replaces=None, meta={})

    def commit(self, *texts: str, hands: CommitStore | None = None) -> CommitId:
        """Commit the objects of these names, as a device would, again when somebody was faster."""
        hands = hands or self.hands()
        for _ in range(4):
            newest = hands.newest()
            parent = (newest.seq, *hands.read(newest)) if newest is not None else None
            files = []
            sources = {}
            for text in texts:
                found = hands.bucket.head(text)
                assert found is not None
                files.append(CommitFile(Path(text), digest(text), len(text), 0o644, found.version))
                sources[digest(text)] = [Source(text, found.version)]
            said = {"author": "", "device": "", "time": str(next(self.numbers)), "message": "m", "project": "p"}
            made = new_commit(files, parent=parent[:2] if parent else None, **said)
            try:
                commit_id, standing = Committer(
                    hands, parent[2] if parent else None, sources, now_ns=self.clock.time_ns
                ).commit(made)
            except Stale:
                continue
            self.acknowledged[standing.seq] = commit_id
            return commit_id
        raise AssertionError("others are faster for ever")

    def collect(self, kept: Kept | None = None, hands: CommitStore | None = None) -> Collected:
        """Collect; by default the last commit alone is kept."""
        run = Collection(hands or self.hands(), self.clock, "d", kept or Kept(last=1))
        try:
            return run.run(time="t")
        except Stale:
            return Collected()  # another collection was faster with its own document: run again

    def wait(self) -> None:
        """More than a day goes by."""
        self.clock.advance(DAY_S)

    def keys(self, prefix: str) -> list[str]:
        """What stands there."""
        return [listed.key for page in self.store.client().list(prefix) for listed in page]

    def check(self) -> None:
        """Every commit that stands there is one, and all that it needs is there; the last one acknowledged stands."""
        hands = self.hands()
        standing = hands.standing()
        named = hands.headers(standing)
        for one in standing:
            _, commit = hands.read(one)
            for file in commit.files:
                assert hands.kept_under(file.digest), f"{file.path} of commit {one.seq}"
        last = max(self.acknowledged)
        stands = {one.header.seq: one.id for one in named}
        assert stands.get(last) == self.acknowledged[last] or max(stands) > last


@pytest.fixture
def team() -> Team:
    """Commits of x and y, then of y alone, long ago: x is garbage once the first is past its retention."""
    return make()


def make() -> Team:
    """As above."""
    clock = SimClock("store")
    team = Team(clock, MemoryBucket(seconds=lambda: clock.wall_ns // 10**9, etags=True))
    team.write("x", "y")
    team.commit("x", "y")
    team.commit("y")
    team.wait()
    return team


def test_condemned_then_removed(team: Team) -> None:
    """The first run removes the commit and condemns what it alone needed, a run a day later removes that; a third clears
    up after both.
    """
    assert team.collect() == Collected(commits=(1,), condemned=1, condemned_bytes=1)
    assert team.collect() == Collected(condemned=1, condemned_bytes=1)
    assert object_key(digest("x")) in team.keys(OBJECTS)
    team.wait()
    assert team.collect() == Collected(removed=1, removed_bytes=1)
    assert team.keys(OBJECTS) == [object_key(digest("y"))]
    assert team.keys(COMMITS) == [commit_key(2)]
    assert team.keys(GARBAGE), "the name stays dead for a while after its object"
    team.wait()
    assert team.collect() == Collected()
    assert team.keys(GARBAGE) == []
    team.check()


def test_without_retention_every_commit_stays(team: Team) -> None:
    """Only what no commit needs goes."""
    for _ in range(3):
        assert team.collect(Kept()) == Collected()
        team.wait()
    assert len(team.keys(COMMITS)) == 2
    assert team.keys(GARBAGE) == []


def test_a_commit_whose_push_is_not_carried_out_stays(team: Team) -> None:
    """The plain paths get what it decided from nowhere else. Nor does any that came after it go, until it is."""
    hands = team.hands()
    newest = hands.newest()
    assert newest is not None
    team.write("z")
    files = [CommitFile(Path("z"), digest("z"), 1, 0o644, None)]
    said = {"author": "", "device": "", "time": "", "message": "m", "project": "p", "batch": "ab" * 16}
    pushed = new_commit(files, parent=(newest.seq, hands.read(newest)[0]), **said)
    there = hands.bucket.head("z")
    assert there is not None
    sources = {digest("z"): [Source("z", there.version)]}
    Committer(hands, hands.read(newest)[1], sources, now_ns=team.clock.time_ns).commit(pushed)
    stale, plan = (plan_key(seq, "ab" * 16) for seq in (1, 3))
    for key in (stale, plan):
        hands.bucket.put(key, Bytes(b"{}"), replaces=None, meta={})
    team.commit("y")
    team.commit("y", "x")
    for _ in range(3):
        team.wait()
        dry = Collection(team.hands(), team.clock, "d", Kept(last=1)).dry_run()
        assert dry.commits == team.collect().commits
    assert team.keys(COMMITS) == [commit_key(seq) for seq in (3, 4, 5)]
    assert object_key(digest("z")) in team.keys(OBJECTS)
    found = hands.bucket.head(plan)
    assert found is not None
    hands.bucket.delete(plan, replaces=found.version)
    assert team.collect().commits == (3, 4)


def test_a_dry_run_tells_and_touches_nothing(team: Team) -> None:
    """The same words as a run."""
    everything = team.keys("")
    dry = Collection(team.hands(), team.clock, "d", Kept(last=1)).dry_run()
    assert dry == Collected(commits=(1,), condemned=1, condemned_bytes=1)
    assert team.keys("") == everything
    team.collect()
    team.wait()
    assert Collection(team.hands(), team.clock, "d").dry_run() == Collected(removed=1, removed_bytes=1)


def test_a_condemned_content_that_is_wanted_again(team: Team) -> None:
    """It gets another name, and both stay."""
    team.collect()
    team.commit("x", "y")
    assert team.keys(object_key(digest("x"))) == [object_key(digest("x")), object_key(digest("x"), 2)]
    for _ in range(3):
        team.wait()
        team.collect()
    team.check()


def test_a_store_that_tells_no_times() -> None:
    """Nothing is ever old enough, and that is said."""
    team = Team(SimClock("store"), MemoryBucket())
    team.write("x", "y")
    team.commit("x")
    team.commit("y")
    for _ in range(3):
        assert team.collect().timeless
        team.wait()
    assert len(team.keys(OBJECTS)) == len(team.keys(COMMITS)) == 2


def test_a_commit_that_cannot_be_read(team: Team) -> None:
    """Nobody knows what it needs: nothing is condemned."""
    client = team.store.client()
    found = client.head(commit_key(2))
    assert found is not None
    client.put(commit_key(2), Bytes(b"{}"), replaces=found.version, meta={})
    with pytest.raises(Integrity):
        team.collect(Kept())
    assert len(team.keys(OBJECTS)) == 2


def test_condemned_names_that_make_no_sense(team: Team) -> None:
    """Whoever commits cannot know what they condemn: refused, and said. A collection leaves them alone."""
    key = condemned_key("ab" * 16)
    team.store.client().put(key, Bytes(b"?"), replaces=None, meta={})
    with pytest.raises(Integrity) as error:
        team.commit("x")
    assert (error.value.code, key in str(error.value)) == ("bad-garbage", True)
    team.wait()
    team.collect()
    assert key in team.keys(GARBAGE)


def test_a_slow_collection_looks_again(team: Team) -> None:
    """What it saw of the commits does not count for long: it may have slept."""
    for n in range(300):
        team.write(f"o{n}")
    team.commit("y", *(f"o{n}" for n in range(300)))
    team.commit("y")
    team.wait()
    team.collect()
    team.wait()
    deletes = itertools.count()
    looks: list[int] = []

    def slow(verb: str, key: str) -> Fault | None:
        if verb == "DELETE" and key.startswith(OBJECTS):
            next(deletes)
            team.clock.advance(RELIST_S / 100)
        if (verb, key) == ("LIST", COMMITS):
            looks.append(next(deletes))
        return None

    team.collect(hands=team.hands(slow))
    assert len(looks) == 4, "to retire, to judge, before the first is removed, and when ten minutes were over"


# --- every order -----------------------------------------------------------------------------------------------------

Event = str
"""`G` a whole collection, `C` a whole commit of x, `W` a day; `K` whoever is in the middle is killed."""


def places(requests: int, events: int) -> Iterator[tuple[int, ...]]:
    """Before which request of the one in the middle each event happens, in every way that keeps their order."""
    yield from itertools.combinations_with_replacement(range(1, requests + 1), events)


def is_dense(order: str, place: tuple[int, ...]) -> bool:
    """All at one place: these are tried whatever the stride. A kill may come later than the others."""
    return len(set(place[:-1] if order.endswith("K") else place)) == 1


def interleaved(team: Team, events: Sequence[Event], at: Sequence[int]) -> CommitStore:
    """The hands of one in whose middle the events happen."""
    count = 0

    def hook(_verb: str, _key: str) -> Fault | None:
        nonlocal count
        count += 1
        for event, place in zip(events, at, strict=True):
            if place == count:
                happen(team, event)
        return None

    return team.hands(hook)


def happen(team: Team, event: Event) -> None:
    """One event."""
    match event:
        case "G":
            team.collect()
        case "C":
            team.commit("x", "y")
        case "W":
            team.wait()
        case "K":
            raise Kill


def after(team: Team) -> None:
    """Days later, with a collection each day, everything stands."""
    for _ in range(3):
        team.wait()
        team.collect()
        team.check()


def length(run: Callable[[Team, CommitStore], object]) -> int:
    """How many requests it takes by itself."""
    team = make()
    hands = team.hands()
    run(team, hands)
    used = hands.bucket.requests
    return used.GET + used.PUT + used.LIST + used.HEAD + used.COPY + used.DELETE


def commits_x(team: Team, hands: CommitStore) -> None:
    """One in the middle: it commits what is garbage just now."""
    team.commit("x", "y", hands=hands)


def collects(team: Team, hands: CommitStore) -> None:
    """Another: it collects what was condemned a day ago."""
    team.collect(hands=hands)


def every_order(run: Callable[[Team, CommitStore], object], before: str, events: Sequence[str], extra: int) -> int:
    """Try them; how many."""
    tried = 0
    requests = length(run) + extra
    every = [(order, place) for order in events for place in places(requests, len(order))]
    for order, place in dict.fromkeys([*(one for one in every if is_dense(*one)), *every[::STRIDE]]):
        team = make()
        for event in before:
            happen(team, event)
        with suppress(Kill, Stale):
            run(team, interleaved(team, order, place))
        try:
            team.check()
            after(team)
        except AssertionError as exc:
            raise AssertionError(f"{before} then {order} at {place}") from exc
        tried += 1
    return tried


@pytest.mark.parametrize("before", ["", "G", "GW"])
def test_a_commit_with_collections_in_its_middle(before: str) -> None:
    """Wherever they fall, and however long the committer sleeps anywhere: what it says is made is whole, for ever."""
    assert every_order(commits_x, before, ["GWG", "WGG", "GWW", "GCG"], 6) > 1000 // STRIDE


@pytest.mark.parametrize("before", ["", "G"])
def test_a_commit_that_is_killed(before: str) -> None:
    """Whatever stands there then is whole. It does not sleep for a day within its last two requests and die then."""
    assert every_order(commits_x, before, ["GGK", "GKG", "CCGK"], 0) > 100 // STRIDE


@pytest.mark.parametrize("before", ["G", "GW"])
def test_a_collection_with_others_in_its_middle(before: str) -> None:
    """A commit, another collection and a day fall into it, in every order; and it may be killed."""
    orders = ["CWG", "WCG", "GCW", "WGC", "GWC", "CGC", "GCK", "CKC"]
    assert every_order(collects, before, orders, 4) > 1000 // STRIDE


def test_two_sweeps_and_what_is_made_again() -> None:
    """The slower of two finds the object that a commit made again under its old name: the name was dead all the time."""
    assert every_order(collects, "GW", ["GC", "GGC", "GWGC"], 0) > 100 // STRIDE


def test_a_collection_that_slept_between_two_objects(team: Team) -> None:
    """Days in which others removed the second, let its name live again and made it anew: it is not removed by what was
    seen before.
    """
    team.write("z")
    team.commit("y", "z")
    team.commit("y")
    team.wait()
    team.collect()
    team.wait()
    deletes = itertools.count(1)

    def sleeps(verb: str, key: str) -> Fault | None:
        if verb == "DELETE" and key.startswith(OBJECTS) and next(deletes) == 1:
            for event in ("W", "G", "W", "G", "W", "G"):
                happen(team, event)
            team.commit("y", "z")
        return None

    team.collect(hands=team.hands(sleeps))
    team.check()
    after(team)


def test_a_commit_that_slept_over_what_it_kept(team: Team) -> None:
    """Days in which what it had kept was condemned and removed, and nobody told of it any more."""
    asked = itertools.count(1)

    def sleeps(verb: str, key: str) -> Fault | None:
        if (verb, key) == ("LIST", GARBAGE) and next(asked) == 2:
            for event in ("W", "G", "W", "G", "W", "G"):
                happen(team, event)
        return None

    team.write("z")
    team.commit("y", "z", hands=team.hands(sleeps))
    team.check()
    after(team)


def test_a_commit_that_slept_is_not_taken_back(team: Team) -> None:
    """Created, and then a day asleep, it finds condemned what it needs. Somebody has read it meanwhile and makes the next one,
    which takes for granted what is in this one: while it stands no collection removes that.
    """
    team.write("x")
    read: list[tuple[int, CommitId, Commit]] = []
    looks = itertools.count(1)

    def sleeps(verb: str, key: str) -> Fault | None:
        client = team.store.client()
        if verb == "PUT" and key.startswith(COMMITS):
            team.collect()  # condemned in the last moment; and its author goes on to something else
            there = client.head("x")
            assert there is not None
            client.put("x", Bytes(b"changed"), replaces=there.version, meta={})
        if (verb, key) == ("LIST", GARBAGE) and next(looks) == 3:
            team.wait()
            hands = team.hands()
            newest = hands.newest()
            assert newest is not None
            read.append((newest.seq, *hands.read(newest)))
        return None

    hands = team.hands(sleeps)
    newest = hands.newest()
    assert newest is not None
    parent = (newest.seq, *hands.read(newest))
    found = hands.bucket.head("x")
    assert found is not None
    files = [*parent[2].files, CommitFile(Path("x"), digest("x"), 1, 0o644, found.version)]
    said = {"author": "", "device": "", "time": "", "message": "m", "project": "p"}
    made = new_commit(files, parent=parent[:2], **said)
    sources = {digest("x"): [Source("x", found.version)]}
    with pytest.raises(Integrity):
        Committer(hands, parent[2], sources, now_ns=team.clock.time_ns).commit(made)
    team.collect()
    (other,) = read
    assert digest("x") in {file.digest for file in other[2].files}
    child = new_commit(files, parent=other[:2], **{**said, "message": "n"})
    commit_id, standing = Committer(team.hands(), other[2], {}, now_ns=team.clock.time_ns).commit(child)
    team.acknowledged[standing.seq] = commit_id
    team.check()
    after(team)
