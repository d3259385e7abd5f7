"""Two edits of one `.env` file, merged by key.

    base    A=1  B=1          mine    A=2  B=1  C=1          theirs  A=1  B=3
    merged  A=2  B=3  C=1

What holds of every merge:

* Each key has the value of the side that changed, added or removed it; where both did so alike, that. A key that the two
  sides changed in different ways is a conflict, and so is everything below.
* No word that either side added, in a comment neither, is missing; no word that either side removed comes back.
* Theirs keeps its order, blank lines and line ends; what is mine goes where mine has it, after what theirs has there.

`merge` answers None wherever there is any doubt, and then both files are kept as for any other file: something in one of
the three is not understood, or a key without `=`; a key comes twice and was changed; keys that all three have stand in
another order; a side has no key left. What it made is read again, and must mean what was decided.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from dorkyd.core.dotenv import Document, Entry, closed, parse

MOST_BYTES = 64 * 1024
"""A larger file is no list of variables, and is not merged."""
_MOST_ENTRIES = 4000

_Token = tuple[str, int]
"""A key, and how many of it stand above: what tells one binding of a file from all others."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What became of two edits."""

    text: str
    mine: tuple[str, ...]
    """Keys that mine changed, added or removed. Never values."""
    theirs: tuple[str, ...]
    """Those of theirs; what both did alike is in neither."""


def merge(base: str, mine: str, theirs: str) -> Merged | None:
    """Apply to `theirs` what made `mine` of `base`. None: a conflict, or any doubt (see the module)."""
    sides = [_Side(parse(text)) for text in (base, mine, theirs)]
    old, ours, other = sides
    if not all(side.clear for side in sides) or (old.bindings and not (ours.bindings and other.bindings)):
        return None
    chosen = _choose(old, ours, other)
    if chosen is None:
        return None
    anchors = [token for token in old.bindings if token in ours.bindings and token in other.bindings]
    if any(
        [token for token in side.bindings if token in old.bindings and _in_all(token, sides)] != anchors
        for side in sides
    ):
        return None
    entries = _Weaving(chosen, *sides).whole(anchors)
    text = other.document.bom + "".join(entry.raw for entry in _ended(entries, other.document))
    result = _Side(parse(text))
    if not result.clear or {token: entry.core for token, entry in result.bindings.items()} != {
        token: entry.core for token, entry in chosen.items() if entry is not None
    }:
        return None
    if not _stays_removed(*(_comments(side.rows) for side in (old, ours, other, result))):
        return None
    return Merged(text, tuple(_changed(old, ours, other)), tuple(_changed(old, other, ours)))


class _Side:
    """One of the three, its bindings by what tells them apart."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.rows: list[tuple[_Token | None, Entry]] = []
        """Every entry, with its token when it is a binding."""
        self.bindings: dict[_Token, Entry] = {}
        seen: Counter[str] = Counter()
        for entry in document.entries:
            token = None
            if entry.key is not None:
                token = (entry.key, seen[entry.key])
                seen[entry.key] += 1
                self.bindings[token] = entry
            self.rows.append((token, entry))
        self.twice = {key for key, count in seen.items() if count > 1}

    @property
    def clear(self) -> bool:
        """Nothing in it leaves a doubt."""
        if len(self.rows) > _MOST_ENTRIES:
            return False
        return not any(entry.bad or (entry.key is not None and entry.value is None) for _, entry in self.rows)


def _in_all(token: _Token, sides: Sequence[_Side]) -> bool:
    return all(token in side.bindings for side in sides)


def _choose(old: _Side, mine: _Side, theirs: _Side) -> dict[_Token, Entry | None] | None:
    """What becomes of each binding, None for one that goes; None: a conflict."""
    chosen: dict[_Token, Entry | None] = {}
    twice = old.twice | mine.twice | theirs.twice
    for token in [*theirs.bindings, *mine.bindings, *old.bindings]:
        was, here, there = (side.bindings.get(token) for side in (old, mine, theirs))
        before, ours, other = (entry.core if entry is not None else None for entry in (was, here, there))
        if token[0] in twice and not before == ours == other:
            return None
        if ours in {other, before}:
            chosen[token] = there
        elif other == before:
            chosen[token] = here
        elif here is None or there is None or here.value != there.value:
            return None
        else:
            # The same value, written in two ways.
            known = {"", was.comment if was is not None else ""}
            if here.comment in {there.comment, *known}:
                chosen[token] = there
            elif there.comment in known:
                chosen[token] = here
            else:
                return None  # two comments behind it, of which one would be lost
    return chosen


def _changed(old: _Side, side: _Side, other: _Side) -> Iterator[str]:
    """The keys of a side that are not as base has them, nor as the other has them."""
    for token in {**side.bindings, **old.bindings}:
        core = _core(side, token)
        if core not in {_core(old, token), _core(other, token)}:
            yield token[0]


def _core(side: _Side, token: _Token) -> str | None:
    entry = side.bindings.get(token)
    return entry.core if entry is not None else None


_Rows = Sequence[tuple[_Token | None, Entry]]


@dataclass(frozen=True, slots=True)
class _Weaving:
    """Puts the chosen entries in order: part by part, between what all three have."""

    chosen: dict[_Token, Entry | None]
    old: _Side
    mine: _Side
    theirs: _Side

    def whole(self, anchors: Sequence[_Token]) -> list[Entry]:
        """All of it, given the bindings that all three have, in the order that all three have them in."""
        woven: list[Entry] = []
        parts = [_split(side.rows, anchors) for side in (self.old, self.mine, self.theirs)]
        for at, (old, mine, theirs) in enumerate(zip(*parts, strict=True)):
            woven += self._between(old, mine, theirs)
            if at < len(anchors):
                woven.append(self._anchor(anchors[at]))
        return woven

    def _anchor(self, token: _Token) -> Entry:
        entry, there = self.chosen[token], self.theirs.bindings[token]
        assert entry is not None  # all three have it, so that nobody removed it
        return replace(entry, raw=there.lead + entry.raw.strip() + there.tail)

    def _between(self, old: _Rows, mine: _Rows, theirs: _Rows) -> list[Entry]:
        """A part without a binding that all have, cut at comments that all have: what is added above a comment stays
        above it.
        """
        shared = _shared_comments(old, mine, theirs)
        cuts = [[-1, *(_at(rows, core) for core in shared), len(rows)] for rows in (old, mine, theirs)]
        woven: list[Entry] = []
        for spans in zip(*(pairwise(cut) for cut in cuts), strict=True):
            pieces = [rows[start + 1 : end] for rows, (start, end) in zip((old, mine, theirs), spans, strict=True)]
            woven += self._piece(*pieces)
            end = spans[2][1]
            if end < len(theirs):
                woven.append(theirs[end][1])
        return woven

    def _piece(self, old: _Rows, mine: _Rows, theirs: _Rows) -> list[Entry]:
        """Theirs, without what mine removed, and then what mine added."""
        were, ours, other = _comments(old), _comments(mine), _comments(theirs)
        removed, added = were - ours, (ours - were) - (other - were)
        woven: list[Entry] = []
        ends: list[Entry] = []
        for token, entry in theirs:
            if not entry.core:
                ends.append(entry)  # blank lines at the file's end
            elif token is not None:
                kept = self.chosen[token]
                woven += [] if kept is None else [entry]
            elif removed[entry.core] > 0:
                removed[entry.core] -= 1
            else:
                woven.append(entry)
        for token, entry in mine:
            if token is not None:
                if token not in self.theirs.bindings and self.chosen[token] is not None:
                    woven.append(entry)
            elif added[entry.core] > 0:
                added[entry.core] -= 1
                woven.append(entry)
        return woven + ends


def _split(rows: _Rows, anchors: Sequence[_Token]) -> list[_Rows]:
    """The parts before, between and after the anchors."""
    at = {token: index for index, (token, _) in enumerate(rows) if token is not None}
    cuts = [-1, *(at[token] for token in anchors), len(rows)]
    return [rows[start + 1 : end] for start, end in pairwise(cuts)]


def _comments(rows: _Rows) -> Counter[str]:
    return Counter(entry.core for token, entry in rows if token is None and entry.core)


def _stays_removed(old: Counter[str], mine: Counter[str], theirs: Counter[str], made: Counter[str]) -> bool:
    """A comment that one side removed is not there: the other may have moved it, which looks like a new one elsewhere."""
    gone = [core for core, count in old.items() if min(mine[core], theirs[core]) < count]
    return all(made[core] == min(mine[core], theirs[core]) for core in gone)


def _shared_comments(*parts: _Rows) -> list[str]:
    """Comments that stand once in each of these, if they stand in one order."""
    counts = [_comments(rows) for rows in parts]
    once = {core for core, count in counts[0].items() if count == 1 and all(each[core] == 1 for each in counts)}
    orders = [[entry.core for token, entry in rows if token is None and entry.core in once] for rows in parts]
    return orders[0] if all(order == orders[0] for order in orders) else []


def _at(rows: _Rows, core: str) -> int:
    return next(index for index, (token, entry) in enumerate(rows) if token is None and entry.core == core)


def _ended(entries: Sequence[Entry], like: Document) -> list[Entry]:
    """Each on lines of its own, ended as the document's are."""
    eol = like.eol
    return [entry for one in entries[:-1] for entry in closed((one,), eol)] + list(entries[-1:])
