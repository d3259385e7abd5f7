"""What `doctor` looks at in the folder: is it there, is it the right one, can it be written, is there room?"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath

from dorkyd.core.report import Finding
from dorkyd.core.settings import Mode, Project
from dorkyd.errors import DorkyError
from dorkyd.faults import faults
from dorkyd.ports import TRIED, Clock, Folder

MiB = 1024 * 1024
DISK_LOW_BYTES = 500 * MiB


def folder_findings(project: Project, folder: Folder, clock: Clock) -> dict[str, Callable[[], Iterator[Finding]]]:
    """The checks of a folder that is there, by name, in order."""
    return {
        "folder": lambda: _folder(project),
        "marker": lambda: _marker(project, folder),
        "staging": lambda: _staging(folder, clock),
        "names": lambda: _names(folder),
    }


def _folder(project: Project) -> Iterator[Finding]:
    # By asking: a file written to try it would be a change that the watcher reports and a teammate may see.
    if project.mode is not Mode.PUSH and not os.access(project.path, os.W_OK | os.X_OK):
        hint = f"run `chmod u+rwx {project.path}` as its owner, or set `mode: push` to never write it"
        yield Finding("folder", ok=False, detail=f"{project.path} cannot be written", hint=hint, code="unwritable")
        return
    may = "read" if project.mode is Mode.PUSH else "read and written"
    yield Finding("folder", ok=True, detail=f"{project.path} is there and can be {may}")


def _marker(project: Project, folder: Folder) -> Iterator[Finding]:
    identity = folder.identity()
    if identity is None:
        detail = ".dorky/folder.json is missing: nothing proves that this is the folder that was synced"
        hint = f"`dorkyctl status {project.name}` shows what is on offer"
        yield Finding("marker", ok=False, detail=detail, hint=hint, code="no-marker")
        return
    yield Finding("marker", ok=True, detail=f"this is replica {identity.replica} of project {identity.project_id}")


def project_id_of(folder: Folder) -> str | None:
    """The project that the folder belongs to; None: it does not say, which `_marker` reports."""
    try:
        identity = folder.identity()
    except DorkyError:
        return None
    return (identity.project_id or None) if identity is not None else None


def _staging(folder: Folder, clock: Clock) -> Iterator[Finding]:
    name = f"{TRIED}{clock.random_id()}"
    try:
        with folder.stage(name) as stream:
            stream.write(b"doctor")
        folder.seal(name, mode=None, mtime_ns=None)
    finally:
        folder.unstage(name)
    yield Finding("staging", ok=True, detail=".dorky/tmp can be written")


def _names(folder: Folder) -> Iterator[Finding]:
    if folder.folds:
        told = "cannot hold two names that differ only by case or Unicode form: the second one is a problem"
    else:
        told = "tells upper from lower case in names"
    yield Finding("names", ok=True, detail=f"the folder's file system {told}")


def free_bytes(place: FilePath) -> int:
    """Room on the disk that holds a place."""
    with faults(str(place), "read"):
        return shutil.disk_usage(place).free


def disk_finding(what: str, place: FilePath, free: int) -> Finding:
    """Is there room where we must write? `what`: `folder` or `state`; `free` in bytes."""
    detail = f"{free // MiB} MiB free for the {what} ({place})"
    if free >= DISK_LOW_BYTES:
        return Finding("disk", ok=True, detail=detail)
    hint = f"free some space: `df -h {place}`; `dorkyctl trash` shows what sync keeps in the folder's .dorky/trash"
    return Finding("disk", ok=False, detail=detail, hint=hint, code="disk-low")
