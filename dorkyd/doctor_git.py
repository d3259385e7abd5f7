"""What `doctor` asks git: would it publish what sync carries? Sync carries secrets that git should not hold."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path as FilePath

from dorkyd.core.ignore import IgnoreRules
from dorkyd.core.model import Path
from dorkyd.core.report import Finding
from dorkyd.doctor_secrets import counted, secrets_among

_TIMEOUT_S = 20
_NEW_FILE = "a-file-that-sync-brings"
_NAMED = 3
"""How many files a finding names."""


def git_findings(root: FilePath, rules: IgnoreRules) -> Iterator[Finding]:
    """Nothing where there is no git, or the folder is in no repository. `rules` tell which files are synced."""
    git = shutil.which("git")
    if git is None:
        return
    try:
        yield from _asked(git, root, rules)
    except subprocess.TimeoutExpired:
        hint = f"try `git -C {shlex.quote(str(root))} status`"
        yield Finding("git", ok=False, detail=f"git did not answer in {_TIMEOUT_S} s", hint=hint, code="git-unknown")


def known_to_git(root: FilePath, name: str) -> tuple[bool | None, bool | None]:
    """Whether git tracks a file of the folder, and whether any commit has it. None: nobody could ask, or there is no
    repository.
    """
    git = shutil.which("git")
    if git is None:
        return None, None
    try:
        listed = _git(git, root, "ls-files", "-z", "--", name)
        if listed.returncode != 0:
            return None, None
        commits = _git(git, root, "log", "--all", "--format=%h", "-n", "1", "--", name)
    except subprocess.TimeoutExpired:
        return None, None
    return bool(listed.stdout), bool(commits.stdout) if commits.returncode == 0 else None


def _asked(git: str, root: FilePath, rules: IgnoreRules) -> Iterator[Finding]:
    at = shlex.quote(str(root))
    where = _git(git, root, "rev-parse", "--show-toplevel")
    if where.returncode != 0:
        told = os.fsdecode(where.stderr).strip().partition("\n")[0]
        if not told.startswith("fatal: not a git repository"):
            yield Finding(
                "git", ok=False, detail=f"git cannot tell: {told}", hint=f"try `git -C {at} status`", code="git-unknown"
            )
        return
    top = FilePath(os.fsdecode(where.stdout.removesuffix(b"\n")))
    listed = _git(git, root, "ls-files", "-z")
    tracked = [name for raw in listed.stdout.split(b"\0") if raw and _synced(name := os.fsdecode(raw), rules)]
    if tracked:
        yield tracked_finding(root, tracked)
    secret = secrets_among(root, tracked)
    if secret:
        yield secret_finding(root, secret)
    # Asked about a file, not the folder: `/private/*` with `!/private/.dorky.yaml` ignores all that matters.
    if _git(git, root, "check-ignore", "-q", _NEW_FILE).returncode == 0:
        yield Finding("git", ok=True, detail=f"the git repository at {top} ignores what is in this folder")
    else:
        yield exposed_finding(root, top)


def tracked_finding(root: FilePath, tracked: list[str]) -> Finding:
    """Files that sync and git both carry: each would undo the other's checkouts, and secrets would be published."""
    shown = ", ".join(repr(name) for name in tracked[:_NAMED])
    more = f" and {len(tracked) - _NAMED} more" if len(tracked) > _NAMED else ""
    hint = f"`git -C {shlex.quote(str(root))} rm -r --cached .` keeps the files and ends git's tracking; or ignore them in .dorkyignore"
    detail = f"{len(tracked)} synced files are also tracked by git: {shown}{more}"
    return Finding("git", ok=False, detail=detail, hint=hint, code="git-tracked")


def secret_finding(root: FilePath, secret: list[str]) -> Finding:
    """Secrets that git tracks are in its history, and with every clone."""
    names = " ".join(shlex.quote(name) for name in secret[:_NAMED])
    hint = (
        f"`git -C {shlex.quote(str(root))} rm --cached {names}` ends that; whoever has a clone has what they hold:"
        " change it where it came from"
    )
    detail = f"git tracks {counted(secret)} that hold secrets or are made for them"
    return Finding("git", ok=False, detail=detail, hint=hint, code="git-secrets")


def exposed_finding(root: FilePath, top: FilePath) -> Finding:
    """The next `git add .` would take what sync carries."""
    detail = f"{root} is inside the git repository at {top}, which does not ignore it"
    if root == top:
        hint = "sync a folder inside the repository that git ignores, or list what git must not hold in .gitignore"
    else:
        line = shlex.quote(f"/{root.relative_to(top).as_posix()}/") if root.is_relative_to(top) else "its path"
        hint = f"`echo {line} >> {shlex.quote(str(top / '.gitignore'))}`"
    return Finding("git", ok=False, detail=detail, hint=hint, code="git-exposed")


def _synced(name: str, rules: IgnoreRules) -> bool:
    return not rules.skip(Path(name), False)


def _git(git: str, root: FilePath, *words: str) -> subprocess.CompletedProcess[bytes]:
    # No variable of a caller's repository (we may have been started by a hook), and none of its programs.
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")} | {"LC_ALL": "C"}
    command = [git, "-C", str(root), "-c", "core.fsmonitor=false", "--no-optional-locks", *words]
    return subprocess.run(  # noqa: S603 - fixed words and the folder's own path
        command, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT_S, check=False
    )
