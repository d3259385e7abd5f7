"""Random days of two or three devices, and what must hold after each of them.

A story is made from its seed: edits between any two steps of the engines (and, in the middle of an effect, between its
look and its act), faults of the store, kills at any effect. Afterwards all is well again and every device settles. Then

* all folders are equal, bits and all, and equal to the bucket, and the journals say so;
* no content is lost: what no person replaced or deleted on a device that had it is live somewhere (an edit that lost is
  live in its conflict copy);
* where one device alone was edited, every folder is exactly what its person made: nothing reverted, no conflict copy;
* a quiet system changes nothing in the bucket and moves nothing;
* staging holds nothing that the journal does not explain, and nothing was written outside the folders.

`DORKY_SEEDS=1000-3000` runs those seeds instead of the few of CI. A story that fails is printed.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.core import metadata
from dorkyd.core.settings import Guard
from dorkyd.errors import DorkyError, RateLimited, Stale, Transient
from dorkyd.news import Bytes
from dorkyd.ports import Bucket, Folder
from dorkyd.renames import AtomicRenames, StepwiseRenames
from tests.devices import DAWN_NS, Device, Kill, World, trap_commits
from tests.scenarios.people import People
from tests.stamps import StampedFolder, Stamps
from tests.trace import journal_lines, tell_decisions, told_bucket, told_folder, told_on_failure


def _seeds() -> list[int]:
    asked = os.environ.get("DORKY_SEEDS", "0-200")
    first, _, last = asked.partition("-")
    return list(range(int(first), int(last or int(first) + 1)))


class _Zombies:
    """Requests whose connection broke before the store had done them: they may still land, later."""

    def __init__(self, inner: Bucket, day: Day, name: str) -> None:
        self._inner, self._day, self._name = inner, day, name

    def __getattr__(self, name: str) -> object:
        found = getattr(self._inner, name)
        if name not in ("put", "delete", "copy"):
            return found

        def call(*args: object, **kwargs: object) -> object:
            day = self._day
            key = args[0] if name != "copy" else args[1]
            if day.faulty and not str(key).startswith(".dorky/") and day.rng.random() < day.hanging:
                if name == "put":
                    # The bytes left this machine before the connection broke.
                    with args[1].open() as stream:  # type: ignore[attr-defined]
                        args = (args[0], Bytes(stream.read()), *args[2:])
                day.say(f"{name} {key}: hangs in the network")
                day.zombies.append((self._name, lambda: found(*args, **kwargs)))
                raise Transient("timed out")
            return found(*args, **kwargs)

        return call


class Day:
    """One story."""

    def __init__(self, seed: int, base: Path) -> None:
        self.rng = random.Random(seed)
        self.seed = seed
        self.base = base
        self.lines: list[str] = []
        self.trace: list[str] = []
        """`lines`, with what the devices did."""
        self.stamps: dict[str, Stamps] = {}
        self.people = People(self.rng, self.say, self.stamps)
        self.zombies: list[tuple[str, Callable[[], object]]] = []
        """Whose request, and the request."""
        self.faulty = False
        self.racing: Device | None = None
        """Whose folder is being worked in, so that its person may interfere."""
        self.world = World(base)
        etags = self.rng.random() < 0.3
        seconds = (lambda: 1_790_000_000 + len(self.lines)) if self.rng.random() < 0.5 else None
        # Of its own dice, so that the stories are the same with and without.
        dice = random.Random(f"more {seed}")
        sessions, self.pace = dice.random() < 0.4, dice.choice((1, 30, 1000))
        self.hanging, self.failing = dice.choice((0.03, 0.03, 0.12)), dice.choice((0.01, 0.06, 0.06, 0.2))
        self.interfering, self.losing = dice.choice((0.02, 0.02, 0.2)), dice.choice((0.0, 0.0, 0.3))
        """How likely requests hang or fail, a person acts within an effect, and a journal goes with a kill."""
        self.strangers = dice.random() < 0.3
        """Another tool writes into the bucket."""
        self.strangers_came = False
        self.journal_lost = False
        self.world.store = MemoryBucket(
            page_keys=self.rng.choice((2, 5, 1000)),
            etags=etags,
            seconds=seconds,
            sessions_over=1 if sessions else None,
            part_bytes=1,
        )
        self.world.faults = self._fault
        self.editors: list[Device] = []
        """Whose persons are at work."""
        self.sessions: set[str] = set()
        """Ids of all sessions that a journal ever knew: one that no journal knows was begun by who was killed then."""
        stepwise = self.rng.random() < 0.3
        self.say(
            f"etags {etags}, seconds {seconds is not None}, stepwise {stepwise}, sessions {sessions}, pace {self.pace}"
        )
        for name in ("A", "B", "C")[: self.rng.choice((2, 2, 3))]:
            device = self.world.device(
                name,
                wrap=lambda _folder, name=name: self._folder(name, stepwise),
                guard=Guard(percent=100, files=1000),
            )
            plain = device.make_bucket
            device.make_bucket = lambda plain=plain, name=name: _Zombies(  # type: ignore[assignment,misc,return-value]
                told_bucket(plain(), name, self.trace.append),  # type: ignore[arg-type]
                self,
                name,
            )
            device.engine = device._engine()
        # Were the last file deleted, a device that lists the bucket before it reads so would have to ask its person.
        self.world.devices[0].write("stays", "stays")
        self.people.stamp(self.world.devices[0], "stays")
        self.world.settle()
        self.traps = {device.name: device.trap for device in self.world.devices}

    def say(self, line: str) -> None:
        self.lines.append(line)
        self.trace.append(line)

    def _folder(self, name: str, stepwise: bool) -> Folder:
        renames = StepwiseRenames() if stepwise else AtomicRenames()
        stamps = self.stamps.setdefault(name, Stamps(lambda: self._time_ns(name)))
        folder = StampedFolder(
            str(self.base / name), stamps, renames=renames, between=lambda step: self._between(name, step)
        )
        return told_folder(folder, name, self.trace.append)  # type: ignore[return-value]

    # --- chance -------------------------------------------------------------------------------------------------

    def _between(self, name: str, step: str) -> None:
        """Another program acts between a look and an act."""
        device = self.device(name)
        if device in self.editors and self.faulty and self.rng.random() < self.interfering:
            self.say(f"  (in {name}, at {step}:)")
            self.people.edit(device)

    def _time_ns(self, name: str) -> int:
        """File system time. Where it is slow, all that happened is recent, and every scan looks at everything."""
        return DAWN_NS + (self.device(name).clock.time_ns() - DAWN_NS) // self.pace

    def device(self, name: str) -> Device:
        return next(d for d in self.world.devices if d.name == name)

    def _fault(self, device: str, verb: str, key: str) -> Fault | None:
        if not self.faulty or self.rng.random() > self.failing:
            return None
        kind = self.rng.randrange(6)
        when = self.rng.choice(("before", "after"))
        if verb in ("HEAD", "GET", "LIST"):
            when = "before"
            if verb == "GET" and kind < 3:
                when = "midway"
        self.say(f"  {device} {verb} {key}: fault {kind} {when}")
        if kind == 0 and verb in ("PUT", "COPY", "DELETE"):
            # The SDK sent it twice: its first try was done, or another write was on its way.
            return Fault(Stale("409"), when)  # type: ignore[arg-type]
        if kind == 1:
            return Fault(Transient("gone", offline=True), when)  # type: ignore[arg-type]
        if kind == 2:
            return Fault(RateLimited("slow down", retry_after_s=1.0), when)  # type: ignore[arg-type]
        return Fault(Transient("lost"), when)  # type: ignore[arg-type]

    # --- the story ----------------------------------------------------------------------------------------------

    def live(self) -> None:
        """A few acts; between them all settles and is checked."""
        for act in range(self.rng.choice((1, 2, 3))):
            devices = self.world.devices
            alone = self.rng.random() < 0.35
            self.editors = [self.rng.choice(devices)] if alone else list(devices)
            self.say(f"--- act {act}: {[d.name for d in self.editors]} at work")
            self.faulty = self.rng.random() < 0.8
            self.journal_lost = self.strangers_came = False
            for _ in range(self.rng.choice((10, 30, 80))):
                self._something()
            mine = _shape(self.editors[0]) if alone else None
            self.faulty = False
            for device in devices:
                device.trap.unset()
            for _, zombie in self.zombies:
                try:
                    zombie()
                    self.say("a request landed at last")
                except DorkyError:
                    pass
            self.zombies.clear()
            self.check(mine)

    def _something(self) -> None:
        rng = self.rng
        device = rng.choice(self.world.devices)
        kind = rng.random()
        if kind < 0.35:
            self.people.edit(rng.choice(self.editors))
        elif kind < 0.40 and self.faulty:
            at, after = rng.randrange(1, 25), rng.random() < 0.5
            self.say(f"{device.name}: a kill {'after' if after else 'before'} effect {at} from here")
            device.trap.set(at, after=after)
        elif kind < 0.43 and self.faulty:
            self.say(f"{device.name}: killed between steps")
            if rng.random() < self.losing:
                self._lose_journal(device)
            device.restart()
        elif kind < 0.435 and self.faulty and self.world.store.sessions_over is not None:
            self.world.store.forget_sessions()
            self.say("the store forgets unfinished uploads")
        elif kind < 0.46 and self.zombies:
            _, zombie = self.zombies.pop(rng.randrange(len(self.zombies)))
            try:
                zombie()
                self.say("a request landed late")
            except DorkyError:
                self.say("a late request was refused")
        elif kind < 0.48 and self.strangers:
            self._stranger()
        else:
            self._run(device)

    def _stranger(self) -> None:
        """Another tool replaces or deletes an object. What that held is given up."""
        objects = self.world.objects()
        path = self.rng.choice(sorted(objects))
        if path == "stays":
            return
        self.strangers_came = True
        self.people.given_up.add(objects[path])
        if self.rng.random() < 0.7:
            text = self.people.fresh()
            self.say(f"another tool: {path} := {text}")
            self.world.put(path, text)
        else:
            self.say(f"another tool: rm {path}")
            self.world.remove(path)

    def _lose_journal(self, device: Device) -> None:
        """Its disk comes back without it. What it had sent is then anybody's, late or not."""
        device.kill()
        for file in device.journals.iterdir():
            file.unlink()
        self.say(f"{device.name}: and its journal is lost")
        self.journal_lost = True
        self.sessions.clear()
        self.zombies = [zombie for zombie in self.zombies if zombie[0] != device.name]

    def _run(self, device: Device) -> None:
        """A cycle, or some of the jobs it began, in any order."""
        rng = self.rng
        try:
            if device.pool.jobs and rng.random() < 0.6:
                for _ in range(rng.randrange(1, len(device.pool.jobs) + 1)):
                    index = rng.randrange(len(device.pool.jobs))
                    job = device.pool.jobs[index]
                    del device.pool.jobs[index]
                    job()
            else:
                if rng.random() < 0.5:
                    device.look(whole=rng.random() < 0.7)
                device.clock.advance(rng.choice((0.0, 0.1, 1.0, 3.0, 20.0)))
                self.say(f"{device.name}: cycle")
                device.engine.run_due(device.clock.monotonic())
            if device.trap.dead:
                raise Kill
        except Kill:
            self.say(f"{device.name}: KILLED {device.trap.calls[-1] if device.trap.calls else ''}")
            device.restart()
        if device.engine.journal is not None:
            self.sessions |= {row.session.id for row in device.engine.journal.sessions.all()}

    def told(self) -> Iterator[str]:
        """The story, and how it ended."""
        yield from self.trace
        for device in self.world.devices:
            yield f"{device.name} {_shape(device)}"
        yield f"bucket {self.world.objects()}"
        for device in self.world.devices:
            yield from journal_lines(device)

    # --- what must hold -----------------------------------------------------------------------------------------

    def check(self, alone: dict[str, tuple[str, int]] | None) -> None:
        """See the module."""
        world = self.world
        for device in world.devices:
            device.pool.run_all()
        self.say("--- all settle")
        world.settle(rounds=12)
        for device in world.devices:
            assert device.engine.held is None, device.engine.held
            if self.strangers_came and set(device.problems().values()) == {"clash"}:
                # By design: what another tool put below a file, or above a folder, is left to a person.
                return
            assert not device.problems(), (device.name, device.problems())
        first = _shape(world.devices[0])
        untold = self._untold()
        for device in world.devices[1:]:
            differ = {p for p, _ in _shape(device).items() ^ first.items()}
            alike = {p for p in differ & untold if device.read(p) == first[p][0]}
            assert differ == alike, f"{device.name} differs from {world.devices[0].name}: {differ}"
        objects = world.objects()
        assert objects == {path: text for path, (text, _) in first.items()}, "the bucket differs from the folders"
        self._bucket_agrees(first)
        if alone is not None and not self.journal_lost and not self.strangers_came:
            assert first == alone, "the lone editor's folder did not win"
        live = set(objects.values())
        lost = self.people.written - self.people.given_up - live
        assert not lost, f"lost: {sorted(lost)}"
        self._polls(60)
        self._journals_agree(first)
        left = world.store.open_session_ids & self.sessions
        assert not left, f"uploads that nobody ends: {left}"
        world.forget()
        for device in world.devices:
            device.settle()
        moved = {name: {k: v for k, v in c.items() if k.lstrip(".") in ("PUT", "COPY", "DELETE") or k == "GET"}
                 for name, c in world.counts.items()}  # fmt: skip
        assert not any(moved.values()), f"a quiet system moved something: {moved}"
        known = {name for device in world.devices for name in (device.name, f"{device.name}-state")}
        assert {p.name for p in self.base.iterdir()} == known

    def _polls(self, limit: int) -> None:
        """Time passes until no device remembers an upload: useless ones are given up one a poll."""
        for device in self.world.devices:
            for _ in range(limit):
                if not device.journal.sessions.all():
                    break
                device.step(20.0)

    def _untold(self) -> set[str]:
        """Where the object says nothing of permission bits, since another tool wrote it, each device has its own."""
        bucket = self.world.store.client()
        infos = {path: bucket.head(path) for path in self.world.objects()}
        return {path for path, info in infos.items() if info is not None and "dorky-mode" not in info.meta}

    def _bucket_agrees(self, shape: dict[str, tuple[str, int]]) -> None:
        bucket = self.world.store.client()
        for path, (_, mode) in shape.items():
            info = bucket.head(path)
            assert info is not None
            remote = metadata.remote_of(info.version, info.size, info.modified, info.meta)
            assert path in self._untold() or remote.mode == mode, (
                f"{path}: the object says mode {remote.mode}, the folders {mode}"
            )

    def _journals_agree(self, shape: dict[str, tuple[str, int]]) -> None:
        for device in self.world.devices:
            journal = device.engine.journal
            assert journal is not None
            assert set(journal.base_paths()) == set(shape), f"{device.name}: base differs from the folder"
            assert not journal.ledger.open_intents()
            assert not journal.ledger.open_installs()
            assert not journal.ledger.announcements(1)
            assert not journal.sessions.all()
            explained = {row.staged for row in journal.ledger.all_fetched()}
            staged = {p.name for p in (device.root / ".dorky" / "tmp").iterdir() if not p.name.startswith(".")}
            assert staged <= explained, f"{device.name}: staging holds {staged - explained}"


def _shape(device: Device) -> dict[str, tuple[str, int]]:
    return {path: (text, (device.root / path).stat().st_mode & 0o777) for path, text in device.tree().items()}


@pytest.mark.parametrize("seed", _seeds())
def test_a_random_day(seed: int, quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any day, nothing is lost and all agree."""
    day = Day(seed, quick_path)
    trap_commits(monkeypatch, day.traps)
    tell_decisions(monkeypatch, day.trace.append)
    try:
        with told_on_failure(day.told):
            day.live()
    finally:
        for device in day.world.devices:
            device.engine.close()
