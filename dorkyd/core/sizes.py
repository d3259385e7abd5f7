"""Sizes in bytes as people write them: `10MiB`, `1.5 GB`, `4096`."""

from __future__ import annotations

import re

_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)")
_UNITS = {"": 1, "B": 1} | {
    unit: factor**power
    for factor, marks in ((1000, ("kB", "MB", "GB", "TB")), (1024, ("KiB", "MiB", "GiB", "TiB")))
    for power, unit in enumerate(marks, start=1)
}
_SHORTEST_FIRST = ("TiB", "GiB", "MiB", "KiB", "TB", "GB", "MB", "kB")


def size_of(text: str) -> int | None:
    """Bytes; None: this is no size.

    >>> size_of("1.5 KiB"), size_of("2MB"), size_of("7"), size_of("1 mib")
    (1536, 2000000, 7, None)
    """
    found = _SIZE.fullmatch(text)
    if found is None or found[2] not in _UNITS:
        return None
    return int(float(found[1]) * _UNITS[found[2]])


def written(size: int) -> str:
    """The shortest exact form that `size_of` reads.

    >>> written(10 * 1024 * 1024), written(3_000_000), written(1025), written(0)
    ('10MiB', '3MB', '1025', '0')
    """
    unit = next((unit for unit in _SHORTEST_FIRST if size and size % _UNITS[unit] == 0), "")
    return f"{size // _UNITS[unit]}{unit}"
