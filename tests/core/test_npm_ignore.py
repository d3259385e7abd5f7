"""The rules under which a project syncs what the npm tool carried, and how its `.dorkyignore` was read."""

from __future__ import annotations

import random

import pytest

from dorkyd.core.ignore import IgnoreRules
from dorkyd.core.model import Path
from dorkyd.core.npm_ignore import differences, keeping, kept_whole
from dorkyd.core.paths import ancestors

NAMES = ("a", "b", "!x", "#y", "[z]", "q*", "w ", " v", "n\\m", "node_modules", "k.log", ".env")


def test_nothing_to_say() -> None:
    """Where all of the folder was given to it, all of the folder is synced."""
    assert keeping([Path(".env"), Path("d/f")], [], None) == ()


def test_only_what_it_was_given() -> None:
    """A folder of which all was given is kept whole; in any other only what was."""
    patterns = keeping([Path(".env"), Path("data/1"), Path("src/key")], [Path("src/main.py")], None)
    assert patterns == ("/*", "!/.env", "!/data/", "!/src/", "/src/*", "!/src/key")
    assert kept_whole(patterns) == ["/data/"]


def test_what_was_given_although_it_is_ignored() -> None:
    """It is lifted, alone, also out of a folder that is ignored."""
    kept = [Path("node_modules/x/key"), Path("all.log")]
    patterns = keeping(kept, [], "*.log\n")
    rules = IgnoreRules(patterns, "*.log\n")
    assert not any(rules.skip(path, False) for path in kept)
    assert all(rules.skip(Path(path), False) for path in ("other.log", "node_modules/y", "node_modules/x/y"))


@pytest.mark.parametrize("seed", range(8))
def test_any_folder(seed: int) -> None:
    """Whatever the names and whatever is ignored: all that is kept is synced, nothing else that is there is."""
    chance = random.Random(seed)
    for _ in range(150):
        drawn = {"/".join(chance.choices(NAMES, k=chance.randrange(1, 4))) for _ in range(chance.randrange(1, 9))}
        there = {Path(path) for path in drawn if not any(other.startswith(path + "/") for other in drawn)}
        kept = {path for path in there if chance.random() < 0.5}
        synced = chance.choice([None, "*.log\n", "a/\n#y\n", "b\n!b\n"])
        others = {path for path in there - kept if not IgnoreRules((), synced).skip(path, False)}
        rules = IgnoreRules(keeping(kept, others, synced), synced)
        assert not [path for path in kept if rules.skip(path, False)]
        assert not [path for path in there - kept if not rules.skip(path, False)]
        assert not [folder for path in kept for folder in ancestors(path) if rules.skip(folder, True)]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("#c", "comment"),
        ("!n", "lifts"),
        ("/build", "anchored"),
        ("src/build", "anchored"),
        ("foo/", "folders alone"),
        ("{a,b}", "braces"),
        ("+(a|b)", "braces"),
        ("tail ", "spaces"),
        ("./foo", "nothing"),
        ("[[:digit:]]", "skipped"),
    ],
)
def test_a_line_that_means_something_else(line: str, said: str) -> None:
    """It is told with its number."""
    (found,) = differences(f"ok\n{line}\r\n")
    assert (found.line, found.pattern) == (2, line)
    assert said in found.detail


def test_lines_that_mean_the_same() -> None:
    """They are passed over: as tried with the npm package `glob`, which the tool hands each line to."""
    assert differences("*.log\nbuild\n.env\nb?ild\n[b]uild\n**/*.tmp\n\\#d\n src\n\n") == []
