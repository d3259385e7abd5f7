"""Turn the npm tool's history into commits: each push into one, in order, before any other commit.

The copies below `.dorky-history/` are read once each, since a commit names its contents by SHA-256 and nobody wrote that down; then
the store copies them to where commits keep contents. The copies stay. May be run again: what is there already is
recognized by its id (`dorkyd.core.npm_history`). Any thread; blocks as long as reading takes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dorkyd import npm_folder
from dorkyd.commit_store import CommitStore, Source
from dorkyd.commits import Commits, Committer, project_of
from dorkyd.control_import import ImportedHistory
from dorkyd.core.metadata import sha256
from dorkyd.core.model import Digest
from dorkyd.core.npm_dorky import HISTORY, HISTORY_FOLDER, Push, parse_project, pushed_key
from dorkyd.core.npm_history import PushCommit, ReadCopy, commits_of
from dorkyd.errors import Refused, Stale, Transient
from dorkyd.ports import Listed

RETRY_S = 5.0
"""When to ask again after others were faster."""


@dataclass(frozen=True, slots=True)
class HistoryImport:
    """The history of one folder."""

    commits: Commits
    root: str
    """The folder, absolute."""

    def run(self) -> ImportedHistory:
        """Make the commits. `Refused`: `no-npm-history`, or `commits-exist` where the project has others."""
        pushes = self._pushes()
        self.commits.check_writable()
        self._check_plain(pushes)
        store = self.commits.store()
        project = self.commits.of_engine(lambda: project_of(self.commits.engine))
        copies = _read(store, pushes)
        chain = commits_of(pushes, copies, project)
        if not chain:
            raise Refused(
                "the bucket has no copy of any push in history.json",
                hint="nothing was made; was another prefix the npm tool's?",
                code="no-npm-history",
            )
        there = _there(store, chain)
        sources: dict[Digest, list[Source]] = {}
        for copy in copies.values():
            sources.setdefault(copy.digest, []).append(Source(copy.key, copy.version))
        for number in range(there, len(chain)):
            parent = chain[number - 1].commit if number else None
            try:
                Committer(store, parent, sources).commit(chain[number].commit)
            except Stale as exc:
                raise Transient(
                    f"{number} of {len(chain)} commits are made; the bucket changed meanwhile: {exc}",
                    hint="ask again: it goes on there",
                    code="contended",
                    retry_after_s=RETRY_S,
                ) from exc
        return ImportedHistory(
            pushes=len(pushes),
            commits=len(chain),
            made=len(chain) - there,
            missing=sum(len(one.missing) for one in chain),
            differing=sum(len(one.differing) for one in chain),
            head=chain[-1].id,
        )

    def _check_plain(self, pushes: Sequence[Push]) -> None:
        """`Refused` (`must-be-encrypted`) where a push had what is to be encrypted: commits would keep it in plain for ever."""
        keyring = self.commits.engine.keyring
        secret = next((p for push in pushes for p in push.files if keyring is not None and keyring.covers(p)), None)
        if secret is not None:
            raise Refused(
                f"{secret!r} is to be encrypted, and the npm tool's history has it in plain",
                code="must-be-encrypted",
                hint=f"its copies stay below {HISTORY_FOLDER}/ in the bucket, in plain, until you remove them",
            )

    def _pushes(self) -> Sequence[Push]:
        pushes = parse_project(None, npm_folder.read_files(self.root).texts.get(HISTORY), None).pushes
        if not pushes:
            raise Refused(f"the npm tool's {HISTORY} tells of no push", code="no-npm-history")
        return pushes


def _there(store: CommitStore, chain: Sequence[PushCommit]) -> int:
    """How many commits of the chain are there already. `Refused` when there are others."""
    standing = store.standing()
    if any(one.id != ours.id for one, ours in zip(store.headers(standing), chain, strict=False)):
        raise Refused(
            "this project has commits already, and an older history can only come before the first",
            hint=f"its copies stay below {HISTORY_FOLDER}/ in the bucket",
            code="commits-exist",
        )
    return min(len(standing), len(chain))


def _read(store: CommitStore, pushes: Sequence[Push]) -> Mapping[tuple[str, str], ReadCopy]:
    """Every copy that a push names; of those that the listing proves equal one is read."""
    wanted = {(push.id, str(path)) for push in pushes for path in push.files}
    found: dict[tuple[str, str], Listed] = {}
    for page in store.bucket.list(f"{HISTORY_FOLDER}/"):
        for listed in page:
            place = pushed_key(listed.key)
            if place in wanted and place is not None:
                found[place] = listed
    groups: dict[object, list[tuple[str, str]]] = {}
    for place, listed in found.items():
        groups.setdefault((listed.md5, listed.size) if listed.md5 is not None else place, []).append(place)
    heads = [found[places[0]] for places in groups.values()]
    read = store.each(lambda listed: _hashed(store, listed), heads)
    return {
        place: ReadCopy(found[place].key, found[place].version, found[place].size, *hashes)
        for places, hashes in zip(groups.values(), read, strict=True)
        for place in places
    }


def _hashed(store: CommitStore, listed: Listed) -> tuple[Digest, str]:
    """SHA-256 and MD5 of an object. `Transient` when it changes meanwhile."""
    new, old = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    try:
        with store.bucket.get(listed.key, if_match=listed.version) as reading:
            for chunk in reading:
                new.update(chunk)
                old.update(chunk)
    except Stale as exc:
        raise Transient(f"{listed.key} changed while it was read", code="contended", retry_after_s=RETRY_S) from exc
    return sha256(new.hexdigest()), old.hexdigest()
