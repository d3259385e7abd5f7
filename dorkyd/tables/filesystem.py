"""`dorky://PROJECT/PATH` for everything that reads by fsspec: pandas, polars, DuckDB, pyarrow.

A file that is read is one version from its first byte to its last. A file that is written appears whole when it is closed, and
not at all when its block is left by an exception. Folders are no objects: they are there while something lies below them.
"""

from __future__ import annotations

import errno
import os
import weakref
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from io import BufferedIOBase
from typing import Any

from fsspec.compression import compr
from fsspec.core import get_compression
from fsspec.spec import AbstractFileSystem

from dorkyd.api import calls
from dorkyd.api import messages as m
from dorkyd.api.failures import NotFound
from dorkyd.client.blocking import DorkyClient
from dorkyd.client.places import Target
from dorkyd.client.plans import call
from dorkyd.client.wire import RETRY_FOR_S
from dorkyd.tables.outgoing import Packed, Text, WrittenFile, as_os, missing
from dorkyd.tables.sources import Desk, State

PAGE = 1000
LAST = chr(0x10FFFF)
"""Sorts behind whatever a name may hold."""


class DorkyFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """See the module. Usable from any thread, and copied to other processes by its options.

    `where`, `token`, `retry_for_s`: as of `DorkyClient`.
    """

    protocol = "dorky"
    root_marker = ""

    def __init__(
        self, where: str | None = None, token: str | None = None, retry_for_s: float | None = None, **options: Any
    ) -> None:
        super().__init__(where=where, token=token, retry_for_s=retry_for_s, **options)
        self._where = where
        self._token = token
        self._retry_for_s = RETRY_FOR_S if retry_for_s is None else retry_for_s

    @cached_property
    def client(self) -> DorkyClient:
        """What it asks. Made when it is first needed, and closed when nobody has this file system any more."""
        made = DorkyClient(self._where, token=self._token, retry_for_s=self._retry_for_s)
        self.close = weakref.finalize(self, made.close)
        return made

    @cached_property
    def desk(self) -> Desk:
        """What tables ask of the client."""
        return self.client.desk

    # --- looking ------------------------------------------------------------------------------------------------

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        """What lies directly in a folder; of a file, itself. `FileNotFoundError`."""
        path = self._strip_protocol(path)
        if not path:
            found = [_folder(each.name) for each in self.client.projects()]
        else:
            with as_os(path):
                found = list(self._inside(_target(path)))
            if not found:
                found = [self.info(path)]
                if found[0]["type"] == "directory":
                    found = []  # a project that is empty
        return found if detail else [each["name"] for each in found]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """One file as the bucket holds it now, or a folder. `FileNotFoundError`."""
        path = self._strip_protocol(path)
        if not path:
            return _folder("")
        target = _target(path)
        if not target.path:
            if any(each.name == target.project for each in self.client.projects()):
                return _folder(path)
            raise missing(path)
        with as_os(path):
            try:
                return _file(target.project, self.client.stat(str(target)))
            except NotFound:
                if next(self._pages(target.project, f"{target.path}/", limit=1)):
                    return _folder(path)
                raise

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **_: Any
    ) -> Any:
        """All files below a folder, listed a page at a time; `withdirs`: the folders between too."""
        if maxdepth is not None or not self._strip_protocol(path):
            return super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=detail)
        path = self._strip_protocol(path)
        target = _target(path)
        found: dict[str, dict[str, Any]] = {}
        with as_os(path):
            for page in self._pages(target.project, f"{target.path}/" if target.path else ""):
                for item in page:
                    told = _file(target.project, item)
                    if withdirs:
                        for parent in _between(path, told["name"]):
                            found.setdefault(parent, _folder(parent))
                    found[told["name"]] = told
        if not found and self.isfile(path):
            found[path] = self.info(path)
        return dict(sorted(found.items())) if detail else sorted(found)

    def created(self, path: str) -> datetime:
        """When this version was written, by the store's clock."""
        return self.modified(path)

    def modified(self, path: str) -> datetime:
        """As `created`. `FileNotFoundError` for a folder."""
        told = self.info(path).get("mtime")
        if told is None:
            raise missing(path)
        return datetime.fromtimestamp(told, UTC)

    def ukey(self, path: str) -> str:
        """The version: another when the content is."""
        return str(self.info(path)["version"])

    def checksum(self, path: str) -> int:
        """As `ukey`, as a number."""
        return hash(self.ukey(path))

    # --- bytes --------------------------------------------------------------------------------------------------

    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: Any = None,
        compression: str | None = None,
        **more: Any,
    ) -> Any:
        """As of every file system. What is written as a text or packed is stored, or not, as what is written plainly."""
        if "r" in mode or ("b" in mode and compression is None):
            return super().open(path, mode, block_size, cache_options, compression, **more)
        said = {name: more.pop(name) for name in ("encoding", "errors", "newline") if name in more}
        file = super().open(path, mode.replace("t", "").replace("b", "") + "b", block_size, cache_options, **more)
        made: Any = file
        if compression is not None and (packing := get_compression(path, compression)) is not None:
            made = Packed(compr[packing](file, mode="w"), file)
        return made if "b" in mode else Text(made, **said)

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: Any = None,
        version: str | None = None,
        metadata: Mapping[str, str] | None = None,
        **_: Any,
    ) -> BufferedIOBase:
        """`rb`, `wb`, or `xb` for what must not be there yet. `version`: a state of before. `metadata`: of what is written."""
        del block_size, cache_options  # what is read is kept in its own way
        target = _target(self._strip_protocol(path))
        if mode == "rb":
            with as_os(path):
                return self.desk.open(self.state(target, version))
        if mode not in {"wb", "xb"}:
            raise ValueError(f"{path}: an artifact is read or written whole, not opened as {mode!r}")
        if not target.path:
            raise IsADirectoryError(errno.EISDIR, "it is a project", path)
        return WrittenFile(self, target, mode, metadata, autocommit=autocommit)

    def state(self, target: Target, version: str | None) -> State:
        """Which bytes a file that is opened has."""
        if not target.path:
            raise IsADirectoryError(errno.EISDIR, "it is a project", target.project)
        return self.desk.state(target, version)

    def get_file(self, rpath: str, lpath: Any, outfile: Any = None, **more: Any) -> None:
        """Download one, verified."""
        path = self._strip_protocol(rpath)
        if outfile is not None or hasattr(lpath, "write") or self.isdir(path):
            super().get_file(rpath, lpath, outfile=outfile, **more)
            return
        os.makedirs(os.path.dirname(lpath) or ".", exist_ok=True)
        with as_os(path):
            self.client.download(str(_target(path)), lpath)

    def put_file(self, lpath: Any, rpath: str, mode: str = "overwrite", **_: Any) -> None:
        """Upload one. `mode="create"`: nothing may be there."""
        if os.path.isdir(lpath):
            return
        none = "*" if mode == "create" else None
        with as_os(rpath):
            self.client.upload(lpath, str(_target(self._strip_protocol(rpath))), if_none_match=none)

    def pipe_file(self, path: str, value: Any, mode: str = "overwrite", **more: Any) -> None:
        """Write one whole. `mode="create"`: the store refuses it where something is."""
        with self.open(path, "xb" if mode == "create" else "wb", **more) as file:
            file.write(value)

    def touch(self, path: str, truncate: bool = True, **more: Any) -> None:
        """Make an empty file; `truncate` False: only where none is."""
        try:
            with self.open(path, "wb" if truncate else "xb", **more):
                pass
        except FileExistsError as exc:
            raise NotImplementedError(f"{path}: a time is not changed alone") from exc

    def cp_file(self, path1: str, path2: str, pairs: list[tuple[str, str]] | None = None, **_: Any) -> None:
        """Copy one with its metadata, through this process. `pairs`: only say what would be copied where."""
        if pairs is not None:
            pairs.append((path1, path2))
        elif not self.isdir(path1):
            self._copy(self._strip_protocol(path1), self._strip_protocol(path2))

    def _copy(self, path: str, to: str) -> str | None:
        """The version that was copied."""
        with as_os(path):
            item = self.client.stat(str(_target(path)))
            assert item.version is not None, "who looks at an object knows its version"
            if path == to:
                return item.version
            state = State(_target(path), item.version, item.size, item.digest)
            with self.desk.open(state) as there, self.open(to, "wb", metadata=item.metadata) as into:
                while data := there.read(4 * 1024 * 1024):
                    into.write(data)
        return item.version

    def mv(self, path1: Any, path2: Any, recursive: bool = False, maxdepth: int | None = None, **_: Any) -> None:
        """Copy, then delete exactly what was copied: a file that was changed meanwhile stays, and `OSError` names it. Nothing is
        done where two would get one name.
        """
        pairs: list[tuple[str, str]] = []
        self.copy(path1, path2, recursive=recursive, maxdepth=maxdepth, on_error="raise", pairs=pairs)
        named = [(self._strip_protocol(path), self._strip_protocol(to)) for path, to in pairs]
        moves = {path: to for path, to in named if path != to and not self.isdir(path)}
        if clash := sorted(moves.keys() & set(moves.values())):
            raise OSError(errno.EINVAL, "it moves, and another would take its place", clash[0])
        if len(places := set(moves.values())) < len(moves):
            twice = next(to for to in sorted(places) if sum(to == each for each in moves.values()) > 1)
            raise OSError(errno.EINVAL, "several would move there, and one alone be left", twice)
        copied = {path: self._copy(path, to) for path, to in moves.items()}
        changed = [path for path, version in copied.items() if not self._removed(path, version)]
        if changed:
            raise OSError(errno.EBUSY, "it was changed while it moved, and is in both places", changed[0])

    def _removed(self, path: str, version: str | None) -> bool:
        """False: it is another version by now, or gone."""
        try:
            with as_os(path):
                self.client.delete(str(_target(path)), if_match=version)
        except FileExistsError:
            return not self.exists(path)
        return True

    def rm_file(self, path: str) -> None:
        """Delete one; the trash keeps it."""
        path = self._strip_protocol(path)
        with as_os(path):
            self.client.delete(str(_target(path)))

    _rm = rm_file

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Delete files; `recursive`: all below folders."""
        for each in self.expand_path(path, recursive=recursive, maxdepth=maxdepth):
            if self.isfile(each):
                self.rm_file(each)

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        """Nothing: folders are no objects."""

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Nothing: folders are no objects."""

    def rmdir(self, path: str) -> None:
        """Nothing: a folder goes with its last file."""

    # --- inside -------------------------------------------------------------------------------------------------

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        text: str = os.fspath(path)
        return text.removeprefix("dorky://").removeprefix("dorky::").strip("/")

    def _pages(self, project: str, prefix: str, after: str = "", limit: int = PAGE) -> Iterator[list[m.ArtifactItem]]:
        """What the bucket is known to hold; at least one page."""
        more: str | None = after
        while more is not None:
            found = self.desk.ask(call(calls.artifacts(project, prefix, after=more, limit=limit)))
            yield found.items
            more = found.next

    def _inside(self, target: Target) -> Iterator[dict[str, Any]]:
        """Files and folders directly in one. What lies deeper is passed over a folder at a time."""
        prefix = f"{target.path}/" if target.path else ""
        after: str | None = ""
        last = ""
        while after is not None:
            found = self.desk.ask(call(calls.artifacts(target.project, prefix, after=after, limit=PAGE)))
            for item in found.items:
                name, deeper, _ = item.path[len(prefix) :].partition("/")
                if not deeper:
                    yield _file(target.project, item)
                elif name != last:
                    last = name
                    yield _folder(f"{target.project}/{prefix}{name}")
            after = found.next
            if after is not None and last and after.startswith(f"{prefix}{last}/"):
                after = f"{prefix}{last}/{LAST}"


# --- words ------------------------------------------------------------------------------------------------------------


def _target(path: str) -> Target:
    project, _, rest = path.partition("/")
    return Target(project, rest)


def _folder(name: str) -> dict[str, Any]:
    return {"name": name, "size": 0, "type": "directory"}


def _file(project: str, item: m.ArtifactItem) -> dict[str, Any]:
    return {
        "name": f"{project}/{item.path}",
        "size": item.size,
        "type": "file",
        "version": item.version,
        "digest": item.digest,
        "mtime": None if item.updated_at is None else datetime.fromisoformat(item.updated_at).timestamp(),
        "metadata": item.metadata,
    }


def _between(top: str, name: str) -> Iterator[str]:
    """Folders below one that hold a file."""
    parent = name.rpartition("/")[0]
    while len(parent) > len(top):
        yield parent
        parent = parent.rpartition("/")[0]
