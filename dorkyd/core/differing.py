"""How two states of a file differ, for people: line by line where both are text, by digest and size otherwise.

Pure; the bytes are somebody's work and go nowhere but into the answer. Tables are compared by `dorkyd.tables`.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from dorkyd.core.dotenv import MASK, changes, is_env
from dorkyd.core.model import Path

MOST_BYTES = 1024 * 1024
"""Of each side; what is larger is told by its size."""
MOST_LINES = 20_000
"""Of each side: comparing takes the square of it at worst."""
CONTEXT_LINES = 3


@dataclass(frozen=True, slots=True)
class Compared:
    """How two states differ."""

    kind: str
    """`same`, `text`, `binary` (told by digest and size), `masked` (no value of a secret), `table`."""
    text: str
    """The unified diff; empty where there is none to show."""


def compare(path: str, labels: tuple[str, str], before: bytes | None, after: bytes | None) -> Compared:
    """Compare two states; None: there is none, which is told as an empty one. `labels`: what each side is called."""
    if before == after:
        return Compared("same", "")
    one, two = before or b"", after or b""
    older, newer = _lines(one), _lines(two)
    if older is None or newer is None:
        return Compared("binary", "")
    names = [f"{side}/{path}" if there is not None else "/dev/null" for side, there in (("a", before), ("b", after))]
    found = difflib.unified_diff(older, newer, names[0], names[1], labels[0], labels[1], n=CONTEXT_LINES)
    return Compared(
        "text", "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in found)
    )


def compare_masked(path: Path, labels: tuple[str, str], before: bytes | None, after: bytes | None) -> Compared:
    """Compare two states of a secret for people, and show nothing of what they hold: of a `.env` file which keys differ, of
    others how many lines.
    """
    if before == after:
        return Compared("same", "")
    older, newer = _lines(before or b""), _lines(after or b"")
    if older is None or newer is None:
        return Compared("masked", "")
    one, two = "".join(older), "".join(newer)
    head = [f"--- {'a/' + path if before is not None else '/dev/null'}\t{labels[0]}"]
    head.append(f"+++ {'b/' + path if after is not None else '/dev/null'}\t{labels[1]}")
    if is_env(path):
        shown = [f"{sign}{change.key}={MASK}" for change in changes(one, two) for sign in _SIGNS[change.what]]
        rest = shown or ["(no value differs: comments, order or quotes do)"]
    else:
        tags = difflib.SequenceMatcher(None, older, newer, autojunk=False).get_opcodes()
        less = sum(i2 - i1 for tag, i1, i2, _, _ in tags if tag != "equal")
        more = sum(j2 - j1 for tag, _, _, j1, j2 in tags if tag != "equal")
        rest = [f"-{MASK} ({less} lines)", f"+{MASK} ({more} lines)"]
    return Compared("masked", "".join(f"{line}\n" for line in (*head, *rest)))


_SIGNS = {"added": "+", "removed": "-", "changed": "-+"}


def _lines(data: bytes) -> list[str] | None:
    """As text; None: it is none, or too large to be compared."""
    if len(data) > MOST_BYTES or b"\0" in data:
        return None
    try:
        lines = data.decode("utf-8").splitlines(keepends=True)
    except UnicodeDecodeError:
        return None
    return lines if len(lines) <= MOST_LINES else None
