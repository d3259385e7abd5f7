"""What `doctor` looks at in the system: may the daemon watch that many folders, and have that many files open?"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath

from dorkyd.core.ignore import IgnoreRules
from dorkyd.core.model import Path
from dorkyd.core.report import Finding

OPEN_FILES_LOW = 512
"""Connections, parts under way, journals and sockets of a busy daemon with a handful of projects."""
INSTANCES_LOW = 64
"""Editors, file managers and services of one desktop take a few dozen; every project takes one more."""
_INOTIFY = FilePath("/proc/sys/fs/inotify")


@dataclass(frozen=True, slots=True)
class InotifyLimits:
    """What the kernel allows one user."""

    watches: int
    """Folders watched, over all programs."""
    instances: int


def inotify_limits() -> InotifyLimits | None:
    """This machine's limits; None where there is no inotify (macOS)."""
    try:
        watches, instances = (
            int((_INOTIFY / name).read_text(encoding="ascii")) for name in ("max_user_watches", "max_user_instances")
        )
    except FileNotFoundError:
        return None
    return InotifyLimits(watches, instances)


def open_files_limit() -> int | None:
    """How many files this process may have open; None: as many as it likes, or nobody says."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - not on every system

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def watch_findings(root: FilePath, rules: IgnoreRules, limits: InotifyLimits | None) -> Iterator[Finding]:
    """`limits` None: there is no inotify here, and nothing to say."""
    if limits is not None:
        yield from inotify_findings(count_folders(root, rules), limits)


def count_folders(root: FilePath, rules: IgnoreRules) -> int:
    """How many folders are watched: the root, and all below it that no rule leaves out and that can be read."""
    count = 0
    for here, names, _ in os.walk(root):
        count += 1
        below = os.path.relpath(here, root)
        prefix = "" if below == "." else f"{below}/"
        names[:] = [name for name in names if not rules.skip_entry(Path(prefix + name), True)]
    return count


def inotify_findings(folders: int, limits: InotifyLimits) -> Iterator[Finding]:
    """Do the folders fit? Others of this user need watches too, so three quarters are enough to say so."""
    detail = f"{folders} folders to watch, the system allows {limits.watches} for all your programs"
    fits = folders * 4 <= limits.watches * 3
    more = max(524_288, 4 * folders)
    hint = f"sudo sysctl fs.inotify.max_user_watches={more} (to last: the same in a file in /etc/sysctl.d)"
    yield Finding("watches", ok=fits, detail=detail, hint="" if fits else hint, code="" if fits else "watches-low")
    if limits.instances < INSTANCES_LOW:
        detail = f"only {limits.instances} programs and projects may watch files at once"
        hint = "sudo sysctl fs.inotify.max_user_instances=1024 (to last: the same in a file in /etc/sysctl.d)"
        yield Finding("watches", ok=False, detail=detail, hint=hint, code="instances-low")


def open_files_finding(limit: int | None) -> Finding:
    """May the daemon have enough files open? None: without limit."""
    if limit is None or limit >= OPEN_FILES_LOW:
        return Finding("open-files", ok=True, detail=f"{'any number of' if limit is None else limit} files may be open")
    hint = "run `ulimit -n 4096` before `dorkyd`, or set LimitNOFILE=4096 in its service"
    detail = f"only {limit} files may be open at once"
    return Finding("open-files", ok=False, detail=detail, hint=hint, code="open-files-low")
