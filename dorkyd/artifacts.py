"""A project's objects for clients of the API: store, fetch, delete, annotate. Every method may be called from any thread,
and blocks.

Reading asks the bucket itself. Writing looks at the object, finds what is replaced and whether the client's condition
holds, and hands the rest to the engine's thread (`dorkyd.asking`). A write without a condition looks again when the object
changed between its look and its write.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import BinaryIO, TypeVar, cast

from dorkyd.asking import GONE, RETRY_S, check_reachable, check_ready
from dorkyd.codecs import TAMPERED
from dorkyd.control import IncomingBody
from dorkyd.core import metadata
from dorkyd.core.artifact import (
    MEDIA_TYPE,
    Annotate,
    Artifact,
    ArtifactVersion,
    Asked,
    Condition,
    Remove,
    Store,
    artifact_of,
    artifact_of_remote,
    checked_name,
    checked_type,
    encoded,
    from_text,
)
from dorkyd.core.model import Path, Version
from dorkyd.core.settings import Mode
from dorkyd.core.timeline import PathVersion
from dorkyd.decisions import checked
from dorkyd.engine import Engine
from dorkyd.errors import Integrity, Refused, Stale, Transient
from dorkyd.former import Former
from dorkyd.ports import Bucket, Chunk, ObjectInfo, Reading
from dorkyd.reading import Reader
from dorkyd.reading_rows import rfc3339
from dorkyd.repeats import Answered, Keyed
from dorkyd.storing import Stored
from dorkyd.versions import Versions
from dorkyd.wholes import Whole, Wholes

T = TypeVar("T")

SMALL_BYTES = 1024 * 1024
"""A body up to this size is held in memory; a larger one goes to staging as it comes."""
LOOKS = 8
"""How often a write without a condition looks again."""
BUSY_S = 30.0
"""How long a client waits for a path that is being synced, or for a project that is being opened."""
OPENING_S = 10.0
"""How long a client waits for a project that begins."""
ANSWER_S = 60.0
"""How long the engine's thread may take to take a request in."""
_TICK_S = 0.02


@dataclass(slots=True)
class Incoming:
    """A body on its way in: written by one thread at a time, then `stored` or discarded."""

    _engine: Engine
    size: int = 0
    """Bytes so far."""
    _hashing: hashlib._Hash = field(default_factory=hashlib.sha256)
    _small: bytearray = field(default_factory=bytearray)
    _staged: str | None = None
    _out: BinaryIO | None = None

    def write(self, data: bytes) -> None:
        """Take some of it. `DiskFull`."""
        self._hashing.update(data)
        self.size += len(data)
        if self._out is None and self.size <= SMALL_BYTES:
            self._small += data
            return
        if self._out is None:
            self._staged = _of_engine(self._engine, lambda: self._engine.ready().asking.receive())  # noqa: PLW0108 - all of it on that thread
            self._out = self._engine.folder.stage(self._staged)
            self._out.write(self._small)
            self._small = bytearray()
        self._out.write(data)

    def digest(self) -> str:
        """The SHA-256 of what came, hexadecimal."""
        return self._hashing.hexdigest()

    def discard(self) -> None:
        """Nobody wants it any more, or it was stored. May be repeated."""
        if self._out is not None:
            self._out.close()
        if self._staged is not None:
            staged, self._staged = self._staged, None
            self._engine.call(lambda: discard(self._engine, staged))

    def body(self, new_name: str) -> tuple[str, bytes | None]:
        """All of it is here: where it is staged, or what it is."""
        if self._staged is None:
            return new_name, bytes(self._small)
        assert self._out is not None
        self._out.close()
        return self._staged, None


@dataclass(frozen=True, slots=True)
class Artifacts:
    """See the module."""

    engine: Engine
    wholes: Wholes

    @classmethod
    def of(cls, engine: Engine) -> Artifacts:
        """A project's."""
        return cls(engine, Wholes(engine.folder, engine.clock.random_id))

    # --- reading ------------------------------------------------------------------------------------------------

    def stat(self, text: str) -> Artifact:
        """The object. `Refused` (`no-such-artifact`) when there is none."""
        path = checked(text)
        info = self._bucket().head(path)
        if info is None:
            raise _missing(path)
        return self._as_known(path, info) or self._measured(path, info)

    def _as_known(self, path: Path, info: ObjectInfo) -> Artifact | None:
        """What is encrypted or packed does not tell its size and digest: the journal may know them. None: it does not."""
        artifact = _artifact(path, info)
        if info.stored_otherwise:
            self.wholes.seen(path, info.version)
        if not info.stored_otherwise or (artifact.digest is not None and metadata.SIZE in info.meta):
            return artifact
        reader = Reader(self.engine.journal_file, self.engine.project, self.engine.device)
        known = next((each for each in reader.artifacts(path, "", 1, {}) if each.path == path), None)
        if known is None or known.version != info.version or known.digest is None:
            return None
        return replace(artifact, digest=known.digest, size=known.size)

    def _measured(self, path: Path, info: ObjectInfo) -> Artifact:
        """Nobody here has read it yet: read it."""
        with self.wholes.use(path, info.version, self._opening(path, info.version)) as whole:
            return replace(_artifact(path, info), digest=whole.digest, size=whole.size)

    def _opening(self, path: Path, version: Version) -> Callable[[], AbstractContextManager[Reading]]:
        return lambda: self._bucket().get(path, if_match=version)

    def list(self, prefix: str, after: str, limit: int, having: Mapping[str, str]) -> Sequence[Artifact]:
        """What the bucket is known to hold, without asking it."""
        having = {checked_name(name): value for name, value in having.items()}
        reader = Reader(self.engine.open_journal(), self.engine.project, self.engine.device)
        return reader.artifacts(prefix, after, limit, having)

    @contextmanager
    def open(self, artifact: Artifact, start: int = 0, stop: int | None = None) -> Iterator[Iterator[Chunk]]:
        """Its bytes from an offset on, at least to `stop`. `Stale` when it is no longer what was looked at; `Integrity` when it is not what it
        claims to be, before a byte of it is told.
        """
        path, version = artifact.path, artifact.version
        assert version is not None
        with ExitStack() as stack:
            if not self.wholes.is_seen(path, version):
                reading = stack.enter_context(self._bucket().get(path, if_match=version, start=start, stop=stop))
                if not reading.info.stored_otherwise:
                    yield iter(reading)
                    return
                stack.close()
            yield stack.enter_context(self._whole(artifact)).read(start)

    @contextmanager
    def open_now(
        self, text: str, start: int = 0, stop: int | None = None
    ) -> Iterator[tuple[Artifact, Iterator[Chunk]]]:
        """As `ArtifactControl.open_now`: one request where the store tells metadata with the bytes."""
        path = checked(text)
        with ExitStack() as stack:
            reading = stack.enter_context(self._bucket().get(path, start=start, stop=stop))
            artifact = self._as_known(path, reading.info)
            if artifact is None:
                raise Stale(f"{path}: its size and digest are not known before it was read")
            if not reading.info.stored_otherwise:
                yield artifact, iter(reading)
                return
            stack.close()
            yield artifact, stack.enter_context(self._whole(artifact)).read(start)

    @contextmanager
    def _whole(self, artifact: Artifact) -> Iterator[Whole]:
        """All of what is stored otherwise: not a byte is told before all of it was found to be what it claims."""
        path, version = artifact.path, artifact.version
        assert version is not None
        with self.wholes.use(path, version, self._opening(path, version)) as whole:
            if whole.size != artifact.size:
                what = f"{path!r} holds {whole.size} bytes, and says that it holds {artifact.size}"
                raise Integrity(what, code=TAMPERED, hint="another tool wrote it: put it again")
            yield whole

    @contextmanager
    def open_former(self, text: str, version: str) -> Iterator[tuple[Artifact, Callable[[int], Iterator[Chunk]]]]:
        """As `ArtifactControl.open_former`."""
        path = checked(text)
        self._bucket()
        with Former(self.engine, self.wholes).open(path, version) as (artifact, whole):
            yield artifact, whole.read

    def versions(self, text: str) -> Sequence[ArtifactVersion]:
        """The states that any place tells of (`dorkyd.versions`), newest first."""
        path = checked(text)
        self._bucket()
        states = Versions(self.engine).of(path).states
        if not states:
            raise _missing(path)
        return [_version(state) for state in states if state.version is not None]

    # --- writing ------------------------------------------------------------------------------------------------

    def check(self, text: str, condition: Condition) -> None:
        """Raise what is wrong already, before a body is sent."""
        path = checked(text)
        check_ready(self.engine.project, self.engine.held, self.engine.trouble, paused=False)
        if condition.match is not None or condition.none_match is not None:
            self._hold(path, condition, self._bucket().head(path))
        rule = self.engine.rules().rule(path, False)
        if rule is not None and self.engine.project.mode is not Mode.BUCKET:
            what = f"{path!r} is ignored by `{rule}`, so that it would never be in the folder"
            raise Refused(what, code="ignored", hint="choose another path, or change that rule")

    def incoming(self) -> Incoming:
        """A new body."""
        return Incoming(self.engine)

    def put(
        self,
        text: str,
        body: IncomingBody,
        condition: Condition,
        *,
        own: Mapping[str, str] | None,
        media_type: str | None,
        key: str | None,
        batch: str | None = None,
    ) -> tuple[Artifact, bool]:
        """Write the object; True: it is new. Returns once the bucket holds it. `Refused` (`precondition-failed`)."""
        assert isinstance(body, Incoming)
        path = checked(text)
        keys = encoded(own) if own is not None else None
        kind = checked_type(media_type) if media_type is not None else None
        staged, data = body.body(self.engine.clock.random_id())
        digest = metadata.sha256(body.digest())

        def ask(before: ObjectInfo | None) -> Asked:
            mtime_ns = self.engine.clock.time_ns()
            version = before.version if before is not None else None
            return Store(path, staged, digest, body.size, version, mtime_ns, None, keys, kind, data, batch)

        keyed = _keyed(
            key,
            "put",
            path,
            digest,
            sorted(own.items()) if own is not None else None,
            kind,
            condition,
            *([batch] if batch else []),
        )
        found, new = self._write(path, condition, ask, keyed, must_be=False)
        assert found is not None
        return found, new

    def begin_batch(self) -> str:
        """The name of a new atomic batch."""
        return _of_engine(self.engine, lambda: self.engine.ready().batches.begin())  # noqa: PLW0108 - all of it on that thread

    def commit_batch(self, batch: str) -> None:
        """Complete it; returns once the bucket's log names it. May be repeated."""
        deadline = time.monotonic() + BUSY_S
        while True:
            try:
                if _of_engine(self.engine, lambda: self.engine.ready().asking.commit_batch(batch)):
                    return
                what = "the batch is complete, and the bucket's log does not name it yet"
                waits = Transient(what, code="not-told-yet", retry_after_s=RETRY_S)
            except Stale as exc:
                waits = Transient(str(exc), code=exc.code, retry_after_s=RETRY_S)
            if time.monotonic() > deadline:
                raise waits
            time.sleep(_TICK_S)

    def knows(self, key: str) -> bool:
        """Some request had this key: what it asks for may be done already."""
        engine = self.engine
        return _of_engine(engine, lambda: engine.journal is not None and engine.journal.repeats.knows(key))

    def delete(self, text: str, condition: Condition, key: str | None) -> None:
        """Delete the object. `Refused` (`no-such-artifact`, `precondition-failed`)."""
        path = checked(text)

        def ask(before: ObjectInfo | None) -> Asked:
            assert before is not None
            return Remove(path, before.version)

        keyed = _keyed(key, "delete", path, condition)
        self._write(path, condition, ask, keyed, must_be=True)

    def annotate(self, text: str, changes: Mapping[str, str | None], condition: Condition, key: str | None) -> Artifact:
        """Merge metadata into the object's: a name with None is taken away."""
        path = checked(text)

        def ask(before: ObjectInfo | None) -> Asked:
            assert before is not None
            now = _artifact(path, before)
            merged = {**now.own, **changes}
            own = encoded({name: value for name, value in merged.items() if value is not None})
            return Annotate(path, before.version, now.op, own, before.meta.get(MEDIA_TYPE))

        keyed = _keyed(key, "annotate", path, sorted(changes.items()), condition)
        found, _ = self._write(path, condition, ask, keyed, must_be=True)
        assert found is not None
        return found

    # --- inside -------------------------------------------------------------------------------------------------

    def _write(
        self,
        path: Path,
        condition: Condition,
        ask: Callable[[ObjectInfo | None], Asked],
        keyed: Keyed | None,
        *,
        must_be: bool,
    ) -> tuple[Artifact | None, bool]:
        """Look, ask, and look again when the object changed meanwhile. The artifact (None: it was deleted), and whether it
        is new.
        """
        for _ in range(LOOKS):
            if keyed is not None:
                answered = self._repeated(keyed)
                if answered is not None:
                    return answered
            before = self._bucket().head(path)
            if must_be and before is None:
                raise _missing(path)
            self._hold(path, condition, before)
            try:
                done = self._done(ask(before), keyed)
            except Stale:
                continue
            if isinstance(done, Answered):
                return _told(done)
            return (
                (artifact_of_remote(path, done.remote), before is None) if isinstance(done, Stored) else (None, False)
            )
        raise Transient(f"{path}: others keep writing to it", code="contended", retry_after_s=1)

    def _repeated(self, keyed: Keyed) -> tuple[Artifact | None, bool] | None:
        """What this very request was answered before. A project that is being opened knows it soon."""
        deadline = time.monotonic() + OPENING_S
        while True:
            try:
                told = _of_engine(self.engine, lambda: repeated(self.engine, keyed))
            except Transient as exc:
                if exc.code != "not-open" or time.monotonic() > deadline:
                    raise
                time.sleep(_TICK_S)
                continue
            return None if told is None else _told(told)

    def _hold(self, path: Path, condition: Condition, before: ObjectInfo | None) -> None:
        now = (self._as_known(path, before) or _artifact(path, before)) if before is not None else None
        if not condition.holds(now.version if now else None, now.digest if now else None):
            what = "is not what the condition says" if before is not None else "does not exist"
            raise Refused(
                f"{path!r} {what}: nothing was changed",
                code="precondition-failed",
                hint="get it again, and decide with what is there now",
            )

    def _done(self, asked: Asked, keyed: Keyed | None) -> object:
        """What the engine's thread made of it. Waits while somebody works on the path."""
        deadline = time.monotonic() + BUSY_S
        while True:
            try:
                answer: Future[object] = _of_engine(self.engine, lambda: self.engine.ready().asking.ask(asked, keyed))
            except (Stale, Transient) as exc:
                if exc.code not in ("busy-path", "not-open"):
                    raise
                if time.monotonic() > deadline:
                    raise Transient(str(exc), code=exc.code, retry_after_s=RETRY_S) from exc
                time.sleep(_TICK_S)
                continue
            return answer.result()

    def _bucket(self) -> Bucket:
        deadline = time.monotonic() + OPENING_S
        while True:
            check_reachable(self.engine.trouble)
            bucket = self.engine.bucket
            if bucket is not None:
                return bucket
            if self.engine.held is not None or time.monotonic() > deadline:
                raise Transient("the project is not open", code="not-open", retry_after_s=RETRY_S)
            time.sleep(_TICK_S)


def repeated(engine: Engine, keyed: Keyed) -> Answered | None:
    """What this very request was answered before, also while nothing may be written; None: it is new, and may begin. Engine
    thread.
    """
    answered = engine.opened.asking.repeated(keyed) if engine.opened is not None else None
    if answered is None:
        engine.ready()
    return answered


def discard(engine: Engine, staged: str) -> None:
    """A body that came in is of no use any more. Of one that is staged while the project is not open, the next start knows.
    Engine thread.
    """
    if engine.opened is not None:
        engine.opened.asking.discard(staged)


def _of_engine(engine: Engine, request: Callable[[], T]) -> T:
    try:
        return cast("T", engine.call(request).result(timeout=ANSWER_S))
    except TimeoutError as exc:
        what = "the engine is busy and has not answered"
        raise Transient(what, code="busy", hint="try again", retry_after_s=RETRY_S) from exc


def _artifact(path: Path, info: ObjectInfo) -> Artifact:
    return artifact_of(path, info.version, info.size, info.modified, info.meta)


def _told(answered: Answered) -> tuple[Artifact | None, bool]:
    return (None if answered.text == GONE else from_text(answered.text)), answered.creates


def _version(state: PathVersion) -> ArtifactVersion:
    assert state.version is not None
    return ArtifactVersion(
        path=state.path,
        digest=state.digest,
        size=state.size,
        version=state.version,
        at=rfc3339(state.at_ns) if state.at_ns is not None else None,
        device=state.device,
        current=state.current,
        trashed=state.name_in("bucket-trash"),
    )


def _keyed(key: str | None, *asks: object) -> Keyed | None:
    """The key with all that is asked for."""
    if key is None:
        return None
    return Keyed(key, hashlib.sha256(repr(asks).encode()).hexdigest())


def _missing(path: Path) -> Refused:
    return Refused(
        f"there is no {path!r} in the bucket", code="no-such-artifact", hint="`dorkyctl ls --remote` lists them"
    )
