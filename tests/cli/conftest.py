"""`dorkyctl` against a served fake daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from dorkyd.cli import run
from tests.api.serving import Served, collected, serving


@pytest.fixture
def served() -> Iterator[Served]:
    """A server over a fake daemon with one project, `api`."""
    with serving() as up:
        yield up


__all__ = ["Ctl", "Done", "at_home", "collected", "ctl", "served"]


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


Ctl = Callable[..., Done]


@pytest.fixture
def ctl(capsys: pytest.CaptureFixture[str]) -> Ctl:
    """Run `dorkyctl` in this process."""

    def call(*arguments: str) -> Done:
        capsys.readouterr()
        try:
            run(arguments)
        except SystemExit as exc:
            code = int(exc.code or 0)
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return call


@pytest.fixture
def at_home(served: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    """The served daemon is the one that clients find; the working directory is in no project."""
    monkeypatch.setenv("DORKY_HOME", str(served.home))
    monkeypatch.chdir(served.home)
    return served
