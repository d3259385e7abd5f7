"""Trees of files with content that does not compress, the same in every run."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from dorkyd.core.settings import MiB

PER_FOLDER = 100
_WRITTEN_S = 1_750_000_000
"""The mtime of everything, so that no tool takes a file for one that may still change."""
_CHUNK = 8 * MiB


def small_files(root: Path, count: int, size: int) -> None:
    """So many files of so many bytes, a hundred a folder, a hundred folders a folder."""
    noise = random.Random(count * 31 + size)
    for number in range(count):
        folder = root / f"d{number // PER_FOLDER // 100:02}" / f"e{number // PER_FOLDER % 100:02}"
        if number % PER_FOLDER == 0:
            folder.mkdir(parents=True, exist_ok=True)
        _write(folder / f"file-{number:06}.bin", [noise.randbytes(size)])
    os.sync()


def mixed_files(root: Path, count: int, largest: int) -> None:
    """Sizes as in a working folder: log-normal, most of them some KiB, a few up to `largest` bytes, which one has."""
    noise = random.Random(count)
    sizes = [largest, *(min(largest, int(noise.lognormvariate(10.5, 2.5))) for _ in range(count - 1))]
    for number, size in enumerate(sizes):
        folder = root / f"part{number // PER_FOLDER:02}"
        if number % PER_FOLDER == 0:
            folder.mkdir(parents=True)
        _write(folder / f"item-{number:05}.dat", _chunks(noise, size))
    os.sync()


def large_file(file: Path, size: int) -> None:
    """One file of so many bytes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    _write(file, _chunks(random.Random(size), size))
    os.sync()


def overwrite(file: Path, seed: int) -> None:
    """Save a small file again, with as many other bytes, in one write."""
    content = random.Random(seed).randbytes(file.stat().st_size)
    with file.open("r+b", buffering=0) as stream:
        stream.write(content)


def total(root: Path) -> tuple[int, int]:
    """Files and bytes, without what is ours."""
    files = size = 0
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".dorky"]
        files += len(names)
        size += sum(os.lstat(os.path.join(folder, name)).st_size for name in names)
    return files, size


def forget_us(root: Path) -> None:
    """Make it a folder that no daemon has seen."""
    shutil.rmtree(root / ".dorky", ignore_errors=True)


def _chunks(noise: random.Random, size: int) -> Iterator[bytes]:
    for start in range(0, size, _CHUNK):
        yield noise.randbytes(min(_CHUNK, size - start))


def _write(file: Path, chunks: Iterator[bytes] | list[bytes]) -> None:
    with file.open("wb") as stream:
        stream.writelines(chunks)
    os.utime(file, (_WRITTEN_S, _WRITTEN_S))
