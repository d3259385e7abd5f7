"""The last action that sync took on this device is taken back, on both sides and always as new versions.

An action is what was decided together: the deletions that one approval let through, a conflict with its copy, or else what
one device's changes did here between two times of rest. What each path held before stands in the history. A path that has
changed since is left alone and told of; so is one of which no copy is left. What an undo makes goes to the bucket by the table;
that is no action of its own, so that the next undo takes back the action before.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from dorkyd import schema
from dorkyd.contents import Contents, Wanted
from dorkyd.core.model import Digest, Local, Path, Version
from dorkyd.core.past import Outcome, Undone
from dorkyd.engine import Engine
from dorkyd.errors import DorkyError, Refused, Stale
from dorkyd.ledger import Event
from dorkyd.placing import Placer
from dorkyd.ports import ABSENT, Observation
from dorkyd.reading_history import LEFT, UNDOING, UNDONE, Step, last_action
from dorkyd.reading_rows import rfc3339
from dorkyd.reinstating import (
    Reinstatement,
    Removal,
    in_each_others_way,
    reinstate,
    remove,
    trade_places,
    why,
)


@dataclass(frozen=True, slots=True)
class Change:
    """What an action did to one path, from first to last."""

    path: Path
    verb: str
    before: Digest | None
    """None: nothing stood there."""
    after: Digest | None
    replaces: Version | None
    mode_before: int | None
    mode_after: int | None
    action: str
    came_from: Path | None = None
    """Where what it holds was before the action: that name must have it again before this one loses it."""


@dataclass(frozen=True, slots=True)
class Undoing:
    """See the module."""

    engine: Engine

    def undo(self, *, dry_run: bool) -> Undone:
        """Take the last action back; `dry_run`: only say which one and what would come of each path. `Refused`
        (`nothing-to-undo`, `changed-since`, `content-gone`) where none of it can be taken back, (`halted`) while a person
        has to decide.
        """
        steps = self._steps()
        if not Contents(self.engine).ask(self.engine.same_folder):
            what = "the folder is not there, so that nobody can tell what changed since"
            raise Refused(what, code="not-open", hint=f"dorkyctl status {self.engine.project.name}")
        if (held := self.engine.held) is not None:
            # What it holds back is no action yet: the one before would be taken back, which nobody means.
            name = self.engine.project.name
            what = (
                f"{name} is halted ({held.halt.reason}) until a person decides: a reject takes back what waits for that"
            )
            raise Refused(what, code="halted", hint=f"dorkyctl status {name}")
        if not steps:
            raise Refused(
                "sync did nothing on this device that can be undone",
                code="nothing-to-undo",
                hint=f"`dorkyctl log {self.engine.project.name}` shows what was done",
            )
        changes = together(steps)
        there = {change.path: self.engine.folder.observe(change.path, None) for change in changes}
        open_changes = [change for change in changes if self._is_as_left(change, there[change.path])]
        # A run that was killed has taken these back.
        back = [c for c in changes if c not in open_changes and self._is_as_before(c, there[c.path])]
        outcomes = [
            self._left(change, "it changed since, and stays as it is", "changed-since")
            for change in changes
            if change not in open_changes and change not in back
        ]
        outcomes += [self._outcome(change, None) for change in back]
        if dry_run:
            outcomes += [self._outcome(change, None) for change in open_changes]
        else:
            self._begin(changes)
            outcomes += self._take_back(open_changes, back, there)
            self._note(changes, back, outcomes)
        if not any(outcome.done for outcome in outcomes):
            first = outcomes[0]
            more = f" (and {len(outcomes) - 1} more)" if len(outcomes) > 1 else ""
            raise Refused(
                f"nothing was undone: {first.path!r}{more}: {first.detail}",
                code=first.code,
                hint=f"`dorkyctl history {first.path}` lists its versions",
            )
        verbs: dict[str, int] = {}
        for change in changes:
            verbs[change.verb] = verbs.get(change.verb, 0) + 1
        last = steps[-1]
        return Undone(last.action, rfc3339(last.at_ns), last.device, verbs, sorted(outcomes, key=lambda o: o.path))

    # --- inside ---------------------------------------------------------------------------------------------------

    def _steps(self) -> list[Step]:
        with closing(schema.connect_readonly(self.engine.open_journal())) as conn:
            return last_action(conn)

    def _is_as_left(self, change: Change, there: Observation) -> bool:
        if isinstance(there, Local):
            same = there.digest == change.after
            bits = change.verb != "set-mode" or there.mode == change.mode_after
            return same and bits
        return there is ABSENT and change.after is None

    def _is_as_before(self, change: Change, there: Observation) -> bool:
        if isinstance(there, Local):
            bits = change.verb != "set-mode" or there.mode == change.mode_before
            return there.digest == change.before and bits
        return there is ABSENT and change.before is None

    def _take_back(
        self, changes: Sequence[Change], back: Sequence[Change], there: dict[Path, Observation]
    ) -> list[Outcome]:
        """First what comes back, from files that may have to go then; then what goes. Where the two are in each other's way, both
        at once. `back`: what a run before took back.
        """
        puts, outs, bits = dict[Path, Reinstatement](), dict[Path, Removal](), list[Change]()
        for change in changes:
            here = there[change.path]
            local = here if isinstance(here, Local) else None
            event = Event(
                UNDONE, change.path, self.engine.device, detail=f"took back: {change.verb}", action=change.action
            )
            if change.before is not None and change.before == change.after:
                bits.append(change)
            elif change.before is not None:
                mode = change.mode_before if change.mode_before is not None else (local.mode if local else None)
                wanted = Wanted(change.path, change.before, change.replaces, mode)
                puts[change.path] = Reinstatement(wanted, change.path, local, event)
            elif local is not None:
                outs[change.path] = Removal(change.path, local, event)
        moved = {
            c.path: c.came_from for c in changes if c.came_from is not None and c.path in puts.keys() | outs.keys()
        }
        trades = in_each_others_way(puts, outs)
        trading = {path for paths in trades.values() for path in paths}
        failed = reinstate(
            self.engine, [put for path, put in puts.items() if path not in moved and path not in trading]
        )
        have_again = (puts.keys() - moved.keys() - trading | {change.path for change in back}) - failed.keys()
        for name, paths in trades.items():
            # A former name that is of the same trade comes back in it.
            known = have_again | (paths & puts.keys())
            lost = next((moved[path] for path in paths & moved.keys() if moved[path] not in known), None)
            if lost is not None:
                failed |= dict.fromkeys(paths, _kept_for(lost, failed.get(lost)))
            else:
                comes, goes = [puts[p] for p in paths if p in puts], [outs[p] for p in paths if p in outs]
                failed |= trade_places(self.engine, name, comes, goes)
        for path in trading:
            moved.pop(path, None)
        have_again = (puts.keys() - moved.keys() | {change.path for change in back}) - failed.keys()
        for path, name in moved.items():
            if name not in have_again:
                failed[path] = _kept_for(name, failed.get(name))
        failed |= reinstate(self.engine, [put for path, put in puts.items() if path in moved and path not in failed])
        failed |= remove(self.engine, [out for path, out in outs.items() if path not in failed and path not in trading])
        failed |= {
            change.path: exc for change in bits if (exc := self._set_bits(change, there[change.path])) is not None
        }
        return [self._outcome(change, failed.get(change.path)) for change in changes]

    def _set_bits(self, change: Change, there: Observation) -> DorkyError | None:
        engine = self.engine

        def request() -> DorkyError | None:
            assert isinstance(there, Local)
            if change.mode_before is None:
                return Stale("its permission bits of before are not known", code="content-gone")
            placer = Placer(engine)
            try:
                placer.set_mode(change.path, change.mode_before, there)
            except DorkyError as exc:
                return exc
            placer.tell(
                [
                    Event(
                        UNDONE,
                        change.path,
                        engine.device,
                        change.after,
                        detail="took back: set-mode",
                        action=change.action,
                    )
                ]
            )
            return None

        return Contents(engine).ask(request)

    def _outcome(self, change: Change, failure: DorkyError | None) -> Outcome:
        if failure is not None:
            told = why(failure)
            return self._left(change, str(told), told.code)
        return Outcome(change.path, change.before, None, change.mode_before, True)

    def _left(self, change: Change, detail: str, code: str) -> Outcome:
        return Outcome(change.path, change.after, None, change.mode_after, False, detail, code)

    def _begin(self, changes: Sequence[Change]) -> None:
        """Before anything is touched: a kill must not make the undo look like an edit, which the next undo would undo."""
        events = [
            Event(UNDOING, c.path, self.engine.device, c.before, detail=f"takes back: {c.verb}", action=c.action)
            for c in changes
        ]
        Contents(self.engine).ask(lambda: Placer(self.engine).undoing(events))

    def _note(self, changes: Sequence[Change], back: Sequence[Change], outcomes: Sequence[Outcome]) -> None:
        """What cannot be undone is not tried again: the next undo is of an action before. What may work later is."""
        by_path = {change.path: change for change in changes}
        events = [
            Event(LEFT, o.path, self.engine.device, detail=o.detail, action=by_path[o.path].action)
            for o in outcomes
            if not o.done and o.code in {"changed-since", "content-gone"}
        ]
        events += [
            Event(UNDONE, c.path, self.engine.device, detail=f"took back: {c.verb}", action=c.action) for c in back
        ]
        if events:
            Contents(self.engine).ask(lambda: Placer(self.engine).tell(events))


def _kept_for(name: Path, failure: DorkyError | None) -> DorkyError:
    code = why(failure).code if failure is not None else "changed-since"
    what = f"it stays where it was moved to: its old name {name!r} could not be given back"
    return Refused(what, code=code, hint="rename it by hand")


def together(steps: Sequence[Step]) -> list[Change]:
    """What the steps did to each path, from the first to the last of them."""
    changes: dict[Path, Change] = {}

    def did(path: Path, step: Step, before: Digest | None, after: Digest | None, came_from: Path | None = None) -> None:
        first = changes.get(path)
        changes[path] = Change(
            path,
            step.verb if first is None else first.verb,
            before if first is None else first.before,
            after,
            step.replaces if first is None else first.replaces,
            step.mode_before if first is None else first.mode_before,
            step.mode,
            step.action,
            came_from if first is None else first.came_from,
        )

    for step in steps:
        came_from = step.came_from
        if came_from is not None:
            did(came_from, step, step.digest, None)
            before = changes[came_from]
            # Moved twice: the first of its names.
            came_from = before.came_from if before.before is None and before.came_from is not None else came_from
        if step.path in changes and step.verb == "delete-remote" and changes[step.path].after is None:
            continue  # the other half of a move
        did(step.path, step, step.before, step.after, came_from)
    return list(changes.values())
