"""A file and a folder that want one name.

A bucket holds `f` and `f/x` side by side; a folder cannot. Two devices may create one each before either knows of the
other, so both can end up in the bucket. The rules, which every device applies alike:

1. Before a creation, look at the clashing keys the remote rows know. None known: go ahead, no request.
2. A clashing key that is leaving (in base, unchanged, and not on this disk since our path stands in its way): its
   deletion goes first, ours waits.
3. Any other clashing key is looked at, since a request of our own may have landed late; then ours steps aside. A file
   becomes an ordinary conflict copy; a folder's children move to `f (conflict HASH)/…`, a name that depends on `f`
   alone, so that every holder makes the same one.
4. Both in the bucket after all: the file keeps the name, and whoever holds the children moves them so. A child that
   another tool put there is never moved: then the file is the problem.
5. A device that holds no child looks at it, for the same reason. Then it touches nothing and reports the child as a
   problem until a holder has moved it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dorkyd.core.model import (
    Action,
    Base,
    Digest,
    Download,
    Fetch,
    KeepBoth,
    Local,
    Look,
    Path,
    Problem,
    Remote,
    StepAside,
    Upload,
)
from dorkyd.core.paths import conflict_name, step_aside


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A key in the bucket that clashes with the path being decided."""

    path: Path
    remote: Remote
    base: Base | None

    @property
    def leaving(self) -> bool:
        """This device agreed on it, nobody changed it since: its own deletion is what comes next."""
        return self.base is not None and self.base.version == self.remote.version


@dataclass(frozen=True, slots=True)
class Wait:
    """Decide again when a clashing path has changed."""

    path: Path
    on: Path


def settle_clash(
    path: Path,
    action: Action | None,
    local: Local | None,
    remote: Remote | None,
    *,
    above: Sequence[Neighbour],
    below: Sequence[Neighbour],
    device: str,
    shown: Callable[[Digest], Digest] = lambda digest: digest,
) -> Action | Wait | Problem | None:
    """What `action` (None: all agree) becomes given the clashing keys: `above` are files in the bucket that would have to be folders,
    `below` are keys inside the folder that the path would have to be. `shown`: what a conflict copy's name tells of a digest.
    """
    if local is not None and remote is None and isinstance(action, Upload):
        return _creation(action, local, above, below, lambda: _copy_name(path, local, device, shown))
    if local is not None and remote is not None:
        in_the_way = [n for n in above if not n.leaving]
        return _both_in_bucket(path, action, local, remote, in_the_way[0]) if in_the_way else action
    if local is None and isinstance(action, Download | Fetch | Look | KeepBoth) and above:
        if remote is not None and not remote.looked:
            # It may be a late write of ours, which goes again: only its own metadata tells.
            return Look(path)
        return Problem(
            path,
            "clash",
            f"the bucket holds both a file {above[0].path!r} and this path inside a folder of that name",
            "it clears by itself when a device that has this file renames it; or rename one of the two",
        )
    return action


def _copy_name(path: Path, local: Local, device: str, shown: Callable[[Digest], Digest]) -> Path:
    return conflict_name(path, device=device, mtime_ns=local.stat.mtime_ns, digest=shown(local.digest))


def _creation(
    action: Upload,
    local: Local,
    above: Sequence[Neighbour],
    below: Sequence[Neighbour],
    copy_name: Callable[[], Path],
) -> Action | Wait:
    path = action.path
    staying = [neighbour for neighbour in (*above, *below) if not neighbour.leaving]
    if staying and not staying[0].remote.looked:
        # It may be a late write of ours, which goes again.
        return Look(staying[0].path)
    if staying and staying[0] in above:
        file = staying[0].path
        return StepAside(path, local, step_aside(path, file), f"{file!r} is a file elsewhere")
    if staying:
        return StepAside(path, local, copy_name(), f"{path!r} is a folder elsewhere")
    for neighbour in (*above, *below):
        return Wait(path, neighbour.path)
    return action


def _both_in_bucket(path: Path, action: Action | None, local: Local, remote: Remote, file: Neighbour) -> Action | None:
    """We hold a child of a folder whose name a file has taken."""
    if not remote.looked:
        return Look(path)
    if not file.remote.looked:
        return Look(file.path)
    if remote.foreign:
        return action
    return StepAside(path, local, step_aside(path, file.path), f"{file.path!r} is a file elsewhere")
