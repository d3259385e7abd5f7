"""Mode manual: what is left of pushes whose commit exists, carried out by whoever is there.

Runs on the thread of whoever asks, or of the pool; the engine's thread is asked for what the journal knows, and records what
happened. Whatever is done here was decided by a commit, and does no harm done twice (`dorkyd.core.pushes`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dorkyd.artifacts import discard
from dorkyd.asking import NOT_KEPT
from dorkyd.commit_cache import CommitCache
from dorkyd.commit_store import CommitStore, Standing
from dorkyd.core import pushes
from dorkyd.core.model import Base, Path
from dorkyd.core.pushes import Plan, PlannedChange
from dorkyd.engine import Engine
from dorkyd.errors import Blocked, Stale, Transient
from dorkyd.journal import Journal
from dorkyd.ledger import Event, Intent
from dorkyd.manual_copies import Carried, Copies, remote_of
from dorkyd.manual_rows import MESSAGE, PUSH_LOST, OpenPush, Staged
from dorkyd.manual_staging import ask
from dorkyd.placing import Placer
from dorkyd.ports import Bucket
from dorkyd.transfer import Transfer

_log = logging.getLogger("dorkyd.manual_finishing")

ALONE_S = 5.0
"""So soon after its commit nobody else has brought a push to its end, told of it, and deleted some of it again."""
UNFINISHED = "push"
"""The code of the warning about a push that nobody can carry out."""


@dataclass(frozen=True, slots=True)
class Finishing:
    """For one project. See the module."""

    engine: Engine
    at_once: int = 16
    """Requests under way together; 1: one after the other."""

    def run(self) -> None:
        """Carry out what is left, our own first: once through. A push of another's that cannot be carried out is told of as a
        warning, and holds up nothing else. Raises what will pass.
        """
        store, bucket = self.store(), self.bucket()
        own = {push.id: push for push in ask(self.engine, lambda: self.journal().manual.pushes())}  # noqa: PLW0108
        plans: dict[str, Plan] = {}
        for push in own.values():
            plan = pushes.decode(push.plan.encode(), here=True)
            if plan is not None:
                plans[push.id] = plan
        for page in bucket.list(pushes.PLANS):
            for listed in page:
                if pushes.plan_number(listed.key) is None:
                    continue
                read = bucket.read(listed.key, limit=pushes.DOCUMENT_BYTES)
                plan = pushes.decode(read[1]) if read is not None else None
                if plan is not None and plan.key == listed.key:
                    plans.setdefault(plan.commit, plan)
        troubles: dict[str, tuple[str, str]] = {}
        for plan in sorted(plans.values(), key=lambda one: one.seq):
            try:
                self._one(store, plan, own.get(plan.commit))
            except Blocked as exc:
                _log.warning("verb=finish-push seq=%d outcome=%s", plan.seq, exc.code)
                what = f"the push of {plan.device}, commit {plan.seq}, cannot be brought to its end: {exc}"
                troubles[plan.commit] = (what, exc.hint)
        self.engine.manual.stuck = frozenset(troubles)
        if troubles:
            self.engine.warnings[UNFINISHED] = next(iter(troubles.values()))
        else:
            self.engine.warnings.pop(UNFINISHED, None)

    def _one(self, store: CommitStore, plan: Plan, own: OpenPush | None) -> None:
        if own is not None and own.state == "carried":
            self.is_over(plan)
            return
        standing = standing_from(store, plan.seq)
        if standing is None:
            return  # whoever begins it may be about to decide it
        if standing.seq != plan.seq:
            # That number is long gone, and nobody can tell what of it was carried out; what it staged is staged still.
            _log.warning("verb=finish-push seq=%d outcome=collected", plan.seq)
            if own is not None:
                self.note(lambda journal: journal.put(PUSH_LOST, str(plan.seq)))
            self.forget(plan)
            return
        commit_id, commit = store.read(standing)
        if commit_id != plan.commit:
            self.forget(plan)
        elif pushes.agrees(plan, commit_id, commit):
            self.carry(plan, mine=own is not None, over=own is not None and self._was_carried_out(plan, own))
            self.is_over(plan)

    def _was_carried_out(self, plan: Plan, own: OpenPush) -> bool:
        """By others, whose log names all of it: its plan is gone. Done once more it would bring back what was deleted since."""
        bucket = self.bucket()
        if bucket.head(plan.key) is not None:
            return False
        if own.state == "won":
            return True
        # Killed right after its commit; its plan may have gone before that, as one of a push that another commit shut out which
        # was withdrawn since. Then all of it is as it was.
        return not any(c.replaces is not None and c.is_replaced(remote_of(bucket.head(c.path))) for c in plan.changes)

    def carry(self, plan: Plan, *, mine: bool, over: bool = False, fresh: bool = False) -> tuple[Path, ...]:
        """Write the plain paths, and record it. Returns those that others changed first. `over`: see `Copies.carry`. `fresh`: its
        commit was made just now.
        """
        alone_until = self.engine.clock.monotonic() + (ALONE_S if fresh else 0.0)
        bucket, engine = self.bucket(), self.engine
        store = self.store()
        copies = Copies(
            bucket=bucket,
            store=store,
            folder=engine.folder,
            transfer=Transfer(bucket, engine.folder, engine.clock, engine.device),
            device=plan.device,
            copies_safe=self.copies_safe,
            reserve=lambda: ask(engine, lambda: engine.ready().asking.receive()),  # noqa: PLW0108 - all of it on that thread
            drop=lambda staged: ask(engine, lambda: discard(engine, staged)),
            stands=lambda: engine.clock.monotonic() < alone_until or bucket.head(plan.key) is not None,
        )
        carried: list[Carried] = []
        for name, changes in plan.batches():
            for some in pushes.in_order(changes):
                carried += store.each(lambda change: copies.carry(change, name, over=over), some)  # noqa: B023 - called at once
        ask(engine, lambda: self._record(plan, carried, mine=mine, told=over))
        return tuple(one.change.path for one in carried if not one.done)

    def is_over(self, plan: Plan) -> bool:
        """If the log names all of it, its plan goes. False: not yet."""
        names = [name for name, _ in plan.batches()]
        if ask(self.engine, lambda: any(self.journal().batches.ours(name).committed for name in names)):
            return False
        self.forget(plan)
        return True

    def forget(self, plan: Plan) -> None:
        """It is over, or never happened and never will."""
        bucket = self.bucket()
        info = bucket.head(plan.key)
        if info is not None:
            try:
                bucket.delete(plan.key, replaces=info.version)
            except Stale:
                _log.info("verb=finish-push seq=%d outcome=others-were-faster", plan.seq)
        self.note(lambda journal: journal.manual.push_ends(plan.commit))

    # --- what a push needs as well ----------------------------------------------------------------------------------

    def bucket(self) -> Bucket:
        """`Transient` while the project is not open."""
        bucket = self.engine.bucket
        if bucket is None:
            raise Transient("the project is not open", code="not-open", retry_after_s=1)
        return bucket

    @property
    def copies_safe(self) -> bool:
        """The store's server-side copies keep their conditions."""
        opened = self.engine.opened
        return opened is not None and opened.contact.copies_safe

    def store(self) -> CommitStore:
        """The commits in the bucket."""
        project_id = ask(self.engine, lambda: self.journal().get("project_id")) or ""
        return CommitStore(self.bucket(), CommitCache.of(self.engine.journals, project_id), self.at_once)

    def journal(self) -> Journal:
        """Engine thread."""
        journal = self.engine.journal
        if journal is None:
            raise Transient("the project is not open", code="not-open", retry_after_s=1)
        return journal

    def note(self, do: Callable[[Journal], None]) -> None:
        """One transaction of the journal."""

        def write() -> None:
            journal = self.journal()
            with journal.atomic():
                do(journal)

        ask(self.engine, write)

    # --- on the engine's thread -------------------------------------------------------------------------------------

    def _record(self, plan: Plan, carried: Sequence[Carried], *, mine: bool, told: bool) -> None:
        """One transaction: base and history of our own push, and what is to be told of whoever's, unless others told it."""
        engine = self.engine
        at_ns, of = engine.clock.time_ns(), f"commit {plan.commit[:12]} of {plan.device}"
        with engine.recording() as journal:
            before = {
                c.path: (old.digest if (old := journal.remote(c.path)) is not None else None) for c in plan.changes
            }
            for one in carried:
                change = one.change
                if mine and one.done:
                    version = one.remote.version if one.remote is not None else None
                    modified = one.remote.modified if one.remote is not None else None
                    if change.content is not None or change.digest is None:
                        content = change.content
                        base = Base(*content, version, change.mode, modified) if content is not None else None
                        journal.set_base(change.path, base)
                    if one.remote is not None or change.digest is None:
                        journal.set_remote(change.path, one.remote)
                if one.done:
                    verb = "delete-remote" if change.digest is None else "upload"
                    detail = of if one.kept else f"{of}; {NOT_KEPT}"
                    version = one.remote.version if one.remote is not None else None
                    digest, size = change.content or (None, None)
                    event = Event(verb, change.path, plan.device, digest, size, version, detail)
                    journal.ledger.log(at_ns, [replace(event, replaces=change.replaces, before=before[change.path])])
            done = {one.change.op: one for one in carried if one.done}
            for name, changes in plan.batches() if not told else ():
                journal.batches.tell(_intent(c, done[c.op], name, at_ns) for c in changes if c.op in done)
            known = {
                one.change.path for one in carried if mine and one.done and (one.remote or one.change.digest is None)
            }
            journal.mark(known)
            journal.mark([one.change.path for one in carried if one.change.path not in known], remote=True)
            opened = OpenPush(plan.commit, plan.seq, pushes.encode(plan, here=True).decode(), "carried")
            journal.manual.push_begins(opened)
            if mine:
                journal.put(MESSAGE, None)
                journal.put(PUSH_LOST, None)
            pushed = self._pushed(journal, carried) if mine else []
            journal.manual.unstage(row.path for row in pushed)
            for row in pushed:
                if row.name is not None:
                    journal.ledger.comes_in(row.name)  # from here on it is ours to remove
        Placer(engine).drop([row.name for row in pushed if row.name is not None])

    def _pushed(self, journal: Journal, carried: Sequence[Carried]) -> list[Staged]:
        """What is staged just as the commit has it: the bucket keeps these bytes, under the commit."""
        staged = journal.manual.staged()
        return [
            row
            for one in carried
            if (row := staged.get(one.change.path)) is not None
            and row.mode == one.change.mode
            and row.digest == (one.change.content[0] if one.change.content is not None else None)
            and (one.change.content is not None or one.change.digest is None)
        ]


def standing_from(store: CommitStore, seq: int) -> Standing | None:
    """The commit of a number, or the first after it. None: there is none."""
    found = store.standing(seq - 1)
    return found[0] if found else None


def _intent(change: PlannedChange, carried: Carried, batch: str, at_ns: int) -> Intent:
    return Intent(
        op=change.op,
        path=change.path,
        verb="copy" if change.digest is not None else "delete",
        digest=change.content[0] if change.content is not None else None,
        size=change.content[1] if change.content is not None else None,
        mode=change.mode,
        replaces=change.replaces,
        approved=change.digest is None,
        at_ns=at_ns,
        version=carried.remote.version if carried.remote is not None else None,
        batch=batch,
    )
