"""What is suggested for `.dorkyignore`."""

from __future__ import annotations

import pytest

from dorkyd.core.ignore import IgnoreRules, check
from dorkyd.core.model import Path
from dorkyd.core.suggestions import ENDINGS, FOLDERS, suggestions


def patterns(*names: str) -> list[str]:
    """What is suggested for these files of one byte each."""
    return [one.pattern for one in suggestions([(Path(name), 1) for name in names])]


def test_a_name_alone_is_enough_or_not() -> None:
    """`.mypy_cache` is one anywhere; `target` only beside what builds there, and then just that one."""
    assert patterns("a/.mypy_cache/x", "b/.mypy_cache/y") == [".mypy_cache/"]
    assert patterns("sales/target/q3.csv", "target/plan.md") == []
    assert patterns("rust/Cargo.toml", "rust/target/debug/x", "sales/target/q3.csv") == ["/rust/target/"]
    assert patterns("Cargo.toml", "target/x") == ["/target/"]


def test_endings() -> None:
    """Logs and their like; not a file that is called so."""
    assert patterns("a.log", "b/c.log", ".log", "log") == ["*.log"]


def test_what_saves_most_comes_first_and_is_counted_once() -> None:
    """A log in a cache is the cache's."""
    found = suggestions([(Path("a.log"), 10), (Path(".tox/b.log"), 500), (Path(".tox/c"), 7)])
    assert [(one.pattern, one.files, one.bytes) for one in found] == [(".tox/", 2, 507), ("*.log", 1, 10)]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_suggestion_ignores_what_it_counted(folder: str) -> None:
    """As a line of the file, it is a pattern, and it matches."""
    beside = next(iter(FOLDERS[folder][1]), "x")
    path = Path(f"p/{folder}/deep/f")
    (pattern,) = patterns(f"p/{beside}", path)
    assert not check(pattern)
    assert IgnoreRules((), f"{pattern}\n").skip(path, False)
    assert not IgnoreRules((), f"{pattern}\n").skip(Path(f"p/{beside}"), False)


def test_nothing_built_in_is_suggested() -> None:
    """It is ignored already."""
    rules = IgnoreRules()
    assert [name for name in FOLDERS if rules.skip(Path(name), True)] == []
    assert [end for end in ENDINGS if rules.skip(Path(f"a{end}"), False)] == []
