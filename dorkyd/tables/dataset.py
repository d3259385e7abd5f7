"""`client.dataset`: the tables below a folder as one `pyarrow.dataset.Dataset`.

What is there is listed once, a page at a time, from what the daemon knows; each file is read as the version that was listed, and of each
only the ranges that a scan needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast, get_args

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.dataset as ds
import pyarrow.fs as pa_fs

from dorkyd.api import calls
from dorkyd.api import messages as m
from dorkyd.api.failures import BadRequest, NotFound
from dorkyd.client import artifacts
from dorkyd.client.places import Target
from dorkyd.client.plans import call
from dorkyd.tables.kinds import Kind, by_name, is_hidden
from dorkyd.tables.pieces import HOLE_BYTES, TableFile
from dorkyd.tables.reading import told
from dorkyd.tables.sources import Desk, State, changed

PAGE = 1000


@dataclass(frozen=True, slots=True)
class _Pinned:
    size: int
    version: str | None
    digest: str | None


class _Files(pa_fs.FileSystemHandler):  # type: ignore[misc]
    """The files of one dataset, for pyarrow: what was listed, and nothing else."""

    def __init__(self, desk: Desk, project: str, files: dict[str, _Pinned]) -> None:
        self._desk = desk
        self._project = project
        self._files = files

    def get_type_name(self) -> str:
        """As pyarrow tells it."""
        return "dorky"

    def normalize_path(self, path: str) -> str:
        """It has one form."""
        return path

    def get_file_info(self, paths: list[str]) -> list[pa_fs.FileInfo]:
        """By the listing."""
        found = [(path, self._files.get(path)) for path in paths]
        return [
            pa_fs.FileInfo(path, pa_fs.FileType.NotFound)
            if file is None
            else pa_fs.FileInfo(path, pa_fs.FileType.File, size=file.size)
            for path, file in found
        ]

    def get_file_info_selector(self, selector: pa_fs.FileSelector) -> list[pa_fs.FileInfo]:
        """All of them."""
        del selector
        return self.get_file_info(list(self._files))

    def open_input_file(self, path: str) -> pa.PythonFile:
        """The version that was listed."""
        return pa.PythonFile(self._open(path), mode="r")

    def open_input_stream(self, path: str) -> pa.PythonFile:
        """The same, fetched ahead: who reads a text reads all of it."""
        file = self._open(path)
        file.pieces.announce([(0, file.size)])
        return pa.PythonFile(file, mode="r")

    def _open(self, path: str) -> TableFile:
        target, file = Target(self._project, path), self._files[path]
        if file.version is not None:
            return self._desk.open(State(target, file.version, file.size, file.digest))
        # Others have written since it was listed by the store: what is there now, if that is as large.
        state = self._desk.state(target)
        if state.size != file.size:
            raise changed(target)
        return self._desk.open(state)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def _refuse(self, *_: object) -> None:
        raise NotImplementedError("a dataset is only read")

    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = delete_file = _refuse
    move = copy_file = open_output_stream = open_append_stream = _refuse


def dataset(desk: Desk, prefix: str, wanted: str | None, schema: Any, partitioning: Any) -> ds.Dataset:
    """As `DorkyClient.dataset`."""
    target = desk.ask(artifacts.below(prefix))
    kind = _checked(wanted)
    files = dict(_listed(desk, target, kind))
    if not files:
        what = "no tables" if wanted is None else f"no files of {wanted}"
        raise NotFound(
            f"There are {what} below {target}.", code="no-such-path", hint=f"dorkyctl ls {target.project} --remote"
        )
    kinds = {cast("Kind", by_name(path)[0]) for path in files} if kind is None else {kind}
    if len(kinds) > 1:
        raise BadRequest(
            f"Below {target} are files of several formats: {', '.join(sorted(kinds))}.",
            code="mixed-formats",
            hint="Say which: dataset(..., format='parquet').",
        )
    folder = target.path.rpartition("/")[0]
    options = ds.FileSystemFactoryOptions(
        partition_base_dir=folder,
        exclude_invalid_files=False,
    )
    found = ds.partitioning(flavor="hive") if partitioning == "hive" else partitioning
    if isinstance(found, ds.PartitioningFactory):
        options.partitioning_factory = found
    elif found is not None:
        options.partitioning = found
    with told(target):
        filesystem = pa_fs.PyFileSystem(_Files(desk, target.project, files))
        factory = ds.FileSystemDatasetFactory(filesystem, sorted(files), _format(kinds.pop()), options)
        return factory.finish(schema)


def _listed(desk: Desk, target: Target, kind: Kind | None) -> Iterator[tuple[str, _Pinned]]:
    """The tables, without what is hidden below the folder."""
    after: str | None = ""
    folder = len(target.path.rpartition("/")[0])
    while after is not None:
        page: m.Page[m.ArtifactItem] = desk.ask(
            call(calls.artifacts(target.project, target.path, after=after, limit=PAGE))
        )
        for item in page.items:
            told_kind = by_name(item.path)[0]
            fits = told_kind is not None if kind is None else told_kind in {kind, None}
            if fits and item.size and not is_hidden(item.path[folder:].lstrip("/")):
                yield item.path, _Pinned(item.size, item.version, item.digest)
        after = page.next


def _checked(wanted: str | None) -> Kind | None:
    if wanted is None or wanted in get_args(Kind):
        return cast("Kind | None", wanted)
    raise BadRequest(f"{wanted!r} is no format.", code="no-format", hint=f"Write one of {', '.join(get_args(Kind))}.")


def _format(kind: Kind) -> ds.FileFormat:
    if kind == "parquet":
        cache = pa.CacheOptions(hole_size_limit=HOLE_BYTES)
        return ds.ParquetFileFormat(
            default_fragment_scan_options=ds.ParquetFragmentScanOptions(pre_buffer=True, cache_options=cache)
        )
    if kind in {"csv", "tsv"}:
        return ds.CsvFileFormat(pa_csv.ParseOptions(delimiter="\t" if kind == "tsv" else ","))
    if kind == "jsonl":
        return ds.JsonFileFormat()
    if kind == "arrow":
        return ds.IpcFileFormat()
    raise BadRequest(
        "Streams of Arrow are no dataset.", code="no-format", hint="Write .arrow files, or read each with read_table()."
    )
