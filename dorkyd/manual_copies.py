"""The plain paths of a push: each change of a plan carried out once, whoever does it and however often it is tried.

From any thread, for one path at a time; killed at any instant, the next try finds out by looking (`core.pushes`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from dorkyd.commit_store import CommitStore, Source
from dorkyd.core import metadata
from dorkyd.core.commits import object_key
from dorkyd.core.metadata import SHA256, hex_of
from dorkyd.core.model import Digest, Remote
from dorkyd.core.pushes import PlannedChange
from dorkyd.errors import Blocked, Integrity, Stale, Transient
from dorkyd.ledger import NOBODYS
from dorkyd.ports import Bucket, Folder, ObjectInfo, Written
from dorkyd.storing import StagedBody
from dorkyd.transfer import Transfer


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of one change."""

    change: PlannedChange
    done: bool
    """False: somebody else changed the object first, and it stays theirs."""
    remote: Remote | None = None
    """The object as the change made it; None: it is gone, or others have written since, or it was not done."""
    kept: bool = True
    """False: the state it replaced was too large for a copy and is not in the bucket's trash."""


@dataclass(frozen=True, slots=True)
class Copies:
    """See the module."""

    bucket: Bucket
    store: CommitStore
    folder: Folder
    transfer: Transfer
    device: str
    """Whose push it is."""
    copies_safe: bool
    """The store's server-side copies keep their conditions."""
    reserve: Callable[[], str]
    """A name in the folder's staging, in the journal already."""
    drop: Callable[[str], None]
    stands: Callable[[], bool]
    """The plan is still to be carried out, for all anybody knows: asked again right before something is made anew."""

    def carry(self, change: PlannedChange, batch: str, *, over: bool = False) -> Carried:
        """Do it, unless it is done, or the object is no longer what it replaces. `over`: others brought the push to its end, so
        that nothing is done any more: what it made and is not there was deleted since.
        """
        info = self.bucket.head(change.path)
        now = remote_of(info)
        if change.is_done(now):
            return _done(change, now)
        if over:
            return Carried(change, done=now is None and change.replaces is None)
        if not change.is_replaced(now):
            return Carried(change, done=False)
        if now is None and not self.stands():
            return Carried(change, done=True)  # others were faster, and somebody has deleted it since
        kept = True
        # Also where it says that it holds the same: another tool may have written it under our metadata.
        if now is not None:
            try:
                kept = self.transfer.keep_old(change.path, now.version)
            except Stale:
                return self._found(change)
        do = partial(self._put, change, info, batch) if change.digest is not None else partial(self._delete, change)
        try:
            remote = do()
        except (Stale, Transient) as exc:
            found = self._found(change, exc)
            return Carried(change, found.done, found.remote, kept)
        return Carried(change, done=True, remote=remote, kept=kept)

    # --- inside -------------------------------------------------------------------------------------------------

    def _found(self, change: PlannedChange, failed: Stale | Transient | None = None) -> Carried:
        """What a look tells after a write that did not end well."""
        now = remote_of(self.bucket.head(change.path))
        if change.is_done(now):
            return _done(change, now)
        if not change.is_replaced(now):
            return Carried(change, done=False)
        if isinstance(failed, Transient):
            raise failed
        # The store refused what should have fitted: another request was under way, or the object that is copied moved.
        raise Transient(f"{change.path}: the store refused the copy", code="contended", retry_after_s=1) from failed

    def _delete(self, change: PlannedChange) -> None:
        assert change.replaces is not None
        self.bucket.delete(change.path, replaces=change.replaces)

    def _put(self, change: PlannedChange, before: ObjectInfo | None, batch: str) -> Remote:
        assert change.digest is not None
        now = remote_of(before)
        own = metadata.user_keys(before.meta) if before is not None else {}
        meta = metadata.encode(
            # Of what is encrypted its own keyed digest is carried along from what the commit keeps (`dorkyd.sealing`).
            digest=change.digest if change.epoch is None else NOBODYS,
            mtime_ns=change.mtime_ns,
            mode=change.mode,
            device=self.device,
            op=change.op,
            ancestry=metadata.descend(now),
            # How the state before was stored says nothing of these bytes.
            user={name: value for name, value in own.items() if name not in metadata.HOW_STORED},
        )
        meta[metadata.BATCH] = batch
        if change.sealed is not None:
            del meta[SHA256]
            meta |= {metadata.EPOCH: change.epoch or "", metadata.HMAC: hex_of(change.digest)}
        written = self._write(change, change.digest, meta)
        if change.epoch is None:
            made = metadata.remote_of(written.version, change.size or 0, written.modified, meta)
            return replace(made, sealed=written.sealed)
        made = metadata.remote_of(written.version, 0, written.modified, meta)
        digest, size = change.content or (None, 0)
        return replace(made, sealed=written.sealed or made.sealed, digest=digest, size=size)

    def _write(self, change: PlannedChange, digest: Digest, meta: Mapping[str, str]) -> Written:
        source = self._source(change, digest)
        if self.copies_safe:
            try:
                return self.bucket.copy(
                    source.key, change.path, source_version=source.version, replaces=change.replaces, meta=meta
                )
            except Blocked as exc:
                # A pattern that covers it by now wants it sent anew.
                if exc.code not in {"too-large", "must-be-encrypted"}:
                    raise
        staged = self.reserve()
        try:
            with self.bucket.get(source.key, if_match=source.version) as reading, self.folder.stage(staged) as out:
                for chunk in reading:
                    out.write(chunk)
            found, size = self.folder.staged_digest(staged), self.folder.staged_size(staged)
            # What is encrypted was found to be what it claims as it was read.
            if found is None or size is None or (change.epoch is None and found != digest):
                raise Integrity(f"{source.key} in the bucket is not the content that its name says", code="bad-object")
            body = StagedBody(self.folder, staged, size, found)
            meta = {**meta, SHA256: hex_of(found)}
            return self.bucket.put(change.path, body, replaces=change.replaces, meta=meta)
        finally:
            self.drop(staged)

    def _source(self, change: PlannedChange, digest: Digest) -> Source:
        info = self.bucket.head(object_key(digest))
        right_size = info is not None and (info.size == change.size or info.stored_otherwise)
        right = info is not None and metadata.sealed_word(info.meta) == change.sealed
        if info is not None and right and right_size and info.meta.get(SHA256, hex_of(digest)) == hex_of(digest):
            return Source(object_key(digest), info.version)
        # Under another name: the first was condemned when it was needed.
        for source in self.store.kept_under(digest):
            return source
        raise Integrity(
            f"the bucket no longer has {object_key(digest)}, which a commit needs",
            code="content-gone",
            hint="restore it from the store's versions or a backup; what was pushed is in the folder that pushed it",
        )


def _done(change: PlannedChange, now: Remote | None) -> Carried:
    return Carried(change, done=True, remote=now if now is not None and now.op == change.op else None)


def remote_of(info: ObjectInfo | None) -> Remote | None:
    """What an object says of itself; None: there is none."""
    return None if info is None else metadata.remote_of(info.version, info.size, info.modified, info.meta)
