"""Which files get a table beside them, what it is called, and whose a table is that stands there. Pure.

A sibling is the converter's as long as its object says so and holds what it says: a person's edit keeps the words of an object
and changes its bytes, and makes it theirs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from dorkyd.core.conversion import CONVERTER, Conversion, Form, named
from dorkyd.core.ignore import Patterns
from dorkyd.core.model import Digest, Path
from dorkyd.core.paths import name, parent, parse_conflict
from dorkyd.core.settings import Converting

OF, OF_DIGEST, MADE, BY = "table-of", "table-of-digest", "table-digest", "table-by"
"""A sibling's metadata: the original's name, what it held, what the table holds, and how it was made."""
MEDIA_TYPE = "application/vnd.apache.parquet"


@dataclass(frozen=True, slots=True)
class Rules:
    """The setting `convert` of a project."""

    entries: tuple[Converting, ...]
    _patterns: tuple[Patterns, ...] = ()

    @classmethod
    def of(cls, entries: Sequence[Converting]) -> Rules:
        """Ready to be asked."""
        return cls(tuple(entries), tuple(Patterns((entry.match,)) for entry in entries))

    def entry(self, path: Path) -> Converting | None:
        """The one that counts for a path; None: nothing is made of it. Of tables never, so that no sibling gets one; nor of
        conflict copies, which are there to be decided about.
        """
        found = named(name(path))
        if (found is not None and found.form in {Form.PARQUET, Form.FEATHER}) or parse_conflict(path) is not None:
            return None
        return next((e for e, each in zip(self.entries, self._patterns, strict=True) if each.picks(path)), None)

    @property
    def schemas(self) -> frozenset[str]:
        """Paths of schema files."""
        return frozenset(entry.schema for entry in self.entries if entry.schema is not None)


def sibling(path: Path) -> Path:
    """`d/x.csv.gz` has `d/x.parquet`; a name that says nothing of tables keeps its ending, `x.txt.parquet`."""
    found, folder = named(name(path)), parent(path)
    last = f"{found.stem if found is not None else name(path)}.parquet"
    return Path(last if folder is None else f"{folder}/{last}")


def conversion(path: Path, entry: Converting, schema: str | None) -> Conversion:
    """What the converter is asked. The name without its folder: a folder that is renamed changes no table."""
    found = named(name(path))
    return Conversion(
        name=name(path),
        form=found.form if found is not None else Form.CSV,
        delimiter=entry.delimiter or (found.delimiter if found is not None else ","),
        packed=found.packed if found is not None else None,
        encoding=entry.encoding,
        schema=schema,
        schema_name=entry.schema or "",
    )


def manner(asked: Conversion) -> str:
    """All that shapes the table beside the bytes, in a word: another manner makes it anew."""
    told = [asked.form, asked.delimiter, asked.packed, asked.encoding, asked.schema]
    return f"{CONVERTER}-{hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]}"


class Stands(Enum):
    """What stands where the sibling goes."""

    NOTHING = auto()
    CURRENT = auto()
    """The converter's, of this very content."""
    OTHERWISE = auto()
    """The converter's, of this very content, made in another manner."""
    OLDER = auto()
    """The converter's, of other content."""
    CHANGED = auto()
    """It was the converter's, and holds something else by now: a person's work, or a former table that came back."""
    FOREIGN = auto()
    """Somebody else's."""


Says = Callable[[str, Digest], bool]
"""Whether a word of metadata means this content (`Words.says`)."""


def judged(own: Mapping[str, str], held: Digest | None, path: Path, content: Digest, by: str, says: Says) -> Stands:
    """Of an object with these words that holds `held` (None: nobody knows), for the sibling of `path`."""
    if own.get(OF) != name(path) or held is None:
        return Stands.FOREIGN
    if not says(own.get(MADE, ""), held):
        return Stands.CHANGED
    if not says(own.get(OF_DIGEST, ""), content):
        return Stands.OLDER
    return Stands.CURRENT if own.get(BY) == by else Stands.OTHERWISE
