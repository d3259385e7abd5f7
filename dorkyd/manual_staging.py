"""Mode manual: what the next push sends is kept as it was when it was staged.

Runs on the thread of whoever asks; the engine's thread is asked for what the journal knows, and never waits for bytes.

1. The name of a staged copy is in the journal before the file is on disk (`incoming`): a kill leaves nothing but what the next
   start removes. Its digest is computed from the copy, so that what is pushed is what is said.
2. What is staged no more is kept: the only copy of an edit may be among it. Its row goes first; killed before the file has gone to
   the trash, the next start finds it unexplained and takes it there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from dorkyd.core.model import Base, Digest, Local, Path, Problem
from dorkyd.core.report import SkippedItem
from dorkyd.core.settings import Mode
from dorkyd.decisions import checked
from dorkyd.engine import Engine
from dorkyd.errors import DorkyError, PathProblem, Refused, Stale, Transient
from dorkyd.journal import Journal
from dorkyd.ledger import Displaced
from dorkyd.manual_rows import PUSH_LOST, Staged
from dorkyd.placing import Placer
from dorkyd.ports import ABSENT, Known, Observation

T = TypeVar("T")

ANSWER_S = 60.0
"""How long the engine's thread may take to answer."""
TRIES = 3
"""How often a file that changes while it is copied is copied again."""
AT_ONCE = 500
"""Paths asked of the engine's thread in one go, so that its cycles go on."""


@dataclass(frozen=True, slots=True)
class _Sides:
    """What the journal knows of one path."""

    base: Base | None
    known: Known | None
    staged: Staged | None
    to_encrypt: bool = False
    """The object is plain, and a pattern covers it by now."""


@dataclass(frozen=True, slots=True)
class Stage:
    """See the module."""

    engine: Engine

    # --- what a person asks ---------------------------------------------------------------------------------------

    def stage(self, texts: Sequence[str]) -> tuple[list[Path], list[SkippedItem]]:
        """Stage these paths as they are: files, what is gone, and all that differs below folders (`.`: the whole project).
        Returns what is staged now of it, and what could not be. `Refused` (`ignored`, `not-here`, …) for a path that was
        named itself.
        """
        self.ask(self.check_mode)
        staged: list[Path] = []
        skipped: list[SkippedItem] = []
        for text in texts:
            named, found = self._found(text)
            for some in _chunks(found):
                for path, outcome in self._stage_some(some).items():
                    if isinstance(outcome, DorkyError) and path == named:
                        raise outcome
                    if isinstance(outcome, DorkyError):
                        skipped.append(SkippedItem(path, outcome.code, str(outcome)))
                    elif outcome:
                        staged.append(path)
        return list(dict.fromkeys(staged)), skipped

    def unstage(self, texts: Sequence[str]) -> list[Path]:
        """Stage these no more; the files are as they are. `Refused` (`not-staged`)."""

        def take(text: str) -> list[Path]:
            under = _place(text)
            found = self._journal().manual.staged(under)
            if not found:
                raise Refused(
                    f"nothing is staged of {text!r}", code="not-staged", hint="`dorkyctl status` tells what is"
                )
            self.check_free()
            self._replace([], list(found.values()))
            journal = self._journal()
            if journal.get(PUSH_LOST) is not None and not journal.manual.staged():
                with journal.atomic():
                    journal.put(PUSH_LOST, None)
            return list(found)

        return [path for text in texts for path in self.ask(lambda text=text: take(text))]  # type: ignore[misc]

    def ask(self, request: Callable[[], T]) -> T:
        """Have the engine's thread do it."""
        return ask(self.engine, request)

    # --- engine thread ----------------------------------------------------------------------------------------------

    def check_mode(self) -> None:
        """`Refused` (`mode`) in any other."""
        if self.engine.project.mode is not Mode.MANUAL:
            raise Refused(
                f"{self.engine.project.name} has mode: {self.engine.project.mode}, in which sync sends files by itself",
                code="mode",
                hint="set mode: manual in the configuration",
            )
        self._journal()

    def check_free(self) -> None:
        """`Transient` (`pushing`) while a push works with what is staged."""
        if self.engine.manual.pushing:
            raise Transient("a push is under way", code="pushing", hint="try again when it is over", retry_after_s=1)

    def _sides(self, paths: Sequence[Path]) -> dict[Path, _Sides]:
        journal = self._journal()
        staged = journal.manual.staged()
        return {
            path: _Sides(journal.base(path), journal.known(path), staged.get(path), to_encrypt(self.engine, path))
            for path in paths
        }

    def _replace(self, new: Sequence[Staged], old: Sequence[Staged]) -> None:
        """Rows `new` in place of `old`. Of what `old` held, that which the files hold as well is removed; the rest goes to the
        trash.
        """
        journal, keyring = self._journal(), self.engine.keyring
        held = {staged.name for staged in new}
        loose = [staged for staged in old if staged.name is not None and staged.name not in held]
        spare = {staged.name for staged in loose if staged.name is not None and self._is_here(staged)}
        with journal.atomic():
            journal.manual.unstage(staged.path for staged in old)
            journal.manual.stage(new)
            for staged in new:
                if staged.name is not None:
                    journal.ledger.came_in(staged.name)
                if staged.digest is not None and staged.size and keyring is not None and keyring.names(staged.path):
                    journal.keep_sealed(staged.path, staged.digest)  # the file may hold something else by now
            for name in spare:
                journal.ledger.comes_in(name)  # from here on it is ours to remove
        for staged in loose:
            if staged.name is not None and staged.digest is not None and staged.name not in spare:
                self._put_away(staged.path, staged.name, staged.digest)
        Placer(self.engine).drop(sorted(spare))

    def _check_same(self, sides: Mapping[Path, _Sides], new: Sequence[Staged]) -> None:
        """Of a folder that is not there nothing is gone (`Refused`). `Transient` (`busy`) when another request staged or unstaged
        these meanwhile, or the copies are gone since the project was opened anew: a row whose bytes are nowhere keeps nothing.
        """
        if any(one.deletes for one in new) and not self.engine.same_folder():
            raise Refused("the folder is not there, and no file of it is gone", code="not-open", hint="dorkyctl status")
        journal = self._journal()
        staged, reserved = journal.manual.staged(), set(journal.ledger.incoming())
        had = {side.staged.name for side in sides.values() if side.staged is not None}
        names = {one.name for one in new if one.name is not None} - had
        if names <= reserved and all(staged.get(path) == side.staged for path, side in sides.items()):
            return
        self._give_back(sorted(names))
        what = "something else was staged or unstaged meanwhile"
        raise Transient(what, code="busy", hint="try again", retry_after_s=1)

    def _is_here(self, staged: Staged) -> bool:
        """The file holds the same."""
        if staged.digest is None:
            return True
        try:
            there: Observation = self.engine.folder.observe(staged.path, self._journal().known(staged.path))
        except (Stale, PathProblem):
            return False
        return isinstance(there, Local) and there.digest == staged.digest

    def _put_away(self, path: Path, name: str, digest: Digest) -> None:
        trashed = self.engine.folder.to_trash(name, path)
        journal = self._journal()
        with journal.atomic():
            journal.ledger.displace(Displaced(trashed.name, path, digest, trashed.size, None, trashed.at_ns, 0))

    def _reserve(self, count: int) -> list[str]:
        self.check_free()
        names = [self.engine.clock.random_id() for _ in range(count)]
        journal = self._journal()
        with journal.atomic():
            for name in names:
                journal.ledger.comes_in(name)
        return names

    def _give_back(self, names: Sequence[str]) -> None:
        Placer(self.engine).drop(names)

    def _journal(self) -> Journal:
        journal = self.engine.journal
        if journal is None:
            raise Refused("the project is not open yet", code="not-open", hint="see `dorkyctl status`")
        return journal

    # --- on the asking thread -----------------------------------------------------------------------------------------

    def _found(self, text: str) -> tuple[Path | None, list[Path]]:
        """The path when it is a file's own, and the paths it stands for."""
        under = _place(text)
        rules = self.engine.rules()
        if under is not None:
            rule = rules.rule(under, bool(self.engine.folder.tree_of(under)))
            if rule is not None:
                raise Refused(f"{text!r} is ignored by `{rule}`", code="ignored", hint="change that rule to stage it")
            if not self.engine.folder.tree_of(under):
                known = set(self.ask(lambda: self._known_at(under)))
                if self.engine.folder.observe(under, None) is not ABSENT:
                    known.add(under)
                if not known:
                    what = f"there is no {text!r}, neither here nor in what was last pushed or pulled"
                    raise Refused(what, code="not-here", hint="check the name")
                return under, sorted(known)
        there = set(self._scanned(under))
        gone = [path for path in self.ask(lambda: self._known_at(under)) if path not in there]
        return None, sorted({*there, *(path for path in gone if not rules.skip(path, False))})

    def _known_at(self, under: Path | None) -> list[Path]:
        journal = self._journal()
        own = [under] if under is not None and journal.base(under) is not None else []
        return [*own, *journal.base_paths(under), *(path for path in journal.manual.staged(under))]

    def _scanned(self, under: Path | None) -> Iterator[Path]:
        rules = self.engine.rules()
        for met in self.engine.folder.scan(rules.skip, under):
            yield met.path

    def _stage_some(self, paths: Sequence[Path]) -> dict[Path, bool | DorkyError]:
        """True: it is staged now. False: it is as base has it."""
        sides = self.ask(lambda: self._sides(paths))
        outcomes: dict[Path, bool | DorkyError] = {}
        wanted: dict[Path, Local | None] = {}
        for path in paths:
            try:
                seen = self._seen(path, sides[path].known)
            except DorkyError as exc:
                outcomes[path] = exc
                continue
            outcomes[path] = self._differs(seen, sides[path].base) or (seen is not None and sides[path].to_encrypt)
            if outcomes[path] or sides[path].staged is not None:
                wanted[path] = seen
        made = self._copies(
            {p: seen for p, seen in wanted.items() if seen is not None and outcomes[p]}, sides, outcomes
        )
        new: list[Staged] = []
        old = [staged for path in wanted if (staged := sides[path].staged) is not None]
        for path, seen in wanted.items():
            if outcomes[path] is not True:
                continue
            base = sides[path].base
            over = base.digest if base is not None else None
            if seen is None:
                new.append(Staged(path, None, None, 0, None, None, over))
            elif path in made:
                name, digest, local = made[path]
                new.append(Staged(path, name, digest, local.size, local.mode, local.stat.mtime_ns, over))
        old = [staged for staged in old if isinstance(outcomes[staged.path], bool)]

        def record() -> None:
            self.check_free()
            self._check_same(sides, new)
            self._replace(new, old)

        if new or old:
            self.ask(record)
        return outcomes

    def _seen(self, path: Path, known: Known | None) -> Local | None:
        """The file; None: it is gone."""
        for left in reversed(range(TRIES)):
            try:
                seen = self.engine.folder.observe(path, known)
            except Stale:
                if not left:
                    raise
                continue
            if isinstance(seen, Problem):
                raise PathProblem(path, seen.detail, code=seen.code, hint=seen.hint)
            return seen if isinstance(seen, Local) else None
        raise AssertionError

    def _differs(self, seen: Local | None, base: Base | None) -> bool:
        if seen is None or base is None:
            return (seen is None) != (base is None)
        if seen.digest != base.digest:
            return True
        return base.mode is not None and bool((seen.mode ^ base.mode) & ~self.engine.unholdable)

    def _copies(
        self, wanted: Mapping[Path, Local], sides: Mapping[Path, _Sides], outcomes: dict[Path, bool | DorkyError]
    ) -> dict[Path, tuple[str, Digest, Local]]:
        """Copy what is not staged just so already. What cannot be copied is in `outcomes`."""
        made: dict[Path, tuple[str, Digest, Local]] = {}
        for path, seen in wanted.items():
            staged = sides[path].staged
            if staged is not None and staged.name is not None and staged.digest == seen.digest:
                made[path] = (staged.name, seen.digest, seen)
        new = [path for path in wanted if path not in made]
        names = dict(zip(new, self.ask(lambda: self._reserve(len(new))), strict=True)) if new else {}
        failed = []
        for path, name in names.items():
            try:
                made[path] = (name, *self._copy(path, wanted[path], name))
            except DorkyError as exc:
                outcomes[path] = exc
                failed.append(name)
        if failed:
            self.ask(lambda: self._give_back(failed))
        return made

    def _copy(self, path: Path, seen: Local, name: str) -> tuple[Digest, Local]:
        folder = self.engine.folder
        for left in reversed(range(TRIES)):
            try:
                folder.stage_copy(path, seen, name)
                folder.seal(name, mode=0o600, mtime_ns=seen.stat.mtime_ns)
                digest = folder.staged_digest(name)
                if digest != seen.digest:
                    raise Stale(f"{path}: it changed while it was staged", code="changing")
            except Stale:
                folder.unstage(name)
                if not left:
                    raise
                again = self._seen(path, None)
                if again is None:
                    raise
                seen = again
            else:
                return digest, seen
        raise AssertionError


def ask(engine: Engine, request: Callable[[], T]) -> T:
    """Have the engine's thread do it, and wait."""
    try:
        return cast("T", engine.call(request).result(timeout=ANSWER_S))
    except TimeoutError as exc:
        what = "the engine is busy and has not answered"
        raise Transient(what, code="busy", hint="try again", retry_after_s=1) from exc


def to_encrypt(engine: Engine, path: Path) -> bool:
    """A pattern covers the path, and its object is plain: pushed once more, it is encrypted. Engine thread."""
    keyring, there = engine.keyring, engine.journal.remote(path) if engine.journal is not None else None
    return keyring is not None and there is not None and there.sealed is None and keyring.covers(path)


def _place(text: str) -> Path | None:
    """A path from outside; None: the whole project."""
    text = text.removeprefix("./").rstrip("/")
    return None if text in ("", ".") else checked(text)


def _chunks(paths: Sequence[Path]) -> Iterator[Sequence[Path]]:
    for start in range(0, len(paths), AT_ONCE):
        yield paths[start : start + AT_ONCE]
