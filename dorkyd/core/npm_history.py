"""The npm tool's history as commits: what each would hold, and how far that is what its history.json says. Pure.

The chain is a function of history.json and of the copies alone. So the ids of all commits are known before the first is
written: an import that was cut short goes on where it was, and a chain that is not this one is not touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dorkyd.core.commits import Commit, CommitFile, CommitId, encode, follows, id_of, new_commit
from dorkyd.core.model import Digest, Path, Version
from dorkyd.core.npm_dorky import Push

AUTHOR, DEVICE = "the npm tool dorky", "imported"
"""Who made a commit: history.json does not say."""
_TIME_BYTES = 64
_NAMED = 20
"""How many paths a message names."""


@dataclass(frozen=True, slots=True)
class ReadCopy:
    """A copy of which the bytes were read."""

    key: str
    version: Version
    size: int
    digest: Digest
    md5: str


@dataclass(frozen=True, slots=True)
class PushCommit:
    """One push as a commit."""

    id: CommitId
    commit: Commit
    missing: tuple[Path, ...]
    """Files of which there is no copy: the commit is without them."""
    differing: tuple[Path, ...]
    """Files whose copy is not what history.json says. The commit has the copy."""


def commits_of(
    pushes: Sequence[Push], copies: Mapping[tuple[str, str], ReadCopy], project: str
) -> tuple[PushCommit, ...]:
    """A commit for each push, oldest first. A push that changes nothing makes none, as does one without any copy.

    `copies` by the push's id and the path; `project`: the project's id.
    """
    chain: list[PushCommit] = []
    for push in pushes:
        found = {path: copies[push.id, path] for path in push.files if (push.id, path) in copies}
        files = [CommitFile(path, copy.digest, copy.size, None, None) for path, copy in found.items()]
        last = chain[-1] if chain else None
        if not files or (last is not None and not follows(last.commit, files)):
            continue
        missing = tuple(sorted(push.files.keys() - found.keys()))
        differing = tuple(sorted(path for path, copy in found.items() if push.files[path] not in {None, copy.md5}))
        commit = new_commit(
            files,
            parent=None if last is None else (last.commit.header.seq, last.id),
            author=AUTHOR,
            device=DEVICE,
            time=push.at if 0 < len(push.at.encode("utf-8", "replace")) <= _TIME_BYTES else "unknown",
            message=_message(push, missing, differing),
            project=project,
        )
        chain.append(PushCommit(id_of(encode(commit)), commit, missing, differing))
    return tuple(chain)


def _message(push: Push, missing: Sequence[Path], differing: Sequence[Path]) -> str:
    told = [f"push {push.id[:_TIME_BYTES]} of the npm tool dorky"]
    if missing:
        told.append(f"It had {len(missing)} more files, of which there is no copy: {_some(missing)}")
    if differing:
        told.append(f"{len(differing)} files are not what history.json says they were: {_some(differing)}")
    return "\n\n".join(told).encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def _some(paths: Sequence[Path]) -> str:
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return ", ".join(repr(path) for path in paths[:_NAMED]) + more
