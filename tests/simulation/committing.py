"""What persons do with commits in a story, and what must hold of every commit that was said to be made.

A commit that was acknowledged stands for ever, each of its contents byte for byte, unless a collection was told that it
may go. A checkout that says that all is as the commit has it is right.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

from dorkyd.checkout import Checkout
from dorkyd.collection import Collection
from dorkyd.commit_cache import CommitCache
from dorkyd.commit_store import CommitStore
from dorkyd.commits import Commits
from dorkyd.core.commits import CommitFile, CommitId, covers
from dorkyd.core.garbage import Kept
from dorkyd.core.metadata import sha256
from dorkyd.core.model import Path
from dorkyd.core.report import State, SyncResult
from dorkyd.errors import DorkyError
from tests.devices import Device
from tests.simulation import sealed
from tests.simulation.steps import CheckOut, Collect, Commit, Edit

if TYPE_CHECKING:
    from tests.simulation.play import Play

_NOTHING = CommitCache(FilePath(os.devnull) / "cache")
"""Remembers nothing: there can be no such file."""


@dataclass(slots=True)
class Committed:
    """What a story knows of its commits."""

    made: dict[int, CommitId] = field(default_factory=dict)
    """By number: those that were said to be made."""
    may_go: set[int] = field(default_factory=set)
    """Those that some collection was told not to keep."""


def happen(play: Play, device: Device, step: Commit | CheckOut | Collect) -> None:
    """Let it happen; what goes wrong is told to the person, who leaves it at that."""
    try:
        match step:
            case Commit():
                _commit(play, device)
            case CheckOut():
                _check_out(play, device, step)
            case Collect():
                _collect(play, device, step)
    except DorkyError as exc:
        play.say(f"   ({device.name}: it ends in {exc.code})")


def _commit(play: Play, device: Device) -> None:
    def settle() -> SyncResult:
        device.look()
        play._busy(device, 40)
        engine = device.engine
        return SyncResult(engine.held is None and engine.trouble is None, State.SYNCING, "not at rest")

    made = Commits(device.engine, settle, at_once=1, wait=_at_once).commit("m")
    play.committed.made[made.named.header.seq] = made.named.id
    play.tally.faults["a commit"] += 1
    play.say(f"   ({device.name}: it is commit {made.named.header.seq})")


def _check_out(play: Play, device: Device, step: CheckOut) -> None:
    # What a commit brings back is no lone editor's work, and no conflict of two.
    play.account.edits.append(Edit(device.name, "touch", "."))
    commits = Commits(device.engine, lambda: SyncResult(True, State.IN_SYNC, ""), at_once=1, wait=_at_once)
    found = commits.list(None, 100)
    if not found:
        return
    wanted = found[step.pick % len(found)]
    before = device.tree()
    commit = commits.show(wanted.id)[1]
    files = commit.by_path
    for path, text in before.items():
        if path not in files or not _is_of(play, files[Path(path)], text.encode()):
            play.account.gives_up(path, text)
    within = bool(play.orders[device.name].edits)
    if step.overwrite:
        # What is saved while the checkout looks is an edit in its way as well, and may go to the trash.
        play.account.late.update(edit.arg for _, edit in play.orders[device.name].edits if edit.arg)
    try:
        done = Checkout(commits).checkout(wanted.id, overwrite=step.overwrite)
    finally:
        if step.overwrite:
            play.account.lines -= play.account.late
    play.account.takes_back(before, device.tree())
    play.tally.faults["a checkout"] += 1
    play.say(f"   ({device.name}: {done.placed} placed, {done.taken_out} taken out of commit {wanted.header.seq})")
    if not done.unlike and not within:
        rules = device.engine.rules()
        here = {p: text.encode() for p, text in device.tree().items() if not rules.skip(Path(p), False)}
        # What the author's device ignored is said neither to be there nor to be gone.
        unseen = covers(commit.unseen)
        here = {p: data for p, data in here.items() if p in files or not unseen(Path(p))}
        assert here.keys() == files.keys(), "a checkout that is not what it says"
        assert all(_is_of(play, files[Path(p)], data) for p, data in here.items()), (
            "a checkout that is not what it says"
        )


def _collect(play: Play, device: Device, step: Collect) -> None:
    commits = Commits(device.engine, lambda: SyncResult(True, State.IN_SYNC, ""), at_once=1, wait=_at_once)
    standing = commits.store().standing()
    play.committed.may_go |= {one.seq for one in standing[: -step.last]}
    done = Collection(commits.store(), device.clock, device.name, Kept(last=step.last)).run(time="t")
    play.tally.faults["a content collected"] += done.removed
    play.say(f"   ({device.name}: {len(done.commits)} commits and {done.removed} contents removed)")


def check(play: Play) -> None:
    """Every commit that was said to be made, and may not have gone, stands whole."""
    store = CommitStore(play.store.client(), _NOTHING, at_once=1)
    standing = {one.seq: one for one in store.standing()}
    for seq, commit_id in play.committed.made.items():
        if seq not in standing:
            assert seq in play.committed.may_go, f"commit {seq} is gone"
            continue
        found, commit = store.read(standing[seq])
        assert found == commit_id, f"commit {seq} is another"
        for file in commit.files:
            kept = [play.store._store.objects[source.key].data for source in store.kept_under(file.digest)]
            assert any(_is_of(play, file, sealed.opened(data)) for data in kept), f"commit {seq} lacks {file.path}"


def _at_once(_seconds: float) -> None:
    """Nothing happens by itself meanwhile."""


def _is_of(play: Play, file: CommitFile, data: bytes) -> bool:
    """It is the file's content, as whoever has the keys can tell."""
    digest = sha256(hashlib.sha256(data).hexdigest())
    if file.epoch is None:
        return digest == file.digest
    keys = next(device.keyring.keys.contents for device in play.devices if device.engine.keyring is not None)
    return keys[file.epoch].word(digest) == file.sealed
