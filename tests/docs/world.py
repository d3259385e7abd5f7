"""The persons of a page, each with a home and a daemon of their own, and what they do."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from tests import servers
from tests.docs.pages import ROOT, Outcome, Page, Part, Step
from tests.docs.stable import Stable
from tests.nursery import nursery

_PLAIN = re.compile(r"dorkyctl (?P<words>[^|<>;&$`*?~]*?)(?P<cut> \| head -n (?P<lines>\d+))?")
_BUCKET = "acme-artifacts"
_TIMEOUT_S = 120.0


class World:
    """One page's. Left as a context, it ends the daemons and removes everything."""

    def __init__(self, page: Page) -> None:
        # Short: the socket's path may have a hundred bytes.
        self.base = Path(tempfile.mkdtemp(prefix="dk")).resolve()
        self.stable = Stable(page.name)
        (self.base / "bin").mkdir()
        self._shim()
        self._env: dict[str, dict[str, str]] = {}
        self._cwd: dict[str, Path] = {}
        self._common: dict[str, str] = {}
        (self.base / "home/share").mkdir(parents=True)
        self.stable.place(f"{self.base}/home/", "/home/")
        self.stable.place(f"{self.base}/bin", "/home/ana/.local/bin")
        self.stable.place(str(Path(sys.executable).parent), "/home/ana/.local/bin")
        self._start(page.stores)

    def _shim(self) -> None:
        for name, text in (("dorkyctl", "from dorkyd.cli import main\nmain()\n"), ("python3", "")):
            program = self.base / "bin" / name
            program.write_text(f"#!{sys.executable}\n{text}" if text else f'#!/bin/sh\nexec {sys.executable} "$@"\n')
            program.chmod(0o755)

    def _start(self, stores: list[str]) -> None:
        name = f"acme-{uuid.uuid4().hex[:9]}"  # as long as the page's: tables keep their widths
        if "s3" in stores:
            server = servers.seaweed()
            server.client().create_bucket(Bucket=name)
            self._common |= {**server.env, "AWS_ENDPOINT_URL": server.endpoint_url}
            self._common |= {"READER_KEY": servers.READER_KEY, "READER_SECRET": servers.READER_SECRET}
            self.stable.place(server.endpoint_url, "https://s3.example.com")
        if "gcs" in stores:
            gcs = servers.strict_gcs()
            gcs.ask("POST", "/storage/v1/b?project=test", {"name": name})
            self._common |= {**gcs.env, "STORAGE_EMULATOR_HOST": gcs.endpoint_url}
        if "careless" in stores:
            careless = servers.rclone()
            careless.client().create_bucket(Bucket=name)
            self._common |= {"CARELESS_URL": careless.endpoint_url}
            self.stable.place(careless.endpoint_url, "https://careless.example.com")
        if stores:
            self._common |= {"BUCKET": name}
            self.stable.place(name, _BUCKET)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        for pid in self._daemons():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + 30
        for pid in self._daemons():
            while Path(f"/proc/{pid}").exists() and _state(pid) != "Z":
                if time.monotonic() > end:
                    os.kill(pid, signal.SIGKILL)
                time.sleep(0.02)
        shutil.rmtree(self.base, ignore_errors=True)

    def _daemons(self) -> Iterator[int]:
        for file in self.base.glob("home/*/.local/state/dorky/daemon.json"):
            with contextlib.suppress(FileNotFoundError):  # one that just ended
                pid = json.loads(file.read_text())["pid"]
                if b"dorkyd" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    yield pid

    def run(self, part: Part) -> list[Outcome]:
        """Carry out a block."""
        self.stable.begin()
        outcomes = []
        for step in part.steps:
            outcome = self._step(step)
            deadline = time.monotonic() + _TIMEOUT_S
            while step.end == "+" and outcome.code and time.monotonic() < deadline:
                time.sleep(0.1)
                outcome = self._step(step)
            if outcome.code and not part.shown and step.end != "?":
                raise AssertionError(f"{step.command}: exit {outcome.code}\n{outcome.said}")
            outcomes.append(outcome)
        return outcomes

    def _step(self, step: Step) -> Outcome:
        env = self._of(step.person)
        meant = self.stable.meant(step.command)
        command = self.stable.real(meant)
        words = command.split()
        if words[0] == "cd":
            where = words[1].replace("~", env["HOME"], 1) if len(words) > 1 else env["HOME"]
            self._cwd[step.person] = (self._cwd[step.person] / where).resolve(strict=True)
            return Outcome(meant, "", 0)
        if words[0] == "export":
            name, _, value = command.removeprefix("export ").partition("=")
            env[name] = re.sub(r"\$(\w+)", lambda match: env.get(match[1], ""), value)
            return Outcome(meant, "", 0)
        said, code = self._carried_out(command, env, self._cwd[step.person])
        self.stable.contents([self.base / "home"])
        return Outcome(meant, self.stable.told(said, step.person, meant), code)

    def _of(self, person: str) -> dict[str, str]:
        if person not in self._env:
            home = self.base / "home" / person
            home.mkdir()
            self._cwd[person] = home
            self._env[person] = {
                "HOME": str(home),
                "USER": person,
                "LOGNAME": person,
                "PATH": f"{self.base}/bin:/usr/local/bin:/usr/bin:/bin",
                "PYTHONPATH": str(ROOT),
                "LANG": "C.UTF-8",
                "TZ": "UTC",
                **self._common,
            }
        return self._env[person]

    def _carried_out(self, command: str, env: dict[str, str], cwd: Path) -> tuple[str, int]:
        plain = _PLAIN.fullmatch(command)
        if plain is None:
            done = subprocess.run(
                ["bash", "-c", command],
                env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True, timeout=_TIMEOUT_S, check=False,
            )  # fmt: skip
            return done.stdout, done.returncode
        # Most of what a command costs is importing: this one is forked from a process that has done so.
        said = self.base / "said"
        said.unlink(missing_ok=True)
        child = nursery().command(shlex.split(plain["words"]), env, cwd, said, said)
        try:
            code = child.wait(_TIMEOUT_S)
        finally:
            child.kill()
        text = said.read_text()
        if plain["cut"]:
            return "\n".join(text.splitlines()[: int(plain["lines"])]), 0
        return text, code


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"
