"""Real daemons as processes: a home, a folder, a config file, and the API's client."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from dorkyd.client import DorkyClient
from tests import leaks
from tests.nursery import Child, nursery

DEADLINE_S = 120.0


def wait_until(what: str, check: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    """Poll a condition; fail naming it when the deadline passes."""
    end = time.monotonic() + deadline_s
    while not check():
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s:g} s: {what}")
        time.sleep(0.05)


class RealDaemon:
    """One `DORKY_HOME` with one project `p`."""

    def __init__(
        self,
        base: Path,
        name: str,
        bucket: str,
        *,
        env: dict[str, str] | None = None,
        module: str | None = None,
        **settings: Any,
    ) -> None:
        self.module = module
        """What a new interpreter runs. None: the daemon, forked from one that has imported it (`tests.nursery`)."""
        self.name = name
        self.home = base / f"h-{name}"
        self.root = base / f"folder-{name}"
        self.home.mkdir(mode=0o700)
        self.root.mkdir(exist_ok=True)
        project = {"name": "p", "path": str(self.root), "bucket": bucket, "poll_s": 0.3, "settle_s": 0.2, **settings}
        self.configure({"device": name, "projects": [project]})
        self.env = {**os.environ, **(env or {}), "DORKY_HOME": str(self.home), "PYTHONUNBUFFERED": "1"}
        self.process: subprocess.Popen[bytes] | Child | None = None
        self.log = self.home / "test.log"

    def configure(self, document: dict[str, Any]) -> None:
        self.settings = document
        (self.home / "config.yaml").write_text(yaml.safe_dump(document))

    @property
    def socket(self) -> str:
        return str(self.home / "run" / "dorkyd.sock")

    def start(self) -> RealDaemon:
        """Start and wait until it answers."""
        return self.launch().ready()

    def launch(self) -> RealDaemon:
        """Start, and do not wait."""
        leaks.watch(self.log)
        if self.module is None:
            self.process = nursery().start("dorkyd.daemon", self.env, self.log)
            return self
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", self.module], env=self.env, stdout=log, stderr=log)
        return self

    def ready(self, deadline_s: float = 60.0) -> RealDaemon:
        """Wait until it answers."""
        wait_until(f"{self.name} answers", self._answers, deadline_s)
        return self

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}: {self.log.read_text()[-3000:]}")
        try:
            with socket.socket(socket.AF_UNIX) as knock:  # httpcore leaks the socket of a connection that is refused
                knock.connect(self.socket)
            with self.client() as client:
                client.health()
        except Exception:  # not yet
            return False
        return True

    def client(self) -> DorkyClient:
        return DorkyClient(self.socket)

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        leaks.read(self.log)

    def stop(self) -> None:
        """SIGTERM, and wait for the end."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
        self.process = None
        leaks.read(self.log)

    def status(self) -> Any:
        """The project's status document."""
        with self.client() as client:
            return client.status().projects[0]

    def requests(self) -> dict[str, int]:
        """What it asked of the bucket since it started."""
        return dict(self.status().requests.model_dump())

    def state(self) -> str:
        """The project's state in one word."""
        return str(self.status().state)

    def sync(self, timeout_s: float = DEADLINE_S) -> Any:
        """Look at both sides and wait until nothing is left to do."""
        with self.client() as client:
            result = client.sync("p", wait=True, timeout_s=timeout_s)
        if not result.converged:
            raise AssertionError(f"{self.name}: {result} {self.status()}\n{self.log.read_text()[-3000:]}")
        return result

    def tree(self) -> dict[str, tuple[bytes, int, int]]:
        """Content, permission bits and mtime of every file outside `.dorky`."""
        return folder_tree(self.root)


def folder_tree(root: Path) -> dict[str, tuple[bytes, int, int]]:
    """Content, permission bits and mtime of every file outside `.dorky`."""
    found: dict[str, tuple[bytes, int, int]] = {}
    for folder, folders, files in os.walk(root):
        folders[:] = [f for f in folders if f != ".dorky"]
        for file in files:
            full = os.path.join(folder, file)
            try:
                info = os.lstat(full)
                with open(full, "rb") as stream:
                    found[os.path.relpath(full, root)] = (stream.read(), info.st_mode & 0o777, info.st_mtime_ns)
            except FileNotFoundError:
                continue  # a daemon at work took it away meanwhile: it is not in the tree
    return found


def settle(*daemons: RealDaemon, rounds: int = 12) -> None:
    """Until a whole round of looking changes no folder."""
    before: object = None
    for _ in range(rounds):
        for daemon in daemons:
            daemon.sync()
        now = [daemon.tree() for daemon in daemons]
        if now == before:
            return
        before = now
    raise AssertionError("the daemons do not come to rest")
