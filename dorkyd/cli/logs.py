"""`dorkyctl logs`: what the daemon says of itself. What was done to files is `dorkyctl log`.

The log is read where it lies and not through the daemon: it is wanted most when that does not start.
"""

from __future__ import annotations

import json as js
import os
import re
import subprocess
import time
from collections import deque
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer

from dorkyd.api import log_calls
from dorkyd.api.failures import NotRunning
from dorkyd.cli.app import Exit, Failure, Json, app, emit, say, show
from dorkyd.cli.processes import service_manager
from dorkyd.client import DorkyClient
from dorkyd.locate import log_file
from dorkyd.service import UNIT

LINES = 50
TICK_S = 0.25
"""How often a followed file is looked at."""
_LINE = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) (?P<level>[A-Z]+) (?P<logger>\S+) (?P<message>.*)", re.DOTALL
)


class Level(StrEnum):
    """How much is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@app.command(epilog="Example: dorkyctl logs -f")
def logs(
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last.")] = LINES,
    level: Annotated[Level | None, typer.Option(help="Show nothing; log this much until the daemon ends.")] = None,
    json: Json = False,
) -> None:
    """Show the daemon's own log: from the journal under systemd, else from its file.

    What was done to files is in `dorkyctl log`.
    """
    with DorkyClient() as client:
        if level is not None:
            changed = client.send(log_calls.set_level(level.value))
            if json:
                emit(changed.body)
            else:
                show(f"The daemon logs {changed.value.level} and worse until it ends.")
            return
        try:
            told = client.send(log_calls.logging()).value
        except NotRunning:
            told = None
    file = log_file() if told is None or told.file is None else Path(told.file)
    to = _guess(file) if told is None else told.to
    if to == "journal":
        raise typer.Exit(_journal(lines, follow=follow, json=json))
    if to == "stderr":
        raise Failure("The daemon writes its log to the terminal or program that started it.", exit_code=Exit.ERROR)
    if not file.exists():
        raise Failure(f"There is no log yet: {file}", exit_code=Exit.NOT_RUNNING)
    for line in _lines(file, lines, follow=follow):
        if json:
            print(js.dumps(_parsed(line)), flush=True)
        else:
            show(line)


def _guess(file: Path) -> str:
    """Where a daemon that does not run would have written: the journal when the service is installed, and is not older."""
    unit = service_manager()
    if unit.name != "systemd" or unit.installed() is None:
        return "file"
    return "file" if file.exists() and file.stat().st_mtime > unit.file.stat().st_mtime else "journal"


def _journal(lines: int, *, follow: bool, json: bool) -> int:
    words = ["journalctl", "--user", "--unit", UNIT, "--lines", str(lines), "--no-pager"]
    words += ["--follow"] if follow else []
    words += ["--output", "json"] if json else []
    try:
        return subprocess.run(words, check=False).returncode  # noqa: S603  our own words
    except FileNotFoundError as exc:
        raise Failure("journalctl is not installed.", exit_code=Exit.ERROR) from exc
    except KeyboardInterrupt:
        return Exit.OK


def _lines(file: Path, count: int, *, follow: bool) -> Iterator[str]:
    """The last lines, of the file that was put aside last, too; then those that come."""
    older = file.with_name(f"{file.name}.1")
    kept: deque[str] = deque(maxlen=count)
    if count and older.exists():
        with older.open(encoding="utf-8", errors="replace") as stream:
            kept.extend(line.rstrip("\n") for line in stream)
    current: TextIO = file.open(encoding="utf-8", errors="replace")
    try:
        kept.extend(line.rstrip("\n") for line in current)
        yield from kept
        say(f"({file})")
        part = ""
        while follow:
            part += current.read()
            *whole, part = part.split("\n")
            yield from whole
            if whole or _is_open(file, current.fileno()):
                time.sleep(0 if whole else TICK_S)
                continue
            # It was put aside, and all of it is read: go on with the new one.
            current.close()
            current = _next(file)
    finally:
        current.close()


def _is_open(file: Path, fd: int) -> bool:
    try:
        return os.path.samestat(os.stat(file), os.fstat(fd))
    except FileNotFoundError:
        return False


def _next(file: Path) -> TextIO:
    """The new one, which is made within moments."""
    while True:
        try:
            return file.open(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            time.sleep(TICK_S)


def _parsed(line: str) -> dict[str, str]:
    """A line's parts; of what is no line of the log (a traceback) the text alone."""
    found = _LINE.fullmatch(line)
    return {"message": line} if found is None else found.groupdict()
