"""Before and after an action: what the journal must say so that a kill at any instant loses nothing.

`begin` writes the intent or install row and returns a `Job`, whose `run` does the work on any thread (`dorkyd.transfer`).
`finish` records a job's outcome, `fail` what a failure leaves. All three run on the engine's thread inside its
transactions; a batch of them is one fsync.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from dorkyd.core import metadata
from dorkyd.core.artifact import Annotate, Asked, Remove, Store
from dorkyd.core.model import (
    Action,
    Adopt,
    Base,
    BeginUpload,
    DeleteLocal,
    DeleteRemote,
    Digest,
    Download,
    Fetch,
    Forget,
    KeepBoth,
    Local,
    Look,
    MoveLocal,
    MoveRemote,
    Op,
    PatchMode,
    Path,
    Remote,
    SetMode,
    StepAside,
    Upload,
    Version,
)
from dorkyd.core.reconcile import merged_mode
from dorkyd.core.safety import approval_key
from dorkyd.core.secrets import installed_mode, is_private
from dorkyd.errors import SessionGone
from dorkyd.journal import JOINING, Dirty, Journal
from dorkyd.ledger import Displaced, Event, Fetched, Install, Intent, IntentVerb
from dorkyd.local_side import LocalSide
from dorkyd.merging import Merging, Plan, Staged
from dorkyd.ports import Clock, Known
from dorkyd.recovery import Landed
from dorkyd.remote_side import RemoteSide
from dorkyd.secrecy import must_be_sealed
from dorkyd.sessions import BegunUpload
from dorkyd.transfer import SECRET_BITS, AtHand, Moved, Placed, Sent, Transfer
from dorkyd.transfer import Fetched as FetchedBytes

_TRASHED_AT_HAND = 2
"""How many files of the trash are tried for the bytes of a download."""
_NOT_KEPT = "the state before it was too large for a copy in the bucket's trash"
_UNHELD = "unheld_mode"
"""Where the journal remembers `Carrier.unholdable` of installs."""


@dataclass(frozen=True, slots=True)
class Job:
    """One action on its way. `run` may be called from any thread, once."""

    action: Action | Asked
    rows: tuple[Dirty, ...]
    """The dirty rows it settles."""
    run: Callable[[], object]
    bytes: int = 0
    """Object bytes it moves."""
    ops: tuple[Op, ...] = ()
    install: Install | None = None
    counted: bool = True
    """A deletion that the guard counts."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Paths nobody else may touch meanwhile."""
        return tuple(row.path for row in self.rows)


@dataclass(frozen=True, slots=True)
class _Written:
    """A write that happened. Its path is nobody else's until it is recorded."""

    path: Path
    base: Base
    remote: Remote
    op: Op
    event: Event
    rows: tuple[Dirty, ...]
    """The dirty rows it settles."""


@dataclass(slots=True)
class Carrier:
    """See the module."""

    journal: Journal
    local: LocalSide
    remote: RemoteSide
    transfer: Transfer
    clock: Clock
    device: str
    merging: Merging
    batch_of: Callable[[Path], str | None] = lambda _path: None
    """The atomic batch of which a file is sent."""
    unholdable: int = 0
    """Permission bits that a file was seen not to take."""
    action: str = ""
    """Stands for all that is done since the last rest, in the history; empty: nothing yet."""
    joining: bool = False
    """Folder and bucket never agreed yet: what brings them together is no action (decision 0041)."""
    came_back: list[Path] = field(default_factory=list)
    """Paths that were deleted elsewhere and are in the bucket again, since the journal that knew was lost."""
    _copies: dict[Path, str] = field(default_factory=dict)
    """Conflict copies that were made, with the action that made each: sending one is a part of it."""
    _intents: list[Intent] = field(default_factory=list)
    """To be journalled, since `end_batch`."""
    _written: list[_Written] = field(default_factory=list)
    """Writes to be recorded, since then."""
    _clashing: list[Path] = field(default_factory=list)
    """Paths whose object came or went, since then."""
    _touched: list[Path] = field(default_factory=list)
    """Paths that finishing made, since then."""
    _told: dict[str, str] = field(default_factory=dict)
    """What the history will say of a merge, by its staged name."""

    def __post_init__(self) -> None:
        # Across restarts, or a file's looser bits here would be sent for its own.
        self.unholdable |= int(self.journal.get(_UNHELD) or 0)
        self.joining = self.journal.get(JOINING) is not None

    # --- before -------------------------------------------------------------------------------------------------

    def begin(self, action: Action, rows: tuple[Dirty, ...], *, counted: bool = True) -> Job | None:
        """Journal what is about to happen. None: it is all in the journal already (no bytes move)."""
        self.merging.before(action)
        match action:
            case Adopt() | Forget():
                self._settle_at_once(action, rows)
                return None
            case Look():
                self.journal.mark([action.path], remote=True)
                return None
            case Upload() | BeginUpload():
                return self._upload(action if isinstance(action, Upload) else action.upload, rows)
            case PatchMode():
                op = self._intend("patch", action.path, action.local, action.mode, action.remote)
                return Job(action, rows, lambda: self.transfer.patch_mode(action, op), 0, (op,))
            case DeleteRemote():
                op = self._intend_delete(action)
                return Job(action, rows, lambda: self.transfer.delete_remote(action), 0, (op,), counted=counted)
            case MoveRemote():
                upload = action.upload
                op = self._intend("copy", upload.path, upload.local, upload.mode, upload.replaces)
                gone = self._intend_delete(action.delete)
                return Job(action, rows, lambda: self.transfer.move_remote(action, op), 0, (op, gone))
            case Fetch() | Download() | KeepBoth():
                return self._fetch_or_install(action, rows)
            case DeleteLocal():
                install = self._install_row(action)
                run = lambda: self.transfer.discard(install, action)
                return Job(action, rows, run, 0, (), install, counted)
            case MoveLocal():
                return Job(action, rows, lambda: self.transfer.move_local(action))
            case SetMode():
                mode = installed_mode(action.path, action.mode)
                assert mode is not None
                allowed = replace(action, mode=mode)
                return Job(action, rows, lambda: self.transfer.set_mode(allowed))
            case StepAside():
                return Job(action, rows, lambda: self.transfer.step_aside(action))

    def look(self, row: Dirty) -> Job:
        """Ask the bucket about a path."""
        return Job(Look(row.path), (row,), lambda: self.transfer.look(row.path))

    def _upload(self, action: Upload, rows: tuple[Dirty, ...]) -> Job:
        """A large one gets its session first, and goes on with it however often it is interrupted."""
        secret, batch = self._is_secret(action), self.batch_of(action.path)
        if not self.transfer.needs_session(action):
            op = self._intend("put", action.path, action.local, action.mode, action.replaces, batch=batch)
            run = lambda: self.transfer.upload(action, op, secret=secret, batch=batch)
            return Job(action, rows, run, action.local.size, (op,))
        begun = self.journal.sessions.fitting(action)
        if begun is None:
            op, begin = Op(self.clock.random_id()), BeginUpload(action)
            kept = self.journal.sessions.has_kept(action)
            return Job(
                begin, rows, lambda: self.transfer.begin_upload(begin, op, kept=kept, secret=secret, batch=batch)
            )
        self._intend("put", action.path, action.local, action.mode, action.replaces, begun.op, batch)
        run = lambda: self.transfer.upload(action, begun.op, begun, secret=secret, batch=batch)
        return Job(action, rows, run, action.local.size, (begun.op,))

    def _is_secret(self, action: Upload) -> bool:
        """It is to be encrypted for what it is, though no pattern covers its name."""
        local, new = action.local, action.replaces is None
        keyring = self.remote.keyring
        return must_be_sealed(self.journal, keyring, action.path, local.digest, local.size, new=new)

    def _intend(
        self,
        verb: IntentVerb,
        path: Path,
        local: Local,
        mode: int,
        replaces: Remote | None,
        op: Op | None = None,
        batch: str | None = None,
    ) -> Op:
        op = op or Op(self.clock.random_id())
        intent = Intent(
            op=op,
            path=path,
            verb=verb,
            digest=local.digest,
            size=local.size,
            mode=mode,
            replaces=replaces.version if replaces is not None else None,
            approved=False,
            at_ns=self.clock.time_ns(),
            local_mode=local.mode,
            batch=batch,
        )
        self._intents.append(intent)
        return op

    def _intend_delete(self, action: DeleteRemote) -> Op:
        op = Op(self.clock.random_id())
        approved = self.journal.ledger.is_approved(approval_key(action))
        at_ns = self.clock.time_ns()
        self._intents.append(Intent(op, action.path, "delete", None, None, None, action.replaces, approved, at_ns))
        return op

    def _fetch_or_install(self, action: Fetch | Download | KeepBoth, rows: tuple[Dirty, ...]) -> Job:
        """The bytes first; the decision is taken anew when they are here, since the file may have changed meanwhile."""
        ledger, remote = self.journal.ledger, action.remote
        staged: str | None = None
        for had in ledger.fetched(action.path):
            if had.digest is None and had.version != remote.version:
                self.local.folder.unstage(had.staged)
                ledger.drop_fetched(had.staged)
            elif had.digest is None:
                staged = had.staged
            elif had.version == remote.version and had.digest == remote.digest and not isinstance(action, Fetch):
                return self._install(action, had.staged, rows)
            # Else it was whole, so that an exchange may have begun: `Upkeep` looks before it drops it.
        if staged is None:
            staged = self.clock.random_id()
            ledger.set_fetched(Fetched(staged, action.path, remote.version, None))
        at_hand = self.at_hand(remote.digest) if remote.digest is not None else AtHand()
        name = staged
        fetch = Fetch(action.path, remote)
        return Job(fetch, rows, lambda: (name, self.transfer.fetch(action.path, remote, name, at_hand)), remote.size)

    def at_hand(self, digest: Digest) -> AtHand:
        """Where this disk is remembered to hold a content."""
        return AtHand(self.local.at_hand(digest), self.journal.ledger.displaced_with(digest, _TRASHED_AT_HAND))

    def _install(self, action: Download | KeepBoth, staged: str, rows: tuple[Dirty, ...]) -> Job:
        self.merging.before_install(action.path, staged, action.remote.digest, action.remote.size)
        merged = self.merging.merged(action, staged) if isinstance(action, KeepBoth) else None
        if isinstance(action, KeepBoth) and merged is not None:
            return self._merge(action, merged, rows)
        replaced = action.replaces if isinstance(action, Download) else action.local
        remote = action.remote
        install = Install(
            verb="install",
            path=action.path,
            staged=staged,
            staged_digest=remote.digest,
            version=remote.version,
            size=remote.size,
            mode=remote.mode if remote.mode is not None else action.mode,
            modified=remote.modified,
            expected=action.replaces.digest if isinstance(action, Download) and action.replaces is not None else None,
            keep_both=isinstance(action, KeepBoth),
            mtime_ns=replaced.stat.mtime_ns if replaced is not None else 0,
        )
        self.journal.ledger.installing([install])
        mode, mtime_ns = action.mode, remote.mtime_ns
        private = installed_mode(action.path, mode)
        if remote.sealed is not None:
            private = (0o600 if private is None else private) & ~SECRET_BITS
        run = lambda: self.transfer.install(install, replaced, mode=private, mtime_ns=mtime_ns)
        return Job(action, rows, run, 0, (), install)

    def _merge(self, action: KeepBoth, plan: Plan, rows: tuple[Dirty, ...]) -> Job:
        """The merge into staging first; decided anew, it takes the file's place, as an edit of the object that it was merged
        with.
        """
        path, local, remote = action.path, action.local, action.remote
        merged = self.merging.ready(path, plan)
        if merged is None:
            name = self.merging.name()
            return Job(Fetch(path, remote), rows, lambda: self.merging.stage(name, path, plan))
        self.merging.taken(path)
        install = Install(
            verb="install",
            path=path,
            staged=merged.name,
            staged_digest=merged.digest,
            version=remote.version,
            size=len(plan.data),
            mode=action.mode,
            modified=remote.modified,
            expected=local.digest,
            keep_both=False,
            mtime_ns=local.stat.mtime_ns,
            agreed=remote.digest,
            agreed_size=remote.size,
        )
        self._told[merged.name] = plan.told
        self.journal.ledger.set_fetched(Fetched(merged.name, path, remote.version, merged.digest))
        self.journal.ledger.installing([install])
        mode = installed_mode(path, merged_mode(self.journal.base(path), local, remote))
        return Job(
            action, rows, lambda: self.transfer.install(install, local, mode=mode, mtime_ns=None), 0, (), install
        )

    def _install_row(self, action: DeleteLocal) -> Install:
        install = Install(
            verb="discard",
            path=action.path,
            staged=self.clock.random_id(),
            staged_digest=None,
            version=action.base.version,
            size=action.replaces.size,
            mode=None,
            modified=None,
            expected=action.replaces.digest,
            keep_both=False,
            mtime_ns=action.replaces.stat.mtime_ns,
        )
        self.journal.ledger.installing([install])
        return install

    def rests(self) -> None:
        """Nothing is left to do: what comes next is another action."""
        self.action = ""

    def joined(self) -> None:
        """Folder and bucket agree, for the first time: what comes next can be undone."""
        with self.journal.atomic():
            self.journal.put(JOINING, None)
        self.joining = False

    def _action(self, path: Path) -> str:
        """Which action a step on this path belongs to: the decision that let it through, or the time since the last rest; empty:
        none.
        """
        decided = self.journal.ledger.decided(path)
        if decided:
            return f"approved-{decided}"
        if self.joining:
            return ""
        self.action = self.action or self.clock.random_id()[-16:]
        return self.action

    # --- after --------------------------------------------------------------------------------------------------

    def finish(self, job: Job, result: object) -> None:
        """Record what a job did."""
        action = job.action
        ledger = self.journal.ledger
        match action:
            case Upload():
                assert isinstance(result, Sent)
                self._wrote("upload", action, action.replaces, result, job.ops[0], job.rows)
                return
            case PatchMode():
                assert isinstance(result, Sent)
                self._wrote("set-mode", action, action.remote, result, job.ops[0], job.rows)
                return
            case DeleteRemote():
                assert isinstance(result, bool)
                self._deleted_remote(action, job.ops[0], counted=job.counted, kept=result)
            case MoveRemote():
                assert isinstance(result, Moved)
                self._moved_remote(action, job.ops, result)
            case Fetch() if isinstance(result, Staged):
                self.merging.staged(result)
                return
            case Fetch():
                assert isinstance(result, tuple)
                self._fetched(action, *result)
                return
            case BeginUpload():
                assert isinstance(result, BegunUpload)
                self.journal.sessions.begun(result)
                return
            case Download() | KeepBoth() | DeleteLocal():
                assert isinstance(result, Placed)
                assert job.install is not None
                happened = not result.restored and (job.install.verb == "install" or result.trashed is not None)
                self.landed(job.install, Landed(happened, result, staged_kept=False))
                if isinstance(action, DeleteLocal) and happened and job.counted:
                    ledger.count_deletion(self.clock.time_ns(), "local", action.path)
                if result.restored:
                    return
            case MoveLocal():
                self._moved_local(action)
            case SetMode():
                assert isinstance(result, Local)
                unheld = result.mode ^ (installed_mode(action.path, action.mode) or 0)
                self.unholdable |= unheld if action.remote.sealed is None else unheld & ~SECRET_BITS
                self.journal.set_base(action.path, _agreed(action.local, action.remote, action.mode))
                self._log(
                    "set-mode",
                    action.path,
                    action.remote.device,
                    action.local.digest,
                    before=action.local.digest,
                    mode=action.mode,
                    mode_before=action.local.mode,
                )
            case StepAside():
                assert isinstance(result, str)
                self._touched += [action.path, Path(result)]
                self._log("step-aside", action.path, None, action.local.digest, detail=f"to {result!r}: {action.why}")
            case Look() | Adopt() | Forget() | Store() | Annotate() | Remove():
                raise AssertionError(action)
        self.journal.clean(job.rows)

    def landed(self, install: Install, landed: Landed) -> None:
        """Record where an install or discard ended: just now, or as found after a kill."""
        ledger, placed = self.journal.ledger, landed.placed
        ledger.install_settled(install.staged, staged_kept=landed.staged_kept)
        self.unholdable |= placed.unheld
        known = int(self.journal.get(_UNHELD) or 0)
        if placed.unheld & ~known:
            self.journal.put(_UNHELD, str(known | placed.unheld))
        at_ns, action = self.clock.time_ns(), self._action(install.path)
        if placed.trashed is not None and placed.trashed_digest is not None:
            ledger.displace(
                Displaced(
                    placed.trashed.name,
                    install.path,
                    placed.trashed_digest,
                    placed.trashed.size,
                    install.version if install.verb == "discard" else None,
                    placed.trashed.at_ns,
                    0,
                )
            )
        if placed.copy is not None:
            if placed.trashed is not None:
                # It was there already, and is this edit now: to be deleted elsewhere was meant for the former one.
                self.journal.set_base(placed.copy, None)
            self._touched.append(placed.copy)
            self._copies[placed.copy] = action = self.clock.random_id()[-16:]
            event = Event("conflict", install.path, self.device, detail=f"kept as {placed.copy!r}", action=action)
            ledger.log(at_ns, [event])
        if placed.restored or (install.takes_away and placed.copy is not None):
            self._touched.append(install.path)
        if not landed.happened:
            return
        remote = self.journal.remote(install.path)
        agreed = self.journal.base(install.path) if install.expected is not None or install.keep_both else None
        replaces, mode_before = (agreed.version, agreed.mode) if agreed is not None else (None, None)
        if install.verb == "discard":
            self.journal.set_base(install.path, None)
            told = self.remote.deleted_by.get(install.path)
            event = Event(
                "delete-local",
                install.path,
                told.device if told is not None else "another device",
                install.expected,
                action=action,
                before=install.expected,
                replaces=replaces,
                mode_before=mode_before,
            )
            ledger.log(at_ns, [event])
            self._settled(install.path)
            return
        assert install.staged_digest is not None
        base = Base(install.staged_digest, install.size, install.version, install.mode, install.modified)
        if install.agreed is not None and install.agreed_size is not None:
            base = replace(base, digest=install.agreed, size=install.agreed_size)
            self._touched.append(install.path)
        self.journal.set_base(install.path, base)
        if placed.stands is not None:
            # Its bytes were hashed as they came: no need to read them again.
            self.journal.set_known(install.path, Known.proved(placed.stands, install.staged_digest))
            self.local.put_in_place(install.path, placed.stands)
            # Permission bits are no part of that: a scan would not see that they differ.
            self._touched.append(install.path)
        device = remote.device if remote is not None and remote.version == install.version else None
        before = install.expected or placed.copied or placed.trashed_digest
        if install.keep_both and before is None:
            action = ""  # After a kill nobody knows what stood there, but that something did: it is not to be undone.
        ledger.log(
            at_ns,
            [
                Event(
                    "download" if install.agreed is None else "merge",
                    install.path,
                    device or "another tool",
                    install.staged_digest,
                    install.size,
                    install.version,
                    self._told.pop(install.staged, ""),
                    action=action,
                    before=before,
                    replaces=replaces,
                    mode=install.mode,
                    mode_before=mode_before,
                )
            ],
        )
        self._settled(install.path)

    def begin_batch(self) -> None:
        """Before a transaction of `begin` and `finish`: forget what one that failed left."""
        self._intents, self._written, self._clashing, self._touched = [], [], [], []

    def end_batch(self) -> None:
        """Write what they gathered, many rows at a time, and mark what clashes with objects that came and went, and what
        finishing made: to be looked at like any change, of which nothing else tells. At the end of the transaction.
        """
        self.journal.ledger.intend(self._intents)
        self._record_written()
        self.remote.mark_clashes(self._clashing)
        if self._touched:
            self.journal.mark(self._touched)
        self.begin_batch()

    def _record_written(self) -> None:
        journal, ledger = self.journal, self.journal.ledger
        written, self._written = self._written, []
        journal.set_bases((w.path, w.base) for w in written)
        journal.set_remotes((w.path, w.remote) for w in written)
        ledger.all_took_effect((w.op, w.remote.version) for w in written)
        ledger.log(self.clock.time_ns(), (w.event for w in written))
        journal.clean(row for w in written for row in w.rows)

    def fail(self, job: Job, failure: BaseException) -> None:
        """A job failed: nothing is known of it but what its journal row says. Its paths are looked at again, on both
        sides; an open intent is settled by that look, an open install by `dorkyd.recovery`. A session that the store
        does not know is not tried again.
        """
        if isinstance(failure, SessionGone):
            for op in job.ops:
                self.journal.sessions.ended(op)
        self.journal.mark(job.paths, remote=True)

    def _settle_at_once(self, action: Adopt | Forget, rows: tuple[Dirty, ...]) -> None:
        if isinstance(action, Adopt):
            if self.journal.base(action.path) is None:
                device = "another device" if action.remote.proved else action.remote.device
                self._log("adopt", action.path, device, action.local.digest)
            self.journal.set_base(action.path, _agreed(action.local, action.remote, action.mode))
            if action.mode != action.local.mode:
                self._touched.append(action.path)
        else:
            self.journal.set_base(action.path, None)
            self.journal.set_remote(action.path, None)
        self._settled(action.path)
        self.journal.clean(rows)

    def _wrote(
        self,
        verb: str,
        action: Upload | PatchMode,
        replaced: Remote | None,
        sent: Sent,
        op: Op,
        rows: tuple[Dirty, ...] = (),
        detail: str = "",
        came_from: Path | None = None,
    ) -> None:
        """Base is what both hold now. Its mode is the file's: if the object's was merged from another, the next look
        sets the file's.
        """
        path, local, mode, written = action.path, action.local, action.mode, sent.written
        remote = Remote(
            version=written.version,
            size=local.size,
            digest=local.digest,
            mode=mode,
            mtime_ns=local.stat.mtime_ns,
            modified=written.modified,
            op=op,
            ancestry=metadata.descend(replaced),
            device=self.device,
            own=replaced.own if replaced is not None else "",
            sealed=written.sealed,
        )
        buried_by = self.remote.buried.pop(path, None) if replaced is None else None
        if buried_by is not None:
            self.came_back.append(path)
        back = f"{buried_by} had deleted it, which the lost journal knew" if buried_by is not None else ""
        detail = "; ".join(said for said in (detail, back, "" if sent.kept else _NOT_KEPT) if said)
        # What nobody held before costs no statement.
        agreed = self.journal.base(path) if replaced is not None else None
        event = Event(
            verb,
            path,
            self.device,
            local.digest,
            local.size,
            written.version,
            detail,
            action=self._copies.pop(path, "") or self._action(path),
            before=agreed.digest if agreed is not None else (replaced.digest if replaced is not None else None),
            replaces=replaced.version if replaced is not None else None,
            mode=local.mode,
            mode_before=agreed.mode if agreed is not None else None,
            came_from=came_from,
        )
        base = Base(local.digest, local.size, written.version, local.mode, written.modified)
        self._written.append(_Written(path, base, remote, op, event, rows))
        if replaced is None:
            self._clashing.append(path)
        if mode != local.mode or is_private(path):
            # A private file's own bits are no part of what was sent: they are looked at next.
            self._touched.append(path)
        self._settled(path)

    def _deleted_remote(self, action: DeleteRemote, op: Op, *, counted: bool, kept: bool = True) -> None:
        self.journal.set_remote(action.path, None)
        self.journal.set_base(action.path, None)
        self.journal.ledger.took_effect(op, None)
        self._clashing.append(action.path)
        if counted:
            self.journal.ledger.count_deletion(self.clock.time_ns(), "remote", action.path)
        detail = "" if kept else _NOT_KEPT
        self._log(
            "delete-remote",
            action.path,
            self.device,
            action.base.digest,
            detail=detail,
            before=action.base.digest,
            replaces=action.replaces,
            mode_before=action.base.mode,
        )
        self._settled(action.path)

    def _moved_remote(self, action: MoveRemote, ops: Sequence[Op], moved: Moved) -> None:
        upload, delete = action.upload, action.delete
        self._wrote(
            "move", upload, upload.replaces, moved.sent, ops[0], detail=f"from {delete.path!r}", came_from=delete.path
        )
        self._record_written()  # before its other half
        if moved.deleted:
            self._deleted_remote(delete, ops[1], counted=False)
        else:
            self.journal.mark([delete.path], remote=True)

    def _moved_local(self, action: MoveLocal) -> None:
        download, delete = action.download, action.delete
        base, agreed = _agreed(delete.replaces, download.remote, delete.replaces.mode), self.journal.base(download.path)
        self.journal.set_base(download.path, base)
        self.journal.set_base(delete.path, None)
        self._touched.append(download.path)
        detail = f"from {delete.path!r}"
        self._log(
            "move",
            download.path,
            download.remote.device,
            delete.replaces.digest,
            detail=detail,
            before=agreed.digest if agreed is not None else None,
            mode=base.mode,
            came_from=delete.path,
        )
        self._settled(download.path)
        self._settled(delete.path)

    def _fetched(self, action: Fetch, staged: str, fetched: FetchedBytes) -> None:
        """The bytes are in staging. The path stays dirty: what to do with them is decided next."""
        self.journal.ledger.set_fetched(Fetched(staged, action.path, fetched.remote.version, fetched.remote.digest))
        current = self.journal.remote(action.path)
        if current is not None and current.version == fetched.remote.version:
            self.journal.set_remote(action.path, fetched.remote)

    def _settled(self, path: Path) -> None:
        # Who had deleted what stood there before says nothing of what comes next.
        self.remote.deleted_by.pop(path, None)
        self.merging.forget(path)
        self.journal.ledger.clear_problem(path)
        self.journal.ledger.unapprove(path)

    def _log(
        self,
        verb: str,
        path: Path,
        device: str | None,
        digest: Digest | None,
        *,
        detail: str = "",
        before: Digest | None = None,
        replaces: Version | None = None,
        mode: int | None = None,
        mode_before: int | None = None,
        came_from: Path | None = None,
    ) -> None:
        undoable = verb in {"set-mode", "delete-remote", "move"}
        event = Event(
            verb,
            path,
            device or "another tool",
            digest,
            detail=detail,
            action=self._action(path) if undoable else "",
            before=before,
            replaces=replaces,
            mode=mode,
            mode_before=mode_before,
            came_from=came_from,
        )
        self.journal.ledger.log(self.clock.time_ns(), [event])


def _agreed(local: Local, remote: Remote, mode: int) -> Base:
    return Base(local.digest, local.size, remote.version, mode, remote.modified)
