"""`dorkyctl mcp` where it cannot start. What it serves: tests/mcp."""

from __future__ import annotations

import importlib.util

import pytest

from tests.cli.conftest import Ctl


def test_without_the_extra(ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command to install it is told, and nothing on standard output."""
    monkeypatch.setattr("dorkyd.cli.mcp.find_spec", lambda name: None)
    done = ctl("mcp")
    assert (done.code, done.out) == (78, "")
    assert "pip install 'dorkyd[mcp]'" in done.err
    assert importlib.util.find_spec("mcp") is not None


def test_a_pattern_that_is_none(ctl: Ctl) -> None:
    """What to reveal is a gitignore pattern."""
    done = ctl("mcp", "--reveal", "[[:digit:]]")
    assert (done.code, done.out) == (2, "")
    assert "--reveal" in done.err
