"""Samples as a table for people, and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.bench.measure import Sample, Traffic

OURS = "dorkyd"
_HEAD = ("", "seconds", "spread", "dorkyd / it", "CPU s", "peak MB", "server CPU s", "requests", "MB up", "MB down", "")


def table(samples: Mapping[str, Sequence[Sample]]) -> str:
    """Rows of medians, fastest first, as Markdown that lines up; `dorkyd / it` below 1: dorkyd took less time."""
    order = sorted(samples, key=lambda name: _median(samples[name], lambda each: each.wall_s))
    rows = [_HEAD, *(_row(name, samples[name], samples.get(OURS, ())) for name in order)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    lines = [_line(row, widths) for row in rows]
    rule = [("-" if column in {0, len(widths) - 1} else ":").rjust(width, "-") for column, width in enumerate(widths)]
    rule = [text if column in {0, len(widths) - 1} else text[:-1] + ":" for column, text in enumerate(rule)]
    return "\n".join([lines[0], _line(rule, widths), *lines[1:]])


def _row(name: str, samples: Sequence[Sample], ours: Sequence[Sample]) -> tuple[str, ...]:
    walls = [each.wall_s for each in samples]
    middle = samples[walls.index(sorted(walls)[(len(walls) - 1) // 2])]
    ratio = _median(ours, lambda each: each.wall_s) / statistics.median(walls) if ours else None
    return (
        name,
        _seconds(statistics.median(walls)),
        f"{_seconds(min(walls))}-{_seconds(max(walls))}" if len(walls) > 1 else "-",
        "" if name.startswith(OURS) or ratio is None else f"{ratio:.2f}",
        _seconds(_median(samples, lambda each: each.cpu_s)),
        f"{max(each.peak_mb for each in samples):.0f}",
        _seconds(_median(samples, lambda each: each.server_cpu_s)),
        " ".join(f"{kind} {count}" for kind, count in middle.traffic.requests.items()) or "-",
        f"{middle.traffic.bytes_up / 2**20:.1f}",
        f"{middle.traffic.bytes_down / 2**20:.1f}",
        middle.note,
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    last = len(widths) - 1
    texts = [
        text.ljust(width) if column in {0, last} else text.rjust(width)
        for column, (text, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(texts)} |"


def _median(samples: Sequence[Sample], of: Callable[[Sample], float]) -> float:
    return statistics.median(of(each) for each in samples)


def _seconds(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"


def as_json(samples: Mapping[str, Sequence[Sample]]) -> dict[str, list[dict[str, Any]]]:
    """Every sample."""
    return {name: [_plain(each) for each in each_of] for name, each_of in samples.items()}


def _plain(sample: Sample) -> dict[str, Any]:
    traffic: Traffic = sample.traffic
    return {
        "wall_s": round(sample.wall_s, 4),
        "cpu_s": round(sample.cpu_s, 3),
        "peak_mb": round(sample.peak_mb, 1),
        "server_cpu_s": round(sample.server_cpu_s, 3),
        "requests": dict(traffic.requests),
        "bytes_up": traffic.bytes_up,
        "bytes_down": traffic.bytes_down,
        "note": sample.note,
    }
