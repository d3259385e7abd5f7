"""What a story is made of: a setting, and steps that mean something wherever they stand.

Every step is a value that was settled when the story was made, so that any part of a story is a story: that is what
lets a failing one be made shorter. A step that is not possible where it stands does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verb = Literal[
    "write", "save", "backup-save", "copy", "move", "swap", "move-folder", "delete", "delete-folder", "turn", "collapse",
    "chmod", "touch", "ignore", "past", "set",
]  # fmt: skip
FaultKind = Literal["stale", "offline", "busy", "lost", "denied"]
Requests = Literal["any", "write", "read", "list"]


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a story takes place."""

    devices: int = 2
    tree: int = 0
    """Which of `TREES` the devices begin with."""
    joined: bool = True
    """All hold the tree and agree; False: nobody ever synced."""
    etags: bool = False
    """Versions are the MD5 of the content."""
    seconds: bool = False
    """The store tells LastModified."""
    page_keys: int = 1000
    """Keys on a page of a listing."""
    stepwise: bool = False
    """The file system cannot exchange names."""
    sessions: bool = False
    """Every upload goes in several requests."""
    pace: int = 1
    """How many times slower the file system's clock is."""
    sealed: bool = False
    """Every file is encrypted in the bucket. Only where all `joined`."""
    manual: int = 0
    """How many devices, the last ones, are in mode manual."""


TREES: tuple[dict[str, str], ...] = (
    {"stays": "stays"},
    {"stays": "stays", "a": "one"},
    {"stays": "stays", "a": "one", "d/a": "two", "d/b": "three"},
    {"stays": "stays", "a": "one", "b": "one", "d/a": "one", "d/e/a": "four", ".env": "five"},
)


@dataclass(frozen=True, slots=True)
class Edit:
    """A person does something in a folder."""

    who: str
    verb: Verb
    path: str
    arg: str = ""
    """The new content, the other path, or the permission bits."""

    def __str__(self) -> str:
        a, p, who = self.arg, self.path, self.who
        match self.verb:
            case "write":
                return f"{who}: {p} := {a}"
            case "save":
                return f"{who}: {p} := {a} (written beside it and renamed over it)"
            case "backup-save":
                return f"{who}: {p} := {a} (the old one renamed away first, and removed)"
            case "ignore":
                return f"{who}: .dorkyignore := {a!r}"
            case "set":
                return f"{who}: {p} gets the line {a}"
            case "turn":
                return f"{who}: {p} becomes a folder with {p}/x := {a}"
            case "collapse":
                return f"{who}: the folder {p} becomes a file := {a}"
        return f"{who}: {self.verb} {p} {a}".rstrip()


@dataclass(frozen=True, slots=True)
class Within:
    """The same, while the device is between a look and its act: at the `nth` such moment from here."""

    nth: int
    edit: Edit

    def __str__(self) -> str:
        return f"at the {self.nth}. moment between a look and its act on {self.edit.who}, {self.edit}"


@dataclass(frozen=True, slots=True)
class Cycle:
    """A device runs its engine once."""

    who: str
    look: Literal["", "news", "whole"]
    seconds: float

    def __str__(self) -> str:
        look = {"": "", "news": ", asking for news", "whole": ", looking at everything"}[self.look]
        return f"{self.who}: {self.seconds:g} s later, a cycle{look}"


@dataclass(frozen=True, slots=True)
class Work:
    """A device does some of the jobs that it began, in this order."""

    who: str
    picks: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.who}: works on {len(self.picks)} of its jobs"


@dataclass(frozen=True, slots=True)
class Sync:
    """A device cycles and works until nothing is left to do, or some time has passed."""

    who: str

    def __str__(self) -> str:
        return f"{self.who}: syncs"


@dataclass(frozen=True, slots=True)
class Die:
    """A device is killed at the `nth` effect from here (0: now), before or after it, and starts again."""

    who: str
    nth: int
    after: bool = False
    forgets: bool = False
    """Its journal is lost with it (only now)."""
    power: bool = False
    """The power goes: staged bytes that were not made durable are zeros."""

    def __str__(self) -> str:
        happens = "loses power" if self.power else "is killed"
        if self.nth:
            return f"{self.who}: {happens} {'after' if self.after else 'before'} its {self.nth}. effect from here"
        return f"{self.who}: {happens} and starts again{', its journal lost' if self.forgets else ''}"


@dataclass(frozen=True, slots=True)
class Fail:
    """The `nth` request of this kind from here goes wrong."""

    who: str
    kind: FaultKind
    when: Literal["before", "midway", "after"]
    nth: int
    among: Requests

    def __str__(self) -> str:
        happened = {"before": "", "midway": " half way", "after": " though it took effect"}[self.when]
        among = "" if self.among == "any" else f"{self.among} "
        return f"{self.who}: its {self.nth}. {among}request from here fails ({self.kind}){happened}"


@dataclass(frozen=True, slots=True)
class Hang:
    """The `nth` write from here hangs in the network: nobody knows, and it lands later."""

    who: str
    nth: int

    def __str__(self) -> str:
        return f"{self.who}: its {self.nth}. write from here hangs in the network"


@dataclass(frozen=True, slots=True)
class Land:
    """One of the writes that hang lands."""

    pick: int

    def __str__(self) -> str:
        return "a write that hung in the network lands"


@dataclass(frozen=True, slots=True)
class Disk:
    """A device's disk is full: at the `nth` effect that needs room, or (0) from here on."""

    who: str
    nth: int

    def __str__(self) -> str:
        return f"{self.who}: no space left {f'for its {self.nth}. effect from here' if self.nth else 'from here on'}"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A device may not read this file or folder any more, until all is mended."""

    who: str
    path: str

    def __str__(self) -> str:
        return f"{self.who}: {self.path} cannot be read any more"


@dataclass(frozen=True, slots=True)
class Refused:
    """The store refuses this device every request about this object, until all is mended."""

    who: str
    path: str

    def __str__(self) -> str:
        return f"{self.who}: the store refuses it {self.path} from here on"


@dataclass(frozen=True, slots=True)
class Freeze:
    """A job begins to write here: nothing leaves before it is released."""

    who: str

    def __str__(self) -> str:
        return f"{self.who}: is frozen"


@dataclass(frozen=True, slots=True)
class Release:
    """The job is over."""

    who: str

    def __str__(self) -> str:
        return f"{self.who}: is released"


@dataclass(frozen=True, slots=True)
class Mend:
    """What lasts of a device's trouble ends."""

    who: str

    def __str__(self) -> str:
        return f"{self.who}: its disk has room again, and all may be read"


@dataclass(frozen=True, slots=True)
class Skew:
    """A device's wall clock is set."""

    who: str
    seconds: int

    def __str__(self) -> str:
        return f"{self.who}: its clock is set {self.seconds:+d} s"


@dataclass(frozen=True, slots=True)
class Stranger:
    """Another tool writes an object, or deletes it (no `text`)."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"another tool: {self.path} := {self.text}" if self.text else f"another tool: deletes {self.path}"


@dataclass(frozen=True, slots=True)
class ForgetUploads:
    """The store drops uploads that were begun and not ended."""

    def __str__(self) -> str:
        return "the store forgets unfinished uploads"


@dataclass(frozen=True, slots=True)
class Age:
    """A hundred days pass, the devices asleep."""

    def __str__(self) -> str:
        return "a hundred days pass"


@dataclass(frozen=True, slots=True)
class Upkeep:
    """A device purges its trash and shortens the bucket's log."""

    who: str

    def __str__(self) -> str:
        return f"{self.who}: slow upkeep (trash, log)"


@dataclass(frozen=True, slots=True)
class Restore:
    """A person brings back the state before of a path, or with a closing `/` what is missing of a folder."""

    who: str
    path: str

    def __str__(self) -> str:
        return f"{self.who}: restores {self.path}"


@dataclass(frozen=True, slots=True)
class Undo:
    """A person undoes the last action of sync."""

    who: str

    def __str__(self) -> str:
        return f"{self.who}: undoes the last action"


@dataclass(frozen=True, slots=True)
class Open:
    """A program opens a file for writing, and keeps it open."""

    who: str
    path: str

    def __str__(self) -> str:
        return f"{self.who}: a program opens {self.path} and keeps it open"


@dataclass(frozen=True, slots=True)
class Late:
    """It writes through what it opened, wherever that file is now."""

    who: str
    text: str

    def __str__(self) -> str:
        return f"{self.who}: that program writes {self.text} through its open file"


@dataclass(frozen=True, slots=True)
class Stage:
    """A person stages a path on a device in mode manual, or everything."""

    who: str
    path: str

    def __str__(self) -> str:
        return f"{self.who}: stages {self.path}"


@dataclass(frozen=True, slots=True)
class Unstage:
    """A person stages nothing of it any more."""

    who: str
    path: str

    def __str__(self) -> str:
        return f"{self.who}: unstages {self.path}"


@dataclass(frozen=True, slots=True)
class Push:
    """A device in mode manual pushes what is staged."""

    who: str

    def __str__(self) -> str:
        return f"{self.who}: pushes"


@dataclass(frozen=True, slots=True)
class Pull:
    """A device in mode manual pulls."""

    who: str

    def __str__(self) -> str:
        return f"{self.who}: pulls"


@dataclass(frozen=True, slots=True)
class Commit:
    """A person commits."""

    who: str

    def __str__(self) -> str:
        return f"{self.who}: commits"


@dataclass(frozen=True, slots=True)
class CheckOut:
    """A person checks a commit out: one of those there are."""

    who: str
    pick: int
    overwrite: bool

    def __str__(self) -> str:
        return f"{self.who}: checks a commit out{', over whatever is there' if self.overwrite else ''}"


@dataclass(frozen=True, slots=True)
class Collect:
    """A person collects garbage, and keeps the last so many commits."""

    who: str
    last: int

    def __str__(self) -> str:
        return f"{self.who}: collects garbage, the last {self.last} commits stay"


@dataclass(frozen=True, slots=True)
class Settle:
    """All is well again, every device syncs until nothing moves, and all that must hold is checked."""

    def __str__(self) -> str:
        return "all settle"


Step = (
    Edit | Within | Cycle | Work | Sync | Die | Fail | Hang | Land | Disk | Unreadable | Refused | Mend | Skew | Stranger
    | ForgetUploads | Age | Upkeep | Restore | Undo | Open | Late | Commit | CheckOut | Collect | Stage | Unstage | Push | Pull
    | Freeze | Release | Settle
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Story:
    """A setting, and what happens there. It ends with a `Settle` of its own."""

    setting: Setting
    steps: tuple[Step, ...]
