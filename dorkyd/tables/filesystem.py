"""`dorky://PROJECT/PATH` for everything that reads by fsspec: pandas, polars, DuckDB, pyarrow.

A file that is read is one version from its first byte to its last. A file that is written appears whole when it is closed, and
not at all when its block is left by an exception. Folders are no objects: they are there while something lies below them.
"""

from __future__ import annotations

import errno
import os
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from io import BufferedIOBase
from typing import Any

from fsspec.spec import AbstractFileSystem

from dorkyd.api import calls
from dorkyd.api import messages as m
from dorkyd.api.failures import ApiError, NotFound
from dorkyd.client.blocking import DorkyClient
from dorkyd.client.places import Target
from dorkyd.client.plans import call
from dorkyd.client.wire import RETRY_FOR_S
from dorkyd.tables.sources import Desk, State

PAGE = 1000
LAST = chr(0x10FFFF)
"""Sorts behind whatever a name may hold."""
_MISSING = frozenset({"no-such-artifact", "no-such-project", "no-such-path", "no-such-version", "content-gone"})


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
            with _as_os(path):
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
            raise _missing(path)
        with _as_os(path):
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
        with _as_os(path):
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
            raise _missing(path)
        return datetime.fromtimestamp(told, UTC)

    def ukey(self, path: str) -> str:
        """The version: another when the content is."""
        return str(self.info(path)["version"])

    def checksum(self, path: str) -> int:
        """As `ukey`, as a number."""
        return hash(self.ukey(path))

    # --- bytes --------------------------------------------------------------------------------------------------

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
            with _as_os(path):
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
        with _as_os(path):
            self.client.download(str(_target(path)), lpath)

    def put_file(self, lpath: Any, rpath: str, mode: str = "overwrite", **_: Any) -> None:
        """Upload one. `mode="create"`: nothing may be there."""
        if os.path.isdir(lpath):
            return
        none = "*" if mode == "create" else None
        with _as_os(rpath):
            self.client.upload(lpath, str(_target(self._strip_protocol(rpath))), if_none_match=none)

    def cp_file(self, path1: str, path2: str, **_: Any) -> None:
        """Copy one, through this process."""
        if self.isdir(path1):
            return
        with self.open(path1, "rb") as there, self.open(path2, "wb") as to:
            while data := there.read(4 * 1024 * 1024):
                to.write(data)

    def rm_file(self, path: str) -> None:
        """Delete one; the trash keeps it."""
        path = self._strip_protocol(path)
        with _as_os(path):
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


class WrittenFile(BufferedIOBase):
    """A file on its way into a bucket: nowhere before it is closed, and whole then."""

    def __init__(
        self,
        fs: DorkyFileSystem,
        target: Target,
        mode: str,
        metadata: Mapping[str, str] | None,
        *,
        autocommit: bool,
    ) -> None:
        super().__init__()
        self.fs, self.mode = fs, mode
        self.path = f"{target.project}/{target.path}"
        self.autocommit = autocommit
        self._target = target
        self._metadata = metadata
        # Readable by this user alone, and without a name.
        self._staged = tempfile.TemporaryFile()  # noqa: SIM115  closed with this

    def writable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any, /) -> int:
        """Take some."""
        return self._staged.write(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move."""
        return self._staged.seek(offset, whence)

    def tell(self) -> int:
        """Where it stands."""
        return self._staged.tell()

    def commit(self) -> None:
        """Store it; returns once the bucket holds it. `FileExistsError` for `xb` where something is."""
        self._staged.seek(0)
        none = "*" if self.mode == "xb" else None
        try:
            with _as_os(self.path):
                self.fs.client.upload(self._staged, str(self._target), self._metadata, if_none_match=none)
        finally:
            self._staged.close()

    def discard(self) -> None:
        """Store nothing."""
        self._staged.close()
        super().close()

    def close(self) -> None:
        """Store it, unless that waits for a transaction's end. May be repeated."""
        if self.closed:
            return
        super().close()
        if self.autocommit and not self._staged.closed:
            self.commit()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.discard()
        self.close()

    def __del__(self) -> None:
        """Nobody closed it: it was never said to be whole."""
        if hasattr(self, "_staged"):
            self._staged.close()


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


def _missing(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


@contextmanager
def _as_os(path: str) -> Iterator[None]:
    """What programs that know only files expect."""
    try:
        yield
    except ApiError as exc:
        if exc.code in _MISSING:
            raise _missing(path) from exc
        if exc.code == "precondition-failed":
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from exc
        raise
