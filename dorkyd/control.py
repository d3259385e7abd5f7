"""What the API may ask of the daemon and of one project. Every method may be called from any thread.

The engine thread is the only writer of its project's journal: requests that change something are handed to it and
answered when it has done them; reading uses published values or a read-only connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from dorkyd.control_commits import CommitControl
from dorkyd.control_freeze import FreezeControl
from dorkyd.control_history import HistoryControl
from dorkyd.control_import import ImportControl, ImportedHistory
from dorkyd.control_logs import LogsControl
from dorkyd.control_manual import ManualControl
from dorkyd.control_prospect import ProspectControl
from dorkyd.control_tables import TableControl
from dorkyd.core.artifact import Artifact, ArtifactVersion, Condition
from dorkyd.core.audit import EVERYTHING, Filter
from dorkyd.core.picking import FilePage, Picked
from dorkyd.core.report import (
    ConflictItem,
    Finding,
    IgnoreItem,
    LogItem,
    ProblemItem,
    ProjectStatus,
    Sample,
    SyncResult,
    Team,
    TreeItem,
    Warning,
    Why,
)
from dorkyd.core.settings import Bandwidth

Chunk = bytes | memoryview
"""Some bytes of a body. Memory that nobody changes while anything refers to it."""


class IncomingBody(Protocol):
    """The body of an artifact on its way in. One thread at a time; every method blocks."""

    def write(self, data: bytes) -> None:
        """Take some of it. `DiskFull`; `Transient` and `Refused` when it could not be stored."""

    def digest(self) -> str:
        """The SHA-256 of what came, hexadecimal."""

    def discard(self) -> None:
        """Nobody wants it any more, or it is stored. May be repeated."""


class ArtifactControl(Protocol):
    """A project's objects. From any thread; every method blocks and may ask the bucket.

    `Refused` with `no-such-artifact`, `precondition-failed`, `bad-metadata`, `metadata-too-large`, and where the project may
    not be written `halted`, `paused`, `mode`, `ignored`, `clash`. `Transient` while the bucket cannot be reached.
    """

    def stat(self, path: str) -> Artifact:
        """The object as it is now."""

    def list(self, prefix: str, after: str, limit: int, having: Mapping[str, str]) -> Sequence[Artifact]:
        """At most `limit` objects whose path begins with `prefix`, in order, after `after`, with all of this metadata: what
        the bucket is known to hold, without asking it. Metadata of an object that nobody here has looked at is not known.
        """

    def versions(self, path: str) -> Sequence[ArtifactVersion]:
        """The states of the object that are known, newest first."""

    def open(
        self, artifact: Artifact, start: int = 0, stop: int | None = None
    ) -> AbstractContextManager[Iterator[Chunk]]:
        """Its bytes from an offset on, in chunks; what follows `stop` need not come. `Stale` when it is no longer this state."""

    def open_now(
        self, path: str, start: int = 0, stop: int | None = None
    ) -> AbstractContextManager[tuple[Artifact, Iterator[Chunk]]]:
        """The object as it is now with its bytes from an offset on, as `open`, in one look. `Stale` where that takes another look first:
        it is not there, ends before, or does not tell what it is.
        """

    def open_former(
        self, path: str, version: str
    ) -> AbstractContextManager[tuple[Artifact, Callable[[int], Iterator[Chunk]]]]:
        """A state that is or was there, by its whole version or digest, and its bytes from an offset on. `Refused`
        (`no-such-version`, `content-gone`).
        """

    def check(self, path: str, condition: Condition) -> None:
        """Raise what is wrong already, before a body is sent."""

    def incoming(self) -> IncomingBody:
        """A new body."""

    def put(
        self,
        path: str,
        body: IncomingBody,
        condition: Condition,
        *,
        own: Mapping[str, str] | None,
        media_type: str | None,
        key: str | None,
        batch: str | None = None,
    ) -> tuple[Artifact, bool]:
        """Store it; returns once the bucket holds it. True: it is new. None for what the object has shall stay.

        `batch`: it becomes a member of this atomic batch; `Refused` (`no-such-batch`, `batch-full`).

        `key`: the request's `Idempotency-Key`. A repeat of the same request is answered as the first was, and touches nothing;
        `Refused` (`key-reused`) for another request, `Transient` (`key-in-use`) while the first is under way.
        """

    def begin_batch(self) -> str:
        """The name of a new atomic batch: folders get all that is put into it, or nothing, once it is completed."""

    def commit_batch(self, batch: str) -> None:
        """Complete a batch; returns once the bucket's log names it. May be repeated. `Refused` (`no-such-batch`) when it took
        too long or the project was started anew; `Transient` (`busy-batch`, `not-told-yet`).
        """

    def knows(self, key: str) -> bool:
        """Some request had this key: what it asks for may be done already."""

    def delete(self, path: str, condition: Condition, key: str | None) -> None:
        """Delete the object; the folder follows. `key` as for `put`."""

    def annotate(self, path: str, changes: Mapping[str, str | None], condition: Condition, key: str | None) -> Artifact:
        """Merge metadata into the object's: None takes a name away. `key` as for `put`."""


class TeamControl(Protocol):
    """A project's keys. From any thread; every method blocks and asks the bucket. `Refused` says why not."""

    def list(self) -> Team:
        """As the bucket says now."""

    def begin(self, member: str, recovery: str) -> Team:
        """Make the project's keys: this machine's key and the recovery key (its public part) are the first members.
        `Refused` (`keys-exist`, `no-key`).
        """

    def add(self, member: str, key: str) -> Team:
        """Let one more read everything. `Refused` (`member-exists`, `bad-key`, `bad-name`)."""

    def remove(self, member: str) -> Team:
        """Take one off the list: what is encrypted from here on they cannot read. `Refused` (`no-such-member`)."""

    def trust(self, fingerprint: str) -> Team:
        """A person compared the fingerprint. `Refused` (`other-fingerprint`, `no-list`)."""

    def encrypt(self, more: Sequence[str], less: Sequence[str]) -> Team:
        """Change the project's patterns. `Refused` (`bad-pattern`)."""


class ProjectControl(Protocol):
    """One project. Paths are relative POSIX strings; a malformed one raises `Refused`."""

    @property
    def artifacts(self) -> ArtifactControl:
        """Its objects."""

    @property
    def team(self) -> TeamControl:
        """Its keys."""

    @property
    def commits(self) -> CommitControl:
        """Its commits."""

    @property
    def freezing(self) -> FreezeControl:
        """Its freeze."""

    @property
    def manual(self) -> ManualControl:
        """Mode manual."""

    @property
    def tables(self) -> TableControl:
        """Its tables."""

    @property
    def past(self) -> HistoryControl:
        """Its history, restores, undo, trash and audit."""

    @property
    def name(self) -> str:
        """Unique among the daemon's projects."""

    def status(self) -> ProjectStatus:
        """The last published status: never blocks, never old by more than a cycle."""

    def sync(self, *, wait: bool, timeout_s: float | None) -> SyncResult:
        """Look at both sides now, a whole scan and a whole listing. `wait`: return when quiescent, halted, paused,
        blocked, or after `timeout_s` (then `converged` is False and `detail` says what is still under way).
        """

    def pause(self, for_s: float | None) -> ProjectStatus:
        """Nothing moves until `resume`, or for so many seconds. Survives restarts."""

    def resume(self) -> ProjectStatus:
        """End a pause."""

    def files(self, prefix: str, after: str, limit: int, *, remote: bool, pick: Picked | None = None) -> FilePage:
        """At most `limit` paths beginning with `prefix`, in order, after `after`; `remote`: what the bucket is known to hold;
        `pick`: those that it takes, as far as a look of bounded length gets.
        """

    def tree(self, folder: str, after: str, limit: int, *, match: str, unsettled: bool) -> Sequence[TreeItem]:
        """Entries of one folder ("": the root) in the order of paths, after the entry `after`; behind all that is synced what is
        ignored there, which is counted to no limit. With `match` (a part of a path) or `unsettled` (not in sync) it is files at
        any depth below.
        """

    def why(self, path: str) -> Why:
        """Everything known about one path."""

    def check_ignore(self, paths: Sequence[str]) -> Sequence[IgnoreItem]:
        """Which rule ignores each path."""

    def conflicts(self) -> Sequence[ConflictItem]:
        """Conflict copies that wait for a person."""

    def problems(self) -> Sequence[ProblemItem]:
        """Paths that cannot sync."""

    def log(self, after: int, limit: int, wanted: Filter = EVERYTHING) -> Sequence[LogItem]:
        """History with seq above `after`, oldest first; `after` -1: the last `limit` of it. `wanted`: only this."""

    def resolve(self, path: str, keep: str) -> Sequence[ConflictItem]:
        """Settle a conflict, named by the original or the copy; `keep` is `mine`, `theirs` or `both`. Returns what
        conflicts remain. The bytes not kept go to trash.
        """

    def approve(self, token: str) -> ProjectStatus:
        """Let through exactly what the halt showed."""

    def reject(self, token: str) -> ProjectStatus:
        """Undo what the halt showed: nothing is deleted and what is missing is restored."""

    def import_history(self) -> ImportedHistory:
        """Make a commit of each push of the npm tool's history. `Refused`: `no-npm-history`, `no-such-npm-project`,
        `commits-exist`; `Transient` while others commit. May be repeated.
        """

    def doctor(self, shell: Sequence[str] = ()) -> Sequence[Finding]:
        """Check folder, bucket, permissions, clock, limits; each finding says what to run. `shell`: names of variables
        that are set where the person asks, to tell what the daemon does not see.
        """


@dataclass(frozen=True, slots=True)
class NewProject:
    """A project to add, as the command line gives it."""

    path: str | None
    """Absolute. None: no folder, the bucket alone; then it needs a name."""
    bucket: str | None = None
    """None: the embedded bucket."""
    name: str | None = None
    mode: str | None = None
    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    ignore: tuple[str, ...] = ()
    """Gitignore patterns for its settings."""
    over_npm: bool = False
    """The folder may be one of the npm tool `dorky`: `dorkyd.importing` has looked at it."""


class DaemonControl(Protocol):
    """The daemon as a whole."""

    @property
    def version(self) -> str:
        """Dorkyd's version."""

    @property
    def device(self) -> str:
        """This machine's name."""

    @property
    def started(self) -> float:
        """Monotonic seconds at start."""

    def projects(self) -> Sequence[ProjectControl]:
        """All of them, in configuration order."""

    def project(self, name: str) -> ProjectControl:
        """One of them. `Refused` with code `no-such-project` and the names there are."""

    def add(self, new: NewProject) -> ProjectControl:
        """Write it to the configuration and start it. `Configuration` or `Refused` when it cannot be; `npm-project` for a
        folder of the npm tool `dorky`.
        """

    def remove(self, name: str) -> None:
        """Forget it; delete nothing."""

    @property
    def imports(self) -> ImportControl:
        """Adopting projects of the npm tool."""

    @property
    def prospects(self) -> ProspectControl:
        """Looking at buckets before a folder is paired with one."""

    @property
    def logs(self) -> LogsControl:
        """The daemon's own log."""

    @property
    def bandwidth(self) -> Bandwidth:
        """The limits in force for all projects together, beside each one's own (`ProjectStatus.bandwidth`)."""

    def limit(self, name: str | None, *, up: int | None, down: int | None) -> Bandwidth:
        """Write bandwidth limits, bytes a second, to the configuration; they hold at once. `name` None: of all projects
        together. None leaves a direction as it is, 0 lifts its limit. Returns what is in force then. `Configuration`
        for one that is too low, `Refused` with `no-such-project`.
        """

    def allow(self, name: str, patterns: Sequence[str]) -> Sequence[str]:
        """Write patterns of what the tripwire lets pass to the configuration; the project is started anew with them.
        Returns all there are. `Configuration` for one that is no pattern, `Refused` with `no-such-project`.
        """

    def warnings(self) -> Sequence[Warning]:
        """About the daemon as a whole, e.g. a configuration edit that was not taken."""

    def samples(self, name: str) -> Sequence[Sample]:
        """A project's last day, a minute each, oldest first; it begins with the daemon, or with the project. `Refused` with
        `no-such-project`.
        """

    def unlock(self, passphrase: str, *, keyring: bool | None = None) -> None:
        """Open this machine's key for the daemon's life. `keyring`: from here on the system's keyring keeps the passphrase for
        the next start, or no longer. `Refused` (`wrong-passphrase`, `no-key`, `no-keyring`, `no-passphrase`).
        """

    def stop(self) -> None:
        """End the daemon; returns at once."""

    def subscribe(self, listener: Callable[[str, ProjectStatus], None]) -> Callable[[], None]:
        """Call `listener(project, status)` whenever a status is published, from the engine's thread, so it must only
        hand over. Returns the way to unsubscribe.
        """
