"""How often the tripwire would stop for what is no secret, and what it costs: `python -m tests.security.rate FOLDER...`.

Reads every file below as the tripwire would, and names what it would hold. Which of those are secrets a person must say.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from dorkyd.core import model
from dorkyd.core.secrets import READ_BYTES, suspicion


def files(folder: Path) -> Iterator[Path]:
    """Every plain file, compiled Python aside."""
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in {"__pycache__", ".git", "site-packages"})
        yield from (path for name in sorted(names) if (path := Path(here, name)).is_file() and not path.is_symlink())


def main() -> None:
    """Print what is held, and the sums."""
    for folder in map(Path, sys.argv[1:]):
        count = size = held = 0
        seconds = 0.0
        for path in files(folder):
            with path.open("rb") as opened:
                data = opened.read(READ_BYTES)
            began = time.thread_time()
            found = suspicion(model.Path(str(path.relative_to(folder))), data)
            seconds += time.thread_time() - began
            count, size, held = count + 1, size + len(data), held + (found is not None)
            if found is not None:
                sys.stdout.write(f"{path}:{found.line}: {found.what}\n")
        cost = seconds * 1e6 / max(count, 1)
        sys.stdout.write(f"{folder}: {count} files, {size / 1e6:.0f} MB, {held} held, {cost:.0f} us of CPU a file\n")


if __name__ == "__main__":
    main()
