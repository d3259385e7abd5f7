"""Every body that crosses the socket, as a model. They mirror `dorkyd.core.report` field by field.

Answers are read leniently, because fields may be added; requests are read strictly, because an unknown or mistyped
field is a request that we would only seem to obey. Texts that may quote a file's name pass through `readable`: a name on
disk need not be valid Unicode, JSON must be.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from dorkyd.core.states import HaltReason, State

T = TypeVar("T")

SCHEMA = "dorky.status/1"
LONGEST_S = 10 * 365 * 86_400
"""Ten years: no pause or wait is longer, and no clock arithmetic overflows below it."""
FASTEST = 2**50
"""A bandwidth limit above this is none."""


def readable(text: Any) -> Any:
    r"""The text with what UTF-8 cannot carry (lone surrogates of undecodable names) written as `\udcff`."""
    if isinstance(text, str) and not text.isascii():
        return text.encode("utf-8", "backslashreplace").decode()
    return text


Text = Annotated[str, BeforeValidator(readable)]


def _unicode(text: str) -> str:
    r"""Refuses what JSON can escape (`\ud800`) and no file, setting or database can hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("a lone surrogate is no character") from None
    return text


Said = Annotated[str, AfterValidator(_unicode)]
"""A text that a client sends."""


class Answer(BaseModel):
    """What the daemon says. Built from the report's values by attribute; schemas are built on first use."""

    model_config = ConfigDict(from_attributes=True, defer_build=True, frozen=True)


class Request(BaseModel):
    """What a client asks. Unknown fields and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Page(Answer, Generic[T]):
    """A list. `next` is the cursor to send as `after` for what follows; None: this was the end."""

    items: list[T]
    next: str | None = None


# --- errors -----------------------------------------------------------------------------------------------------------


class Problem(Answer):
    """A problem document (RFC 9457, `application/problem+json`)."""

    type: str
    """`urn:dorky:problem:KIND`. KIND decides what a client does next; see `dorkyd.api.failures`."""
    title: str
    """The kind in words; the same for every problem of one type."""
    status: int
    detail: Text
    """What happened, to what. Never contents or credentials."""
    hint: Text = ""
    """What to do about it; may be empty."""
    code: str
    """Stable for programs, finer than the type: `no-such-project`."""


# --- status -----------------------------------------------------------------------------------------------------------


class Pending(Answer):
    """Work not done yet, in paths; `bytes` are object bodies still to move."""

    upload: int
    download: int
    delete_local: int
    delete_remote: int
    bytes: int


class Halt(Answer):
    """A stop that waits for a person."""

    reason: HaltReason
    detail: Text
    token: str


class Manual(Answer):
    """Mode manual: how many paths wait for a person's word."""

    staged: int
    changed: int
    """Different here, and not staged as they are."""
    behind: int
    """Different in the bucket: a pull brings them."""
    message: Text = ""
    """Of the next push."""
    pulling: bool = False
    pushing: bool = False


class Notice(Answer):
    """A warning: something worth knowing that stops nothing."""

    code: str
    detail: Text
    hint: Text


class RequestCounts(Answer):
    """Requests since the daemon started; parts count as PUT; bytes are object bodies."""

    GET: int
    PUT: int
    LIST: int
    HEAD: int
    COPY: int
    DELETE: int
    bytes_up: int
    bytes_down: int


class Bandwidth(Answer):
    """Limits in force, in bytes a second; None: no limit."""

    up: int | None = None
    down: int | None = None


class Cost(Answer):
    """What this device's requests to the bucket will cost: an estimate from those so far and the schedule."""

    requests_per_month: int
    usd_per_month: float | None
    """At list prices, to a cent; null: the store's prices are not known."""
    prices: str
    """Which prices, of when; empty when there are none."""


class Speed(Answer):
    """How fast work gets done at present."""

    up: int = 0
    """Bytes of objects a second."""
    down: int = 0
    left_s: int | None = None
    """Until what is pending is done, at this speed; None: nothing is, or nobody can tell."""


class ProjectStatus(Answer):
    """One project, at one instant."""

    name: str
    path: Text
    bucket: Text
    mode: str
    state: State
    files: int
    bytes: int
    pending: Pending
    conflicts: int
    problems: int
    last_success: str | None
    """RFC 3339; None: both sides were never seen equal yet."""
    halt: Halt | None
    warnings: list[Notice]
    requests: RequestCounts
    cost: Cost
    bandwidth: Bandwidth = Bandwidth()
    """The project's own limits."""
    detail: Text
    """For `offline`, `auth-expired` and `error`: what happened."""
    hint: Text
    manual: Manual | None = None
    """None: in any other mode."""
    speed: Speed = Speed()
    identity: Text = ""
    """As whom the store is asked, as far as a person may see it; empty: it knows nobody, or not yet."""
    credentials_until: str | None = None
    """RFC 3339: how long those in use are good, before which the SDK renews them if it can; None: not known."""


class DaemonStatus(Answer):
    """The daemon itself."""

    version: str
    pid: int
    uptime_s: float
    device: str
    bandwidth: Bandwidth = Bandwidth()
    """The limits of all projects together, beside each one's own."""


Health = Literal["ok", "attention", "broken"]


class StatusDocument(Answer):
    """The whole of `status`."""

    schema_: Literal["dorky.status/1"] = Field(default="dorky.status/1", alias="schema")
    health: Health
    """`attention`: a person must look (a halt, a conflict, a problem, credentials). `broken`: a project is in error.
    Offline is `ok`: it passes by itself.
    """
    daemon: DaemonStatus
    projects: list[ProjectStatus]
    warnings: list[Notice] = []
    """About the daemon as a whole, e.g. a configuration edit that was not taken."""

    model_config = ConfigDict(populate_by_name=True)


class HealthAnswer(Answer):
    """The daemon answers, and who it is."""

    status: Literal["ok"] = "ok"
    daemon: DaemonStatus


# --- lists ------------------------------------------------------------------------------------------------------------


class FileItem(Answer):
    """One synced path."""

    path: Text
    digest: str | None
    size: int
    version: str | None
    mode: int | None
    """Permission bits; None: not known."""
    state: str
    """`synced`, `local` (not in the bucket yet), `remote` (not on disk), `problem` or `changing`."""


class TreeItem(Answer):
    """One entry of a folder."""

    path: Text
    """A folder's has a closing `/`."""
    digest: str | None
    size: int | None
    version: str | None
    state: str
    """As of a file, or `conflict`, `sending` (on its way to the bucket) or `ignored`; of a folder the worst in it."""
    files: int | None = None
    """How many lie in a folder, at any depth, on the side that has more; None: a file, or an ignored folder."""


class Sample(Answer):
    """One minute of a project."""

    at: int
    """Its beginning, in seconds since the epoch."""
    up: int
    """Bytes of objects sent in it."""
    down: int
    pending: int
    """Paths that were left to do, at the most."""
    pending_bytes: int


class ArtifactItem(Answer):
    """One object in the bucket."""

    path: Text
    digest: str | None
    """None: another tool wrote it, and nobody has read it yet."""
    size: int
    version: str | None
    """None: others have written since, and nobody knows any more."""
    media_type: Text
    updated_at: str | None
    """RFC 3339, by the store's clock; None: it tells none."""
    updated_by: Text | None
    """The device; None: another tool."""
    metadata: dict[Text, Text]
    """The client's own."""


class VersionItem(Answer):
    """One state of an artifact, now or before."""

    path: Text
    digest: str | None
    size: int | None
    version: str
    at: str | None
    """RFC 3339, as far as this device knows."""
    device: Text | None
    current: bool
    trashed: Text | None
    """The key of its copy in the bucket's trash, below the project's prefix."""


def moment(seconds: int | None) -> str | None:
    """Whole seconds since the epoch as RFC 3339."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class ConflictItem(Answer):
    """A conflict copy that waits for a person."""

    path: Text
    copy_: Text = Field(alias="copy", validation_alias="copy")
    """Where the losing bytes are."""
    device: Text
    at: str
    """The losing file's mtime, `YYYYMMDD-HHMMSS`, UTC."""
    digest: str | None
    size: int
    version: str | None


class ProblemItem(Answer):
    """One path that cannot sync."""

    path: Text
    code: str
    detail: Text
    hint: Text
    attempts: int
    next_try_s: float | None
    """Seconds from now; None: when the path changes."""
    digest: str | None
    size: int | None
    version: str | None


class LogItem(Answer):
    """One thing that was done."""

    seq: int
    at: str
    verb: str
    path: Text
    digest: str | None
    size: int | None
    version: str | None
    device: Text
    detail: Text


class TrashItem(Answer):
    """One displaced file that can be restored."""

    name: Text
    path: Text
    size: int
    at: str
    digest: str | None
    version: str | None


class IgnoreItem(Answer):
    """Whether one path is ignored, and by which rule."""

    path: Text
    ignored: bool
    rule: Text | None


class Why(Answer):
    """Everything known about one path."""

    path: Text
    state: str
    ignored_by: Text | None
    local: FileItem | None
    base: FileItem | None
    remote: FileItem | None
    problem: ProblemItem | None
    last: LogItem | None
    explanation: Text
    encrypted: str | None = None
    """`yes`: its object is; `when-sent`: it will be, a pattern covers it; None: neither."""


class SyncResult(Answer):
    """How a requested look at both sides ended."""

    converged: bool
    state: State
    detail: Text
    hint: Text


class Finding(Answer):
    """One line of `doctor`."""

    check: str
    ok: bool
    detail: Text
    hint: Text
    code: str


class Removed(Answer):
    """A project was forgotten; nothing was deleted."""

    name: str
    removed: Literal[True] = True


class Stopping(Answer):
    """The daemon is ending."""

    stopping: Literal[True] = True
    pid: int


class Batch(Answer):
    """An atomic batch of artifacts."""

    id: str
    """What PUT names in `Dorky-Batch`."""


# --- requests ---------------------------------------------------------------------------------------------------------


class AddRequest(Request):
    """A project to add."""

    path: Said | None = Field(default=None, min_length=1)
    """Absolute: the daemon does not share the client's working directory. None: no folder, for artifacts alone; then it
    needs a name.
    """
    bucket: Said | None = None
    """None: the embedded bucket."""
    name: Said | None = None
    mode: Said | None = None
    endpoint_url: Said | None = None
    region: Said | None = None
    profile: Said | None = None


class SyncRequest(Request):
    """Look at both sides now."""

    wait: bool = False
    timeout_s: float | None = Field(default=None, ge=0, le=LONGEST_S, allow_inf_nan=False)
    """None: however long it takes."""


class PauseRequest(Request):
    """Nothing moves until resumed."""

    for_s: float | None = Field(default=None, gt=0, le=LONGEST_S, allow_inf_nan=False)
    """None: until `resume`."""


class LimitRequest(Request):
    """Bandwidth limits, in bytes a second. None leaves a direction as it is, 0 lifts its limit."""

    up: int | None = Field(default=None, ge=0, le=FASTEST)
    down: int | None = Field(default=None, ge=0, le=FASTEST)


class AllowRequest(Request):
    """Gitignore patterns of paths that may be uploaded in plain though they look like secrets."""

    patterns: list[Said] = Field(min_length=1, max_length=1000)


class Allowed(Answer):
    """All patterns that the tripwire lets pass."""

    patterns: list[str]


class TokenRequest(Request):
    """The halt that is approved or rejected."""

    token: Said = Field(min_length=1)


class ResolveRequest(Request):
    """Settle a conflict, named by the original or by the copy."""

    path: Said = Field(min_length=1)
    keep: Literal["mine", "theirs", "both"]


class TeamMember(Answer):
    """One who may read what is encrypted."""

    name: str
    key: str
    may_change: bool
    me: bool


class Team(Answer):
    """Who may read what is encrypted, and what that is."""

    fingerprint: str
    number: int
    epoch: str
    members: list[TeamMember]
    patterns: list[str]
    pending: int
    """Encrypted objects that are still to be encrypted anew."""
    trouble: str = ""
    hint: str = ""
    rotate: list[str] = []
    """After a removal: what that person could read."""


class Unlocked(Answer):
    """This machine's key is open."""

    unlocked: bool = True


class UnlockRequest(Request):
    """Open this machine's key for the daemon's life."""

    passphrase: SecretStr = Field(min_length=1, max_length=1024)
    keyring: bool | None = None
    """From here on the system's keyring keeps it for the next start, or no longer; null: as before."""


class KeysRequest(Request):
    """Make a project's keys."""

    member: Said = Field(min_length=1)
    recovery: Said = Field(min_length=1)
    """The recovery key's public part."""


class MemberRequest(Request):
    """Let one more read what is encrypted."""

    member: Said = Field(min_length=1)
    key: Said = Field(min_length=1)
    """Public."""


class GoneRequest(Request):
    """Take one off the list."""

    member: Said = Field(min_length=1)


class TrustRequest(Request):
    """A person compared the fingerprint."""

    fingerprint: Said = Field(min_length=1)


class PatternsRequest(Request):
    """Change what is encrypted."""

    add: list[Said] = []
    remove: list[Said] = []


class MetadataRequest(Request):
    """Metadata to merge into an artifact's."""

    metadata: dict[Said, Said | None]
    """By name; null takes one away."""
