"""What the operating system's errors mean for a folder: the one place where `OSError` becomes one of `dorkyd.errors`."""

from __future__ import annotations

import errno
from types import TracebackType
from typing import Literal

from dorkyd.errors import DiskFull, DorkyError, PathProblem, Stale, Transient

Doing = Literal["read", "write"]
"""What was tried: decides between `unreadable` and `unwritable`, and the hint."""

_CHANGED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.ENOTEMPTY, errno.EISDIR, errno.ESTALE})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_SHORT_OF = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_REFUSED_NAME = frozenset({errno.EINVAL, errno.EILSEQ})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY, errno.ETXTBSY, errno.EIO, errno.ENOTCONN})
_CHMOD_HINT: dict[Doing, str] = {"read": "chmod u+r", "write": "chmod u+w"}


def fault(exc: OSError, path: str, doing: Doing) -> DorkyError | None:
    """The error of ours that says what must happen next; None when we do not know this one: raise it on."""
    reason = exc.strerror or str(exc)
    if exc.errno in _CHANGED:
        return Stale(f"{path}: no longer as it was looked at ({reason})")
    if exc.errno in _FULL:
        return DiskFull(f"{path}: {reason}", hint="free some space on the folder's disk; sync goes on by itself")
    if exc.errno in _SHORT_OF:
        return Transient(f"{path}: {reason}", hint="raise the limit with `ulimit -n`")
    if exc.errno in _REFUSED:
        return denied(exc, path, doing)
    if exc.errno == errno.ENAMETOOLONG:
        return PathProblem(path, f"{path}: the file system holds no name this long", code="name-too-long")
    if exc.errno in _REFUSED_NAME:
        return PathProblem(path, f"{path}: the file system refuses this name ({reason})", code="bad-name")
    if exc.errno == errno.ELOOP:
        return PathProblem(path, f"{path}: a symlink stands in the way; links are never followed", code="symlink")
    if exc.errno == errno.EXDEV:
        return PathProblem(path, f"{path}: lies on another file system than the folder", code="mount")
    if exc.errno == errno.EFBIG:
        return PathProblem(path, f"{path}: the file system holds no file this large", code="too-large")
    return None


def denied(exc: OSError, path: str, doing: Doing) -> PathProblem:
    """The system will not let us read or write this path until a person changes something."""
    code = "unreadable" if doing == "read" else "unwritable"
    reason = exc.strerror or str(exc)
    if exc.errno in {errno.EACCES, errno.EPERM}:
        hint = f"run `{_CHMOD_HINT[doing]}` on it, and `chmod u+rwx` on the folders above it, as their owner"
    elif exc.errno == errno.EROFS:
        hint = "mount the folder's file system for writing"
    else:
        hint = "close what uses it and check the disk"
    return PathProblem(path, f"{path}: {code} ({reason})", code=code, hint=hint)


class faults:  # noqa: N801  read as a word in front of a block, around every system call: a generator costs thrice
    """Every `OSError` inside becomes the error of ours that `fault` finds for it; unknown ones pass as they are."""

    __slots__ = ("_doing", "_path")

    def __init__(self, path: str, doing: Doing) -> None:
        self._path = path
        self._doing = doing

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(exc, OSError):
            ours = fault(exc, self._path, self._doing)
            if ours is not None:
                raise ours from exc
