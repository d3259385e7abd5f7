"""Look at a bucket before a folder is paired with it: whose it is, what is there, may we. And what a teammate is told of it.

Reading alone, unless `try_it`; then each right is tried as `doctor` does, on throw-away objects that are removed again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dorkyd.control_prospect import Invitation, Prospect, Wish
from dorkyd.core import members, paths
from dorkyd.core.logbook import PROJECT, decode_project
from dorkyd.core.report import Finding
from dorkyd.core.settings import Project
from dorkyd.doctor_bucket import bucket_findings
from dorkyd.errors import Blocked, Configuration, Refused
from dorkyd.ports import Bucket, Clock, Listed

MOST_COUNTED = 20_000
"""Objects that are counted: a person wants to know what is there, not wait for a million."""
NAMED = 5
_OURS = ".dorky/"
_DOCUMENT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Prospector:
    """`control_prospect.ProspectControl` says what each method promises."""

    parse: Callable[[Wish], Project]
    """The project that a wish would make. `Configuration`."""
    open_bucket: Callable[[Project], Bucket]
    projects: Callable[[], Sequence[Project]]
    """Those there are."""
    trusted: Callable[[Project, str], str | None]
    """The fingerprint of keys that this machine trusts for a project, by its settings and its id."""
    clock: Clock

    def look(self, wish: Wish, *, try_it: bool) -> Prospect:
        """See the protocol."""
        project = self.parse(wish)
        scheme, _, directory = project.bucket.partition("://")
        if scheme == "file" and not os.path.isdir(directory) and not try_it:
            # Opening it would make it.
            return Prospect(project.bucket, None, None, 0, 0, more=False, names=(), newest=None, findings=())
        bucket = self.open_bucket(project)
        try:
            return self._looked(project, bucket, try_it=try_it)
        finally:
            bucket.close()

    def _looked(self, project: Project, bucket: Bucket, *, try_it: bool) -> Prospect:
        findings: list[Finding] = bucket_findings(project, bucket, None, self.clock) if try_it else []
        if any(not finding.ok and finding.check == "bucket" for finding in findings):
            # It cannot be read: its own words say why, and asking again would say no more.
            return Prospect(project.bucket, None, None, 0, 0, more=False, names=(), newest=None, findings=findings)
        id_, print_ = _project_id(bucket), _fingerprint(bucket)
        held: list[Listed] = []
        more = False
        for page in bucket.list():
            held += [each for each in page if _is_file(each.key)]
            if len(held) > MOST_COUNTED:
                more = True
                break
        times = [each.modified for each in held if each.modified is not None]
        return Prospect(
            project.bucket,
            id_,
            print_,
            len(held),
            sum(each.size for each in held),
            more=more,
            names=[each.key for each in held[:NAMED]],
            newest=_moment(max(times)) if times else None,
            findings=findings,
        )

    def invitation(self, name: str) -> Invitation:
        """See the protocol."""
        project = next((each for each in self.projects() if each.name == name), None)
        if project is None:
            raise Refused(f"no project is named {name!r}", code="no-such-project")
        bucket = self.open_bucket(project)
        try:
            id_, claimed = _project_id(bucket), _fingerprint(bucket)
            trusted = None if id_ is None else self.trusted(project, id_)
            if claimed is not None and (trusted is None or not members.same_fingerprint(claimed, trusted)):
                raise Blocked(
                    f"the keys of {name} are not trusted here, so that no teammate can be told to trust them",
                    hint=f"`dorkyctl team list {name}` says how to compare them",
                    code="key-untrusted",
                )
            return Invitation(project.bucket, id_, claimed)
        finally:
            bucket.close()


def _project_id(bucket: Bucket) -> str | None:
    found = bucket.read(PROJECT, limit=_DOCUMENT_BYTES)
    if found is None:
        return None
    document = decode_project(found[1])
    if document is None:
        raise Configuration(
            f"{bucket.url}/{PROJECT} cannot be understood",
            hint="update this dorkyd, which may be older than the one that wrote it",
            code="project-document",
        )
    return document.project_id


def _fingerprint(bucket: Bucket) -> str | None:
    first = bucket.read(members.key_of_document(1), limit=members.DOCUMENT_BYTES)
    return None if first is None else members.fingerprint(first[1])


def _is_file(key: str) -> bool:
    return not key.startswith(_OURS) and not paths.is_folder_marker(key) and paths.key_problem(key) is None


def _moment(modified: int) -> str:
    return datetime.fromtimestamp(modified, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
