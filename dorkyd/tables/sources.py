"""One state of one object, opened as a file: from the project's folder where the very same content stands there, else by
ranges of exactly that version.

A state that was replaced meanwhile is `Conflict`, never bytes of two states: the version goes with every range, and of a local
file the content is hashed first and its stat compared after each read.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from stat import S_ISREG
from threading import Lock
from typing import TypeVar

from dorkyd.api import calls
from dorkyd.api import messages as m
from dorkyd.api.failures import ApiError, BadRequest, Conflict, NotFound
from dorkyd.client import artifacts, places
from dorkyd.client.places import Target
from dorkyd.client.plans import Patience, Plan, call
from dorkyd.tables.pieces import TableFile

T = TypeVar("T")

CHANGED = "changed-meanwhile"
"""Code of the `Conflict` that a replaced state is."""
RECENT_NS = 2_000_000_000
"""A file that was changed since is not taken for what it was a moment ago."""
LEAST_PREFIX = 4
"""So many characters of a version or digest name a state, where no other begins so."""


@dataclass(frozen=True, slots=True)
class State:
    """Which bytes."""

    target: Target
    version: str
    """As the store calls it; of a former state, perhaps its digest."""
    size: int
    """Bytes."""
    digest: str | None = None
    """None: not known, so that no local file can be proved to hold it."""
    former: bool = False
    """It stands there no longer."""


@dataclass(slots=True)
class Desk:
    """What tables ask of a client. From any thread."""

    run: Callable[[Plan[object]], object] = field(repr=False)
    """Carries out a plan."""
    for_s: float
    """How long each request is tried again."""
    cwd: Callable[[], str | None] = places.working_directory
    _folders: dict[str, str | None] = field(default_factory=dict)
    _proved: dict[tuple[int, ...], str] = field(default_factory=dict)
    """Digest by a file's stat."""
    _lock: Lock = field(default_factory=Lock)

    def ask(self, plan: Plan[T]) -> T:
        """Carry it out. `ApiError`."""
        return self.run(plan)  # type: ignore[return-value]

    def patience(self) -> Patience:
        """For one operation."""
        return Patience(self.for_s)

    # --- which state --------------------------------------------------------------------------------------------

    def find(self, path: str) -> Target:
        """What a text means. `BadRequest` for what names no file."""
        target = self.ask(artifacts.find(path, self.cwd()))
        if not target.path or target.path.endswith("/"):
            raise BadRequest(f"{target} is a folder.", code="no-table", hint="Use dataset() for the tables below it.")
        return target

    def state(self, target: Target, version: str | None = None) -> State:
        """What stands there now, or a state of before: its version, its digest, or the beginning of either."""
        try:
            item = self.ask(artifacts.stat(target, self.patience()))
        except NotFound as exc:
            if version is None or exc.code != "no-such-artifact":
                raise
        else:
            if version in {None, item.version, item.digest}:
                assert item.version is not None, "who looks at an object knows its version"
                return State(target, item.version, item.size, item.digest)
        assert version is not None
        return self._former(target, version)

    def _former(self, target: Target, text: str) -> State:
        found = self.ask(call(calls.versions(target.project, target.path))).items
        exact = [each for each in found if text in _names(each)]
        begun = [each for each in found if any(name.startswith(text) for name in _names(each))]
        meant = {each.version: each for each in exact[:1] or (begun if len(text) >= LEAST_PREFIX else [])}
        if len(meant) != 1:
            told = ", ".join(each.version for each in found[:5]) + (", ..." if len(found) > 5 else "")
            what = (
                f"{target} has no state {text!r}" if not meant else f"{text!r} can mean {len(meant)} states of {target}"
            )
            raise NotFound(f"{what}.", code="no-such-version", hint=f"There are: {told}.")
        (state,) = meant.values()
        if state.current:
            return self.state(target)
        # Of what the store calls alike, the digest tells which bytes.
        name = state.digest or state.version
        size = self.ask(artifacts.former_size(target, name, self.patience()))
        return State(target, name, size, state.digest, former=True)

    # --- its bytes ----------------------------------------------------------------------------------------------

    def open(self, state: State) -> TableFile:
        """The state as a file. Reads raise `Conflict` (`changed-meanwhile`) once it stands there no longer."""
        return self._local(state) or TableFile(
            state.size, lambda start, count: self.part(state, start, count), str(state.target)
        )

    def part(self, state: State, start: int, count: int) -> bytes:
        """Bytes of exactly this state."""
        try:
            return self.ask(artifacts.part(state.target, state.version, start, count, self.for_s, former=state.former))
        except ApiError as exc:
            if exc.code not in {"precondition-failed", "no-such-artifact"}:
                raise
            raise changed(state.target) from exc

    def _local(self, state: State) -> TableFile | None:
        """The file in the folder, if it holds this very content."""
        folder = self._folder(state.target.project)
        if folder is None or state.digest is None or not state.digest.startswith("sha256:"):
            return None
        try:
            # What is no regular file must not make anybody wait.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
            fd = os.open(os.path.join(folder, state.target.path), flags)
        except OSError:
            return None  # the bucket has it all the same
        try:
            told, stat = os.fstat(fd), _stat(fd)
            # An edit within one tick of the last would show in no stat.
            settled = time.time_ns() - told.st_ctime_ns > RECENT_NS
            usable = S_ISREG(told.st_mode) and told.st_size == state.size and settled
            if usable and self._digest(fd, stat) == state.digest and _stat(fd) == stat:
                local = _Local(fd, stat, state.target)
                fd = -1
                return TableFile(state.size, local.read, str(state.target), local.close)
        finally:
            if fd >= 0:
                os.close(fd)
        return None

    def _folder(self, project: str) -> str | None:
        with self._lock:
            if project not in self._folders:
                found = self.ask(call(calls.projects())).items
                self._folders = {each.name: None if places.has_no_folder(each) else each.path for each in found}
            return self._folders.get(project)

    def _digest(self, fd: int, stat: tuple[int, ...]) -> str:
        """What the file holds, hashed when its stat was not seen before."""
        with self._lock:
            known = self._proved.get(stat)
        if known is None:
            with open(fd, "rb", closefd=False) as file:
                known = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
            with self._lock:
                self._proved[stat] = known
        return known


@dataclass(slots=True)
class _Local:
    fd: int
    stat: tuple[int, ...]
    target: Target

    def read(self, start: int, count: int) -> bytes:
        """Raises when the file was edited in place since it was hashed."""
        data = os.pread(self.fd, count, start)
        if _stat(self.fd) != self.stat:
            raise changed(self.target)
        return data

    def close(self) -> None:
        """The file."""
        os.close(self.fd)


def _stat(fd: int) -> tuple[int, ...]:
    told = os.fstat(fd)
    return told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns


def _names(state: m.VersionItem) -> set[str]:
    digest = set() if state.digest is None else {state.digest, state.digest.rpartition(":")[2]}
    return {state.version, *digest}


def changed(target: Target) -> Conflict:
    """It was replaced or deleted while it was read."""
    return Conflict(
        f"{target} was replaced or deleted while it was read.",
        code=CHANGED,
        hint="Read it again, or make the dataset anew.",
    )
