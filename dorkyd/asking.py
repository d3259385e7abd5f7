"""What clients ask of single objects, as the engine does it: journalled before, recorded after, one at a time on a path.

The object is written and base stands, so that the folder follows by the table (docs/decisions/0024-what-the-api-stores.md).
A failure is known to nobody but the journal: the path is looked at again, and the intent settled by that look.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import cast

from dorkyd.batches import Batches
from dorkyd.carrying import Job
from dorkyd.contact import Trouble
from dorkyd.core.artifact import Annotate, Asked, Remove, Store, artifact_of_remote, as_text
from dorkyd.core.model import Op, Path, Remote, Version
from dorkyd.core.paths import ancestors
from dorkyd.core.report import State
from dorkyd.core.settings import Mode, Project
from dorkyd.errors import AuthExpired, Blocked, DorkyError, Refused, Stale, Transient
from dorkyd.freezing import Freezing
from dorkyd.halts import Held
from dorkyd.jobs import Jobs, Outcome
from dorkyd.journal import Journal
from dorkyd.ledger import Event, Fetched, Intent, IntentVerb
from dorkyd.ports import Clock, Folder
from dorkyd.remote_side import Deleted, RemoteSide
from dorkyd.repeats import Answered, Keyed
from dorkyd.secrecy import must_be_sealed
from dorkyd.storing import Stored, Storing

RETRY_S = 5.0
"""When a client may try again while the bucket cannot be reached, seconds."""
GONE = "{}"
"""What a deletion answers."""
NOT_KEPT = "the state before it was too large for a copy in the bucket's trash"


@dataclass(slots=True)
class Asking:
    """For one project; engine thread only, `begin` and `ended` inside its transactions."""

    journal: Journal
    remote: RemoteSide
    storing: Storing
    folder: Folder
    clock: Clock
    device: str
    batches: Batches
    freezing: Freezing
    jobs: Jobs
    waiting: dict[Path, tuple[Asked, Keyed | None, Future[object]]] = field(default_factory=dict)
    """Asked for and not begun yet."""
    _asked: dict[Op, Future[object]] = field(default_factory=dict)
    """Who waits for each."""
    _ended: list[tuple[Future[object], object, BaseException | None]] = field(default_factory=list)
    """Answers that hold once the transaction does."""

    def at_start(self, *, started_over: bool) -> None:
        """Bodies that were on their way in when this ended are nobody's. An older journal that came back does not know what
        became of them since: they stay, and are no more explained than what it never knew of.
        """
        ledger = self.journal.ledger
        if not started_over:
            for staged in ledger.incoming():
                self.folder.unstage(staged)
        with self.journal.atomic():
            for staged in ledger.incoming():
                ledger.came_in(staged)

    def receive(self) -> str:
        """A name in staging for a body: in the journal before it is on disk."""
        staged = self.clock.random_id()
        with self.journal.atomic():
            self.journal.ledger.comes_in(staged)
        return staged

    def discard(self, staged: str) -> None:
        """Nobody waits for this body any more. One that was stored is known by another row, and stays."""
        if staged in self.journal.ledger.incoming():
            self.folder.unstage(staged)
            with self.journal.atomic():
                self.journal.ledger.came_in(staged)

    def ask(self, asked: Asked, keyed: Keyed | None = None) -> Future[object]:
        """Do what a client asks of one object, soon. `Stale` (`busy-path`) while somebody works on the path, `Refused` (`clash`)
        where it cannot be beside what is known to be in the bucket. The answer is `Answered` when this very request was answered
        before.
        """
        answer: Future[object] = Future()
        before = self.repeated(keyed) if keyed is not None else None
        if before is not None:
            answer.set_result(before)
            return answer
        self.freezing.check()
        self._check_free(asked.path)
        if isinstance(asked, Store):
            self._check_room(asked.path)
            if asked.batch is not None:
                self.batches.check(asked.batch)
        self.waiting[asked.path] = (asked, keyed, answer)
        return answer

    def commit_batch(self, batch: str) -> bool:
        """As `Batches.commit`, which does not know of writes that have not begun."""
        if any(isinstance(asked, Store) and asked.batch == batch for asked, _, _ in self.waiting.values()):
            raise Stale("a write of the batch is under way", code="busy-batch")
        return self.batches.commit(batch)

    def repeated(self, keyed: Keyed) -> Answered | None:
        """What this very request was answered before (`Repeats.answer`)."""
        if any(other is not None and other.key == keyed.key for _, other, _ in self.waiting.values()):
            raise Transient("this very request is under way", code="key-in-use", retry_after_s=1)
        with self.journal.atomic():
            return self.journal.repeats.answer(keyed, self.clock.time_ns())

    def begin(self, asked: Asked, keyed: Keyed | None, answer: Future[object]) -> Job:
        """Journal what is about to happen."""
        journal, ledger, path = self.journal, self.journal.ledger, asked.path
        op = Op(self.clock.random_id())
        verb, run, moved = self._work(asked, op)
        ledger.intend([self._intent(asked, op, verb)])
        if keyed is not None:
            journal.repeats.begins(keyed, op, self.clock.time_ns(), creates=asked.replaces is None)
        if isinstance(asked, Store):
            ledger.comes_in(asked.staged)
        base = journal.base(path)
        if isinstance(asked, Remove) and base is not None:
            # A client named this very path: the guard has nothing to ask when the file here follows its object. Said now,
            # since a listing may find the object gone before anybody knows whose doing it was.
            ledger.approve([(path, base.version or Version(base.digest))])
        journal.mark([path])
        self._asked[op] = answer
        return Job(asked, tuple(journal.dirty_rows([path])), run, moved, (op,), counted=False)

    def ended(self, outcome: Outcome) -> DorkyError | None:
        """Record how it went. Returns a failure that concerns the whole bucket."""
        job = outcome.job
        (op,) = job.ops
        failure = outcome.failure
        if failure is not None:
            self.journal.mark(job.paths, remote=True)
            if isinstance(failure, Stale):
                self.journal.repeats.failed(op)  # the store refused it; of anything else a look finds out
            if isinstance(job.action, Store) and job.action.data is not None:
                self.journal.ledger.came_in(job.action.staged)  # staged only once it is stored
        elif isinstance(job.action, Store | Annotate):
            self._stored(job.action, op, cast("Stored", outcome.result))
        else:
            assert isinstance(job.action, Remove)
            self._removed(job.action, op, kept=bool(outcome.result))
        answer = self._asked.pop(op, None)
        if answer is not None:
            self._ended.append((answer, outcome.result, failure))
        whole = isinstance(failure, AuthExpired) or (isinstance(failure, Transient) and failure.offline)
        return cast("DorkyError", failure) if whole else None

    def answer(self) -> None:
        """Tell those whose outcome is recorded now. After the transaction."""
        ended, self._ended = self._ended, []
        for future, result, failure in ended:
            if failure is not None:
                future.set_exception(failure)
            else:
                future.set_result(result)

    def abandon(self) -> None:
        """Nobody will hear how it ends: the next start finds out."""
        self.answer()
        futures = [*self._asked.values(), *(future for _, _, future in self.waiting.values())]
        self._asked, self.waiting = {}, {}
        for future in dict.fromkeys(futures):
            future.set_exception(Transient("the project is started anew", code="restarting", retry_after_s=1))

    # --- inside -------------------------------------------------------------------------------------------------

    def _check_free(self, path: Path) -> None:
        ledger, in_flight = self.journal.ledger, self.jobs.in_flight
        if path in in_flight or path in self.waiting or any(install.path == path for install in ledger.open_installs()):
            raise Stale(f"{path}: it is being synced", code="busy-path")
        if ledger.open_intents(path):
            # How an earlier write ended is not known yet: that look comes first.
            if not any(row.remote for row in self.journal.dirty_rows([path])):
                with self.journal.atomic():
                    self.journal.mark([path], remote=True)
            raise Stale(f"{path}: an earlier write is being settled", code="busy-path")

    def _check_room(self, path: Path) -> None:
        """For a new object."""
        if self.journal.remote(path) is not None:
            return
        other = next((above for above in ancestors(path) if self.journal.remote(above) is not None), None)
        below = self.journal.remotes_below(path, 1)
        if other is not None or below:
            what = f"{other!r} is a file" if other is not None else f"it is a folder that holds {below[0][0]!r}"
            raise Refused(f"{path!r} cannot be stored: {what}", code="clash", hint="choose another path")

    def _work(self, asked: Asked, op: Op) -> tuple[IntentVerb, Callable[[], object], int]:
        judge = self.remote.judge(asked.path)
        match asked:
            case Store():
                new, keyring = asked.replaces is None, self.remote.keyring
                if asked.size and keyring is not None and keyring.names(asked.path):
                    # A copy of it may be put under another name at the same time, or after this was refused.
                    self.journal.keep_sealed(asked.path, asked.digest)
                secret = must_be_sealed(self.journal, keyring, asked.path, asked.digest, asked.size, new=new)
                return "put", lambda: self.storing.store(asked, op, judge, secret=secret), asked.size
            case Annotate():
                return "patch", lambda: self.storing.annotate(asked, op, judge), 0
            case Remove():
                return "delete", lambda: self.storing.remove(asked), 0

    def _intent(self, asked: Asked, op: Op, verb: IntentVerb) -> Intent:
        digest, size, mode = None, None, None
        if isinstance(asked, Store):
            digest, size, mode = asked.digest, asked.size, asked.mode
        elif isinstance(asked, Annotate):
            known = self.journal.remote(asked.path)
            if known is not None:
                digest, size, mode = known.digest, known.size, known.mode
        return Intent(
            op=op,
            path=asked.path,
            verb=verb,
            digest=digest,
            size=size,
            mode=mode,
            replaces=asked.replaces,
            approved=False,
            at_ns=self.clock.time_ns(),
            asked=True,
            batch=asked.batch if isinstance(asked, Store) else None,
        )

    def _stored(self, asked: Store | Annotate, op: Op, stored: Stored) -> None:
        ledger, path, remote = self.journal.ledger, asked.path, stored.remote
        self.journal.set_remote(path, remote)
        # It is there again: nothing that let its deletion through says anything of it.
        self.remote.deleted_by.pop(path, None)
        ledger.unapprove(path)
        self.journal.repeats.ends(op, as_text(artifact_of_remote(path, remote)))
        ledger.took_effect(op, remote.version)
        ledger.clear_problem(path)
        if asked.replaces is None:
            self.remote.mark_clashes([path])
        if isinstance(asked, Store):
            if stored.staged is not None:
                ledger.came_in(asked.staged)  # else the next start removes it
            if stored.staged:
                ledger.set_fetched(Fetched(asked.staged, path, remote.version, remote.digest))
        self._log(asked, remote.version, kept=stored.kept)

    def _removed(self, asked: Remove, op: Op, *, kept: bool) -> None:
        journal, path = self.journal, asked.path
        journal.set_remote(path, None)
        if journal.base(path) is not None:  # else nothing is carried out here that would tell of it, and forget it
            self.remote.deleted_by[path] = Deleted(self.device, asked.replaces)
        journal.repeats.ends(op, GONE)
        journal.ledger.took_effect(op, None)
        self.remote.mark_clashes([path])
        self._log(asked, None, kept=kept)

    def _log(self, asked: Asked, version: Version | None, *, kept: bool) -> None:
        detail = "by the API" if kept else f"by the API; {NOT_KEPT}"
        digest, size = (asked.digest, asked.size) if isinstance(asked, Store) else (None, None)
        verb = {Store: "put", Annotate: "annotate", Remove: "delete-remote"}[type(asked)]
        event = Event(verb, asked.path, self.device, digest, size, version, detail)
        self.journal.ledger.log(self.clock.time_ns(), [event])


def settle_repeat(journal: Journal, intent: Intent, looked: Remote | None) -> None:
    """A look found that a client's request took effect. In a transaction of the caller's."""
    if looked is None or intent.verb == "delete":
        journal.repeats.ends(intent.op, GONE)
        return
    found = artifact_of_remote(intent.path, looked)
    if looked.op != intent.op:
        # Others have written since: what is told is what this request made, as far as it is known.
        found = replace(found, digest=intent.digest, size=intent.size or 0, version=None, updated_at=None, own={})
    journal.repeats.ends(intent.op, as_text(found))


def check_ready(project: Project, held: Held | None, trouble: Trouble | None, *, paused: bool) -> None:
    """Raise why nothing may be written to the bucket now, if so."""
    if project.mode is Mode.PULL:
        what = f"{project.name} has mode: pull, which never writes the bucket"
        raise Refused(what, code="mode", hint="set mode: two-way in the configuration")
    if held is not None:
        what = f"{project.name} is halted ({held.halt.reason}) until a person decides"
        raise Refused(what, code="halted", hint=f"dorkyctl status {project.name}")
    if paused:
        raise Refused(f"{project.name} is paused", code="paused", hint=f"dorkyctl resume {project.name}")
    check_reachable(trouble)


def check_reachable(trouble: Trouble | None) -> None:
    """Raise why the bucket cannot be asked now, if that is known."""
    if trouble is None:
        return
    match trouble.state:
        case State.OFFLINE:
            raise Transient(trouble.detail, hint=trouble.hint, code="offline", retry_after_s=RETRY_S, offline=True)
        case State.AUTH_EXPIRED:
            raise AuthExpired(trouble.detail, hint=trouble.hint, code=trouble.code)
        case _:
            raise Blocked(trouble.detail, hint=trouble.hint, code=trouble.code)
