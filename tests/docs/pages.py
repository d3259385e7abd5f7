"""A page as a list of parts: prose, and steps that are carried out. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_PART = re.compile(r"^(```console\n(?P<shown>.*?)^```$|<!-- run:(?P<hidden>.*?)-->)", re.MULTILINE | re.DOTALL)
_PROMPT = re.compile(r"(?P<end>[?+]?)(?P<person>ana|ben)?\$ (?P<command>.+)")
_WITH = re.compile(r"<!-- with: (.*?) -->")


class Step(NamedTuple):
    """One command of a page."""

    person: str
    command: str
    prompt: str
    """As the page has it."""
    end: str
    """Of one that is not shown: `?` it may end with any code, `+` it is repeated until it ends with 0."""


class Outcome(NamedTuple):
    """What came of it."""

    command: str
    """As it was meant: of a placeholder what it stood for."""
    said: str
    code: int


@dataclass(frozen=True, slots=True)
class Part:
    """A block of commands."""

    steps: list[Step]
    shown: bool


class Page:
    """A page that is carried out."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        found = _WITH.search(text)
        self.stores: list[str] = found[1].split() if found else []

    @classmethod
    def read(cls, path: Path) -> Page:
        """From docs/."""
        return cls(path.stem, path.read_text())

    def carried_out(self, run: Callable[[Part], list[Outcome]]) -> str:
        """The page's text with what its commands print now."""
        written, at = [], 0
        for match in _PART.finditer(self.text):
            shown = match["shown"]
            steps = list(_steps(shown if shown is not None else match["hidden"]))
            outcomes = run(Part(steps, shown is not None))
            written.append(self.text[at : match.start()])
            written.append(match[0] if shown is None else _block(steps, outcomes))
            at = match.end()
        return "".join([*written, self.text[at:]])


def pages() -> dict[str, Path]:
    """Every page that has such a block."""
    return {path.stem: path for path in sorted((ROOT / "docs").glob("*.md")) if "\n```console\n" in path.read_text()}


def _steps(text: str) -> Iterator[Step]:
    for line in text.splitlines():
        match = _PROMPT.fullmatch(line.strip())
        if match is not None:
            prompt = line.strip().partition("$ ")[0].lstrip("?+") + "$ "
            yield Step(match["person"] or "ana", match["command"], prompt, match["end"])


def _block(steps: list[Step], outcomes: list[Outcome]) -> str:
    lines, ran = ["```console"], ""
    for step, outcome in zip(steps, outcomes, strict=True):
        if len(lines) > 1 and (outcome.said or lines[-1] != ran):
            lines.append("")
        ran = step.prompt + outcome.command
        lines.append(ran)
        lines += outcome.said.splitlines()
        if outcome.code:
            lines.append(f"[exit {outcome.code}]")
    return "\n".join([*lines, "```"])
