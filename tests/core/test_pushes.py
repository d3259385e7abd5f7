"""Plans of pushes: what stands in the bucket is read without trust, and does only what its commit says."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dorkyd.core.commits import Commit, CommitFile, encode, id_of, new_commit
from dorkyd.core.metadata import UNKNOWN_OP
from dorkyd.core.model import Op, Path
from dorkyd.core.pushes import (
    BATCH_CHANGES,
    Plan,
    PlannedChange,
    agrees,
    clash,
    decode,
    in_order,
    plan_number,
)
from dorkyd.core.pushes import encode as encode_plan
from tests.core.sides import NEW, OLD, V1, V2, a_remote

BATCH = "b" * 32
OPS = [Op(f"{n:032x}") for n in range(10)]
PUT = PlannedChange(Path("d/f"), OPS[1], NEW, 3, 0o644, 7, V1, OPS[0])
FIRST = PlannedChange(Path("n"), OPS[2], NEW, 3, None, None, None, None)
GONE = PlannedChange(Path("g"), OPS[3], None, 0, None, None, V1, None)


def a_commit(**files: Any) -> Commit:
    """What the plan says, or something else of some path."""
    said = {"d/f": (NEW, 3, 0o644), "n": (NEW, 3, None), "other": (OLD, 3, 0o644), **files}
    made = [CommitFile(Path(p), *of, None) for p, of in said.items() if of is not None]
    return new_commit(made, parent=None, author="a", device="d", time="t", message="m", project="p", batch=BATCH)


def a_plan(commit: Commit, *changes: PlannedChange) -> Plan:
    """Of this commit."""
    return Plan(id_of(encode(commit)), 1, BATCH, "laptop", changes or (PUT, FIRST, GONE))


def test_a_plan_is_read_as_it_was_written() -> None:
    """Also what is not said of a change."""
    plan = a_plan(a_commit())
    assert decode(encode_plan(plan)) == plan
    assert plan_number(plan.key) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"format": 2}, {"commit": "x"}, {"seq": -1}, {"batch": "B" * 32}, {"device": 3}, {"changes": {}},
        {"path": "../x"}, {"path": ".dorky/x"}, {"op": "short"}, {"digest": "md5:1"}, {"size": -1}, {"mode": "9"},
        {"mtime_ns": 2**70}, {"replaces": 3}, {"digest": None, "replaces": None}, {"path": "n"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_no_plan(wrong: dict[str, Any]) -> None:
    """One part of it is enough: a plan is carried out whole or not at all."""
    document = json.loads(encode_plan(a_plan(a_commit())))
    of_plan = wrong.keys() <= document.keys()
    (document if of_plan else document["changes"][0]).update(wrong)
    assert decode(json.dumps(document).encode()) is None


@given(st.binary() | st.text().map(str.encode))
def test_anything_is_read(text: bytes) -> None:
    """Whatever a bucket holds, reading ends."""
    assert decode(text) is None or isinstance(decode(text), Plan)


@pytest.mark.parametrize(
    "commit",
    [
        a_commit(**{"d/f": (OLD, 3, 0o644)}), a_commit(**{"d/f": (NEW, 4, 0o644)}), a_commit(**{"d/f": (NEW, 3, 0o600)}),
        a_commit(n=None), a_commit(g=(OLD, 3, 0o644)),
    ],
)  # fmt: skip
def test_a_plan_that_says_more_than_its_commit(commit: Commit) -> None:
    """Another content, size or bits, a path that the commit does not have, a deletion of one that it has."""
    plan = a_plan(commit)
    assert not agrees(plan, plan.commit, commit)
    fitting = a_commit()
    assert agrees(a_plan(fitting), a_plan(fitting).commit, fitting)
    assert not agrees(replace(a_plan(fitting), batch="c" * 32), a_plan(fitting).commit, fitting)


def test_what_is_replaced() -> None:
    """The version alone may have come back by chance; the op of its write does not. Unknown matches anything."""
    assert PUT.is_replaced(replace(a_remote(version=V1), op=OPS[0]))
    assert not PUT.is_replaced(replace(a_remote(version=V1), op=OPS[9]))
    assert not PUT.is_replaced(replace(a_remote(version=V2), op=OPS[0]))
    assert not PUT.is_replaced(None)
    assert FIRST.is_replaced(None)
    assert GONE.is_replaced(replace(a_remote(version=V1), op=UNKNOWN_OP))


def test_what_is_done() -> None:
    """The object carries the op, or did before others wrote; a deletion when it is gone."""
    assert PUT.is_done(replace(a_remote(), op=OPS[1]))
    assert PUT.is_done(replace(a_remote(), op=OPS[9], ancestry=(OPS[8], OPS[1])))
    assert not PUT.is_done(a_remote())
    assert not PUT.is_done(None)
    assert GONE.is_done(None)


def test_a_name_is_free_before_it_is_taken() -> None:
    """A deletion goes first where what is put would not fit beside it, and last anywhere else."""
    into = replace(GONE, path=Path("d"))
    out = replace(GONE, path=Path("n/x"))
    assert in_order([PUT, GONE, FIRST, into, out]) == ([into, out], [PUT, FIRST], [GONE])


def test_a_file_and_a_folder_of_one_name() -> None:
    """Told with both."""
    assert clash([Path("a"), Path("a/b/c"), Path("ab")]) == ("a", "a/b/c")
    assert clash([Path("a/b"), Path("ab"), Path("a.b")]) is None


def test_more_than_a_batch_holds() -> None:
    """Each batch has a name of its own, the first the commit's."""
    changes = [replace(FIRST, path=Path(f"{n}")) for n in range(BATCH_CHANGES + 1)]
    batches = list(a_plan(a_commit(), *changes).batches())
    assert [(name, len(some)) for name, some in batches] == [(BATCH, BATCH_CHANGES), (f"{'b' * 28}0001", 1)]
