"""`.dorky/trash/`: displaced files, kept where a person finds them without us.

Each is `<UTC time>-<random>/<the path it had>`: the folder's name is its id and says when, the rest says what. Nothing
else is recorded, so the listing is right whatever happened to the journal. What does not look like this is not ours:
it is neither listed nor purged.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from dorkyd.core.model import PERMISSION_BITS, Digest, Path
from dorkyd.dirfd import Missing, Spot, look, names_in, open_folder, open_spot
from dorkyd.durable import fsync
from dorkyd.errors import Stale
from dorkyd.faults import faults
from dorkyd.ports import Trashed
from dorkyd.renames import Place, Renames
from dorkyd.staging import copy, digest, require

TRASH = "trash"
"""Name of the trash folder in `.dorky`."""

_SECOND_NS = 1_000_000_000
_ID = re.compile(r"(?P<second>[0-9]{8}T[0-9]{6})\.(?P<ns>[0-9]{9})Z-[0-9a-f]{8}")
_SECOND_FORMAT = "%Y%m%dT%H%M%S"


def put(trash: int, staged: Spot, path: Path, renames: Renames, at_ns: int) -> Trashed:
    """Move a staged file into the trash, durably. `at_ns` is when, by the wall clock."""
    require(staged)
    name = _id(at_ns)
    with open_spot(trash, f"{name}/{path}", folds=False, make=True) as spot, faults(path, "write"):
        renames.place(Place(staged.fd, staged.name), Place(spot.fd, spot.name))
        fsync(spot.fd)
        fsync(staged.fd)
        info = os.stat(spot.name, dir_fd=spot.fd, follow_symlinks=False)
    return _trashed(name, path, info, at_ns)


def contents(trash: int) -> Sequence[Trashed]:
    """What the trash holds, oldest first."""
    ids = [name for name in names_in(trash, TRASH) if _displaced_ns(name) is not None]
    # The stamp leads and has a fixed width, so the order of names is the order of time.
    return [found for name in ids if (found := _find(trash, name)) is not None]


def digest_of(trash: int, name: str) -> Digest | None:
    """Hash a trashed file; None when it is gone."""
    found = _find(trash, name)
    if found is None:
        return None
    try:
        with open_spot(trash, f"{name}/{found.path}", folds=False) as spot:
            return digest(spot)
    except Missing:
        return None


def bring_back(trash: int, name: str, to: Spot, renames: Renames, *, keep: bool) -> None:
    """Copy (`keep`) or move a trashed file to a new staged name. `Stale` when it is gone or the name is taken."""
    found = _find(trash, name)
    if found is None:
        raise Stale(f"{name}: is no longer in the trash")
    with open_spot(trash, f"{name}/{found.path}", folds=False) as spot:
        if keep:
            copy(spot, require(spot), to)
            return
        with faults(found.path, "write"):
            renames.withdraw(Place(spot.fd, spot.name), Place(to.fd, to.name))
            fsync(to.fd)
            fsync(spot.fd)
    purge(trash, name)


def purge(trash: int, name: str) -> None:
    """Remove a trashed file for good. Absent is fine, and so is a name that is not ours: nothing is removed then."""
    if _displaced_ns(name) is None:
        return
    with faults(f"{TRASH}/{name}", "write"), suppress(FileNotFoundError):
        # With a dir_fd it goes down by descriptors and follows no link.
        shutil.rmtree(name, dir_fd=trash)
        fsync(trash)


def _id(at_ns: int) -> str:
    second = datetime.fromtimestamp(at_ns // _SECOND_NS, UTC).strftime(_SECOND_FORMAT)
    return f"{second}.{at_ns % _SECOND_NS:09d}Z-{secrets.token_hex(4)}"


def _displaced_ns(name: str) -> int | None:
    """When the file of a trashed id was displaced; None: the name is no id."""
    matched = _ID.fullmatch(name)
    if matched is None:
        return None
    try:
        second = datetime.strptime(matched["second"], _SECOND_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None  # month 13: not ours
    return int(second.timestamp()) * _SECOND_NS + int(matched["ns"])


def _find(trash: int, name: str) -> Trashed | None:
    """The one file of a trashed id; None when a person or a crash left none."""
    at_ns = _displaced_ns(name)
    if at_ns is None:
        return None
    parts = [name]
    try:
        while True:
            with open_folder(trash, parts, TRASH) as fd:
                inside = names_in(fd, TRASH)
                if not inside:
                    return None
                info = look(Spot(fd, inside[0], inside[0]))
            if info is None:
                return None
            parts.append(inside[0])
            if not stat.S_ISDIR(info.st_mode):
                return _trashed(name, Path("/".join(parts[1:])), info, at_ns)
    except Missing:
        return None


def _trashed(name: str, path: Path, info: os.stat_result, at_ns: int) -> Trashed:
    return Trashed(name, path, info.st_size, info.st_mode & PERMISSION_BITS, info.st_mtime_ns, at_ns)
