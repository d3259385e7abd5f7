"""What may leave a machine encrypted only. Pure.

Three say so: the machine's settings, the member list that is believed, and hearsay (what was believed once, or stands in a list
that is not believed: to keep too much back betrays nothing). What any of them picks is covered; none takes back what another
picks. Within the first two the last pattern that matches decides, as in `.gitignore`; of hearsay only what covers counts, since
anybody may have said it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from dorkyd.core.ignore import Patterns, check
from dorkyd.core.model import Path

EVERYTHING = ("*",)


@dataclass(frozen=True, slots=True)
class Cover:
    """See the module."""

    own: Patterns = field(default_factory=Patterns)
    listed: Patterns = field(default_factory=Patterns)
    heard: Patterns = field(default_factory=Patterns)

    @property
    def texts(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(dict.fromkeys((*self.own.texts, *self.listed.texts, *self.heard.texts)))

    def picks(self, path: Path) -> bool:
        """Whether a file is covered."""
        return self.own.picks(path) or self.listed.picks(path) or self.heard.picks(path)

    def names(self, path: Path) -> bool:
        """Some pattern says so; not only that nobody knows what is covered."""
        heard = self.heard.texts != EVERYTHING and self.heard.picks(path)
        return self.own.picks(path) or self.listed.picks(path) or heard

    def given(self, listed: tuple[str, ...], heard: Iterable[str]) -> Cover:
        """With another list and other hearsay. Where a pattern of the list is not understood, a member's dorkyd knows more
        than this one: what it covers cannot be told here, so all of it is.
        """
        if any(check(pattern) for pattern in listed):
            listed = EVERYTHING
        lines = (line for text in heard for line in text.splitlines())
        covering = dict.fromkeys(line for line in lines if not line.lstrip().startswith("!") and not check(line))
        return replace(self, listed=Patterns(listed), heard=Patterns(tuple(covering)))
