"""The status document as a person reads it: a line for each project, beneath it what needs that person."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from dorkyd.cli.units import ago, length, plural, size, speeds
from dorkyd.core.printable import printable
from dorkyd.core.states import HaltReason, State

if TYPE_CHECKING:
    from rich.console import Console

    from dorkyd.api.messages import Halt, Manual, Notice, Pending, ProjectStatus, Speed, StatusDocument

HEADINGS = ("PROJECT", "STATE", "FILES", "SIZE", "PENDING", "CONFLICTS", "PROBLEMS", "LAST SUCCESS", "FOLDER → BUCKET")
NUMBERS = (2, 3, 5, 6)
"""Columns that are aligned to the right."""
COLOURS = {
    State.IN_SYNC: "green",
    State.SYNCING: "cyan",
    State.PAUSED: "yellow",
    State.OFFLINE: "yellow",
    State.HALTED: "bold red",
    State.AUTH_EXPIRED: "bold red",
    State.ERROR: "bold red",
}
_ALERT, _NOTE = "bold red", "yellow"


def terminal() -> Console:
    """Standard output, which is one. Colour only on a terminal, and no escape at all (rich would keep bold) under NO_COLOR."""
    from rich.console import Console  # noqa: PLC0415  a pipe does without

    console = Console(highlight=False, markup=False)
    return Console(highlight=False, markup=False, color_system=None) if console.no_color else console


def show(document: StatusDocument) -> None:
    """Print it."""
    if not sys.stdout.isatty():
        # Never wrapped by us: a line of a pipe is a line, whatever width somebody claims.
        print(render(document, None).plain, flush=True)
        return
    console = terminal()
    console.print(render(document, console.width), soft_wrap=True)


def render(document: StatusDocument, width: int | None) -> Text:
    """The whole as styled text; `width` None: as wide as it needs."""
    if not document.projects:
        lines = [Text("No projects yet. Add one: dorkyctl up FOLDER")]
    else:
        lines = [*_head(document.projects), *_lines(document.projects, width)]
    if limits := speeds(document.daemon.bandwidth):
        lines.append(_told(f"bandwidth limit of all projects together: {limits}"))
    lines += [line for notice in document.warnings for line in _notice(notice)]
    return Text("\n").join(lines)


def _lines(projects: Sequence[ProjectStatus], width: int | None) -> Iterator[Text]:
    rows = [HEADINGS, *(_cells(each) for each in projects)]
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    # Too narrow for all of it: where things are moves to a line of its own.
    narrow = width is not None and sum(widths) + 2 * len(widths) > width
    columns = len(HEADINGS) - 1 if narrow else len(HEADINGS)
    yield _row(HEADINGS[:columns], widths, ["bold"] * columns)
    for project, cells in zip(projects, rows[1:], strict=True):
        styles = [""] * columns
        styles[0], styles[1] = "bold", COLOURS[project.state]
        styles[5] = _ALERT if project.conflicts else ""
        styles[6] = _ALERT if project.problems else ""
        yield _row(cells[:columns], widths, styles)
        if narrow:
            yield Text(f"  {cells[-1]}", "dim")
        yield from needs(project)


def _head(projects: Sequence[ProjectStatus]) -> Iterator[Text]:
    """As whom the stores are asked, until when, and what the requests of a month cost; what is known of it."""
    for who in dict.fromkeys((each.identity, each.credentials_until) for each in projects if each.identity):
        identity, until = who
        whose = [each.name for each in projects if (each.identity, each.credentials_until) == who]
        ends = "" if until is None else f", good until {until}"
        named = "" if len(whose) == len(projects) else f"{', '.join(whose)}: "
        yield Text(printable(f"{named}{identity}{ends}"), "dim")
    known = [each.cost for each in projects if each.cost.usd_per_month is not None]
    if known:
        requests, usd = sum(each.requests_per_month for each in known), sum(each.usd_per_month or 0 for each in known)
        yield Text(f"about {usd:.2f} USD a month for {requests:,} requests, at list prices", "dim")


def _row(cells: Sequence[str], widths: Sequence[int], styles: Sequence[str]) -> Text:
    row = Text()
    for column, (cell, style) in enumerate(zip(cells, styles, strict=True)):
        gap = " " * (widths[column] - cell_len(cell))
        row.append(gap if column in NUMBERS else "").append(cell, style)
        row.append("" if column in NUMBERS else gap).append("  ")
    row.rstrip()
    return row


def _cells(project: ProjectStatus) -> tuple[str, ...]:
    return (
        printable(project.name),
        project.state.value,
        f"{project.files:,}",
        size(project.bytes),
        # What was fast a moment ago says nothing of work that waits for a person.
        pending(project.pending, project.speed if project.state is State.SYNCING else None),
        str(project.conflicts),
        str(project.problems),
        ago(project.last_success),
        printable(f"{project.path} → {project.bucket}"),
    )


def pending(work: Pending, speed: Speed | None) -> str:
    """What is to do, with arrows: up, down, and what will be removed on either side; how fast it goes, and how long yet.
    `speed` None: nothing goes.
    """
    parts = (("↑", work.upload), ("↓", work.download), ("✗", work.delete_local + work.delete_remote))
    counts = " ".join(f"{arrow}{count:,}" for arrow, count in parts if count)
    if not counts:
        return "-"
    more = [size(work.bytes)] if work.bytes else []
    if speed is not None:
        more += [f"{arrow}{size(rate)}/s" for arrow, rate in (("↑", speed.up), ("↓", speed.down)) if rate]
        more += [f"{length(speed.left_s)} left"] if speed.left_s is not None else []
    return f"{counts} ({', '.join(more)})" if more else counts


def needs(project: ProjectStatus) -> Iterator[Text]:
    """What a person should know or do about one project, with the commands to run."""
    if project.halt is not None:
        yield from _halt(project.name, project.halt)
    elif project.detail and project.state in (State.OFFLINE, State.AUTH_EXPIRED, State.ERROR):
        yield _told(f"{project.state.value}: {project.detail}", COLOURS[project.state])
        if project.hint:
            yield _told(f"  {project.hint}")
    if limits := speeds(project.bandwidth):
        yield _told(f"bandwidth limit: {limits}")
    if project.state is State.PAUSED:
        yield _told(f"paused; go on with: dorkyctl resume {project.name}", _NOTE)
    if project.manual is not None:
        yield from _manual(project.name, project.manual)
    if project.conflicts:
        yield _told(f"{plural(project.conflicts, 'conflict')}: dorkyctl conflicts {project.name}", _ALERT)
    if project.problems:
        yield _told(f"{plural(project.problems, 'path')} cannot sync: dorkyctl problems {project.name}", _ALERT)
    for notice in project.warnings:
        yield from _notice(notice)


def _manual(name: str, manual: Manual) -> Iterator[Text]:
    counts = ((manual.staged, "staged"), (manual.changed, "changed here"), (manual.behind, "behind"))
    parts = [f"{count:,} {what}" for count, what in counts if count]
    under_way = "; a push is under way" if manual.pushing else "; a pull is under way" if manual.pulling else ""
    if parts:
        yield _told(f"{', '.join(parts)}{under_way}: dorkyctl status {name}", _NOTE)
    elif under_way:
        yield _told(under_way.removeprefix("; "), _NOTE)
    if manual.message:
        yield _told(f"next push: {manual.message.partition(chr(10))[0]}")


def _halt(name: str, halt: Halt) -> Iterator[Text]:
    seen, _, choices = halt.detail.partition("\n")
    yield _told(f"halted, {halt.reason.value}: {seen}", _ALERT)
    if choices:
        yield _told(choices)
    # Root missing clears by itself; and the detail may name the commands already.
    if halt.reason is not HaltReason.ROOT_MISSING and halt.token not in halt.detail:
        yield _told(f"  to go on as shown:            dorkyctl approve {name} {halt.token}")
        yield _told(f"  to undo it, deleting nothing: dorkyctl reject {name} {halt.token}")


def _notice(notice: Notice) -> Iterator[Text]:
    yield _told(f"{notice.code}: {notice.detail}", _NOTE)
    if notice.hint:
        yield _told(f"  {notice.hint}")


def _told(text: str, style: str = "") -> Text:
    return Text("  " + printable(text).replace("\n", "\n  "), style)
