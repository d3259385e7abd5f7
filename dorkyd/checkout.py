"""Bringing a commit back into the folder, as new changes that go to everybody. From any thread; every method blocks.

What holds:

1. Nothing is touched before everything is known: what must change, that no edit is in the way, and that all contents are here.
2. A file whose bytes are not in the bucket yet is an edit, and stops a checkout that would replace it, unless asked. What is
   replaced or taken out goes to the trash either way.
3. What was seen is what is replaced, path by path (`dorkyd.placing`): whatever a person saves meanwhile stays.
4. Killed midway, it is done again from the start: what is in place already is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from dorkyd.commits import Commits
from dorkyd.committed_secrets import content_key, is_content
from dorkyd.contents import Brought, Contents, Wanted
from dorkyd.core.commits import Commit, CommitFile, CommitId, covers, object_key
from dorkyd.core.committed import CheckedOut, Unlike
from dorkyd.core.lockfile import LOCK_FILE, Lock, decode_lock
from dorkyd.core.model import Local, Path, Problem
from dorkyd.core.paths import ancestors, is_under, parse
from dorkyd.core.secrets import installed_mode
from dorkyd.core.settings import Mode
from dorkyd.engine import Engine
from dorkyd.errors import Blocked, DorkyError, Integrity, PathProblem, Refused, Stale
from dorkyd.local_side import racy
from dorkyd.placing import Placement, Placer, Withdrawal
from dorkyd.ports import Entry, Known, Observation
from dorkyd.reinstating import what_stays_in
from dorkyd.transfer import SECRET_BITS

T = TypeVar("T")

AT_A_TIME = 250
"""Files put in place in one go of the engine's thread: between two goes it begins to send what was placed."""
LOOKED_AT = 5000
"""Files looked at in one go."""
BUSY_S, BUSY_TRIES = 0.25, 40
"""How long to wait for a path that is being synced, and how often."""
TOLD = 20
"""Paths that a refusal names."""


@dataclass(slots=True)
class _Plan:
    """What must change."""

    place: list[tuple[CommitFile, Local | None]] = field(default_factory=list)
    modes: list[tuple[CommitFile, Local]] = field(default_factory=list)
    out: list[tuple[Path, Local]] = field(default_factory=list)
    edits: list[Path] = field(default_factory=list)
    """Those of them whose bytes are nowhere else."""
    unlike: list[Unlike] = field(default_factory=list)
    same: int = 0


@dataclass(frozen=True, slots=True)
class Checkout:
    """See the module."""

    commits: Commits

    @property
    def _engine(self) -> Engine:
        return self.commits.engine

    def checkout(self, text: str, paths: Sequence[str] = (), *, overwrite: bool = False) -> CheckedOut:
        """Make the folder what a commit was: all of it, or these files and folders alone. `Refused` (`local-edits`) when an
        edit is in the way and `overwrite` does not say that it may go to the trash; `content-gone`.
        """
        self._check_here()
        wanted = [_parsed(path) for path in paths]
        commit_id, commit = self.commits.show(text)
        return self._bring_about(commit_id, commit, wanted, overwrite=overwrite)

    def locked(self, text: str, *, overwrite: bool = False) -> CheckedOut:
        """Make the folder exactly what a lock file says. `Refused`: `bad-lock`, `other-project`, `no-such-commit`,
        `lock-differs`; `not-exact` when something of it could not be done, each with what differs.
        """
        self._check_here()
        lock = decode_lock(text)
        commit_id, commit = self._commit_of(lock)
        done = self._bring_about(commit_id, commit, (), overwrite=overwrite)
        if done.unlike:
            what = "; ".join(f"{one.path}: {one.why}" for one in done.unlike[:TOLD])
            raise Blocked(
                f"the folder is not what {LOCK_FILE} says: {what}{_more(len(done.unlike))}",
                code="not-exact",
                hint="mend what it names and run the same command again",
            )
        return done

    # --- inside -------------------------------------------------------------------------------------------------

    def _check_here(self) -> None:
        """Raise why the folder cannot be written now, if so."""
        engine = self._engine
        if engine.project.mode is Mode.BUCKET:
            raise Refused(f"{engine.project.name} has no folder", code="no-folder", hint="`dorkyctl get` its files")
        if engine.held is not None:
            what = f"{engine.project.name} is halted ({engine.held.halt.reason}) until a person decides"
            raise Refused(what, code="halted", hint=f"dorkyctl status {engine.project.name}")
        if self._ask(lambda: engine.paused_until() > engine.clock.time_ns()):
            name = engine.project.name
            raise Refused(f"{name} is paused", code="paused", hint=f"dorkyctl resume {name}")

    def _commit_of(self, lock: Lock) -> tuple[CommitId, Commit]:
        project = self._ask(lambda: self._engine.journal and self._engine.journal.get("project_id"))
        if lock.project != project:
            raise Refused(
                f"{LOCK_FILE} is of another project, in {lock.bucket}; this one is in {self._engine.project.bucket}",
                code="other-project",
                hint=f"dorkyctl up --bucket {lock.bucket}",
            )
        try:
            commit_id, commit = self.commits.show(lock.commit)
        except Refused as exc:
            raise Refused(
                f"the commit {lock.commit[:12]} that {LOCK_FILE} names is not in the bucket",
                code="no-such-commit",
                hint="it was collected, or never reached this bucket: `dorkyctl commits` lists what there is",
            ) from exc
        has = {file.path: file.digest for file in commit.files}
        differ = sorted(path for path in {*has, *lock.files} if has.get(path) != lock.files.get(path))
        if differ:
            some = ", ".join(repr(path) for path in differ[:TOLD])
            raise Refused(
                f"{LOCK_FILE} and the commit that it names do not agree about {some}{_more(len(differ))}",
                code="lock-differs",
                hint=f"{LOCK_FILE} was edited or merged by hand: `dorkyctl lock {lock.commit[:12]}` writes it anew",
            )
        return commit_id, commit

    def _bring_about(self, commit_id: CommitId, commit: Commit, only: Sequence[Path], *, overwrite: bool) -> CheckedOut:
        plan = self._plan(commit, only)
        if plan.edits and not overwrite:
            some = ", ".join(repr(path) for path in sorted(plan.edits)[:TOLD])
            raise Refused(
                f"these files have changes that are not in the bucket yet: {some}{_more(len(plan.edits))};"
                " nothing was changed",
                code="local-edits",
                hint="`dorkyctl sync --wait` keeps them in the history first; --overwrite moves them to the trash",
            )
        brought = self._bring(plan)
        try:
            placed, modes, taken_out = self._do(plan, brought)
        finally:
            # Those that got their place are known otherwise by now, and stay.
            Contents(self._engine).drop([one.staged for one in brought.values()])
        self.commits.note("checkout", Path("."), f"{commit_id[:12]}: {placed} placed, {taken_out} taken out")
        self.commits.settle()
        self._compare(plan, commit, only)
        return CheckedOut(commit_id, commit.header, placed, modes, taken_out, plan.same, tuple(plan.unlike))

    def _compare(self, plan: _Plan, commit: Commit, only: Sequence[Path]) -> None:
        """Once both sides agree: what a teammate's change, not known here before, or somebody's save made of it."""
        told = {one.path for one in plan.unlike}
        now = self._plan(commit, only)
        changed = [
            *(file.path for file, _ in now.place),
            *(file.path for file, _ in now.modes),
            *(path for path, _ in now.out),
        ]
        why = "it changed meanwhile, here or elsewhere: run the same command again"
        later = [*now.unlike, *(Unlike(path, why) for path in changed)]
        plan.unlike += [one for one in later if one.path not in told]

    # --- looking --------------------------------------------------------------------------------------------------

    def _plan(self, commit: Commit, only: Sequence[Path]) -> _Plan:
        plan, rules = _Plan(), self._engine.rules()
        files = [file for file in commit.files if _within(file.path, only)]
        for path in only:
            if not any(file.path == path or is_under(file.path, path) for file in files):
                raise Refused(
                    f"the commit has no {path!r}", code="not-in-commit", hint="`dorkyctl diff` tells what it has"
                )
        met = {} if only else self._scan(plan)
        for part in _parts(files, LOOKED_AT):
            seen = self._observe([file.path for file in part], met)
            for file in part:
                rule = rules.rule(file.path, False)
                if rule is not None:
                    plan.unlike.append(Unlike(file.path, f"ignored here by `{rule}`, so it is left alone"))
                    continue
                try:
                    self._judge(plan, file, *seen[file.path])
                except Blocked as exc:
                    plan.unlike.append(Unlike(file.path, str(exc)))
        # What its author's device ignores was in the bucket, or may have been: the commit does not say that it was not.
        hidden = covers(commit.unseen)
        wanted = {file.path for file in files}
        self._judge_extras(
            plan, {path: entry for path, entry in met.items() if path in wanted or not hidden(path)}, wanted
        )
        self._leave_what_gives_no_place(plan)
        return plan

    def _leave_what_gives_no_place(self, plan: _Plan) -> None:
        """A folder that holds more than what would go (ignored files, links) stays a folder: a file of its name would not get
        its place, and so nothing is taken out for it.
        """
        going = {path for path, _ in plan.out}
        files = {file.path for file, there in plan.place if there is None}
        for name in sorted({above for path in going for above in ancestors(path)} & files):
            why = what_stays_in(self._engine, name, going)
            if why is None:
                continue
            stays = {name, *(path for path in going if is_under(path, name))}
            plan.unlike += [Unlike(path, f"{why} ({why.hint})") for path in sorted(stays)]
            plan.place = [each for each in plan.place if each[0].path not in stays]
            plan.out = [each for each in plan.out if each[0] not in stays]
            plan.edits = [path for path in plan.edits if path not in stays]

    def _judge(self, plan: _Plan, file: CommitFile, there: Observation | DorkyError, agreed: bool) -> None:
        if file.epoch is not None:
            content_key(self._engine, file.epoch)
        match there:
            case Problem():
                plan.unlike.append(Unlike(file.path, there.detail))
            case DorkyError():
                plan.unlike.append(Unlike(file.path, str(there)))
            case Local() if is_content(self._engine, file, there.digest):
                mode = self._bits(file)
                if mode is None or not (there.mode ^ mode) & ~self._engine.unholdable:
                    plan.same += 1
                else:
                    plan.modes.append((file, there))
            case Local():
                plan.place.append((file, there))
                if not agreed:
                    plan.edits.append(file.path)
            case _:
                plan.place.append((file, None))

    def _bits(self, file: CommitFile) -> int | None:
        """The permission bits that a file of the commit shall have here; None: it does not say."""
        mode, keyring = installed_mode(file.path, file.mode), self._engine.keyring
        if file.epoch is not None or (keyring is not None and keyring.covers(file.path)):
            mode = (0o600 if mode is None else mode) & ~SECRET_BITS
        return mode

    def _scan(self, plan: _Plan) -> dict[Path, Entry]:
        """What stands in the folder and is the project's: what is no file, or ignored, is not."""
        met: dict[Path, Entry] = {}
        for found in self._engine.folder.scan(self._engine.rules().skip):
            if isinstance(found, Entry):
                met[found.path] = found
            elif found.code == "unreadable":
                plan.unlike.append(Unlike(found.path, "it cannot be read, so nobody knows what else is in it"))
        return met

    def _judge_extras(self, plan: _Plan, met: Mapping[Path, Entry], wanted: set[Path]) -> None:
        """What is here and not in the commit."""
        for part in _parts([path for path in met if path not in wanted], LOOKED_AT):
            for path, (there, agreed) in self._observe(part, met).items():
                if isinstance(there, Local):
                    plan.out.append((path, there))
                    if not agreed:
                        plan.edits.append(path)
                elif isinstance(there, Problem | DorkyError):
                    plan.unlike.append(Unlike(path, "it is not in the commit, and cannot be read"))

    def _observe(
        self, paths: Sequence[Path], met: Mapping[Path, Entry]
    ) -> dict[Path, tuple[Observation | DorkyError, bool]]:
        """What stands there, and whether the bucket has it. What a scan met as it is known need not be looked at again."""

        def look() -> dict[Path, tuple[Observation | DorkyError, bool]]:
            journal, folder = self._engine.journal, self._engine.folder
            if journal is None:
                raise Refused("the project is not open", code="not-open", hint="see `dorkyctl status`")
            found: dict[Path, tuple[Observation | DorkyError, bool]] = {}
            with journal.atomic():
                remembered = journal.remembered(paths)
            for path in paths:
                known, agreed = remembered[path]
                try:
                    there: Observation | DorkyError = _as_met(met.get(path), known) or folder.observe(path, known)
                except DorkyError as exc:
                    there = exc
                found[path] = (there, isinstance(there, Local) and agreed == there.digest)
            return found

        return self._ask(look)

    # --- doing ----------------------------------------------------------------------------------------------------

    def _bring(self, plan: _Plan) -> dict[Path, Brought]:
        """All contents into staging, or none."""
        contents = Contents(self._engine)
        wanted = [
            Wanted(
                file.path,
                file.digest if file.epoch is None else None,
                file.version,
                file.mode,
                kept=object_key(file.digest),
                sealed=file.sealed,
            )
            for file, _ in plan.place
        ]
        found = contents.bring_all(wanted) if wanted else []
        brought = {one.path: each for one, each in zip(wanted, found, strict=True) if isinstance(each, Brought)}
        for one, each in zip(wanted, found, strict=True):
            if isinstance(each, DorkyError):
                contents.drop([held.staged for held in brought.values()])
                raise _missing(one.path, each)
        return brought

    def _do(self, plan: _Plan, brought: Mapping[Path, Brought]) -> tuple[int, int, int]:
        placer = Placer(self._engine)
        # Files give way to folders of their name, and folders to files, before anything takes their place.
        withdrawals = [Withdrawal(path, there, approved=True) for path, there in plan.out]
        taken_out = self._all(plan, withdrawals, placer.take_out_all, lambda one: one.path)
        placements = [
            Placement(one.staged, one.digest, file.path, there, one.secret)
            for file, there in plan.place
            for one in [brought[file.path]]
        ]
        placed = self._all(plan, placements, placer.put_all, lambda one: one.path)
        modes = self._all(plan, plan.modes, self._set_modes, lambda one: one[0].path)
        return placed, modes, taken_out

    def _all(
        self,
        plan: _Plan,
        items: Sequence[T],
        do: Callable[[Sequence[T]], Mapping[Path, DorkyError]],
        path_of: Callable[[T], Path],
    ) -> int:
        """Do it to all, a few at a time. Those that somebody works on are waited for."""
        done = 0
        for part in _parts(items, AT_A_TIME):
            left = part
            for _ in range(BUSY_TRIES):
                failed = self._ask(lambda left=left: do(left))  # type: ignore[misc]
                busy = [item for item in left if failed.get(path_of(item), _FREE).code == "busy-path"]
                done += len(left) - len(failed)
                plan.unlike += [Unlike(path, _why(exc)) for path, exc in failed.items() if exc.code != "busy-path"]
                left = busy
                if not busy:
                    break
                self.commits.wait(BUSY_S)
            plan.unlike += [Unlike(path_of(item), "it is being synced: run the same command again") for item in left]
        return done

    def _set_modes(self, files: Sequence[tuple[CommitFile, Local]]) -> dict[Path, DorkyError]:
        failed: dict[Path, DorkyError] = {}
        journal = self._engine.journal
        for file, there in files:
            mode = self._bits(file)
            assert mode is not None
            try:
                self._engine.folder.set_mode(file.path, mode, there)
            except DorkyError as exc:
                failed[file.path] = exc
        if journal is not None:
            with journal.atomic():
                journal.mark([file.path for file, _ in files])
        return failed

    def _ask(self, request: Callable[[], T]) -> T:
        return self.commits.of_engine(request)


_FREE = DorkyError("")


def _parsed(text: str) -> Path:
    try:
        return parse(text.rstrip("/"))
    except PathProblem as exc:
        raise Refused(str(exc), code=exc.code, hint=exc.hint) from exc


def _as_met(entry: Entry | None, known: Known | None) -> Local | None:
    """What a scan met, where its stamps prove what it holds."""
    if entry is None or known is None or known.stat != entry.stat or racy(known):
        return None
    return Local(known.digest, entry.mode, entry.stat)


def _within(path: Path, only: Sequence[Path]) -> bool:
    return not only or any(path == one or is_under(path, one) for one in only)


def _parts(items: Sequence[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def _why(exc: DorkyError) -> str:
    return "it changed meanwhile" if isinstance(exc, Stale) else str(exc)


def _missing(path: Path, exc: DorkyError) -> DorkyError:
    if exc.code != "content-gone":
        return exc
    return Integrity(
        f"the content of {path!r} is not in the bucket any more; nothing was changed",
        code="content-missing",
        hint="somebody removed objects below .dorky/objects/: restore them from the store's versions or a backup",
    )


def _more(count: int) -> str:
    return f" (and {count - TOLD} more)" if count > TOLD else ""
