"""A daemon with one project, and a plain HTTP client of its artifacts."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2

from tests.api.serving import http_client
from tests.daemons import RealDaemon, wait_until


@dataclass(slots=True)
class Place:
    """What a test talks to."""

    base: Path
    daemon: RealDaemon
    http: httpx2.Client

    def url(self, path: str, *more: str) -> str:
        """Where an artifact is; slashes of its path spelled out."""
        return "/".join([f"/v1/projects/p/artifacts/{quote(path, safe='')}", *more])

    def put(self, path: str, data: Any, **headers: str) -> httpx2.Response:
        """Store it."""
        return self.http.put(self.url(path), content=data, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def get(self, path: str, **headers: str) -> httpx2.Response:
        """Fetch it."""
        return self.http.get(self.url(path), headers={k.replace("_", "-"): v for k, v in headers.items()})

    def in_folder(self, path: str, content: bytes) -> None:
        """Wait until the folder has it."""
        file = self.daemon.root / path
        wait_until(f"{path} is in the folder", lambda: file.exists() and file.read_bytes() == content)

    @contextlib.contextmanager
    def counting(self) -> Iterator[dict[str, int]]:
        """What was sent to the bucket meanwhile, by verb, once the block has ended. The project is paused in it, so that nothing
        else is sent, and so that it publishes its counts before and after.
        """
        spent: dict[str, int] = {}
        before = self._paused()
        try:
            yield spent
            after = self._paused()
            spent.update({verb: after[verb] - before[verb] for verb in after if after[verb] != before[verb]})
        finally:
            self.http.post("/v1/projects/p/resume")

    def _paused(self) -> dict[str, int]:
        assert self.http.post("/v1/projects/p/pause", json={}).status_code == 200
        return self.daemon.requests()

    def staged(self) -> list[str]:
        """What is in staging."""
        tmp = self.daemon.root / ".dorky" / "tmp"
        return [file.name for file in tmp.iterdir() if not file.name.startswith(".")]

    def objects(self) -> dict[str, bytes]:
        """Every object of the project, by what the bucket's directory holds."""
        top = self.base / "bucket" / "prefix"
        return {
            str(file.relative_to(top)): file.read_bytes()
            for file in top.rglob("*")
            if file.is_file() and ".dorky" not in file.relative_to(top).parts
        }


@contextlib.contextmanager
def serving(**settings: Any) -> Iterator[Place]:
    """A daemon over a directory bucket."""
    base = Path(os.path.realpath(tempfile.mkdtemp(prefix="dk")))
    daemon = RealDaemon(base, "a", f"file://{base}/bucket/prefix", **settings)
    (base / "bucket").mkdir()
    daemon.start()
    try:
        with http_client(daemon.socket) as http:
            http.timeout = httpx2.Timeout(120)
            yield Place(base, daemon, http)
    finally:
        daemon.stop()
        shutil.rmtree(base)
