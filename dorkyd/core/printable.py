"""Texts that somebody else chose, made fit for a terminal and a log.

A key, a file's name or a device's name may hold anything: escape sequences that move the cursor or rename the window, line
breaks that forge a line, marks that turn the writing direction. What is shown of them is escaped.
"""

from __future__ import annotations


def printable(text: str, keep: str = "\n") -> str:
    """The text with everything escaped that is not printed as itself. `keep`: characters that stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)
