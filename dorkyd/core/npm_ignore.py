"""What the npm tool `dorky` leaves in and out, in gitignore's words.

It syncs the files that it was given one by one, and nothing else; a project syncs all of its folder that is not ignored. So
adopting one needs rules that leave out what it was never given (`keeping`).

Its `.dorkyignore` is not gitignore: each line is a pattern of the npm package `glob` (version 11, where this was tried), laid
out as `**/PATTERN/**`, so that it matches at any depth. It leaves paths out of the list of *untracked* files and never stops
`--add`. There are no comments and no negations, and there are braces (`differences`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from dorkyd.core.ignore import IgnoreRules, check
from dorkyd.core.model import Path
from dorkyd.core.paths import ancestors

_MORE_THAN_GIT = re.compile(r"\{[^}]*(?:,|\.\.)[^}]*\}|[?*+@!]\([^)]*\)")
"""What `glob` reads and gitignore does not: braces, and the shell's extended patterns."""
_SPECIAL = "\\*?["


@dataclass(frozen=True, slots=True)
class Difference:
    """A line of `.dorkyignore` that means something else from now on."""

    line: int
    """Counted from 1."""
    pattern: str
    detail: str
    """What it meant and what it means, for people."""


def differences(text: str) -> list[Difference]:
    """The lines that the npm tool and gitignore read differently, where that may matter."""
    bad = {line.line: line.detail for line in check(text)}
    found = []
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        pattern = line.removesuffix("\r")
        told = _difference(pattern) if number not in bad else f"is skipped from now on: {bad[number]}"
        if told:
            found.append(Difference(number, pattern, told))
    return found


def _difference(pattern: str) -> str:
    if not pattern.strip():
        return ""
    if pattern.startswith("#"):
        return "was a name, is a comment from now on (write \\# for a name that begins with #)"
    if pattern.startswith("!"):
        return "was a name, lifts earlier lines from now on (write \\! for a name that begins with !)"
    told = []
    if pattern != pattern.rstrip(" "):
        told.append("the spaces at its end belonged to the name and do not count from now on")
    body = pattern.rstrip(" ")
    if body.startswith("./"):
        told.append("matches nothing from now on (leave out the ./)")
    elif "/" in body.removesuffix("/") and not body.startswith("**/"):
        told.append(
            "matched at any depth, is anchored to the folder's root from now on (write **/ before it for any depth)"
        )
    if body.endswith("/"):
        told.append("matched files of that name as well, matches folders alone from now on")
    if _MORE_THAN_GIT.search(body):
        told.append(
            "its braces or parentheses were alternatives, are plain characters from now on (write one line for each)"
        )
    return "; ".join(told)


def keeping(kept: Collection[Path], others: Collection[Path], synced: str | None) -> tuple[str, ...]:
    """Patterns for the settings under which all of `kept` is synced and none of `others`; `synced` is the text of
    `.dorkyignore`, None: there is none. Empty when nothing has to be said.

    A folder without any of the others is kept whole, so that what is added to it later is synced; elsewhere only what is
    kept now is. The settings of one machine: they lift what `.dorkyignore` and the built-in list ignore.
    """
    patterns: list[str] = []
    if others:
        mixed = _mixed(kept, others, synced)
        patterns.append("/*")
        done: set[Path] = set()
        for path in sorted(kept):
            patterns += _down_to(path, mixed, done)
    return (*patterns, *_lifting(kept, tuple(patterns), synced))


def _mixed(kept: Iterable[Path], others: Iterable[Path], synced: str | None) -> set[Path]:
    """The folders that are not kept whole: one of the others is below, or they are ignored without us, so that nobody
    knows what is.
    """
    rules = IgnoreRules((), synced)
    ignored = {folder for path in kept for folder in ancestors(path) if rules.rule(folder, True) is not None}
    return ignored | {folder for path in others for folder in ancestors(path)}


def _down_to(path: Path, mixed: Collection[Path], done: set[Path]) -> Iterator[str]:
    for folder in ancestors(path):
        if folder not in done:
            done.add(folder)
            yield f"!/{_plain(folder)}/"
            if folder in mixed:
                yield f"/{_plain(folder)}/*"
        if folder not in mixed:
            return
    yield f"!/{_plain(path)}"


def _lifting(kept: Iterable[Path], patterns: tuple[str, ...], synced: str | None) -> Iterator[str]:
    """What lifts the kept paths that something ignores all the same."""
    rules = IgnoreRules(patterns, synced)
    done: set[Path] = set()
    for path in sorted(kept):
        if rules.rule(path, False) is None:
            continue
        below_ignored = False
        for folder in ancestors(path):
            below_ignored = below_ignored or rules.rule(folder, True) is not None
            if below_ignored and folder not in done:
                done.add(folder)
                yield f"!/{_plain(folder)}/"
                yield f"/{_plain(folder)}/*"
        yield f"!/{_plain(path)}"


def _plain(path: Path) -> str:
    """A path as a pattern that matches it alone."""
    text = "".join(f"\\{char}" if char in _SPECIAL else char for char in path)
    return text[:-1] + "\\ " if text.endswith(" ") else text


def kept_whole(patterns: Iterable[str]) -> list[str]:
    """The folders of which `keeping` syncs everything, also what is added later, as its patterns write them."""
    there = list(patterns)
    return [rule[1:] for rule in there if rule.startswith("!") and rule.endswith("/") and f"{rule[1:]}*" not in there]
