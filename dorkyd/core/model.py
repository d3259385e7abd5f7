"""The words of the project, as types.

A path has three sides. *local* is what the folder holds, *remote* what the bucket holds, *base* what both held when
they last agreed. Everything the daemon does follows from comparing the three (`dorkyd.core.reconcile`) and is carried
out as one of the actions below. All types are frozen: a value that was looked at stays what was seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, NewType

Path = NewType("Path", str)
"""A file's place inside its project: relative, POSIX separators, never empty, no `.` or `..` component."""

Digest = NewType("Digest", str)
"""Identity of content, always with its algorithm: `sha256:` and 64 hexadecimal digits."""

Version = NewType("Version", str)
"""The store's identity of one object state (S3: the ETag without quotes; GCS: the generation). Opaque."""

Op = NewType("Op", str)
"""Random id of one remote write: how a device knows its own write again after a lost reply."""

ReplicaId = NewType("ReplicaId", str)
"""Random id of one folder on one machine."""

ANCESTRY_OPS = 8
"""How many earlier ops an object remembers in `dorky-ancestry`."""

PERMISSION_BITS = 0o777
"""The mode bits that are synced. Set-uid, set-gid and sticky never are, whatever a bucket says."""


class StatTuple(NamedTuple):
    """What a file's stat said. An unchanged tuple means unchanged bytes, unless it is racily recent."""

    size: int
    """Bytes."""
    mtime_ns: int
    """Modification time, nanoseconds since the epoch."""
    ctime_ns: int
    """Change time, nanoseconds: rises even when a tool restores the mtime."""
    inode: int


@dataclass(frozen=True, slots=True)
class Local:
    """A regular file, observed: stat, hashed, stat again and found still."""

    digest: Digest
    mode: int
    """Permission bits."""
    stat: StatTuple

    @property
    def size(self) -> int:
        """Bytes."""
        return self.stat.size


@dataclass(frozen=True, slots=True)
class Remote:
    """An object, as last learned from the bucket."""

    version: Version
    size: int
    """Bytes."""
    digest: Digest | None = None
    """None: not known. Either nobody asked yet (see `looked`), or another tool wrote it without our metadata."""
    mode: int | None = None
    """Permission bits; None: the object does not say."""
    mtime_ns: int | None = None
    """Modification time the writer's file had; None: the object does not say."""
    modified: int | None = None
    """The store's LastModified in whole seconds, a hint; None: unknown, which matches anything."""
    op: Op | None = None
    """The write that made this state; None: another tool's."""
    ancestry: tuple[Op, ...] = ()
    """Ops of the states before it, newest first, at most `ANCESTRY_OPS`."""
    device: str | None = None
    """Who wrote it, for people."""
    looked: bool = True
    """False: known from a listing alone, so everything above but version, size and modified is missing, unless `proved`."""
    md5: str | None = None
    """What the listing told of the bytes (`dorkyd.ports.Listed.md5`); None once `looked`."""
    own: str = ""
    """A person's own keys as the object carries them, a JSON object; empty: none, or nobody looked."""
    batch: str | None = None
    """The atomic batch it is a member of; None: none, or nobody looked."""
    sealed: str | None = None
    """Encrypted: the key's epoch, a colon, and the keyed digest of its content. `digest` is None until somebody here knows
    which content that is, and `size` is the ciphertext's until then. None: plain, or nobody looked.
    """

    @property
    def epoch(self) -> str | None:
        """The epoch whose key opens it; None: it is plain, or nobody looked."""
        return None if self.sealed is None else self.sealed.partition(":")[0]

    @property
    def proved(self) -> bool:
        """Never looked at: a listing proved that it holds what a file here held. Its permission bits are not known."""
        return not self.looked and self.digest is not None

    @property
    def foreign(self) -> bool:
        """Another tool wrote this object (meaningful once `looked`)."""
        return self.looked and self.op is None


@dataclass(frozen=True, slots=True)
class Base:
    """What both sides held when they last agreed."""

    digest: Digest
    size: int
    version: Version | None
    """None: the version of what we wrote is not known (our op was found in another write's ancestry)."""
    mode: int | None
    """Permission bits agreed on; None: the sides never agreed on any."""
    modified: int | None = None
    """As `Remote.modified`, of the same state."""


# --- actions: one decided step each. `replaces` is its precondition. -------------------------------------------------


@dataclass(frozen=True, slots=True)
class Adopt:
    """Both sides hold the same content and base does not say so yet. No bytes move."""

    path: Path
    local: Local
    remote: Remote
    mode: int
    """Permission bits both sides shall have from here on."""


@dataclass(frozen=True, slots=True)
class Upload:
    """Send the local file's bytes."""

    path: Path
    local: Local
    replaces: Remote | None
    """The object state it replaces; None: there must be no object."""
    mode: int
    """Permission bits the object shall carry."""


@dataclass(frozen=True, slots=True)
class Download:
    """Bring the object's bytes into the folder under its name."""

    path: Path
    remote: Remote
    replaces: Local | None
    """The content expected under the name, which goes to trash; None: there must be none."""
    mode: int | None
    """Permission bits the file shall have; None: neither side says, the file system's default."""


@dataclass(frozen=True, slots=True)
class KeepBoth:
    """Both sides were edited: the object, which won its conditional write, gets the name; the local bytes become one
    conflict copy beside it.
    """

    path: Path
    local: Local
    remote: Remote
    mode: int | None


@dataclass(frozen=True, slots=True)
class DeleteLocal:
    """The object is gone and nobody edited the file: move the file to trash."""

    path: Path
    replaces: Local
    base: Base


@dataclass(frozen=True, slots=True)
class DeleteRemote:
    """The file is gone and nobody edited the object: delete the object."""

    path: Path
    replaces: Version
    base: Base


@dataclass(frozen=True, slots=True)
class Forget:
    """Both sides are gone: drop base."""

    path: Path


@dataclass(frozen=True, slots=True)
class SetMode:
    """Content agrees; the object's permission bits changed: set them on the file."""

    path: Path
    local: Local
    remote: Remote
    mode: int


@dataclass(frozen=True, slots=True)
class PatchMode:
    """Content agrees; the file's permission bits changed: a metadata copy with precondition, no body."""

    path: Path
    local: Local
    remote: Remote
    mode: int


@dataclass(frozen=True, slots=True)
class Look:
    """The object must be asked about (one HEAD) before anything can be decided."""

    path: Path


@dataclass(frozen=True, slots=True)
class Fetch:
    """The object's digest is unknown and only its bytes can tell: bring them into staging, decide then."""

    path: Path
    remote: Remote


@dataclass(frozen=True, slots=True)
class BeginUpload:
    """A large upload gets its session first: journalled, it goes on after a restart. Decided anew when it is there."""

    upload: Upload

    @property
    def path(self) -> Path:
        """What is to be uploaded."""
        return self.upload.path


@dataclass(frozen=True, slots=True)
class MoveRemote:
    """A DeleteRemote and an Upload of the same bytes: a server-side copy, then a conditional delete."""

    delete: DeleteRemote
    upload: Upload

    @property
    def path(self) -> Path:
        """The new name."""
        return self.upload.path


@dataclass(frozen=True, slots=True)
class MoveLocal:
    """A DeleteLocal and a Download of the same bytes: a rename inside the folder."""

    delete: DeleteLocal
    download: Download

    @property
    def path(self) -> Path:
        """The new name."""
        return self.download.path


@dataclass(frozen=True, slots=True)
class StepAside:
    """A file and a folder want one name (`dorkyd.core.clashes`): rename the local file so that the other fits."""

    path: Path
    local: Local
    to: Path
    """The new name; if it is taken by other bytes the next free variant of it is used."""
    why: str


Action = (
    Adopt
    | Upload
    | Download
    | KeepBoth
    | DeleteLocal
    | DeleteRemote
    | Forget
    | SetMode
    | PatchMode
    | Look
    | Fetch
    | BeginUpload
    | MoveRemote
    | MoveLocal
    | StepAside
)


@dataclass(frozen=True, slots=True)
class Problem:
    """One path that cannot sync, with its reason. A value, not the end of a cycle."""

    path: Path
    code: str
    """Stable word for programs, e.g. `unreadable`, `symlink`, `reserved-name`, `clash`."""
    detail: str
    """What is wrong, for people. Never file contents."""
    hint: str = ""
    """What to do about it."""
