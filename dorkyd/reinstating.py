"""Content of before is put in many places: brought a slice at a time, placed a slice at a time, told in the history.

A run that breaks off has done some of it, each file whole; asked again, it does the rest. On the thread of whoever asks.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial

from dorkyd.contents import Contents, Wanted
from dorkyd.core.model import Local, Path
from dorkyd.core.paths import ancestors
from dorkyd.engine import Engine
from dorkyd.errors import DorkyError, Refused
from dorkyd.ledger import Event
from dorkyd.placing import BUSY, Placement, Placer, Withdrawal

SLICE = 100
"""So many files are placed between two cycles."""
BUSY_S = 30.0
"""How long a path is waited for that is being synced."""
_TICK_S = 0.02

Failures = dict[Path, DorkyError]
_Step = Placement | Withdrawal


@dataclass(frozen=True, slots=True)
class Reinstatement:
    """Content for one place."""

    wanted: Wanted
    place: Path
    there: Local | None
    """What was seen in that place, and gives way to it; None: nothing."""
    event: Event
    """What the history says once it is done; its digest is of what was placed."""


@dataclass(frozen=True, slots=True)
class Removal:
    """A file that a person wants out of its place."""

    path: Path
    there: Local
    event: Event


def reinstate(engine: Engine, items: Sequence[Reinstatement]) -> Failures:
    """Put all in place; the places are distinct. Returns why, for those that were not."""
    contents, failed = Contents(engine), Failures()
    for start in range(0, len(items), SLICE):
        part = items[start : start + SLICE]
        ready: list[tuple[_Step, Event]] = []
        for item, brought in zip(part, contents.bring_all([item.wanted for item in part]), strict=True):
            if isinstance(brought, DorkyError):
                failed[item.place] = brought
            else:
                placement = Placement(brought.staged, brought.digest, item.place, item.there, brought.secret)
                ready.append((placement, replace(item.event, digest=brought.digest)))
        failed |= _patiently(contents, ready)
    return failed


def remove(engine: Engine, items: Sequence[Removal]) -> Failures:
    """Take all out, to the trash; the deletions that follow in the bucket are approved. Returns as `reinstate`."""
    contents, failed = Contents(engine), Failures()
    for start in range(0, len(items), SLICE):
        part = items[start : start + SLICE]
        failed |= _patiently(contents, [(Withdrawal(one.path, one.there, approved=True), one.event) for one in part])
    return failed


def in_each_others_way(comes: Collection[Path], goes: Collection[Path]) -> dict[Path, set[Path]]:
    """Names that are wanted for a file and a folder: of each, the uppermost, with what comes and goes there."""
    found: dict[Path, set[Path]] = {}
    for these, those in ((comes, goes), (goes, comes)):
        for path in these:
            for above in ancestors(path):
                if above in those:
                    found.setdefault(above, set()).update((above, path))
    for name in sorted(found, key=len, reverse=True):
        into = next((above for above in ancestors(name) if above in found), None)
        if into is not None:
            found[into] |= found.pop(name)
    return found


def trade_places(engine: Engine, name: Path, comes: Sequence[Reinstatement], goes: Sequence[Removal]) -> Failures:
    """A file comes back where a folder stands, or the reverse: what goes makes room, once all that comes is here. Where that
    cannot be, all stays. Returns as `reinstate`.
    """
    contents = Contents(engine)
    brought = contents.bring_all([item.wanted for item in comes])
    came = [one for one in brought if not isinstance(one, DorkyError)]
    failure = next((one for one in brought if isinstance(one, DorkyError)), None) or what_stays_in(
        engine, name, {one.path for one in goes}
    )
    if failure is not None:
        contents.drop([one.staged for one in came])
        return dict.fromkeys([*(item.place for item in comes), *(one.path for one in goes)], failure)
    failed = remove(engine, goes)
    if failed:
        contents.drop([one.staged for one in came])
        return failed | dict.fromkeys([item.place for item in comes], next(iter(failed.values())))
    ready: list[tuple[_Step, Event]] = [
        (
            Placement(one.staged, one.digest, item.place, item.there, one.secret),
            replace(item.event, digest=one.digest),
        )
        for item, one in zip(comes, came, strict=True)
    ]
    for start in range(0, len(ready), SLICE):
        failed |= _patiently(contents, ready[start : start + SLICE])
    return failed


def what_stays_in(engine: Engine, folder: Path, going: Collection[Path]) -> Refused | None:
    """Why the folder is one still when these files are gone, so that no file can have its name: something else is in it, ignored
    or no file at all. None: nothing is, or it is no folder.
    """
    if folder in going:
        return None
    for met in engine.folder.scan(lambda _path, _is_folder: False, folder):
        if met.path not in going:
            what = f"{folder}: in the folder of that name is {met.path!r}, which is no part of this"
            return Refused(what, code="clash", hint=f"move {met.path!r} away, and ask again")
    return None


def _patiently(contents: Contents, ready: Sequence[tuple[_Step, Event]]) -> Failures:
    """Do it on the engine's thread, again for paths that are being synced just now."""
    left, failed = list(ready), Failures()
    deadline = time.monotonic() + BUSY_S
    while left:
        found = contents.ask(partial(_do, contents.engine, left))
        busy = {path for path, exc in found.items() if exc.code == BUSY}
        failed |= {path: exc for path, exc in found.items() if path not in busy}
        left = [each for each in left if each[0].path in busy]
        if left and time.monotonic() > deadline:
            contents.drop([step.staged for step, _ in left if isinstance(step, Placement)])
            return failed | {path: found[path] for path in busy}
        if left:
            time.sleep(_TICK_S)
    return failed


def _do(engine: Engine, asked: Sequence[tuple[_Step, Event]]) -> Failures:
    """Engine thread: do what can be done now, and tell it."""
    placer = Placer(engine)
    failed = placer.put_all([step for step, _ in asked if isinstance(step, Placement)])
    failed |= placer.take_out_all([step for step, _ in asked if isinstance(step, Withdrawal)])
    placer.tell([event for step, event in asked if step.path not in failed])
    return failed


def why(failure: DorkyError) -> Refused:
    """A failure of one place, for a person."""
    if failure.code == "stale":
        return Refused("it changed while this was asked", code="changed-meanwhile", hint="look at it, and ask again")
    return Refused(str(failure), code=failure.code, hint=failure.hint)
