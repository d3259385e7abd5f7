"""What a person decides about one project: approve or reject a halt, resolve a conflict.

Runs on the engine's thread between two cycles. Each ends by marking what changed; the table does the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from dorkyd import halts
from dorkyd.core.model import Digest, Local, Path, Version
from dorkyd.core.paths import conflict_name, kept_name, parse, parse_conflict
from dorkyd.core.report import ConflictSeen, HaltReason
from dorkyd.engine import Engine
from dorkyd.errors import PathProblem, Refused, Stale
from dorkyd.journal import Journal
from dorkyd.ledger import Event
from dorkyd.placing import Placer


@dataclass(slots=True)
class Decisions:
    """See the module."""

    engine: Engine

    # --- halts --------------------------------------------------------------------------------------------------

    def approve(self, token: str) -> None:
        """Let through exactly what the halt showed."""
        held = halts.check_token(self.engine.held, token, self.engine.project.name)
        match held.halt.reason:
            case HaltReason.FOLDER_COPIED:
                opener = self.engine.opener
                if opener.was_moved():
                    opener.moved_here()
                else:
                    opener.adopt()
                self.engine.restart()
            case HaltReason.ROOT_MISSING:
                self._reclaim()
                self._start_over()
            case HaltReason.ROOT_EMPTIED if not held.items:
                self._reclaim()
                self._approve_all(token)
            case HaltReason.REMOTE_EMPTIED if not held.items:
                self._approve_all(token)
                self._new_past()
            case HaltReason.REMOTE_REWOUND:
                self._new_past()
            case HaltReason.FOLDER_REWOUND:
                pass
            case _:
                with self._journal().atomic():
                    self._journal().ledger.approve(held.items, decided=token)
                    # In sync by what was known before the halt would end the approval.
                    self._journal().mark([path for path, _ in held.items], remote=True)
        self._lift("approve", held)

    def reject(self, token: str) -> None:
        """Nothing is deleted, and what is missing is restored from the other side."""
        held = halts.check_token(self.engine.held, token, self.engine.project.name)
        match held.halt.reason:
            case HaltReason.FOLDER_COPIED:
                if not self.engine.opener.was_moved():
                    raise Refused(
                        "a copied folder has nothing to restore; nothing was changed",
                        code="nothing-to-reject",
                        hint=f"`dorkyctl remove {self.engine.project.name}` forgets it, or approve it",
                    )
                self.engine.opener.adopt()
                self.engine.restart()
            case HaltReason.ROOT_MISSING:
                self._reclaim()
                self._start_over()
            case HaltReason.ROOT_EMPTIED if not held.items:
                self._reclaim()
                self._start_over()
            case HaltReason.REMOTE_EMPTIED if not held.items:
                self._start_over()
                self._new_past()
            case HaltReason.REMOTE_REWOUND | HaltReason.FOLDER_REWOUND:
                self._start_over()
                self._new_past()
            case _:
                journal = self._journal()
                with journal.atomic():
                    for path, _ in held.items:
                        journal.set_base(path, None)
                    journal.mark([path for path, _ in held.items], remote=True)
        self._lift("reject", held)

    def _reclaim(self) -> None:
        """The folder gets its marker back and is opened again with its journal."""
        try:
            self.engine.opener.reclaim()
        except Stale as exc:
            raise Refused(
                f"there is no folder at {self.engine.project.path}",
                code="no-folder",
                hint="bring it back or mount it, and sync goes on by itself; or `dorkyctl remove` the project",
            ) from exc
        self.engine.restart()
        self.engine.open_now()

    def _approve_all(self, token: str) -> None:
        """Every deletion of what both sides agreed on may pass."""
        journal = self._journal()
        keys = [
            (path, base.version or Version(base.digest))
            for path in list(journal.base_paths())
            if (base := journal.base(path)) is not None
        ]
        with journal.atomic():
            journal.ledger.approve(keys, decided=token)

    def _start_over(self) -> None:
        """Nothing was agreed on: every file is compared by content, and nothing can be deleted."""
        journal = self._journal()
        with journal.atomic():
            paths = list(journal.base_paths())
            journal.drop_all_bases()
            journal.mark(paths, remote=True)

    def _new_past(self) -> None:
        """Take the bucket's past as it is now: forget what was read of the log and known of the objects."""
        opened = self.engine.opened
        assert opened is not None
        # First what may fail: tried again, it is the same project still.
        opened.remote.found_again(opened.journal.get("project_id"))
        with opened.journal.atomic():
            opened.remote.reset()
        opened.contact.met = False
        opened.contact.ask_now(self.engine.clock.monotonic(), whole=True)

    def _lift(self, verb: str, held: halts.Held) -> None:
        self.engine.lift_halt()
        seen = held.halt.detail.partition("\n")[0]
        if self.engine.journal is not None:
            with self._journal().atomic():
                event = Event(verb, Path("."), self.engine.device, detail=f"{held.halt.reason}: {seen}")
                self._journal().ledger.log(self.engine.clock.time_ns(), [event])
        self.engine.look_again()

    # --- conflicts ----------------------------------------------------------------------------------------------

    def resolve(self, text: str, keep: str, seen: ConflictSeen | None = None) -> None:
        """Settle a conflict, named by the original or a copy. `mine` is this device's edit where the copy came from
        here, else what stands under the name; `theirs` the other; `both` keeps the copy as an ordinary file. The bytes
        not kept go to the trash. `seen`: nothing is done unless both sides are what was shown. `Stale` (`busy-path`) while
        one of them is being synced.
        """
        if keep not in ("mine", "theirs", "both"):
            raise Refused(f"keep {keep!r}?", hint="--keep mine, theirs or both")
        path = checked(text)
        copies = self._copies(path)
        if not copies:
            raise Refused(f"{text!r} has no conflict", code="no-conflict", hint="`dorkyctl conflicts` lists them")
        names = [parse_conflict(copy) for copy in copies]
        Placer(self.engine).check_free([*copies, *(name.original for name in names if name is not None)])
        for copy in copies:
            if seen is not None:
                self._check_seen(copy, seen)
        for copy in copies:
            self._resolve_one(copy, keep)
        self.engine.look_again(scan=False)

    def _check_seen(self, copy: Path, seen: ConflictSeen) -> None:
        name = parse_conflict(copy)
        assert name is not None
        sides = [self.engine.folder.observe(path, None) for path in (copy, name.original)]
        now = [side.digest if isinstance(side, Local) else None for side in sides]
        if now != [seen.copy, seen.named]:
            raise Refused(
                f"{name.original!r} is another by now than what was shown; nothing was done",
                code="changed-meanwhile",
                hint="look at both sides again",
            )

    def _copies(self, path: Path) -> list[Path]:
        if parse_conflict(path) is not None and isinstance(self.engine.folder.observe(path, None), Local):
            return [path]
        found: list[Path] = []
        for known in self._journal().conflict_copies():
            name = parse_conflict(known)
            if name is not None and name.original == path:
                found.append(known)
        return [copy for copy in found if isinstance(self.engine.folder.observe(copy, None), Local)]

    def _resolve_one(self, copy: Path, keep: str) -> None:
        name = parse_conflict(copy)
        assert name is not None
        folder = self.engine.folder
        loser = self._here(copy)
        if keep == "both":
            folder.rename(copy, kept_name(copy), loser)
            self._note("resolve", copy, f"kept as {kept_name(copy)!r}")
            self._touched([copy, kept_name(copy)])
            self._gone(copy)
            return
        placer = Placer(self.engine)
        if (keep == "mine") == self._is_ours(copy):
            # The copy's bytes get the name, in one step: what stood there comes out whole.
            staged = placer.reserve()
            folder.stage_copy(copy, loser, staged)
            folder.seal(staged, mode=loser.mode, mtime_ns=loser.stat.mtime_ns)
            self._put(placer, staged, name.original, loser.digest)
        placer.take_out(copy, loser)
        self._note("resolve", name.original, f"kept {keep}")
        self._touched([copy, name.original])
        self._gone(copy)

    def _gone(self, copy: Path) -> None:
        """No longer here, so that it is not counted while its deletion is on the way."""
        with self._journal().atomic():
            self._journal().set_known(copy, None)

    def _is_ours(self, copy: Path) -> bool:
        name = parse_conflict(copy)
        assert name is not None
        probe = conflict_name(Path("x"), device=self.engine.device, mtime_ns=0, digest=_NO_DIGEST)
        ours = parse_conflict(probe)
        return ours is not None and ours.device == name.device

    # --- inside -------------------------------------------------------------------------------------------------

    def _journal(self) -> Journal:
        journal = self.engine.journal
        if journal is None:
            raise Refused("the project is not open yet", code="not-open", hint="see `dorkyctl status`")
        return journal

    def _here(self, path: Path) -> Local:
        found = self.engine.folder.observe(path, None)
        if not isinstance(found, Local):
            raise Refused(f"{path!r} is not here", code="not-here", hint="`dorkyctl sync --wait`, then try again")
        return found

    def _put(self, placer: Placer, staged: str, path: Path, digest: Digest) -> None:
        there = self.engine.folder.observe(path, None)
        try:
            placer.put(staged, path, digest, there if isinstance(there, Local) else None)
        except (Stale, PathProblem) as exc:
            what = f"{path!r} cannot be put back: its place is taken"
            raise Refused(what, code="clash", hint="rename it, or try again") from exc

    def _note(self, verb: str, path: Path, detail: str) -> None:
        with self._journal().atomic():
            event = Event(verb, path, self.engine.device, detail=detail)
            self._journal().ledger.log(self.engine.clock.time_ns(), [event])

    def _touched(self, paths: list[Path]) -> None:
        with self._journal().atomic():
            self._journal().mark(paths)


def checked(text: str) -> Path:
    """A path from outside."""
    try:
        return parse(text)
    except PathProblem as exc:
        raise Refused(str(exc), code=exc.code, hint=exc.hint) from exc


_NO_DIGEST = Digest("sha256:" + "0" * 64)
