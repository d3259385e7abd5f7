"""The daemon's log: one line for each thing done, with nothing in it that steers a terminal."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from pathlib import Path
from typing import Generic, TextIO, TypeVar

from dorkyd.core.printable import printable

T = TypeVar("T")

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
STDERR = 2
MOST_BYTES, KEPT = 8 * 1024 * 1024, 3
"""When our own log file is put aside, and how many of those stay."""
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


class Gathering(logging.Handler, Generic[T]):
    """Lines that come close together are written together: one for every file that moves would each have the thread that
    records them wait for the system. A warning, or worse, is written at once, with all before it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[T] = []
        self._some = threading.Event()
        self._writing = threading.Lock()
        """Held around a write; never asked for by who holds the handler's own lock."""
        threading.Thread(target=self._run, name="log", daemon=True).start()

    def made(self, record: logging.LogRecord) -> T:
        """What is kept of a line."""
        raise NotImplementedError

    def write(self, lines: list[T]) -> None:
        """Write them, one thread at a time."""
        raise NotImplementedError

    def handle(self, record: logging.LogRecord) -> bool:
        """As the standard library has it; on any thread."""
        handled = bool(super().handle(record))
        if record.levelno >= logging.WARNING:
            self.flush()
        return handled

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line, with the handler's lock held."""
        try:
            self._lines.append(self.made(record))
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
            if lines:
                self.write(lines)

    def _run(self) -> None:
        while True:
            self._some.wait()
            self._some.clear()
            time.sleep(WAIT_S)
            self.flush()


class Together(Gathering[str]):
    """Lines of text to a stream."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream

    def made(self, record: logging.LogRecord) -> str:
        """The line."""
        return f"{self.format(record)}\n"

    def write(self, lines: list[str]) -> None:
        """All at once."""
        # Where standard error is closed there is nobody to tell of it.
        with contextlib.suppress(OSError, ValueError):
            self.stream.write("".join(lines))
            self.stream.flush()


class Rotating(Together):
    """To standard error, which is our own log file: at `MOST_BYTES` it becomes `dorkyd.log.1`, that one `.2`, and so on.

    The descriptor itself is led to the new file, so that what a library writes there, or a crash, is in the log as well.
    """

    def __init__(self, file: Path, *, most_bytes: int = MOST_BYTES, kept: int = KEPT, fd: int = STDERR) -> None:
        super().__init__(sys.stderr)
        self._file, self._most_bytes, self._kept, self._fd = file, most_bytes, kept, fd
        self._refused = False

    def write(self, lines: list[str]) -> None:
        """All at once; then the file may be full."""
        if not is_file(self._file, self._fd):
            self._reopen()  # somebody removed or moved it
        super().write(lines)
        if os.fstat(self._fd).st_size >= self._most_bytes:
            self._rotate()

    def _rotate(self) -> None:
        try:
            for number in range(self._kept, 0, -1):
                older = self._file.with_name(f"{self._file.name}.{number}")
                newer = self._file if number == 1 else self._file.with_name(f"{self._file.name}.{number - 1}")
                with contextlib.suppress(FileNotFoundError):
                    newer.replace(older)
        except OSError as exc:
            if not self._refused:
                super().write([f"the log cannot be rotated, and grows: {exc.strerror}\n"])
            self._refused = True
            return
        self._refused = False
        self._reopen()

    def _reopen(self) -> None:
        # Where it cannot be made, the old one goes on.
        with contextlib.suppress(OSError):
            lead_to(self._file, self._fd)


def lead_to(file: Path, fd: int = STDERR) -> None:
    """Make a descriptor append to a file, 0600."""
    opened = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.dup2(opened, fd, inheritable=fd == STDERR)
    finally:
        if opened != fd:
            os.close(opened)


def is_file(file: Path, fd: int) -> bool:
    """Whether a descriptor leads to what stands at `file`."""
    try:
        seen, here = os.stat(file), os.fstat(fd)
    except OSError:
        return False
    return (seen.st_dev, seen.st_ino) == (here.st_dev, here.st_ino)
