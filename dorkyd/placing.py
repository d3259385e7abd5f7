"""What a person asked for is put in place and taken out here: never over anything that was not looked at, and so that a
kill at any instant loses nothing.

1. A staged name is in the journal before the file is on disk: what a kill leaves of it is dropped at the next start.
2. Before a file comes out of its place an install says so (`restore`, `withdraw`): whatever happens then, what came out
   finds the same end, the trash (`dorkyd.recovery`). A restore that was cut short before the two traded names did not
   happen; asked again, it does.
3. What comes out is what the caller saw there, or nothing happens (`Stale`). What was saved in the instant before is nobody's
   to give up: it is put back, or stands beside what was put as a conflict copy.
4. Base stands. What was placed is an edit of this device's like any other, and goes to the bucket by the table.

Engine thread only. Staged bytes are written, verified and sealed by whoever fetched them, on any thread (`dorkyd.contents`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeVar

from dorkyd.core.model import Digest, Local, Path, Version
from dorkyd.engine import Engine
from dorkyd.errors import DorkyError, Refused, Stale
from dorkyd.journal import Journal
from dorkyd.ledger import Displaced, Event, Fetched, Install
from dorkyd.ports import Trashed
from dorkyd.transfer import put_in

A = TypeVar("A")

BUSY = "busy-path"
"""Code of the `Stale` that passes: somebody works on the path."""
_NO_VERSION = Version("")
"""Of no object: nothing is fetched for it."""


@dataclass(frozen=True, slots=True)
class Placement:
    """A staged file and the place it shall have."""

    staged: str
    """Reserved, whole, sealed."""
    digest: Digest
    """Of its bytes."""
    path: Path
    there: Local | None
    """What was seen in that place, and goes to the trash; None: nothing."""
    secret: bool = False
    """It goes to the bucket encrypted, whatever its place is called."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A file that shall leave its place for the trash."""

    path: Path
    there: Local
    """What was seen there."""
    approved: bool = False
    """A person named it: the guard does not count the deletion that follows in the bucket."""


@dataclass(frozen=True, slots=True)
class _Out:
    """What became of what came out of a place."""

    trashed: Trashed | None = None
    digest: Digest | None = None
    """Of what is in the trash; None: it was not hashed."""
    is_expected: bool = False
    """It is what was seen there, and in the trash; else it is where it was in staging, or back in its place."""
    is_back: bool = False


_NOTHING = _Out(is_expected=True)


@dataclass(slots=True)
class Placer:
    """See the module."""

    engine: Engine

    # --- staging --------------------------------------------------------------------------------------------------

    def reserve(self) -> str:
        """A name in staging, for what shall be put somewhere."""
        return self.reserve_many(1)[0]

    def reserve_many(self, count: int) -> list[str]:
        """Several, in one transaction."""
        names = [self.engine.clock.random_id() for _ in range(count)]
        with self._journal().atomic():
            for name in names:
                self._journal().ledger.comes_in(name)
        return names

    def drop(self, names: Sequence[str]) -> None:
        """Staged files that nobody will place. Those that were placed are known by other rows, and stay."""
        reserved = set(self._journal().ledger.incoming())
        gone = [name for name in names if name in reserved]
        for name in gone:
            self.engine.folder.unstage(name)
        with self._journal().atomic():
            for name in gone:
                self._journal().ledger.came_in(name)

    def check_free(self, paths: Iterable[Path]) -> None:
        """`Stale` (`busy-path`) while somebody works on one of them."""
        busy = self._busy()
        for path in paths:
            if path in busy:
                raise _is_busy(path)

    # --- effects --------------------------------------------------------------------------------------------------

    def put(self, staged: str, path: Path, digest: Digest, there: Local | None) -> None:
        """Put a staged file in its place; what stood there goes to the trash. Raised, nothing was done: `Stale` with
        `busy-path` while somebody works on the path, and the staged file is still reserved; `Stale` when something else
        stands there by now, `PathProblem` where it cannot be, and the staged file is dropped.
        """
        failed = self.put_all([Placement(staged, digest, path, there)])
        if failed:
            raise failed[path]

    def put_all(self, placements: Sequence[Placement]) -> dict[Path, DorkyError]:
        """Put many in their places. Returns why, for each that was not."""
        journal, busy = self._journal(), self._busy()
        failed: dict[Path, DorkyError] = {p.path: _is_busy(p.path) for p in placements if p.path in busy}
        begun = [placement for placement in placements if placement.path not in failed]
        if begun:
            self._check_folder()
        with journal.atomic():
            for placement in begun:
                self._put_begins(placement)
            # What fails is settled by the next look at it (`dorkyd.recovery`), and what was done goes to the bucket.
            journal.mark([placement.path for placement in begun])
        done = self._each(self._place, begun)
        with journal.atomic():
            for placement, out in zip(begun, done, strict=True):
                if isinstance(out, DorkyError):
                    failed[placement.path] = out
                elif placement.there is None:
                    journal.ledger.drop_fetched(placement.staged)
                elif out.is_expected:
                    self._settled(placement.staged, placement.path, out)
                # Left open where something else came out: the next cycle makes a conflict copy of it (`dorkyd.recovery`).
        return failed

    def take_out(self, path: Path, there: Local, *, approved: bool = False) -> None:
        """Take a file to the trash. `Stale` as for `put`. `approved`: see `Withdrawal`."""
        failed = self.take_out_all([Withdrawal(path, there, approved)])
        if failed:
            raise failed[path]

    def take_out_all(self, withdrawals: Sequence[Withdrawal]) -> dict[Path, DorkyError]:
        """Take many to the trash. Returns why, for each that was not."""
        journal, busy = self._journal(), self._busy()
        failed: dict[Path, DorkyError] = {w.path: _is_busy(w.path) for w in withdrawals if w.path in busy}
        begun = [(self.engine.clock.random_id(), w) for w in withdrawals if w.path not in failed]
        if begun:
            self._check_folder()
        with journal.atomic():
            journal.ledger.installing([self._install("withdraw", w.path, out, None, w.there) for out, w in begun])
            journal.ledger.approve(
                (w.path, base.version or Version(base.digest))
                for _, w in begun
                if w.approved and (base := journal.base(w.path)) is not None
            )
            journal.mark([w.path for _, w in begun])
        done = self._each(self._take_out, begun)
        with journal.atomic():
            for (name, withdrawal), out in zip(begun, done, strict=True):
                path = withdrawal.path
                if isinstance(out, DorkyError):
                    failed[path] = out
                elif out.is_expected:
                    self._settled(name, path, out)
                else:
                    failed[path] = Stale(f"{path}: it was saved as it was taken out, and stays")
                    if out.is_back:
                        journal.ledger.install_settled(name, staged_kept=False)
                if isinstance(failed.get(path), Stale):
                    journal.ledger.unapprove(path)
        for _, withdrawal in begun:
            if withdrawal.path not in failed:
                self.engine.folder.drop_empty_parents(withdrawal.path)
        return failed

    def set_mode(self, path: Path, mode: int, there: Local) -> None:
        """Set a file's permission bits. `Stale` as for `put`."""
        if path in self._busy():
            raise _is_busy(path)
        self._check_folder()
        with self._journal().atomic():
            self._journal().mark([path])
        self.engine.folder.set_mode(path, mode, there)

    def tell(self, events: Sequence[Event]) -> None:
        """Write into the history what was done. What was undone was told of before (`Ledger.undoing`)."""
        ledger = self._journal().ledger
        undone = [event for event in events if event.verb in {"undo", "not-undone"}]
        with self._journal().atomic():
            ledger.undone(undone)
            ledger.log(self.engine.clock.time_ns(), [event for event in events if event not in undone])

    def undoing(self, events: Sequence[Event]) -> None:
        """Write into the history what is about to be undone."""
        with self._journal().atomic():
            self._journal().ledger.undoing(self.engine.clock.time_ns(), events)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _put_begins(self, placement: Placement) -> None:
        """The staged file is known by another row from here on, by which it is dropped when it never gets its place: once
        the two trade names, the staged one holds what may be the only copy of somebody's work.
        """
        ledger = self._journal().ledger
        if placement.secret:
            self._journal().keep_sealed(placement.path, placement.digest)
        ledger.set_fetched(Fetched(placement.staged, placement.path, _NO_VERSION, placement.digest))
        ledger.came_in(placement.staged)
        if placement.there is not None:
            ledger.installing(
                [self._install("restore", placement.path, placement.staged, placement.digest, placement.there)]
            )

    def _place(self, placement: Placement) -> _Out:
        """Effects alone, on any thread."""
        self.engine.folder.swap_in(placement.staged, placement.path, placement.there)
        if placement.there is None:
            return _NOTHING
        return self._to_trash(placement.staged, placement.path, placement.there.digest)

    def _take_out(self, begun: tuple[str, Withdrawal]) -> _Out:
        """Effects alone, on any thread."""
        name, withdrawal = begun
        self.engine.folder.take_out(withdrawal.path, name, withdrawal.there)
        out = self._to_trash(name, withdrawal.path, withdrawal.there.digest)
        return out if out.is_expected else _Out(is_back=put_in(self.engine.folder, name, withdrawal.path))

    def _each(self, do: Callable[[A], _Out], items: Sequence[A]) -> list[_Out | DorkyError]:
        """Do it with each, several at once: most of it is waiting for the disk, and names that are made durable together cost
        little more than one. What else is raised ends it, and is settled from the journal like a kill.
        """

        def one(item: A) -> _Out | DorkyError:
            try:
                return do(item)
            except DorkyError as exc:
                return exc

        at_once = min(self.engine.at_once, len(items))
        if at_once < 2:
            return [one(item) for item in items]
        with ThreadPoolExecutor(at_once, thread_name_prefix="placing") as threads:
            return list(threads.map(one, items))

    def _install(
        self, verb: Literal["restore", "withdraw"], path: Path, staged: str, digest: Digest | None, there: Local
    ) -> Install:
        return Install(
            verb=verb,
            path=path,
            staged=staged,
            staged_digest=digest,
            version=None,
            size=there.size,
            mode=None,
            modified=None,
            expected=there.digest,
            keep_both=False,
            mtime_ns=there.stat.mtime_ns,
        )

    def _to_trash(self, staged: str, path: Path, expected: Digest) -> _Out:
        digest = self.engine.folder.staged_digest(staged)
        if digest not in (None, expected):
            return _Out(is_expected=False)
        return _Out(self.engine.folder.to_trash(staged, path), digest, is_expected=True)

    def _settled(self, staged: str, path: Path, out: _Out) -> None:
        """Inside a transaction: what came out is in the trash."""
        ledger, trashed = self._journal().ledger, out.trashed
        ledger.install_settled(staged, staged_kept=False)
        if trashed is not None and out.digest is not None:
            ledger.displace(Displaced(trashed.name, path, out.digest, trashed.size, None, trashed.at_ns, 0))

    def _check_folder(self) -> None:
        """`Refused` where the folder is not the one that was opened any more: its disk went away, or another took its place."""
        if not self.engine.same_folder():
            name = self.engine.project.name
            raise Refused(
                "the folder is not there; nothing was changed", code="not-open", hint=f"dorkyctl status {name}"
            )

    def _busy(self) -> set[Path]:
        """Paths that a job is about, or of which an install is not settled."""
        at_work = {path for job in self.engine.jobs for path in job.paths}
        return at_work | {install.path for install in self._journal().ledger.open_installs()}

    def _journal(self) -> Journal:
        journal = self.engine.journal
        if journal is None:
            raise Refused("the project is not open yet", code="not-open", hint="see `dorkyctl status`")
        return journal


def _is_busy(path: Path) -> Stale:
    return Stale(f"{path}: it is being synced", code=BUSY)
