"""The other tools, each as a person would run it, with concurrency where it has an option for that."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import sys
from importlib import metadata
from pathlib import Path

from tests import servers
from tests.servers import Server

RCLONE = ("--transfers", "32", "--checkers", "32", "--s3-no-check-bucket")


class Peers:
    """Commands against one server. `home` is theirs alone."""

    def __init__(self, server: Server, home: Path) -> None:
        self._endpoint = server.endpoint_url
        home.mkdir()
        self.env = {
            **os.environ,
            **server.env,
            "HOME": str(home),
            "XDG_CACHE_HOME": str(home),
            "RCLONE_CONFIG": os.devnull,
            "RCLONE_CONFIG_B_TYPE": "s3",
            "RCLONE_CONFIG_B_PROVIDER": "SeaweedFS",
            "RCLONE_CONFIG_B_ENV_AUTH": "true",
            "RCLONE_CONFIG_B_ENDPOINT": server.endpoint_url,
            "BENCH_ENDPOINT": server.endpoint_url,
        }

    def bisync(self, folder: Path, bucket: str, state: Path, *extra: str) -> list[str]:
        """`rclone bisync`; `state` keeps its listings between runs. `--resync` in `extra` for the first."""
        there = [str(folder), f"B:{bucket}/p"]
        return [program("rclone"), "bisync", *there, "--workdir", str(state), *RCLONE, *extra]

    def rclone(self, verb: str, source: str, target: str, *extra: str) -> list[str]:
        """`rclone sync` or `copy`; the bucket's side is `B:bucket/key`."""
        return [program("rclone"), verb, source, target, *RCLONE, *extra]

    def s5cmd(self, *words: str) -> list[str]:
        """`s5cmd sync` or `cp`, with its 256 workers."""
        return [program("s5cmd"), "--endpoint-url", self._endpoint, "--log", "error", *words]

    def aws(self, *words: str) -> list[str]:
        """`aws s3 sync` or `cp`, with its ten threads."""
        return [program("aws"), "--endpoint-url", self._endpoint, "s3", *words, "--only-show-errors"]

    def raw(self, *words: str) -> list[str]:
        """obstore alone, see `tests.bench.raw`."""
        if importlib.util.find_spec("obstore") is None:
            raise servers.Unavailable("obstore is not installed")
        return [sys.executable, "-m", "tests.bench.raw", *words]


@functools.cache
def program(name: str) -> str:
    """Where a tool is: beside this interpreter first. Raises `servers.Unavailable`."""
    found = servers._program(name)
    if name == "s5cmd":
        # Its package puts a Python script before the real program, whose start is not the tool's own.
        with contextlib.suppress(metadata.PackageNotFoundError):
            real = Path(str(metadata.distribution(name).locate_file("s5cmd/bin/s5cmd")))
            return str(real) if real.exists() else found
    return found
