"""`doctor`: is everything there that sync rests on? Each check tries the real thing and says what to run when it fails.

A failed check is a `Finding`, never an exception, and stops no other; an exception that is not ours is a bug and goes
on. Leaves nothing behind: what it writes to staging and to the bucket is its own and removed again. Takes seconds (it
talks to the bucket and counts folders), so it runs on an API thread, beside the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path as FilePath

from dorkyd.core.ignore import IgnoreRules
from dorkyd.core.report import Finding
from dorkyd.core.settings import Project
from dorkyd.doctor_bucket import bucket_findings
from dorkyd.doctor_environment import environment_findings
from dorkyd.doctor_folder import disk_finding, folder_findings, free_bytes, project_id_of
from dorkyd.doctor_git import git_findings
from dorkyd.doctor_limits import InotifyLimits, inotify_limits, open_files_finding, open_files_limit, watch_findings
from dorkyd.doctor_npm import npm_findings
from dorkyd.doctor_secrets import public_findings
from dorkyd.doctor_tries import tried
from dorkyd.ports import Bucket, Clock, Folder


def examine(
    project: Project,
    folder: Folder,
    bucket: Bucket | None,
    *,
    state_dir: FilePath,
    clock: Clock,
    inotify: Callable[[], InotifyLimits | None] = inotify_limits,
    rules: IgnoreRules | None = None,
    shell: Sequence[str] = (),
) -> list[Finding]:
    """All checks of one project, in the order a person would make them.

    `bucket` None: it could not be opened. `rules` are those in force (None: those of the settings alone): they tell
    which folders are watched and which files synced. `shell`: names of variables set where the person asks. Any thread;
    may be repeated.
    """
    known = rules if rules is not None else IgnoreRules(project.ignore)
    root = FilePath(project.path)
    found: list[Finding] = []
    if folder.root_exists():
        for check, findings in folder_findings(project, folder, clock).items():
            found += tried(check, findings)
        found += tried("disk", lambda: iter([disk_finding("folder", root, free_bytes(root))]))
        found += tried("git", lambda: git_findings(root, known))
        found += tried("npm-dorky", lambda: npm_findings(root, project.name))
        found += tried("watches", lambda: watch_findings(root, known, inotify()))
    else:
        detail = f"{project.path} is not there, or cannot be listed"
        hint = "mount or restore it: sync goes on by itself; `ls -ld` shows whether you may read it"
        found.append(Finding("folder", ok=False, detail=detail, hint=hint, code="root-missing"))
    found += tried("disk", lambda: iter([disk_finding("state", state_dir, free_bytes(state_dir))]))
    found.append(open_files_finding(open_files_limit()))
    if bucket is None:
        hint = f"`dorkyctl status {project.name}` says why"
        detail = f"{project.bucket} could not be opened"
        return [*found, Finding("bucket", ok=False, detail=detail, hint=hint, code="no-bucket")]
    of_bucket = bucket_findings(project, bucket, project_id_of(folder), clock)
    of_bucket += tried("secrets", lambda: public_findings(root, folder, known, of_bucket))
    refused = any(finding.code in {"auth", "denied"} for finding in of_bucket)
    return [*found, *environment_findings(project, shell, refused=refused), *of_bucket]
