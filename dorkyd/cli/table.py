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
PENDING = 4
ALL = tuple(range(len(HEADINGS)))
LAYOUTS = ((ALL, False), ((0, 1, 2, 3, 4, 7), False), ((0, 1, 2, 3, 4, 7), True), ((0, 1, 4), True))
"""Columns to show, the first that fit; and whether of what is to do only the counts are. What a row leaves out stands beneath it:
where things are, how fast it goes, and conflicts and problems, which are told there whenever there are any.
"""
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


def screenful(document: StatusDocument, width: int, height: int) -> Text:
    """As much of it as a terminal shows at once, with a word about what is left. Its lines are broken here, since who draws over
    them again must know how many there are; what is printed once is the terminal's to break, so that commands can be copied.
    """
    lines = [part for line in render(document, width).split("\n", allow_blank=True) for part in _wrapped(line, width)]
    if len(lines) >= height:
        kept = max(1, height - 2)
        more = f"... {len(lines) - kept} lines more: make the window higher, or watch one: dorkyctl status NAME --watch"
        lines[kept:] = [Text(more[:width], _NOTE)]
    return Text("\n").join(lines)


def _wrapped(line: Text, width: int) -> Iterator[Text]:
    """The line in parts that fit, at words where it can be; what goes on is as far in as it began."""
    begins = len(line.plain) - len(line.plain.lstrip(" "))
    indent, left = " " * min(begins, width // 2), line
    while cell_len(left.plain) > width:
        room = _fits(left.plain, width)
        at = left.plain.rfind(" ", len(indent) + 1, room + 1)
        first, rest = left.divide([at if at > 0 else room])
        first.rstrip()
        yield first
        left = Text(indent, rest.style).append_text(rest[len(rest.plain) - len(rest.plain.lstrip(" ")) :])
    yield left


def _fits(text: str, width: int) -> int:
    """How many of its characters have room."""
    taken = 0
    for count, char in enumerate(text):
        taken += cell_len(char)
        if taken > width:
            return max(count, 1)
    return len(text)


def _lines(projects: Sequence[ProjectStatus], width: int | None) -> Iterator[Text]:
    rows = [HEADINGS, *(_cells(each) for each in projects)]
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    brief = [max(cell_len(_brief(row[PENDING])) for row in rows), *widths[PENDING + 1 :]]
    columns, short = ALL, False
    for columns, short in LAYOUTS:
        if short:
            widths[PENDING:] = brief
        if width is None or sum(widths[column] + 2 for column in columns) - 2 <= width:
            break
    yield _row(HEADINGS, widths, ["bold"] * len(HEADINGS), columns)
    for project, cells in zip(projects, rows[1:], strict=True):
        styles = [""] * len(HEADINGS)
        styles[0], styles[1] = "bold", COLOURS[project.state]
        styles[5] = _ALERT if project.conflicts else ""
        styles[6] = _ALERT if project.problems else ""
        if short:
            brief_cells = (*cells[:PENDING], _brief(cells[PENDING]), *cells[PENDING + 1 :])
            yield _row(brief_cells, widths, styles, columns)
        else:
            yield _row(cells, widths, styles, columns)
        if columns is not ALL:
            yield Text(f"  {cells[-1]}", "dim")
        if short and cells[PENDING] != _brief(cells[PENDING]):
            yield _told(cells[PENDING])
        yield from needs(project)


def _brief(work: str) -> str:
    """The counts of what is to do, alone."""
    return work.partition(" (")[0]


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


def _row(cells: Sequence[str], widths: Sequence[int], styles: Sequence[str], columns: Sequence[int]) -> Text:
    row = Text()
    for column in columns:
        cell = cells[column]
        gap = " " * (widths[column] - cell_len(cell))
        row.append(gap if column in NUMBERS else "").append(cell, styles[column])
        row.append("" if column in NUMBERS else gap).append("  ")
    row.rstrip()
    return row


MOVING = (State.IN_SYNC, State.SYNCING)
"""Of any other state's work nothing moves, however fast it was a moment ago."""


def _cells(project: ProjectStatus) -> tuple[str, ...]:
    return (
        printable(project.name),
        project.state.value,
        f"{project.files:,}",
        size(project.bytes),
        pending(project.pending, project.speed if project.state in MOVING else None),
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
