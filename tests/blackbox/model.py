"""What file synchronisation may do with one path, seen from outside, and whether a trace of observations can be explained.

In the manner of Hughes, Pierce, Arts and Norell, "Mysteries of Dropbox" (2016): persons read and write on several devices, and what
they see is on record (the *trace*); what the daemons do in between cannot be seen. An explanation is a placement of
hidden steps among the events under which every observation is what the model would have shown.

The state of one path, whatever the store, the daemon and the file system are:

* the *history* of the bucket: what the path held, one value after another. `ABSENT` is a value.
* of each device what its folder holds, and the place in the history that it last agreed with: its *base*. A device is
  *fresh* when that place is the last, *clean* when its folder holds what the history has there.
* the *copies*: the values in conflict copies, on whatever device, and the *ghosts*: values of copies that somebody
  overwrote who still had the file open.

Hidden steps, each only while the device's daemon runs:

* *up*: a device that is not clean appends its value to the history if it is fresh, or if the history ends as its
  base was (a value came back), or if it ends in ABSENT and the device has something (an edit beats a deletion).
* *down*: a device takes any later value of the history, not only the last: what it fetched may have been replaced before
  it was swapped in. If it was not clean, and neither of the two is ABSENT, and they differ, then its own value lost a
  race and becomes a copy. ABSENT never comes down on an edit.

Persons hold files open: a write through a descriptor whose file was swapped out meanwhile (`Late`) must become a copy.

The explainer runs all placements at once, as a nondeterministic automaton: a set of states after each event. Three
things keep it small, and none changes the answer (`test_model.py` compares it with the plain search): a down that
nobody looks at before the next one is left out; a value becomes a copy only if it is one at the end or could have been
overwritten there; and of two states that differ in values of the history that one of them skipped, the one with more of
them can do all that the other can.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Value = str | None
"""The content of a file."""
ABSENT: Value = None
"""No file."""


# --- what is on record ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Read:
    """A person looks at the path, and may look for its conflict copies."""

    device: int
    value: Value
    copies: frozenset[str] | None = None
    """None: the person did not look for them."""


@dataclass(frozen=True, slots=True)
class Write:
    """A person replaces the path's value; with ABSENT, deletes it."""

    device: int
    value: Value
    knows: bool = True
    """The person knows what was replaced: it is `old`. Else it was replaced blindly."""
    old: Value = ABSENT


@dataclass(frozen=True, slots=True)
class Open:
    """A program opens the file, reads it, and keeps it open for a `Late` write."""

    device: int
    value: str


@dataclass(frozen=True, slots=True)
class Late:
    """The program writes through what it had opened, and closes it."""

    device: int
    value: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The daemon was ended or killed: no hidden steps from here on."""

    device: int


@dataclass(frozen=True, slots=True)
class Started:
    """The daemon may be running again."""

    device: int


@dataclass(frozen=True, slots=True)
class Stable:
    """All daemons came to rest. What each device holds then: value and copies."""

    seen: tuple[tuple[Value, frozenset[str]], ...]


Event = Read | Write | Open | Late | Stopped | Started | Stable


# --- the model --------------------------------------------------------------------------------------------------------

Handle = Literal["none", "held", "out", "copy", "deleted"]
"""What became of an open file: still in its place; swapped out as it was known; swapped out as a copy; deleted by sync."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device's side of the path."""

    value: Value = ABSENT
    base: int = 0
    """Place in the history."""
    handle: Handle = "none"
    opened: Value = ABSENT
    """What the open file held when it was swapped out as a copy."""


@dataclass(frozen=True, slots=True)
class State:
    """All of one path."""

    history: tuple[Value, ...]
    devices: tuple[Device, ...]
    copies: frozenset[str] = frozenset()
    ghosts: frozenset[str] = frozenset()

    def fresh(self, n: int) -> bool:
        """The device knows the bucket's last value."""
        return self.devices[n].base == len(self.history) - 1

    def clean(self, n: int) -> bool:
        """The device holds what it agreed on."""
        device = self.devices[n]
        return device.value == self.history[device.base]

    def having(self, n: int, device: Device) -> State:
        """With that device changed, and without the history that nobody needs any more."""
        devices = (*self.devices[:n], device, *self.devices[n + 1 :])
        oldest = min(d.base for d in devices)
        if oldest:
            devices = tuple(replace(d, base=d.base - oldest) for d in devices)
        return replace(self, history=self.history[oldest:], devices=devices)


def initial(devices: int) -> State:
    """Nobody has the file."""
    return State((ABSENT,), (Device(),) * devices)


def up(state: State, n: int) -> State | None:
    """The device's value reaches the bucket. None: it may not."""
    device, last = state.devices[n], state.history[-1]
    if state.clean(n) or device.value == last:
        return None
    beats_deletion = last is ABSENT and device.value is not ABSENT
    if not (state.fresh(n) or last == state.history[device.base] or beats_deletion):
        return None
    longer = replace(state, history=(*state.history, device.value))
    return longer.having(n, replace(device, base=len(state.history)))


def downs(state: State, n: int) -> Iterator[tuple[State, Value, bool]]:
    """Every way a later value may come down: the state after it, the value, and whether the device's own was kept."""
    device = state.devices[n]
    clean = state.clean(n)
    for place in range(device.base + 1, len(state.history)):
        value = state.history[place]
        if value == device.value:
            yield state.having(n, replace(device, base=place)), value, False
        elif clean or device.value is None:
            gone: Handle = "deleted" if value is ABSENT else "out"
            handle = gone if device.handle == "held" else device.handle
            yield state.having(n, replace(device, value=value, base=place, handle=handle)), value, False
        elif value is not ABSENT and value != state.history[device.base]:
            assert device.value is not None  # an edit, since ABSENT was dealt with
            held = device.handle == "held"
            after = replace(
                device,
                value=value,
                base=place,
                handle="copy" if held else device.handle,
                opened=device.value if held else device.opened,
            )
            kept = replace(state, copies=state.copies | {device.value})
            yield kept.having(n, after), value, True


def late(state: State, n: int, value: str) -> Iterator[State]:
    """A write through an open file, wherever that file is by now."""
    device = state.devices[n]
    closed = replace(device, handle="none", opened=ABSENT)
    match device.handle:
        case "held":
            yield state.having(n, replace(closed, value=value))
        case "out" | "deleted":
            yield replace(state, copies=state.copies | {value}).having(n, closed)
            if device.handle == "deleted" and device.value is ABSENT:
                # Sync took it out, saw the edit, and put it back.
                yield state.having(n, replace(closed, value=value))
        case "copy":
            assert device.opened is not None
            both = replace(state, copies=state.copies | {value})
            yield both.having(n, closed)
            # The very file became the copy, or was about to: its old value is overwritten there.
            only = replace(both, copies=both.copies - {device.opened}, ghosts=both.ghosts | {device.opened})
            yield only.having(n, closed)
        case "none":
            raise ValueError("nothing was opened")


def at_rest(state: State, event: Stable) -> bool:
    """Everything agrees, and every device holds exactly the copies."""
    last = state.history[-1]
    return all(
        value == last and state.fresh(n) and state.clean(n) and copies == state.copies
        for n, (value, copies) in enumerate(event.seen)
    )


def apply(state: State, event: Event) -> Iterator[State]:
    """The states after an event that can be seen. None at all: the event is impossible here."""
    match event:
        case Read():
            shown = event.copies or frozenset()
            if state.devices[event.device].value == event.value and shown <= state.copies | state.ghosts:
                yield state
        case Write():
            device = state.devices[event.device]
            if not event.knows or device.value == event.old:
                yield state.having(event.device, replace(device, value=event.value))
        case Open():
            device = state.devices[event.device]
            if device.value == event.value:
                yield state.having(event.device, replace(device, handle="held"))
        case Late():
            yield from late(state, event.device, event.value)
        case Stable():
            if at_rest(state, event):
                yield state
        case Stopped() | Started():
            yield state


# --- explaining -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a trace can be explained."""

    fails_at: int | None
    """Place in the trace of the first event that no placement of hidden steps explains; None: it is explained."""
    before: tuple[State, ...] = ()
    """Some of the states in which that event was impossible."""
    most_states: int = 0
    """The largest set of states on the way."""

    @property
    def explained(self) -> bool:
        return self.fails_at is None


_Wanted = frozenset[Value] | None
"""What may be seen next on a device; None: nothing can be told."""


@dataclass(frozen=True, slots=True)
class _Prospects:
    """What the rest of the trace can tell."""

    wanted: tuple[_Wanted, ...]
    """By device."""
    copyable: frozenset[str] | None
    """Values that may become copies; None: any."""


def explain(trace: Sequence[Event], devices: int, *, plain: bool = False) -> Verdict:
    """Search for a placement of hidden steps. `plain`: without what keeps it small, for comparison."""
    running = [True] * devices
    states = {initial(devices)}
    shown: list[frozenset[str]] = [frozenset()] * devices
    most = 1
    for place, event in enumerate(trace):
        prospects = _prospects(trace, place, devices, plain=plain)
        reached = _closure(states, running, prospects)
        if not plain:
            reached = _undominated(reached)
        most = max(most, len(reached))
        gone = _vanished(event, shown)
        states = {after for before in reached if gone <= before.ghosts for after in apply(before, event)}
        if not states:
            return Verdict(place, tuple(sorted(reached, key=repr)[:5]), most)
        if isinstance(event, Stopped | Started):
            running[event.device] = isinstance(event, Started)
    return Verdict(None, (), most)


def _vanished(event: Event, shown: list[frozenset[str]]) -> frozenset[str]:
    """Copies that the event's devices showed before and do not show any more. `shown` is brought up to date."""
    seen: Mapping[int, frozenset[str]] = {}
    match event:
        case Read() if event.copies is not None:
            seen = {event.device: event.copies}
        case Stable():
            seen = {n: copies for n, (_, copies) in enumerate(event.seen)}
        case _:
            pass
    gone: frozenset[str] = frozenset()
    for n, copies in seen.items():
        gone |= shown[n] - copies
        shown[n] = copies
    return gone


def _closure(states: set[State], running: Sequence[bool], prospects: _Prospects) -> set[State]:
    """All that hidden steps can reach."""
    reached, todo = set(states), list(states)
    while todo:
        for after in _hidden(todo.pop(), running, prospects):
            if after not in reached:
                reached.add(after)
                todo.append(after)
    return reached


def _hidden(state: State, running: Sequence[bool], prospects: _Prospects) -> Iterator[State]:
    for n, runs in enumerate(running):
        if not runs:
            continue
        sent = up(state, n)
        if sent is not None:
            yield sent
        wanted = prospects.wanted[n]
        for after, value, kept in downs(state, n):
            if kept:
                if prospects.copyable is None or state.devices[n].value in prospects.copyable:
                    yield after
            elif (
                wanted is None
                or value in wanted
                or value == state.devices[n].value  # agreeing makes an edit a value that may be replaced
                or state.devices[n].handle == "held"
            ):
                yield after


def _prospects(trace: Sequence[Event], place: int, devices: int, *, plain: bool) -> _Prospects:
    if plain:
        return _Prospects((None,) * devices, None)
    rest = trace[place:]
    held = {event.value for event in trace[:place] if isinstance(event, Open)}
    copyable = _copyable(rest)
    wanted = tuple(next((seen for e in rest for seen in _sees(e, n)), None) for n in range(devices))
    return _Prospects(wanted, None if copyable is None else copyable | held)


def _sees(event: Event, n: int) -> Iterator[_Wanted]:
    """What the event tells of the device's value, if it has to do with it."""
    match event:
        case Stable():
            yield frozenset({event.seen[n][0]})
        case Read() | Open() if event.device == n:
            yield frozenset({event.value})
        case Write() if event.device == n:
            yield frozenset({event.old}) if event.knows else None
        case Late() if event.device == n:
            yield None
        case _:
            pass


def _copyable(rest: Sequence[Event]) -> frozenset[str] | None:
    """Values that are copies when all is at rest next, or that a late write may have overwritten in one until then."""
    opened: set[str] = set()
    for event in rest:
        if isinstance(event, Open):
            opened.add(event.value)
        if isinstance(event, Stable):
            return frozenset(opened.union(*(copies for _, copies in event.seen)))
    return None


def _undominated(states: set[State]) -> set[State]:
    """Without states that another one can stand for."""
    groups: dict[object, list[State]] = {}
    for state in states:
        devices = tuple(
            (d.value, state.history[d.base], state.fresh(n), d.handle, d.opened) for n, d in enumerate(state.devices)
        )
        groups.setdefault((devices, state.copies, state.ghosts, state.history[-1]), []).append(state)
    kept: set[State] = set()
    for group in groups.values():
        group.sort(key=lambda s: (-len(s.history), repr(s.history)))
        leaders: list[State] = []
        for state in group:
            if not any(_covers(leader, state) for leader in leaders):
                leaders.append(state)
        kept.update(leaders)
    return kept


def _covers(one: State, other: State) -> bool:
    return all(
        _is_within(b.history[d.base + 1 :], one.history[c.base + 1 :])
        for b, d, c in ((other, d, c) for d, c in zip(other.devices, one.devices, strict=True))
    )


def _is_within(short: Sequence[Value], long: Sequence[Value]) -> bool:
    """Whether the one is the other with some left out."""
    rest = iter(long)
    return all(any(value == there for there in rest) for value in short)


# --- telling ----------------------------------------------------------------------------------------------------------


def shrink(trace: Sequence[Event], devices: int) -> list[Event]:
    """A trace that cannot be explained, without what makes no difference to that. Only looks are left out, and what comes
    after the failure: a trace without a write that was made would be another story.
    """
    fails_at = explain(trace, devices).fails_at
    if fails_at is None:
        raise ValueError("it can be explained")
    left = list(trace[: fails_at + 1])
    for place in reversed(range(len(left) - 1)):
        shorter = left[:place] + left[place + 1 :]
        if isinstance(left[place], Read) and not explain(shorter, devices).explained:
            left = shorter
    return left
