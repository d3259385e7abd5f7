"""How an action ended: what the journal, the other paths and a person must know of it."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass

from dorkyd.asking import Asking, settle_repeat
from dorkyd.carrying import Carrier, Job
from dorkyd.core.artifact import Annotate, Asked, Remove, Store
from dorkyd.core.model import (
    Action,
    BeginUpload,
    DeleteLocal,
    DeleteRemote,
    Fetch,
    Look,
    MoveLocal,
    MoveRemote,
    Path,
    Problem,
    Remote,
    StepAside,
)
from dorkyd.core.paths import parent
from dorkyd.errors import AuthExpired, Blocked, DorkyError, Stale, Transient
from dorkyd.jobs import Outcome
from dorkyd.journal import Dirty, Journal
from dorkyd.ports import Clock
from dorkyd.recovery import settle_intents
from dorkyd.remote_side import RemoteSide
from dorkyd.retries import Retries

_log = logging.getLogger("dorkyd.engine")

KEPT_FOLDER = "kept-folder"
"""A folder was deleted elsewhere and stays here for what is ignored in it."""
TROUBLE_AFTER = 4
"""Temporary failures in a row after which a path is reported as a problem."""


@dataclass(slots=True)
class Collector:
    """For one project; engine thread only, inside its transactions."""

    journal: Journal
    carrier: Carrier
    remote: RemoteSide
    retries: Retries
    asking: Asking
    clock: Clock

    def record(self, outcome: Outcome, now: float) -> DorkyError | None:
        """Take one outcome in. Returns a failure that concerns the whole bucket."""
        job, result = outcome.job, outcome.result
        _log_action(outcome)
        if isinstance(job.action, Store | Annotate | Remove):
            return self.asking.ended(outcome)
        if outcome.failure is not None:
            self.carrier.fail(job, outcome.failure)
            return self._failed(job, outcome.failure, now)
        if isinstance(job.action, Look):
            assert result is None or isinstance(result, Remote)
            self._looked(job.rows[0], result)
            return None
        self.carrier.finish(job, result)
        if isinstance(job.action, BeginUpload):
            return None
        if isinstance(job.action, Fetch):
            # The reply told whose write this is, as a look does.
            self._landed_late(job.action.path, self.journal.remote(job.action.path))
        else:
            self.retries.fine(job.paths)
        if isinstance(job.action, DeleteLocal):
            self._tell_of_kept(parent(job.action.path))
        return None

    def _tell_of_kept(self, folder: Path | None) -> None:
        ignored = self._kept_for(folder)
        if folder is not None and ignored is not None:
            what = f"{folder} was deleted elsewhere and stays here: it holds what is ignored, {ignored!r} for one"
            self.journal.ledger.set_problem(Problem(folder, KEPT_FOLDER, what, "move or delete what you do not need"))

    def _kept_for(self, folder: Path | None) -> Path | None:
        """What is ignored in a folder that holds nothing in sync."""
        if folder is None or next(self.journal.base_paths(folder), None) is not None:
            return None
        return self.carrier.local.ignored_in(folder)

    def look_at_kept_folders(self) -> None:
        """Those that are empty, gone or in use again are told of no more."""
        told = [problem.path for problem, _ in self.journal.ledger.problems() if problem.code == KEPT_FOLDER]
        over = [folder for folder in told if self._kept_for(folder) is None]
        if over:
            with self.journal.atomic():
                for folder in over:
                    self.journal.ledger.clear_problem(folder)

    def _looked(self, row: Dirty, looked: Remote | None) -> None:
        """A look settles the path's open intents before anything is decided."""
        journal, ledger = self.journal, self.journal.ledger
        was_there = journal.remote(row.path) is not None
        looked = self.remote.learn(row.path, looked)
        if was_there and looked is None:
            self.retries.place_is_free(row.path)
        intents = ledger.open_intents(row.path)
        settled = settle_intents(intents, looked)
        for intent in intents:
            if intent.op in settled.dropped:
                journal.repeats.failed(intent.op)
            else:
                settle_repeat(journal, intent, looked)
        if settled.rebase:
            if settled.base is None and journal.base(row.path) is not None:
                ledger.count_deletion(self.clock.time_ns(), "remote", row.path)
            journal.set_base(row.path, settled.base)
        for op, version in settled.effective:
            if journal.sessions.has(op):
                # Its process ended between the last reply and this.
                with suppress(Stale, Transient, Blocked):  # then it goes at the next start
                    self.carrier.transfer.forget(op)
            ledger.took_effect(op, version)
        for op in settled.dropped:
            ledger.dropped(op)
        if not settled.rebase:
            self._landed_late(row.path, looked)
        journal.asked([row])

    def _landed_late(self, path: Path, looked: Remote | None) -> None:
        """A request that had not happened when we looked may have happened since: base is what it made. A deletion of
        this very state that another device tells of is theirs.
        """
        journal, ledger = self.journal, self.journal.ledger
        base = journal.base(path)
        if looked is not None:
            late = ledger.late_intent(looked.op) if looked.op is not None else None
            if late is not None and (base is None or base.version != looked.version):
                if not late.asked:
                    journal.set_base(path, late.wrote(looked.version, looked.modified))
                ledger.took_effect(late.op, looked.version)
        elif base is not None and base.version is not None and path not in self.remote.deleted_by:
            late = ledger.late_delete(path, base.version)
            if late is not None:
                if not late.asked:
                    journal.set_base(path, None)
                ledger.took_effect(late.op, None)

    def _failed(self, job: Job, exc: BaseException, now: float) -> DorkyError | None:
        """Sort a failure: look again, wait, or tell a person. Returns it when it concerns the whole bucket."""
        match exc:
            case Stale():
                # The first is an ordinary race; a store that keeps saying so is given time.
                for path in job.paths:
                    self.retries.later(path, now, at_once=True)
                return None
            case AuthExpired():
                return exc
            case Transient():
                for path in job.paths:
                    retry = self.retries.later(path, now)
                    if retry.attempts >= TROUBLE_AFTER and not exc.offline:
                        what = f"{exc} (tried {retry.attempts} times)"
                        self.journal.ledger.set_problem(Problem(path, exc.code, what, "it is tried again"))
                return exc if exc.offline else None
            case Blocked():
                code, what, hint = exc.code, str(exc), exc.hint
            case _:
                _log.error("path=%r outcome=internal-error", job.paths[0], exc_info=exc)
                what = f"unexpected {type(exc).__name__}; the daemon's log has the details"
                code, hint = "internal", "please report it"
        for path in job.paths:
            self.retries.problem(Problem(path, code, what, hint), now)
        return None


def leaves(action: Action | Asked) -> Path | None:
    """The path that the action takes a file or object away from."""
    match action:
        case DeleteLocal() | DeleteRemote() | StepAside() | Remove():
            return action.path
        case MoveLocal() | MoveRemote():
            return action.delete.path
        case _:
            return None


def _log_action(outcome: Outcome) -> None:
    """One line per finished action; questions to the bucket are none."""
    job = outcome.job
    level = logging.DEBUG if isinstance(job.action, Look | Fetch | BeginUpload) else logging.INFO
    how = "ok" if outcome.failure is None else getattr(outcome.failure, "code", type(outcome.failure).__name__)
    verb = type(job.action).__name__.lower()
    what = "verb=%s path=%r bytes=%d seconds=%.3f outcome=%s"
    _log.log(level, what, verb, job.action.path, job.bytes, outcome.seconds, how)
