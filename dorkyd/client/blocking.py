"""The client that blocks."""

from __future__ import annotations

import contextlib
import io
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar
from weakref import ref

import httpx2

from dorkyd.api import calls, commit_calls, history_calls, manual_calls, table_calls
from dorkyd.api import commit_messages as c
from dorkyd.api import history_messages as h
from dorkyd.api import manual_messages as mm
from dorkyd.api import messages as m
from dorkyd.api import table_messages as t
from dorkyd.api.calls import Call
from dorkyd.api.failures import ApiError, Failed
from dorkyd.api.freeze_messages import LEASE_S, LIMIT_S
from dorkyd.client import artifacts, batches, freezes, many, receiving
from dorkyd.client.answers import not_ours, raise_for
from dorkyd.client.artifacts import Fetched
from dorkyd.client.bodies import Source, Watching, Writable
from dorkyd.client.many import AT_ONCE, Download, Upload
from dorkyd.client.places import Target, working_directory
from dorkyd.client.plans import Answer, Ask, Done, Patience, Pause, Plan, Step, advance
from dorkyd.client.reading import BUFFER_BYTES, RangeReader
from dorkyd.client.replies import Reply, data_of
from dorkyd.client.waiting import Until
from dorkyd.client.wire import (
    LIMITS,
    MOST_CONNECTIONS,
    RETRY_FOR_S,
    ask_of,
    is_foreign,
    new_id,
    no_answer,
    own_uid,
    place_of,
    request_of,
)

if TYPE_CHECKING:
    from dorkyd.api.import_messages import ImportedHistory, ImportPlan
    from dorkyd.tables.sources import Desk

M = TypeVar("M", bound=m.Answer)
T = TypeVar("T")

_CONNECTED = (
    "connection.connect_unix_socket.complete",
    "connection.connect_tcp.complete",
    "connection.start_tls.complete",
)


class DorkyClient:
    """Talks to the daemon of this user. Usable from several threads; close it, or use it in a `with` block.

    `where` None: the running daemon's own word in its state directory, else the default place; a path: that socket; a URL
    (`http://localhost:3000`): over TCP, with `token`, else `DORKY_TOKEN`, else the token that the daemon made. `uid`: whose
    process must answer on a socket before anything is sent; None: this user's. `retry_for_s`: how long operations on
    artifacts are tried again while the daemon or the bucket is away, seconds of waiting; 0: never.
    """

    def __init__(
        self,
        where: str | None = None,
        *,
        token: str | None = None,
        uid: int | None = None,
        retry_for_s: float = RETRY_FOR_S,
    ) -> None:
        self.place = place_of(where, token)
        self.retry_for_s = retry_for_s
        self._extensions = {"trace": partial(self._traced, own_uid(uid))}
        self._interrupted = threading.Event()
        self._sockets: tuple[ref[socket.socket], ...] = ()
        """Of the connections there are: replaced whole, so that a signal's handler may read it without a lock."""
        self._connecting = threading.Lock()
        self._http = httpx2.Client(
            transport=httpx2.HTTPTransport(
                uds=self.place.socket_path, verify=self.place.is_tls, trust_env=False, limits=LIMITS
            ),
            base_url=self.place.base_url,
            headers=self.place.headers,
            trust_env=False,
        )

    @cached_property
    def desk(self) -> Desk:
        """What tables ask (`dorkyd.tables`)."""
        from dorkyd.tables.sources import Desk  # noqa: PLC0415  for who reads tables

        return Desk(self._run, self.retry_for_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._http.close()

    def interrupt(self) -> None:
        """End what other threads are doing with this client, at once and wherever they wait: it fails with `interrupted`. Of no
        use afterwards but to be closed. What the daemon has whole it may carry out all the same. For a signal's handler too.
        """
        self._interrupted.set()
        for each in self._sockets:
            _shut(each())

    def send(self, call: Call[M]) -> Reply[M]:
        """Send one call, once. Raises `ApiError`."""
        return Reply(self._ask(ask_of(call)).body, call.answer)

    def lines(self, call: Call[M]) -> Iterator[Reply[M]]:
        """Each NDJSON line, or the data of each server-sent event, until the daemon ends. Close it to stop early."""
        request_id = new_id()
        try:
            with self._http.stream(**request_of(ask_of(call), request_id), extensions=self._extensions) as response:
                if response.status_code >= 400:
                    raise_for(response.status_code, response.headers, response.read(), request_id)
                for line in response.iter_lines():
                    if data := data_of(line):
                        yield Reply(data, call.answer)
        except (httpx2.HTTPError, OSError) as exc:
            raise no_answer(exc, self.place, request_id) from exc

    def chunks(self, call: Call[Any]) -> Iterator[bytes]:
        """An answer's body as it comes, however long it is. Sent once. Close it to stop early."""
        request_id = new_id()
        try:
            with self._http.stream(**request_of(ask_of(call), request_id), extensions=self._extensions) as response:
                if response.status_code >= 400:
                    raise_for(response.status_code, response.headers, response.read(), request_id)
                yield from response.iter_bytes()
        except (httpx2.HTTPError, OSError) as exc:
            raise no_answer(exc, self.place, request_id) from exc

    def health(self) -> m.HealthAnswer:
        """The daemon answers, and who it is."""
        return self.send(calls.health()).value

    def status(self, project: str | None = None) -> m.StatusDocument:
        """Everything at one glance, or one project of it."""
        return self.send(calls.status(project)).value

    def stop(self) -> m.Stopping:
        """End the daemon; returns before it is gone."""
        return self.send(calls.stop()).value

    def events(self) -> Iterator[m.ProjectStatus]:
        """Each project's status now, then each change."""
        for reply in self.lines(calls.events()):
            yield reply.value

    def projects(self) -> list[m.ProjectStatus]:
        """All projects, in configuration order."""
        return self.send(calls.projects()).value.items

    def add(self, path: str, bucket: str | None = None, **settings: str | None) -> m.ProjectStatus:
        """Add the folder at the absolute `path`; `bucket` None: the embedded one.

        `settings`: name, mode, endpoint_url, region, profile.
        """
        return self.send(calls.add(m.AddRequest(path=path, bucket=bucket, **settings))).value

    def import_dorky(
        self, path: str, bucket: str | None = None, *, dry_run: bool = False, **settings: str | bool | None
    ) -> ImportPlan:
        """Adopt the folder at the absolute `path`, a project of the npm tool `dorky`; `dry_run`: the plan, and nothing is
        changed. `bucket` None: as its credentials.json names it.

        `settings`: name, endpoint_url, region, profile, everything, retire, token.
        """
        from dorkyd.api import import_calls, import_messages  # noqa: PLC0415  what reads ignore rules is for few programs

        wish = import_messages.ImportRequest.model_validate(
            {"path": path, "bucket": bucket, "dry_run": dry_run, **settings}
        )
        return self.send(import_calls.import_dorky(wish)).value

    def import_history(self, project: str) -> ImportedHistory:
        """Make a commit of each push of the npm tool's history, before any other commit."""
        from dorkyd.api import import_calls  # noqa: PLC0415  as above

        return self.send(import_calls.import_history(project)).value

    def remove(self, project: str) -> m.Removed:
        """Forget a project; delete nothing."""
        return self.send(calls.remove(project)).value

    def files(
        self,
        project: str,
        prefix: str = "",
        *,
        after: str = "",
        limit: int = 1000,
        remote: bool = False,
        **pick: str | int | Sequence[str] | None,
    ) -> m.Page[m.FileItem]:
        """One page of synced paths; its `next` is the following page's `after`.

        `pick`: `match` (patterns of gitignore), `at_least` and `at_most` (bytes), `state`; a page of what is picked may have
        few items, or none, while there is a `next`.
        """
        return self.send(calls.files(project, prefix, after=after, limit=limit, remote=remote, pick=pick)).value

    def conflicts(self, project: str) -> list[m.ConflictItem]:
        """Conflict copies that wait for a person."""
        return self.send(calls.conflicts(project)).value.items

    def problems(self, project: str) -> list[m.ProblemItem]:
        """Paths that cannot sync, and why."""
        return self.send(calls.problems(project)).value.items

    def log(self, project: str, *, after: int = -1, limit: int = 100, **wanted: str | None) -> m.Page[m.LogItem]:
        """What this device did and saw, with seq above `after`, oldest first; -1: the last `limit`. Filters as for `audit`."""
        return self.send(calls.log(project, after=after, limit=limit, wanted=wanted)).value

    def follow_log(self, project: str, *, after: int = -1, limit: int = 100) -> Iterator[m.LogItem]:
        """The same, then every line that joins it."""
        for reply in self.lines(calls.follow_log(project, after=after, limit=limit)):
            yield reply.value

    def why(self, project: str, path: str) -> m.Why:
        """Everything known about one path."""
        return self.send(calls.why(project, path)).value

    def check_ignore(self, project: str, paths: Sequence[str]) -> list[m.IgnoreItem]:
        """Which rule ignores each path."""
        return self.send(calls.check_ignore(project, paths)).value.items

    def doctor(self, project: str) -> list[m.Finding]:
        """Check folder, bucket, permissions, clock and limits."""
        return self.send(calls.doctor(project)).value.items

    def sync(self, project: str, *, wait: bool = False, timeout_s: float | None = None) -> m.SyncResult:
        """Look at both sides now; `wait`: return when quiescent, blocked, or after `timeout_s`."""
        return self.send(calls.sync(project, wait=wait, timeout_s=timeout_s)).value

    def pause(self, project: str, for_s: float | None = None) -> m.ProjectStatus:
        """Nothing moves until `resume`, or for so many seconds."""
        return self.send(calls.pause(project, for_s)).value

    def resume(self, project: str) -> m.ProjectStatus:
        """End a pause."""
        return self.send(calls.resume(project)).value

    def limit(self, project: str | None, *, up: int | None = None, down: int | None = None) -> m.Bandwidth:
        """Change bandwidth limits, in bytes a second: a project's, or (None) those of all together. None leaves a
        direction as it is, 0 lifts its limit. Returns what is in force then.
        """
        return self.send(calls.limit(project, up=up, down=down)).value

    def allow(self, project: str, patterns: Sequence[str]) -> m.Allowed:
        """Let paths that look like secrets be uploaded in plain: gitignore patterns. Returns all there are."""
        return self.send(calls.allow(project, patterns)).value

    def approve(self, project: str, token: str) -> m.ProjectStatus:
        """Let through exactly what the halt showed."""
        return self.send(calls.approve(project, token)).value

    def reject(self, project: str, token: str) -> m.ProjectStatus:
        """Delete nothing, and restore what the halt found missing."""
        return self.send(calls.reject(project, token)).value

    def resolve(self, project: str, path: str, keep: str) -> list[m.ConflictItem]:
        """Settle a conflict (`keep`: mine, theirs, both); returns those that remain."""
        return self.send(calls.resolve(project, path, keep)).value.items

    # --- the past -----------------------------------------------------------------------------------------------------

    def history(self, project: str, path: str) -> h.History:
        """The states of one path, newest first, from every place that knows of any."""
        return self.send(history_calls.history(project, path)).value

    def restore(self, project: str, path: str, at: str | None = None, to: str | None = None) -> h.Restored:
        """Bring a file, or with a closing `/` a folder, back as a new version. `at`: a version, a digest, a name in a trash or
        a time (`2h`); None: the newest state that is not what stands there. `to`: another, free place.
        """
        return self.send(history_calls.restore(project, path, at, to)).value

    def undo(self, project: str, *, dry_run: bool = False) -> h.Undone:
        """Take back the last action that sync took on this device, on both sides."""
        return self.send(history_calls.undo(project, dry_run=dry_run)).value

    def trash(self, project: str, *, where: str = "folder", path: str | None = None) -> list[m.TrashItem]:
        """What can be restored, newest first; `where`: `folder` or `bucket`."""
        return self.send(history_calls.trash(project, where=where, path=path)).value.items

    def empty_trash(
        self, project: str, *, where: str = "folder", path: str | None = None, older_than_s: float | None = None
    ) -> h.Emptied:
        """Remove what is in a trash for good."""
        call = history_calls.empty_trash(project, where=where, path=path, older_than_s=older_than_s)
        return self.send(call).value

    def diff(
        self,
        project: str,
        path: str,
        before: str | None = None,
        after: str | None = None,
        *,
        reveal: bool = False,
        key: Sequence[str] = (),
    ) -> h.Difference:
        """Compare two states; without `before` the newest that is not what stands here, without `after` the file here. Values
        of secrets are masked unless `reveal`. `key`: columns by which rows of tables are compared.
        """
        return self.send(history_calls.diff(project, path, before, after, reveal=reveal, key=key)).value

    def table(
        self,
        project: str,
        path: str,
        at: str | None = None,
        *,
        head: int = 0,
        columns: Sequence[str] | None = None,
    ) -> t.Table:
        """What a table is, and with `head` so many of its first rows: of one in the bucket without moving all of it."""
        return self.send(table_calls.table(project, path, at, head=head, columns=columns)).value

    def audit(self, project: str, *, after: str = "", limit: int = 1000, **wanted: str | None) -> h.Audit:
        """Who changed what, in the order of the bucket's log; `path`, `by`, `action`, `since` and `until` filter."""
        return self.send(history_calls.audit(project, after=after, limit=limit, wanted=wanted)).value

    # --- commits --------------------------------------------------------------------------------------------------

    def commit(self, project: str, message: str) -> c.Committed:
        """Commit the project once both sides agree."""
        return self.send(commit_calls.commit(project, message)).value

    def commits(self, project: str, *, after: str | None = None, limit: int = 1000) -> m.Page[c.CommitItem]:
        """One page of commits, the newest first; its `next` is the following page's `after`."""
        return self.send(commit_calls.commits(project, after=after, limit=limit)).value

    def commit_files(self, project: str, commit: str, *, after: str = "", limit: int = 1000) -> c.CommitDocument:
        """One commit, by the beginning of its id, with a page of its files."""
        return self.send(commit_calls.commit_files(project, commit, after=after, limit=limit)).value

    def commit_diff(self, project: str, commit: str, to: str | None = None) -> list[c.DifferenceItem]:
        """What differs between two commits, or (without `to`) between one and what the bucket holds now."""
        return self.send(commit_calls.commit_diff(project, commit, to)).value.items

    def checkout(
        self, project: str, commit: str, paths: Sequence[str] = (), *, overwrite: bool = False
    ) -> c.CheckedOut:
        """Make the folder what a commit was, or these paths of it. What it replaces goes to the trash."""
        return self.send(commit_calls.checkout(project, commit, paths, overwrite=overwrite)).value

    def checkout_locked(self, project: str, lock: str, *, overwrite: bool = False) -> c.CheckedOut:
        """Make the folder exactly what the text of a `dorky.lock` says, or raise how it differs."""
        return self.send(commit_calls.checkout(project, None, lock=lock, overwrite=overwrite)).value

    def lock(self, project: str, commit: str | None = None) -> str:
        """The text of `dorky.lock` for a commit, for the last one without `commit`."""
        return self.send(commit_calls.lock(project, commit)).value.text

    def collect(
        self, project: str, *, keep_last: int | None = None, keep_days: float | None = None, dry_run: bool = False
    ) -> c.Collected:
        """Remove commits past their retention, and contents that no commit has needed for a day."""
        call = commit_calls.collect(project, keep_last=keep_last, keep_days=keep_days, dry_run=dry_run)
        return self.send(call).value

    # --- mode manual --------------------------------------------------------------------------------------------

    def changes(self, project: str, *, after: str = "", limit: int = 1000) -> m.Page[mm.ChangeItem]:
        """Paths that are staged, or not what was last pushed or pulled, in order, after `after`."""
        return self.send(manual_calls.changes(project, after=after, limit=limit)).value

    def stage(self, project: str, paths: Sequence[str]) -> mm.Staged:
        """Keep these paths of the project as they are for the next push; a folder, or `.`, stands for all that differs."""
        return self.send(manual_calls.stage(project, paths)).value

    def unstage(self, project: str, paths: Sequence[str]) -> Sequence[mm.ChangeItem]:
        """Stage these no more; files stay as they are."""
        return self.send(manual_calls.unstage(project, paths)).value.items

    def reword(self, project: str, message: str) -> m.Manual:
        """Write down the message of the next push."""
        return self.send(manual_calls.reword(project, message)).value

    def push(self, project: str, message: str | None = None) -> mm.Pushed:
        """Send what is staged. `Conflict` with `remote-moved`: pull first."""
        return self.send(manual_calls.push(project, message)).value

    def pull(self, project: str, timeout_s: float | None = None) -> m.SyncResult:
        """Bring what the bucket holds; local edits stay, and two edits become a conflict copy."""
        return self.send(manual_calls.pull(project, timeout_s)).value

    # --- artifacts ----------------------------------------------------------------------------------------------

    def upload(
        self,
        source: Source,
        to: str | None = None,
        metadata: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        if_match: str | None = None,
        *,
        if_none_match: str | None = None,
        progress: Watching | None = None,
    ) -> m.ArtifactItem:
        """Store a file, bytes, or what an open binary file holds; returns once the bucket has it.

        `to`: `PROJECT:PATH`; a folder (`PROJECT:`, `PROJECT:d/`) keeps the base name. None: a file inside a project's folder
        keeps its path and is only awaited, since sync sends it; any other becomes its base name in the only project
        (`BadRequest`, `project_required`, when there are several). `metadata` None: what the object has stays.
        `if_match`: the version or digest that is replaced, `if_none_match="*"`: nothing is (`Conflict` otherwise). Tried
        again when the connection is lost or the daemon asks for it, with one key, so that it happens once.
        """
        return self._run(
            artifacts.upload(
                source,
                to,
                metadata=metadata,
                idempotency_key=idempotency_key,
                if_match=if_match,
                if_none_match=if_none_match,
                for_s=self.retry_for_s,
                progress=progress,
                cwd=working_directory(),
            )
        )

    def download(
        self, path: str, dest: str | os.PathLike[str] | Writable, *, progress: Watching | None = None
    ) -> Fetched:
        """Fetch an artifact into a file, a folder, or an open binary file.

        A file is written beside `dest`, verified, and put in its place whole. A lost connection is taken up where it was
        lost. `BadBytes` when what came is not what the bucket says it holds.
        """
        target = self._find(path)
        return self._run(artifacts.download(target, dest, self._patience(), progress))

    def open(self, path: str) -> io.BufferedReader:
        """An artifact as a binary file that is read and sought in; only what is read is fetched.

        It is the version of now: reads raise `Conflict` (`precondition-failed`) once there is another. Close the file
        before the client.
        """
        target = self._find(path)
        item = self._run(artifacts.stat(target, self._patience()))
        version = item.version
        assert version is not None, "who looks at an object knows its version"
        fetch = lambda start, count: self._run(artifacts.part(target, version, start, count, self.retry_for_s))
        return io.BufferedReader(RangeReader(item.size, fetch), BUFFER_BYTES)

    # --- tables -------------------------------------------------------------------------------------------------

    def read_table(
        self,
        path: str,
        *,
        columns: Sequence[str] | None = None,
        filters: Any = None,
        version: str | None = None,
    ) -> Any:
        """A table as a `pyarrow.Table`: Parquet, Feather or Arrow IPC, CSV, TSV, JSON lines.

        `columns`: these alone, a field of a nested one as `a.b`. `filters`: a `pyarrow.compute.Expression`, or tuples
        `(column, op, value)`; only rows that pass. Of Parquet only the columns and row groups that are needed are fetched, of
        what stands unchanged in the project's folder nothing. `version`: a state of before, by its version or digest.

        `BadRequest` (`no-table`, `bad-table`, `unknown-column`), `NotFound`, and `Conflict` (`changed-meanwhile`) when it was
        replaced twice while it was read.
        """
        from dorkyd.tables import reading  # noqa: PLC0415  pyarrow, for who reads tables

        return reading.read_table(self.desk, path, columns, filters, version)

    def write_table(
        self,
        path: str,
        table: Any,
        *,
        metadata: Mapping[str, str] | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> m.ArtifactItem:
        """Store a table at `PROJECT:PATH`; returns once the bucket holds it. Nothing is stored when `table` fails midway.

        `table`: a `pyarrow.Table` or `RecordBatchReader`, a frame of pandas or polars, anything with `__arrow_c_stream__`. The
        name says the format: Parquet (also without a suffix), `.feather`, `.arrow`, `.csv`, `.tsv`, `.jsonl`. The same rows
        make the same bytes, so that writing them again moves nothing new. Conditions and `metadata` as for `upload`.
        """
        from dorkyd.tables import writing  # noqa: PLC0415  pyarrow, for who writes tables

        target = self.desk.find(path)
        with writing.written(target.path, table) as file:
            return self.upload(
                file,
                str(target),
                metadata,
                if_match=if_match,
                if_none_match=if_none_match,
                idempotency_key=idempotency_key,
            )

    def dataset(
        self,
        prefix: str,
        *,
        format: str | None = None,  # noqa: A002  pyarrow's word
        schema: Any = None,
        partitioning: Any = "hive",
    ) -> Any:
        """The tables below `PROJECT:FOLDER/` as one `pyarrow.dataset.Dataset`, each pinned to the version that is known now.

        Columns and filters are pushed down when it is scanned; partitions (`year=2026/`) that no row of can pass are not
        opened. `format` None: as the names say, which must agree. `schema` None: that of the first file. Close the client
        after it: reading it raises `Conflict` (`changed-meanwhile`) for a file that was replaced since.
        """
        from dorkyd.tables import dataset  # noqa: PLC0415  pyarrow, for who reads tables

        return dataset.dataset(self.desk, prefix, format, schema, partitioning)

    def path(self, path: str, *, timeout_s: float | None = None) -> Path:
        """The file in the project's folder: at once when it is in sync, which asks no bucket; else as soon as it is."""
        return self._run(artifacts.local(self._find(path), timeout_s))

    def stat(self, path: str) -> m.ArtifactItem:
        """The object as the bucket holds it now."""
        return self._run(artifacts.stat(self._find(path), self._patience()))

    def metadata(self, path: str) -> dict[str, str]:
        """The user's own metadata of an object."""
        return (self.stat(path)).metadata

    def update_metadata(
        self,
        path: str,
        changes: Mapping[str, str | None],
        *,
        if_match: str | None = None,
        idempotency_key: str | None = None,
    ) -> m.ArtifactItem:
        """Merge into an object's metadata, without sending its bytes; None takes a name away."""
        target = self._find(path)
        return self._run(artifacts.update_metadata(target, changes, if_match, idempotency_key, self._patience()))

    def list(
        self, prefix: str | None = None, *, meta: Mapping[str, str] | None = None, page: int = 1000
    ) -> Iterator[m.ArtifactItem]:
        """What the bucket is known to hold below `PROJECT:PREFIX` (None: all of the only project), in order, without asking it.

        `meta`: only what has all of this metadata. Fetched a page at a time, as it is read.
        """
        target, after = self._run(artifacts.below(prefix)), ""
        while True:
            found = (self.send(calls.artifacts(target.project, target.path, after=after, limit=page, meta=meta))).value
            yield from found.items
            if found.next is None:
                return
            after = found.next

    def versions(self, path: str) -> Sequence[m.VersionItem]:
        """The states of an artifact that are known, newest first; `trashed` names the copy in the bucket's trash."""
        target = self._find(path)
        return (self.send(calls.versions(target.project, target.path))).value.items

    def delete(self, path: str, *, if_match: str | None = None, idempotency_key: str | None = None) -> None:
        """Delete an object; the folder follows, and the trash keeps it."""
        self._run(artifacts.delete(self._find(path), if_match, idempotency_key, self._patience()))

    def wait(self, path: str, until: Until = "uploaded", *, timeout_s: float | None = None) -> m.Why:
        """Wait until the bucket holds what the file in the folder holds, or (`downloaded`) the other way round.

        `path` is the file, or `PROJECT:PATH`. `Temporary` (`wait-timeout`), or what keeps it from ever being so.
        """
        return self._run(artifacts.wait(path, until, timeout_s, working_directory()))

    def upload_many(
        self,
        sources: Iterable[Upload],
        to: str | None = None,
        *,
        metadata: Mapping[str, str] | None = None,
        concurrency: int = AT_ONCE,
        progress: Watching | None = None,
        return_exceptions: bool = False,
    ) -> Sequence[m.ArtifactItem | ApiError]:
        """`upload` each, so many at one time; a source may be `(source, to)`. All are tried, whatever becomes of one.

        Raises an `ExceptionGroup` of what failed, or (`return_exceptions`) gives each failure in its place.
        """
        plans = many.uploads(
            sources, to, metadata=metadata, for_s=self.retry_for_s, progress=progress, cwd=working_directory()
        )
        return many.outcomes(self._run_many(plans, concurrency), return_exceptions=return_exceptions)

    def download_many(
        self,
        paths: Iterable[Download],
        dest: str | os.PathLike[str] = ".",
        *,
        concurrency: int = AT_ONCE,
        progress: Watching | None = None,
        return_exceptions: bool = False,
    ) -> Sequence[Fetched | ApiError]:
        """`download` each into the folder `dest`, where each keeps its path in its project; one may be `(path, file)`.

        As `upload_many`.
        """
        plans = many.downloads(paths, dest, for_s=self.retry_for_s, progress=progress, cwd=working_directory())
        return many.outcomes(self._run_many(plans, concurrency), return_exceptions=return_exceptions)

    @contextlib.contextmanager
    def batch(self, project: str | None = None) -> Iterator[Batch]:
        """Publish several artifacts as one: teammates' folders, and the one here, receive all of them or none.

        They are stored by the batch's `upload` and `upload_many`, and published together when the block ends. When it ends
        with an exception, or takes longer than 14 minutes (`NotFound`, `no-such-batch`), what was stored is published file by
        file, a quarter of an hour after each was stored. At most 500 artifacts (`batch-full`). `project` None: the only one.
        """
        began = self._run(batches.begin(project, self._patience()))
        yield Batch(self, began)
        self._run(batches.commit(began, self._patience()))

    @contextlib.contextmanager
    def freeze(
        self,
        project: str | None = None,
        *,
        holder: str | None = None,
        lease_s: float = LEASE_S,
        limit_s: float = LIMIT_S,
    ) -> Iterator[freezes.Freeze]:
        """Hold a project while this writes a data set of several files into its folder: nothing of it leaves before the block
        ends, and then all of it together, in atomic batches of at most 500 files.

        The block's end returns once the bucket has all of it, also after an exception. A program that dies lets go by itself
        within `lease_s` seconds, and nothing is held for longer than `limit_s`: raises `NotFound` (`no-such-freeze`) at the
        end when it was over before that. What comes from the bucket comes meanwhile; uploads by clients are refused
        (`frozen`). `holder`: who this is, for people. `project` None: the only one.
        """
        freeze = self._run(
            freezes.begin(project, new_id(), holder, lease_s=lease_s, limit_s=limit_s, patience=self._patience())
        )
        over = threading.Event()
        renewing = threading.Thread(target=self._renew, args=(freeze, over), name="freeze", daemon=True)
        renewing.start()
        try:
            yield freeze
        finally:
            over.set()
            renewing.join()
            self._run(freezes.release(freeze, Patience(max(self.retry_for_s, limit_s))))

    def _renew(self, freeze: freezes.Freeze, over: threading.Event) -> None:
        while not over.wait(freeze.renew_every_s) and freeze.lost is None:
            self._run(freezes.renew(freeze))

    # --- inside -------------------------------------------------------------------------------------------------

    def _patience(self) -> Patience:
        return Patience(self.retry_for_s)

    def _find(self, path: str) -> Target:
        return self._run(artifacts.find(path, working_directory()))

    def _run(self, plan: Plan[T]) -> T:
        """Carry out a plan."""
        with contextlib.closing(plan):
            step = advance(plan, None)
            while not isinstance(step, Done):
                step = advance(plan, self._done(step))
            return step.value

    def _done(self, step: Step) -> Answer | ApiError | None:
        try:
            if not isinstance(step, Pause):
                return self._ask(step)
            self._interrupted.wait(step.seconds)
        except ApiError as exc:
            return exc if not self._interrupted.is_set() else _interrupted()
        return None if not self._interrupted.is_set() else _interrupted()

    def _ask(self, ask: Ask) -> Answer:
        request_id = new_id()
        content = ask.body.chunks() if ask.body is not None else None
        try:
            with self._http.stream(**request_of(ask, request_id), content=content, extensions=self._extensions) as got:
                if got.status_code >= 400 or ask.sink is None:
                    raise_for(got.status_code, got.headers, got.read(), request_id)
                    return Answer(got.status_code, got.headers, got.content)
                ask.sink.begin(got.status_code, got.headers)
                for chunk in receiving.chunks(got, ask.patience_s):
                    ask.sink.write(chunk)
                return Answer(got.status_code, got.headers, b"")
        except (httpx2.HTTPError, OSError) as exc:
            raise no_answer(exc, self.place, request_id) from exc

    def _traced(self, uid: int, event: str, info: Mapping[str, Any]) -> None:
        """https://www.encode.io/httpcore/extensions/#trace: on the thread that asks, between connecting and the first byte."""
        _own_daemon(uid, event, info)
        if event not in _CONNECTED:
            return
        made = info["return_value"].get_extra_info("socket")
        with self._connecting:
            self._sockets = (*(each for each in self._sockets if each() is not None), ref(made))
        if self._interrupted.is_set():
            _shut(made)

    def _run_many(self, plans: Sequence[Callable[[], Plan[T]]], concurrency: int) -> Sequence[T | ApiError]:
        """Each one's result or failure, in order."""

        def one(make: Callable[[], Plan[T]]) -> T | ApiError:
            try:
                return self._run(make())
            except ApiError as exc:
                return exc

        pool = ThreadPoolExecutor(max(1, min(concurrency, MOST_CONNECTIONS, len(plans))), "dorky-client")
        try:
            return list(pool.map(one, plans))
        finally:
            # What has not begun when this is interrupted does not begin.
            pool.shutdown(cancel_futures=True)


def _shut(made: socket.socket | None) -> None:
    """Wake whoever waits for it: closing it would not."""
    if made is not None:
        with contextlib.suppress(OSError):  # it is closed already
            made.shutdown(socket.SHUT_RDWR)


def _interrupted() -> ApiError:
    return Failed("Interrupted.", code="interrupted")


def _own_daemon(uid: int, event: str, info: Mapping[str, Any]) -> None:
    if is_foreign(uid, event, info):
        info["return_value"].close()
        raise not_ours()


class Batch:
    """An atomic batch on its way (`DorkyClient.batch`). `to` is a path in its project, or `PROJECT:PATH`; None: the base name."""

    def __init__(self, client: DorkyClient, began: batches.Began) -> None:
        self._client = client
        self._began = began

    @property
    def id(self) -> str:
        """What the daemon calls it."""
        return self._began.id

    def upload(
        self,
        source: Source,
        to: str | None = None,
        metadata: Mapping[str, str] | None = None,
        *,
        if_match: str | None = None,
        if_none_match: str | None = None,
        progress: Watching | None = None,
    ) -> m.ArtifactItem:
        """As `DorkyClient.upload`: returns once the bucket has it. No folder has it before the batch is published."""
        return self._client._run(  # noqa: SLF001 - of one module
            artifacts.upload(
                source,
                self._began.place(to),
                metadata=metadata,
                idempotency_key=None,
                if_match=if_match,
                if_none_match=if_none_match,
                for_s=self._client.retry_for_s,
                progress=progress,
                cwd=working_directory(),
                batch=self._began.id,
            )
        )

    def upload_many(
        self,
        sources: Iterable[Upload],
        to: str | None = None,
        *,
        metadata: Mapping[str, str] | None = None,
        concurrency: int = AT_ONCE,
        progress: Watching | None = None,
    ) -> list[m.ArtifactItem | ApiError]:
        """As `DorkyClient.upload_many`. Raises an `ExceptionGroup` of what failed, so that the batch is not published."""
        plans = many.uploads(
            sources,
            to,
            metadata=metadata,
            for_s=self._client.retry_for_s,
            progress=progress,
            cwd=working_directory(),
            batch=self._began,
        )
        found = self._client._run_many(plans, concurrency)  # noqa: SLF001 - of one module
        return many.outcomes(found, return_exceptions=False)
