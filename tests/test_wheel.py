"""What is installed is whole: the wheel, built and run where nothing of the clone is on the path."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import dorkyd

ROOT = Path(__file__).parent.parent
FILES = {
    "py.typed",
    "ui/page/index.html",
    "ui/page/app.js",
    "ui/page/style.css",
    "models/dorkyd.service",
    "models/dev.dorkyd.daemon.plist",
    "models/dorkyd.example.yaml",
}


def built(into: Path) -> Path:
    """The wheel and the source distribution of this clone; the wheel's place."""
    # Of the clone itself, whose uncommitted changes count; nothing is fetched.
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(into)],
        cwd=ROOT,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        capture_output=True,
        check=True,
    )
    (wheel,) = into.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built once."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed: pip install -e '.[test]'")
    return built(tmp_path_factory.mktemp("dist"))


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Path:
    """The programs' folder of a new environment with the wheel, which borrows what it depends on from this one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "v")], check=True)
    python = tmp_path / "v" / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--disable-pip-version-check", str(wheel)], check=True)
    (site,) = (tmp_path / "v" / "lib").glob("python*/site-packages")
    (site / "borrowed.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n{sysconfig.get_paths()['platlib']}\n")
    return tmp_path / "v" / "bin"


def test_what_is_in_it(wheel: Path) -> None:
    """The types' marker, the models of the service, the example of every setting, and the predecessor's name."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert {f"dorkyd/{name}" for name in FILES} | {"dorky_client.py"} <= names
        assert not [name for name in names if name.startswith("tests")]
        (entries,) = (name for name in names if name.endswith("/entry_points.txt"))
        assert b"[fsspec.specs]\ndorky = dorkyd.tables.filesystem:DorkyFileSystem\n" in archive.read(entries)
        assert archive.read("dorkyd/models/dorkyd.service") == (ROOT / "systemd" / "dorkyd.service").read_bytes()


def test_it_is_built_the_same_again(wheel: Path, tmp_path: Path) -> None:
    """Byte for byte, the source distribution too, where SOURCE_DATE_EPOCH says when."""
    again = built(tmp_path)
    assert {file.name: file.read_bytes() for file in again.parent.iterdir()} == {
        file.name: file.read_bytes() for file in wheel.parent.iterdir()
    }


@pytest.mark.daemon
def test_it_runs(installed: Path, tmp_path: Path) -> None:
    """`--version`, `up` to a synced file, the unit that names this very installation, `stop`."""
    home, folder = tmp_path / "h", tmp_path / "code"
    folder.mkdir()
    (folder / "f").write_text("x")
    environ = {"DORKY_HOME": str(home), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}

    def ran(*words: str) -> str:
        done = subprocess.run(
            [str(installed / "dorkyctl"), *words],
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    assert ran("--version") == f"dorkyctl {dorkyd.__version__}\n"
    try:
        assert json.loads(ran("up", "code", "--json"))["projects"][0]["files"] == 1
        assert (home / "state" / "buckets" / "code" / "f").read_text() == "x"
        if sys.platform == "linux":
            assert f"ExecStart={installed / 'dorkyd'}\n" in ran("service", "print")
    finally:
        ran("stop")
