"""The pages show what is printed now."""

from __future__ import annotations

import json
import os
import re

import pytest

from dorkyd.api.messages import StatusDocument
from tests.docs.__main__ import difference
from tests.docs.pages import ROOT, Outcome, Page, Part, pages
from tests.docs.stable import Stable
from tests.servers import Unavailable

ALWAYS = ("start",)
"""The rest costs a minute: DORKY_FULL=1, and whoever changes what a command prints (`python -m tests.docs`)."""
FULL = os.environ.get("DORKY_FULL") == "1"


def named() -> list[object]:
    """Pages as parameters."""
    skipped = pytest.mark.skipif(not FULL, reason="DORKY_FULL=1")
    return [pytest.param(name, marks=() if name in ALWAYS else skipped) for name in pages()]


@pytest.mark.daemon
@pytest.mark.parametrize("name", named())
def test_what_is_printed_now(name: str) -> None:
    """Every command of the page, carried out in an empty home, prints what the page shows."""
    page = Page.read(pages()[name])
    try:
        told = difference(page)
    except Unavailable as error:
        pytest.skip(str(error))
    assert not told, f"python -m tests.docs --write {name}\n{told}"


def test_which_pages_there_are() -> None:
    """The newcomer's path, the team's, and every command and message of their pages are carried out."""
    assert set(pages()) == {"start", "team", "commands", "troubleshooting", "operations"}


def test_every_message_is_provoked() -> None:
    """Each section of the troubleshooting page has commands that are carried out, and output that is compared."""
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    sections = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    assert len(sections) > 20
    for section in sections:
        block = re.search(r"^```console\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        assert block is not None, section.splitlines()[0]
        assert [line for line in block[1].splitlines() if line and not re.match(r"(\w+)?\$ |\[exit", line)]


def test_the_status_document() -> None:
    """The document in docs/commands.md, which is wrapped there, is one, with every field."""
    text = (ROOT / "docs" / "commands.md").read_text()
    shown = json.loads(text.partition("```json status\n")[2].partition("```")[0])
    whole = json.loads(StatusDocument.model_validate(shown).model_dump_json(by_alias=True))
    assert set(shown["projects"][0]) >= set(whole["projects"][0]) - {"manual", "bandwidth"}
    assert {name for name in whole if name not in shown} == set()


def test_a_page_that_differs_is_told() -> None:
    """What a command prints now stands in the place of what it printed before, and how it ended."""
    page = Page("p", "# P\n\n```console\n$ a\nold\n[exit 2]\n\nben$ b\n```\n\n<!-- run:\n?$ c\n-->\nend\n")
    asked: list[tuple[str, str, str]] = []

    def run(part: Part) -> list[Outcome]:
        asked.extend((step.person, step.command, step.end) for step in part.steps)
        return [Outcome(step.command, f"new {step.command}", 4 if step.command == "b" else 0) for step in part.steps]

    now = page.carried_out(run)
    assert asked == [("ana", "a", ""), ("ben", "b", ""), ("ana", "c", "?")]
    assert now == "# P\n\n```console\n$ a\nnew a\n\nben$ b\nnew b\n[exit 4]\n```\n\n<!-- run:\n?$ c\n-->\nend\n"


def test_what_differs_from_run_to_run() -> None:
    """Ids and times become the page's own, the same wherever they are shown; commands get the real ones back."""
    one, two = Stable("p"), Stable("p")
    ids = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210")
    for stable in (one, two):
        stable.begin()
    at = "2026-01-02T03:04:05Z"
    told = [s.told(f"project {i} at {at}\nshort {i[:12]}", "ana", "show") for s, i in zip((one, two), ids, strict=True)]
    assert told[0] == told[1]
    shown = told[0].split()[1]
    assert shown not in ids
    assert told[0].endswith(f"short {shown[:12]}")
    assert at in told[0], "it is of before the page began"
    assert two.real(f"checkout {shown[:12]}") == f"checkout {ids[1][:12]}"
