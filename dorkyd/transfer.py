"""Carry out one action: move its bytes, verify them, report. No journal and no decision here.

Every method runs on a worker thread, for one path at a time, and may be killed at any instant: what it is about to do was
journalled by the engine before, and `dorkyd.recovery` knows what each leftover means. A method that raises has either
done nothing or left exactly what its journal row describes.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import BinaryIO

from dorkyd.bucket_trash import Given, trash_key
from dorkyd.core import metadata
from dorkyd.core.model import (
    PERMISSION_BITS,
    BeginUpload,
    DeleteLocal,
    DeleteRemote,
    Digest,
    Local,
    MoveLocal,
    MoveRemote,
    Op,
    PatchMode,
    Path,
    Remote,
    SetMode,
    StatTuple,
    StepAside,
    Upload,
    Version,
)
from dorkyd.core.paths import ancestors, conflict_name, parent, parse_conflict, step_aside
from dorkyd.core.secrets import installed_mode
from dorkyd.errors import DiskFull, Integrity, PathProblem, SessionGone, Stale, Transient, Unsupported
from dorkyd.hashing import Hashing
from dorkyd.ledger import Install
from dorkyd.ports import (
    ABSENT,
    Body,
    Bucket,
    Chunk,
    Clock,
    Folder,
    ObjectInfo,
    Proving,
    Reading,
    Session,
    Trashed,
    Written,
)
from dorkyd.sealing import Sealing
from dorkyd.sessions import BegunUpload

_HASH_DIGITS = (6, 12, 24, 64)
"""How many digits of a digest tell conflict copies apart, tried in order."""
_NO_FOLDER = frozenset({"not-a-folder", "symlink", "special"})
"""What stands where a folder belongs."""
_A_FOLDER = "clash"
"""One that is not empty stands where a file belongs."""
_ASIDE = 8
"""How often a folder for conflict copies may itself be something else."""
SECRET_BITS = 0o077
"""What nobody but the owner may do with a file that is encrypted in the bucket. Base has what the object says all the same."""
BESIDE_BYTES = 16 * 1024 * 1024
"""What is larger is hashed on a thread beside its writing."""
_BLOCK_BYTES = 1024 * 1024
_FETCHES = 4
"""How often a body that does not match its claimed digest is fetched. One that the store vouches for by its own checksum
is what the object holds, whatever it claims. Where the store says nothing, or speaks of something else (an ETag under KMS),
so many equal bodies are: two may be the same line's fault at the same place.
"""


@dataclass(frozen=True, slots=True)
class FileBody:
    """A local file as an upload's body."""

    folder: Folder
    path: Path
    local: Local

    @property
    def size(self) -> int:
        """Bytes."""
        return self.local.size

    @property
    def digest(self) -> Digest:
        """As observed."""
        return self.local.digest

    def open(self) -> BinaryIO:
        """The file, if it is still the one observed."""
        return self.folder.open(self.path, self.local)


@dataclass(frozen=True, slots=True)
class AtHand:
    """Where the bytes of a digest may be on this disk, by what is remembered."""

    files: Sequence[tuple[Path, Local]] = ()
    trashed: Sequence[str] = ()
    """Names in the folder's trash."""


@dataclass(frozen=True, slots=True)
class Sent:
    """An object was written."""

    written: Written
    kept: bool = True
    """False: the state it replaced was too large for a copy and is not in the bucket's trash."""


@dataclass(frozen=True, slots=True)
class Moved:
    """How far a move in the bucket came: the new name is written, the old one perhaps deleted."""

    sent: Sent
    deleted: bool
    """False: the old name was changed meanwhile, or nobody knows; look at it."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An object state whose bytes are in staging, sealed against nothing yet."""

    remote: Remote
    """As the reply told it, its digest computed from the bytes."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A local effect that happened, and where what came out went."""

    trashed: Trashed | None = None
    trashed_digest: Digest | None = None
    copy: Path | None = None
    """The conflict copy that holds it."""
    copied: Digest | None = None
    """What that copy holds."""
    restored: bool = False
    """A discard found newer bytes and put them back."""
    unheld: int = 0
    """Permission bits that the file system did not take for what was installed."""
    stands: StatTuple | None = None
    """What was installed, as it stands in its place; None: as far as is known, it may have changed since."""


class Transfer:
    """The hands of one project. Thread-safe: it keeps nothing but its tools, and what the trash was given."""

    def __init__(
        self, bucket: Bucket, folder: Folder, clock: Clock, device: str, sealing: Sealing | None = None
    ) -> None:
        """`sealing`: what `bucket` is, where it encrypts. None: it does not."""
        self._bucket = bucket
        self._sealing = sealing
        self._folder = folder
        self._clock = clock
        self._device = device
        self._given = Given()

    # --- looking and fetching -----------------------------------------------------------------------------------

    def look(self, path: Path) -> Remote | None:
        """Ask the bucket about one object. None is proof of absence."""
        info = self._bucket.head(path)
        return None if info is None else _remote(info)

    def fetch(self, path: Path, remote: Remote, staged: str, at_hand: AtHand) -> Fetched:
        """Bring an object state's bytes into staging, from disk where a file here has them, else from the bucket. They are
        durable when this returns: what is recorded of them is believed after a power cut.

        `DiskFull` leaves nothing staged: what arrived so far would keep the disk full for every other file.
        """
        try:
            fetched = self._fetch(path, remote, staged, at_hand)
            mode = installed_mode(path, fetched.remote.mode)
            # Bits that keep us from reading it come when it is put in place.
            self._folder.seal(staged, mode=None if mode is None else mode | 0o600, mtime_ns=fetched.remote.mtime_ns)
            return fetched
        except DiskFull as exc:
            self._folder.unstage(staged)
            raise DiskFull(
                f"{path}: no space left on the folder's disk for {remote.size} bytes", hint=exc.hint
            ) from exc

    def _fetch(self, path: Path, remote: Remote, staged: str, at_hand: AtHand) -> Fetched:
        if remote.digest is not None and copy_at_hand(self._folder, remote.digest, staged, at_hand):
            # What is encrypted or packed does not always tell.
            size = self._folder.staged_size(staged)
            return Fetched(remote if size is None else replace(remote, size=size))
        seen: Counter[Digest] = Counter()
        for _ in range(_FETCHES):
            info, digest = self._receive(path, remote.version, staged)
            claimed = _remote(info).digest
            if info.stored_otherwise:
                info = replace(info, size=self._folder.staged_size(staged) or 0)
            if claimed is None or digest == claimed:
                return Fetched(_with_digest(_remote(info), digest))
            seen[digest] += 1
            if seen[digest] == _FETCHES or (info.md5 is not None and self._staged_md5(staged) == info.md5):
                return Fetched(metadata.disowned(_remote(info), digest))
            self._folder.unstage(staged)
        raise Transient(f"{path}: the bytes received do not match their digest", code="damaged-in-transit")

    def _staged_md5(self, staged: str) -> str:
        hashing = hashlib.md5(usedforsecurity=False)
        with self._folder.open_staged(staged) as file:
            while block := file.read(_BLOCK_BYTES):
                hashing.update(block)
        return hashing.hexdigest()

    def _receive(self, path: Path, version: Version, staged: str) -> tuple[ObjectInfo, Digest]:
        """Fetch to the end, going on after what an earlier try left."""
        left = self._folder.staged_size(staged)
        have = left or 0
        with ExitStack() as opened:
            reading = opened.enter_context(self._bucket.get(path, if_match=version, start=have))
            info = reading.info
            if have and info.stored_otherwise:
                # What came before was never verified, and only the whole is: it comes again, from the beginning.
                opened.close()
                self._folder.unstage(staged)
                left, have = None, 0
                reading = opened.enter_context(self._bucket.get(path, if_match=version))
                info = reading.info
            with ExitStack() as closing:
                out = closing.enter_context(self._folder.stage(staged, resume=left is not None))
                large = info.size > BESIDE_BYTES
                elsewhere = have or isinstance(reading, Proving)
                hashing = None if elsewhere else closing.enter_context(Hashing()) if large else hashlib.sha256()
                for chunk in self._trusted(reading, staged):
                    have += len(chunk)
                    if have > info.size and not info.stored_otherwise:
                        break
                    if hashing is not None:
                        hashing.update(chunk)
                    out.write(chunk)
        if info.stored_otherwise:
            pass  # all of it came, and is what the object claims: else reading it would have raised
        elif have > info.size:
            # However much more would come: it is not this object, and nothing of it is of use to a next try.
            self._folder.unstage(staged)
            raise Transient(f"{path}: more than its {info.size} bytes arrived")
        elif have != info.size:
            raise Transient(f"{path}: {have} of {info.size} bytes arrived")
        if hashing is not None:
            return info, metadata.sha256(hashing.hexdigest())
        proved = reading.proved if isinstance(reading, Proving) else None
        digest = proved or self._folder.staged_digest(staged)
        if digest is None:
            raise Stale(f"{path}: the staged file is gone")
        return info, digest

    def _trusted(self, reading: Reading, staged: str) -> Iterator[Chunk]:
        """The bytes. Of an object that turns out to be tampered with, nothing stays in staging."""
        try:
            yield from reading
        except Integrity:
            self._folder.unstage(staged)
            raise

    # --- remote effects -----------------------------------------------------------------------------------------

    def needs_session(self, upload: Upload) -> bool:
        """It is so large that it goes on after a restart rather than from the start."""
        over = self._bucket.sessions_over
        return over is not None and upload.local.size > over

    def begin_upload(
        self, action: BeginUpload, op: Op, *, kept: bool, secret: bool = False, batch: str | None = None
    ) -> BegunUpload:
        """Begin a large upload. What it will replace is kept now: the condition at its end is on that same state. `kept`:
        it was already. `secret`, `batch`: as for `upload`.
        """
        upload = action.upload
        meta = self._meta_of(upload, op, secret=secret, batch=batch)
        replaces = upload.replaces.version if upload.replaces is not None else None
        kept = kept or self._keep_replaced(upload)
        size = self.stored_size(upload.path, FileBody(self._folder, upload.path, upload.local), meta)
        session = self._bucket.begin(upload.path, size, replaces=replaces, meta=meta)
        return BegunUpload(
            op, upload.path, upload.local.digest, replaces, upload.mode, session, _fingerprint(meta), kept
        )

    def stored_size(self, path: Path, body: Body, meta: Mapping[str, str]) -> int:
        """How many bytes the object will have, before a session for them is begun."""
        return body.size if self._sealing is None else self._sealing.stored_size(path, body, meta)

    def upload(
        self,
        action: Upload,
        op: Op,
        begun: BegunUpload | None = None,
        *,
        secret: bool = False,
        batch: str | None = None,
    ) -> Sent:
        """Send a file's bytes, keeping a person's own keys on the object it replaces. `begun`: go on with that session;
        `SessionGone` when it is of no use any more. `secret`: it is to be encrypted, whatever the patterns say.
        `batch`: the atomic batch that it is of.
        """
        meta = self._meta_of(action, op, secret=secret, batch=batch)
        replaces = action.replaces.version if action.replaces is not None else None
        if begun is None:
            kept = self._keep_replaced(action)
            return Sent(self._send(action.path, action.local, replaces, meta), kept)
        if _fingerprint(meta) != begun.meta:
            self.abandon(begun)
            raise SessionGone(f"{action.path}: the object's own keys changed since its upload began")
        return Sent(self._send(action.path, action.local, replaces, meta, begun.session), begun.kept)

    def abandon(self, begun: BegunUpload) -> None:
        """Give a session up; the store keeps nothing of it."""
        self._bucket.abandon(begun.path, begun.session)
        self.forget(begun.op)

    def forget(self, op: Op) -> None:
        """What was made ready here for a session is wanted no more."""
        if self._sealing is not None:
            self._sealing.forget(op)

    def _meta_of(self, action: Upload, op: Op, *, secret: bool, batch: str | None) -> dict[str, str]:
        """What the object's metadata will be. Raises `Stale` when the object it replaces changed."""
        user: Mapping[str, str] = {metadata.EPOCH: ""} if secret else {}
        ancestry: tuple[Op, ...] = ()
        if action.replaces is not None:
            info = self.expect(action.path, action.replaces.version)
            user = {**user, **metadata.user_keys(info.meta)}
            ancestry = metadata.descend(_remote(info))
        meta = metadata.encode(
            digest=action.local.digest,
            mtime_ns=action.local.stat.mtime_ns,
            mode=action.mode,
            device=self._device,
            op=op,
            ancestry=ancestry,
            user=user,
        )
        return meta if batch is None else {**meta, metadata.BATCH: batch}

    def _keep_replaced(self, action: Upload) -> bool:
        if action.replaces is None or action.replaces.digest == action.local.digest:
            return True
        return self.keep_old(action.path, action.replaces.version)

    def _send(
        self,
        path: Path,
        local: Local,
        replaces: Version | None,
        meta: Mapping[str, str],
        session: Session | None = None,
    ) -> Written:
        body = FileBody(self._folder, path, local)
        return self._bucket.put(path, body, replaces=replaces, meta=meta, session=session)

    def delete_remote(self, action: DeleteRemote) -> bool:
        """Delete an object, its bytes kept in the bucket's trash. False: it was too large for that."""
        kept = self.keep_old(action.path, action.replaces)
        self._bucket.delete(action.path, replaces=action.replaces)
        return kept

    def move_remote(self, action: MoveRemote, op: Op) -> Moved:
        """Copy inside the store under the new name, then delete the old one. No bytes pass through us, and the old
        name needs no trash copy: the new one has its bytes. An object too large for a copy is sent.
        """
        upload, delete = action.upload, action.delete
        source = self.expect(delete.path, delete.replaces)
        ancestry: tuple[Op, ...] = ()
        replaces = None
        kept = True
        if upload.replaces is not None:
            replaces = upload.replaces.version
            ancestry = metadata.descend(_remote(self.expect(upload.path, replaces)))
            kept = self.keep_old(upload.path, replaces)
        meta = metadata.encode(
            digest=upload.local.digest,
            mtime_ns=upload.local.stat.mtime_ns,
            mode=upload.mode,
            device=self._device,
            op=op,
            ancestry=ancestry,
            user=metadata.user_keys(source.meta),
        )
        try:
            written = self._bucket.copy(
                delete.path, upload.path, source_version=delete.replaces, replaces=replaces, meta=meta
            )
        except Unsupported as exc:
            _require_too_large(exc)
            written = self._send(upload.path, upload.local, replaces, meta)
        try:
            self._bucket.delete(delete.path, replaces=delete.replaces)
        except (Stale, Transient):
            return Moved(Sent(written, kept), deleted=False)
        return Moved(Sent(written, kept), deleted=True)

    def patch_mode(self, action: PatchMode, op: Op) -> Sent:
        """Change an object's permission bits by a metadata copy onto itself; one too large for a copy is sent."""
        version = action.remote.version
        info = self.expect(action.path, version)
        current = _remote(info)
        meta = metadata.encode(
            digest=action.local.digest,
            mtime_ns=current.mtime_ns if current.mtime_ns is not None else action.local.stat.mtime_ns,
            mode=action.mode,
            device=self._device,
            op=op,
            ancestry=metadata.descend(current),
            user=metadata.user_keys(info.meta),
        )
        try:
            return Sent(
                self._bucket.copy(action.path, action.path, source_version=version, replaces=version, meta=meta)
            )
        except Unsupported as exc:
            _require_too_large(exc)
            return Sent(self._send(action.path, action.local, version, meta))

    def expect(self, path: Path, version: Version) -> ObjectInfo:
        """The object in exactly this state. `Stale` when it is another or gone."""
        info = self._bucket.head(path)
        if info is None or info.version != version:
            raise Stale(f"{path}: the object changed")
        return info

    def keep_old(self, path: Path, version: Version) -> bool:
        """Before a state is replaced or deleted, copy it to the bucket's trash, unless the store keeps versions or the last
        try of the same did so.

        False: the store cannot copy an object this large. It is replaced all the same: no later try would succeed,
        and the path would never sync again. The history says so.
        """
        if self._bucket.versioned:
            return True
        now = self._clock.monotonic()
        if self._given.still(self._bucket, path, version, now):
            return True
        key = trash_key(path, version, self._clock.time_ns())
        try:
            self._bucket.copy(path, key, source_version=version, replaces=None, meta=None)
        except Stale:
            if self._bucket.head(key) is None:
                raise
        except Unsupported as exc:
            _require_too_large(exc)
            return False
        self._given.note(path, version, key, now)
        return True

    # --- local effects ------------------------------------------------------------------------------------------

    def install(self, install: Install, expected: Local | None, *, mode: int | None, mtime_ns: int | None) -> Placed:
        """Swap a staged file in and find a place for what came out. `Stale` when another file stands there: then
        nothing was done and the staged bytes are where they were.
        """
        held = self._folder.seal(install.staged, mode=mode, mtime_ns=mtime_ns)
        unheld = 0 if mode is None else (mode & PERMISSION_BITS) ^ held
        stands = self._folder.swap_in(install.staged, install.path, expected)
        placed = Placed() if expected is None else self.place(install)
        return replace(placed, unheld=unheld, stands=stands)

    def place(self, install: Install) -> Placed:
        """Find a place for what came out of an exchange: the trash when it is what was expected, or what was put in, else a
        conflict copy. Also called at start, for an exchange whose outcome was not recorded.
        """
        digest = self._folder.staged_digest(install.staged)
        if digest is None:
            return Placed()
        if digest == install.staged_digest or (digest == install.expected and not install.keep_both):
            return Placed(trashed=self._folder.to_trash(install.staged, install.path), trashed_digest=digest)
        copy, reused = self._conflict_copy(install, digest)
        if reused:
            trashed = self._folder.to_trash(install.staged, install.path)
            return Placed(trashed=trashed, trashed_digest=digest, copy=copy, copied=digest)
        return Placed(copy=copy, copied=digest)

    def discard(self, install: Install, action: DeleteLocal) -> Placed:
        """Take a file out of its place and into the trash; newer bytes than expected go back."""
        self._folder.take_out(action.path, install.staged, action.replaces)
        return self.place_discarded(install)

    def place_discarded(self, install: Install) -> Placed:
        """The second half of `discard`, also called at start."""
        digest = self._folder.staged_digest(install.staged)
        if digest is None:
            return Placed()
        if digest == install.expected:
            trashed = self._folder.to_trash(install.staged, install.path)
            self._folder.drop_empty_parents(install.path)
            return Placed(trashed=trashed, trashed_digest=digest)
        if put_in(self._folder, install.staged, install.path):
            return Placed(restored=True)
        copy, reused = self._conflict_copy(install, digest)
        if reused:
            return Placed(self._folder.to_trash(install.staged, install.path), digest, copy)
        return Placed(copy=copy)

    def _conflict_copy(self, install: Install, digest: Digest) -> tuple[Path, bool]:
        blinded = self.blinded(digest)
        return conflict_copy(
            self._folder, install.staged, install.path, install.mtime_ns, digest, self._device, blinded
        )

    def blinded(self, digest: Digest) -> Digest:
        """What a conflict copy's name may tell of its content."""
        return digest if self._sealing is None else self._sealing.blinded(digest)

    def move_local(self, action: MoveLocal) -> None:
        """Rename inside the folder. Not journalled: after a kill either name holds the bytes, and looking tells."""
        self._folder.rename(action.delete.path, action.download.path, action.delete.replaces)
        self._folder.drop_empty_parents(action.delete.path)

    def step_aside(self, action: StepAside) -> Path:
        """Rename a file whose name is needed as a folder, or the reverse. Returns its new name: another than the action's
        where something stands there, or where a folder above belongs.
        """
        for place in _places(self._folder, action.to):
            for attempt in ("", *(f" {n}" for n in range(2, 100))):
                to = Path(place + attempt)
                try:
                    self._folder.rename(action.path, to, action.local)
                except Stale:
                    if isinstance(self._folder.observe(to, None), Local):
                        continue
                    raise
                except PathProblem as exc:
                    if exc.code == _A_FOLDER:
                        continue
                    if exc.code in _NO_FOLDER:
                        break
                    raise
                return to
        raise PathProblem(action.path, f"no free name beside {action.to!r}", code="clash", hint="rename it by hand")

    def set_mode(self, action: SetMode) -> Local:
        """Set a file's permission bits."""
        mode = action.mode & ~SECRET_BITS if action.remote.sealed is not None else action.mode
        return self._folder.set_mode(action.path, mode, action.local)


def copy_at_hand(folder: Folder, digest: Digest, staged: str, at_hand: AtHand) -> bool:
    """Copy content from this disk into staging. The bytes are what counts, so a copy is believed once it was hashed. What
    was fetched so far stays only where nothing is at hand.
    """
    copies: list[Callable[[], None]] = [
        *(partial(folder.stage_copy, path, local, staged) for path, local in at_hand.files),
        *(partial(folder.trash_to_stage, name, staged, keep=True) for name in at_hand.trashed),
    ]
    for copy in copies:
        folder.unstage(staged)
        with suppress(Stale, PathProblem):
            copy()
            if folder.staged_digest(staged) == digest:
                return True
    if copies:
        folder.unstage(staged)
    return False


def conflict_copy(
    folder: Folder, staged: str, path: Path, mtime_ns: int, digest: Digest, device: str, shown: Digest | None = None
) -> tuple[Path, bool]:
    """Put staged bytes beside `path` under their conflict name. True: a copy with these bytes was there already, of
    whatever device and time, and the staged file is still in staging. `shown`: what the name tells of the digest, if not
    the digest itself.

    Where a folder above has become something else by now, beside where it would have stepped aside to.
    """
    for beside in _places(folder, path):
        for name in _copies_of(folder, beside, shown or digest):
            with suppress(Stale):
                there = folder.observe(name, None)
                if isinstance(there, Local) and there.digest == digest:
                    return name, True
        for digits in _HASH_DIGITS:
            name = conflict_name(beside, device=device, mtime_ns=mtime_ns, digest=shown or digest, digits=digits)
            there = folder.observe(name, None)
            if isinstance(there, Local) and there.digest == digest:
                return name, True
            if put_in(folder, staged, name):
                return name, False
    raise PathProblem(path, "no free name for its conflict copy", code="clash", hint="rename or remove old copies")


def _copies_of(folder: Folder, path: Path, shown: Digest) -> list[Path]:
    """What stands beside the path on this disk under names of its conflict copies that say they hold this. Names are no proof."""
    above, digits = parent(path), metadata.hex_of(shown)
    below = f"{above}/" if above is not None else ""
    copies = [Path(below + name) for name, is_folder in folder.entries(above) if not is_folder]
    named = [(copy, told) for copy in copies if (told := parse_conflict(copy)) is not None]
    return [copy for copy, told in named if told.original == path and digits.startswith(told.digits)]


def put_in(folder: Folder, staged: str, path: Path) -> bool:
    """Put a staged file where nothing stands. False: something does, there or where a folder above belongs."""
    try:
        return folder.put_in(staged, path)
    except PathProblem as exc:
        if exc.code not in {_A_FOLDER, *_NO_FOLDER}:
            raise
        return False


def _places(folder: Folder, path: Path) -> Iterator[Path]:
    """The path, and then, while a folder above it is none, the path it has where that one steps aside."""
    yield path
    for _ in range(_ASIDE):
        above = next((a for a in ancestors(path) if folder.observe(a, None) is not ABSENT), None)
        if above is None:
            return
        path = step_aside(path, above)
        yield path


def _require_too_large(exc: Unsupported) -> None:
    """Raise on what is not the store's limit for the size of a copy."""
    if exc.code != "too-large":
        raise exc


def _fingerprint(meta: Mapping[str, str]) -> str:
    """Stands for an upload's metadata, its mtime aside: a file that was only touched goes on."""
    told = sorted((name, value) for name, value in meta.items() if name != metadata.MTIME)
    return hashlib.sha256(repr(told).encode()).hexdigest()


def _remote(info: ObjectInfo) -> Remote:
    return metadata.remote_of(info.version, info.size, info.modified, info.meta)


def _with_digest(remote: Remote, digest: Digest) -> Remote:
    return Remote(
        version=remote.version,
        size=remote.size,
        digest=digest,
        mode=remote.mode,
        mtime_ns=remote.mtime_ns,
        modified=remote.modified,
        op=remote.op,
        ancestry=remote.ancestry,
        device=remote.device,
        own=remote.own,
        batch=remote.batch,
        sealed=remote.sealed,
    )
