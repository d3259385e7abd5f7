"""A folder of the npm tool on disk: reading changes nothing, retiring loses nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dorkyd import npm_folder
from dorkyd.core.model import Path as SyncPath
from dorkyd.core.npm_plan import Here
from dorkyd.errors import PathProblem, Refused
from dorkyd.renames import AtomicRenames, Place
from tests.npm.tool import NpmTool, nothing_changes, tree_of


@pytest.fixture
def tool(tmp_path: Path) -> NpmTool:
    """It was begun in a folder `api`."""
    made = NpmTool(tmp_path / "api", lambda _key, _content: None)
    made.init()
    return made


def test_its_files_are_read_as_they_are(tool: NpmTool) -> None:
    """Text by name, the permissions of the credentials; and nothing is made, not even ours."""
    (tool.root / ".dorky/credentials.json").chmod(0o640)
    with nothing_changes(tool.root):
        found = npm_folder.read_files(str(tool.root))
        assert list(found.texts.values()) == tool.texts()
        assert (found.credentials_mode, found.retired) == (0o640, False)
        assert npm_folder.is_npm_folder(str(tool.root))
    assert sorted(os.listdir(tool.root / ".dorky")) == ["credentials.json", "history.json", "metadata.json"]


def test_a_folder_of_ours_is_none_of_its(tool: NpmTool) -> None:
    """Once our marker is beside its files it is ours; a folder without its files never was."""
    assert npm_folder.is_npm_folder(str(tool.root))
    (tool.root / ".dorky/folder.json").write_text("{}")
    assert not npm_folder.is_npm_folder(str(tool.root))
    assert not npm_folder.is_npm_folder(str(tool.root / ".dorky"))
    with pytest.raises(Refused) as refused:
        npm_folder.read_files(str(tool.root / ".dorky"))
    assert refused.value.code == "no-such-npm-project"


def test_links_are_not_followed(tool: NpmTool) -> None:
    """A metadata.json that leads elsewhere is refused, and so is a `.dorky` that does."""
    (tool.root / ".dorky/metadata.json").unlink()
    (tool.root / ".dorky/metadata.json").symlink_to("/etc/passwd")
    with pytest.raises(PathProblem):
        npm_folder.read_files(str(tool.root))
    (tool.root / ".dorky").rename(tool.root / "elsewhere")
    (tool.root / ".dorky").symlink_to("elsewhere")
    assert not npm_folder.is_npm_folder(str(tool.root))


def test_survey(tool: NpmTool) -> None:
    """Files with an object are read for their MD5, tracked ones told of, others only counted, ignored ones not at all."""
    for name, content in {"a": b"x", "b": b"y", "c": b"z", "d.log": b"", "e.log": b"\xef\xbf\xbd"}.items():
        (tool.root / name).write_bytes(content)
    (tool.root / "node_modules").mkdir()
    (tool.root / "node_modules/key").write_bytes(b"k")
    (tool.root / "node_modules/other").write_bytes(b"k")
    (tool.root / "link").symlink_to("a")
    (tool.root / ".dorkyignore").write_text("*.log\n")
    objects = {"a": 1, "e.log": 3}
    tracked = frozenset(map(SyncPath, ("a", "b", "e.log", "node_modules/key")))
    with nothing_changes(tool.root):
        found = npm_folder.survey(str(tool.root), objects.get, tracked)
    assert dict(found.files) == {
        "a": Here(1, "9dd4e461268c8034f5c8564e155c67a6"),
        "b": Here(1),
        "e.log": Here(3, "9b759040321a408a5c7768b4511287a6", replaced=True),
        "node_modules/key": Here(1),
        ".dorkyignore": Here(6),
    }
    assert dict(found.others) == {"c": 1}
    assert found.ignore_text == "*.log\n"
    assert len(found.unknown) == 1


def test_retire_after_a_crash(tool: NpmTool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed before any of its moves, the next run moves the rest; every file is whole, in one of the two places."""
    before = {content for content, _ in tree_of(tool.root / ".dorky").values()}
    place = AtomicRenames.place
    for last in range(3):
        done: list[str] = []

        def dying(self: AtomicRenames, staged: Place, to: Place, done: list[str] = done, last: int = last) -> None:
            if len(done) >= min(last, 1):
                raise KeyboardInterrupt
            done.append(to.name)
            place(self, staged, to)

        monkeypatch.setattr(AtomicRenames, "place", dying)
        with pytest.raises(KeyboardInterrupt):
            npm_folder.retire(str(tool.root))
        assert before <= {content for content, _ in tree_of(tool.root / ".dorky").values()}
        assert (tool.root / ".dorky/npm/.gitignore").read_text() == "*\n"
    monkeypatch.setattr(AtomicRenames, "place", place)
    assert npm_folder.retire(str(tool.root)) == ("credentials.json",)
    assert npm_folder.read_files(str(tool.root)).retired
    assert npm_folder.to_retire(str(tool.root)) == ()


def test_retire_overwrites_nothing(tool: NpmTool) -> None:
    """What lies in `.dorky/npm/` already keeps its name."""
    (tool.root / ".dorky/npm").mkdir()
    (tool.root / ".dorky/npm/metadata.json").write_text("older")
    assert npm_folder.retire(str(tool.root)) == ("metadata.json.2", "history.json", "credentials.json")
    assert (tool.root / ".dorky/npm/metadata.json").read_text() == "older"
