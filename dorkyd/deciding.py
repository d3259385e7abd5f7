"""From dirty paths to actions: observe, reconcile, settle clashes, keep to the mode, pair moves.

Changes nothing but what the journal remembers of local files, and sends nothing. The engine calls it inside one
transaction of the journal and carries out what comes back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

from dorkyd.batches import Batches, unknown
from dorkyd.core import metadata
from dorkyd.core.apart import Apart, apart
from dorkyd.core.clashes import Neighbour, Wait, settle_clash
from dorkyd.core.model import (
    Action,
    Adopt,
    Base,
    DeleteLocal,
    Digest,
    Download,
    Fetch,
    Local,
    Look,
    MoveRemote,
    PatchMode,
    Path,
    Problem,
    Remote,
    SetMode,
    StepAside,
    Upload,
)
from dorkyd.core.moves import pair_moves
from dorkyd.core.paths import ancestors, fold
from dorkyd.core.reconcile import merged_mode, reconcile
from dorkyd.core.safety import allowed
from dorkyd.core.sealing import recognised
from dorkyd.core.secrets import OWNER_BITS, is_private
from dorkyd.core.settings import Mode, Project
from dorkyd.errors import PathProblem, Stale
from dorkyd.journal import SECRETS_MET, Dirty, Journal
from dorkyd.keyring import Keyring
from dorkyd.local_side import IGNORE_FILE, LocalSide
from dorkyd.ports import ABSENT, Observation
from dorkyd.transfer import SECRET_BITS
from dorkyd.tripwire import Tripped

_BELOW = 50
"""How many keys below a path are looked at to see whether its name is taken as a folder."""

_ASKED_FIRST = 500
"""How many encrypted objects are asked at once what they hold."""

READ_BYTES = 1024 * 1024 * 1024
"""After reading so many a batch ends: what was hashed is remembered when it does, and large uploads begin meanwhile."""


@dataclass(slots=True)
class Decisions:
    """What a batch of dirty paths comes to. Every row is in exactly one of the lists, or in none and stays dirty."""

    actions: list[Action] = field(default_factory=list)
    rows: dict[Path, Dirty] = field(default_factory=dict)
    """The dirty row of every path looked at."""
    asks: list[Dirty] = field(default_factory=list)
    """The bucket must be asked first."""
    clean: list[Dirty] = field(default_factory=list)
    """Nothing to do."""
    ignored: list[Dirty] = field(default_factory=list)
    """Ignored: base is dropped, nothing else happens."""
    problems: list[Problem] = field(default_factory=list)
    changing: list[Path] = field(default_factory=list)
    """Changed while being read."""
    waits: list[Wait] = field(default_factory=list)
    held_back: list[Path] = field(default_factory=list)
    """Arrivals that wait for an ask under way."""
    apart: dict[Path, Apart] = field(default_factory=dict)
    """Mode manual: how the sides of a path differ whose action was taken away."""
    late: list[Path] = field(default_factory=list)
    """Members of a batch that nobody completed, which are put in place without the rest."""
    ready: set[Path] = field(default_factory=set)
    """Members of a batch that are put in place together: their bytes are here."""
    absent: bool = False
    """A path of base was found absent here: only true if this is still the folder."""
    gone: bool = False
    """An object of base is absent: only true if this is still the project's bucket."""


@dataclass(slots=True)
class Decider:
    """Decides for one project. Engine thread only."""

    journal: Journal
    local: LocalSide
    project: Project
    device: str
    batches: Batches
    tripwire: Tripped
    keyring: Keyring | None = None
    """None: nothing is encrypted here."""
    unholdable: int = 0
    """Permission bits this file system was seen not to hold: they are left alone."""
    pulling: bool = False
    """Mode manual: a person asked for what the bucket holds."""
    told_modes: Mapping[Path, int] = field(default_factory=dict)
    """Permission bits that the log told of, where the journal was lost."""
    _listed_from_ns: int = 0
    """File system time before the last complete listing began."""

    def decide(
        self, rows: Sequence[Dirty], *, at_ns: int, busy: Collection[Path], failing: Collection[Path], copies_safe: bool
    ) -> Decisions:
        """Decide a batch. `busy` paths are in someone's hands and must not be touched, `failing` ones may be so for
        long and nobody waits for them.
        """
        done = Decisions()
        self._listed_from_ns = int(self.journal.get("listed") or 0)
        at_work = set(self.journal.ledger.paths_at_work())
        self._decide_all(rows, done, at_ns, at_work)
        # The other halves of moves may be dirty too, further back in the queue.
        digests = {a.local.digest for a in done.actions if isinstance(a, Upload)}
        arriving = {a.remote.digest for a in done.actions if isinstance(a, Download) and a.replaces is None}
        halves = self.journal.dirty_with_content([*digests, *(d for d in arriving if d is not None)])
        now_more = [row for row in halves if row.path not in done.rows and row.path not in busy]
        self._decide_all(now_more, done, at_ns, at_work)
        unknown = {row.path for row in done.asks} | {row.path for row in halves if row.path in busy}
        unknown.difference_update(failing)
        if unknown:
            self._hold_back_arrivals(done, unknown)
        self._keep_batches(done, at_ns, at_work, busy)
        self._meet_secrets(done, at_ns, at_work, busy)
        done.actions = [
            action
            for paired in pair_moves(done.actions, in_bucket=copies_safe)
            for action in self._no_plain_copy(paired)
        ]
        if not copies_safe:
            done.actions = [_without_copy(action) for action in done.actions]
        if self.local.folder.folds:
            self._one_name_each(done)
        if self.project.mode is Mode.MANUAL:
            self._remember_apart(done)
        return done

    def _meet_secrets(self, done: Decisions, at_ns: int, at_work: Collection[Path], busy: Collection[Path]) -> None:
        """Where nothing was known of the bucket, as after a lost journal: a new file whose name no pattern covers may be a copy
        of a secret, or a secret under another name. Before the first is sent, all objects that are covered are asked what
        they hold (`dorkyd.secrecy` compares). Nobody waits for one that cannot be asked.
        """
        keyring = self.keyring
        if keyring is None or keyring.keys.current is None or self.journal.get(SECRETS_MET) is not None:
            return
        new = {
            a.path for a in done.actions if isinstance(a, Upload) and a.replaces is None and not keyring.covers(a.path)
        }
        if not new:
            return
        covered = [p for p in self.journal.unread_dirty() if keyring.covers(p) and not self.local.rules.skip(p, False)]
        if not covered:
            self.journal.put(SECRETS_MET, "1")
            return
        stuck = {problem.path for problem, _ in self.journal.ledger.problems()}
        unmet = [path for path in covered if path not in stuck]
        if not unmet:
            return
        ask = [path for path in unmet if path not in done.rows and path not in busy][:_ASKED_FIRST]
        self._decide_all(self.journal.dirty_rows(ask), done, at_ns, at_work)
        done.actions = [action for action in done.actions if action.path not in new]
        done.held_back += sorted(new)

    def _no_plain_copy(self, action: Action) -> Sequence[Action]:
        """A copy keeps its bytes as they are stored. A name that is to be encrypted, or whose object is, gets them anew, unless
        they are so in the epoch in force.
        """
        if not isinstance(action, MoveRemote) or self.keyring is None:
            return (action,)
        source, current = self.journal.remote(action.delete.path), self.keyring.keys.current
        sealed = source is not None and source.sealed is not None
        replaced = action.upload.replaces
        to_be = self.keyring.covers(action.path) or (replaced is not None and replaced.sealed is not None)
        if not sealed and (source is None or source.looked) and not to_be:
            return (action,)
        if sealed and source is not None and current is not None and source.epoch == current.id:
            return (action,)
        return (action.upload, action.delete)

    @property
    def mode(self) -> Mode:
        """What may be done just now."""
        return Mode.PULL if self.pulling and self.project.mode is Mode.MANUAL else self.project.mode

    def _remember_apart(self, done: Decisions) -> None:
        """Of what was decided. What is asked for or waits is as it was told before."""
        open_still = {*(row.path for row in done.asks), *done.changing, *(wait.path for wait in done.waits)}
        open_still.update(done.held_back, (a.path for a in done.actions if isinstance(a, Fetch | Look)))
        self.journal.manual.set_apart({path: done.apart.get(path) for path in done.rows if path not in open_still})

    def _keep_batches(self, done: Decisions, at_ns: int, at_work: Collection[Path], busy: Collection[Path]) -> None:
        """Members of an atomic batch are put in place together (`dorkyd.core.batches`)."""
        batches = {a.remote.batch for a in done.actions if isinstance(a, Download)} - {None}
        for batch in sorted(b for b in batches if b is not None):
            members = self.journal.batches.members(batch) or []
            rows = self.journal.dirty_rows(members)
            stuck = {problem.path for problem, _ in self.journal.ledger.problems()}
            self._decide_all(
                [row for row in rows if row.path not in done.rows and row.path not in busy], done, at_ns, at_work
            )
            asked = {*(row.path for row in done.asks), *done.changing, *(wait.path for wait in done.waits)}
            asked.update(a.path for a in done.actions if isinstance(a, Fetch | Look))
            settled = (done.rows.keys() - asked) | stuck
            arriving = [
                (a, done.rows[a.path]) for a in done.actions if isinstance(a, Download) and a.remote.batch == batch
            ]
            verdict, late = self.batches.judge(batch, arriving, others_unknown=unknown(members, rows, settled))
            fetches = {arrival.action.path: arrival.action.remote for arrival in verdict.fetch}
            waits = {arrival.action.path for arrival in verdict.wait}
            done.late += late
            done.ready.update(arrival.action.path for arrival in verdict.go)
            done.actions = [
                Fetch(a.path, fetches[a.path]) if a.path in fetches else a for a in done.actions if a.path not in waits
            ]

    def _one_name_each(self, done: Decisions) -> None:
        """Where names fold: a file that arrives under a name which another spelling holds is a problem, and nothing
        else happens; both keys stay in the bucket and the first keeps its place. One whose place is about to be free,
        or that another of this batch will take, waits.
        """
        leaving = {fold(action.path) for action in done.actions if isinstance(action, DeleteLocal)}
        coming: dict[str, Path] = {}
        kept: list[Action] = []
        for action in done.actions:
            arrives = isinstance(action, Fetch) or (isinstance(action, Download) and action.replaces is None)
            if not arrives:
                kept.append(action)
                continue
            path, folded = action.path, fold(action.path)
            taken = self.local.folder.taken_by(path)
            if taken is None and coming.setdefault(folded, path) == path:
                kept.append(action)
            elif taken is None or folded in leaving:
                done.waits.append(Wait(path, coming.get(folded, path)))
            else:
                done.problems.append(
                    Problem(
                        path,
                        "case-clash",
                        f"this file system holds {taken!r} and cannot hold {path!r} beside it",
                        "rename one of the two; nothing was changed, and the object stays in the bucket",
                    )
                )
        done.actions = kept

    def _decide_all(self, rows: Iterable[Dirty], done: Decisions, at_ns: int, at_work: Collection[Path]) -> None:
        rows = list(rows)
        looked_at = [row.path for row in rows]
        with self.journal.ahead(looked_at, {folder for path in looked_at for folder in ancestors(path)}):
            self._decide_each(rows, done, at_ns, at_work)

    def _decide_each(self, rows: list[Dirty], done: Decisions, at_ns: int, at_work: Collection[Path]) -> None:
        read_before = self.local.bytes_read
        # An ignore file is applied before anything else in its batch (the engine sees that it was observed).
        for row in sorted(rows, key=lambda r: r.path != IGNORE_FILE):
            if self.local.bytes_read - read_before > READ_BYTES:
                break
            done.rows[row.path] = row
            if row.path in at_work:
                # Ignored meanwhile or not: what became of our own write is found out.
                done.asks.append(row)
            elif self.local.rules.skip(row.path, False):
                self.journal.set_known(row.path, None)
                done.ignored.append(row)
            elif row.remote:
                done.asks.append(row)
            else:
                self._one(row, done, at_ns)

    def _one(self, row: Dirty, done: Decisions, at_ns: int) -> None:
        path = row.path
        if self._stays_shut(row, done, at_ns):
            return
        try:
            seen: Observation = self.local.observe(path, at_ns)
        except Stale:
            done.changing.append(path)
            return
        except PathProblem as exc:
            seen = Problem(path, exc.code, str(exc), exc.hint)
        self.local.was_read(path)
        if isinstance(seen, Problem):
            done.problems.append(seen)
            return
        base, remote = self.journal.base(path), self.journal.remote(path)
        open_to_others = isinstance(seen, Local) and is_private(path) and bool(seen.mode & ~OWNER_BITS)
        local = self._with_holdable_mode(seen, base, remote) if isinstance(seen, Local) else None
        if self.keyring is not None and self.keyring.covers(path):
            # A copy of it under another name may be sent first, or at the same time.
            self._keep_secret(path, seen)
        if remote is not None and remote.sealed is not None and remote.digest is None:
            remote = self._recognised(path, base, local, remote)
        if is_private(path):
            base, local, remote = _owners(base), _owners(local), _owners(remote)
        if base is None and local is not None and remote is not None:
            remote = self._proved(path, local, remote)
        done.absent |= seen is ABSENT and base is not None
        done.gone |= remote is None and base is not None
        action = reconcile(path, base, local, remote)
        manual = self.project.mode is Mode.MANUAL
        if (
            open_to_others
            and not manual
            and local is not None
            and remote is not None
            and isinstance(action, Adopt | None)
        ):
            action = SetMode(path, local, remote, local.mode)
        if manual and isinstance(action, PatchMode):
            action = _agreed_but_for_bits(action, base)
        taken = manual and action is not None and allowed(action, self.mode) is None
        if taken and not self.pulling:
            # Before clashes are settled: nothing is to be settled for what does not happen.
            self._taken(row, action, base, local, done)
            return
        action = self._resealed(path, base, local, remote, action)
        if remote is not None or isinstance(action, Upload):
            above = [n for a in ancestors(path) if (n := self._neighbour(a)) is not None]
            below = self._below(path) if remote is None else []
            result = settle_clash(
                path, action, local, remote, above=above, below=below, device=self.device, shown=self._shown
            )
            if isinstance(result, Wait) and action is not None and allowed(action, self.mode) is None:
                # The deletion that it would wait for is taken away by the mode as well.
                result = action
            elif isinstance(result, StepAside):
                result = self._unasked([*above, *below], result)
        else:
            result = action
        if taken and not isinstance(result, StepAside | Look):
            # What is pulled may want the name of what stays here; nothing else is to be settled for this.
            self._taken(row, action, base, local, done)
            return
        if isinstance(result, Wait):
            done.waits.append(result)
            return
        if not isinstance(result, Problem) and result is not None:
            result = allowed(result, self.mode)
        if local is None and isinstance(result, Fetch | Look) and self.project.mode in {Mode.PUSH, Mode.BUCKET}:
            result = None  # it would only be downloaded
        if isinstance(result, Upload) and not (self.keyring is not None and self.keyring.covers(path)):
            result = self.tripwire.holds(result) or result
        if isinstance(result, Problem):
            done.problems.append(result)
            return
        if result is None:
            done.clean.append(row)
        else:
            done.actions.append(result)
            if result.path != path:
                # A look at a neighbour, which may not succeed for long.
                done.waits.append(Wait(path, result.path))

    def _stays_shut(self, row: Dirty, done: Decisions, at_ns: int) -> bool:
        """Without its key an encrypted path is a problem, never an edit or a deletion; and of one that is to be encrypted it
        must be known how its object is stored.
        """
        keyring, path = self.keyring, row.path
        if keyring is None:
            return False
        remote = self.journal.remote(path)
        problem = keyring.problem(path, remote)
        if problem is not None:
            done.problems.append(problem)
            if keyring.names(path):
                # Other names are open, and may get a copy of it.
                with suppress(Stale, PathProblem):
                    self._keep_secret(path, self.local.observe(path, at_ns))
            return True
        if remote is not None and not remote.looked and keyring.covers(path):
            done.asks.append(row)
            return True
        return False

    def _keep_secret(self, path: Path, seen: Observation) -> None:
        """What stands under a covered name is remembered (`dorkyd.secrecy`)."""
        if isinstance(seen, Local) and seen.size > 0:
            self.journal.keep_sealed(path, seen.digest)

    def _recognised(self, path: Path, base: Base | None, local: Local | None, remote: Remote) -> Remote:
        """An encrypted object says which content it holds to who has that content: the file here, base, or another file of
        this folder, which then need not be fetched.
        """
        if self.keyring is None:
            return remote
        likely = [side.digest for side in (local, base) if side is not None]
        contents = self.keyring.keys.contents
        found = recognised(remote, contents, likely) or recognised(remote, contents, self.journal.sealed_contents())
        if found is None:
            return remote
        remote = replace(remote, digest=found)
        if local is not None and local.digest == found:
            remote = replace(remote, size=local.size)
        elif base is not None and base.digest == found:
            remote = replace(remote, size=base.size)
        self.journal.set_remote(path, remote)
        return remote

    def _resealed(
        self, path: Path, base: Base | None, local: Local | None, remote: Remote | None, action: Action | None
    ) -> Action | None:
        """Both sides hold the same content, and the object is plain where a pattern covers it now, or of an epoch that
        somebody left: it is sent again, encrypted to the epoch in force.
        """
        keyring = self.keyring
        if keyring is None or local is None or remote is None or not remote.looked:
            return action
        if not isinstance(action, Adopt | SetMode | PatchMode | None) or self.mode not in {Mode.TWO_WAY, Mode.PUSH}:
            return action
        current = keyring.keys.current
        covered = remote.sealed is not None or keyring.covers(path)
        if current is None or not covered or remote.epoch == current.id:
            return action
        return Upload(path, local, remote, merged_mode(base, local, remote))

    def _taken(
        self, row: Dirty, action: Action | None, base: Base | None, local: Local | None, done: Decisions
    ) -> None:
        """Mode manual took the action away: how the path's sides differ is what is left of it."""
        how = apart(action, base, local) if action is not None else None
        if how is not None:
            done.apart[row.path] = how
        done.clean.append(row)

    def _proved(self, path: Path, local: Local, remote: Remote) -> Remote:
        """Joining: an object of which nothing is known but a listing, which says that it holds what the file holds. No
        request is needed then. What only a look would tell is either read again before each write (a person's keys, the
        ops before it) or asked for when it counts (permission bits, `reconcile`; whose write it is, `RemoteSide.learn`).
        A path that we ever wrote to is looked at: the object may be a late write of our own. So is one whose file changed
        after the last complete listing began: a teammate may have deleted the object in between, which says nothing of it.
        And so is one of which the log tells other bits than the file's.
        """
        nothing_known = not remote.looked and remote.digest is None and remote.op is None and not remote.ancestry
        if not nothing_known or remote.md5 is None or remote.size != local.size or self.journal.ledger.tried(path):
            return remote
        if local.stat.ctime_ns >= self._listed_from_ns:
            return remote
        if (self.told_modes.get(path, local.mode) ^ local.mode) & ~self.unholdable:
            return remote
        if not self.local.has_md5(path, local, remote.md5):
            return remote
        found = replace(remote, digest=local.digest, ancestry=(metadata.UNKNOWN_OP,))
        self.journal.prove(path, found)
        return found

    def _with_holdable_mode(self, local: Local, base: Base | None, remote: Remote | None) -> Local:
        """Bits that the file system cannot hold are left alone, and those that a file has lost for being a secret."""
        left_alone = self.unholdable | (SECRET_BITS if remote is not None and remote.sealed is not None else 0)
        if not left_alone or base is None or base.mode is None:
            return local
        return replace(local, mode=(local.mode & ~left_alone) | (base.mode & left_alone))

    def _shown(self, digest: Digest) -> Digest:
        return digest if self.keyring is None else self.keyring.blinded(digest)

    def _neighbour(self, path: Path) -> Neighbour | None:
        remote = self.journal.remote(path)
        return None if remote is None else self._as_known(path, remote)

    def _as_known(self, path: Path, remote: Remote) -> Neighbour:
        """What is ignored is never looked at: what is known of it has to do."""
        if not remote.looked and self.local.rules.skip(path, False):
            remote = replace(remote, looked=True)
        return Neighbour(path, remote, self.journal.base(path))

    def _unasked(self, clashing: Sequence[Neighbour], aside: StepAside) -> StepAside | Wait:
        """Nothing steps aside for what may be our own write, its outcome not known yet."""
        for neighbour in clashing:
            if self.journal.ledger.open_intents(neighbour.path):
                return Wait(aside.path, neighbour.path)
        return aside

    def _below(self, path: Path) -> list[Neighbour]:
        return [self._as_known(p, r) for p, r in self.journal.remotes_below(path, _BELOW)]

    def _hold_back_arrivals(self, done: Decisions, unknown: Collection[Path]) -> None:
        """A file that arrives may be one that is about to leave another name here: wait until that is known, so that a
        move of a teammate's is a rename here.
        """
        waiting = {base.digest for path in unknown if (base := self.journal.base(path)) is not None}
        kept: list[Action] = []
        for action in done.actions:
            arrives = isinstance(action, Download) and action.replaces is None and action.remote.digest in waiting
            if arrives:
                done.held_back.append(action.path)
            else:
                kept.append(action)
        done.actions = kept


_Side = TypeVar("_Side", Base, Local, Remote)


def _owners(side: _Side | None) -> _Side | None:
    """A side of a private file: what others may do with it is no part of it, whatever a file or an object says."""
    if side is None or side.mode is None:
        return side
    return replace(side, mode=side.mode & OWNER_BITS)


def _without_copy(action: Action) -> Action:
    """Permission bits go with the bytes where the store may copy over an object that it was told to spare."""
    if isinstance(action, PatchMode):
        return Upload(action.path, action.local, action.remote, action.mode)
    return action


def _agreed_but_for_bits(action: PatchMode, base: Base | None) -> PatchMode | Adopt:
    """Mode manual sends no bits unasked. Where nobody knows yet that both sides hold the same bytes, that comes first."""
    local, remote = action.local, action.remote
    if base is not None and base.digest == local.digest and base.version == remote.version:
        return action
    told = remote.mode if remote.mode is not None else base.mode if base is not None else None
    return action if told is None else Adopt(action.path, local, remote, told)
