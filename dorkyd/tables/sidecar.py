"""The converter of a project: keeps a Parquet sibling of each matching file in the bucket, and never touches the file.

It is level-triggered, as sync is: what has to be done is found by looking at what both sides hold and at what the sibling says
it was made of. History only says where to look. So nothing has to be remembered over a restart or a kill: a conversion that
ended with its process is begun anew, one that was stored is found to be there, and the second device of a team finds the
first one's table. What *is* remembered, in the journal, is what a person should know: which content cannot be converted (it is
not tried again) and which has rejects.

    history, first look ─▶ paths ─▶ what is agreed on? ─▶ whose is the sibling? ─▶ worker ─▶ digest as agreed? ─▶ stored as by
                                                                                        the API, under a condition

A thread of its own for each project that asks for it, one conversion at a time among all of them, in a worker that has the
lowest priority and limited memory (`dorkyd.tables.supervisor`). The engine never waits for it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from dorkyd.artifacts import Artifacts
from dorkyd.asking import check_ready
from dorkyd.contents import Contents
from dorkyd.core.artifact import Artifact, Condition, artifact_of_remote
from dorkyd.core.conversion import Conversion, Converted
from dorkyd.core.model import Base, Digest, Local, Path, Remote
from dorkyd.core.report import Warning as Told
from dorkyd.core.settings import Converting
from dorkyd.engine import Engine
from dorkyd.errors import Blocked, DorkyError, Refused, Stale, Transient
from dorkyd.ports import Known
from dorkyd.reading import Reader
from dorkyd.tables.shortfalls import Shortfall, Shortfalls
from dorkyd.tables.siblings import (
    BY,
    MADE,
    MEDIA_TYPE,
    OF,
    OF_DIGEST,
    Rules,
    Stands,
    conversion,
    judged,
    manner,
    sibling,
)
from dorkyd.tables.supervisor import Workshop

LINGER_S = 1.0
"""How long a change is left alone: who saves once saves twice."""
AGAIN_S, AGAIN_MOST_S = 5.0, 600.0
"""Until what failed for a while is tried again, doubled each time."""
GLANCE_S = 30.0
"""How often it is looked whether what keeps a table from being made is mended."""
PATIENCE_S = 3600.0
"""Of one conversion."""
MEMORY_BYTES = 768 * 1024 * 1024
"""The worker's limit. It needs some 400 MiB."""
SCHEMA_BYTES = 1024 * 1024
DIFFERS = "convert-differs"
"""The code of what is told of a table that devices want in different manners."""
_PAGE = 5000
_log = logging.getLogger("dorkyd.tables")
_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class _Seen:
    """What the journal knows of a path and its sibling, at one moment."""

    base: Base | None
    secret: bool
    schema: Base | None
    beside: Remote | None
    """The sibling's object."""
    here: bool
    """A file of the sibling's name is in the folder."""
    covered: bool
    """The sibling would be encrypted."""


@dataclass(slots=True)
class Sidecar:
    """See the module. Its public methods may be called from any thread."""

    engine: Engine
    artifacts: Artifacts
    workshop: Workshop = field(
        default_factory=lambda: Workshop(
            memory=MEMORY_BYTES, timeout_s=PATIENCE_S, tasks={"convert": "dorkyd.tables.converting.task:task"}
        )
    )
    _rules: Rules = field(init=False)
    _news: threading.Event = field(default_factory=threading.Event)
    _stopping: bool = False
    _thread: threading.Thread | None = None
    _todo: dict[Path, float] = field(default_factory=dict)
    """When each is to be looked at, monotonic."""
    _tries: dict[Path, int] = field(default_factory=dict)
    _seq: int | None = None
    """How far history was read; None: nothing was looked at yet."""
    _covered: Sequence[str] = ()
    """The patterns in force when all was looked at."""
    _short: Shortfalls = field(init=False)
    _originals: dict[Path, set[Path]] = field(default_factory=dict)
    """By the sibling's path: what is looked at when that changes."""
    _was: dict[Path, tuple[Digest, str]] = field(default_factory=dict)
    """Of which content, and in which manner, each table was when it last stood there as this device wants it."""
    _compared: dict[Path, tuple[Digest, str, Digest | None]] = field(default_factory=dict)
    """Content, manner and what stood there, of which it was found that this was not made of that."""
    _contents: Contents = field(init=False)

    def __post_init__(self) -> None:
        self._rules = Rules.of(self.engine.project.convert)
        self._contents = Contents(self.engine)
        self._short = Shortfalls(self.engine)

    @property
    def notices(self) -> tuple[Told, ...]:
        """For the status."""
        return self._short.told()

    def start(self) -> None:
        """Begin."""
        self._thread = threading.Thread(target=self._run, name=f"convert-{self.engine.project.name}", daemon=True)
        self._thread.start()

    def look(self) -> None:
        """Something was recorded."""
        self._news.set()

    def stop(self) -> None:
        """End, whatever is under way: a conversion is begun anew with the next start. Does not wait."""
        self._stopping = True
        self._news.set()
        threading.Thread(target=self.workshop.close, name="convert-end", daemon=True).start()

    # --- its thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            self._news.clear()
            wait: float | None = 1.0
            try:
                wait = self._round()
            except (Transient, Stale) as exc:
                _log.debug("verb=convert outcome=%s", exc.code)
            except Exception:  # a defect here must not end the conversions of other files
                if not self._stopping:
                    _log.exception("verb=convert outcome=internal-error")
                wait = AGAIN_MOST_S
            if not self._stopping:
                self._news.wait(timeout=wait)

    def _round(self) -> float | None:
        """Do what is due; seconds until something is again, None: nothing is known of."""
        if self.engine.journal is None:
            return 1.0
        self._hear()
        now = time.monotonic()
        for path in [path for path, due in self._todo.items() if due <= now]:
            if self._stopping:
                return None
            del self._todo[path]
            self._one(path)
        due = min(self._todo.values(), default=None)
        wait = None if due is None else max(0.05, due - time.monotonic())
        return min(GLANCE_S, wait or GLANCE_S) if self._short else wait

    def _hear(self) -> None:
        """Take down which paths are to be looked at."""
        reader = Reader(self.engine.journal_file, self.engine.project, self.engine.device)
        last = reader.log(-1, 1)
        if self._seq is not None and self._seq > (last[-1].seq if last else 0):
            self._seq = None  # the journal was begun anew
        if self._seq is None:
            self._short.recall()
            self._look_at_all(reader)
            self._seq = last[-1].seq if last else 0
        while items := reader.log(self._seq, _PAGE):
            self._seq = items[-1].seq
            if any(item.path in self._rules.schemas for item in items):
                self._look_at_all(reader)
            for item in items:
                self._due(item.path)

        keyring = self.engine.keyring
        if keyring is not None and keyring.chosen != self._covered:
            self._covered = keyring.chosen
            self._look_at_all(reader)  # what is secret by now, and whose table is not
        for path in self._short:
            known = self._short.of(path)
            # What is encrypted is changed without a word in history.
            if known is not None and known.code == "convert-secret" and keyring and keyring.covers(sibling(path)):
                self._due(path, linger_s=0)

    def _look_at_all(self, reader: Reader) -> None:
        after = ""
        while page := reader.files("", after, _PAGE, remote=False):
            after = page[-1].path
            for item in page:
                self._due(item.path, linger_s=0)
        for path in self._short:
            self._due(path, linger_s=0)

    def _due(self, path: Path, *, linger_s: float = LINGER_S) -> None:
        for each in (path, *self._originals.get(path, ())):
            if self._rules.entry(each) is not None or each in self._short:
                self._todo[each] = time.monotonic() + linger_s

    def _one(self, path: Path) -> None:
        """Look at one path, and do what is to be done. What fails for a while comes again."""
        try:
            self._care(path)
            self._tries.pop(path, None)
        except (Stale, Transient) as exc:
            self._later(path, exc)
        except Blocked as exc:
            if exc.code == "precondition-failed":
                # Somebody stored it meanwhile, perhaps another device: its news are on their way.
                self._later(path, exc)
                return
            # The project is halted or paused, a key is missing, the disk is full: whoever mends that need not tell us.
            if exc.code not in {"halted", "paused"}:
                self._short.note(path, Shortfall(Digest(""), "", "convert-failed", str(exc), exc.hint, final=False))
            self._later(path, exc)

    def _later(self, path: Path, exc: DorkyError) -> None:
        tries = self._tries.get(path, 0)
        self._tries[path] = tries + 1
        self._todo[path] = time.monotonic() + min(AGAIN_S * 2**tries, AGAIN_MOST_S)
        if not self._stopping:
            _log.info("verb=convert path=%r outcome=%s", path, exc.code)

    def _care(self, path: Path) -> None:
        entry = self._rules.entry(path)
        seen = self._contents.ask(lambda: self._seen(path, entry))
        if entry is None or seen.base is None:
            # Not ours any more, or gone. What was made of it stays: others may use it.
            self._short.note(path, None)
            return
        content, beside = seen.base.digest, sibling(path)
        self._originals.setdefault(beside, set()).add(path)
        asked = conversion(path, entry, self._schema(entry, seen.schema))
        by = manner(asked)
        notice = self._short.of(path)
        if notice is not None and notice.final and notice.is_of(content, by):
            return
        stands, held = self._stands(path, content, by, seen)
        if stands is Stands.FOREIGN or (stands is Stands.CHANGED and self._compared.get(path) == (content, by, held)):
            self._note_taken(path, content, by)
            return
        if seen.secret and not seen.covered:
            what = f"it is encrypted and {beside} would not be, so that no table is made of it"
            if stands is not Stands.NOTHING:
                what = f"it is encrypted, and {beside}, which was made of it, is in the bucket in plain"
            self._short.note(
                path, Shortfall(content, by, "convert-secret", what, f"dorkyctl encrypt '{beside}'", final=False)
            )
            return
        if stands is Stands.OTHERWISE and self._is_anothers(path, content, by, notice):
            what = f"{beside} was made of it by another device in another manner, and is left as it is"
            hint = f"give `convert` the same settings on all devices, of one version of dorkyd; or delete {beside} to have it made here"
            self._short.note(path, Shortfall(content, by, DIFFERS, what, hint, final=False))
            return
        if stands is Stands.CURRENT:
            self._was[path] = (content, by)
            if notice is not None and not (notice.code == "convert-rejects" and notice.is_of(content, by)):
                self._short.note(path, None)
            return
        # Undone or checked out with its original it is again what is made of that, and nobody wrote it.
        only = held if stands is Stands.CHANGED else None
        unfit: Refused | None = None
        try:
            if self._make(path, content, by, asked, seen, only=only):
                return
        except _UnfitError as exc:
            unfit = exc.why
        if only is not None:
            self._compared[path] = (content, by, only)
            self._note_taken(path, content, by)
        elif unfit is not None:
            self._note_unfit(path, content, by, asked, unfit)

    def _note_taken(self, path: Path, content: Digest, by: str) -> None:
        beside = sibling(path)
        what = f"{beside} is not what was made of it, and is left as it is"
        # Not final: whoever moves it away expects the table.
        hint = f"move {beside} away to have it made, or take {path} out of `convert`"
        self._short.note(path, Shortfall(content, by, "convert-taken", what, hint, final=False))

    def _note_unfit(self, path: Path, content: Digest, by: str, asked: Conversion, exc: Refused) -> None:
        why = str(exc).removeprefix(f"{asked.name}: ").removeprefix(f"{asked.name} ")
        hint = _HINTS.get(exc.code, f"`dorkyctl convert {path} OUT.parquet` tries the same by hand")
        self._short.note(path, Shortfall(content, by, "convert-failed", f"no table was made: {why}", hint, final=True))
        _log.info("verb=convert path=%r outcome=%s", path, exc.code)

    def _is_anothers(self, path: Path, content: Digest, by: str, notice: Shortfall | None) -> bool:
        """It was made as this device wants it, and another, which wants it otherwise, replaced it: the two would do that for
        ever, each time with a copy in the trash.
        """
        told = notice is not None and notice.code == DIFFERS and notice.is_of(content, by)
        return told or self._was.get(path) == (content, by)

    # --- looking ----------------------------------------------------------------------------------------------------

    def _seen(self, path: Path, entry: Converting | None) -> _Seen:
        """Engine thread."""
        journal, keyring, beside = self.engine.journal, self.engine.keyring, sibling(path)
        if journal is None:
            raise Transient("the project is not open", code="not-open")
        base, remote, other = journal.base(path), journal.remote(path), journal.remote(beside)
        hides = keyring is not None and keyring.hides(path)
        was = base is not None and base.size > 0 and journal.is_sealed_content(base.digest)
        return _Seen(
            base=base,
            secret=hides or was or (remote is not None and remote.sealed is not None),
            schema=journal.base(Path(entry.schema)) if entry is not None and entry.schema is not None else None,
            beside=other,
            here=journal.known(beside) is not None,
            covered=(keyring is not None and keyring.covers(beside))
            or (other is not None and other.sealed is not None),
        )

    def _stands(self, path: Path, content: Digest, by: str, seen: _Seen) -> tuple[Stands, Digest | None]:
        """And what is in it; None: nobody knows."""
        if seen.beside is None:
            # A file here that is not in the bucket yet is a person's, on its way there.
            return (Stands.FOREIGN if seen.here else Stands.NOTHING), None
        artifact = self._artifact(path, seen.beside)
        return judged(artifact.own, artifact.digest, path, content, by, self._says), artifact.digest

    def _artifact(self, path: Path, beside: Remote) -> Artifact:
        """The sibling's object, asked for where its words are not known."""
        if not beside.looked:
            with suppress(Refused):
                return self.artifacts.stat(sibling(path))
        return artifact_of_remote(sibling(path), beside)

    def _says(self, word: str, digest: Digest) -> bool:
        """Whether a word of metadata means this content."""
        if word == digest:
            return True
        keyring = self.engine.keyring
        key = keyring.keys.contents.get(word.partition(":")[0]) if keyring is not None else None
        return key is not None and key.word(digest) == word

    def _word(self, digest: Digest, *, secret: bool) -> str:
        """How a content is named in metadata: of a secret nobody outside may test guesses."""
        if not secret:
            return digest
        keyring = self.engine.keyring
        current = keyring.keys.current if keyring is not None else None
        if current is None:
            raise Transient("the key for what is encrypted is not open", code="locked")
        return current.content.word(digest)

    def _schema(self, entry: Converting, base: Base | None) -> str | None:
        """The text of the schema file, as it is agreed on: every device obeys the same."""
        if entry.schema is None:
            return None
        path = Path(entry.schema)
        if base is None:
            what = f"the schema {path} is not in the project"
            raise Blocked(what, hint="put it there, or correct `convert`", code="no-schema")
        with self._file(path, base.digest) as stream:
            text = stream.read(SCHEMA_BYTES)
        try:
            return text.decode()
        except UnicodeDecodeError:
            raise Blocked(f"the schema {path} is not UTF-8", code="no-schema") from None

    @contextmanager
    def _file(self, path: Path, content: Digest) -> Iterator[BinaryIO]:
        """The file in the folder. `Stale` while it holds something else."""

        def known() -> Known | None:
            return self.engine.journal.known(path) if self.engine.journal is not None else None

        found = self.engine.folder.observe(path, self._contents.ask(known))
        if not isinstance(found, Local) or found.digest != content:
            raise Transient(f"{path} is being changed", code="changing")
        with self.engine.folder.open(path, found) as stream:
            yield stream

    # --- making -----------------------------------------------------------------------------------------------------

    def _make(
        self, path: Path, content: Digest, by: str, asked: Conversion, seen: _Seen, *, only: Digest | None
    ) -> bool:
        """`only`: what it must turn out to be (None: anything). False: it is not that, and nothing was stored."""
        engine, beside, begun = self.engine, sibling(path), time.monotonic()
        paused = self._contents.ask(engine.paused_until) > time.time_ns()
        check_ready(engine.project, engine.held, engine.trouble, paused=paused)
        condition = _condition(seen.beside)
        self.artifacts.check(beside, condition)
        # Without a name, in a directory of ours: a kill leaves nothing.
        with tempfile.TemporaryFile(dir=engine.journals) as table:
            with _one_at_a_time:
                try:
                    told = self._converted(path, content, by, asked, table)
                except Refused as exc:
                    if exc.code in _PASSING:
                        raise
                    raise _UnfitError(exc) from exc
            if told.digest != content:
                raise Stale(f"{path} changed while it was read")
            if only is not None and _digest(table) != only:
                return False
            now = self._contents.ask(lambda: self._seen(path, None))
            if (now.secret, now.covered) != (seen.secret, seen.covered):
                raise Stale(f"{path} or its table became secret, or is none any more, while it was read")
            # What people wrote on the table that stands there is theirs.
            words = dict(self._artifact(path, seen.beside).own) if seen.beside is not None else {}
            self._store(path, content, by, condition, table, words, secret=seen.secret or seen.covered)
        self._was[path] = (content, by)
        rejects = f"{told.rejects} records are not in {beside}" if told.rejects != 1 else f"1 record is not in {beside}"
        hint = f"dorkyctl convert {path} OUT.parquet lists what was left out, with lines"
        note = Shortfall(content, by, "convert-rejects", rejects, hint, final=False) if told.rejects else None
        self._short.note(path, note)
        _log.info(
            "verb=convert path=%r rows=%d rejects=%d bytes=%d seconds=%.3f outcome=ok",
            *(path, told.rows, told.rejects, told.size, time.monotonic() - begun),
        )
        return True

    def _converted(self, path: Path, content: Digest, by: str, asked: Conversion, table: Any) -> Converted:
        with self._file(path, content) as stream, _as_file(stream, self.engine) as source:
            request = {"do": "convert", "asked": dataclasses.asdict(asked)}
            done = self.workshop.do(request, [source, table.fileno()], key=f"{content} {by}")
        told = _told(done)
        if told is None or os.fstat(table.fileno()).st_size != told.size:
            raise Refused("the worker told nothing that can be understood of it", code="unreadable-table")
        return told

    def _store(
        self,
        path: Path,
        content: Digest,
        by: str,
        condition: Condition,
        table: Any,
        words: Mapping[str, str],
        *,
        secret: bool,
    ) -> None:
        incoming = self.artifacts.incoming()
        try:
            table.seek(0)
            while piece := table.read(1024 * 1024):
                incoming.write(piece)
            made = Digest(f"sha256:{incoming.digest()}")
            own = {
                **words,
                OF: path.rpartition("/")[2],
                OF_DIGEST: self._word(content, secret=secret),
                MADE: self._word(made, secret=secret),
                BY: by,
            }
            if self._stopping:
                raise Transient("the daemon stops", code="stopping")
            self.artifacts.put(sibling(path), incoming, condition, own=own, media_type=MEDIA_TYPE, key=None)
        finally:
            incoming.discard()


_PASSING = frozenset({"changed", "disk-full"})
"""Refusals of the worker that say nothing of the content."""


class _UnfitError(Exception):
    """The content cannot be converted, whenever that is tried."""

    def __init__(self, why: Refused) -> None:
        super().__init__(str(why))
        self.why = why


_HINTS = {
    "not-utf8": "if it is Latin-1 or Windows text: `encoding: latin-1`, or cp1252, in its entry of `convert`",
    "wrong-encoding": "correct `encoding` in its entry of `convert`",
    "record-too-long": "most likely a quote is not closed there, or the delimiter is another: `delimiter` in `convert`",
    "hard-table": "sync goes on; it is tried again when the file changes",
    "out-of-memory": "sync goes on; it is tried again when the file changes",
}
"""What to do about a file that cannot be converted, in the words of the configuration."""


def _digest(table: Any) -> Digest:
    table.seek(0)
    return Digest(f"sha256:{hashlib.file_digest(table, 'sha256').hexdigest()}")


def _condition(remote: Remote | None) -> Condition:
    return Condition(none_match=("*",)) if remote is None else Condition(match=(remote.version,))


def _told(done: dict[str, Any]) -> Converted | None:
    """What the worker says, believed no more than the file is."""
    counts = [done.get(name) for name in ("rows", "rejects", "size")]
    digest = done.get("digest")
    if not all(isinstance(count, int) and count >= 0 for count in counts) or not isinstance(digest, str):
        return None
    rows, rejects, size = counts
    return Converted(rows=rows, rejects=rejects, size=size, digest=digest)  # type: ignore[arg-type]


@contextmanager
def _as_file(stream: BinaryIO, engine: Engine) -> Iterator[int]:
    """A descriptor of what a stream yields: a small file may come from memory."""
    try:
        fd: int | None = stream.fileno()
    except OSError:
        fd = None
    if fd is not None:
        yield fd
        return
    with tempfile.TemporaryFile(dir=engine.journals) as copy:
        while piece := stream.read(1024 * 1024):
            copy.write(piece)
        copy.flush()
        yield copy.fileno()
