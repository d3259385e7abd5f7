"""What `doctor` says of the daemon's environment: a service does not have the shell's, and that is often why it may not.

Only names of variables are ever looked at or told.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from dorkyd.core.report import Finding
from dorkyd.core.settings import Project

FAMILIES = {"s3": ("AWS_",), "gs": ("GOOGLE_", "CLOUDSDK_", "STORAGE_EMULATOR_HOST")}
"""Which variables a store's SDK goes by, by the scheme of the bucket's URL."""


def environment_findings(
    project: Project, shell: Sequence[str], *, refused: bool, ours: Sequence[str] | None = None
) -> Iterator[Finding]:
    """What is set in the shell that asks (`shell`, names) and not here. `refused`: the store did not take our credentials,
    so that this may be why. `ours`: names set here; None: those of this process.
    """
    families = FAMILIES.get(project.bucket.partition("://")[0])
    if families is None:
        return
    here = {name for name in (os.environ if ours is None else ours) if name.startswith(families)}
    missing = sorted({name for name in shell if name.startswith(families)} - here)
    if not missing:
        told = f"with {', '.join(sorted(here))}" if here else f"no {families[0]}* variable"
        yield Finding("environment", ok=True, detail=f"checked from the daemon's own environment: {told}")
        return
    names = ", ".join(missing)
    detail = f"{names}: set in your shell, not in the environment of the daemon, which does not see it"
    hint = "set `profile:` for this project, or put it in the service's environment (`systemctl --user edit dorkyd`)"
    yield Finding("environment", ok=not refused, detail=detail, hint=hint, code="environment-differs")
