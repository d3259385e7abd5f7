"""Two edits of one `.env` file come together by key instead of as a file and its conflict copy.

What a merge needs is there before it is needed: whenever an action will make base, the bytes it will be made of are kept
(`Folder.keep`). At a KeepBoth whose object is in staging, base, file and object are merged (`dorkyd.core.env_merge`), and the
result is put in staging, durable before any row names it. It is then installed as a download is, over exactly the file that
was merged, which goes to the trash; base becomes the object, so that what stands here is an ordinary edit of it, sent under
the ordinary condition. Whoever wrote meanwhile makes that condition fail, and the next round merges with what they wrote.

Any doubt, and the KeepBoth stays what it is. Engine thread only, but for `stage`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from dorkyd.core.dotenv import ENV, decode, is_env
from dorkyd.core.env_merge import MOST_BYTES, Merged, merge
from dorkyd.core.metadata import sha256
from dorkyd.core.model import (
    Action,
    Adopt,
    BeginUpload,
    Digest,
    KeepBoth,
    Local,
    MoveLocal,
    MoveRemote,
    PatchMode,
    Path,
    SetMode,
    Upload,
)
from dorkyd.core.settings import Project
from dorkyd.errors import Blocked, Refused, Stale, Transient
from dorkyd.journal import Journal
from dorkyd.ports import Clock, Folder

_log = logging.getLogger("dorkyd.engine")


@dataclass(frozen=True, slots=True)
class Plan:
    """What two edits come to."""

    data: bytes = field(repr=False)
    digest: Digest
    told: str
    """Whose keys came together, for the history. Never values."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A merge that waits in staging to be put in place, whole and durable."""

    name: str
    path: Path
    digest: Digest


@dataclass(slots=True)
class Merging:
    """For one project."""

    journal: Journal
    folder: Folder
    project: Project
    clock: Clock
    _staged: dict[Path, Staged] = field(default_factory=dict)

    # --- what both sides will hold ------------------------------------------------------------------------------

    def before(self, action: Action) -> None:
        """This is about to happen: keep the bytes of the file here that base will be made of."""
        match action:
            case Upload() | Adopt() | SetMode() | PatchMode():
                self._keep_file(action.path, action.path, action.local)
            case BeginUpload():
                self._keep_file(action.path, action.path, action.upload.local)
            case MoveRemote():
                self._keep_file(action.path, action.path, action.upload.local)
            case MoveLocal():
                self._keep_file(action.path, action.delete.path, action.delete.replaces)
            case _:
                pass  # what arrives is kept from staging

    def before_install(self, path: Path, staged: str, digest: Digest | None, size: int) -> None:
        """These staged bytes are about to be put in place."""
        if digest is not None and self._wants(path, size):
            self._keep(path, digest, lambda: self._read_staged(staged))

    def at_start(self) -> None:
        """Keep what is in sync already and was not kept: an older version wrote the journal, or somebody emptied `.dorky`."""
        kept = set(self.folder.all_kept())
        for path in filter(is_env, self.journal.base_paths_with(ENV)):
            base, known = self.journal.base(path), self.journal.known(path)
            if base is not None and known is not None and known.digest == base.digest and base.digest not in kept:
                self._keep_file(path, path, Local(known.digest, 0, known.stat))

    def purge(self) -> None:
        """Keep no longer what no base is made of. Not while anything is under way, which may be about to make one."""
        for digest in self.folder.all_kept():
            if not self.journal.bases_with(digest):
                self.folder.unkeep(digest)

    def _wants(self, path: Path, size: int) -> bool:
        return self.project.merge_env and size <= MOST_BYTES and is_env(path)

    def _keep_file(self, path: Path, stands_at: Path, local: Local) -> None:
        if self._wants(path, local.size):
            self._keep(path, local.digest, lambda: self._read(stands_at, local))

    def _keep(self, path: Path, digest: Digest, read: Callable[[], bytes]) -> None:
        """Without it a conflict stays a conflict: nothing that happens to it may stop what it is kept for."""
        try:
            if self.folder.kept(digest) is None:
                data = read()
                if _digest_of(data) == digest:
                    self.folder.keep(digest, data)
        except (Stale, Transient, Blocked) as exc:
            _log.warning("verb=keep-base path=%r outcome=%s", path, exc.code)

    # --- merging ------------------------------------------------------------------------------------------------

    def merged(self, action: KeepBoth, staged: str) -> Plan | None:
        """Merge the two, given the object's bytes in staging. None: keep both."""
        path, local, remote = action.path, action.local, action.remote
        base = self.journal.base(path)
        if base is None or remote.digest is None or not self._wants(path, max(local.size, remote.size)):
            return None
        try:
            old = self.folder.kept(base.digest)
            mine, theirs = self._read(path, local), self._read_staged(staged)
            if old is None or (_digest_of(mine), _digest_of(theirs)) != (local.digest, remote.digest):
                return None
            found = _merge(old, mine, theirs)
            return None if found is None else _planned(found)
        except (Stale, Transient, Blocked) as exc:
            # Whatever it is, the install of a conflict copy meets it too, and tells of it.
            _log.warning("verb=merge path=%r outcome=%s", path, exc.code)
            return None

    def ready(self, path: Path, plan: Plan) -> Staged | None:
        """The merge is in staging; an older one of the path is given up."""
        staged = self._staged.get(path)
        if staged is not None and staged.digest != plan.digest:
            self.forget(path)
            return None
        return staged

    def name(self) -> str:
        """A name for a merge in staging, in the journal as ours to unlink before it is on disk."""
        name = self.clock.random_id()
        self.journal.ledger.comes_in(name)
        return name

    def stage(self, name: str, path: Path, plan: Plan) -> Staged:
        """Durable, and whole, before an install's row names it: what stands there else is taken for what came out of the
        folder. On any thread.
        """
        with self.folder.stage(name) as out:
            out.write(plan.data)
        self.folder.seal(name, mode=0o600, mtime_ns=None)
        return Staged(name, path, plan.digest)

    def staged(self, staged: Staged) -> None:
        """It is there: the path is decided anew."""
        self._staged[staged.path] = staged

    def taken(self, path: Path) -> None:
        """An install's row explains it from here on."""
        self.journal.ledger.came_in(self._staged.pop(path).name)

    def forget(self, path: Path) -> None:
        """The path came to rest in another way: what was staged for it goes."""
        staged = self._staged.pop(path, None)
        if staged is None:
            return
        try:
            self.folder.unstage(staged.name)
        except (Stale, Transient, Blocked) as exc:
            # Its row stays, and the next start unlinks it.
            _log.warning("verb=drop-merge path=%r outcome=%s", path, exc.code)
            return
        self.journal.ledger.came_in(staged.name)

    def _read(self, path: Path, local: Local) -> bytes:
        with self.folder.open(path, local) as stream:
            return stream.read(MOST_BYTES + 1)

    def _read_staged(self, staged: str) -> bytes:
        with self.folder.open_staged(staged) as stream:
            return stream.read(MOST_BYTES + 1)


def _merge(old: bytes, mine: bytes, theirs: bytes) -> Merged | None:
    try:
        return merge(*(decode(data) for data in (old, mine, theirs)))
    except Refused:
        return None  # not text: a file like any other


def _planned(found: Merged) -> Plan:
    data = found.text.encode()
    return Plan(data, _digest_of(data), _told(found))


def _told(found: Merged) -> str:
    sides = [(found.mine, "here"), (found.theirs, "there")]
    return "; ".join(f"{', '.join(keys)} changed {where}" for keys, where in sides if keys)


def _digest_of(data: bytes) -> Digest:
    return sha256(hashlib.sha256(data).hexdigest())
