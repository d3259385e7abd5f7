"""Where two devices meet in end-to-end tests, and what lies there."""

from __future__ import annotations

import contextlib
import os
import shutil
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.daemons import RealDaemon
from tests.servers import GcsProcess, Server

FULL = os.environ.get("DORKY_FULL") == "1"
"""The whole standard library and the full number of rounds, instead of what CI has time for."""
SEED = int(os.environ.get("DORKY_SEED") or 20261122)
"""Of the random tests; a failed test's name tells it."""
FILES = 100_000 if FULL else 600
SOME = FILES if FULL else 200
"""Where it is not files that a test is about: enough for people to work in."""
GUARD = {"percent": 100, "files": 100_000, "max": 100_000}
"""For tests that delete a lot on purpose."""


@dataclass
class Place:
    """A bucket that is empty at first. `read` gives every object by its key below the prefix, or those whose keys begin with
    what it is given.
    """

    base: Path
    bucket: str
    read: Callable[..., dict[str, bytes]]
    settings: dict[str, Any] = field(default_factory=dict)
    started: list[RealDaemon] = field(default_factory=list)

    def device(self, name: str, **settings: Any) -> RealDaemon:
        """Not started yet; ended with the test."""
        daemon = RealDaemon(self.base, name, self.bucket, **{**self.settings, **settings})
        self.started.append(daemon)
        return daemon

    def share(self, whole: int) -> int:
        """How much of a long run there is time for: a third where `FULL` is not asked."""
        return whole if FULL else whole // 3

    def live(self) -> dict[str, bytes]:
        """The objects that are files."""
        return {key: data for key, data in self.read().items() if not key.startswith(".dorky/")}

    def trash(self) -> list[bytes]:
        """What the bucket keeps of replaced and deleted objects."""
        return [data for key, data in self.read().items() if key.startswith(".dorky/trash/")]


@contextlib.contextmanager
def directory_place(base: Path) -> Iterator[Place]:
    """A plain directory."""
    directory = base / "bucket"
    directory.mkdir()
    place = Place(base, f"file://{directory}", lambda below="": read_folder(directory, below))
    with _ending(place):
        yield place


@contextlib.contextmanager
def s3_place(base: Path, server: Server) -> Iterator[Place]:
    """A real S3 server."""
    name = server.new_bucket()

    def read(below: str = "") -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        with contextlib.closing(server.client()) as client:
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=name, Prefix=f"team/p/{below}"):
                for item in page.get("Contents", ()):
                    key = item["Key"]
                    with contextlib.suppress(client.exceptions.NoSuchKey):  # daemons at work took it since
                        found[key.removeprefix("team/p/")] = client.get_object(Bucket=name, Key=key)["Body"].read()
        return found

    place = Place(base, f"s3://{name}/team/p", read, {"env": server.env, "endpoint_url": server.endpoint_url})
    with _ending(place):
        yield place


@contextlib.contextmanager
def gcs_place(base: Path, server: GcsProcess) -> Iterator[Place]:
    """The strict Google Cloud Storage of the tests."""
    name = server.new_bucket()
    settings = {"env": server.env, "endpoint_url": server.endpoint_url}

    def read(below: str = "") -> dict[str, bytes]:
        return {below + key: data for key, data in server.read_all(name, f"team/p/{below}").items()}

    place = Place(base, f"gs://{name}/team/p", read, settings)
    with _ending(place):
        yield place


@contextlib.contextmanager
def _ending(place: Place) -> Iterator[None]:
    try:
        yield
    finally:
        for daemon in place.started:
            daemon.kill()


def read_folder(root: Path, below: str = "") -> dict[str, bytes]:
    """Every file by its relative path; of the folder `below` (it ends with a slash) alone."""
    found: dict[str, bytes] = {}
    for folder, _, files in os.walk(root / below):
        for file in files:
            full = os.path.join(folder, file)
            with contextlib.suppress(FileNotFoundError), open(full, "rb") as stream:  # a daemon may be at work
                found[os.path.relpath(full, root)] = stream.read()
    return found


def copy_library(to: Path, files: int = FILES) -> int:
    """The standard library's folder, package by package, until there are so many files. What was compiled goes last."""
    source = Path(sysconfig.get_path("stdlib"))
    skipped = shutil.ignore_patterns("__pycache__", "site-packages", "dist-packages", "*.pyc")
    packages = sorted(
        (p for p in source.iterdir() if p.is_dir()), key=lambda p: (p.name.startswith(("config-", "lib-")), p.name)
    )
    to.mkdir(parents=True, exist_ok=True)
    count = 0
    for package in packages:
        if package.name in skipped(str(source), [package.name]) or count >= files:
            continue
        shutil.copytree(package, to / package.name, ignore=skipped)
        count += sum(len(names) for _, _, names in os.walk(to / package.name))
    for module in sorted(source.iterdir()):
        if module.is_file() and count < files:
            shutil.copy2(module, to / module.name)
            count += 1
    return count


def moved(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """What was asked of the bucket between two looks at `RealDaemon.requests`, without what was not."""
    return {verb: after[verb] - before[verb] for verb in after if after[verb] != before[verb]}
