"""A real folder in a temporary directory, and short ways to act in it."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest

from dorkyd.core.model import Local, Path, ReplicaId
from dorkyd.folder import LocalFolder
from dorkyd.ports import Entry, Identity, Known, Observation
from dorkyd.renames import Renames


class Fixture:
    """A folder with a marker. `act[step]` is what another program does at that step of the next operation."""

    def __init__(self, root: pathlib.Path, renames: Renames | None = None) -> None:
        root.mkdir(exist_ok=True)
        self.root = root
        self.act: dict[str, Callable[[], object]] = {}
        self.folder = LocalFolder(str(root), renames=renames, between=self._between)
        self.folder.write_identity(Identity("project", ReplicaId("replica"), 1))

    def _between(self, step: str) -> None:
        act = self.act.pop(step, None)
        if act is not None:
            act()

    def write(self, path: str, content: bytes = b"old") -> Local:
        """Another program writes a file; returns it observed."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return self.local(path)

    def observe(self, path: str, known: Known | None = None) -> Observation:
        return self.folder.observe(Path(path), known)

    def local(self, path: str) -> Local:
        found = self.observe(path)
        assert isinstance(found, Local)
        return found

    def read(self, path: str) -> bytes:
        return (self.root / path).read_bytes()

    def stage(self, name: str, content: bytes = b"new") -> str:
        with self.folder.stage(name) as file:
            file.write(content)
        self.folder.seal(name, mode=None, mtime_ns=None)
        return name

    def staged(self, name: str) -> bytes:
        return self.read(f".dorky/tmp/{name}")

    def scan(self, under: str | None = None) -> dict[str, str]:
        """Path to `file` or the problem's code."""
        found = self.folder.scan(lambda _path, _is_folder: False, None if under is None else Path(under))
        return {item.path: "file" if isinstance(item, Entry) else item.code for item in found}


def as_nobody_special(script: str, root: pathlib.Path) -> str:
    """Run Python without root's right to read everything; returns its output. Skips where that is refused."""
    return run(["setpriv", *(f"{kind}={_CAPS}" for kind in ("--inh-caps", "--bounding-set"))], script, root)


def in_namespace(mount: str, script: str, root: pathlib.Path) -> str:
    """Run a shell command that mounts, then Python, in a mount namespace of their own. Skips where that is refused."""
    return run(["unshare", "-rm", "sh", "-c", f'{mount} && exec "$@"', "sh"], script, root)


_CAPS = "-dac_override,-dac_read_search"


def names(folder: pathlib.Path) -> list[str]:
    """The names in a folder, in order."""
    return sorted(found.name for found in folder.iterdir())


def run(prefix: list[str], script: str, root: pathlib.Path) -> str:
    """Run Python behind a command, with `at` the fixture of `root`; returns its output. Skips where it is refused."""
    if shutil.which(prefix[0]) is None:
        pytest.skip(f"{prefix[0]} is not installed")
    probe = subprocess.run([*prefix, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"{prefix[0]} is refused here: {probe.stderr.strip()}")
    top = pathlib.Path(__file__).parent.parent
    setup = f"from tests.folders import Fixture; import os, pathlib; from tests.folders import names; at = Fixture(pathlib.Path({str(root)!r}))\n"
    done = subprocess.run(
        [*prefix, sys.executable, "-c", setup + script],
        capture_output=True,
        text=True,
        check=False,
        cwd=top,
        env={**os.environ, "PYTHONPATH": str(top)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
