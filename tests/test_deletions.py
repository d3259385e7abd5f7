"""What the guard counts while deletions are on their way."""

from __future__ import annotations

from pathlib import Path

import pytest

from dorkyd.core.model import Base, DeleteRemote, Digest, Version
from dorkyd.core.model import Path as ModelPath
from dorkyd.core.settings import Guard, Project
from dorkyd.deletions import Deletions
from dorkyd.journal import Journal


def _delete(name: str) -> DeleteRemote:
    base = Base(Digest(f"sha256:{name}"), 1, Version("v"), 0o644)
    return DeleteRemote(ModelPath(name), replaces=Version("v"), base=base)


@pytest.mark.parametrize(("on_the_way", "held"), [(0, 0), (6, 6)])
def test_deletions_under_way_count(tmp_path: Path, on_the_way: int, held: int) -> None:
    """Six more are too many when six others were let through and are not recorded yet."""
    journal = Journal(tmp_path / "j.db")
    names = [f"f{n:02d}" for n in range(20)]
    with journal.atomic():
        for name in names:
            journal.set_base(ModelPath(name), _delete(name).base)
    deletions = Deletions(journal, Project("p", "/p", "file:///b", guard=Guard(percent=10, files=10)))
    actions = [_delete(name) for name in names[:6]]
    paths = [action.path for action in actions]
    under_way = [_delete(name) for name in names[10 : 10 + on_the_way]]
    assert deletions.passed(actions, paths, 0.0, 0, (), under_way).actions == ()
    passed = deletions.passed(actions, paths, 1000.0, 0, (), under_way)
    journal.close()
    assert len(passed.held) == held
    assert len(passed.actions) == 6 - held
