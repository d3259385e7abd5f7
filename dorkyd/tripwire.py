"""What looks like a secret is not uploaded in plain before a person said so, once.

Asked of an object that would be new: what stands in the bucket already, under this name, under the name of which it is a
conflict copy, or as the same bytes under another, tells nobody anything new, and holding it back would only tear the team's
copies apart. What a client of the API stores was said by that client. Engine thread only; it reads, and decides nothing but
this (`dorkyd.core.secrets` knows the forms).
"""

from __future__ import annotations

import logging
import shlex
from dataclasses import dataclass, field

from dorkyd.core.ignore import Patterns
from dorkyd.core.model import Path, Problem, Upload
from dorkyd.core.paths import without_conflict
from dorkyd.core.secrets import READ_BYTES, Suspicion, suspicion
from dorkyd.core.settings import Project, Tripwire
from dorkyd.errors import Blocked, Stale, Transient
from dorkyd.journal import Journal
from dorkyd.ports import Folder

LOOKS_SECRET = "looks-secret"  # noqa: S105 - no password
"""The code of the problem."""

_log = logging.getLogger("dorkyd.engine")
_SERVICES = ("s3://", "gs://")
"""Buckets that somebody else keeps."""


@dataclass(slots=True)
class Tripped:
    """For one project."""

    journal: Journal
    folder: Folder
    project: Project
    _allowed: Patterns = field(init=False)

    def __post_init__(self) -> None:
        self._allowed = Patterns(self.project.allow)

    @property
    def on(self) -> bool:
        """It asks. Where the settings leave it open: of a bucket that somebody else keeps."""
        if self.project.tripwire is not None:
            return self.project.tripwire is Tripwire.ASK
        return self.project.bucket.startswith(_SERVICES)

    def holds(self, upload: Upload) -> Problem | None:
        """Why this is not uploaded before a person said so; None: go on."""
        if not self.on or upload.replaces is not None or self._is_in_bucket(upload) or self._allowed.picks(upload.path):
            return None
        try:
            found = suspicion(upload.path, self.folder.peek(upload.path, upload.local, READ_BYTES))
        except (Stale, Transient, Blocked) as exc:
            # Not sent either: whoever would send it must read it, and is told why that fails.
            _log.warning("verb=tripwire path=%r outcome=%s", upload.path, exc.code)
            return None
        return None if found is None else _problem(upload.path, found)

    def _is_in_bucket(self, upload: Upload) -> bool:
        original = without_conflict(upload.path)
        there = self.journal.base(upload.path) is not None or (
            original != upload.path and self.journal.remote(original) is not None
        )
        return there or bool(self.journal.bases_with(upload.local.digest))


def _problem(path: Path, found: Suspicion) -> Problem:
    where = f" on line {found.line}" if found.line else ""
    named = shlex.quote(path)
    hint = (
        f"`dorkyctl encrypt {named}` sends it encrypted, `dorkyctl allow {named}` as it is; or list it in .dorkyignore"
    )
    return Problem(path, LOOKS_SECRET, f"not uploaded: it looks like {found.what}{where}", hint)
