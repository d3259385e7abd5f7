"""What `doctor` says of secrets where others may read them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path as FilePath

from dorkyd.core.ignore import IgnoreRules
from dorkyd.core.model import Path
from dorkyd.core.report import Finding
from dorkyd.core.secrets import READ_BYTES, is_private, suspicion
from dorkyd.ports import Entry, Folder

_NAMED = 3
"""How many files a finding names."""
_READ_FILES = 2000
"""So many are read; of more the name alone tells."""


def secrets_among(root: FilePath, paths: Iterable[str]) -> list[str]:
    """Those that hold a secret or are made for one, by name or by what they hold."""
    return [
        path for at, path in enumerate(paths) if is_private(Path(path)) or (at < _READ_FILES and _holds(root, path))
    ]


def counted(paths: Sequence[str]) -> str:
    """How many, and the first of them by name."""
    shown = ", ".join(repr(path) for path in paths[:_NAMED])
    return f"{len(paths)} synced file{'s' if len(paths) > 1 else ''} ({shown}{', …' if len(paths) > _NAMED else ''})"


def public_findings(root: FilePath, folder: Folder, rules: IgnoreRules, others: Sequence[Finding]) -> Iterator[Finding]:
    """Secrets in a bucket that is not closed to the public. `others`: what was found of the bucket."""
    if not any(finding.check == "public-access" and not finding.ok for finding in others):
        return
    found = secrets_among(root, (met.path for met in folder.scan(rules.skip) if isinstance(met, Entry)))
    if found:
        detail = f"{counted(found)} hold secrets or are made for them, and the bucket may be public"
        hint = "block public access first (see public-access above); then encrypt them, and change what they hold"
        yield Finding("secrets", ok=False, detail=detail, hint=hint, code="secrets-public")


def _holds(root: FilePath, path: str) -> bool:
    """What cannot be read is another check's business."""
    try:
        fd = os.open(root / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    with open(fd, "rb") as opened:
        return stat.S_ISREG(os.fstat(fd).st_mode) and suspicion(Path(path), opened.read(READ_BYTES)) is not None
