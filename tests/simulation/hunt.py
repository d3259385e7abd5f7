"""Simulated histories, one seed after the other, until one shows a fault: `python -m tests.simulation.hunt FIRST COUNT`.

Ends with `CAUGHT` and the seed where a history breaks a rule or does not end, with 0 where all held.
"""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType

from tests.devices import Kill
from tests.simulation.run import many, play_seed

TOO_LONG_S = 60
"""Of processor time: a history takes a fraction of a second."""
CAUGHT = 10
"""The exit code of a hunt that found something: no crash of Python's own looks like it."""


class Endless(BaseException):
    """A history that does not end."""


def _endless(_signal: int, _frame: FrameType | None) -> None:
    raise Endless(f"does not end within {TOO_LONG_S} s")


def failing(seed: int) -> BaseException | None:
    """What this history shows."""
    signal.setitimer(signal.ITIMER_PROF, TOO_LONG_S)
    try:
        return play_seed(seed).failure
    except (Exception, Kill, Endless) as exc:  # whatever a wrong program does
        return exc
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def hunt(first: int, count: int) -> str | None:
    """What the first failing history says; None: none fails. Raises what only a patch that does not fit can make."""
    signal.signal(signal.SIGPROF, _endless)
    begun = time.process_time()
    with many():
        for seed in range(first, first + count):
            failure = failing(seed)
            if isinstance(failure, NameError | ImportError):
                raise failure
            if failure is not None:
                what = (str(failure).splitlines() or [""])[0][:100]
                spent = f"history {seed - first + 1}, {time.process_time() - begun:.1f} s"
                return f"seed {seed} ({spent}): {type(failure).__name__} {what}"
    return None


if __name__ == "__main__":
    found = hunt(int(sys.argv[1]), int(sys.argv[2]))
    print(found or f"{sys.argv[2]} histories held")  # noqa: T201 - a command
    sys.exit(CAUGHT if found else 0)
