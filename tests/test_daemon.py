"""The daemon as an object, with projects that do nothing. What real ones do is in `tests/e2e`."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from dorkyd import config
from dorkyd.buckets.limits import Limits, Pair
from dorkyd.core.settings import Project, Settings
from dorkyd.daemon import Daemon
from dorkyd.errors import Configuration
from dorkyd.notify import Notifier
from dorkyd.project import ProjectRunner


class _Starting(Daemon):
    """Counts starts, and refuses those of `refused`."""

    started_names: list[str]
    refused: str

    def _start(self, project: Project, settings: Settings) -> ProjectRunner:
        if project.name == self.refused:
            raise Configuration("the directory cannot be made")
        self.started_names.append(project.name)
        return cast("ProjectRunner", object())


class _Runner:
    """Stands for a project that runs."""

    def __init__(self, name: str, daemon: Daemon) -> None:
        self.name, self.daemon = name, daemon
        self.known_while_it_stopped: list[str] = []

    def stop(self) -> None:
        self.known_while_it_stopped = list(self.daemon._runners)
        assert self.daemon.project(self.name) is cast("ProjectRunner", self)


class _Restarting(Daemon):
    """Starts projects that do nothing."""

    def _start(self, project: Project, settings: Settings) -> ProjectRunner:
        self._limits[project.name] = Limits(Pair(), self._shared)
        return cast("ProjectRunner", _Runner(project.name, self))


def _two_projects(tmp_path: Path) -> tuple[Daemon, Path]:
    file = tmp_path / "home" / "config.yaml"
    file.parent.mkdir()
    lines = ["projects:"]
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        lines.append(f"  - {{name: {name}, path: {tmp_path / name}, bucket: 'file://{tmp_path}/bucket-{name}'}}")
    file.write_text("\n".join(lines) + "\n")
    environ = {"DORKY_HOME": str(file.parent)}
    daemon = _Restarting(environ, "here", config.load(environ, host="here"), Notifier({}))
    daemon._apply(daemon.loaded)
    return daemon, file


def test_a_project_that_is_being_restarted_is_there(tmp_path: Path) -> None:
    """Its end may take as long as a request: nobody is told meanwhile that no project is named so."""
    daemon, file = _two_projects(tmp_path)
    a, b = daemon.projects()
    file.write_text(file.read_text().replace("name: a,", "name: a, mode: pull,"))
    daemon._look_at_configuration(asked=False)
    assert cast("_Runner", a).known_while_it_stopped == ["a", "b"]
    after = daemon.projects()
    assert list(daemon._runners) == ["a", "b"]
    assert after[0] is not a
    assert after[1] is b
    file.write_text("\n".join(file.read_text().splitlines()[:-1]) + "\n")
    daemon._look_at_configuration(asked=False)
    assert list(daemon._runners) == ["a"]


@pytest.mark.parametrize("asked", [False, True])
@pytest.mark.parametrize("text", [None, "", "\n"])
def test_a_configuration_that_is_gone_ends_no_project(tmp_path: Path, text: str | None, *, asked: bool) -> None:
    """As in the middle of a save: the settings from before hold, a warning says so, and nothing is added to what is not there."""
    daemon, file = _two_projects(tmp_path)
    before, whole = list(daemon.projects()), file.read_text()
    file.unlink()
    if text is not None:
        file.write_text(text)
    for _ in range(2):
        daemon._look_at_configuration(asked=asked)
    assert list(daemon.projects()) == before
    (warning,) = daemon.warnings()
    assert "gone or empty" in warning.detail
    with pytest.raises(Configuration, match="gone or empty"):
        daemon.remove("a")
    file.write_text(whole)
    daemon._look_at_configuration(asked=False)
    assert daemon.warnings() == []
    assert list(daemon.projects()) == before
    file.write_text("projects: []\n")
    daemon._look_at_configuration(asked=False)
    assert daemon.projects() == []


def test_what_was_started_before_another_project_could_not_be_is_known(tmp_path: Path) -> None:
    """Started a second time it would find its own folder locked, and the first would run on without a status."""
    home = tmp_path / "home"
    home.mkdir()
    lines = ["projects:"]
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        lines.append(f"  - {{name: {name}, path: {tmp_path / name}, bucket: 'file://{tmp_path}/bucket-{name}'}}")
    (home / "config.yaml").write_text("\n".join(lines) + "\n")
    environ = {"DORKY_HOME": str(home)}
    loaded = config.load(environ, host="here")
    daemon = _Starting(environ, "here", loaded, Notifier({}))
    daemon.started_names, daemon.refused = [], "b"
    daemon._apply_bandwidth = lambda _settings: None  # type: ignore[method-assign]
    with pytest.raises(Configuration):
        daemon._apply(loaded)
    daemon.refused = ""
    daemon._apply(loaded)
    assert daemon.started_names == ["a", "b", "c"]
    assert list(daemon._runners) == ["a", "b", "c"]
