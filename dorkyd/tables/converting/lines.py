"""Where records of a CSV block begin and end, by the rules of the parser that reads them (Arrow's): a quote opens a field
only at its beginning, two quotes inside are one, and line ends inside quotes belong to the field.

Looked at only where the fast way does not tell: to cut a block whose last line end may stand inside quotes, and to name the
line of a record that is rejected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_QUOTE = re.compile(rb'"')
_END = re.compile(rb"\r\n|\n|\r")
_SPECIAL = frozenset(b"\r\n")


def quoted(block: bytes, delimiter: bytes) -> Iterator[tuple[int, int | None]]:
    """The quoted stretches of a block that begins with a record: first and last quote. None: it is not closed."""
    begins = _SPECIAL | set(delimiter)
    opened, skip = -1, -1
    for match in _QUOTE.finditer(block):
        at = match.start()
        if at < skip:
            continue
        if opened < 0:
            if at == 0 or block[at - 1] in begins:
                opened = at
        elif block[at + 1 : at + 2] == b'"':
            skip = at + 2
        else:
            yield opened, at
            opened = -1
    if opened >= 0:
        yield opened, None


def record_ends(block: bytes, delimiter: bytes) -> Iterator[int]:
    """The offset behind each record's line end."""
    start = 0
    for first, last in quoted(block, delimiter):
        for match in _END.finditer(block, start, first):
            yield match.end()
        if last is None:
            return
        start = last + 1
    for match in _END.finditer(block, start):
        yield match.end()


def last_end(block: bytes, delimiter: bytes) -> int:
    """The offset behind the last record that is whole; 0: none is. A CR alone counts only where no LF ends a record: at a
    block's end it may be half of a CR LF.
    """
    found = alone = 0
    for end in record_ends(block, delimiter):
        if block[end - 1] == 10:
            found = end
        elif end < len(block):
            alone = end
    return found or alone


def records(block: bytes, delimiter: bytes, *, blanks: bool) -> list[tuple[int, int]]:
    """First and behind-last offset of every record, line end left out. `blanks`: empty lines are records."""
    found, start = [], 0
    for end in [*record_ends(block, delimiter), len(block)]:
        stop = end
        if stop > start and block[stop - 1] == 10:
            stop -= 1
        if stop > start and block[stop - 1] == 13:
            stop -= 1
        if stop > start or (blanks and end > start):
            found.append((start, stop))
        start = end
    return found


def lines(block: bytes, end: int | None = None) -> int:
    """Line ends before `end`: LF, CR LF, and CR alone."""
    count = block.count(b"\n", 0, end)
    if b"\r" in block:
        count += block.count(b"\r", 0, end) - block.count(b"\r\n", 0, end)
    return count
