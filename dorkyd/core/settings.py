"""What a person configured, as frozen values. `dorkyd.config` reads them; nobody else looks at YAML or environment."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

MiB = 1024 * 1024
GiB = 1024 * MiB
LEAST_RATE = 1024
"""The lowest bandwidth limit, in bytes a second: below it a number most likely lacks its unit."""


class Mode(StrEnum):
    """What sync may do. A mode takes actions away, never alters the table."""

    TWO_WAY = "two-way"
    PUSH = "push"
    """Never writes the folder."""
    PULL = "pull"
    """Never writes the bucket."""
    MANUAL = "manual"
    """Looks, and moves nothing but what a person stages and pushes, or pulls."""
    BUCKET = "bucket"
    """A project without a folder: nothing is synced, clients store and fetch objects. That of a project without `path`."""


class Tripwire(StrEnum):
    """What happens before a file that looks like a secret is uploaded in plain for the first time."""

    ASK = "ask"
    """It is a problem until a person allows it, encrypts it or ignores it."""
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Guard:
    """When so many deletions are not believed: past `percent` and `files` together, or past `max`, in the window."""

    percent: float = 25
    """Of the paths base holds, 0 to 100."""
    files: int = 10
    max: int = 5000
    """Paths."""
    window_s: float = 600
    """Seconds of wall clock; survives restarts."""


@dataclass(frozen=True, slots=True)
class TrashLimits:
    """How long displaced files are kept; the newest copy of a path stays at least a day. Oldest go first."""

    days: float = 30
    size: int = 5 * GiB
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """How fast object bodies may move, in bytes a second; None: as fast as they can."""

    up: int | None = None
    down: int | None = None


@dataclass(frozen=True, slots=True)
class PushQueue:
    """Where S3 tells this device what changed, sooner than a poll would."""

    queue_url: str
    """An SQS queue that nobody else reads."""


@dataclass(frozen=True, slots=True)
class Converting:
    """Files that get a sibling which is a table (`dorkyd.tables.sidecar`)."""

    match: str
    """A gitignore pattern."""
    to: str = "parquet"
    schema: str | None = None
    """Path of a schema file in the project; None: types are found out."""
    delimiter: str | None = None
    """None: what a file's ending means."""
    encoding: str = "utf-8"


@dataclass(frozen=True, slots=True)
class Project:
    """A folder paired with a bucket prefix."""

    name: str
    path: str
    """Absolute path of the folder, `~` expanded, symlinks resolved. In mode `bucket` one of our own, for staging alone."""
    bucket: str
    """`s3://bucket/prefix`, `gs://bucket/prefix` or `file:///directory`."""
    mode: Mode = Mode.TWO_WAY
    endpoint_url: str | None = None
    """S3-compatible stores; None: the SDK's default."""
    region: str | None = None
    profile: str | None = None
    """AWS profile; None: the SDK's own chain."""
    single_writer: bool = False
    """Accept a store that ignores conditional writes."""
    ignore: tuple[str, ...] = ()
    """Gitignore patterns, beside `.dorkyignore` and the built-in list."""
    settle_s: float = 1.0
    """A file must be quiet this long before it is read."""
    hold_s: float = 60.0
    """A file that is never quiet is read after this long all the same."""
    list_every_s: float | None = None
    """Full listing; None: 900, or 30 s per page if longer."""
    poll_s: float = 15.0
    """How often the bucket is asked for news, give or take 20 %."""
    guard: Guard = field(default_factory=Guard)
    trash: TrashLimits = field(default_factory=TrashLimits)
    """Of this folder's trash."""
    bucket_trash: TrashLimits | None = None
    """Of the bucket's: written into the project's document when it is begun here and when this is changed; the document
    counts. None: not this device's business.
    """
    bandwidth: Bandwidth = field(default_factory=Bandwidth)
    """Of this project. What is changed alone holds at once; the project is not started anew."""
    push: PushQueue | None = None
    """None: news comes by polls alone."""
    encrypt: tuple[str, ...] = ()
    """Gitignore patterns of what leaves this machine encrypted only, beside the project's own."""
    compress: tuple[str, ...] = ()
    """Gitignore patterns of what is compressed before it is sent from here (and before it is encrypted)."""
    tripwire: Tripwire | None = None
    """None: `ask` of S3 and Google Cloud Storage, `off` of a directory."""
    allow: tuple[str, ...] = ()
    """Gitignore patterns of paths that the tripwire lets pass."""
    convert: tuple[Converting, ...] = ()
    """The first that matches a path counts."""
    merge_env: bool = True
    """Two edits of one `.env*` file come together by key, where they are of different keys (`dorkyd.merging`)."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where the API is served over TCP, beside its socket."""

    host: str
    """An address of this machine's loopback, never a name: `127.0.0.1`, `::1`."""
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration."""

    device: str
    """This machine's name, for people."""
    projects: tuple[Project, ...] = ()
    bandwidth: Bandwidth = field(default_factory=Bandwidth)
    """Of all projects together, beside each one's own."""
    listen: Listen | None = None
    """None: the API is on its socket alone."""
    author: str = ""
    """The person who works here, in commits and in the bucket's log; empty: the login name."""
