"""What the engine tells about itself: immutable values that API threads read while the engine goes on."""

from __future__ import annotations

from dataclasses import dataclass, field

from dorkyd.core.model import Digest, Path, Version
from dorkyd.core.settings import Bandwidth
from dorkyd.core.states import HaltReason as HaltReason  # noqa: PLC0414  told on
from dorkyd.core.states import State as State  # noqa: PLC0414  told on


@dataclass(frozen=True, slots=True)
class Halt:
    """A stop that waits for a person, or (root-missing) for the folder to return."""

    reason: HaltReason
    detail: str
    """What was seen, what would be lost, and the commands on offer."""
    token: str
    """What `approve` and `reject` must name: it stands for exactly what was shown."""


@dataclass(frozen=True, slots=True)
class Pending:
    """Work not done yet, counted in paths; `bytes` are object bodies still to move."""

    upload: int = 0
    download: int = 0
    delete_local: int = 0
    delete_remote: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Warning:
    """Something worth knowing that stops nothing."""

    code: str
    detail: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """Requests since the daemon started; parts count as PUT; bytes are object bodies."""

    GET: int = 0
    PUT: int = 0
    LIST: int = 0
    HEAD: int = 0
    COPY: int = 0
    DELETE: int = 0
    bytes_up: int = 0
    bytes_down: int = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """What requests to the bucket will cost (`dorkyd.core.costs`)."""

    requests_per_month: int = 0
    """An estimate, to two digits."""
    usd_per_month: float | None = None
    """At list prices, to a cent; None: the store's prices are not known."""
    prices: str = ""
    """Which prices, of when; empty when there are none."""


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast work gets done at present (`dorkyd.core.speed`)."""

    up: int = 0
    """Bytes of objects a second."""
    down: int = 0
    left_s: int | None = None
    """Until what is pending is done, at this speed; None: nothing is, or nobody can tell."""


@dataclass(frozen=True, slots=True)
class ManualStatus:
    """Mode manual: how many paths wait for a person's word."""

    staged: int = 0
    changed: int = 0
    """Different here, and not staged as they are."""
    behind: int = 0
    """Different in the bucket: a pull brings them."""
    message: str = ""
    """Of the next push; empty: none was given."""
    pulling: bool = False
    pushing: bool = False


@dataclass(frozen=True, slots=True)
class ProjectStatus:
    """One project, at one instant."""

    name: str
    path: str
    bucket: str
    mode: str
    state: State
    files: int = 0
    bytes: int = 0
    pending: Pending = field(default_factory=Pending)
    conflicts: int = 0
    problems: int = 0
    last_success: str | None = None
    """RFC 3339, UTC: when both sides were last seen equal; None: never yet."""
    halt: Halt | None = None
    warnings: tuple[Warning, ...] = ()
    requests: RequestCounts = field(default_factory=RequestCounts)
    cost: Cost = field(default_factory=Cost)
    bandwidth: Bandwidth = field(default_factory=Bandwidth)
    """The project's own limits in force."""
    detail: str = ""
    """For `offline`, `auth-expired` and `error`: what happened, for people."""
    hint: str = ""
    """What to do about it."""
    manual: ManualStatus | None = None
    """None: in any other mode."""
    speed: Speed = field(default_factory=Speed)
    identity: str = ""
    """As whom the store is asked, as far as a person may see it; empty: it knows nobody, or not yet."""
    credentials_until: str | None = None
    """RFC 3339: how long those in use are good, before which the SDK renews them if it can; None: not known."""


@dataclass(frozen=True, slots=True)
class ChangeItem:
    """Mode manual: one path that is staged, or not what was last pushed or pulled."""

    path: Path
    staged: str
    """`new`, `modified`, `mode` or `deleted`; empty: not staged."""
    outdated: bool
    """Staged over a state that a pull has replaced since: stage it again, or unstage it."""
    changed: str
    """How the file differs, if not just as it is staged; empty: it does not."""
    behind: str
    """How the object differs; empty: it does not."""
    digest: Digest | None
    """Of what is staged, else of the file; None: there is none."""
    size: int
    version: Version | None
    """The object's; None: there is none."""


@dataclass(frozen=True, slots=True)
class SkippedItem:
    """A path that was not staged, and why."""

    path: Path
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class PushResult:
    """A push that happened."""

    id: str
    """Of its commit."""
    seq: int
    message: str
    author: str
    device: str
    time: str
    """RFC 3339, UTC."""
    paths: int
    """Changes it made."""
    lost: tuple[Path, ...] = ()
    """Changed in the bucket while it was being pushed: the commit has what was pushed, the path what the other wrote."""
    told: bool = True
    """The bucket's log names it; False: it will."""


@dataclass(frozen=True, slots=True)
class FileItem:
    """One synced path."""

    path: Path
    digest: Digest | None
    size: int
    version: Version | None
    mode: int | None
    state: str
    """`synced`, `local` (not in the bucket yet), `remote` (not on disk), `problem` or `changing`."""


@dataclass(frozen=True, slots=True)
class TreeItem:
    """One entry of a folder of the tree."""

    path: Path
    """A folder's has a closing `/`."""
    digest: Digest | None
    """None: not known, or a folder."""
    size: int | None
    version: Version | None
    state: str
    """As `FileItem.state`, or `conflict`, `sending` (on its way to the bucket) or `ignored`; of a folder the worst in it."""
    files: int | None = None
    """How many lie in a folder, at any depth, on the side that has more; None: a file, or an ignored folder."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One minute of a project."""

    at: int
    """Its beginning, in seconds since the epoch."""
    up: int
    """Bytes of objects sent in it."""
    down: int
    pending: int
    """Paths that were left to do, at the most."""
    pending_bytes: int


@dataclass(frozen=True, slots=True)
class TeamMember:
    """One who may read what is encrypted."""

    name: str
    key: str
    """What they gave to be added: public."""
    may_change: bool
    """They can add and remove members."""
    me: bool
    """It is this machine's key."""


@dataclass(frozen=True, slots=True)
class Team:
    """Who may read what is encrypted, and how far that is carried out."""

    fingerprint: str
    """To be compared with teammates; empty: the project has no keys yet."""
    number: int
    """How many changes the list has had."""
    epoch: str
    """What is written with; empty: there is none."""
    members: tuple[TeamMember, ...]
    patterns: tuple[str, ...]
    """What is encrypted: the project's patterns and this machine's."""
    pending: int
    """Encrypted objects that are still to be encrypted anew to this epoch."""
    trouble: str = ""
    """Why nothing can be encrypted or decrypted here; empty: all is well."""
    hint: str = ""
    rotate: tuple[str, ...] = ()
    """After a removal: what that person could read, to be changed at its source."""


@dataclass(frozen=True, slots=True)
class ConflictItem:
    """A conflict copy that waits for a person."""

    path: Path
    """The name both wanted."""
    copy: Path
    """Where the losing bytes are."""
    device: str
    """Whose edit lost."""
    at: str
    """The losing file's mtime as in its name: `YYYYMMDD-HHMMSS`, UTC."""
    digest: Digest | None
    size: int
    version: Version | None


@dataclass(frozen=True, slots=True)
class ProblemItem:
    """One path that cannot sync."""

    path: Path
    code: str
    detail: str
    hint: str
    attempts: int
    next_try_s: float | None
    """Seconds from now; None: when the path changes."""
    digest: Digest | None = None
    size: int | None = None
    version: Version | None = None


@dataclass(frozen=True, slots=True)
class LogItem:
    """One thing that was done."""

    seq: int
    """Rises; `after` of the next request."""
    at: str
    """RFC 3339, UTC."""
    verb: str
    """`upload`, `download`, `delete-local`, `delete-remote`, `conflict`, `move`, `adopt`, `restore`, …"""
    path: Path
    digest: Digest | None
    size: int | None
    version: Version | None
    device: str
    """Who did it."""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class TrashItem:
    """One displaced file that can be restored."""

    name: str
    path: Path
    size: int
    at: str
    """RFC 3339, UTC."""
    digest: Digest | None
    version: Version | None = None


@dataclass(frozen=True, slots=True)
class Why:
    """Everything known about one path."""

    path: Path
    state: str
    """One word: `synced`, `ignored`, `problem`, `pending`, `conflict`, `unknown`."""
    ignored_by: str | None
    """The pattern and where it stands (`.dorkyignore:3: *.log`); None: not ignored."""
    local: FileItem | None
    base: FileItem | None
    remote: FileItem | None
    problem: ProblemItem | None
    last: LogItem | None
    explanation: str
    """A sentence for people."""
    encrypted: str | None = None
    """`yes`: its object is; `when-sent`: it will be, a pattern covers it; None: neither."""


@dataclass(frozen=True, slots=True)
class IgnoreItem:
    """Whether one path is ignored and by which rule."""

    path: Path
    ignored: bool
    rule: str | None


@dataclass(frozen=True, slots=True)
class SyncResult:
    """How a requested look at both sides ended."""

    converged: bool
    state: State
    detail: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Freeze:
    """A project of which nothing leaves before it is released."""

    name: str
    """Made up by whoever holds it."""
    holder: str
    """For people."""
    since_ns: int
    until_ns: int
    """Wall clock nanoseconds: it is released then in any case."""
    lease_s: float
    """It is released when it is not renewed for so long."""


@dataclass(frozen=True, slots=True)
class Thawed:
    """How a freeze ended."""

    name: str
    changes: int
    """Paths that had waited."""
    batches: tuple[str, ...]
    """The atomic batches in which files of it went; none: there were fewer than two."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `doctor`."""

    check: str
    ok: bool
    detail: str
    hint: str = ""
    code: str = ""
