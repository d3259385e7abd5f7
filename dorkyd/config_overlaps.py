"""Refusing projects that would sync each other's files, or ours.

A project folder inside another would be synced twice, a bucket directory inside a project's folder would sync its own
objects for ever, and a folder that holds our journal would upload it. All are found by one question, asked of every pair
of directories: is one the other, or inside it?
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from dorkyd.config_nodes import Table
from dorkyd.core.paths import fold
from dorkyd.core.settings import Mode, Project

Read = Sequence[tuple[Table, Project]]
"""Projects, each with the mapping it was read from."""


def refuse_overlaps(read: Read, own: Sequence[Path], *, embedded: Path) -> None:
    """Raise `Configuration` for equal names, nested prefixes and nested directories. `own` are our directories;
    `embedded` is the one among them whose direct children may be buckets.
    """
    _refuse_equal_names(read)
    _refuse_nested_prefixes(read)
    _refuse_nested_directories(read, own, embedded)


def _refuse_equal_names(read: Read) -> None:
    """Names that differ in case alone would share an embedded bucket on some disks, and confuse people on all."""
    seen: set[str] = set()
    for table, project in read:
        if fold(project.name) in seen:
            raise table.wrong("name", f"two projects are named `{project.name}`; give this one another `name:`")
        seen.add(fold(project.name))


def _refuse_nested_prefixes(read: Read) -> None:
    for (_, first), (table, second) in itertools.combinations(read, 2):
        if first.bucket.startswith("file://") or first.endpoint_url != second.endpoint_url:
            continue
        one, other = first.bucket + "/", second.bucket + "/"
        if one.startswith(other) or other.startswith(one):
            raise table.wrong(
                "bucket",
                f"{second.bucket} and the {first.bucket} of project `{first.name}` overlap; give each its own prefix",
            )


@dataclass(frozen=True, slots=True)
class _Directory:
    path: str
    """Absolute, symlinks resolved."""
    what: str
    """How messages call it."""
    project: str | None
    """None: ours."""
    is_bucket: bool
    table: Table | None
    at: yaml.Node | None


def _directories(read: Read, own: Sequence[Path]) -> Iterator[_Directory]:
    for path in own:
        yield _Directory(os.path.realpath(path), "dorkyd's own folder", None, False, None, None)
    for table, project in read:
        name = project.name
        if project.mode is not Mode.BUCKET:
            yield _Directory(project.path, f"the folder of project `{name}`", name, False, table, table.at("path"))
        if project.bucket.startswith("file://"):
            directory = project.bucket.removeprefix("file://")
            yield _Directory(directory, f"the bucket of project `{name}`", name, True, table, table.at("bucket"))


def _refuse_nested_directories(read: Read, own: Sequence[Path], embedded: Path) -> None:
    buckets = Path(os.path.realpath(embedded))
    for first, second in itertools.combinations(_directories(read, own), 2):
        if second.table is None or second.at is None:
            continue  # ours among themselves
        if first.table is None and second.is_bucket and Path(second.path).parent == buckets:
            continue  # an embedded bucket has its place among ours
        if _holds(first.path, second.path):
            where = "is" if first.path == second.path else "lies inside"
        elif _holds(second.path, first.path):
            where = "holds"
        else:
            continue
        raise second.table.source.wrong(
            second.at, f"{second.what} ({second.path}) {where} {first.what} ({first.path}); keep them apart"
        )


def _holds(outer: str, inner: str) -> bool:
    """`inner` is `outer` or below it. Names first; then, where both exist, inodes: a folding file system and a bind
    mount give one directory several names.
    """
    if inner == outer or inner.startswith(outer.rstrip("/") + "/"):
        return True
    try:
        wanted = Path(outer).stat()
    except OSError:
        return False  # it does not exist or cannot be asked: names are all there is
    return any(_is_same(wanted, folder) for folder in (Path(inner), *Path(inner).parents))


def _is_same(wanted: os.stat_result, folder: Path) -> bool:
    try:
        return os.path.samestat(wanted, folder.stat())
    except OSError:
        return False  # not there yet; its parents are
