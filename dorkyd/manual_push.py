"""Mode manual: a push (docs/decisions/0051-push.md has the order of things).

Runs on the thread of whoever asks; the engine's thread is asked for what the journal knows, and records what happened. What
holds:

1. A push is in the journal before its plan and its commit are in the bucket, and stays there until its number is taken: by it, and
   all of it is done and told of, or by another commit, and it never happened.
2. Once its commit exists a push has happened, whatever fails after. The rest is done again until it is done
   (`dorkyd.manual_finishing`).
3. Nothing that is staged is let go before a commit has it.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from dorkyd.commit_store import CommitStore, Source
from dorkyd.commits import Committer, objects_of, refuse_half, refuse_plain
from dorkyd.committed_secrets import file_body
from dorkyd.core import pushes
from dorkyd.core.commits import Commit, CommitFile, CommitId, encode, id_of, new_commit
from dorkyd.core.model import Base, Digest, Op, Path, Remote
from dorkyd.core.pushes import Plan, PlannedChange
from dorkyd.core.reconcile import content_of
from dorkyd.core.report import PushResult
from dorkyd.core.sealing import KEYED, ContentKey
from dorkyd.engine import Engine
from dorkyd.errors import Blocked, Refused, Stale, Transient
from dorkyd.journal import Journal
from dorkyd.manual_finishing import Finishing, standing_from
from dorkyd.manual_rows import MESSAGE, PULLING, OpenPush, Staged
from dorkyd.manual_staging import Stage, ask, to_encrypt
from dorkyd.news import Bytes
from dorkyd.ports import Body
from dorkyd.secrecy import must_be_sealed
from dorkyd.storing import StagedBody

_log = logging.getLogger("dorkyd.manual_push")

TRIES = 5
"""How often a push goes on after a commit that changed nothing for it."""
REST_S = 300.0
"""How long a push waits until the news are looked at."""
STUCK_S, AGAIN_S = 30.0, 5.0
"""How long it waits for a push before it that cannot be brought to its end here, and how often that is tried."""
TELL_S = 30.0
"""How long it waits until the bucket's log names it."""
_SOME = 5
"""Paths named in a refusal."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A push that may be begun."""

    commit: Commit
    plan: Plan
    staged: dict[Digest, Staged]
    """What is staged, by its content as the commit names it."""
    sources: dict[Digest, list[Source]]
    """Object states that hold each content."""


@dataclass(slots=True)
class Pushes:
    """For one project. See the module."""

    engine: Engine
    tick: Callable[[], None] = lambda: time.sleep(0.02)
    """Waits a moment for the engine's cycles."""
    at_once: int = 16
    """As `Finishing.at_once`."""
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _passed: set[CommitId] = field(default_factory=set)
    """Commits of pushes that were waited for in vain."""

    @property
    def left(self) -> Finishing:
        """What is left of pushes."""
        return Finishing(self.engine, self.at_once)

    # --- what is asked for ----------------------------------------------------------------------------------------

    def push(self, message: str | None) -> PushResult:
        """Send what is staged. Returns once its commit exists and, if that goes well, the plain paths are written and the log
        names them. `Refused`: `nothing-staged`, `remote-moved`, `outdated`, `pulling`, `clash`, `ignored`, `bad-message`.
        `Transient` (`outcome-unknown`) when nobody knows yet whether it happened: the next look at the bucket tells.
        """
        with self._alone():
            ask(self.engine, lambda: self._check(self.left.journal()))
            self.engine.manual.pushing = True
            try:
                return self._push(message)
            finally:
                self.engine.manual.pushing = False

    def settle(self) -> None:
        """Carry out what is left of pushes, our own first. Raises nothing that will pass, or that status tells of anyway."""
        if not self._guard.acquire(blocking=False):
            return
        try:
            self.left.run()
        except (Stale, Transient, Blocked) as exc:
            _log.warning("verb=finish-push project=%s outcome=%s", self.engine.project.name, exc.code)
        finally:
            self._guard.release()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._guard.acquire(timeout=0.0):
            raise Transient("another push is under way", code="pushing", hint="try again", retry_after_s=1)
        try:
            yield
        finally:
            self._guard.release()

    # --- a push ---------------------------------------------------------------------------------------------------

    def _push(self, message: str | None) -> PushResult:
        self.left.run()
        for _ in range(TRIES):
            store = self.left.store()
            # Before the news are read: what the log tells of it is then known here, and a later one has the number of ours.
            parent = self._newest(store)
            if parent is not None and parent[0] not in self._passed and store.is_under_way(parent[1].header):
                # Its commit exists, and the plain paths and the log do not tell of it yet: ours would leave its files out.
                self._await_end(store, *parent)
                continue
            self._at_rest()
            # The list of members is asked for once more before each content is encrypted (`dorkyd.sealing`).
            keyring, secret = self.engine.keyring, ask(self.engine, self._is_secret)
            key = keyring.writing().content if keyring is not None and secret else None
            prepared = ask(self.engine, lambda: self._prepare(parent, message, key))  # noqa: B023 - asked at once
            if self._newest(store) != parent:
                continue  # made since, or taken back, so that what it kept may be removed
            if self._create(store, prepared, parent[1] if parent is not None else None):
                return self._finish(prepared)
            self.left.run()
        raise Transient("others keep committing", code="contended", hint="try again", retry_after_s=1)

    def _await_end(self, store: CommitStore, commit_id: CommitId, commit: Commit) -> None:
        """Wait for whoever carries it out, or carry it out. One that cannot be is waited for no longer than `STUCK_S`: another
        device may be able to, and if none is, nobody is held up for ever.
        """
        clock = self.engine.clock
        began, tried = clock.monotonic(), -math.inf
        while store.is_under_way(commit.header):
            now, stuck = clock.monotonic(), commit_id in self.engine.manual.stuck
            if now > began + REST_S:
                what = f"commit {commit.header.seq} is still being copied to the plain paths"
                raise Transient(what, code="pushing", hint="try again", retry_after_s=5)
            if stuck and now > began + STUCK_S:
                self._passed.add(commit_id)
                return
            if not stuck or now > tried + AGAIN_S:
                self.left.run()
                tried = now
            self.tick()

    def _at_rest(self) -> None:
        """Read the news to their end, and let the engine look at all that they tell of."""
        deadline = self.engine.clock.monotonic() + REST_S
        tries = ask(self.engine, self._look_for_news)
        while not ask(self.engine, lambda: self._is_at_rest(tries)):
            if self.engine.clock.monotonic() > deadline:
                raise Transient("there is still something to look at", code="busy", hint="try again", retry_after_s=5)
            self.tick()

    def _look_for_news(self) -> int:
        """Read the bucket's news now. Returns what `_is_at_rest` wants to be told. Engine thread."""
        self.engine.ready()
        self.engine.look_again(scan=False)
        return self.engine.counters.bucket_tries

    def _is_at_rest(self, tries: int) -> bool:
        """The news were read since, and all that they told of was looked at. Raises why that cannot be, for now. Engine thread."""
        if self.engine.counters.bucket_tries <= tries:
            return False
        o = self.engine.ready()
        stuck = o.retries.stuck() | o.batches.incomplete()
        return not (o.jobs.in_flight or o.remote.tells_more or o.remote.out_of_touch or o.journal.manual.unsure(stuck))

    def _newest(self, store: CommitStore) -> tuple[CommitId, Commit] | None:
        newest = store.newest()
        return None if newest is None else store.read(newest)

    def _create(self, store: CommitStore, prepared: _Prepared, parent: Commit | None) -> bool:
        """Write the plan, the contents and the commit. False: its number is another's, or something changed meanwhile."""
        plan = prepared.plan
        text = pushes.encode(plan)
        opened = OpenPush(plan.commit, plan.seq, pushes.encode(plan, here=True).decode(), "begun")
        self.left.note(lambda journal: journal.manual.push_begins(opened))
        sources = prepared.sources if self.left.copies_safe else {}
        body = lambda file: self._body(file, prepared.staged)
        committer = Committer(store, parent, sources, body, self.engine.clock.time_ns)
        try:
            self._plan(plan, text)
            committer.commit(prepared.commit)
        except Stale:
            # Not before another commit has the number: a first request of ours may still be on its way.
            if standing_from(store, plan.seq) is not None:
                self.left.forget(plan)
            return False
        except Transient as exc:
            raise Transient(
                f"the bucket did not answer, and it is not known whether the push happened: {exc}",
                code="outcome-unknown",
                hint="`dorkyctl status` tells once the bucket answers; nothing that is staged is lost",
                retry_after_s=exc.retry_after_s or 5.0,
                offline=exc.offline,
            ) from exc
        if self.left.bucket().head(plan.key) is None:
            # Taken for that of a push which another commit, since withdrawn, had shut out.
            self._plan(plan, text)
        self.left.note(lambda journal: journal.manual.push_is(plan.commit, "won"))
        return True

    def _plan(self, plan: Plan, text: bytes) -> None:
        with suppress(Stale):  # a lost reply: the name is nobody else's
            self.left.bucket().put(plan.key, Bytes(text), replaces=None, meta={})

    def _body(self, file: CommitFile, staged: Mapping[Digest, Staged]) -> Body | None:
        """The bytes of a content, where they are here: as they were staged, else as the file has them."""
        row = staged.get(file.digest)
        if row is not None and row.name is not None and row.digest is not None:
            return StagedBody(self.engine.folder, row.name, row.size, row.digest)
        return file_body(self.engine, file)

    def _finish(self, prepared: _Prepared) -> PushResult:
        """The push has happened: what fails from here on is done later."""
        plan, header, told = prepared.plan, prepared.commit.header, False
        lost: tuple[Path, ...] = ()
        try:
            lost = self.left.carry(plan, mine=True, fresh=True)
            deadline = self.engine.clock.monotonic() + TELL_S
            while not (told := self.left.is_over(plan)) and self.engine.clock.monotonic() < deadline:
                self.tick()
        except (Stale, Transient, Blocked) as exc:
            _log.warning("verb=push project=%s seq=%d outcome=%s", self.engine.project.name, plan.seq, exc.code)
        else:
            _log.info(
                "verb=push project=%s seq=%d paths=%d outcome=ok", self.engine.project.name, plan.seq, len(plan.changes)
            )
        return PushResult(
            id=plan.commit,
            seq=plan.seq,
            message=header.message,
            author=header.author,
            device=header.device,
            time=header.time,
            paths=len(plan.changes),
            lost=lost,
            told=told,
        )

    # --- on the engine's thread -----------------------------------------------------------------------------------

    def _check(self, journal: Journal) -> None:
        """What can be said before anything is asked of the bucket."""
        Stage(self.engine).check_mode()
        if journal.get(PULLING) is not None:
            raise Refused("a pull is under way", code="pulling", hint="`dorkyctl status` tells when it is over")
        staged = journal.manual.staged()
        if not staged:
            raise Refused("nothing is staged", code="nothing-staged", hint="dorkyctl stage PATH...")
        old = [path for path, row in staged.items() if row.over != _digest(journal.base(path))]
        if old:
            raise Refused(
                f"{_named(old)}: staged over a state that a pull has replaced since",
                code="outdated",
                hint="stage again what is right now, or `dorkyctl unstage` it",
            )
        ignored = [path for path in staged if self.engine.rules().skip(path, False)]
        if ignored:
            raise Refused(f"{_named(ignored)}: ignored by now", code="ignored", hint="`dorkyctl unstage` it")

    def _is_secret(self) -> bool:
        """Something that is staged is to be encrypted."""
        return any(self._seals(row) for row in self.left.journal().manual.staged().values())

    def _seals(self, row: Staged) -> bool:
        """It is to be encrypted: for its name, for what stands under that, or for what it is."""
        journal, keyring = self.left.journal(), self.engine.keyring
        if row.digest is None or keyring is None:
            return False
        there = journal.remote(row.path)
        if keyring.covers(row.path) or (there is not None and there.sealed is not None):
            return True
        return must_be_sealed(journal, keyring, row.path, row.digest, row.size, new=there is None)

    def _prepare(
        self, parent: tuple[CommitId, Commit] | None, message: str | None, key: ContentKey | None
    ) -> _Prepared:
        """`key`: of the epoch in force, where something is to be encrypted."""
        journal, engine = self.left.journal(), self.engine
        self._check(journal)
        staged = journal.manual.staged()
        # A path that cannot be looked at here is not told of as behind: what is known of its object has to do.
        behind = [
            *journal.manual.behind(),
            *(path for path in staged if _moved_on(journal.base(path), journal.remote(path))),
        ]
        if behind:
            raise self._moved(list(dict.fromkeys(behind)))
        staged = {
            path: row
            for path, row in staged.items()
            if _changes(row, journal.base(path)) or (row.digest is not None and to_encrypt(engine, path))
        }
        if not staged:
            raise Refused(
                "what is staged is what was last pushed or pulled", code="nothing-staged", hint="see `dorkyctl status`"
            )
        held, unseen = objects_of(engine)
        files = {file.path: file for file in held}
        sources: dict[Digest, list[Source]] = {}
        for file in files.values():
            if file.version is not None:
                sources.setdefault(file.digest, []).append(Source(file.path, file.version))
        changes: list[PlannedChange] = []
        contents: dict[Digest, Staged] = {}
        for path, row in staged.items():
            there = journal.remote(path)
            pushed = self._file(row, key)
            if pushed is None:
                files.pop(path, None)
            else:
                files[path] = pushed
                contents[pushed.digest] = row
            if pushed is not None or there is not None:
                changes.append(self._planned(row, pushed, there))
        refuse_plain(engine, files.values())
        # But for those that are pushed: they are what is staged.
        refuse_half(engine, (file for path, file in files.items() if path not in staged))
        clash = pushes.clash(files)
        if clash is not None:
            what = f"{clash[0]!r} would be a file, and a folder that holds {clash[1]!r}"
            raise Refused(what, code="clash", hint="stage the deletion of one of them as well")
        project_id, batch = journal.get("project_id") or "", engine.clock.random_id()
        said = (
            message
            or journal.get(MESSAGE)
            or f"{len(staged)} {'path' if len(staged) == 1 else 'paths'} from {engine.device}"
        )
        commit = new_commit(
            files.values(),
            parent=(parent[1].header.seq, parent[0]) if parent is not None else None,
            author=engine.wiring.author,
            device=engine.device,
            time=_rfc3339(engine.clock.time_ns()),
            message=said,
            project=project_id,
            batch=batch,
            unseen=unseen,
        )
        plan = Plan(id_of(encode(commit)), commit.header.seq, batch, engine.device, tuple(changes))
        return _Prepared(commit, plan, contents, sources)

    def _file(self, row: Staged, key: ContentKey | None) -> CommitFile | None:
        """What the commit says of it; None: it is gone."""
        if row.digest is None:
            return None
        if not self._seals(row):
            return CommitFile(row.path, row.digest, row.size, row.mode, None)
        if key is None:
            raise Transient("what is to be encrypted changed meanwhile", code="busy", hint="try again", retry_after_s=1)
        return CommitFile(row.path, Digest(KEYED + key.keyed(row.digest)), None, row.mode, None, key.epoch)

    def _planned(self, row: Staged, file: CommitFile | None, there: Remote | None) -> PlannedChange:
        sealed = file is not None and file.epoch is not None and row.digest is not None
        return PlannedChange(
            path=row.path,
            op=Op(self.engine.clock.random_id()),
            digest=file.digest if file is not None else None,
            size=file.size if file is not None else row.size,
            mode=row.mode,
            mtime_ns=row.mtime_ns,
            replaces=there.version if there is not None else None,
            replaces_op=there.op if there is not None else None,
            epoch=file.epoch if file is not None else None,
            here=(row.digest, row.size) if sealed and row.digest is not None else None,
        )

    def _moved(self, behind: Sequence[Path]) -> Refused:
        return Refused(
            f"the bucket has moved on since the last pull: {_named(behind)}",
            code="remote-moved",
            hint=f"dorkyctl pull {self.engine.project.name}",
        )


def _changes(row: Staged, base: Base | None) -> bool:
    """It is not what base has already."""
    if row.digest is None or base is None:
        return (row.digest is None) != (base is None)
    return (row.digest, row.mode) != (base.digest, base.mode)


def _moved_on(base: Base | None, there: Remote | None) -> bool:
    """The object holds what base does not have. One that is gone takes nothing from anybody: an edit beats a deletion."""
    return there is not None and (base is None or content_of(there, base) != base.digest)


def _digest(base: Base | None) -> Digest | None:
    return base.digest if base is not None else None


def _named(paths: Sequence[Path]) -> str:
    some = ", ".join(repr(path) for path in paths[:_SOME])
    return f"{some} and {len(paths) - _SOME} more" if len(paths) > _SOME else some


def _rfc3339(time_ns: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time_ns // 1_000_000_000))
