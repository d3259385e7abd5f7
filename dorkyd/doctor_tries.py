"""How `doctor` tries a check: an error of ours is a finding, one that is not is a bug and goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dorkyd.core.report import Finding
from dorkyd.errors import DorkyError, Stale, Transient

_LOOK = "mend that and run `dorkyctl doctor` again"


def tried(check: str, findings: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """What a check found; an error of ours ends it as its last finding."""
    found: list[Finding] = []
    try:
        found.extend(findings())
    except DorkyError as exc:
        found.append(failed(check, exc))
    return found


def failed(check: str, exc: DorkyError, *, doing: str = "", hint: str = "") -> Finding:
    """The finding for an error. `doing` stands before it; `hint` where it has none of its own."""
    if isinstance(exc, Stale | Transient):
        hint = "run `dorkyctl doctor` again in a moment: this can pass by itself"
    return Finding(check, ok=False, detail=f"{doing}{exc}", hint=exc.hint or hint or _LOOK, code=exc.code)
