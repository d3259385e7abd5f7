"""Mode manual, as the API asks for it (`dorkyd.control_manual` says what each method promises)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from dorkyd import schema
from dorkyd.core.commits import checked_message
from dorkyd.core.model import Path
from dorkyd.core.report import ChangeItem, ManualStatus, PushResult, SkippedItem, SyncResult
from dorkyd.core.settings import Mode
from dorkyd.engine import Engine
from dorkyd.errors import Refused
from dorkyd.manual_push import Pushes
from dorkyd.manual_reading import changes, changes_of
from dorkyd.manual_rows import MESSAGE, PULLING, PUSH_LOST
from dorkyd.manual_staging import Stage, ask

Wait = Callable[[Callable[[], tuple[int, int]], float | None], SyncResult]
"""Has the engine's thread begin a look at both sides, and waits until nothing is left to do."""


@dataclass(frozen=True, slots=True)
class Manual:
    """See the module. From any thread."""

    engine: Engine
    pushes: Pushes
    wait: Wait
    publish: Callable[[], None] = lambda: None
    """Has the status tell at once what a request changed. Engine thread."""

    def changes(self, after: str, limit: int) -> Sequence[ChangeItem]:
        """What is staged or differs. Raises why nobody can tell."""
        with closing(schema.connect_readonly(self.engine.open_journal())) as conn:
            return changes(conn, after, limit)

    def stage(self, paths: Sequence[str]) -> tuple[Sequence[ChangeItem], Sequence[SkippedItem]]:
        """Keep these paths as they are."""
        staged, skipped = Stage(self.engine).stage(paths)
        ask(self.engine, self.publish)
        return self._told(staged), skipped

    def unstage(self, paths: Sequence[str]) -> Sequence[ChangeItem]:
        """Stage these no more."""
        unstaged = Stage(self.engine).unstage(paths)
        ask(self.engine, self.publish)
        return self._told(unstaged)

    def reword(self, message: str) -> ManualStatus:
        """The message of the next push."""
        text = checked_message(message)
        stage = Stage(self.engine)

        def write() -> ManualStatus:
            stage.check_mode()
            journal = self.engine.journal
            assert journal is not None
            if not journal.manual.totals().staged:
                raise Refused("nothing is staged", code="nothing-staged", hint="dorkyctl stage PATH...")
            with journal.atomic():
                journal.put(MESSAGE, text)
            self.publish()
            status = status_of(self.engine)
            assert status is not None
            return status

        return ask(self.engine, write)

    def push(self, message: str | None) -> PushResult:
        """Send what is staged."""
        pushed = self.pushes.push(checked_message(message) if message is not None else None)
        ask(self.engine, self.publish)
        return pushed

    def pull(self, *, timeout_s: float | None) -> SyncResult:
        """Bring what the bucket holds."""
        ask(self.engine, Stage(self.engine).check_mode)
        # First what others began: a pull in the middle of a push would bring half of it.
        self.pushes.settle()
        return self.wait(lambda: begin_pull(self.engine), timeout_s)

    # --- inside -------------------------------------------------------------------------------------------------

    def _told(self, paths: Sequence[Path]) -> list[ChangeItem]:
        with closing(schema.connect_readonly(self.engine.journal_file)) as conn:
            return changes_of(conn, paths)


def begin_pull(engine: Engine) -> tuple[int, int]:
    """Bring what the bucket holds, as mode pull does, until nothing is left to do; a restart goes on with it. Returns as
    `Engine.look_again`. Raises as `ManualCycle.check_not_pushing` and `Engine.ready`. Engine thread.
    """
    engine.manual.check_not_pushing()
    journal = engine.ready().journal
    with journal.atomic():
        journal.put(PULLING, "1")
        journal.mark(journal.manual.behind())
    seen = engine.look_again()
    engine.manual.pull_ends_with(*seen)
    return seen


def status_of(engine: Engine) -> ManualStatus | None:
    """For status; None in any other mode. Engine thread."""
    journal = engine.journal
    if engine.project.mode is not Mode.MANUAL or journal is None:
        return None
    totals = journal.manual.totals()
    return ManualStatus(
        staged=totals.staged,
        changed=totals.changed,
        behind=totals.behind,
        message=journal.get(MESSAGE) or "",
        pulling=engine.pulling,
        pushing=engine.manual.pushing,
    )


def warn(engine: Engine) -> None:
    """Warn of a push that was begun and cannot be brought to its end any more, or no longer. Engine thread."""
    lost = engine.journal.get(PUSH_LOST) if engine.journal is not None else None
    if lost is None:
        engine.warnings.pop("push-lost", None)
        return
    what = f"the push of commit {lost} was not carried out to its end before that commit was collected"
    todo = f"what it staged is staged still: dorkyctl pull {engine.project.name}, look, and push again; or unstage it"
    engine.warnings["push-lost"] = (what, todo)


def told_of(status: ManualStatus) -> str:
    """How the sides differ, in a sentence."""
    parts = [
        f"{count} {what}"
        for count, what in ((status.staged, "staged"), (status.changed, "changed here"), (status.behind, "behind"))
        if count
    ]
    return ", ".join(parts) or "nothing staged, changed or behind"
