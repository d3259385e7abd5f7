"""What the tools answer: short, since whoever reads it pays by the word. Digests are left out: of a short secret one would tell it."""

from __future__ import annotations

from pydantic import BaseModel, Field

from dorkyd.api.messages import Halt, Notice, Pending


class ProjectAnswer(BaseModel):
    """One project at a glance."""

    name: str
    folder: str
    bucket: str
    mode: str
    state: str
    files: int
    bytes: int
    pending: Pending
    conflicts: int
    problems: int
    last_success: str | None
    halt: Halt | None
    warnings: list[Notice]
    detail: str
    hint: str


class StatusAnswer(BaseModel):
    """How the daemon and the projects are."""

    health: str
    device: str
    projects: list[ProjectAnswer]


class FileAnswer(BaseModel):
    """One file."""

    path: str
    size: int
    version: str | None = Field(description="What `put` takes as `replaces`.")
    state: str = Field(description="synced, local (not in the bucket yet), remote (not on disk), problem or changing.")


class FilesAnswer(BaseModel):
    """One page of files."""

    project: str
    files: list[FileAnswer]
    next: str | None = Field(description="Give it as `after` for the following page; null: that was all.")


class ContentAnswer(BaseModel):
    """A part of a file, as the bucket holds it."""

    project: str
    path: str
    version: str | None = Field(description="What `put` takes as `replaces`.")
    size: int
    media_type: str
    metadata: dict[str, str]
    state: str = Field(description="`changing`: the folder holds edits that the bucket has not got yet.")
    encoding: str = Field(description="utf-8 or base64.")
    offset: int
    content: str
    next_offset: int | None = Field(description="Give it as `offset` for what follows; null: that was the end.")
    masked: str = Field(description="Why values are not shown; empty: content is the file's own.")


class StoredAnswer(BaseModel):
    """What the bucket holds now."""

    project: str
    path: str
    version: str | None
    size: int
    replaced: str | None = Field(description="The version that was replaced, which `restore` brings back.")


class StateAnswer(BaseModel):
    """One state of a file, now or before."""

    version: str | None = Field(description="What `restore` takes as `at`.")
    at: str | None
    until: str | None
    device: str | None
    size: int | None
    current: bool
    kept: list[str] = Field(description="Where its bytes are; empty: nowhere, it cannot be restored.")


class HistoryAnswer(BaseModel):
    """The states of a file, newest first."""

    project: str
    path: str
    states: list[StateAnswer]
    retention: str
    missing: str = Field(description="Why the bucket could not be asked; empty: it was.")


class RestoredAnswer(BaseModel):
    """What came back."""

    project: str
    path: str
    size: int
    version: str | None
    left: list[str] = Field(description="Of a folder: what was left as it is, and why.")


class ConflictAnswer(BaseModel):
    """Two edits of one file."""

    path: str
    losing: str = Field(description="The file that holds the losing edit.")
    device: str
    at: str


class ConflictsAnswer(BaseModel):
    """What waits for a decision."""

    project: str
    conflicts: list[ConflictAnswer]


class ProblemAnswer(BaseModel):
    """A file that cannot sync."""

    path: str
    code: str
    detail: str
    hint: str


class ProblemsAnswer(BaseModel):
    """What cannot sync, and why."""

    project: str
    problems: list[ProblemAnswer]


class WhyAnswer(BaseModel):
    """What is known about one path."""

    project: str
    path: str
    state: str
    explanation: str
    ignored_by: str | None
    encrypted: str | None
    problem: ProblemAnswer | None
