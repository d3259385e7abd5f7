"""The daemon as an object, with projects that do nothing. What real ones do is in `tests/e2e`."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from dorkyd import config
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
