"""Which members of an atomic batch may be put in place."""

from __future__ import annotations

import itertools

from dorkyd.core.batches import OPEN_S, WAIT_S, Arrival, judge
from dorkyd.core.logbook import Change, Entry, decode_entry, encode_entry
from dorkyd.core.metadata import encode, remote_of, sha256, user_keys
from dorkyd.core.model import Download, Op, Path, Remote, ReplicaId, Version


def an_arrival(name: str, *, staged: bool, left_s: float) -> Arrival:
    """A member."""
    return Arrival(Download(Path(name), Remote(Version("v"), 1), None, None), staged, left_s)


def test_together_or_not_at_all() -> None:
    """Of three members in any state, while there is time, either all go or none does; and each is in one place."""
    states = list(itertools.product([True, False], [1.0, 0.0]))
    for chosen in itertools.product(states, repeat=3):
        arrivals = [an_arrival(f"{n}", staged=staged, left_s=left) for n, (staged, left) in enumerate(chosen)]
        for complete, unknown in itertools.product([True, False], repeat=2):
            verdict = judge(arrivals, complete=complete, others_unknown=unknown)
            parts = [*verdict.go, *verdict.late, *verdict.fetch, *verdict.wait]
            assert sorted(a.action.path for a in parts) == ["0", "1", "2"]
            whole = complete and not unknown and all(a.staged for a in arrivals)
            assert len(verdict.go) == (3 if whole else 0)
            assert all(a.left_s <= 0 for a in verdict.late)
            assert not any(a.staged for a in verdict.fetch)
            assert all(a.staged and a.left_s > 0 for a in verdict.wait)


def test_nobody_gives_up_before_the_writer() -> None:
    """A batch can be completed only while everybody still waits for it."""
    assert OPEN_S + 30 < WAIT_S


def test_the_batch_in_metadata() -> None:
    """It is read beside an op, and is no key of a person's that a later write would carry along."""
    said = {"dorky-batch": "ab" * 16, "dorky-op": "cd" * 16, "note": "x"}
    assert remote_of(Version("v"), 1, None, said).batch == "ab" * 16
    assert remote_of(Version("v"), 1, None, {"dorky-batch": "ab" * 16}).batch is None
    assert remote_of(Version("v"), 1, None, {**said, "dorky-batch": "../x"}).batch is None
    assert user_keys(said) == {"note": "x"}
    meta = encode(
        digest=sha256("0" * 64), mtime_ns=None, mode=None, device="d", op=Op("ef" * 16), ancestry=(), user=said
    )
    assert "dorky-batch" not in meta


def test_the_batch_in_an_entry() -> None:
    """An entry that names one is read as it was written; a name that can be none is not said."""
    change = Change(Path("f"), "put", Op("ab" * 16), None, None, None, None, None, approved=False)
    entry = Entry(ReplicaId("r"), "d", "t", (change,), batch="ab" * 16)
    assert decode_entry(encode_entry(entry)) == entry
    assert decode_entry(encode_entry(entry).replace(b'"batch":"ab', b'"batch":"..')).batch is None
