"""Many transfers together: which there are, and what their outcomes come to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from dorkyd.api.failures import ApiError, BadRequest, Failed
from dorkyd.api.messages import ArtifactItem
from dorkyd.client import artifacts, bodies
from dorkyd.client.artifacts import Fetched
from dorkyd.client.batches import Began
from dorkyd.client.plans import Patience, Plan

T = TypeVar("T")

AT_ONCE = 8
"""Transfers at one time, unless the caller says otherwise."""

Upload = bodies.Source | tuple[bodies.Source, str]
"""What to send; with it where to, as `PROJECT:PATH`."""

Download = str | tuple[str, str | os.PathLike[str]]
"""What to fetch; with it into which file."""


class Claims:
    """Who may go where: of several transfers asked for together, none overwrites another's outcome. Thread-safe."""

    def __init__(self) -> None:
        self._taken: dict[object, object] = {}

    def claim(self, place: object, told: str) -> None:
        """For a transfer. `BadRequest` (`same-place`) when another of them has the place."""
        mine = object()
        if self._taken.setdefault(place, mine) is not mine:
            raise BadRequest(
                f"{told} is the place of another of these.", code="same-place", hint="Give each a place of its own."
            )


def uploads(
    sources: Iterable[Upload],
    to: str | None,
    *,
    metadata: Mapping[str, str] | None,
    for_s: float,
    progress: bodies.Watching | None,
    cwd: str | None,
    batch: Began | None = None,
) -> list[Callable[[], Plan[ArtifactItem]]]:
    """One plan for each, made when its turn comes. `to` is a folder, for those that say nothing themselves."""
    if to and not to.endswith((":", "/")):
        to += "/"

    claims = Claims()

    def one(source: Upload) -> Plan[ArtifactItem]:
        data, place = source if isinstance(source, tuple) else (source, to)
        place = place if batch is None else batch.place(place)
        return artifacts.upload(
            data,
            place,
            metadata=metadata,
            idempotency_key=None,
            if_match=None,
            if_none_match=None,
            for_s=for_s,
            progress=progress,
            cwd=cwd,
            batch=batch.id if batch is not None else None,
            claim=lambda target: claims.claim(target, str(target)),
        )

    return [lambda source=source: one(source) for source in sources]  # type: ignore[misc]


def downloads(
    paths: Iterable[Download],
    dest: str | os.PathLike[str],
    *,
    for_s: float,
    progress: bodies.Watching | None,
    cwd: str | None,
) -> list[Callable[[], Plan[Fetched]]]:
    """One plan for each: into the folder `dest`, below which each that says nothing itself keeps its whole path."""
    claims = Claims()

    def one(wanted: Download) -> Plan[Fetched]:
        text, place = (wanted, None) if isinstance(wanted, str) else wanted
        target = yield from artifacts.find(text, cwd)
        parts = target.path.split("/")
        if any(part in ("", ".", "..") for part in parts):
            raise BadRequest(f"{target} names no file.", code="bad-path", hint="Write PROJECT:PATH.")
        file = Path(dest, *parts) if place is None else Path(place)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise Failed(f"{file.parent} cannot be made: {exc.strerror}", code="unwritable-file") from exc
        claims.claim(file.parent.resolve() / file.name, str(file))
        return (yield from artifacts.download(target, file, Patience(for_s), progress))

    return [lambda wanted=wanted: one(wanted) for wanted in paths]  # type: ignore[misc]


def outcomes(found: Sequence[T | ApiError], *, return_exceptions: bool) -> list[T | ApiError]:
    """What the caller gets, in the order of what was asked. Raises an `ExceptionGroup` of every `ApiError`."""
    failures = [each for each in found if isinstance(each, ApiError)]
    if failures and not return_exceptions:
        raise ExceptionGroup(f"{len(failures)} of {len(found)} transfers failed", failures)
    return list(found)
