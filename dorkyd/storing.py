"""Carry out what a client asked for: write, delete or annotate one object. No journal and no decision here.

As in `dorkyd.transfer`: every method runs on a worker thread, was journalled before, and may be killed at any instant. A
reply that was lost is looked for at once, since somebody waits for the answer; when the look fails as well, the intent
stays open, and the next look at the path settles it.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import BinaryIO

from dorkyd.core import metadata
from dorkyd.core.artifact import MEDIA_TYPE, Annotate, Remove, Store, check_room, media_type_of
from dorkyd.core.model import Digest, Op, Path, Remote, Version
from dorkyd.core.secrets import installed_mode
from dorkyd.errors import Blocked, Refused, Stale, Transient, Unsupported
from dorkyd.ledger import NOBODYS
from dorkyd.ports import Body, Bucket, Folder, ObjectInfo, Session, Written
from dorkyd.sessions import BegunUpload
from dorkyd.transfer import Transfer

NO_MODE = -1
"""The mode of a session that no upload from the folder goes on with."""
_log = logging.getLogger("dorkyd.storing")

Judge = Callable[[Remote], Remote]
"""How much of what an object says of itself may be believed (`dorkyd.remote_side.judged`)."""


@dataclass(frozen=True, slots=True)
class StagedBody:
    """A staged file as an upload's body. Nobody writes to it any more."""

    folder: Folder
    staged: str
    size: int
    """Bytes."""
    digest: Digest

    def open(self) -> BinaryIO:
        """The file. `Stale` when it is gone."""
        return self.folder.open_staged(self.staged)


@dataclass(frozen=True, slots=True)
class SmallBody:
    """Bytes in memory as an upload's body."""

    data: bytes
    digest: Digest

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)

    def open(self) -> BinaryIO:
        """The bytes."""
        return io.BytesIO(self.data)


@dataclass(frozen=True, slots=True)
class Stored:
    """An object was written, or given other metadata."""

    info: ObjectInfo
    """As it is now."""
    remote: Remote
    kept: bool = True
    """False: the state it replaced was too large for a copy and is not in the bucket's trash."""
    staged: bool | None = False
    """The body is in staging, whole and durable, for the folder. False: nothing is there. None: perhaps a part of it."""


class Storing:
    """The hands of one project's clients. Thread-safe."""

    def __init__(
        self,
        bucket: Bucket,
        folder: Folder,
        transfer: Transfer,
        device: str,
        *,
        stages: bool,
        remember: Callable[[BegunUpload], None],
    ) -> None:
        """`stages` False: nothing is ever installed in this folder. `remember` has a session journalled, and returns when it
        is: a kill after that leaves no parts in the store for ever.
        """
        self._bucket = bucket
        self._folder = folder
        self._transfer = transfer
        self._device = device
        self._remember = remember
        self.stages = stages
        """A stored body stays in staging, to be installed."""

    def store(self, asked: Store, op: Op, judge: Judge, *, secret: bool = False) -> Stored:
        """Send a staged body. `Stale` when the object is no longer what it replaces. `secret`: it is to be encrypted, whatever
        the patterns say.
        """
        before = self._expect(asked.path, asked.replaces)
        had: Mapping[str, str] = before.meta if before is not None else {}
        own = metadata.user_keys(had) if asked.own is None else {**asked.own, **metadata.how_stored(had)}
        if secret:
            own = {metadata.EPOCH: "", **own}
        kind = asked.media_type or media_type_of(had)
        meta = self._meta(asked.path, before, own, kind, op, (asked.digest, asked.mtime_ns, asked.mode))
        if asked.batch is not None:
            meta[metadata.BATCH] = asked.batch
        check_room(meta)
        kept = True
        if before is not None and judge(_remote(before)).digest != asked.digest:
            kept = self._transfer.keep_old(asked.path, before.version)
        body: Body = StagedBody(self._folder, asked.staged, asked.size, asked.digest)
        if asked.data is not None:
            body = SmallBody(asked.data, asked.digest)
        session = self._session(asked, op, body, meta, kept=kept)
        send = lambda: self._bucket.put(asked.path, body, replaces=asked.replaces, meta=meta, session=session)
        stored = self._written(asked.path, op, asked.size, meta, send, kept, asked.digest)
        if self.stages:
            return replace(stored, staged=self._stage(asked, stored.remote.mode))
        if asked.data is None:
            self._folder.unstage(asked.staged)
        return stored

    def annotate(self, asked: Annotate, op: Op, judge: Judge) -> Stored:
        """Replace the client's keys of an object by a metadata copy onto itself. `Refused` (`digest-unknown`) where nobody
        knows what its bytes are: the copy would say so in our name.
        """
        before = self._expect(asked.path, asked.replaces)
        assert before is not None
        if _remote(before).op != asked.op:
            raise Stale(f"{asked.path}: the object's metadata changed")
        was = judge(_remote(before))
        own = {**asked.own, **metadata.how_stored(before.meta)}
        meta = self._meta(asked.path, before, own, asked.media_type, op, (was.digest, was.mtime_ns, was.mode))
        check_room(meta)
        version = before.version
        send = lambda: self._bucket.copy(asked.path, asked.path, source_version=version, replaces=version, meta=meta)
        try:
            return self._written(asked.path, op, before.size, meta, send, kept=True)
        except Unsupported as exc:
            if exc.code != "too-large":
                raise
            raise Refused(
                f"{asked.path}: the store cannot change the metadata of an object this large",
                code="too-large",
                hint="put it again with the metadata it shall have",
            ) from exc

    def remove(self, asked: Remove) -> bool:
        """Delete an object, its bytes kept in the bucket's trash. False: it was too large for that."""
        kept = self._transfer.keep_old(asked.path, asked.replaces)
        try:
            self._bucket.delete(asked.path, replaces=asked.replaces)
        except Transient:
            # Nobody else can have made it absent without a condition on this very state, or after it.
            if self._bucket.head(asked.path) is not None:
                raise
        return kept

    def _stage(self, asked: Store, mode: int | None) -> bool | None:
        """For the folder, which installs it: durable when this returns, since what is recorded of it is believed after a power
        cut. As `Stored.staged`; where it is not there the bytes come from the bucket.
        """
        try:
            if asked.data is not None:
                self._folder.unstage(asked.staged)
                with self._folder.stage(asked.staged) as out:
                    out.write(asked.data)
            # Bits that keep us from reading it come when it is put in place.
            bits = installed_mode(asked.path, mode)
            bits = None if bits is None else bits | 0o600
            self._folder.seal(asked.staged, mode=bits, mtime_ns=asked.mtime_ns)
        except (Stale, Transient, Blocked) as exc:
            _log.warning("verb=stage path=%r outcome=%s", asked.path, exc.code)
        else:
            return True
        with suppress(Stale, Transient, Blocked):
            self._folder.unstage(asked.staged)  # a half of it would keep a full disk full
            return False
        return None

    def _session(self, asked: Store, op: Op, body: Body, meta: Mapping[str, str], *, kept: bool) -> Session | None:
        """For a body that goes in parts. Whoever sends it again begins anew: its session is given up then."""
        over = self._bucket.sessions_over
        if over is None or asked.size <= over:
            return None
        size = self._transfer.stored_size(asked.path, body, meta)
        session = self._bucket.begin(asked.path, size, replaces=asked.replaces, meta=meta)
        begun = BegunUpload(op, asked.path, asked.digest, asked.replaces, NO_MODE, session, "", kept)
        try:
            self._remember(begun)
        except BaseException:
            self._bucket.abandon(asked.path, session)
            raise
        return session

    # --- inside -------------------------------------------------------------------------------------------------

    def _meta(
        self,
        path: Path,
        before: ObjectInfo | None,
        own: Mapping[str, str],
        kind: str | None,
        op: Op,
        file: tuple[Digest | None, int | None, int | None],
    ) -> dict[str, str]:
        digest, mtime_ns, mode = file
        sealed = metadata.sealed_word(own)
        if digest is None and sealed is None:
            raise Refused(
                f"{path}: another tool wrote this object, and its content is not known yet",
                code="digest-unknown",
                hint="try again when it is in the folder, or put it again through dorkyd",
            )
        if mode is None and before is not None:
            mode = _remote(before).mode
        user = {key: value for key, value in own.items() if key != MEDIA_TYPE}
        if kind is not None:
            user[MEDIA_TYPE] = kind
        ancestry = metadata.descend(_remote(before)) if before is not None else ()
        # Of an encrypted object its own keyed digest is carried along.
        digest = digest or NOBODYS
        return metadata.encode(
            digest=digest, mtime_ns=mtime_ns, mode=mode, device=self._device, op=op, ancestry=ancestry, user=user
        )

    def _written(
        self,
        path: Path,
        op: Op,
        size: int,
        meta: Mapping[str, str],
        send: Callable[[], Written],
        kept: bool,
        digest: Digest | None = None,
    ) -> Stored:
        """Send it, and know it again when the reply is lost."""
        try:
            written = send()
        except (Transient, Stale):
            # `Stale` too: a client library may send a request again whose reply was lost, and meet its own write.
            found = self._bucket.head(path)
            if found is not None and op in _remote(found).ancestry:
                # It happened, so that nothing may send it again: the next look settles what became of it.
                what = f"{path}: it was written, and another device has written to it since"
                raise Transient(what, code="overtaken", hint="look at what is there now", retry_after_s=1) from None
            if found is None or _remote(found).op != op:
                raise
            remote = _remote(found)
            if remote.sealed is not None and digest is not None:
                remote = replace(remote, digest=digest, size=size)
            return Stored(found, remote, kept)
        info = ObjectInfo(written.version, size, written.modified, meta)
        remote = replace(_remote(info), sealed=written.sealed)
        return Stored(
            info, remote if digest is None or written.sealed is None else replace(remote, digest=digest), kept
        )

    def _expect(self, path: Path, version: Version | None) -> ObjectInfo | None:
        return self._transfer.expect(path, version) if version is not None else None


def _remote(info: ObjectInfo) -> Remote:
    return metadata.remote_of(info.version, info.size, info.modified, info.meta)
