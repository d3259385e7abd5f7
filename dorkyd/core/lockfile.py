"""`dorky.lock`: which state of a project goes with a state of a git repository. Written for people who read diffs: one line a
file, in order, the same text for the same commit whoever writes it.

The commit's id alone decides what is checked out. The digests are there to be read in a diff, and to say how a folder differs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from dorkyd.core.commits import Commit, CommitId, is_id
from dorkyd.core.model import Digest, Path
from dorkyd.core.paths import parse
from dorkyd.errors import PathProblem, Refused

LOCK_FILE = "dorky.lock"
FORMAT = 1
LOCK_BYTES = 256 * 1024 * 1024
_HINT = "restore it from git, or write it anew with `dorkyctl lock`"


@dataclass(frozen=True, slots=True)
class Lock:
    """What a lock file says."""

    project: str
    """The project's id."""
    bucket: str
    """Its URL, for people: a team may reach one bucket by several."""
    commit: CommitId
    files: Mapping[Path, Digest]


def lock_of(commit: Commit, commit_id: CommitId, bucket: str) -> Lock:
    """The lock of a commit."""
    return Lock(commit.header.project, bucket, commit_id, {file.path: file.digest for file in commit.files})


def encode_lock(lock: Lock) -> str:
    """The file's text."""
    words = {
        "format": FORMAT,
        "project": lock.project,
        "bucket": lock.bucket,
        "commit": lock.commit,
        "files": {path: lock.files[path] for path in sorted(lock.files)},
    }
    return json.dumps(words, ensure_ascii=False, indent=1) + "\n"


def decode_lock(text: str) -> Lock:
    """What the file says. `Refused` (`bad-lock`): a merge conflict in it is the usual reason."""
    try:
        words = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as exc:
        raise Refused(f"{LOCK_FILE} is not one that dorkyctl wrote", code="bad-lock", hint=_HINT) from exc
    if not isinstance(words, dict) or words.get("format") != FORMAT:
        what = f"{LOCK_FILE} is of a format that this dorkyd does not know"
        raise Refused(what, code="bad-lock", hint=f"a newer dorkyd may have written it; or {_HINT}")
    project, bucket, commit, files = (words.get(name) for name in ("project", "bucket", "commit", "files"))
    if not (isinstance(project, str) and isinstance(bucket, str) and isinstance(commit, str) and is_id(commit)):
        raise Refused(f"{LOCK_FILE} does not name a project and a commit", code="bad-lock", hint=_HINT)
    if not isinstance(files, dict) or not all(isinstance(digest, str) for digest in files.values()):
        raise Refused(f"{LOCK_FILE} does not say what the files are", code="bad-lock", hint=_HINT)
    try:
        read = {parse(path): Digest(digest) for path, digest in files.items()}
    except PathProblem as exc:
        raise Refused(f"{LOCK_FILE} has a path that cannot be one: {exc}", code="bad-lock", hint=_HINT) from exc
    return Lock(project, bucket, CommitId(commit), read)


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Nothing twice: half of a merge would win silently."""
    words = dict(pairs)
    if len(words) != len(pairs):
        raise ValueError("a name stands twice")
    return words
