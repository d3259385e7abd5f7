"""Break the program on purpose, and see whether the tests notice: `python -m tests.simulation.mutants [NAME…]`.

Each mutant of `tests.simulation.mutations` is applied to a copy of the package and of the tests, and run there: random
histories from its seed on until one fails, or the test file that is named with it. A mutant that nothing catches is a
gap in the tests, and the exit code is 1.

    --jobs 2          that many at once
    --histories 400   give up after so many
    --by history      only those that histories catch; `--by test`: only those of a named test file
    --any-seed        begin at seed 0 rather than at the one that is known to catch
    --table           only print the rows of docs/mutants.md
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.simulation import hunt
from tests.simulation.mutations import ALL
from tests.simulation.mutations.mutant import Mutant

ROOT = Path(__file__).parent.parent.parent
_COPIED = ("dorkyd", "tests", "pyproject.toml", "config")
_PROOF = "import sys, importlib.util as u; sys.exit(u.find_spec('dorkyd').origin != sys.argv[1])"
"""What runs is the copy, not what is installed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a mutant fared."""

    mutant: Mutant
    caught: bool
    by: str
    """What caught it, or what did not."""
    seconds: float


def copy_of(mutant: Mutant | None, to: Path) -> None:
    """The package with the fault (None: as it is) and the tests, below `to`."""
    # Compiled modules go along: they are told by the source's mtime, which the patched module loses.
    leave = shutil.ignore_patterns(".hypothesis")
    for name in _COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=leave)
        else:
            shutil.copy(source, to / name)
    if mutant is not None:
        module = to / "dorkyd" / f"{mutant.module}.py"
        module.write_text(mutant.patched(module.read_text()))


def run_in(base: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the copy's package."""
    environment = {**os.environ, "PYTHONPATH": str(base), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
    return subprocess.run(
        [sys.executable, *arguments], cwd=base, env=environment, capture_output=True, text=True, check=False
    )


def judge(mutant: Mutant, *, histories: int, first: int) -> Verdict:
    """Apply it and let the tests look."""
    begun = time.monotonic()
    where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="dorky-mutant-", dir=where) as folder:
        base = Path(folder)
        copy_of(mutant, base)
        if run_in(base, "-S", "-c", _PROOF, str(base / "dorkyd" / "__init__.py")).returncode != 0:
            raise RuntimeError("the copy is not what runs")
        if mutant.test is None:
            done = run_in(base, "-m", "tests.simulation.hunt", str(first), str(histories))
            by, caught = done.stdout.strip(), hunt.CAUGHT
        else:
            done = run_in(base, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", mutant.test)
            failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
            by = failed[0].partition(" - ")[0].removeprefix("FAILED ") if failed else f"{mutant.test} passed"
            caught = int(pytest.ExitCode.TESTS_FAILED)
        if done.returncode not in (0, caught) or "NameError:" in done.stdout:
            # A copy that does not even run is not caught by what it breaks.
            raise RuntimeError(f"{mutant.name}: {done.stdout}{done.stderr}")
    return Verdict(mutant, done.returncode != 0, by, time.monotonic() - begun)


def table() -> list[str]:
    """The rows of docs/mutants.md."""
    return [
        f"| `{m.name}` | {m.fault} | {m.rule} | {f'`{m.test}`' if m.test else f'histories, seed {m.first}'} |"
        for m in ALL
    ]


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description="Break the program on purpose, and see whether the tests notice.")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--histories", type=int, default=400)
    parser.add_argument("--any-seed", action="store_true")
    parser.add_argument("--by", choices=("history", "test"), help="only those that histories catch, or a named test")
    parser.add_argument("--table", action="store_true", help="print the rows of docs/mutants.md, and run nothing")
    asked = parser.parse_args()
    if asked.table:
        print("\n".join(table()))  # noqa: T201 - a command
        return 0
    unknown = set(asked.names) - {mutant.name for mutant in ALL}
    if unknown:
        parser.error(f"no such mutant: {', '.join(sorted(unknown))}")
    wanted = {None: (True, False), "history": (True,), "test": (False,)}[asked.by]
    chosen = [m for m in ALL if (not asked.names or m.name in asked.names) and (m.test is None) in wanted]
    survivors = 0
    with ThreadPoolExecutor(asked.jobs) as pool:
        jobs = [
            pool.submit(judge, mutant, histories=asked.histories, first=0 if asked.any_seed else mutant.first)
            for mutant in chosen
        ]
        for job in jobs:
            verdict = job.result()
            survivors += not verdict.caught
            word = "caught" if verdict.caught else "SURVIVES"
            print(f"{verdict.mutant.name:34} {word:9} {verdict.seconds:6.1f} s  {verdict.by}", flush=True)  # noqa: T201 - a command
    print(f"{len(chosen) - survivors} of {len(chosen)} caught")  # noqa: T201 - a command
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
