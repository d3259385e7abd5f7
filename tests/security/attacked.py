"""A real daemon with something to find in its project, and what lies around it that nobody may reach."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.api.serving import http_client
from tests.daemons import RealDaemon

SECRET = b"what lies outside the project"


@dataclass(slots=True)
class Attacked:
    """One daemon with the project `p`, as a process."""

    base: Path
    daemon: RealDaemon
    http: httpx2.Client

    @property
    def socket(self) -> str:
        return self.daemon.socket

    def rss_bytes(self) -> int:
        """Resident memory of the process."""
        assert self.daemon.process is not None
        status = Path(f"/proc/{self.daemon.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) * 1024

    def descriptors(self) -> int:
        """Open descriptors of the process."""
        assert self.daemon.process is not None
        return len(os.listdir(f"/proc/{self.daemon.process.pid}/fd"))

    def is_well(self) -> bool:
        """It runs, answers, and answers others while it does."""
        assert self.daemon.process is not None
        with http_client(self.socket) as other:
            return self.daemon.process.poll() is None and other.get("/v1/health").status_code == 200

    def around(self) -> dict[str, bytes]:
        """Every file near the project that is neither synced nor the daemon's own, and git's inside it."""
        kept = {}
        for top in (self.base, self.daemon.root / ".git"):
            for folder, folders, files in os.walk(top):
                folders[:] = [f for f in folders if f != "bucket" and not f.startswith(("h-", "folder-"))]
                kept.update({os.path.join(folder, name): Path(folder, name).read_bytes() for name in files})
        return kept


@contextlib.contextmanager
def attacked(**settings: Any) -> Iterator[Attacked]:
    """A daemon whose project has two files in sync, one in the trash, and neighbours that are none of its business."""
    base = Path(os.path.realpath(tempfile.mkdtemp(prefix="dk")))
    (base / "secret.txt").write_bytes(SECRET)
    (base / "bucket").mkdir()
    daemon = RealDaemon(base, "a", f"file://{base}/bucket/prefix", **settings)
    (base / "bucket" / "outside.txt").write_bytes(SECRET)
    (daemon.root / "sub").mkdir()
    (daemon.root / ".git").mkdir()
    (daemon.root / ".git" / "config").write_bytes(SECRET)
    (daemon.root / "a.txt").write_bytes(b"a")
    (daemon.root / "sub" / "b é.txt").write_bytes(b"b")
    (daemon.root / "gone.txt").write_bytes(b"gone")
    (daemon.root / "link").symlink_to(base)
    daemon.start()
    try:
        with http_client(daemon.socket) as http:
            yield Attacked(base, daemon, http)
    finally:
        daemon.stop()
        shutil.rmtree(base)


def problem_of(response: httpx2.Response) -> dict[str, Any]:
    """The problem document of a refusal, checked for what RFC 9457 and DESIGN section 5 ask of it."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    problem: dict[str, Any] = response.json()
    assert problem["status"] == response.status_code
    assert problem["type"].startswith("urn:dorky:problem:")
    assert problem["title"]
    assert problem["code"]
    assert problem["detail"]
    assert "hint" in problem
    return problem
