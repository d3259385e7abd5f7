"""What `doctor` looks for after the npm tool `dorky`: credentials that it left in plain text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath

from dorkyd.core.report import Finding
from dorkyd.importing import credentials_finding


def npm_findings(root: FilePath, profile: str) -> Iterator[Finding]:
    """Nothing where that tool never was. A file that only this user can read is advice; one that git has is wrong."""
    told = credentials_finding(str(root), profile)
    if told is not None:
        exposed = told.code == "credentials-in-git"
        yield Finding("npm-dorky", ok=not exposed, detail=told.detail, hint=told.hint, code=told.code)
