"""What `doctor` tries in the bucket: is it the project's, may this identity do all that sync does, does the store keep its
conditions, and how is the bucket set up?

Rights are tried by doing, on one throw-away key; the conditions by the probe that the first sync goes by. How the bucket is
set up is asked where the adapter can (`dorkyd.ports.Inspectable`), and unknown where this identity may not ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from dorkyd.buckets.probe import InParts, ProbeResult, as_said, layers, probe
from dorkyd.core.logbook import PROJECT, decode_project
from dorkyd.core.model import Version
from dorkyd.core.report import Finding
from dorkyd.core.settings import Mode, Project
from dorkyd.doctor_clock import clock_finding, clock_offset_s
from dorkyd.doctor_tries import failed, tried
from dorkyd.errors import Blocked, DorkyError
from dorkyd.news import Bytes
from dorkyd.ports import Bucket, Clock, Inspectable, Written

MiB = 1024 * 1024
_UNREACHABLE = frozenset({"temporary", "rate-limited", "auth", "clock-skew", "wrong-region", "no-such-bucket"})


def bucket_findings(project: Project, bucket: Bucket, project_id: str | None, clock: Clock) -> list[Finding]:
    """All about a bucket that was opened. `project_id`: the folder's; None: it does not say."""
    reached = tried("bucket", lambda: iter([_document(project, bucket, project_id)]))
    if reached[0].code in _UNREACHABLE:
        return reached
    # An identity that may not read may still write, and the difference is worth knowing.
    found = [*reached, *_Trial(project, bucket, clock).run()]
    inspectable = next((layer for layer in layers(bucket) if isinstance(layer, Inspectable)), None)
    if inspectable is not None:
        found += tried("bucket-settings", lambda: _settings(inspectable))
    return found


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


def _settings(bucket: Inspectable) -> Iterator[Finding]:
    for setting in bucket.inspect():
        told = setting.detail if setting.ok is not None else f"unknown ({setting.detail})"
        yield Finding(setting.name, ok=setting.ok is not False, detail=told, hint=setting.hint, code=setting.code)


class _Trial:
    """May we read, list, write, copy, send in parts and delete? One throw-away object tells."""

    def __init__(self, project: Project, bucket: Bucket, clock: Clock) -> None:
        self._project = project
        self._bucket = bucket
        self._clock = clock
        self._key = f".dorky/probe/{clock.random_id()}"
        self._now: Version | None = None
        """The state it has as far as we know; None: it is not there."""
        self._sender = next((layer for layer in layers(bucket) if isinstance(layer, InParts)), None)
        self._clock_finding: list[Finding] = []

    def run(self) -> list[Finding]:
        """Each step, and what is left when one fails; then the store's conditions."""
        if self._project.mode is Mode.PULL:
            # Credentials that cannot write are then no fault, and a mode that never writes does not begin here.
            reads = self._tried("bucket-read", {"read": self._read, "list": self._list})
            done = [Finding("bucket-read", ok=True, detail="objects can be read and listed")]
            return [
                *(reads or done),
                Finding("bucket-write", ok=True, detail="not tried: `mode: pull` never writes the bucket"),
            ]
        steps = {
            "create": self._create,
            "read": self._read,
            "list": self._list,
            "update": self._update,
            "copy": self._copy,
            "send in parts": self._parts,
            "delete": self._delete,
        }
        trouble = self._tried("bucket-write", steps)
        if trouble:
            return [*trouble, *self._clean(), *self._clock_finding]
        done = [
            Finding(
                "bucket-write",
                ok=True,
                detail="objects can be created, read, listed, updated, copied, sent in parts and deleted",
            )
        ]
        return [*done, *tried("bucket-conditions", self._conditions), *self._clock_finding]

    def _tried(self, check: str, steps: Mapping[str, Callable[[], None]]) -> list[Finding]:
        """The first step that fails; the rest would fail for the same reason or for want of it."""
        for doing, step in steps.items():
            try:
                step()
            except DorkyError as exc:
                hint = f"allow this identity to {doing} objects below {self._bucket.url}: docs/permissions.md"
                return [failed(check, exc, doing=f"cannot {doing} an object: ", hint=hint)]
        return []

    def _create(self) -> None:
        before_ns = self._clock.time_ns()
        written = self._put(b"first", None)
        after_ns = self._clock.time_ns()
        modified = written.modified
        if modified is None:
            info = self._bucket.head(self._key)
            modified = info.modified if info is not None else None
        if modified is not None:
            self._clock_finding = [clock_finding(clock_offset_s(modified, before_ns, after_ns))]

    def _read(self) -> None:
        found = self._bucket.read(self._key)
        if self._now is not None and (found is None or found[1] != b"first"):
            raise Blocked(f"{self._bucket.url} does not show what was just written", code="not-supported")

    def _list(self) -> None:
        keys = [listed.key for page in self._bucket.list(self._key) for listed in page]
        if self._now is not None and keys != [self._key]:
            raise Blocked(f"{self._bucket.url} does not list what was just written", code="not-supported")

    def _update(self) -> None:
        self._put(b"third", self._now)

    def _copy(self) -> None:
        assert self._now is not None
        made = self._bucket.copy(
            self._key, self._key, source_version=self._now, replaces=self._now, meta={"probe": "copied"}
        )
        self._now = made.version

    def _parts(self) -> None:
        if self._sender is not None:
            self._now = self._sender.put_in_parts(self._key, Bytes(b"in parts"), replaces=self._now, meta={}).version

    def _delete(self) -> None:
        if self._now is not None:
            self._bucket.delete(self._key, replaces=self._now)
            self._now = None
        if self._bucket.head(self._key) is not None:
            raise Blocked(f"{self._bucket.url} still shows it afterwards", code="not-supported")

    def _conditions(self) -> Iterator[Finding]:
        result = probe(self._bucket, single_writer=True, random_id=self._clock.random_id)
        yield _conditions_of(self._project, self._bucket, result)
        if result.missing_denied:
            detail = "a look at a missing key answers 403, so that a listing of exactly that key proves it"
            hint = "nothing need be done; `poll_s` makes the listings rarer (docs/permissions.md)"
            yield Finding("missing-keys", ok=True, detail=detail, hint=hint, code="missing-denied")

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


def _conditions_of(project: Project, bucket: Bucket, result: ProbeResult) -> Finding:
    if not result.ignored:
        return Finding(
            "bucket-conditions", ok=True, detail="a write onto what others wrote is refused, every way there is"
        )
    detail = f"{bucket.url} does not enforce conditional writes: {', '.join(as_said(bucket, result.ignored))}"
    hint = "use another store, or set `single_writer: true` if no other machine ever writes there"
    return Finding("bucket-conditions", ok=project.single_writer, detail=detail, hint=hint, code="unsafe-store")
