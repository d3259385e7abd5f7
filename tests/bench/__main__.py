"""The command: `python -m tests.bench [CASE...]`."""

from tests.bench.command import main

if __name__ == "__main__":
    main()
