"""Where the daemon's log goes, and how much of it is written."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dorkyd.journald import ToJournal, is_journal
from dorkyd.loglines import FORMAT, STDERR, PrintableLines, Rotating, Together, is_file, lead_to


@dataclass(frozen=True, slots=True)
class Logs:
    """The daemon's log, as the API knows it (`control_logs.LogsControl`)."""

    to: str = "stderr"
    file: str | None = None

    @property
    def level(self) -> str:
        """The one in force, in lower case."""
        return logging.getLevelName(_ours().getEffectiveLevel()).lower()

    def set_level(self, level: str) -> None:
        """Our own lines alone: libraries would tell requests with what signs them."""
        _ours().setLevel(level.upper())


def _ours() -> logging.Logger:
    return logging.getLogger("dorkyd")


def _leads_nowhere(fd: int) -> bool:
    """Closed, or `/dev/null`."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(os.devnull))
    except OSError:
        return True


def chosen(environ: Mapping[str, str], file: Path) -> tuple[logging.Handler, Logs]:
    """The journal under systemd; our own file where standard error is that, or leads nowhere; else standard error, which
    somebody else keeps.
    """
    if is_journal(environ, STDERR):
        return ToJournal(), Logs("journal")
    if _leads_nowhere(STDERR):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lead_to(file)
        if sys.stderr is None:
            sys.stderr = open(STDERR, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115  for the process's life
    if is_file(file, STDERR):
        return Rotating(file), Logs("file", str(file))
    return Together(sys.stderr), Logs("stderr")


def begin(environ: Mapping[str, str], file: Path) -> Logs:
    """Log from here on; where to. `file`: our own log file, for when there is nothing else."""
    handler, made = chosen(environ, file)
    if handler.formatter is None:
        handler.setFormatter(PrintableLines(FORMAT))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    # A line is written for every file that moves: what no line tells is not found out for each
    # (https://docs.python.org/3/howto/logging.html#optimization).
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging._srcfile = None  # noqa: SLF001  as that page says
    for noisy in ("apscheduler", "botocore", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for talkative in ("botocore.credentials", "botocore.tokens"):
        # They print what a credential process printed, with a traceback, at every try. The status says what to run.
        logging.getLogger(talkative).setLevel(logging.CRITICAL)
    return made
