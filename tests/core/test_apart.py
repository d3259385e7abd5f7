"""Mode manual: what is told of a path whose action was taken away."""

from __future__ import annotations

import pytest

from dorkyd.core.apart import Apart, Differs, apart
from dorkyd.core.model import Base, Local, Path, Remote
from dorkyd.core.reconcile import reconcile
from tests.core.sides import NEW as SECOND
from tests.core.sides import OTHER as THIRD
from tests.core.sides import V2, a_base, a_local, a_remote

F = Path("f")
N, NEW, MOD, GONE, MODE = Differs.NOT, Differs.NEW, Differs.MODIFIED, Differs.DELETED, Differs.MODE
B, L, R = a_base(), a_local(), a_remote()


@pytest.mark.parametrize(
    ("base", "local", "remote", "told"),
    [
        (None, L, None, Apart(NEW, N)),
        (None, None, R, Apart(N, NEW)),
        (None, L, a_remote(SECOND, V2), Apart(NEW, NEW)),
        (B, a_local(SECOND), R, Apart(MOD, N)),
        (B, L, a_remote(SECOND, V2), Apart(N, MOD)),
        (B, a_local(THIRD), a_remote(SECOND, V2), Apart(MOD, MOD)),
        (B, None, R, Apart(GONE, N)),
        (B, L, None, Apart(N, GONE)),
        (B, None, a_remote(SECOND, V2), Apart(GONE, MOD)),
        (B, a_local(SECOND), None, Apart(MOD, N)),
        (B, a_local(mode=0o700), R, Apart(MODE, N)),
        (B, L, a_remote(mode=0o700), Apart(N, MODE)),
        (B, L, R, None),
        (B, None, None, None),
    ],
)
def test_what_is_told(base: Base | None, local: Local | None, remote: Remote | None, told: Apart | None) -> None:
    """Each side against base; an edit here of what is gone there is not behind."""
    action = reconcile(F, base, local, remote)
    assert (apart(action, base, local) if action is not None else None) == told
