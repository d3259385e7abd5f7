"""States of before come back, always as a new version: the file is put in place here, and goes to the bucket like any edit.

What stands in the place goes to the trash, so that a restore can be restored from. On the thread of whoever asks.
"""

from __future__ import annotations

from dataclasses import dataclass

from dorkyd.core.model import Local, Path
from dorkyd.core.moments import moment_ns
from dorkyd.core.past import Outcome
from dorkyd.core.settings import Mode
from dorkyd.core.timeline import PathVersion, at_time
from dorkyd.decisions import checked
from dorkyd.engine import Engine
from dorkyd.errors import DorkyError, Refused
from dorkyd.ledger import Event
from dorkyd.ports import ABSENT
from dorkyd.reinstating import Reinstatement, reinstate, why
from dorkyd.versions import States, Versions, wanted_of


@dataclass(frozen=True, slots=True)
class Restoring:
    """See the module."""

    engine: Engine

    def meant(self, text: str, at: str | None) -> tuple[str, str | None]:
        """`PATH@VERSION` means that version of PATH, unless there is such a path."""
        path, sign, version = text.rpartition("@")
        if at is not None or not sign or not path or not version:
            return text, at
        whole = checked(text)
        if Versions(self.engine).knows(whole) or self.engine.folder.observe(whole, None) is not ABSENT:
            return text, None
        return path, version

    def restore(self, text: str, at: str | None, to: str | None) -> list[Outcome]:
        """Bring a file back, or with a closing `/` all of a folder. `at`: as `Versions.choose`; None: the newest state that is
        not what stands there, and of a folder what is missing. `to`: another place, which must be free.
        """
        if self.engine.project.mode is Mode.BUCKET:
            what = f"{self.engine.project.name} has no folder to restore into"
            raise Refused(what, code="mode", hint="`dorkyctl get PATH@VERSION FILE`, then `dorkyctl put`")
        text, at = self.meant(text, at)
        if text.endswith("/"):
            return self._folder(checked(text.rstrip("/")), at, to)
        path = checked(text)
        found = Versions(self.engine).of(path)
        if not found.states:
            if self._is_folder(path):
                return self._folder(path, at, to)
            what = f"nothing is known of {text!r}" + (f"; {found.missing}" if found.missing else "")
            raise Refused(what, code="no-such-path", hint="check the spelling; a folder is written with a closing /")
        place = checked(to) if to is not None else path
        there = self._there(place, must_be_free=place != path)
        state = self._chosen(found, at, there if place == path else self._here(path))
        failed = reinstate(self.engine, [self._item(state, place, there)])
        if failed:
            raise why(failed[place])
        return [self._outcome(state, place, None)]

    # --- inside ---------------------------------------------------------------------------------------------------

    def _folder(self, folder: Path, at: str | None, to: str | None) -> list[Outcome]:
        when_ns = moment_ns(at, self.engine.clock.time_ns()) if at is not None else None
        if at is not None and when_ns is None:
            raise Refused(
                f"{at!r} is no time", code="bad-time", hint="of a folder write --at 2h, 3d or 2026-11-20T10:00"
            )
        beginning = checked(to.rstrip("/")) if to is not None else folder
        items: list[Reinstatement] = []
        states: dict[Path, PathVersion] = {}
        refused: list[Outcome] = []
        known = Versions(self.engine).below(folder)
        for found in known:
            place = Path(beginning + found.path[len(folder) :])
            state = at_time(found.states, when_ns) if when_ns is not None else next(iter(found.states), None)
            if state is None:
                continue
            try:
                there = self._there(place, must_be_free=to is not None)
            except DorkyError as exc:
                refused.append(self._outcome(state, place, exc))
                continue
            if there is not None and (when_ns is None or there.digest == state.digest):
                continue
            states[place] = state
            items.append(self._item(state, place, there))
        if not items and not refused:
            what = f"nothing of {folder + '/'!r} is missing" if known else f"nothing is known of {folder + '/'!r}"
            raise Refused(what, code="nothing-to-restore", hint="--at TIME brings back how the folder was then")
        failed = reinstate(self.engine, items)
        return [*(self._outcome(state, place, failed.get(place)) for place, state in states.items()), *refused]

    def _chosen(self, found: States, at: str | None, there: Local | None) -> PathVersion:
        if at is not None:
            return Versions(self.engine).choose(found, at)
        here = there.digest if there is not None else None
        for state in found.states:
            if here is None or (state.digest != here and not (state.digest is None and state.current)):
                return state
        what = f"no state of {found.path!r} is known but the one that stands there"
        raise Refused(
            f"{what}; {found.missing}" if found.missing else what,
            code="nothing-to-restore",
            hint=f"`dorkyctl history {found.path}` lists what is known",
        )

    def _here(self, path: Path) -> Local | None:
        here = self.engine.folder.observe(path, None)
        return here if isinstance(here, Local) else None

    def _there(self, place: Path, *, must_be_free: bool) -> Local | None:
        there = self.engine.folder.observe(place, None)
        if there is ABSENT:
            return None
        if not isinstance(there, Local):
            raise Refused(
                f"{place!r} cannot be restored: its place is taken", code="clash", hint="move that away first"
            )
        if must_be_free:
            raise Refused(f"{place!r} is there already", code="exists", hint="choose a place that is free")
        return there

    def _item(self, state: PathVersion, place: Path, there: Local | None) -> Reinstatement:
        said = f"as version {state.version}" if state.version is not None else "as it was"
        detail = said if place == state.path else f"{said} at {state.path!r}"
        return Reinstatement(
            wanted_of(state), place, there, Event("restore", place, self.engine.device, size=state.size, detail=detail)
        )

    def _outcome(self, state: PathVersion, place: Path, failure: DorkyError | None) -> Outcome:
        if failure is not None:
            told = why(failure)
            return Outcome(place, state.digest, state.size, state.mode, False, str(told), told.code, state.version)
        there = self.engine.folder.observe(place, None)
        if not isinstance(there, Local):
            return Outcome(place, state.digest, state.size, state.mode, True, version=state.version)
        return Outcome(place, there.digest, there.size, there.mode, True, version=state.version)

    def _is_folder(self, path: Path) -> bool:
        return bool(Versions(self.engine).below(path))
