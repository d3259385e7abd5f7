"""The model knows what may happen, and rejects what may not."""

from __future__ import annotations

import random

import pytest

from tests.blackbox.model import (
    ABSENT,
    Event,
    Late,
    Open,
    Read,
    Stable,
    Started,
    State,
    Stopped,
    Write,
    apply,
    downs,
    explain,
    initial,
    shrink,
    up,
)

A, B, C = 0, 1, 2


def rest(value: str | None, *copies: str, devices: int = 2) -> Stable:
    """All devices at rest with this."""
    return Stable(((value, frozenset(copies)),) * devices)


def read(device: int, value: str | None, *copies: str) -> Read:
    """A look."""
    return Read(device, value, frozenset(copies))


def write(device: int, value: str | None, old: str | None) -> Write:
    """A write that knows what it replaced."""
    return Write(device, value, True, old)


def blind(device: int, value: str | None) -> Write:
    """A write that does not."""
    return Write(device, value, False)


POSSIBLE: dict[str, list[Event]] = {
    "a value arrives": [blind(A, "1"), read(B, None), read(B, "1"), rest("1")],
    "a value is skipped": [blind(A, "1"), blind(A, "2"), read(B, None), read(B, "2"), rest("2")],
    "a deletion arrives": [blind(A, "1"), rest("1"), blind(A, ABSENT), read(B, "1"), read(B, None), rest(None)],
    "A wins the race": [blind(A, "1"), blind(B, "2"), rest("1", "2")],
    "B wins the race": [blind(A, "1"), blind(B, "2"), read(A, "2"), rest("2", "1")],
    "both wrote the same": [blind(A, "1"), blind(B, "1"), rest("1")],
    "an edit beats a deletion": [blind(A, "1"), rest("1"), blind(A, ABSENT), blind(B, "2"), rest("2")],
    "an edit after the deletion arrived": [blind(A, "1"), rest("1"), blind(A, ABSENT), write(B, "2", None), rest("2")],
    "an edit lost by one that was made later": [blind(A, "1"), rest("1"), write(B, "2", "1"), write(A, "3", "1"), rest("2", "3")],
    "knowingly replaced": [blind(A, "1"), write(B, "2", "1"), rest("2")],
    "three writers": [blind(A, "1"), blind(B, "2"), blind(C, "3"), rest("3", "1", "2", devices=3)],
    "an old value arrives late": [
        blind(A, "0"), rest("0", devices=3), blind(A, "1"), read(B, "1"), write(B, "2", "1"), read(A, "2"), read(C, "0"), read(C, "1"),
        rest("2", devices=3),
    ],
    "a value comes back": [blind(A, "1"), blind(A, "2"), rest("2"), write(B, "1", "2"), rest("1")],
    "stopped, then it goes on": [blind(A, "1"), Stopped(A), blind(A, "2"), read(B, "1"), Started(A), rest("2")],
    "written while it was open": [blind(A, "1"), Open(A, "1"), Late(A, "2"), rest("2")],
    "copies not looked for": [blind(A, "1"), blind(B, "2"), read(B, "1", "2"), Read(B, "1"), rest("1", "2")],
    "a late write becomes a copy": [
        blind(A, "1"), rest("1"), Open(A, "1"), write(B, "2", "1"), read(A, "2"), Late(A, "3"), rest("2", "3"),
    ],
    "a late write into a copy": [blind(A, "1"), Open(A, "1"), blind(B, "2"), read(A, "2"), Late(A, "3"), rest("2", "3")],
    "a late write beside a copy": [
        blind(A, "1"), Open(A, "1"), blind(B, "2"), read(A, "2", "1"), Late(A, "3"), rest("2", "1", "3"),
    ],
    "a late write undoes the deletion": [
        blind(A, "1"), rest("1"), Open(A, "1"), blind(B, ABSENT), read(A, None), Late(A, "2"), rest("2"),
    ],
}  # fmt: skip

IMPOSSIBLE: dict[str, list[Event]] = {
    "a value nobody wrote": [read(A, "1")],
    "knowingly overwritten, and back": [blind(A, "1"), rest("1"), write(A, "2", "1"), read(A, "1")],
    "knowingly overwritten, and back on the other": [blind(A, "1"), rest("1"), write(B, "2", "1"), read(A, "2"), read(A, "1")],
    "knowingly overwritten, and a copy": [blind(A, "1"), rest("1"), write(B, "2", "1"), rest("2", "1")],
    "silently overwritten": [blind(A, "1"), blind(B, "2"), rest("1")],
    "vanished": [blind(A, "1"), rest(None)],
    "vanished on one device": [blind(A, "1"), rest("1"), read(A, None)],
    "devices differ": [blind(A, "1"), Stable((("1", frozenset()), (None, frozenset())))],
    "copies differ": [blind(A, "1"), blind(B, "2"), Stable((("1", frozenset({"2"})), ("1", frozenset())))],
    "a copy of no race": [blind(A, "1"), rest("1", "1")],
    "a copy of nothing that was written": [blind(A, "1"), rest("1", "2")],
    "a copy vanished": [blind(A, "1"), blind(B, "2"), read(B, "1", "2"), read(B, "1"), rest("1", "2")],
    "a deletion beats an edit": [blind(A, "1"), rest("1"), write(A, ABSENT, "1"), write(B, "2", "1"), rest(None)],
    "a deletion makes a copy of an edit": [
        blind(A, "1"), rest("1"), write(A, ABSENT, "1"), write(B, "2", "1"), rest(None, "2"),
    ],
    "an edit made a copy though it replaced the deletion": [blind(A, "1"), rest("1"), blind(A, ABSENT), blind(B, "2"), rest("2", "1")],
    "undeleted": [blind(A, "1"), rest("1"), write(A, ABSENT, "1"), rest("1")],
    "it goes on while stopped": [Stopped(B), blind(A, "1"), read(B, "1")],
    "it comes from a stopped device": [Stopped(A), blind(A, "1"), read(B, "1")],
    "a late write is lost": [
        blind(A, "1"), rest("1"), Open(A, "1"), write(B, "2", "1"), read(A, "2"), Late(A, "3"), rest("2"),
    ],
    "a late write took the place of what came": [
        blind(A, "1"), rest("1"), Open(A, "1"), write(B, "2", "1"), read(A, "2"), Late(A, "3"), rest("3"),
    ],
    "torn": [blind(A, "1"), read(B, "")],
}  # fmt: skip


def count(trace: list[Event]) -> int:
    """Of the devices in it."""
    return max(len(e.seen) if isinstance(e, Stable) else e.device + 1 for e in [*trace, read(B, None)])


@pytest.mark.parametrize("name", POSSIBLE)
def test_possible(name: str) -> None:
    """What may happen is explained, by both searches."""
    trace = POSSIBLE[name]
    assert explain(trace, count(trace)).explained
    assert explain(trace, count(trace), plain=True).explained


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_impossible(name: str) -> None:
    """What may not happen is rejected, by both searches at one event, and still when it is shortened."""
    trace = IMPOSSIBLE[name]
    found = explain(trace, count(trace))
    assert not found.explained
    assert not explain(trace, count(trace), plain=True).explained
    assert not explain(shrink(trace, count(trace)), count(trace)).explained


def imagined(rng: random.Random, devices: int, events: int) -> list[Event]:
    """A trace of the model itself, with hidden steps at random moments, until all is at rest."""
    state, trace, serial = initial(devices), list[Event](), 0
    running = [True] * devices

    def see(event: Event) -> State:
        trace.append(event)
        return rng.choice(list(apply(state, event)))

    def hidden() -> State:
        n = rng.randrange(devices)
        steps = [after for after, _, _ in downs(state, n)] + [s for s in [up(state, n)] if s is not None]
        return rng.choice(steps) if steps and running[n] else state

    for _ in range(events):
        for _ in range(rng.choice((0, 0, 1, 2, 5))):
            state = hidden()
        n = rng.randrange(devices)
        device = state.devices[n]
        serial += 1
        match rng.choice(("read", "read", "write", "blind", "delete", "revert", "open", "toggle")):
            case "read":
                shown = frozenset(
                    c
                    for c in state.copies
                    if any(isinstance(e, Read) and e.device == n and c in (e.copies or ()) for e in trace)
                )
                state = see(
                    Read(n, device.value, shown | ({rng.choice(sorted(state.copies))} if state.copies else set()))
                )
            case "write" if device.handle == "none":
                state = see(Write(n, str(serial), True, device.value))
            case "blind" if device.handle == "none":
                state = see(Write(n, str(serial), False))
            case "delete" if device.handle == "none":
                state = see(Write(n, ABSENT, True, device.value))
            case "revert" if device.handle == "none" and serial > 1:
                state = see(Write(n, str(rng.randrange(1, serial)), False))
            case "open" if device.handle != "none":
                state = see(Late(n, str(serial)))
            case "open" if device.value is not None:
                state = see(Open(n, device.value))
            case "toggle" if rng.random() < 0.3:
                running[n] = not running[n]
                state = see(Started(n) if running[n] else Stopped(n))
            case _:
                pass
    for n, device in enumerate(state.devices):
        if device.handle != "none":
            serial += 1
            state = see(Late(n, str(serial)))
    for n in range(devices):
        if not running[n]:
            running[n] = True
            state = see(Started(n))
    while not all(state.fresh(n) and state.clean(n) for n in range(devices)):
        state = hidden()
    see(Stable(((state.history[-1], state.copies),) * devices))
    return trace


@pytest.mark.parametrize(("devices", "traces"), [(2, 60), (3, 8)])
def test_whatever_the_model_does_is_explained(devices: int, traces: int) -> None:
    """The search that leaves placements out still finds one, and stays small."""
    rng, most = random.Random(devices), 0
    for _ in range(traces):
        trace = imagined(rng, devices, 25)
        found = explain(trace, devices)
        assert found.explained, f"{found.fails_at}: {trace}"
        most = max(most, found.most_states)
    assert most < 20_000


def test_both_searches_agree() -> None:
    """On traces with one false observation, the search that leaves placements out says what the plain one says."""
    rng, rejected = random.Random(7), 0
    for _ in range(300):
        trace = imagined(rng, 2, 8)
        place = rng.randrange(len(trace))
        values = [e.value for e in trace if isinstance(e, Write)] or [ABSENT]
        match trace[place]:
            case Read(device, _, copies):
                trace[place] = Read(device, rng.choice(values), copies)
            case Write(device, value):
                trace[place] = Write(device, value, True, rng.choice(values))
            case Stable(seen):
                copies = frozenset(v for v in values if v is not None and rng.random() < 0.4)
                trace[place] = Stable(((rng.choice((seen[0][0], rng.choice(values))), copies),) * 2)
            case _:
                del trace[place]
        try:
            plain = explain(trace, 2, plain=True)
        except ValueError:
            continue  # nothing was opened
        assert explain(trace, 2).explained == plain.explained, trace
        rejected += not plain.explained
    assert rejected > 50
