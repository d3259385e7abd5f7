"""See the package."""

# ruff: noqa: T201 - what it is for

from __future__ import annotations

import difflib
import sys

from tests.docs.pages import Page, pages
from tests.docs.world import World


def carried_out(page: Page) -> str:
    """The page with what its commands print now."""
    with World(page) as world:
        return page.carried_out(world.run)


def difference(page: Page) -> str:
    """What is not as it is printed now; empty: nothing."""
    now = carried_out(page)
    return "".join(
        difflib.unified_diff(page.text.splitlines(True), now.splitlines(True), page.name, "printed now", n=2)
    )


def main(words: list[str]) -> int:
    """0: the pages are as they should be, or were written."""
    there, wanted, differ = pages(), [word for word in words if word != "--write"], False
    for name in wanted or there:
        page = Page.read(there[name])
        if "--write" in words:
            there[name].write_text(carried_out(page))
            print(f"wrote docs/{name}.md")
        elif told := difference(page):
            differ = True
            print(told)
    return int(differ)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
