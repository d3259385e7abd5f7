"""The states that one path had, put together from what each place knows of it.

No place knows all: this device's history has times and devices, but only of what it saw; the bucket's trash and the
store's own versions have bytes, but no digests until somebody looks; the folder's trash has bytes and when they went.
Pure: `dorkyd.versions` asks the places.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from dorkyd.core.model import Digest, Path, Version

WRITES = frozenset({"upload", "download", "adopt", "put", "move", "set-mode", "annotate"})
"""Verbs of the history after which a path holds what the row says."""
DELETES = frozenset({"delete-local", "delete-remote"})
LEAST_PREFIX = 4
"""So many characters of a version or digest name a state, where no other begins so."""


@dataclass(frozen=True, slots=True)
class Done:
    """A row of this device's history."""

    at_ns: int
    verb: str
    path: Path
    digest: Digest | None
    size: int | None
    version: Version | None
    device: str
    mode: int | None = None
    came_from: Path | None = None


@dataclass(frozen=True, slots=True)
class Copied:
    """Bytes of a state that some place keeps."""

    where: str
    """`trash`, `bucket-trash` or `versions`."""
    name: str
    """That place's own name for it."""
    size: int | None
    """None: the copy is encrypted, and nobody here knows."""
    version: Version | None = None
    digest: Digest | None = None
    """None: nobody looked."""
    at_ns: int | None = None
    """When it was written."""
    until_ns: int | None = None
    """When it was replaced or deleted."""


@dataclass(frozen=True, slots=True)
class Now:
    """The object as it stands."""

    version: Version
    size: int | None
    """None: it is encrypted, and nobody here knows."""
    digest: Digest | None
    at_ns: int | None
    device: str | None
    mode: int | None = None


@dataclass(frozen=True, slots=True)
class PathVersion:
    """One state of a path, now or before."""

    path: Path
    digest: Digest | None
    """None: not known."""
    size: int | None
    version: Version | None
    """The store's; None: not known."""
    at_ns: int | None = None
    """When it was written, as far as anybody here knows."""
    until_ns: int | None = None
    """When it was replaced or deleted; None: it stands, or nobody knows."""
    device: str | None = None
    """Who wrote it; None: not known."""
    mode: int | None = None
    current: bool = False
    kept: tuple[Copied, ...] = ()
    """Places that have its bytes."""
    also: frozenset[Version] = frozenset()
    """Versions that the store gave it while only its permission bits or metadata changed."""

    def has_version(self, version: Version | None) -> bool:
        """It is, or was, the state of this version."""
        return version is not None and (version == self.version or version in self.also)

    def name_in(self, where: str) -> str | None:
        """The name that a place keeps it under; None: it does not."""
        return next((copy.name for copy in self.kept if copy.where == where), None)


@dataclass(slots=True)
class _Building:
    states: list[PathVersion] = field(default_factory=list)
    """Oldest first."""
    open: bool = False
    """The last one stands, as far as the rows read so far say."""

    def write(self, row: Done) -> None:
        last = self.states[-1] if self.open else None
        if last is not None and (row.digest in (None, last.digest) or last.has_version(row.version)):
            also = last.also | ({row.version} if row.version is not None else frozenset())
            self.states[-1] = replace(last, version=last.version or row.version, also=also, mode=row.mode or last.mode)
            return
        if row.digest is None:
            return
        self.end(row.at_ns)
        self.states.append(
            PathVersion(row.path, row.digest, row.size, row.version, row.at_ns, device=row.device, mode=row.mode)
        )
        self.open = True

    def end(self, at_ns: int) -> None:
        if self.open:
            self.states[-1] = replace(self.states[-1], until_ns=at_ns)
        self.open = False


def timeline(path: Path, rows: Iterable[Done], now: Now | None, copies: Sequence[Copied]) -> list[PathVersion]:
    """All states, newest first. `rows`: this device's history of the path, oldest first. `now` None: there is none."""
    building = _Building()
    for row in rows:
        if row.path == path and row.verb in WRITES:
            building.write(row)
        elif row.came_from == path or (row.path == path and row.verb in DELETES):
            building.end(row.at_ns)
    states = building.states
    if now is not None:
        last = states[-1] if building.open else None
        if last is not None and (last.has_version(now.version) or (now.digest or "?") == last.digest):
            states[-1] = replace(last, current=True, version=now.version, also=last.also | {now.version})
        else:
            if last is not None:
                states[-1] = replace(last, until_ns=now.at_ns)
            states.append(
                PathVersion(
                    path, now.digest, now.size, now.version, now.at_ns, device=now.device, mode=now.mode, current=True
                )
            )
    for copy in copies:
        _add(states, path, copy)
    return sorted(_shared(states), key=_when, reverse=True)


def _shared(states: Sequence[PathVersion]) -> list[PathVersion]:
    """What a path held twice is not gone while one copy of it is kept."""
    kept: dict[Digest | None, tuple[Copied, ...]] = {state.digest: state.kept for state in states if state.kept}
    kept.pop(None, None)
    return [state if state.kept else replace(state, kept=kept.get(state.digest, ())) for state in states]


def _add(states: list[PathVersion], path: Path, copy: Copied) -> None:
    """A copy belongs to the newest state that it can be of, else it is a state of its own."""
    for at, state in reversed(list(enumerate(states))):
        same = state.has_version(copy.version) or (copy.digest is not None and copy.digest == state.digest)
        if same and (copy.digest is None or state.digest in (None, copy.digest)):
            states[at] = replace(
                state,
                kept=(*state.kept, copy),
                digest=state.digest or copy.digest,
                size=state.size if state.size is not None else copy.size,
                until_ns=state.until_ns if state.current else (state.until_ns or copy.until_ns),
            )
            return
    states.append(PathVersion(path, copy.digest, copy.size, copy.version, copy.at_ns, copy.until_ns, kept=(copy,)))


def _when(state: PathVersion) -> tuple[bool, int]:
    return state.current, state.at_ns or (state.until_ns or 0)


def at_time(states: Sequence[PathVersion], at_ns: int) -> PathVersion | None:
    """What stood there at that time; None: nothing, or nothing that is known of."""
    then = [s for s in states if (s.at_ns is None or s.at_ns <= at_ns) and (s.until_ns is None or s.until_ns > at_ns)]
    known = [state for state in then if state.at_ns is not None]
    if known:
        return max(known, key=lambda state: state.at_ns or 0)
    # Of when it was written nothing is known: the one that went first after that time.
    ended = [state for state in then if state.until_ns is not None]
    return min(ended, key=lambda state: state.until_ns or 0) if ended else next(iter(then), None)


def named(states: Sequence[PathVersion], text: str) -> list[PathVersion]:
    """The states that a version, a digest, a name in a trash, or the beginning of one of the first two can mean."""
    exact = [state for state in states if text in _names(state)]
    if exact or len(text) < LEAST_PREFIX:
        return exact[:1]
    begun = [state for state in states if any(name.startswith(text) for name in _names(state))]
    # Several times of one content are one thing to restore.
    return list({state.digest or state.version: state for state in reversed(begun)}.values())


def _names(state: PathVersion) -> set[str]:
    names = {str(version) for version in state.also} | {copy.name for copy in state.kept}
    if state.version is not None:
        names.add(state.version)
    if state.digest is not None:
        names |= {state.digest, state.digest.rpartition(":")[2]}
    return names
