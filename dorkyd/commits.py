"""Commits of a project: made, listed, compared. Every method may be called from any thread, and blocks.

A commit in two-way mode is a snapshot of what the bucket holds when both sides agree. Killed anywhere it leaves at most
contents that no commit refers to, which a collection removes (`dorkyd.core.garbage` has the rules of the two).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from dorkyd.asking import RETRY_S, check_reachable, check_ready
from dorkyd.commit_cache import CommitCache
from dorkyd.commit_store import AT_ONCE, CommitStore, Source, Standing
from dorkyd.committed_secrets import Sameness, file_body
from dorkyd.contents import Contents
from dorkyd.core.commits import (
    Commit,
    CommitFile,
    CommitId,
    Difference,
    Named,
    checked_message,
    contents,
    covers,
    differences,
    follows,
    new_commit,
)
from dorkyd.core.committed import Made
from dorkyd.core.garbage import CONDEMNED_S
from dorkyd.core.model import Digest, Path, Version
from dorkyd.core.paths import ancestors
from dorkyd.core.report import State, SyncResult
from dorkyd.core.sealing import keyed_of
from dorkyd.core.settings import Mode
from dorkyd.engine import Engine
from dorkyd.errors import Blocked, DorkyError, Integrity, Refused, Stale, Transient
from dorkyd.ledger import Event
from dorkyd.ports import Body

T = TypeVar("T")

TRIES = 8
"""How often a commit begins anew when others change or commit the project meanwhile."""

LASTS_S = CONDEMNED_S // 4
"""A commit that took longer begins anew, and finds what it had kept."""

PUSH_S, STUCK_S = 300, 20
"""Seconds that a commit waits for a push before it, and for one that cannot be brought to its end here."""

Settle = Callable[[], SyncResult]
"""Looks at both sides and waits until they agree, or says why not."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a settled project holds."""

    files: tuple[CommitFile, ...]
    conflicts: tuple[Path, ...]
    project: str
    """The project's id."""
    unseen: tuple[str, ...]
    """As `Commit.unseen`."""


@dataclass(slots=True)
class Commits:
    """See the module."""

    engine: Engine
    settle: Settle
    at_once: int = AT_ONCE
    wait: Callable[[float], None] = time.sleep
    """Lets so many seconds pass."""

    # --- making -------------------------------------------------------------------------------------------------

    def commit(self, message: str) -> Made:
        """Commit the project as it is once both sides agree. `Blocked` (`nothing-to-commit`) where the last commit has it
        already; `Blocked` (`not-settled`) and `Transient` where the two do not agree, with the reason.
        """
        text = checked_message(message)
        if self.engine.project.mode is Mode.MANUAL:
            raise Refused(
                f"{self.engine.project.name} has mode: manual, in which a push makes the commit",
                code="mode",
                hint="dorkyctl stage PATH..., then dorkyctl push -m MESSAGE",
            )
        self.check_writable()
        if self.engine.bucket is None or not self.of_engine(lambda: project_of(self.engine)):
            self._agree()  # just begun: nobody knows yet which project it is
        for _ in range(TRIES):
            self.check_writable()
            # Before both sides are looked at: what is in it is then known here, and a later one has the number of ours.
            parent = self._newest()
            if parent is not None and self._await_push(parent[1], parent[2]):
                continue  # it may not be the last any more
            self._agree()
            if self.of_engine(lambda: ask_what_they_hold(self.engine)):
                self._agree()
            try:
                return self._commit(text, parent)
            except Stale:
                continue
        raise Transient("others keep changing the project", code="contended", retry_after_s=RETRY_S)

    def _await_push(self, commit_id: CommitId, commit: Commit) -> bool:
        """Wait until a push that made this commit is carried out, or carry it out: ours would leave its files out. False: it was
        none, it was over, or cannot be brought to its end.
        """
        store = self.store()
        for waited in range(PUSH_S):
            if not store.is_under_way(commit.header):
                return waited > 0
            if waited >= STUCK_S and commit_id in self.engine.manual.stuck:
                return False  # the status tells of it
            self.engine.manual.finish()
            self.settle()  # the log tells of it; whether both sides agree is asked when it is over
            self.wait(1.0)
        what = f"commit {commit.header.seq} is still being copied to the plain paths"
        raise Transient(what, code="pushing", hint="try again", retry_after_s=RETRY_S)

    def _agree(self) -> None:
        settled = self.settle()
        if not settled.converged:
            raise _unsettled(settled)

    def _newest(self) -> tuple[int, CommitId, Commit] | None:
        store = self.store()
        newest = store.newest()
        return (newest.seq, *store.read(newest)) if newest is not None else None

    def _commit(self, message: str, parent: tuple[int, CommitId, Commit] | None) -> Made:
        snapshot = self.of_engine(lambda: snapshot_of(self.engine))
        if self._newest() != parent:
            # Not only that somebody made the next: it may have been taken back, and what it kept be removed.
            raise Stale("another commit is the last by now")
        if parent is not None and not follows(parent[2], snapshot.files, snapshot.unseen):
            raise _nothing(parent[1], parent[2])
        if parent is None and not snapshot.files:
            raise Blocked("there is nothing to commit: the project has no files", code="nothing-to-commit")
        commit = new_commit(
            snapshot.files,
            parent=parent[:2] if parent is not None else None,
            author=self.engine.wiring.author,
            device=self.engine.device,
            time=self.now(),
            message=message,
            project=snapshot.project,
            unseen=snapshot.unseen,
        )
        sources = _sources(snapshot.files)
        before = parent[2] if parent is not None else None
        made = Committer(self.store(), before, sources, self._body, self.engine.clock.time_ns).commit(commit)
        first_line = commit.header.message.partition("\n")[0]
        self.note("commit", Path("."), f"{made[0][:12]} {first_line}")
        return Made(Named(made[0], made[1].version, commit.header), snapshot.conflicts)

    def _body(self, file: CommitFile) -> Body | None:
        """The bytes of a file here, for a store that cannot copy an object this large."""
        return file_body(self.engine, file)

    # --- reading ------------------------------------------------------------------------------------------------

    def list(self, before: int | None, limit: int) -> Sequence[Named]:
        """At most `limit` commits, the newest first; `before`: those with a lower number."""
        store = self.store()
        standing = store.standing()
        end = len(standing) if before is None else sum(one.seq < before for one in standing)
        start = max(0, end - limit)
        # With the one after them, which says who they are.
        return store.headers(standing[start : end + 1])[: end - start][::-1]

    def show(self, text: str) -> tuple[CommitId, Commit]:
        """One commit, whole, by the beginning of its id."""
        return self.store().find(text)

    def diff(self, old: str, new: str | None) -> Sequence[Difference]:
        """What differs between two commits; `new` None: between one and what the bucket is known to hold now. Content that is
        encrypted to different keys is compared where both are here (`Difference.waits`).
        """
        store = self.store()
        before = store.find(old)[1]
        if new is not None:
            after = store.find(new)[1]
            now, unseen = after.by_path, after.unseen
        else:
            if self.of_engine(lambda: ask_what_they_hold(self.engine)):
                self.settle()
            held, unseen = self.of_engine(lambda: objects_of(self.engine))
            now = {file.path: file for file in held}
        was_hidden, is_hidden = covers(before.unseen), covers(unseen)
        found = [
            one
            for one in differences(before.by_path, now)
            if not ((one.old is None and was_hidden(one.path)) or (one.new is None and is_hidden(one.path)))
        ]
        return Sameness(self.engine, store).judged(found)

    # --- for checkout, collection and push -----------------------------------------------------------------------

    def store(self) -> CommitStore:
        """Commits in the bucket. `Transient` while it cannot be reached."""
        check_reachable(self.engine.trouble)
        bucket, project = self.engine.bucket, self.of_engine(lambda: project_of(self.engine))
        if bucket is None or not project:
            raise Transient("the project is not open", code="not-open", retry_after_s=RETRY_S)
        return CommitStore(bucket, CommitCache.of(self.engine.journals, project), self.at_once)

    def check_writable(self) -> None:
        """Raise why nothing may be written to the bucket now, if so."""
        paused = self.of_engine(lambda: self.engine.paused_until() > self.engine.clock.time_ns())
        check_ready(self.engine.project, self.engine.held, self.engine.trouble, paused=paused)

    def of_engine(self, request: Callable[[], T]) -> T:
        """Have the engine's thread do it."""
        return Contents(self.engine).ask(request)

    def now(self) -> str:
        """RFC 3339, UTC, by this machine's clock."""
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.engine.clock.time_ns() // 1_000_000_000))

    def note(self, verb: str, path: Path, detail: str) -> None:
        """For this device's history."""

        def write() -> None:
            journal = self.engine.journal
            if journal is not None:
                with journal.atomic():
                    event = Event(verb, path, self.engine.device, detail=detail)
                    journal.ledger.log(self.engine.clock.time_ns(), [event])

        self.of_engine(write)


@dataclass(slots=True)
class Committer:
    """Puts one commit into the bucket, with all that it needs. See `dorkyd.core.garbage` for why in this order."""

    store: CommitStore
    parent: Commit | None
    sources: Mapping[Digest, Sequence[Source]]
    """Object states that hold each content."""
    body: Callable[[CommitFile], Body | None] = lambda _file: None
    """The bytes of a file here, where the store cannot copy them."""
    now_ns: Callable[[], int] = time.time_ns
    """Wall clock: it goes on while the machine sleeps."""
    _relied: dict[str, CommitFile] = field(default_factory=dict, init=False, repr=False)
    """Names of contents that the parent does not have, on which the commit rests."""

    def commit(self, commit: Commit) -> tuple[CommitId, Standing]:
        """Keep its contents, then create it, then make sure of both. `Stale`: its number is taken, or something it needs was
        changed meanwhile; there is no commit then.
        """
        began_ns = self.now_ns()
        had = contents(self.parent.files) if self.parent is not None else {}
        new = [file for digest, file in contents(commit.files).items() if digest not in had]
        dead = self.store.dead_names()
        self._keep(new, dead)
        # Again: keeping them may have taken long. What is condemned from here on is found after.
        self._keep_again(self.store.dead_names())
        # Not once it stands there: retention may have removed those before it since.
        if self._slept_since(began_ns):
            raise Stale("this machine slept: what was kept may have been condemned, removed and forgotten meanwhile")
        commit_id, standing = self.store.create(commit)
        try:
            self._check_place(commit_id, standing)
            self._keep_again(self.store.dead_names())
        except Stale as exc:
            self._withdraw(commit_id, standing, exc, began_ns)
            raise
        self.store.stands(commit_id)
        return commit_id, standing

    def _slept_since(self, began_ns: int) -> bool:
        return abs(self.now_ns() - began_ns) > LASTS_S * 10**9

    def _keep(self, files: Sequence[CommitFile], dead: frozenset[str]) -> None:
        def one(file: CommitFile) -> str:
            sources = self.sources.get(file.digest, ())
            body = lambda: self.body(file)
            return self.store.keep(file.digest, sources, dead, file.size, body, epoch=file.epoch)

        self._relied |= dict(zip(self.store.each(one, files), files, strict=True))

    def _keep_again(self, dead: frozenset[str]) -> None:
        lost = [self._relied.pop(name) for name in dead & self._relied.keys()]
        if lost:
            self._keep(sorted(lost, key=lambda file: file.path), dead)

    def _check_place(self, commit_id: CommitId, standing: Standing) -> None:
        """It is the last, or the next one follows it: its number was not one that retention had freed."""
        later = self.store.standing(standing.seq)
        if not later:
            return
        if later[0].seq == standing.seq + 1 and self.store.headers(later[:1])[0].header.parent == commit_id:
            return
        raise Stale(f"number {standing.seq} was another commit's that is gone")

    def _withdraw(self, commit_id: CommitId, standing: Standing, why: DorkyError, began_ns: int) -> None:
        """Take it back, unless another rests on it or, once it has stood for long, may be about to: what a commit lists is
        removed by no collection while it stands, and whoever makes the next one takes that for granted.
        """
        later = self.store.standing(standing.seq)
        rests = bool(later) and self.store.headers(later[:1])[0].header.parent == commit_id
        if rests or self._slept_since(began_ns):
            raise Integrity(
                f"commit {commit_id[:12]} is made, and perhaps not all that it needs is in the bucket: {why}",
                code="content-missing",
                hint="commit again: the next one keeps what is there now",
            )
        with suppress(Stale):
            self.store.remove(standing)


# --- on the engine's thread ------------------------------------------------------------------------------------------


def snapshot_of(engine: Engine) -> Snapshot:
    """What the project holds. `Stale` when it is not settled any more, `Refused` (`digest-unknown`) for an object whose
    content nobody here knows. Engine thread.
    """
    if not engine.quiescent() or engine.journal is None:
        raise Stale("something changed since both sides agreed")
    files, unseen = objects_of(engine)
    refuse_half(engine, files)
    here = {file.path for file in files}
    conflicts = tuple(path for path in engine.journal.conflict_copies() if path in here)
    refuse_plain(engine, files)
    return Snapshot(files, conflicts, project_of(engine), unseen)


def _half_there(engine: Engine) -> set[Path]:
    """Objects in the bucket of atomic batches that are not complete, as far as is known. The bucket is asked where its log was
    not read that far.
    """
    o = engine.opened
    if o is None:
        return set()
    if o.remote.passed_over and o.batches.half_there():
        o.remote.read_back()
    return o.batches.half_there()


def refuse_half(engine: Engine, files: Iterable[CommitFile]) -> None:
    """`Transient` (`busy-batch`) when one of a commit's files is of an atomic batch that is not complete. Engine thread."""
    half = _half_there(engine)
    some = next((file.path for file in files if file.path in half), None)
    if some is not None:
        raise Transient(
            f"an atomic batch is not complete: {some!r} is one of its files",
            code="busy-batch",
            hint="try again when it is, or 15 minutes later",
            retry_after_s=RETRY_S,
        )


def ask_what_they_hold(engine: Engine) -> bool:
    """Have the bucket asked about objects of which nobody here has needed to know more than that they are there. True: there
    are such. Engine thread.
    """
    journal = engine.journal
    if journal is None:
        return False
    every = engine.project.mode is Mode.BUCKET
    unread = [path for path in journal.unread_objects() if every or engine.rules().rule(path, False) is None]
    with journal.atomic():
        journal.mark(unread, remote=True)
    return bool(unread)


def refuse_plain(engine: Engine, files: Iterable[CommitFile]) -> None:
    """`Refused` (`must-be-encrypted`) when one of a commit's files is to be encrypted and is not: it would be kept in plain for
    ever. Engine thread.
    """
    keyring = engine.keyring
    plain = next((f.path for f in files if f.epoch is None and keyring is not None and keyring.covers(f.path)), None)
    if plain is not None:
        raise Refused(
            f"{plain!r} is to be encrypted, and is in the bucket in plain",
            code="must-be-encrypted",
            hint="a device in mode two-way or push that has the file encrypts it (`dorkyctl status` tells what waits);"
            f" in mode manual: dorkyctl stage {plain!r}, then push",
        )


def objects_of(engine: Engine) -> tuple[tuple[CommitFile, ...], tuple[str, ...]]:
    """What the bucket is known to hold, of encrypted objects what may be told of them; and what of it is ignored here, as
    `Commit.unseen`. Engine thread.
    """
    journal, rules = engine.journal, engine.rules()
    if journal is None:
        raise Transient("the project is not open", code="not-open", retry_after_s=RETRY_S)
    folder = engine.project.mode is not Mode.BUCKET
    files, unseen = [], set[str]()
    for path, version, size, digest, mode, sealed in journal.objects():
        if folder and rules.rule(path, False) is not None:
            ignored = next((above for above in ancestors(path) if rules.rule(above, True) is not None), None)
            unseen.add(path if ignored is None else f"{ignored}/")
            continue
        if sealed is not None:
            files.append(_sealed(engine, path, version, mode, sealed))
            continue
        if digest is None:
            raise Refused(
                f"what {path!r} holds is not known: another tool wrote it, and it is not in the folder",
                code="digest-unknown",
                hint=f"dorkyctl why {path!r}",
            )
        files.append(CommitFile(path, digest, size, mode, version))
    return tuple(files), tuple(sorted(unseen))


def _sealed(engine: Engine, path: Path, version: Version, mode: int | None, sealed: str) -> CommitFile:
    epoch, _, keyed = sealed.partition(":")
    if not keyed or engine.keyring is None:
        raise Refused(
            f"what the encrypted {path!r} holds is not known: another tool wrote it",
            code="digest-unknown",
            hint=f"dorkyctl why {path!r}",
        )
    return CommitFile(path, Digest(keyed_of(sealed)), None, mode, version, epoch)


def project_of(engine: Engine) -> str:
    """The project's id; empty: not known yet. Engine thread."""
    return (engine.journal.get("project_id") or "") if engine.journal is not None else ""


# --- inside ----------------------------------------------------------------------------------------------------------


def _sources(files: Sequence[CommitFile]) -> dict[Digest, list[Source]]:
    found: dict[Digest, list[Source]] = {}
    for file in files:
        if file.version is not None:
            found.setdefault(file.digest, []).append(Source(file.path, file.version))
    return found


def _nothing(commit_id: CommitId, parent: Commit) -> Blocked:
    header = parent.header
    what = f"there is nothing to commit: {commit_id[:12]} (commit {header.seq}, by {header.author}) is what there is"
    return Blocked(what, code="nothing-to-commit")


def _unsettled(settled: SyncResult) -> DorkyError:
    what = f"nothing was committed: {settled.detail}"
    if settled.state in _PASSING:
        return Transient(what, hint=settled.hint, code="unsettled", retry_after_s=RETRY_S)
    return Blocked(what, hint=settled.hint, code="not-settled")


_PASSING = frozenset({State.SYNCING, State.OFFLINE, State.IN_SYNC})
"""States in which both sides may come to agree by themselves."""
