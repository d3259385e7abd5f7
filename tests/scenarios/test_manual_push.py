"""Pushes in mode manual: what was staged goes, one commit decides, and whoever is left finishes."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dorkyd.buckets.memory import Fault
from dorkyd.core.commits import COMMITS, CommitId, commit_key, decode, encode, new_commit
from dorkyd.core.metadata import SHA256
from dorkyd.core.pushes import PLANS
from dorkyd.core.settings import Mode
from dorkyd.errors import DorkyError, Refused, Transient, Unsupported
from dorkyd.manual import begin_pull, warn
from dorkyd.manual_staging import Stage
from dorkyd.news import Bytes
from tests.devices import Device, Kill, Trap, World, trap_commits
from tests.scenarios.test_manual import apart


def team(quick_path: Path, files: dict[str, str], *names: str) -> tuple[World, list[Device]]:
    """Devices in mode manual, and one that syncs (`b`), which all hold these files."""
    world = World(quick_path)
    b = world.device("b")
    for path, text in files.items():
        b.write(path, text)
    b.settle()
    manual = [world.device(name, mode=Mode.MANUAL) for name in names]
    for one in manual:
        one.settle()
        begin_pull(one.engine)
    world.settle()
    world.forget()
    return world, [b, *manual]


def commits(world: World, since: int = 1) -> list[dict[str, str]]:
    """What each commit says, its contents read from `.dorky/objects/`; the first first."""
    found = []
    bucket = world.store.client()
    for key in world.keys(COMMITS)[since - 1 :]:
        read = bucket.read(key)
        assert read is not None
        commit = decode(read[1], int(key[-17:-5]))
        contents = {}
        for file in commit.files:
            digits = file.digest.partition(":")[2]
            (kept, *_) = world.keys(f".dorky/objects/{digits[:2]}/{digits}")
            contents[str(file.path)] = world._content(kept)
        found.append(contents)
    return found


def test_what_was_staged_goes_and_nothing_else(quick_path: Path) -> None:
    """A later edit does not leak into the push, an unstaged one neither; afterwards they are changes as before."""
    world, (b, a) = team(quick_path, {"f": "1", "g": "2", "h": "3", "i": "4"}, "a")
    a.write("f", "staged")
    a.write("g", "not staged")
    a.write("d/new", "n")
    (a.root / "h").unlink()
    assert a.stage.stage(["f", "d", "h"]) == (["f", "d/new", "h"], [])
    a.write("f", "edited after")
    a.settle()
    pushed = a.pushes.push("first")
    assert (pushed.seq, pushed.message, pushed.paths, pushed.lost, pushed.told) == (1, "first", 3, (), True)
    want = {"f": "staged", "g": "2", "i": "4", "d/new": "n"}
    assert world.objects() == want
    assert commits(world) == [want]
    world.settle()
    assert b.tree() == want
    assert a.tree() == {**want, "f": "edited after", "g": "not staged"}
    assert apart(a) == {"f": ("modified", ""), "g": ("modified", "")}
    assert a.journal.manual.staged() == {}
    assert a.journal.manual.pushes() == []
    assert world.keys(PLANS) == []
    assert a.engine.folder.staged() == []
    assert a.trashed() == []


def test_pushes_in_turn(quick_path: Path) -> None:
    """Push A, push B, push A again: three commits, though the content of the last is that of the first."""
    world, (b, a) = team(quick_path, {"f": "0"}, "a")
    ids = []
    for text in ("A", "B", "A"):
        a.write("f", text)
        a.stage.stage(["."])
        ids.append(a.pushes.push(None).id)
        world.settle()
        assert b.tree() == {"f": text}
    assert len(set(ids)) == 3
    assert commits(world) == [{"f": "A"}, {"f": "B"}, {"f": "A"}]
    assert len(world.keys(".dorky/objects/")) == 2


def test_a_push_that_is_over_between_two_looks_of_another(quick_path: Path) -> None:
    """Another push ends after the news were read and before its commit is: the next commit does not leave its files out."""
    world, (b, a, c) = team(quick_path, {"f": "1"}, "a", "c")
    a.write("mine", "a's")
    c.write("yours", "c's")
    a.stage.stage(["."])
    c.stage.stage(["."])
    when(world, "a", "LIST", COMMITS, lambda: c.pushes.push("c was first"))
    with pytest.raises(Refused) as told:
        a.pushes.push("a")
    assert told.value.code == "remote-moved"
    begin_pull(a.engine)
    world.settle()
    a.pushes.push("a again")
    assert commits(world) == [{"f": "1", "yours": "c's"}, {"f": "1", "yours": "c's", "mine": "a's"}]
    world.settle()
    assert b.tree() == {"f": "1", "yours": "c's", "mine": "a's"}


def test_two_that_push_at_once(quick_path: Path) -> None:
    """One wins; the other is told to pull, has lost nothing, and its next push follows."""
    world, (b, a, c) = team(quick_path, {"f": "1", "g": "2", "h": "3"}, "a", "c")
    a.write("f", "a's")
    a.write("g", "a's")
    c.write("f", "c's")
    c.write("h", "c's")
    a.stage.stage(["."])
    c.stage.stage(["."])
    when(world, "a", "PUT", COMMITS, lambda: c.pushes.push("c was first"))
    with pytest.raises(Refused) as refused:
        a.pushes.push("a was late")
    assert refused.value.code == "remote-moved"
    assert commits(world) == [{"f": "c's", "g": "2", "h": "c's"}]
    assert world.objects() == {"f": "c's", "g": "2", "h": "c's"}
    assert set(a.journal.manual.staged()) == {"f", "g"}
    begin_pull(a.engine)
    a.settle()
    copy = next(path for path in a.tree() if path.startswith("f (conflict a "))
    assert a.tree() == {"f": "c's", "g": "a's", "h": "c's", copy: "a's"}
    with pytest.raises(Refused) as refused:
        a.pushes.push("f was staged over another state")
    assert refused.value.code == "outdated"
    a.stage.unstage(["f"])
    a.pushes.push("the rest")
    world.settle()
    want = {"f": "c's", "g": "a's", "h": "c's"}
    assert world.objects() == b.tree() == commits(world)[-1] == want
    assert world.keys(PLANS) == []


def test_a_two_way_edit_while_a_push_is_carried_out(quick_path: Path) -> None:
    """The plain path is whose write came first; the commit has what was pushed, and a pull makes the usual copy."""
    world, (b, a) = team(quick_path, {"f": "1", "g": "2"}, "a")
    a.write("f", "a's")
    a.write("g", "a's")
    a.stage.stage(["."])

    def edit() -> None:
        b.write("f", "b's")
        b.settle()

    when(world, "a", "COPY", "f", edit)
    pushed = a.pushes.push("both")
    assert pushed.lost == ("f",)
    assert commits(world) == [{"f": "a's", "g": "a's"}]
    world.settle()
    assert world.objects() == b.tree() == {"f": "b's", "g": "a's"}
    assert apart(a) == {"f": ("modified", "modified")}
    begin_pull(a.engine)
    a.settle()
    assert sorted(a.tree().values()) == ["a's", "a's", "b's"]


def test_refused_while_anything_is_behind(quick_path: Path) -> None:
    """Also where what is behind is not what is staged: the commit would name a state that never was."""
    world, (b, a) = team(quick_path, {"f": "1", "g": "2"}, "a")
    a.write("f", "a's")
    a.stage.stage(["f"])
    b.write("g", "b's")
    b.settle()
    with pytest.raises(Refused) as refused:
        a.pushes.push("too early")
    assert refused.value.code == "remote-moved"
    assert world.keys(COMMITS) == []
    begin_pull(a.engine)
    a.settle()
    a.pushes.push("now")
    assert commits(world) == [{"f": "a's", "g": "b's"}]


def test_killed_anywhere(quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before or after any effect or commit of the journal: either the push never happened and all is staged still, or it did,
    and ends by itself.
    """
    # One point in three, before and after by turns; DORKY_FULL: all of them.
    at, outcomes, traps = 1, set(), dict[str, Trap]()
    step = 1 if os.environ.get("DORKY_FULL") else 3
    trap_commits(monkeypatch, traps)
    while True:
        world, (b, a, c) = team(quick_path / str(at), {"f": "1", "g": "2", "h": "3"}, "a", "c")
        want = staged_by(a)
        traps["a"] = a.trap
        a.trap.set((at + 1) // 2, after=at % 2 == 0)
        try:
            a.pushes.push("killed")
        except Kill:
            a.restart()
        else:
            break
        for device in (c, b, a):
            device.settle()
            for _ in range(4):
                device.step(6)
        world.settle()
        happened = world.keys(COMMITS) != []
        outcomes.add(happened)
        if happened:
            assert commits(world) == [want]
            assert world.objects() == b.tree() == want
            assert a.journal.manual.staged() == {}
            assert world.keys(PLANS) == []
        else:
            assert world.objects() == b.tree() == {"f": "1", "g": "2", "h": "3"}
            assert a.tree() == want
            a.pushes.push("again")
            assert commits(world) == [want]
        assert a.tree() == want
        at += step
        traps.clear()
    assert outcomes == {True, False}


def staged_by(a: Device) -> dict[str, str]:
    """A push of one of each; what everything is after it."""
    a.write("f", "staged")
    a.write("d/new", "n")
    (a.root / "h").unlink()
    a.stage.stage(["."])
    return {"f": "staged", "g": "2", "d/new": "n"}


def test_a_device_that_syncs_finishes(quick_path: Path) -> None:
    """The one that pushed never comes back: its commit exists, so that another's next listing ends it, as a batch."""
    world, (b, a) = team(quick_path, {"f": "1", "g": "2", "h": "3"}, "a")
    want = staged_by(a)
    a.trap.set(1, after=True, only=lambda name, first: name == "put" and str(first).startswith(COMMITS))
    with pytest.raises(Kill):
        a.pushes.push("and gone")
    world.devices.remove(a)
    assert world.objects() == {"f": "1", "g": "2", "h": "3"}
    b.settle()
    for _ in range(6):
        b.step(3)
    assert world.objects() == b.tree() == want
    assert world.keys(PLANS) == []


def test_an_answer_that_never_came(quick_path: Path) -> None:
    """The commit was created and the reply lost, and so was every later answer: nobody knows, until the next look."""
    world, (b, a) = team(quick_path, {"f": "1", "g": "2", "h": "3"}, "a")
    want = staged_by(a)
    lost = False

    def faults(_device: str, verb: str, key: str) -> Fault | None:
        nonlocal lost
        if verb == "PUT" and key.startswith(COMMITS):
            lost = True
            return Fault(Transient("no reply", offline=True), when="after")
        return Fault(Transient("no reply", offline=True)) if lost else None

    world.faults = faults
    with pytest.raises(Transient) as told:
        a.pushes.push("perhaps")
    assert told.value.code == "outcome-unknown"
    assert a.journal.manual.staged() != {}
    world.faults = lambda _device, _verb, _key: None
    a.clock.advance(60)
    for _ in range(3):
        a.settle()
        a.step(10)
    world.settle()
    assert world.objects() == b.tree() == want
    assert a.journal.manual.staged() == {}
    assert apart(a) == {}


def test_what_leaves_staging_is_kept(quick_path: Path) -> None:
    """Staged bytes that no file has any more go to the trash; those that the file has are a copy and go."""
    _, (_, a) = team(quick_path, {"f": "1"}, "a")
    a.write("f", "first")
    a.stage.stage(["f"])
    a.write("f", "second")
    a.stage.stage(["f"])
    assert a.trashed() == ["first"]
    a.stage.unstage(["."])
    assert a.trashed() == ["first"]
    assert a.engine.folder.staged() == []
    a.write("f", "1")
    assert a.stage.stage(["f"]) == ([], [])
    with pytest.raises(Refused, match="nothing is staged"):
        a.pushes.push(None)


def test_staged_bytes_outlive_a_lost_journal(quick_path: Path) -> None:
    """They may be the only copy: the trash has them."""
    _, (_, a) = team(quick_path, {"f": "1"}, "a")
    a.write("f", "staged")
    a.stage.stage(["f"])
    a.write("f", "edited")
    a.kill()
    for file in a.journals.iterdir():
        file.unlink()
    a.restart()
    a.settle()
    assert a.trashed() == ["staged"]
    assert a.read("f") == "edited"


def test_ignored_and_unknown_paths(quick_path: Path) -> None:
    """Named, they are refused; below a folder that was named, ignored ones are left out."""
    _, (_, a) = team(quick_path, {"f": "1"}, "a")
    a.write(".dorkyignore", "*.log\n")
    a.write("d/a.log", "x")
    a.write("d/b", "y")
    a.settle()
    assert a.stage.stage(["d"]) == (["d/b"], [])
    for path, code in (("d/a.log", "ignored"), ("nothing", "not-here"), ("../x", "bad-path")):
        with pytest.raises(Refused) as refused:
            a.stage.stage([path])
        assert refused.value.code == code


def when(world: World, name: str, verb: str, key: str, do: Callable[[], object]) -> None:
    """The first such request waits for this."""
    done = False

    def faults(device: str, asked: str, at: str) -> Fault | None:
        nonlocal done
        if not done and (device, asked) == (name, verb) and at.startswith(key):
            done = True
            do()
        return None

    world.faults = faults


def test_killed_while_staging(quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before or after any effect: what was staged before is staged or in the trash, and staging holds nothing unexplained."""
    at, traps = 1, dict[str, Trap]()
    trap_commits(monkeypatch, traps)
    while True:
        _, (_, a) = team(quick_path / str(at), {"f": "1", "g": "2"}, "a")
        a.write("f", "first")
        a.write("g", "other")
        a.stage.stage(["."])
        a.write("f", "second")
        traps["a"] = a.trap
        a.trap.set((at + 1) // 2, after=at % 2 == 0)
        try:
            a.stage.stage(["f"])
            a.stage.unstage(["g"])
        except Kill:
            traps.clear()
            a.restart()
        else:
            break
        a.settle()
        staged = {row.path: row for row in a.journal.manual.staged().values()}
        names = {row.name for row in staged.values()}
        assert set(a.engine.folder.staged()) == names
        held = [a.engine.folder.staged_digest(str(name)) for name in names]
        assert sorted(str(digest) for digest in held) == sorted(str(row.digest) for row in staged.values())
        contents = {(a.root / ".dorky" / "tmp" / str(name)).read_text() for name in names} | set(a.trashed())
        assert "first" in contents
        assert "other" not in a.trashed(), "the folder holds it"
        assert a.tree() == {"f": "second", "g": "other"}
        at += 1
    assert at > 10


def test_a_store_that_copies_nothing_large(quick_path: Path) -> None:
    """Where the store refuses a server-side copy, the bytes go through whoever carries the push out."""
    world, (b, a) = team(quick_path, {"f": "1"}, "a")

    def faults(_device: str, verb: str, key: str) -> Fault | None:
        if verb == "COPY" and not key.startswith(".dorky/"):
            return Fault(Unsupported(key, "too large for a copy", code="too-large"))
        return None

    world.faults = faults
    a.write("f", "staged")
    a.stage.stage(["f"])
    assert a.pushes.push("sent").told
    world.settle()
    assert world.objects() == b.tree() == {"f": "staged"}
    assert a.engine.folder.staged() == []


def test_what_another_tool_wrote_is_kept_when_it_is_deleted(quick_path: Path) -> None:
    """Its object names no digest: the copy in the bucket's trash is made all the same."""
    world, (_, a) = team(quick_path, {"f": "1"}, "a")
    world.put("g", "by another tool")
    a.settle()
    begin_pull(a.engine)
    a.settle()
    (a.root / "g").unlink()
    a.stage.stage(["g"])
    a.pushes.push(None)
    assert world.objects() == {"f": "1"}
    assert world.bucket_trash() == ["by another tool"]


def test_refused_over_what_nobody_here_could_look_at(quick_path: Path) -> None:
    """The path is a problem here, so that a teammate's edit of it is known and not told of: it is not pushed over."""
    world, (b, a) = team(quick_path, {"f": "1"}, "a")
    a.write("f", "staged")
    a.stage.stage(["f"])
    (a.root / "f").unlink()
    (a.root / "f").symlink_to("elsewhere")
    a.settle()
    b.write("f", "theirs")
    b.settle()
    with pytest.raises(Refused) as refused:
        a.pushes.push(None)
    assert refused.value.code == "remote-moved"
    assert world.objects() == {"f": "theirs"}
    assert list(a.journal.manual.staged()) == ["f"]


def test_what_is_unstaged_meanwhile_is_not_said_to_be_staged(quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's request took the bytes away that this one found staged already."""
    _, (_, a) = team(quick_path, {"f": "1"}, "a")
    a.write("f", "mine")
    a.stage.stage(["f"])
    whole = Stage._copies

    def copies(stage: Stage, *args: Any) -> Any:
        made = whole(stage, *args)
        a.stage.unstage(["f"])
        return made

    with monkeypatch.context() as patched:
        patched.setattr(Stage, "_copies", copies)
        with pytest.raises(Transient):
            a.stage.stage(["f"])
    assert a.journal.manual.staged() == {}
    assert a.stage.stage(["f"]) == (["f"], [])
    a.pushes.push(None)
    assert a.engine.folder.staged() == []


def test_nothing_is_staged_of_a_folder_that_is_not_there(quick_path: Path) -> None:
    """Its disk is gone and an empty folder is left: that is no deletion of every file."""
    _, (_, a) = team(quick_path, {"f": "1", "g": "2"}, "a")
    away = a.root.with_name("away")
    a.root.rename(away)
    a.root.mkdir()
    with pytest.raises(DorkyError):
        a.stage.stage(["."])
    assert a.journal.manual.staged() == {}
    with pytest.raises(DorkyError):
        a.stage.stage(["f"])
    a.root.rmdir()
    away.rename(a.root)
    assert a.journal.manual.staged() == {}
    a.settle()
    assert apart(a) == {}


def test_no_pull_in_the_middle_of_a_push(quick_path: Path) -> None:
    """It would bring our own push over the edit made since, which then stood beside it as a conflict."""
    world, (_, a) = team(quick_path, {"f": "1", "g": "1"}, "a")
    a.write("f", "staged")
    a.write("g", "staged")
    a.stage.stage(["f", "g"])
    a.write("f", "edited after")
    refused: list[str] = []

    def pull() -> None:
        try:
            begin_pull(a.engine)
            a.settle()
        except Transient as exc:
            refused.append(exc.code)

    when(world, "a", "COPY", "g", pull)
    a.pushes.push(None)
    a.settle()
    assert a.tree() == {"f": "edited after", "g": "staged"}
    assert refused == ["pushing"]


def test_staged_bytes_outlive_a_journal_that_came_back(quick_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is of the moment in which they were copied, when they were nobody's yet: they are the only copy by now."""
    _, (_, a) = team(quick_path, {"f": "1"}, "a")
    a.write("f", "the only copy")
    whole, backup = Stage._copy, quick_path / "backup"

    def copy(stage: Stage, *args: Any) -> Any:
        shutil.copytree(a.journals, backup)
        return whole(stage, *args)

    with monkeypatch.context() as patched:
        patched.setattr(Stage, "_copy", copy)
        a.stage.stage(["f"])
    a.write("f", "edited after")
    for _ in range(3):
        a.settle()
    a.kill()
    shutil.rmtree(a.journals)
    backup.rename(a.journals)
    a.restart()
    a.settle()
    assert a.tree() == {"f": "edited after"}
    assert a.trashed() == ["the only copy"]


def test_a_push_waits_for_the_end_of_the_one_before_it(quick_path: Path) -> None:
    """Its commit came when ours had looked for pushes under way and read the news; neither the plain paths nor the log tell of
    its files yet. Ours would leave them out.
    """
    world, (b, a, c) = team(quick_path, {"f": "1", "h": "3"}, "a", "c")
    a.write("f", "a's")
    a.write("new", "a's")
    a.stage.stage(["."])
    c.write("h", "c's")
    c.stage.stage(["h"])

    def away(device: str, verb: str, key: str) -> Fault | None:
        copies = (device, verb) == ("a", "COPY") and not key.startswith(".dorky/objects/")
        return Fault(Transient("no reply", offline=True)) if copies else None

    def push() -> None:
        world.faults = away
        assert not a.pushes.push("a's, decided and not carried out").told

    when(world, "c", "LIST", COMMITS, push)
    with pytest.raises(Refused) as refused:
        c.pushes.push("c's")
    assert refused.value.code == "remote-moved"
    # c has brought a's push to its end for it.
    first = {"f": "a's", "h": "3", "new": "a's"}
    assert commits(world) == [first]
    assert world.objects() == first
    world.faults = lambda _device, _verb, _key: None
    begin_pull(c.engine)
    c.settle()
    c.pushes.push("c's, on top of it")
    world.settle()
    assert world.objects() == b.tree() == commits(world)[-1] == {**first, "h": "c's"}
    assert world.keys(PLANS) == []


def test_what_claims_to_be_the_same_is_kept_all_the_same(quick_path: Path) -> None:
    """Another tool's write under our metadata says that it holds what the push brings. Its bytes are not known to be anywhere else."""
    world, (_, a) = team(quick_path, {"f": "1"}, "a")
    client = world.store.client()
    there = client.head("f")
    assert there is not None
    claim = hashlib.sha256(b"mine").hexdigest()
    client.put("f", Bytes(b"a tool's"), replaces=there.version, meta={**there.meta, SHA256: claim})
    begin_pull(a.engine)
    a.settle()
    assert a.tree() == {"f": "a tool's"}
    a.write("f", "mine")
    a.stage.stage(["f"])
    a.pushes.push(None)
    assert world.objects() == {"f": "mine"}
    assert "a tool's" in [world._content(key) for key in world.keys(".dorky/trash/f/")]


def test_a_push_whose_commit_was_collected_is_told_of(quick_path: Path) -> None:
    """It was decided, the bucket was away for days, and others' retention took its commit: nobody can carry it out. What it
    staged is staged still, a warning says what to do, and the next push ends it.
    """
    world, (b, a) = team(quick_path, {"f": "1"}, "a")
    a.write("f", "a's")
    a.stage.stage(["f"])

    def away(device: str, verb: str, key: str) -> Fault | None:
        copies = (device, verb) == ("a", "COPY") and not key.startswith(".dorky/objects/")
        return Fault(Transient("no reply", offline=True)) if copies else None

    world.faults = away
    assert not a.pushes.push(None).told
    world.faults = lambda _device, _verb, _key: None
    client = world.store.client()
    (plan,) = world.keys(PLANS)
    (commit,) = world.keys(COMMITS)
    for key in (plan, commit):
        there = client.head(key)
        assert there is not None
        client.delete(key, replaces=there.version)
    b.write("g", "b's")
    b.settle()
    later = new_commit([], parent=(1, CommitId("0" * 64)), author="", device="b", time="", message="later", project="")
    client.put(commit_key(2), Bytes(encode(later)), replaces=None, meta={})
    a.restart()
    for _ in range(4):
        a.step(10)
    warn(a.engine)
    assert "commit 1" in a.engine.warnings["push-lost"][0]
    assert list(a.journal.manual.staged()) == ["f"]
    assert a.journal.manual.pushes() == []
    begin_pull(a.engine)
    a.settle()
    a.pushes.push("again")
    warn(a.engine)
    assert "push-lost" not in a.engine.warnings
    world.settle()
    assert world.objects() == b.tree() == {"f": "a's", "g": "b's"}


def test_a_pull_before_the_log_was_ever_read(quick_path: Path) -> None:
    """A pull whose listing is the first to meet the log, as that of a first push right after it: all of it is here when
    the pull is over, though the entry that tells so is passed over.
    """
    world, (_, a, c) = team(quick_path, {}, "a", "c")
    a.write("d/f", "1")
    a.write("d/g", "2")
    a.stage.stage(["."])
    a.pushes.push("first")
    begin_pull(c.engine)
    for _ in range(50):
        c.step(0.5)
        if not c.engine.pulling:
            break
    assert c.tree() == {"d/f": "1", "d/g": "2"}
    assert not c.engine.pulling
    late = world.device("late")
    late.settle()
    assert late.tree() == {"d/f": "1", "d/g": "2"}


def test_what_a_device_that_pushes_ignores_is_not_said_to_be_gone(quick_path: Path) -> None:
    """Its commit says nothing of it, so that a checkout leaves it."""
    world, (b,) = team(quick_path, {"f": "1", "data/x": "2"})
    a = world.device("a", mode=Mode.MANUAL, ignore=("data/",))
    a.settle()
    begin_pull(a.engine)
    a.settle()
    a.write("f", "a's")
    a.stage.stage(["f"])
    made = a.pushes.push("f alone")
    b.settle()
    b.write("f", "later")
    b.settle()
    b.checkout.checkout(made.id)
    world.settle()
    assert world.objects() == b.tree() == {"f": "a's", "data/x": "2"}


def cut_short(world: World, a: Device) -> None:
    """It pushes and never comes back: its commit exists, and nothing else of it."""
    a.trap.set(1, after=True, only=lambda name, first: name == "put" and str(first).startswith(COMMITS))
    with pytest.raises(Kill):
        a.pushes.push("and gone")
    world.devices.remove(a)


@pytest.mark.parametrize("at", ["put", "copy"])
def test_who_comes_back_after_others_ended_the_push_brings_nothing_back(quick_path: Path, at: str) -> None:
    """Cut short behind its commit, or in the first copy to a plain path. Others carried it out, and then deleted what it had made:
    the device that pushed, back after days, takes that for what it is.
    """
    world, (b, a) = team(quick_path, {"f": "1", "g": "2", "h": "3"}, "a")
    want = staged_by(a)
    begins = {"put": COMMITS, "copy": ".dorky/objects/"}[at]
    a.trap.set(1, after=at == "put", only=lambda name, first: name == at and str(first).startswith(begins))
    with pytest.raises(Kill):
        a.pushes.push("and back in a week")
    b.settle()
    for _ in range(6):
        b.step(3)
    assert world.objects() == b.tree() == want
    (b.root / "d" / "new").unlink()
    b.write("h", "again")
    b.settle()
    later = {"f": "staged", "g": "2", "h": "again"}
    a.restart()
    for _ in range(6):
        a.step(3)
    world.settle()
    assert world.objects() == b.tree() == later
    assert a.journal.manual.pushes() == []
    begin_pull(a.engine)
    a.settle()
    assert a.tree() == later
    assert "n" in a.trashed()


def test_two_that_end_a_push_and_a_deletion_between_them(quick_path: Path) -> None:
    """The slower of two meets a path that the faster one made and a person has deleted since."""
    world, (b, a) = team(quick_path, {"f": "1", "g": "2", "h": "3"}, "a")
    want = staged_by(a)
    c = world.device("c")
    c.settle()
    cut_short(world, a)

    def faster() -> None:
        c.settle()
        for _ in range(6):
            c.step(3)
        assert world.objects() == c.tree() == want
        (c.root / "d" / "new").unlink()
        c.settle()

    when(world, "b", "HEAD", "d/new", faster)
    b.settle()
    for _ in range(6):
        b.step(3)
    del want["d/new"]
    world.settle()
    assert world.objects() == b.tree() == c.tree() == want


def test_a_commit_after_a_push_that_was_cut_short(quick_path: Path) -> None:
    """Of a device that syncs: it has all that the push decided, which it brings to its end first."""
    world, (b, a) = team(quick_path, {"f": "1", "g": "2", "h": "3"}, "a")
    want = staged_by(a)
    cut_short(world, a)
    b.write("mine", "b's")
    b.commits.commit("m")
    assert commits(world) == [want, {**want, "mine": "b's"}]
    assert world.keys(PLANS) == []


def test_a_push_that_nobody_can_carry_out_holds_up_nobody(quick_path: Path) -> None:
    """What it needs is gone from the bucket. It is told of and waited for a while, once; and carried out should that come back."""
    world, (b, a, c) = team(quick_path, {"f": "1", "g": "2", "h": "3"}, "a", "c")
    staged_by(a)
    cut_short(world, a)
    digits = hashlib.sha256(b"n").hexdigest()
    world.remove(f".dorky/objects/{digits[:2]}/{digits}")
    for text in ("c's", "c's again"):
        c.write("g", text)
        c.stage.stage(["g"])
        began = c.clock.monotonic()
        c.pushes.push("after it")
        assert "cannot be brought to its end" in c.engine.warnings["push"][0]
    assert c.clock.monotonic() - began < 10
    b.write("mine", "b's")
    b.commits.commit("m")
    assert "d/new" not in world.objects()
    assert commits(world, 2)[-1] == world.objects()
    assert world.objects().items() >= {"g": "c's again", "mine": "b's"}.items()
    world.put(f".dorky/objects/{digits[:2]}/{digits}", "n")
    b.settle()
    for _ in range(40):
        b.step(3)
    assert world.objects()["d/new"] == "n"
    assert world.keys(PLANS) == []
