"""Which contents no commit needs any more, and how they go without harm to a commit that is being made.

Nobody coordinates: any number of devices commit and collect at once, and any of them may be killed, or sleep for a week in
the middle of a step. What holds:

1. *Condemned first.* A collection writes a document under `.dorky/gc/` that names the contents which no commit refers to. A
   later one, at least `CONDEMNED_S` later by the store's clock, lists the commits again and removes of those names what
   still nobody refers to. Its own new document names them too, so that a name stays condemned for at least as long after
   its object went.
2. *A condemned name is dead to committers*, for good or ill: a content whose name is condemned gets a copy under its next
   name, unless the parent of the new commit has it (then it was referred to all the time). Readers take any name. So no
   commit rests on what a collection may be removing, however slow that collection is.
3. *A committer looks at the condemned names right before it creates its commit, and again after*: before it says that the
   commit is made. The only commit that a collection may not know of is one whose creation lasts as long as `CONDEMNED_S`:
   a committer that took a good part of that before begins anew, and a collection that did removes nothing more.
4. *Commits go before contents*, oldest first, by explicit retention alone. The last one stays, whatever the retention says,
   and so does each younger than `CONDEMNED_S`: whoever makes a commit finds its parent, and no number is used twice. None goes
   while its push is not carried out, and none after that.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from dorkyd.core.commits import object_content

GARBAGE = ".dorky/gc/"
FORMAT = 1
CONDEMNED_S = 86_400
"""Seconds from condemned to removed, at least: far longer than any request lasts."""
DOCUMENT_NAMES = 20_000
"""Names in one document at most; more become several."""
DOCUMENT_BYTES = 64 * 1024 * 1024

_KEY = re.compile(r"\.dorky/gc/[0-9a-f]{16,64}\.json")


@dataclass(frozen=True, slots=True)
class Kept:
    """What is to be kept of the commits. Both None: all of them."""

    last: int | None = None
    """The newest so many."""
    days: float | None = None
    """Those not older than this, by the store's clock."""


@dataclass(frozen=True, slots=True)
class Aged:
    """A commit, as its age is told by the store's clock."""

    seq: int
    modified: int | None
    """Whole seconds; None: the store does not tell, and it stays where age decides."""


def condemned_key(name: str) -> str:
    """Where a document of condemned names stands; `name`: random digits."""
    return f"{GARBAGE}{name}.json"


def is_condemned_key(key: str) -> bool:
    """It is such a document's."""
    return _KEY.fullmatch(key) is not None


def encode_condemned(names: Iterable[str], *, device: str, time: str) -> bytes:
    """A document of condemned names."""
    words = {"format": FORMAT, "device": device, "time": time, "names": sorted(names)}
    return json.dumps(words, ensure_ascii=False, separators=(",", ":")).encode()


def decode_condemned(text: bytes) -> frozenset[str] | None:
    """The names it condemns; None: it makes no sense, so that nobody knows."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return None
    names = document.get("names")
    if not isinstance(names, list) or not all(isinstance(name, str) and object_content(name) for name in names):
        return None
    return frozenset(names)


def unreferenced(objects: Iterable[str], needed: Collection[str]) -> frozenset[str]:
    """Of these keys those that keep what no commit needs. A key that is none of ours is left alone. `needed`: the hexadecimal
    digits of digests, keyed or not: names are made of nothing else.
    """
    found = set()
    for key in objects:
        content = object_content(key)
        if content is not None and content[0] not in needed:
            found.add(key)
    return frozenset(found)


def past_retention(commits: Sequence[Aged], kept: Kept, now: int | None) -> tuple[Aged, ...]:
    """The commits that may go, oldest first: those that neither rule keeps. `now`: seconds by the store's clock; None: not
    known, and nothing goes.
    """
    if (kept.last is None and kept.days is None) or now is None:
        return ()
    ordered = sorted(commits, key=lambda one: one.seq)
    candidates = ordered[: -max(1, kept.last or 1)]
    going = []
    for one in candidates:
        if one.modified is None or now - one.modified < CONDEMNED_S:
            continue
        if kept.days is not None and now - one.modified <= kept.days * 86_400:
            continue
        going.append(one)
    return tuple(going)
