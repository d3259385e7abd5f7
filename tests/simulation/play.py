"""Play a story: devices without threads, over one bucket in memory, driven step by step."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from dorkyd.buckets.memory import MemoryBucket
from dorkyd.core.commits import commit_seq
from dorkyd.core.settings import Guard, Mode
from dorkyd.errors import DorkyError
from dorkyd.manual import begin_pull
from dorkyd.manual_rows import OpenPush
from dorkyd.news import Bytes
from tests.devices import DAWN_NS, Device, Kill
from tests.simulation import committing, sealed
from tests.simulation.beginnings import Beginning, begin, restore, restore_keys
from tests.simulation.machines import Orders, Pipe, Tally, due, folder
from tests.simulation.people import Account, Person
from tests.simulation.sharing import a_person_asks
from tests.simulation.steps import (
    TREES,
    Age,
    CheckOut,
    Collect,
    Commit,
    Cycle,
    Die,
    Disk,
    Edit,
    Fail,
    ForgetUploads,
    Freeze,
    Hang,
    Land,
    Late,
    Mend,
    Open,
    Pull,
    Push,
    Refused,
    Release,
    Restore,
    Setting,
    Settle,
    Skew,
    Stage,
    Step,
    Stranger,
    Sync,
    Undo,
    Unreadable,
    Unstage,
    Upkeep,
    Within,
    Work,
)
from tests.stamps import Stamps
from tests.trace import told_bucket, told_folder

DAY_S = 86_400
NAMES = "ABCD"
IN_TWO_OVER = 2
"""Objects: most listings of most stories begin in two places."""


class Play:
    """A story under way. `lines` tell it."""

    def __init__(self, setting: Setting, base: Path, told: Callable[[str], None] | None = None) -> None:
        self.setting = setting
        self.base = base
        self.lines: list[str] = []
        self.told = told
        self.tally = Tally()
        self.account = Account()
        self.hanging: list[tuple[str, Callable[[], object]]] = []
        self.ticks = 0
        self.days = 0
        self.settled = 0
        """How often all settled."""
        self.journal_lost = False
        """Since all settled last."""
        self.strangers = self.ignoring = False
        """Other tools wrote into the bucket; there was an ignore file. Ever."""
        self.sessions: set[str] = set()
        """Ids of all uploads that a journal ever knew: one that no journal knows was begun by who was killed then."""
        self.store = MemoryBucket(
            page_keys=setting.page_keys,
            etags=setting.etags,
            seconds=self._store_s if setting.seconds else None,
            sessions_over=1 if setting.sessions else None,
            part_bytes=16 if setting.sealed else 1,
        )
        self.committed = committing.Committed()
        self.orders: dict[str, Orders] = {}
        self.stamps: dict[str, Stamps] = {}
        beginning = begin(setting) if setting.joined else None
        if setting.sealed and beginning is not None:
            restore_keys(base, beginning)
        self.devices: list[Device] = []
        self.people: dict[str, Person] = {}
        for name in NAMES[: setting.devices]:
            self._device(name, beginning)
        self.account.written.update(TREES[setting.tree].values())
        if beginning is not None:
            objects = self.store._store
            objects.objects, objects.writes = dict(beginning.objects), beginning.writes
        else:
            for name, person in self.people.items():
                for path, text in TREES[setting.tree].items():
                    if path == "stays" or name == "A":
                        person._put(path, text, "write")
                person.stamps.see(person.root)
                # All that is older than any listing.
                person.device.clock.advance(1.0)
            self.account.given_up.clear()
        self.traps = {device.name: device.trap for device in self.devices}

    def _store_s(self) -> int:
        return DAWN_NS // 10**9 + self.days * DAY_S + self.ticks

    def _device(self, name: str, beginning: Beginning | None) -> None:
        orders = self.orders[name] = Orders()
        stamps = self.stamps[name] = Stamps(lambda: self._time_ns(name))
        pipe = Pipe(self.store, name, orders, self.tally, self.say, self.hanging)
        if beginning is not None:
            restore(self.base, name, beginning, stamps)

        def make_folder(_plain: object) -> object:
            made = folder(
                self.base / name, stamps, orders, self.tally, stepwise=self.setting.stepwise,
                between=lambda _step: self._between(name), say=self.say, name=name,
            )  # fmt: skip
            return told_folder(made, name, self.told) if self.told is not None else made

        def make_bucket() -> object:
            return told_bucket(pipe.client(), name, self.told) if self.told is not None else pipe.client()

        guard = Guard(percent=100, files=1000)
        manual = NAMES.index(name) >= self.setting.devices - self.setting.manual
        mode = Mode.MANUAL if manual else Mode.TWO_WAY
        more: dict[str, Any] = {"encrypt": sealed.PATTERNS} if self.setting.sealed else {}
        device = Device(
            self.base, name, make_bucket, wrap=make_folder, in_two_over=IN_TWO_OVER, guard=guard, mode=mode, **more
        )  # type: ignore[arg-type]
        if self.setting.sealed:
            device.key_home = sealed.key_home(self.base)
            device.engine = device._engine()
        if beginning is not None:
            beginning.wind(device)
        self.devices.append(device)
        self.people[name] = Person(device, stamps, self.account, self.say)

    def _time_ns(self, name: str) -> int:
        """File system time. Where it is slow, all that happened is recent, and every scan looks at everything."""
        found = next((d for d in self.devices if d.name == name), None)
        wall = found.clock.time_ns() if found is not None else DAWN_NS
        return DAWN_NS + (wall - DAWN_NS) // self.setting.pace

    def _between(self, name: str) -> None:
        """Another program acts between a look and an act."""
        edit = due(self.orders[name].edits, lambda _edit: True)
        if edit is not None:
            self.say(f"   (in {name}, between a look and its act:)")
            self.people[name].edit(edit)

    def device(self, name: str) -> Device:
        return self.devices[NAMES.index(name)]

    def say(self, line: str) -> None:
        self.lines.append(line)
        if self.told is not None:
            self.told(line)

    # --- steps --------------------------------------------------------------------------------------------------------

    def step(self, step: Step) -> None:
        """Let it happen. A device that is not there does nothing."""
        self.ticks += 1
        who = step.edit.who if isinstance(step, Within) else getattr(step, "who", "A")
        if who not in self.people:
            return
        match step:
            case Edit():
                self.ignoring |= step.verb == "ignore"
                self.people[who].edit(step)
            case Within():
                self.ignoring |= step.edit.verb == "ignore"
                self.orders[who].edits.append((step.nth, step.edit))
            case Cycle():
                self.say(str(step))
                device = self.device(who)
                if step.look:
                    device.look(whole=step.look == "whole")
                device.clock.advance(step.seconds)
                self._alive(device, lambda: device.engine.run_due(device.clock.monotonic()))
            case Work():
                self._work(self.device(who), step.picks)
            case Sync():
                self.say(str(step))
                device = self.device(who)
                device.look()
                self._alive(device, lambda: self._busy(device, 40))
            case Die():
                self._die(step)
            case Fail():
                self.orders[who].fails.append((step.nth, step))
            case Hang():
                self.orders[who].hangs.append(step.nth)
            case Land():
                if self.hanging:
                    self._land(step.pick % len(self.hanging))
            case Disk():
                self.say(str(step))
                if step.nth:
                    self.orders[who].disk.append(step.nth)
                else:
                    self.orders[who].full = True
            case Unreadable():
                self.say(str(step))
                self.orders[who].unreadable.add(step.path)
            case Refused():
                self.say(str(step))
                self.orders[who].refused.add(step.path)
            case Mend():
                self.say(str(step))
                self.mend(who)
            case Freeze():
                self.say(str(step))
                self._alive(self.device(who), lambda: self._freeze(who))
            case Release():
                self.say(str(step))
                self._alive(self.device(who), lambda: self.release(who))
            case Skew():
                self.say(str(step))
                self.device(who).clock.wall_ns += step.seconds * 10**9
            case Stranger():
                self._stranger(step)
            case ForgetUploads():
                self.say(str(step))
                self.store.forget_sessions()
            case Age():
                self.say(str(step))
                if self.committed.made:
                    self.land_all()  # no request lasts for days
                self.days += 100
                for device in self.devices:
                    device.clock.wall_ns += 100 * DAY_S * 10**9
            case Upkeep():
                self.say(str(step))
                device = self.device(who)
                self._alive(device, lambda: self._upkeep(device))
            case Commit() | CheckOut() | Collect():
                self.say(str(step))
                device = self.device(who)
                self._alive(device, lambda: committing.happen(self, device, step))
            case Restore():
                self._asks(who, step, lambda device: device.restore(step.path))
            case Undo():
                self._asks(who, step, lambda device: device.undo())
            case Open():
                if self.people[who].open(step.path):
                    self.say(str(step))
            case Late():
                if self.people[who].write_late(step.text):
                    self.say(str(step))
            case Stage() | Unstage() | Push() | Pull():
                self.say(str(step))
                device = self.device(who)
                if device.project.mode is Mode.MANUAL:
                    self._alive(device, lambda: self._word(device, step))
            case Settle():
                raise AssertionError(step)  # `checks` has that

    def mend(self, who: str) -> None:
        """No lasting trouble any more."""
        orders = self.orders[who]
        orders.clear()
        orders.unreadable.clear()
        orders.refused.clear()

    def _asks(self, who: str, step: Step, ask: Callable[[Device], object]) -> None:
        """A person asks for what was before: what stands in the folder then gives way on purpose."""
        device = self.device(who)
        if device.engine.journal is None:
            return
        self.say(str(step))
        before, bits = device.tree(), device.modes()

        def act() -> None:
            try:
                with a_person_asks():
                    ask(device)
            except DorkyError as exc:
                self.say(f"   ({device.name}: refused, {exc.code})")

        self._alive(device, act)
        after = device.tree()
        self.account.takes_back(before, after)
        changed = {path for path, _ in (before.items() ^ after.items()) | (bits.items() ^ device.modes().items())}
        self.account.edits += [Edit(who, "past", path) for path in sorted(changed)]
        self.stamps[who].see(device.root)

    def _upkeep(self, device: Device) -> None:
        try:
            device.engine.purge()
        except DorkyError as exc:
            self.say(f"   ({device.name}: upkeep ends in {exc.code})")

    def _word(self, device: Device, step: Stage | Unstage | Push | Pull) -> None:
        """What a person says to a device in mode manual, which may not be able to."""
        try:
            match step:
                case Stage():
                    device.stage.stage([step.path])
                case Unstage():
                    device.stage.unstage([step.path])
                case Push():
                    device.pushes.push(None)
                case Pull():
                    begin_pull(device.engine)
                    self._busy(device, 40)
        except DorkyError as exc:
            self.say(f"   ({device.name}: {exc.code})")

    def share(self, device: Device) -> None:
        """Mode manual: a person pulls, and pushes all that differs, until nothing does."""
        for _ in range(8):
            self.rest(device)
            self._word(device, Pull(device.name))
            self.rest(device)
            journal = device.journal
            if not journal.manual.apart() and not journal.manual.staged() and not self.decided_pushes(device):
                return
            if journal.manual.staged():
                self._word(device, Unstage(device.name, "."))
            self._word(device, Stage(device.name, "."))
            self._word(device, Push(device.name))
            self.rest(device)
            device.clock.advance(5.0)

    def decided_pushes(self, device: Device) -> list[OpenPush]:
        """Those that a device still has to bring to their end. One whose number nobody has taken may never happen, and is
        kept for as long: a request for it may be on its way.
        """
        last = self.last_commit()
        return [push for push in device.journal.manual.pushes() if push.seq <= last]

    def last_commit(self) -> int:
        """The highest number of a commit in the bucket; 0: there is none."""
        return max((number for key in self.store._store.objects if (number := commit_seq(key)) is not None), default=0)

    def _busy(self, device: Device, limit: int) -> None:
        """Cycle and work until it only waits for time to pass by itself."""
        for _ in range(limit):
            now = device.clock.monotonic()
            next_due = device.engine.run_due(now)
            worked = bool(device.pool.jobs)
            device.pool.run_all()
            if device.trap.dead or (not worked and (device.engine.held or device.engine.quiescent())):
                return
            device.clock.advance(0.001 if worked else min(max(0.001, next_due - now), 5.0))

    def _alive(self, device: Device, act: Callable[[], object]) -> None:
        """Whatever it does, it may be killed on the way."""
        try:
            act()
            if device.trap.dead:
                raise Kill
        except Kill:
            self.tally.faults["kill at an effect"] += 1
            self.say(f"   ({device.name} KILLED at {device.trap.calls[-1] if device.trap.calls else 'a commit'})")
            self._restart(device)
        if self.setting.sessions and device.engine.journal is not None:
            self.sessions |= {row.session.id for row in device.engine.journal.sessions.all()}

    def _work(self, device: Device, picks: tuple[int, ...]) -> None:
        def work() -> None:
            for pick in picks:
                if not device.pool.jobs or device.trap.dead:
                    return
                index = pick % len(device.pool.jobs)
                job = device.pool.jobs[index]
                del device.pool.jobs[index]
                job()

        if device.pool.jobs:
            self.say(f"{device.name}: works on {len(picks)} of {len(device.pool.jobs)} jobs")
            self._alive(device, work)

    def _die(self, step: Die) -> None:
        device = self.device(step.who)
        self.say(str(step))
        self.orders[step.who].power = step.power
        if step.nth:
            device.trap.set(step.nth, after=step.after)
            return
        if step.forgets:
            device.kill()
            for file in device.journals.glob("*"):
                file.unlink()
            self.journal_lost = True
            self.tally.faults["journal lost"] += 1
            self.sessions.clear()
            # What it had sent is then anybody's, late or not.
            self.hanging[:] = [hung for hung in self.hanging if hung[0] != step.who]
        self.tally.faults["kill between steps"] += 1
        self._restart(device)

    def _restart(self, device: Device) -> None:
        """From what is on the disk."""
        orders = self.orders[device.name]
        if orders.power:
            self.tally.faults["power cut"] += 1
            for name in sorted(orders.volatile):
                file = device.root / ".dorky" / "tmp" / name
                if file.exists():
                    self.say(f"   ({device.name}: {file.stat().st_size} staged bytes were not on the disk yet)")
                    file.write_bytes(bytes(file.stat().st_size))
            orders.volatile.clear()
        orders.power = False
        device.restart()

    def _land(self, index: int) -> None:
        who, request = self.hanging.pop(index)
        try:
            request()
            self.say(f"   (a write of {who} that hung lands)")
        except DorkyError as exc:
            self.say(f"   (a write of {who} that hung is refused: {exc.code})")

    def land_all(self) -> None:
        """Nothing hangs any more."""
        while self.hanging:
            self._land(0)

    def _stranger(self, step: Stranger) -> None:
        """What it replaces or deletes is given up."""
        bucket = self.store.client()
        found = bucket.head(step.path)
        if found is not None:
            with bucket.get(step.path) as reading:
                self.account.given_up.add(sealed.opened(b"".join(reading)).decode())
        if step.text:
            self.account.written.add(step.text)
            replaces = found.version if found is not None else None
            bucket.put(step.path, Bytes(step.text.encode()), replaces=replaces, meta={})
        elif found is None:
            return
        else:
            bucket.delete(step.path, replaces=found.version)
        self.strangers = True
        self.tally.faults["another tool's write"] += 1
        self.say(str(step))

    # --- coming to rest -----------------------------------------------------------------------------------------------

    def _freeze(self, who: str) -> None:
        with suppress(DorkyError):
            self.device(who).engine.ready().freezing.freeze("job", f"{who}'s job", 600, 3600)
            self.tally.faults["a freeze"] += 1

    def release(self, who: str) -> bool:
        """Whatever is frozen there is let go. False: nothing was."""
        with suppress(DorkyError):
            self.device(who).engine.ready().freezing.release(None)
            return True
        return False

    def rest(self, device: Device, limit: int = 300) -> None:
        """Look at both sides, and let time pass until nothing is left to do."""
        engine = device.engine
        # A listing under way is joined, and has perhaps passed by what is new: the next one counts.
        scan, listing = engine.look_again()
        useless = self.setting.sessions
        for _ in range(limit):
            now = device.clock.monotonic()
            next_due = engine.run_due(now)
            worked = bool(device.pool.jobs)
            device.pool.run_all()
            if engine.held is not None:
                return
            done = engine.counters
            journal = engine.journal
            if (
                not worked
                and journal is not None
                and done.scans >= scan
                and done.listings_done >= listing
                and engine.quiescent()
                and not (useless and journal.sessions.useless(()))
            ):
                return
            wait = 0.001 if worked or math.isinf(next_due) else min(max(0.001, next_due - now), 20.0)
            device.clock.advance(wait)
        raise AssertionError(f"{device.name} does not come to rest: {device._dirty()}, {device.engine.trouble}")

    def close(self) -> None:
        """End all devices."""
        for device in self.devices:
            device.engine.close()
        for person in self.people.values():
            person.leave()
