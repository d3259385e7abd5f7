"""The daemon's log: one line for each thing done, to standard error, with nothing in it that steers a terminal."""

from __future__ import annotations

import logging
import sys

from dorkyd.core.printable import printable

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


class PrintableLines(logging.Formatter):
    """A message is one line, whatever names it quotes; only a traceback that follows has lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the standard library's name
        """The line without its traceback."""
        return printable(super().formatMessage(record), keep="")

    def formatException(self, ei: object) -> str:  # noqa: N802  as above
        """The traceback."""
        return printable(super().formatException(ei))  # type: ignore[arg-type]


def begin() -> None:
    """Log to standard error from here on."""
    handler = logging.StreamHandler(sys.stderr)
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
