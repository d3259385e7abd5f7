"""Sides of a path in one word each: what the core's tests build their cases from."""

from __future__ import annotations

from dorkyd.core.model import Base, Digest, Local, Op, Remote, StatTuple, Version

OLD, NEW, OTHER = (Digest("sha256:" + letter * 64) for letter in "abc")
V1, V2, V3 = Version("1"), Version("2"), Version("3")
OP = Op("0" * 16)


def a_local(digest: Digest = OLD, mode: int = 0o644, *, size: int = 3, mtime_ns: int = 7) -> Local:
    """A file here."""
    return Local(digest, mode, StatTuple(size, mtime_ns, mtime_ns, 1))


def a_remote(
    digest: Digest | None = OLD, version: Version = V1, mode: int | None = 0o644, *, modified: int | None = None
) -> Remote:
    """An object that a device wrote and that was looked at."""
    return Remote(version, 3, digest, mode, modified=modified, op=OP)


def listed(version: Version = V1, *, size: int = 3, modified: int | None = None) -> Remote:
    """An object known from a listing alone."""
    return Remote(version, size, modified=modified, looked=False)


def foreign(version: Version = V1, digest: Digest | None = None, *, modified: int | None = None) -> Remote:
    """An object that another tool wrote, looked at; `digest` once its bytes were fetched."""
    return Remote(version, 3, digest, modified=modified)


def a_base(
    digest: Digest = OLD, version: Version | None = V1, mode: int | None = 0o644, *, modified: int | None = None
) -> Base:
    """What both sides agreed on."""
    return Base(digest, 3, version, mode, modified)
