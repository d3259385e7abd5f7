"""The client by the name that the predecessor's programs know."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import dorkyd

ROOT = Path(__file__).parents[2]


def test_it_is_the_client() -> None:
    """What is installed as `dorky_client` has both clients, and they are ours."""
    mapped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    (source,) = (source for source, name in mapped["force-include"].items() if name == "dorky_client.py")
    spec = importlib.util.spec_from_file_location("dorky_client", ROOT / source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (module.DorkyClient, module.AsyncDorkyClient) == (dorkyd.DorkyClient, dorkyd.AsyncDorkyClient)


def test_it_is_installed() -> None:
    """Where dorkyd is installed, editable or not, the name can be imported from anywhere."""
    try:
        record = importlib.metadata.distribution("dorkyd").locate_file("dorky_client.py")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("dorkyd is not installed here, only on the path")
    installed = Path(str(record)).parent / f"dorkyd-{dorkyd.__version__}.dist-info" / "RECORD"
    if not installed.exists() or installed.stat().st_mtime < (ROOT / "pyproject.toml").stat().st_mtime:
        pytest.skip("what is installed is from before pyproject.toml was changed: pip install -e .")
    script = "from dorky_client import DorkyClient; print(DorkyClient.__module__)"
    told = subprocess.run([sys.executable, "-c", script], cwd="/", capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "dorkyd.client.blocking"
