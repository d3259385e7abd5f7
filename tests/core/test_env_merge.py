"""Two edits of one `.env` file, merged by key: examples, and then every combination there is of a few keys."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dorkyd.core.dotenv import parse
from dorkyd.core.env_merge import Merged, merge

State = dict[str, str]


def merged(base: str, mine: str, theirs: str) -> str | None:
    """The text that comes of it; None: a conflict."""
    found = merge(base, mine, theirs)
    return None if found is None else found.text


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "expected"),
    [
        ("A=1\n", "A=1\nB=1\n", "A=1\nC=1\n", "A=1\nC=1\nB=1\n"),
        ("A=1\nB=1\n", "A=2\nB=1\n", "A=1\nB=3\n", "A=2\nB=3\n"),
        ("A=1\nB=1\n", "B=1\n", "A=1\nB=1\nC=1\n", "B=1\nC=1\n"),
        ("A=1\nB=1\n", "A=1\nB=1\nC=1\n", "B=1\n", "B=1\nC=1\n"),
        ("A=1\nB=1\n", "A=2\n", "A=2\nB=1\n", "A=2\n"),
        ("A=1\n", "A='2'\nB=1\n", "A=2\n", "A=2\nB=1\n"),
        ("A=1\n", "A=1\n# for mail\nB=1\n", "A=1\n\n# for pay\nC=1\n", "A=1\n\n# for pay\nC=1\n# for mail\nB=1\n"),
        ("A=1\n# of B\nB=1\n", "A=1\nX=1\n# of B\nB=1\n", "A=1\nY=1\n# of B\nB=1\n", "A=1\nY=1\nX=1\n# of B\nB=1\n"),
        ("# old\nA=1\n", "# mine\nA=1\n", "# theirs\nA=2\n", "# theirs\n# mine\nA=2\n"),
        ("# old\nA=1\n", "A=1\n", "# old\nA=2\n", "A=2\n"),
        ("A=1\n", "A=2\n", "A=2 # theirs\n", "A=2 # theirs\n"),
        ("A=1\n", "A=2 # mine\n", "A=2\n", "A=2 # mine\n"),
        ("A=1", "A=1\nB=1", "A=1\nC=1", "A=1\nC=1\nB=1"),
        ("A=1\r\nB=1\r\n", "A=1\nB=2\n", "A=3\r\nB=1\r\n", "A=3\r\nB=2\r\n"),
        ("\ufeffA=1\n", "\ufeffA=1\nB=1\n", "\ufeffA=2\n", "\ufeffA=2\nB=1\n"),
        ("A=1\n", "A=1\nB='x\ny'\n", "export A=2 # why\n", "export A=2 # why\nB='x\ny'\n"),
        ("A=1\nA=1\n", "A=1\nA=1\nB=1\n", "A=1\nA=1\nC=1\n", "A=1\nA=1\nC=1\nB=1\n"),
        ("", "A=1\n", "B=1\n", "B=1\nA=1\n"),
        ("A=1\n", "A=1\nB=1\n", "A=1\nC=1\n\n\n", "A=1\nC=1\nB=1\n\n\n"),
    ],
)
def test_different_keys_come_together(base: str, mine: str, theirs: str, expected: str) -> None:
    """What mine changed is applied to theirs, whose order, comments and line ends stay."""
    assert merged(base, mine, theirs) == expected


@pytest.mark.parametrize(
    ("base", "mine", "theirs"),
    [
        ("A=1\n", "A=2\n", "A=3\n"),
        ("A=1\n", "A=2 # mine\n", "A=2 # theirs\n"),
        ("A=1\nB=1\n", "B=1\n", "A=2\nB=1\n"),
        ("B=1\n", "A=2\nB=1\n", "A=3\nB=1\n"),
        ("A=1\nB=1\n", "A=2\nB=1\n", 'A=1\nB="open\n'),
        ("A=1\nB=1\n", "A=2\nB=1\n", "A=1\nB=1\nwords that are none\n"),
        ("A=1\n", "A=1\nB\n", "A=1\nC=1\n"),
        ("A=1\nB=1\n", "B=1\nA=1\nC=1\n", "A=2\nB=1\n"),
        ("A=1\nA=2\n", "A=1\nA=3\n", "A=1\nA=2\nB=1\n"),
        ("A=1\n", "A=1\nA=2\n", "A=1\nB=1\n"),
        ("A=1\n", "", "A=1\nB=1\n"),
        ("A=1\n", "A=1\nB=1\n", "# all gone\n"),
    ],
)
def test_where_there_is_doubt_nothing_is_merged(base: str, mine: str, theirs: str) -> None:
    """One key changed in two ways, or anything that might not mean what it seems."""
    assert merge(base, mine, theirs) is None


def test_it_says_whose_keys_came_together() -> None:
    """By name, without a value; what both did alike is nobody's."""
    found = merge("A=1\nB=1\nC=1\n", "A=2\nB=1\nC=9\nD=1\n", "A=1\nC=9\nE=1\n")
    assert found == Merged("A=2\nC=9\nE=1\nD=1\n", mine=("A", "D"), theirs=("E", "B"))


# --- every combination -----------------------------------------------------------------------------------------------

KEYS = ("A", "B", "C")
VALUES = (None, "1", "2")


def states() -> Iterator[State]:
    """Three keys, each absent or of one of two values; one value does for the last."""
    for values in product(VALUES, VALUES, VALUES[:2]):
        yield {key: value for key, value in zip(KEYS, values, strict=True) if value is not None}


def written(state: State) -> str:
    """A file of it, with a comment that belongs to each key."""
    return "".join(f"# of {key} {value}\n{key}={value}\n" for key, value in state.items())


def decided(base: State, mine: State, theirs: State) -> State | None:
    """What must come of it, by the rule alone."""
    result: State = {}
    for key in KEYS:
        was, here, there = base.get(key), mine.get(key), theirs.get(key)
        if here != there and was not in {here, there}:
            return None
        value = here if there == was else there
        if value is not None:
            result[key] = value
    return result


def test_every_combination_of_three_keys() -> None:
    """No edit of a key is lost, a key changed in two ways is a conflict and nothing else is; comments come along: none that
    a side added is missing, none that a side removed comes back.
    """
    conflicts = 0
    everything = list(states())
    for base, mine, theirs in product(everything, repeat=3):
        texts = [written(state) for state in (base, mine, theirs)]
        found, expected = merge(*texts), decided(base, mine, theirs)
        emptied = base and not (mine and theirs)
        if expected is None or emptied:
            conflicts += 1
            assert found is None
            continue
        assert found is not None, texts
        assert dict(parse(found.text).bindings) == expected, texts
        old, ours, other = (set(comments(text)) for text in texts)
        assert set(comments(found.text)) == (old & ours & other) | (ours - old) | (other - old), texts
    assert 0 < conflicts < len(everything) ** 3


@cache
def comments(text: str) -> list[str]:
    """Its comments in order."""
    return [entry.core for entry in parse(text).entries if entry.key is None and entry.core]


def test_it_matters_to_nobody_who_merges() -> None:
    """Either device comes to the same keys and values, whoever wrote first."""
    few = [state for state in states() if "C" not in state]
    for base, mine, theirs in product(few, repeat=3):
        one, other = (merge(written(base), *map(written, pair)) for pair in ((mine, theirs), (theirs, mine)))
        values = [None if found is None else dict(parse(found.text).bindings) for found in (one, other)]
        assert values[0] == values[1]


LINES = st.lists(
    st.sampled_from([*(f"{key}={value}" for key in "ABCDE" for value in ("1", "'2'")), "# x", "# y", "", "export F=1"]),
    max_size=9,
)


@given(LINES, LINES, LINES, st.sampled_from(["\n", "\r\n"]))
def test_whatever_is_merged_means_what_the_sides_did(
    base: list[str], mine: list[str], theirs: list[str], eol: str
) -> None:
    """Lines in any order, keys twice, blank lines: a merge is right or is none."""
    texts = [eol.join(lines) for lines in (base, mine, theirs)]
    found = merge(*texts)
    if found is None:
        return
    before, ours, other, after = (dict(parse(text).bindings) for text in (*texts, found.text))
    for key in {*before, *ours, *other, *after}:
        was, here, there = before.get(key), ours.get(key), other.get(key)
        assert after.get(key) == (here if there == was else there)
        assert here == there or was in {here, there}
    kept = set(comments(found.text))
    assert {c for c in comments(texts[1]) if c not in comments(texts[0])} <= kept
    assert {c for c in comments(texts[2]) if c not in comments(texts[0])} <= kept


@given(LINES, LINES)
def test_a_side_that_did_nothing_changes_nothing(base: list[str], theirs: list[str]) -> None:
    """Theirs stays to the character when mine is base."""
    text, other = "\n".join(base), "\n".join(theirs)
    found = merge(text, text, other)
    if found is not None:
        assert found.text == other
        assert found.mine == ()


def test_a_comment_that_one_moved_and_the_other_removed() -> None:
    """It does not come back: both files are kept."""
    base = "A=1\n# TOKEN=old\nB=2\n"
    assert merge(base, "A=1\nB=2\n# TOKEN=old\n", "A=1\nB=3\n") is None
    assert merge(base, "A=1\nB=3\n", "# TOKEN=old\nA=1\nB=2\n") is None
