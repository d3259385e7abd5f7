"""`doctor`: is everything there that sync rests on? Each check tries the real thing and says what to run when it fails.

A failed check is a `Finding`, never an exception, and stops no other; an exception that is not ours is a bug and goes
on. Leaves nothing behind: what it writes to staging and to the bucket is its own and removed again. Takes seconds (it
talks to the bucket and counts folders), so it runs on an API thread, beside the engine.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path as FilePath

from dorkyd.core.ignore import IgnoreRules
from dorkyd.core.logbook import PROJECT, decode_project
from dorkyd.core.model import Path, Version
from dorkyd.core.report import Finding
from dorkyd.core.settings import Mode, Project
from dorkyd.doctor_git import git_findings
from dorkyd.errors import Blocked, DorkyError, Stale, Transient
from dorkyd.faults import faults
from dorkyd.news import Bytes
from dorkyd.ports import Bucket, Clock, Folder, Written

MiB = 1024 * 1024
DISK_LOW_BYTES = 500 * MiB
CLOCK_OFF_S = 300.0
"""S3 refuses requests signed 15 minutes off; well before that something is wrong."""
OPEN_FILES_LOW = 512
"""Connections, parts under way, journals and sockets of a busy daemon with a handful of projects."""
INSTANCES_LOW = 64
"""Editors, file managers and services of one desktop take a few dozen; every project takes one more."""
_LOOK = "mend that and run `dorkyctl doctor` again"
_SECOND_NS = 1_000_000_000
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


def examine(
    project: Project,
    folder: Folder,
    bucket: Bucket | None,
    *,
    state_dir: FilePath,
    clock: Clock,
    inotify: Callable[[], InotifyLimits | None] = inotify_limits,
    rules: IgnoreRules | None = None,
) -> list[Finding]:
    """All checks of one project, in the order a person would make them.

    `bucket` None: it could not be opened. `rules` are those in force (None: those of the settings alone): they tell
    which folders are watched and which files synced. Any thread; may be repeated.
    """
    known = rules if rules is not None else IgnoreRules(project.ignore)
    root = FilePath(project.path)
    found: list[Finding] = []
    if folder.root_exists():
        found += _tried("folder", lambda: _folder(project))
        found += _tried("marker", lambda: _marker(project, folder))
        found += _tried("staging", lambda: _staging(folder, clock))
        found += _tried("names", lambda: _names(folder))
        found += _tried("disk", lambda: iter([disk_finding("folder", root, _free(root))]))
        found += _tried("git", lambda: git_findings(root, known))
        found += _tried("watches", lambda: _watches(root, known, inotify()))
    else:
        detail = f"{project.path} is not there, or cannot be listed"
        hint = "mount or restore it: sync goes on by itself; `ls -ld` shows whether you may read it"
        found.append(Finding("folder", ok=False, detail=detail, hint=hint, code="root-missing"))
    found += _tried("disk", lambda: iter([disk_finding("state", state_dir, _free(state_dir))]))
    found.append(open_files_finding(open_files_limit()))
    if bucket is None:
        hint = f"`dorkyctl status {project.name}` says why"
        detail = f"{project.bucket} could not be opened"
        return [*found, Finding("bucket", ok=False, detail=detail, hint=hint, code="no-bucket")]
    project_id = _project_id(folder)
    reached = _tried("bucket", lambda: iter([_document(project, bucket, project_id)]))
    found += reached
    if reached[0].code not in {"temporary", "rate-limited", "auth"}:
        # An identity that may not read may still write, and the difference is worth knowing. Nobody there is not.
        found += _Probe(project, bucket, clock).run()
    return found


def _tried(check: str, findings: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """What a check found; an error of ours ends it as its last finding."""
    found: list[Finding] = []
    try:
        found.extend(findings())
    except DorkyError as exc:
        found.append(_failed(check, exc))
    return found


def _failed(check: str, exc: DorkyError, *, doing: str = "", hint: str = "") -> Finding:
    if isinstance(exc, Stale | Transient):
        hint = "run `dorkyctl doctor` again in a moment: this can pass by itself"
    return Finding(check, ok=False, detail=f"{doing}{exc}", hint=exc.hint or hint or _LOOK, code=exc.code)


# --- the folder ------------------------------------------------------------------------------------------------------


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


def _project_id(folder: Folder) -> str | None:
    """The project that the folder belongs to; None: it does not say, which `_marker` reports."""
    try:
        identity = folder.identity()
    except DorkyError:
        return None
    return identity.project_id if identity is not None else None


def _staging(folder: Folder, clock: Clock) -> Iterator[Finding]:
    name = f"doctor-{clock.random_id()}"
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


def _free(place: FilePath) -> int:
    with faults(str(place), "read"):
        return shutil.disk_usage(place).free


def disk_finding(what: str, place: FilePath, free: int) -> Finding:
    """Is there room where we must write? `what`: `folder` or `state`; `free` in bytes."""
    detail = f"{free // MiB} MiB free for the {what} ({place})"
    if free >= DISK_LOW_BYTES:
        return Finding("disk", ok=True, detail=detail)
    hint = f"free some space: `df -h {place}`; `dorkyctl trash` shows what sync keeps in the folder's .dorky/trash"
    return Finding("disk", ok=False, detail=detail, hint=hint, code="disk-low")


# --- limits ----------------------------------------------------------------------------------------------------------


def _watches(root: FilePath, rules: IgnoreRules, limits: InotifyLimits | None) -> Iterator[Finding]:
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


# --- the bucket ------------------------------------------------------------------------------------------------------


def _document(project: Project, bucket: Bucket, project_id: str | None) -> Finding:
    found = bucket.read(PROJECT, limit=MiB)
    status = f"`dorkyctl status {project.name}` shows what is on offer"
    if found is None:
        if project_id is None:
            return Finding("bucket", ok=True, detail=f"{bucket.url} answers; no project was begun there yet")
        detail = f"{bucket.url} answers, but its {PROJECT} is gone"
        return Finding("bucket", ok=False, detail=detail, hint=status, code="remote-emptied")
    document = decode_project(found[1])
    if document is None:
        hint = "update this dorkyd, which may be older than the one that wrote it"
        detail = f"{bucket.url}/{PROJECT} cannot be understood"
        return Finding("bucket", ok=False, detail=detail, hint=hint, code="project-document")
    if project_id is not None and document.project_id != project_id:
        detail = f"{bucket.url} holds project {document.project_id}, the folder belongs to {project_id}"
        return Finding("bucket", ok=False, detail=detail, hint=status, code="other-project")
    return Finding("bucket", ok=True, detail=f"{bucket.url} answers and holds project {document.project_id}")


class _Probe:
    """May we write, and does the store keep its promises? One throw-away object tells."""

    def __init__(self, project: Project, bucket: Bucket, clock: Clock) -> None:
        self._project = project
        self._bucket = bucket
        self._clock = clock
        self._key = f".dorky/probe/{clock.random_id()}"
        self._now: Version | None = None
        """The state it has as far as we know; None: it is not there."""

    def run(self) -> list[Finding]:
        """Create, be refused a second create, update, delete; and what is left of that when a step fails."""
        if self._project.mode is Mode.PULL:
            # Credentials that cannot write are then no fault, and a mode that never writes does not begin here.
            return [Finding("bucket-write", ok=True, detail="not tried: `mode: pull` never writes the bucket")]
        found: list[Finding] = []
        steps = (("create", self._create), ("refuse", self._refuse), ("update", self._update), ("delete", self._delete))
        for doing, step in steps:
            try:
                found += step()
            except DorkyError as exc:
                check = "bucket-conditions" if doing == "refuse" else "bucket-write"
                hint = f"allow this identity to {doing} objects below {self._bucket.url}"
                found.append(_failed(check, exc, doing=f"cannot {doing} an object: ", hint=hint))
                return [*found, *self._clean()]
        return [Finding("bucket-write", ok=True, detail="objects can be created, updated and deleted"), *found]

    def _create(self) -> list[Finding]:
        before_ns = self._clock.time_ns()
        written = self._put(b"first", None)
        after_ns = self._clock.time_ns()
        modified = written.modified
        if modified is None:
            info = self._bucket.head(self._key)
            modified = info.modified if info is not None else None
        return [] if modified is None else [clock_finding(clock_offset_s(modified, before_ns, after_ns))]

    def _refuse(self) -> list[Finding]:
        try:
            self._put(b"second", None)
        except Stale:
            return [Finding("bucket-conditions", ok=True, detail="a write onto what others wrote is refused")]
        accepted = self._project.single_writer
        detail = f"{self._bucket.url} overwrote an object that a write said must not exist (If-None-Match is ignored)"
        hint = "use another store, or set `single_writer: true` if no other machine ever writes there"
        return [Finding("bucket-conditions", ok=accepted, detail=detail, hint=hint, code="unsafe-store")]

    def _update(self) -> list[Finding]:
        self._put(b"third", self._now)
        return []

    def _delete(self) -> list[Finding]:
        if self._now is not None:
            self._bucket.delete(self._key, replaces=self._now)
            self._now = None
        if self._bucket.head(self._key) is not None:
            raise Blocked(f"{self._bucket.url} still shows it afterwards", code="not-supported")
        return []

    def _put(self, data: bytes, replaces: Version | None) -> Written:
        written = self._bucket.put(self._key, Bytes(data), replaces=replaces, meta={})
        self._now = written.version
        return written

    def _clean(self) -> list[Finding]:
        """Remove what a failed step left, which a lost reply may hide from us."""
        try:
            info = self._bucket.head(self._key)
            if info is not None:
                self._bucket.delete(self._key, replaces=info.version)
        except DorkyError as exc:
            detail = f"{self._key} may be left in the bucket, a few harmless bytes: {exc}"
            return [Finding("bucket-write", ok=False, detail=detail, hint="delete it there", code="left-behind")]
        return []


def clock_offset_s(modified: int, before_ns: int, after_ns: int) -> float:
    """How far our clock is ahead of the store's, in seconds; negative: behind. `modified` is what the store says of a
    write that began and ended at these times of ours, in whole seconds, rounded down.
    """
    earliest_ns, latest_ns = modified * _SECOND_NS, (modified + 1) * _SECOND_NS
    if before_ns > latest_ns:
        return (before_ns - latest_ns) / _SECOND_NS
    if after_ns < earliest_ns:
        return (after_ns - earliest_ns) / _SECOND_NS
    return 0.0


def clock_finding(offset_s: float) -> Finding:
    """Is our clock near enough to the store's? Nothing is decided by it, but stores refuse requests signed far off."""
    if abs(offset_s) <= CLOCK_OFF_S:
        return Finding("clock", ok=True, detail=f"this machine's clock is within {abs(offset_s):.0f} s of the bucket's")
    way = "ahead of" if offset_s > 0 else "behind"
    detail = f"this machine's clock is {abs(offset_s):.0f} s {way} the bucket's"
    hint = "set it: `sudo timedatectl set-ntp true` (macOS: `sudo sntp -sS time.apple.com`)"
    return Finding("clock", ok=False, detail=detail, hint=hint, code="clock-off")
