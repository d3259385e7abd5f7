"""`python -m tests.kills.launch`: the real daemon, with a trap around each of its steps (`tests.kills.trap`).

Nothing of this is in dorkyd: what the composition root makes is wrapped before `main` runs, and so are the system's calls.
`DORKY_KILLS` is the directory of the trap; `DORKY_KILLS_TUNE` a JSON object of module constants to set (times and sizes, so
that what takes months or gigabytes takes seconds and kilobytes).
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import pathlib
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import dorkyd.daemon
from dorkyd import folder, renames
from dorkyd.buckets.wrapped import Wrapped
from dorkyd.core.settings import Project
from tests.kills.ports import BUCKET, FOLDER, OS_STEPS
from tests.kills.trap import Trap

WRITES = re.compile(
    r"\s*(INSERT(?: OR \w+)? INTO|UPDATE|DELETE FROM|CREATE (?:TABLE|INDEX|UNIQUE INDEX)(?: IF NOT EXISTS)?|DROP TABLE|"
    r"ALTER TABLE)\s+[\"\[]?([\w.]+)",
    re.IGNORECASE,
)
"""A statement that changes the database: its verb and what it is about."""


def kind_of(sql: str) -> str | None:
    """`INSERT base`; None: it changes nothing that lasts."""
    found = WRITES.match(sql)
    if found is None or found[2].startswith("temp."):
        return None
    return f"{found[1].split()[0].upper()} {found[2]}"


def trap_ports(trap: Trap) -> None:
    """What the composition root makes."""
    made = dorkyd.daemon.open_bucket

    def open_bucket(project: Project, *, create: bool = False) -> Any:
        bucket = TrappedBucket(made(project, create=create))
        bucket.trap = trap
        return bucket

    dorkyd.daemon.open_bucket = open_bucket  # type: ignore[assignment]
    dorkyd.daemon.LocalFolder = lambda root: TrappedFolder(folder.LocalFolder(root), trap)  # type: ignore[assignment,misc]


class TrappedBucket(Wrapped):
    """A bucket whose writes are steps, and which may die while bytes flow."""

    trap: Trap

    @contextmanager
    def get(self, key: str, **options: Any) -> Iterator[Any]:
        with super().get(key, **options) as reading:
            yield _Flowing(reading, self.trap)

    def put(self, key: str, body: Any, **options: Any) -> Any:
        with self.trap.around("bucket.put", "before", "after"):
            return super().put(key, _FlowingBody(body, self.trap), **options)


def _trapped(name: str) -> Callable[..., Any]:
    def call(self: TrappedBucket, *args: Any, **kwargs: Any) -> Any:
        with self.trap.around(f"bucket.{name}", "before", "after"):
            return getattr(Wrapped, name)(self, *args, **kwargs)

    return call


for _name in BUCKET.changing - {"put"}:
    setattr(TrappedBucket, _name, _trapped(_name))


class _Flowing:
    """A download that may end after each chunk."""

    def __init__(self, reading: Any, trap: Trap) -> None:
        self._reading, self._trap = reading, trap

    @property
    def info(self) -> Any:
        return self._reading.info

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._reading:
            self._trap.middle("bucket.get")
            yield chunk


class _FlowingBody:
    """An upload that may end while its bytes are read."""

    def __init__(self, body: Any, trap: Trap) -> None:
        self._body, self._trap = body, trap

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    def open(self) -> Any:
        return _FlowingStream(self._body.open(), self._trap)


class _FlowingStream:
    def __init__(self, stream: Any, trap: Trap) -> None:
        self._stream, self._trap = stream, trap

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stream.close()

    def read(self, count: int = -1) -> bytes:
        data: bytes = self._stream.read(count)
        if data:
            self._trap.middle("bucket.put")
        return data


class TrappedFolder:
    """A folder whose effects are steps."""

    def __init__(self, inner: folder.LocalFolder, trap: Trap) -> None:
        self._inner, self._trap = inner, trap

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in FOLDER.changing:
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            with self._trap.around(f"folder.{name}", "before", "after"):
                made = found(*args, **kwargs)
            return _StagedStream(made, self._trap) if name == "stage" else made

        return call


class _StagedStream(_FlowingStream):
    def write(self, data: bytes) -> int:
        count: int = self._stream.write(data)
        self._stream.flush()
        self._trap.middle("folder.stage")
        return count


def trap_sql(trap: Trap) -> None:
    """Commits, and statements outside of transactions."""

    class Connection(sqlite3.Connection):
        changed = False

        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            return self._step(sql, lambda: super(Connection, self).execute(sql, *args))

        def executemany(self, sql: str, *args: Any) -> sqlite3.Cursor:
            return self._step(sql, lambda: super(Connection, self).executemany(sql, *args))

        def _step(self, sql: str, run: Callable[[], sqlite3.Cursor]) -> sqlite3.Cursor:
            kind = kind_of(sql)
            if kind is not None and self.in_transaction:
                self.changed = True
                trap.wrote(kind)
                return run()
            if kind is not None:
                trap.wrote(kind)
                with trap.around(f"sql {kind}", "before", "after"):
                    return run()
            if sql.strip().upper() == "COMMIT" and self.changed:
                self.changed = False
                with trap.around("sql COMMIT", "before", "after"):
                    return run()
            return run()

    sqlite3.connect = functools.partial(sqlite3.connect, factory=Connection)  # type: ignore[assignment]


def trap_system(trap: Trap) -> None:
    """System calls that change a file system. Before one is after the one before it, so there is a point after each only;
    before an fsync, since a kill loses nothing that a page cache has.
    """

    def wrapped(op: str, call: Callable[..., Any], when: str = "after") -> Callable[..., Any]:
        @functools.wraps(call)
        def step(*args: Any, **kwargs: Any) -> Any:
            with trap.around(op, when):
                return call(*args, **kwargs)

        return step

    for name in OS_STEPS - {"open", "fsync"}:
        setattr(os, name, wrapped(f"os.{name}", getattr(os, name)))
    os.fsync = wrapped("os.fsync", os.fsync, "before")
    pathlib.Path.write_text = wrapped("Path.write_text", pathlib.Path.write_text)  # type: ignore[method-assign]
    renames._call = wrapped("renameat2", renames._call)
    made = os.open

    def opened(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if not flags & os.O_CREAT:
            return made(path, flags, *args, **kwargs)
        with trap.around("os.open", "after"):
            return made(path, flags, *args, **kwargs)

    os.open = opened  # type: ignore[assignment]
    # Looked up in these sets: whether a call takes descriptors is told by the call itself.
    for names in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
        names.update(getattr(os, call.__name__) for call in list(names) if hasattr(os, call.__name__))


def trap_requests(trap: Trap) -> None:
    """Requests that write."""
    import botocore.client
    import obstore

    from dorkyd.buckets import gcs_calls

    api_call = botocore.client.BaseClient._make_api_call

    def called(self: Any, operation: str, params: Any) -> Any:
        if operation.startswith(("Get", "List", "Head")):
            return api_call(self, operation, params)
        with trap.around(f"s3 {operation}", "before", "after"):
            return api_call(self, operation, params)

    botocore.client.BaseClient._make_api_call = called
    put = obstore.put

    def put_one(*args: Any, **kwargs: Any) -> Any:
        with trap.around("obstore.put", "before", "after"):
            return put(*args, **kwargs)

    obstore.put = put_one
    send = gcs_calls.Calls._send

    def sent(self: Any, request: Any) -> Any:
        if request.method == "GET":
            return send(self, request)
        with trap.around("gcs", "before", "after"):
            return send(self, request)

    gcs_calls.Calls._send = sent  # type: ignore[method-assign]


def tune(constants: dict[str, Any]) -> None:
    """Set constants of modules; a few words are not constants."""
    for name, value in constants.items():
        if name == "small-parts":
            _small_parts()
        elif name == "stepwise":
            renames._call = lambda _old, _new, *, exchange: False
        else:
            module, _, constant = name.rpartition(".")
            loaded = importlib.import_module(module)
            if not hasattr(loaded, constant):
                raise AttributeError(name)
            setattr(loaded, constant, value)


def _small_parts() -> None:
    """Kilobytes are large uploads, and come down in ranges."""
    from dorkyd.buckets.fastlane import FastLane
    from dorkyd.buckets.gcs import GcsBucket
    from dorkyd.buckets.ranges import Shape

    kib = 1024
    shape = Shape(256 * kib, 256 * kib)
    s3 = functools.partialmethod(FastLane.__init__, parts_over_bytes=5120 * kib, part_bytes=5120 * kib, shape=shape)
    FastLane.__init__ = s3  # type: ignore[method-assign,assignment]
    gcs = functools.partialmethod(GcsBucket.__init__, sessions_over=512 * kib, part_bytes=256 * kib, shape=shape)
    GcsBucket.__init__ = gcs  # type: ignore[method-assign,assignment]


def main(arguments: Sequence[str] = ()) -> int:
    """Run the daemon."""
    trap = Trap(Path(os.environ["DORKY_KILLS"]))
    tune(json.loads(os.environ.get("DORKY_KILLS_TUNE", "{}")))
    trap_ports(trap)
    trap_requests(trap)
    trap_sql(trap)
    trap_system(trap)
    return dorkyd.daemon.main(list(arguments))


if __name__ == "__main__":
    sys.exit(main())
