"""Content that was here before is brought into staging, from the cheapest place that still has it.

Tried in this order: a file of the folder, the folder's trash, the object as it stands, the bucket's trash, the versions
that the store itself keeps, `.dorky/objects/`. What arrives is hashed, and only what has the digest that was wanted is handed on;
where the digest is not known (another tool's state), the state's own version is what vouches for it.

Runs on the thread of whoever asks. The engine's thread is asked for what the journal knows, and never waits for bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar, cast

from dorkyd.bucket_trash import copies_of
from dorkyd.buckets.probe import layers
from dorkyd.core import metadata
from dorkyd.core.model import Digest, Path, Remote, Version
from dorkyd.core.sealing import ContentKey
from dorkyd.core.secrets import installed_mode
from dorkyd.engine import Engine
from dorkyd.errors import Blocked, DiskFull, DorkyError, Integrity, Refused, Stale, Transient
from dorkyd.keyring import KEY_PROBLEMS
from dorkyd.placing import Placer
from dorkyd.ports import Bucket, ObjectInfo, Reading, StoredVersion, Versioned
from dorkyd.sealing import Sealing
from dorkyd.transfer import SECRET_BITS, AtHand, copy_at_hand

T = TypeVar("T")

ANSWER_S = 60.0
"""How long the engine's thread may take to answer."""
TRIES = 3
"""How often a body that breaks off is asked for."""
_OBJECTS = ".dorky/objects/"

Opening = Callable[[], AbstractContextManager[Reading]]
"""Opens one copy of the bytes."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Content to bring."""

    path: Path
    """Where it stood."""
    digest: Digest | None
    """None: it is known by its version alone, or by `sealed`."""
    version: Version | None = None
    """The store's version of that state; None: not known."""
    mode: int | None = None
    """Permission bits it shall have; None: the default."""
    mtime_ns: int | None = None
    trashed: str | None = None
    """A name in the folder's trash that is said to hold it."""
    stored: str | None = None
    """The store's own name for the state (`StoredVersion.id`), where that is known to be kept."""
    kept: str | None = None
    """A key that is said to hold it: asked for first of all that the bucket may have."""
    sealed: str | None = None
    """As `Remote.sealed`: what it must turn out to be, where no digest is known. None: nothing is said of that."""


@dataclass(frozen=True, slots=True)
class Brought:
    """It is in staging, whole and sealed."""

    wanted: Wanted
    staged: str
    digest: Digest
    secret: bool = False
    """It is, was, or is to be encrypted in the bucket."""


@dataclass(frozen=True, slots=True)
class _Job:
    wanted: Wanted
    staged: str
    at_hand: AtHand
    secret: bool
    """It is, was, or is to be encrypted in the bucket."""


@dataclass(frozen=True, slots=True)
class Contents:
    """See the module."""

    engine: Engine

    def bring(self, wanted: Wanted) -> Brought:
        """Bring one. `Refused` (`content-gone`) when no place has it any more; `Transient` while the bucket, which may,
        cannot be asked. Whoever gets it places it (`Placer.put`) or drops it (`drop`).
        """
        (found,) = self.bring_all([wanted])
        if isinstance(found, DorkyError):
            raise found
        return found

    def bring_all(self, wanted: Sequence[Wanted]) -> list[Brought | DorkyError]:
        """Bring many, several at a time; what came of each, in the same order. So many that the disk has room for them twice."""
        jobs = self.ask(lambda: self._prepared(wanted))
        staged = [job.staged for job in jobs]
        found: dict[str, Brought | DorkyError] = {}
        try:
            for job in jobs:
                if (digest := self._from_disk(job)) is not None:
                    got = (digest, job.secret)
                    found[job.staged] = self._sealed(job, lambda got=got: got)  # type: ignore[misc]
            self._fetch([job for job in jobs if job.staged not in found], found)
        finally:
            unwanted = [name for name in staged if not isinstance(found.get(name), Brought)]
            if unwanted:
                self.drop(unwanted)
        return [found[job.staged] for job in jobs]

    def drop(self, names: Sequence[str]) -> None:
        """Nobody wants these staged files any more."""
        self.ask(lambda: Placer(self.engine).drop(names))

    def ask(self, request: Callable[[], T]) -> T:
        """Have the engine's thread do it."""
        try:
            return cast("T", self.engine.call(request).result(timeout=ANSWER_S))
        except TimeoutError as exc:
            what = "the engine is busy and has not answered"
            raise Transient(what, code="busy", hint="try again", retry_after_s=1) from exc

    # --- inside ---------------------------------------------------------------------------------------------------

    def _prepared(self, wanted: Sequence[Wanted]) -> list[_Job]:
        """What this disk is remembered to hold of each, and a name for each. Engine thread."""
        wanted = self._recognised(wanted)
        opened = self.engine.opened
        hands = [
            opened.carrier.at_hand(one.digest) if opened is not None and one.digest is not None else AtHand()
            for one in wanted
        ]
        names = Placer(self.engine).reserve_many(len(wanted))
        return [
            _Job(one, name, hand, self._is_secret(one)) for one, name, hand in zip(wanted, names, hands, strict=True)
        ]

    def _recognised(self, wanted: Sequence[Wanted]) -> list[Wanted]:
        """Of what is known by its keyed digest the digest, where this machine remembers such content. Engine thread."""
        journal, keys = self.engine.journal, self._keys()
        if journal is None or not any(one.sealed is not None and one.digest is None for one in wanted):
            return list(wanted)
        here = journal.contents_here()
        epochs = {one.sealed.partition(":")[0] for one in wanted if one.sealed is not None}
        words = {keys[epoch].word(digest): digest for epoch in epochs if epoch in keys for digest in here}
        return [
            replace(one, digest=words.get(one.sealed)) if one.sealed is not None and one.digest is None else one
            for one in wanted
        ]

    def _keys(self) -> Mapping[str, ContentKey]:
        return self.engine.keyring.keys.contents if self.engine.keyring is not None else {}

    def _is_secret(self, wanted: Wanted) -> bool:
        """Engine thread."""
        if wanted.sealed is not None:
            return True
        keyring, journal = self.engine.keyring, self.engine.journal
        if keyring is not None and keyring.covers(wanted.path):
            return True
        remote = journal.remote(wanted.path) if journal is not None else None
        return (remote is not None and remote.sealed is not None) or (
            journal is not None and wanted.digest is not None and journal.is_sealed_content(wanted.digest)
        )

    def _fetch(self, jobs: Sequence[_Job], found: dict[str, Brought | DorkyError]) -> None:
        """What must come from the bucket. One alone comes on this thread."""
        if len(jobs) == 1 or self.engine.at_once == 1:
            for job in jobs:
                found[job.staged] = self._sealed(job, partial(self._from_bucket, job))
        elif jobs:
            with ThreadPoolExecutor(self.engine.at_once, thread_name_prefix="contents") as threads:
                fetches = [threads.submit(self._sealed, job, partial(self._from_bucket, job)) for job in jobs]
                for job, fetch in zip(jobs, fetches, strict=True):
                    found[job.staged] = fetch.result()

    def _sealed(self, job: _Job, bring: Callable[[], tuple[Digest, bool]]) -> Brought | DorkyError:
        """`bring`: its digest, and whether it is a secret."""
        mode = installed_mode(job.wanted.path, job.wanted.mode)
        try:
            digest, secret = bring()
            if secret:
                mode = (0o600 if mode is None else mode) & ~SECRET_BITS
            self.engine.folder.seal(job.staged, mode=mode, mtime_ns=job.wanted.mtime_ns)
        except DorkyError as exc:
            return exc
        return Brought(job.wanted, job.staged, digest, secret)

    def _from_disk(self, job: _Job) -> Digest | None:
        folder, wanted, staged = self.engine.folder, job.wanted, job.staged
        if wanted.digest is not None:
            named = (wanted.trashed,) if wanted.trashed is not None else ()
            hands = AtHand(job.at_hand.files, (*named, *(name for name in job.at_hand.trashed if name not in named)))
            return wanted.digest if copy_at_hand(folder, wanted.digest, staged, hands) else None
        if wanted.trashed is None:
            return None
        try:
            folder.trash_to_stage(wanted.trashed, staged, keep=True)
        except Stale:
            return None
        return folder.staged_digest(staged)

    def _from_bucket(self, job: _Job) -> tuple[Digest, bool]:
        """What was encrypted there is a secret, whatever is known here."""
        wanted = job.wanted
        refused: Blocked | None = None
        for opening in self._in_bucket(self._bucket(), wanted, secret=job.secret):
            try:
                received = self._received(wanted, opening, job.staged)
            except Blocked as exc:
                if not isinstance(exc, Integrity) and exc.code not in KEY_PROBLEMS:
                    raise
                # Another copy may be what it says, or encrypted to a key that is here.
                refused, received = exc, None
            if received is not None and self._is_it(wanted, received[0]):
                return received[0], received[1] or job.secret
            self.engine.folder.unstage(job.staged)
        raise gone(wanted) if refused is None else refused

    def _is_it(self, wanted: Wanted, digest: Digest) -> bool:
        if wanted.digest is not None or wanted.sealed is None:
            return wanted.digest in (None, digest)
        key = self._keys().get(wanted.sealed.partition(":")[0])
        return key is not None and key.word(digest) == wanted.sealed

    def _may_be(self, wanted: Wanted, meta: Mapping[str, str]) -> bool:
        """Judged by what an object says of itself: not every copy that there is must come to be read."""
        said = metadata.sealed_word(meta)
        if said is None:
            return True
        epoch = said.partition(":")[0]
        if wanted.sealed is not None and wanted.sealed.partition(":")[0] == epoch:
            return wanted.sealed == said
        key = self._keys().get(epoch)
        return wanted.digest is None or key is None or key.word(wanted.digest) == said

    def _received(self, wanted: Wanted, opening: Opening, staged: str) -> tuple[Digest, bool] | None:
        """Take all of it in; True: it was encrypted. None: this copy is not there after all."""
        for left in reversed(range(TRIES)):
            self.engine.folder.unstage(staged)
            try:
                return self._take(wanted, opening, staged)
            except Stale:
                return None
            except DiskFull as exc:
                self.engine.folder.unstage(staged)
                raise DiskFull(f"{wanted.path}: no space left on the folder's disk for it", hint=exc.hint) from exc
            except Transient:
                if not left:
                    raise
        return None

    def _take(self, wanted: Wanted, opening: Opening, staged: str) -> tuple[Digest, bool]:
        hashing, have = hashlib.sha256(), 0
        with opening() as reading:
            claimed = _remote(reading.info).digest
            if wanted.digest is not None and claimed not in (None, wanted.digest):
                raise Stale("another content")
            if not self._may_be(wanted, reading.info.meta):
                raise Stale("another content")
            with self.engine.folder.stage(staged) as out:
                for chunk in reading:
                    out.write(chunk)
                    hashing.update(chunk)
                    have += len(chunk)
            size = have if reading.info.stored_otherwise else reading.info.size
        if have != size:
            raise Transient(f"{have} of {size} bytes arrived")
        return metadata.sha256(hashing.hexdigest()), metadata.sealed_word(reading.info.meta) is not None

    def _in_bucket(self, bucket: Bucket, wanted: Wanted, *, secret: bool) -> Iterator[Opening]:
        """Copies that the bucket is known to have, the likeliest first; each look is made when it is asked for. What may
        not be listed is not there for us. No request names the digest of a secret: its keyed ones, under which commits have it.
        """
        path, by_content = wanted.path, wanted.digest is not None or wanted.sealed is not None
        if wanted.kept is not None:
            yield partial(bucket.get, wanted.kept)
        now = bucket.head(path)
        same = now is not None and wanted.digest == _remote(now).digest is not None
        if now is not None and (wanted.version == now.version or same or (by_content and self._says_so(wanted, now))):
            yield partial(bucket.get, path, if_match=now.version)
        for version, copy in sorted(copies_of(bucket, path).items(), key=lambda each: each[0] != wanted.version):
            if by_content or wanted.version == version:
                yield partial(bucket.get, copy.key, if_match=copy.version)
        store = keeper(bucket)
        if store is not None and wanted.stored is not None:
            yield partial(_plain, bucket, store, path, wanted.stored)
        if store is not None:
            states = [state for state in _allowed(partial(states_of, store, path)) if not state.deleted]
            for kept in sorted(states, key=lambda state: state.version != wanted.version):
                if by_content or wanted.version == kept.version:
                    yield partial(_plain, bucket, store, path, kept.id)
        for digits in self._names(wanted, secret=secret):
            for key in object_keys(bucket, digits):
                yield partial(bucket.get, key)

    def _says_so(self, wanted: Wanted, info: ObjectInfo) -> bool:
        """An encrypted object says that it holds this."""
        return metadata.sealed_word(info.meta) is not None and self._may_be(wanted, info.meta)

    def _names(self, wanted: Wanted, *, secret: bool) -> Iterator[str]:
        """Hexadecimal digits by which commits may keep it."""
        if wanted.sealed is not None:
            yield wanted.sealed.partition(":")[2]
        elif wanted.digest is not None and not secret:
            yield metadata.hex_of(wanted.digest)
        elif wanted.digest is not None:
            yield from (key.keyed(wanted.digest) for key in self._keys().values())

    def _bucket(self) -> Bucket:
        bucket = self.engine.bucket
        if bucket is None:
            raise Transient("the project is not open", code="not-open", retry_after_s=1)
        return bucket


def keeper(bucket: Bucket) -> Versioned | None:
    """The store itself, where it can keep versions."""
    return next((layer for layer in layers(bucket) if isinstance(layer, Versioned)), None)


def states_of(store: Versioned, path: Path) -> list[StoredVersion]:
    """The states of one object that the store keeps, newest first."""
    found: list[StoredVersion] = []
    for page in store.versions(path):
        found += [state for state in page if state.key == path]
        if page and page[-1].key != path:
            break  # keys come in order, and this one is the first that begins so
    return found


def object_keys(bucket: Bucket, digits: str) -> list[str]:
    """Where commits keep a content: any name that begins with the hexadecimal digits of its digest, keyed or not."""
    return [listed.key for page in bucket.list(f"{_OBJECTS}{digits[:2]}/{digits}") for listed in page]


def gone(wanted: Wanted) -> Refused:
    """No place has it any more."""
    what = f"no copy of {wanted.path!r} as it was then is left: not here, not in either trash, not among the store's versions"
    return Refused(
        what, code="content-gone", hint=f"`dorkyctl history {wanted.path}` tells which states can be restored"
    )


def _remote(info: ObjectInfo) -> Remote:
    return metadata.remote_of(info.version, info.size, info.modified, info.meta)


def _allowed(ask: Callable[[], Sequence[T]]) -> Sequence[T]:
    try:
        return ask()
    except Blocked:
        return ()


def _plain(bucket: Bucket, store: Versioned, path: Path, state: str) -> AbstractContextManager[Reading]:
    """A former state as whoever reads through all layers would see it: decrypted."""
    opening = store.open_version(path, state)
    sealing = next((layer for layer in layers(bucket) if isinstance(layer, Sealing)), None)
    return opening if sealing is None else sealing.decoding(opening)
