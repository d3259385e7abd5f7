"""What a mutant is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """A wrong program: the right one with one patch."""

    name: str
    module: str
    """Below `dorkyd/`, without the suffix: `core/reconcile`."""
    old: str
    """Occurs exactly once in the module."""
    new: str
    fault: str
    """What the wrong program does, for people."""
    rule: str
    """What of DESIGN's safety rules it breaks, for people."""
    also: tuple[tuple[str, str], ...] = ()
    """More patches of the same module, where one alone changes nothing: two places keep the rule."""
    test: str | None = None
    """The pytest node that catches it; None: random histories do."""
    first: int = 0
    """A seed that caught it once: hunting begins there."""

    def patched(self, text: str) -> str:
        """The module's text with the fault. `ValueError` where the patch does not fit any more."""
        for old, new in ((self.old, self.new), *self.also):
            if text.count(old) != 1:
                raise ValueError(f"{self.name}: its text occurs {text.count(old)} times in dorkyd/{self.module}.py")
            text = text.replace(old, new)
        return text
