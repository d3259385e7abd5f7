"""The daemon's log: one line for each thing done, to standard error, with nothing in it that steers a terminal."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from typing import TextIO

from dorkyd.core.printable import printable

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


WAIT_S = 0.05
"""How long a line may wait for others to be written with."""


class PrintableLines(logging.Formatter):
    """A message is one line, whatever names it quotes; only a traceback that follows has lines of its own."""

    _second, _text = 0, ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802  as below
        """As the standard library has it; many lines are of one second."""
        if datefmt is not None:
            return super().formatTime(record, datefmt)
        second = int(record.created)
        if second != self._second:
            self._second, self._text = second, time.strftime(self.default_time_format, self.converter(second))
        return f"{self._text},{int(record.msecs):03d}"

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the standard library's name
        """The line without its traceback."""
        return printable(super().formatMessage(record), keep="")

    def formatException(self, ei: object) -> str:  # noqa: N802  as above
        """The traceback."""
        return printable(super().formatException(ei))  # type: ignore[arg-type]


class Together(logging.StreamHandler[TextIO]):
    """Lines that come close together are written together: one for every file that moves would each have the thread that
    records them wait for the system. A warning, or worse, is written at once, with all before it.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []
        self._some = threading.Event()
        self._writing = threading.Lock()
        """Held around a write; never asked for by who holds the handler's own lock."""
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def handle(self, record: logging.LogRecord) -> bool:
        """As the standard library has it; on any thread."""
        handled = bool(super().handle(record))
        if record.levelno >= logging.WARNING:
            self.flush()
        return handled

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line, with the handler's lock held."""
        try:
            self._lines.append(f"{self.format(record)}{self.terminator}")
        except Exception:  # told as every handler of the standard library tells it
            self.handleError(record)
        if len(self._lines) == 1:
            self._some.set()

    def flush(self) -> None:
        """Write what is kept."""
        with self._writing:
            self.acquire()
            lines, self._lines = self._lines, []
            self.release()
            # Where standard error is closed there is nobody to tell of it.
            with contextlib.suppress(OSError, ValueError):
                self.stream.write("".join(lines))
                self.stream.flush()

    def _run(self) -> None:
        while True:
            self._some.wait()
            self._some.clear()
            time.sleep(WAIT_S)
            self.flush()


def begin() -> None:
    """Log to standard error from here on."""
    handler = Together(sys.stderr)
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
