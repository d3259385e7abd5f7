"""Which project and path a person means."""

from __future__ import annotations

from pathlib import Path

import pytest

from dorkyd.api.messages import ProjectStatus
from dorkyd.cli.app import Failure
from dorkyd.cli.targets import Target, locate
from dorkyd.core import report
from dorkyd.core.report import State


@pytest.fixture
def projects(tmp_path: Path) -> list[ProjectStatus]:
    """Projects `api` and `web`, in folders of these names."""
    made = []
    for name in ("api", "web"):
        (tmp_path / name / "sub").mkdir(parents=True)
        status = report.ProjectStatus(name, str(tmp_path / name), "s3://b/x", "two-way", State.IN_SYNC)
        made.append(ProjectStatus.model_validate(status))
    return made


@pytest.mark.parametrize(
    ("where", "text", "expected"),
    [
        ("api", "f", Target("api", "f")),
        ("api/sub", "f", Target("api", "sub/f")),
        ("api/sub", "../f", Target("api", "f")),
        ("api/sub", "./d//f/", Target("api", "sub/d/f")),
        ("api", "web:f", Target("web", "f")),
        ("api", "no:f", Target("api", "no:f")),
        ("api", "./web:f", Target("api", "web:f")),
        ("api", "../web/f", Target("web", "f")),
        (".", "web/sub/f", Target("web", "sub/f")),
        ("api", "cafe\u0301", Target("api", "caf\u00e9")),
    ],
)
def test_paths(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    projects: list[ProjectStatus],
    where: str,
    text: str,
    expected: Target,
) -> None:
    """A path is NAME:PATH, or relative to the working directory; it becomes POSIX and NFC."""
    monkeypatch.chdir(tmp_path / where)
    assert locate(projects, text) == expected


def test_absolute_through_a_link(tmp_path: Path, projects: list[ProjectStatus]) -> None:
    """An absolute path that reaches the folder through a link is found; a link named last stays a link."""
    (tmp_path / "link").symlink_to(tmp_path / "api")
    (tmp_path / "api" / "l").symlink_to("/etc/hosts")
    assert locate(projects, str(tmp_path / "link" / "l")) == Target("api", "l")


def test_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, projects: list[ProjectStatus]) -> None:
    """Outside every folder a path needs a name, unless there is only one project."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Failure, match="in no project's folder"):
        locate(projects, "f")
    assert locate(projects[:1], "d/f") == Target("api", "d/f")
    with pytest.raises(Failure):
        locate(projects[:1], "/etc/hosts")
