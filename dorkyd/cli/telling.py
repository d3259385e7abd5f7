"""How a command ends and what it says, without what parses commands: `glance` must not pay for that.

Standard output carries the answer and nothing else: with `--json` the response body unchanged, one line for each body.
Everything said on the way goes to standard error. An error is one line saying what happened and one saying what to do.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import NoReturn, TextIO

from dorkyd.api.failures import (
    ApiError,
    BadBytes,
    BadConfiguration,
    BadRequest,
    GuardRefused,
    NotAllowed,
    NotFound,
    NotRunning,
    Temporary,
)
from dorkyd.core.printable import printable

TAIL_BYTES = 64 * 1024
"""More than what follows the items of a page."""


class Exit(IntEnum):
    """What the process says with its exit code; other programs rely on it."""

    OK = 0
    ERROR = 1
    USAGE = 2
    PENDING = 3
    """Only with `--exit-code`."""
    ATTENTION = 4
    """A conflict, halt or problem."""
    TEMPORARY = 5
    """Will be tried again."""
    NOT_RUNNING = 6
    GUARD = 7
    """A safety guard refused."""
    CREDENTIALS = 8
    INTEGRITY = 9
    CONFIGURATION = 78


_OF_CODES = {"halted": Exit.ATTENTION, "paused": Exit.TEMPORARY}
"""As for `sync --wait`, whatever was asked."""
_OF_ERRORS: dict[type[ApiError], Exit] = {
    NotRunning: Exit.NOT_RUNNING,
    NotFound: Exit.USAGE,
    BadRequest: Exit.USAGE,
    BadConfiguration: Exit.CONFIGURATION,
    NotAllowed: Exit.CREDENTIALS,
    GuardRefused: Exit.GUARD,
    Temporary: Exit.TEMPORARY,
    BadBytes: Exit.INTEGRITY,
}


def exit_of(exc: ApiError) -> Exit:
    """The exit code that an error of the daemon's, or of the way to it, stands for."""
    return _OF_CODES.get(exc.code) or _OF_ERRORS.get(type(exc), Exit.ERROR)


class Failure(Exception):
    """The command line itself cannot go on."""

    def __init__(self, message: str, *, hint: str = "", exit_code: int = Exit.USAGE) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code


_OF_OUTPUT = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}


def guarded(command: Callable[[], object], *, json: bool) -> None:
    """Run a command; an error ends the process with its code, told as it should be."""
    _fill_closed_streams()
    # A name that the terminal's encoding cannot show must not end a listing.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        command()
    except ApiError as exc:
        if json and exc.body:
            emit(exc.body)
        complain(str(exc), exc.hint)
        sys.exit(exit_of(exc))
    except Failure as exc:
        complain(str(exc), exc.hint)
        sys.exit(exc.exit_code)
    except BrokenPipeError:
        leave_quietly()
    except OSError as exc:
        if exc.filename is not None or exc.errno not in _OF_OUTPUT:
            raise
        complain(f"The output cannot be written: {exc.strerror}.")
        leave_quietly()


def leave_quietly() -> NoReturn:
    """End after standard output broke. Whoever read has had enough (`head`), or has been told; what is still in the buffer must
    not raise once more at the very end.
    """
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    sys.exit(Exit.ERROR)


def _fill_closed_streams() -> None:
    """Python has None for a stream that was closed by whoever started us (`2>&-`), and `print` to None goes to standard output.
    Nothing can be read where there was no input: an empty file is not what was meant.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for as long as the process lives


def piped() -> TextIO:
    """Standard input, to be read."""
    if not sys.stdin.readable():
        raise Failure("Standard input is closed: there is nothing to read.")
    return sys.stdin


def complain(message: str, hint: str = "") -> None:
    """Say on standard error what happened and what to do."""
    say(f"dorkyctl: {message}")
    if hint:
        say(f"  {hint}")


def say(text: str) -> None:
    """Narrate on standard error."""
    print(printable(text), file=sys.stderr, flush=True)


def show(text: str, *, lines: bool = False) -> None:
    """Print a line of an answer for people; a name in it that holds a line break forges no other. `lines`: the text has
    several of its own.
    """
    print(printable(text, keep="\n\t" if lines else ""), flush=True)


def show_all(texts: Iterable[str]) -> None:
    """As `show` of each."""
    told = "\n".join(printable(text) for text in texts)
    if told:
        print(told, flush=True)


def emit_chunks(chunks: Iterable[bytes]) -> bytes:
    """As `emit` of a body that comes in pieces. Returns its end."""
    sys.stdout.flush()
    tail = b""
    for chunk in chunks:
        sys.stdout.buffer.write(chunk)
        tail = (tail + chunk)[-TAIL_BYTES:]
    sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()
    return tail


def emit(body: bytes) -> None:
    """Print a response body as it came, as one line."""
    sys.stdout.flush()
    sys.stdout.buffer.write(body.rstrip(b"\n") + b"\n")
    sys.stdout.buffer.flush()
