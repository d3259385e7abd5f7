"""`python -m dorkyd` is the daemon."""

import gc
import sys


def main() -> int:
    """Entry point of `dorkyd`. Returns the exit code."""
    # While modules are loaded there is hardly any garbage, and looking for it takes a tenth of the time.
    # `Daemon.run` enables it.
    gc.disable()
    from dorkyd.daemon import main  # noqa: PLC0415

    return main()


if __name__ == "__main__":
    sys.exit(main())
