"""A project's tables, for whoever asks and for the harvest: where a state's facts come from, and its bytes where they must be read.

Facts are looked for on this disk, then in the bucket, then the worker is asked: of the file in the folder where it holds this
content, else of the object, of which only those bytes come that the worker needs, else of a state of before that is brought
whole. What is or was encrypted is read anew each time, and nothing of it is kept. On the thread of whoever asks.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, BinaryIO

from dorkyd.artifacts import Artifacts
from dorkyd.contents import Contents
from dorkyd.core.artifact import Artifact
from dorkyd.core.model import Digest, Local, Path
from dorkyd.core.printable import printable
from dorkyd.core.settings import Mode
from dorkyd.core.timeline import PathVersion
from dorkyd.decisions import checked
from dorkyd.engine import Engine
from dorkyd.errors import DiskFull, DorkyError, Refused, Stale, Transient
from dorkyd.ports import Known
from dorkyd.restoring import Restoring
from dorkyd.secrecy import is_secret
from dorkyd.tables import kept
from dorkyd.tables.changes import ByKey, TableDifference, changes
from dorkyd.tables.facts import TableFacts, decode
from dorkyd.tables.formats import SUPPORTED, format_of
from dorkyd.tables.kept import Cache
from dorkyd.tables.supervisor import Workshop
from dorkyd.versions import Versions, wanted_of

BUDGET_BYTES = 256 * 1024 * 1024
"""Of an object that is looked at piece by piece, no more than this is moved for one request."""
COMPARE_S = 600.0


@dataclass(frozen=True, slots=True)
class Content:
    """One state of a table, and how to get at its bytes."""

    path: Path
    label: str
    """What it is, for people."""
    digest: Digest | None
    size: int | None
    version: str | None
    where: str
    """`folder`, `bucket` or `before`."""
    secret: bool
    open: Callable[[], Any] = field(repr=False)
    """A context: the descriptor of a file, and what fills it where that is sparse (None: it is whole)."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first rows."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    """As JSON has them; of text formats all are text."""


@dataclass(frozen=True, slots=True)
class Looked:
    """What is told of one state of a table."""

    content: Content
    facts: TableFacts
    source: str
    """`kept` (facts that were kept), else where the bytes were read: as `Content.where`."""
    head: Head | None


@dataclass(slots=True)
class Tables:
    """For one project. See the module."""

    engine: Engine
    artifacts: Artifacts
    workshop: Workshop
    cache: Cache

    # --- for people -----------------------------------------------------------------------------------------------

    def look(self, text: str, at: str | None, *, head: int, columns: Sequence[str] | None) -> Looked:
        """`PATH@VERSION` is understood; `at` None: what stands here, or in the bucket. `Refused` (`no-table`,
        `unreadable-table`, `hard-table`, `no-such-column`, `no-such-path`).
        """
        text, at = Restoring(self.engine).meant(text, at)
        path = checked(text)
        named_table(path)
        content = self.now(path) if at is None else self.before(path, at)
        for again in (True, False):
            try:
                facts, source = self.facts(content)
                rows = self.head(content, head, columns) if head else None
            except Stale:
                if not again:
                    raise Transient(f"{path} is being changed", code="changing", retry_after_s=1) from None
                content = self.now(path) if at is None else self.before(path, at)
                continue
            return Looked(content, facts, source, rows)
        raise AssertionError

    def compare(self, before: Content, after: Content, key: Sequence[str]) -> TableDifference:
        """`key`: columns by which rows are compared; empty: they are not. As `look`, and `no-key`, `too-many-rows`."""
        old, _ = self.facts(before)
        new, _ = self.facts(after)
        by_key = self._by_key(before, after, key, (old.rows or 0) + (new.rows or 0)) if key else None
        return TableDifference(old, new, changes(old, new), by_key)

    # --- states -----------------------------------------------------------------------------------------------------

    def now(self, path: Path) -> Content:
        """What stands in the folder, else in the bucket. `Refused` (`no-such-path`)."""
        local = self.local(path)
        if local is not None:
            return self.of_file(path, local)
        try:
            return self.of_object(self.artifacts.stat(path))
        except Refused as exc:
            if exc.code != "no-such-artifact":
                raise
            what = f"there is no {path!r}, neither here nor in the bucket"
            raise Refused(what, code="no-such-path", hint="check the spelling") from exc

    def before(self, path: Path, at: str) -> Content:
        """A state of before, as `Versions.choose` says."""
        found = Versions(self.engine).of(path)
        if not found.states:
            what = f"nothing is known of {path!r}" + (f"; {found.missing}" if found.missing else "")
            raise Refused(what, code="no-such-path", hint="check the spelling")
        return self.of_state(Versions(self.engine).choose(found, at))

    def state_with(self, path: Path, digest: Digest, most_bytes: int) -> Content | None:
        """A state of before with this content, if it is known to be kept somewhere and is no larger."""
        states = Versions(self.engine).of(path).states
        state = next((state for state in states if state.digest == digest and state.kept), None)
        return self.of_state(state) if state is not None and 0 <= (state.size or 0) <= most_bytes else None

    def local(self, path: Path) -> Local | None:
        """The file in the folder, observed; None: there is none."""
        if self.engine.project.mode is Mode.BUCKET:
            return None

        def known() -> Known | None:
            return self.engine.journal.known(path) if self.engine.journal is not None else None

        found = self.engine.folder.observe(path, Contents(self.engine).ask(known))
        return found if isinstance(found, Local) else None

    def of_file(self, path: Path, local: Local) -> Content:
        """The file in the folder."""
        secret = self.is_secret_now(path, local.digest)
        opening = lambda: self._file(path, local)
        return Content(path, "the file here", local.digest, local.size, None, "folder", secret, opening)

    def of_object(self, artifact: Artifact) -> Content:
        """The object as it stands."""
        secret = self.is_secret_now(artifact.path, artifact.digest)
        opening = lambda: self._object(artifact)
        label = f"version {artifact.version}"
        return Content(
            artifact.path, label, artifact.digest, artifact.size, artifact.version, "bucket", secret, opening
        )

    def of_state(self, state: PathVersion) -> Content:
        """A state that `Versions` found."""
        if state.current:
            artifact = self.artifacts.stat(state.path)
            if artifact.version == state.version:
                return self.of_object(artifact)
        secret = self.is_secret_now(state.path, state.digest)
        label = f"version {state.version or state.digest}"
        opening = lambda: self._brought(state)
        return Content(state.path, label, state.digest, state.size, state.version, "before", secret, opening)

    def is_secret_now(self, path: Path, digest: Digest | None) -> bool:
        """Nothing of this content is kept or told, as things stand."""
        engine = self.engine
        return Contents(engine).ask(lambda: is_secret(engine.journal, engine.keyring, path, [digest]))

    # --- facts and rows -----------------------------------------------------------------------------------------

    def facts(
        self, content: Content, *, workshop: Workshop | None = None, asked: bool = True
    ) -> tuple[TableFacts, str]:
        """A content's facts and their source. `asked` False: the bucket is known to keep none."""
        digest = None if content.secret else content.digest
        if digest is not None:
            found = self.remembered(digest, content.size, bucket=asked)
            if found is not None:
                return found, "kept"
        done = self._do(content, {"do": "facts"}, workshop)
        facts = decode(done)
        if facts is None or (content.size is not None and facts.size != content.size):
            raise Refused("the worker told nothing that can be understood of it", code="unreadable-table")
        # Once more: to look takes its time, and a pattern may cover it by now.
        if digest is not None and not self.is_secret_now(content.path, digest):
            self.cache.put(digest, facts)
        return facts, content.where

    def remembered(self, digest: Digest, size: int | None, *, bucket: bool = True) -> TableFacts | None:
        """Facts that were kept, here or in the bucket. What contradicts the content's size is not believed."""
        found = self.cache.get(digest)
        if found is not None and size in (None, found.size):
            return found
        store = self.engine.bucket if bucket else None
        try:
            found = kept.read(store, digest) if store is not None else None
        except Transient:
            return None  # the file may be here
        if found is None or size not in (None, found.size):
            return None
        self.cache.put(digest, found)
        return found

    def head(self, content: Content, rows: int, columns: Sequence[str] | None) -> Head:
        """The first rows, of these columns or the first of them."""
        done = self._do(content, {"do": "head", "rows": rows, "columns": columns}, None)
        names, found = done.get("columns"), done.get("rows")
        if not (isinstance(names, list) and isinstance(found, list) and all(isinstance(row, list) for row in found)):
            raise Refused("the worker told nothing that can be understood of it", code="unreadable-table")
        return Head([str(name) for name in names], found[:rows])

    def _by_key(self, before: Content, after: Content, key: Sequence[str], rows: int) -> ByKey:
        with ExitStack() as stack:
            files = [stack.enter_context(self._whole(content)) for content in (before, after)]
            request = {"do": "compare", "path": before.path, "key": list(key), "rows": rows}
            what = None if None in (before.digest, after.digest) else f"{before.digest} {after.digest} {list(key)}"
            done = self._told(lambda: self.workshop.do(request, files, key=what, timeout_s=COMPARE_S), before.path)
        counts = [done.get(name) for name in ("added", "removed", "changed")]
        if not all(isinstance(count, int) for count in counts) or not isinstance(done.get("columns"), list):
            raise Refused("the worker told nothing that can be understood of them", code="unreadable-table")
        added, removed, changed = counts
        return ByKey(list(key), [str(name) for name in done["columns"]], added, removed, changed, done.get("samples"))  # type: ignore[arg-type]

    def _do(self, content: Content, request: dict[str, Any], workshop: Workshop | None) -> dict[str, Any]:
        shop = workshop or self.workshop
        with content.open() as (fd, fill):
            whole = {**request, "path": content.path}
            return self._told(lambda: shop.do(whole, [fd], key=content.digest, fill=fill), content.path)

    def _told(self, work: Callable[[], dict[str, Any]], path: Path) -> dict[str, Any]:
        """Whatever a library says of a file: with its path, and fit to be shown."""
        try:
            return work()
        except Refused as exc:
            hint = exc.hint or "look at the file with a tool of your own"
            raise Refused(printable(f"{path}: {exc}", keep=""), code=exc.code, hint=hint) from exc

    # --- bytes ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _file(self, path: Path, local: Local) -> Iterator[tuple[int, None]]:
        with self.engine.folder.open(path, local) as stream, _as_file(stream, self.engine.journals) as fd:
            yield fd, None
            if not self.engine.folder.stands(path, local.stat):
                raise Stale(f"{path} changed while it was read")

    @contextmanager
    def _object(self, artifact: Artifact) -> Iterator[tuple[int, Callable[[int, int], None]]]:
        """A file of the object's size without any of its bytes, and what fetches those that are needed."""
        with _scratch(self.engine.journals) as file:
            try:
                file.truncate(artifact.size)
            except OSError as exc:
                what = f"{artifact.path} is too large to be looked at here"
                raise Refused(what, code="unreadable-table", hint="get it, or look from another machine") from exc
            moved = 0

            def fill(start: int, end: int) -> None:
                nonlocal moved
                moved += end - start
                if moved > BUDGET_BYTES:
                    what = f"{artifact.path}: looking at it would move more than {BUDGET_BYTES >> 20} MiB"
                    raise Refused(what, code="too-much", hint=f"dorkyctl get {artifact.path}")
                at = start
                with self.artifacts.open(artifact, start, end) as chunks:
                    for chunk in chunks:
                        at += _write(file.fileno(), memoryview(chunk)[: end - at], at)
                        if at >= end:
                            break
                if at < end:
                    raise Transient(f"{artifact.path}: the connection ended early", retry_after_s=1)

            yield file.fileno(), fill

    @contextmanager
    def _brought(self, state: PathVersion) -> Iterator[tuple[int, None]]:
        contents = Contents(self.engine)
        brought = contents.bring(wanted_of(state))
        try:
            with self.engine.folder.open_staged(brought.staged) as stream, _as_file(stream, self.engine.journals) as fd:
                yield fd, None
        finally:
            contents.drop([brought.staged])

    @contextmanager
    def _whole(self, content: Content) -> Iterator[int]:
        """All of its bytes."""
        with content.open() as (fd, fill):
            if fill is not None:
                fill(0, os.fstat(fd).st_size)
            yield fd


def named_table(path: str) -> None:
    """`Refused` (`no-table`) when the name says that it is none."""
    if format_of(path) is None:
        raise Refused(f"{path!r} is not called a table", code="no-table", hint=f"supported are {SUPPORTED}")


def _write(fd: int, data: memoryview, at: int) -> int:
    done = 0
    while done < len(data):
        try:
            done += os.pwrite(fd, data[done:], at + done)
        except OSError as exc:
            raise DiskFull("no space left to look at the table", hint="free some, and try again") from exc
    return done


def _scratch(place: FilePath) -> Any:
    """A file without a name, which ends with its last user; not in `/tmp`, which others share and memory may hold."""
    return tempfile.TemporaryFile(dir=place)


@contextmanager
def _as_file(stream: BinaryIO, place: FilePath) -> Iterator[int]:
    """A descriptor of what a stream yields; small files may come from memory."""
    try:
        fd = stream.fileno()
    except OSError:
        with _scratch(place) as file:
            _write(file.fileno(), memoryview(stream.read()), 0)
            yield file.fileno()
        return
    yield fd


def failed(exc: DorkyError) -> bool:
    """The table cannot be read, whatever is tried: whoever only wanted more than bytes tells goes without."""
    return isinstance(exc, Refused) and exc.code in {
        "unreadable-table",
        "hard-table",
        "out-of-memory",
        "changed",
        "no-table",
    }
