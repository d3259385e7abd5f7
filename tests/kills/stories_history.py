"""Stories about the history: commits, checkouts, collections, and mode manual with its stages, pushes and pulls.

Besides what every story is held to, after each of these every commit in the bucket must be whole: its bytes have its id, it
names the one before it, and each content that it needs is kept under its digest.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from typing import Any

from dorkyd.api import freeze_calls
from dorkyd.api.failures import ApiError
from dorkyd.client import DorkyClient
from tests.kills.stories import Part, Story, _start_victim, _was_killed
from tests.kills.world import REST_S, World

HISTORY: dict[str, Story] = {}

_PASSING = {
    "pushing",
    "pulling",
    "busy",
    "not-open",
    "offline",
    "unsettled",
    "outcome-unknown",
    "contended",
    "not-told-yet",
}
"""Codes of what a person who asks again a moment later does not meet any more."""


def _story(name: str, prepare: Part, act: Part, again: Part | None = None, **more: Any) -> None:
    HISTORY[name] = Story(name, prepare, act, act if again is None else again, facts=_history, **more)


def _ask(world: World, ask: Callable[[DorkyClient], Any], *over: str) -> Any:
    """Ask the victim until it answers or is dead (None). `over`: codes that say that it was done before."""
    deadline = time.monotonic() + REST_S
    while True:
        with world.talking() as client:
            try:
                return ask(client)
            except ApiError as exc:
                if exc.code in over:
                    return None
                if exc.code not in _PASSING or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
                continue
        return None


def _history(world: World) -> dict[str, tuple[str, int]]:
    """What the bucket's commits say of this round, each of them whole. Nothing is left of a push or a collection."""
    held = world.place.read(".dorky/")
    kept = {f"sha256:{hashlib.sha256(data).hexdigest()}" for key, data in held.items() if key.startswith(_OBJECTS)}
    for key, data in held.items():
        named = key.removeprefix(_OBJECTS)
        assert named == key or named[3:67] == hashlib.sha256(data).hexdigest(), f"{key} is not its content"
    facts: dict[str, tuple[str, int]] = {}
    before, needed = None, set[str]()
    for key in sorted(key for key in held if key.startswith(".dorky/commits/")):
        commit = json.loads(held[key])
        assert before in (None, commit["parent"]), f"{key} does not follow the one before it"
        before = hashlib.sha256(held[key]).hexdigest()
        digests = {file["digest"] for file in commit["files"]}
        assert digests <= kept, f"{key} lacks {sorted(digests - kept)}"
        needed |= digests
        if world.d in commit["message"]:
            mine = [file["path"] for file in commit["files"] if file["path"].startswith(f"{world.d}/")]
            facts[f"commit {len(facts)}"] = (commit["message"].replace(world.d, "R"), len(mine))
    if world.known.get("collects"):
        facts["contents of no commit"] = ("", len(kept - needed))
        facts["documents of a collection"] = ("", sum(key.startswith(".dorky/gc/") for key in held))
        facts["commits"] = ("", sum(key.startswith(".dorky/commits/") for key in held))
    left = [key for key in held if key.startswith(".dorky/batches/")]
    assert not left, f"a push is not over: {left}"
    return facts


_OBJECTS = ".dorky/objects/"

# --- commits -------------------------------------------------------------------------------------------------------------


def _some(world: World) -> None:
    for name in ("f", "gone", "c", "k/x", "stays"):
        world.write(world.a, name, name)
    assert world.rest()


def _committed(world: World) -> None:
    """A commit, and what became of its files since."""
    _some(world)
    with world.a.client() as client:
        world.known["commit"] = client.commit("p", f"{world.d} before").id
    root = world.a.root / world.d
    world.write(world.a, "f", "changed")
    world.write(world.a, "n/new", "new")
    (root / "gone").unlink()
    (root / "c").chmod(0o755)
    shutil.rmtree(root / "k")
    world.write(world.a, "k", "a file where a folder was")
    assert world.rest()


def _commit(world: World) -> None:
    _ask(world, lambda client: client.commit("p", f"{world.d} after"), "nothing-to-commit")


def _checkout(world: World) -> None:
    _ask(world, lambda client: client.checkout("p", world.known["commit"]))


def _two_commits(world: World) -> None:
    """The first of them needs contents that nobody else does."""
    _committed(world)
    with world.a.client() as client:
        client.commit("p", f"{world.d} after")
    world.known["collects"] = True


def _collect(world: World) -> None:
    """Condemned, removed, and the lists of what was condemned removed: a day lies between them in life."""
    for _ in range(3):
        _ask(world, lambda client: client.collect("p", keep_last=1))


_DAYLESS = {"dorkyd.collection.CONDEMNED_S": 0, "dorkyd.core.garbage.CONDEMNED_S": 0}

_story("commit", _committed, _commit)
_story("checkout", _committed, _checkout)
_story("collect garbage", _two_commits, _collect, tune=_DAYLESS)


def _freeze(world: World) -> None:
    """A job writes some files, and all of them leave together; where the daemon died, whichever way."""
    begin = freeze_calls.freeze("p", "job", "a job", lease_s=600, limit_s=3600)
    _ask(world, lambda client: client.send(begin))
    for name in ("f", "part-1", "part-2"):
        world.write(world.a, name, f"of the job: {name}")
    (world.a.root / world.d / "gone").unlink(missing_ok=True)
    _ask(world, lambda client: client.send(freeze_calls.release("p", "job")), "no-such-freeze")


# Nobody waits a quarter of an hour for a batch whose writer was killed.
_story("a freeze", _some, _freeze, tune_mate={"dorkyd.batches.WAIT_S": 3.0})

# --- mode manual -----------------------------------------------------------------------------------------------------------

_MANUAL = {"mode": "manual"}


def _push(world: World) -> None:
    """Everything of the round, in one commit."""
    _ask(world, lambda client: client.stage("p", [world.d]))
    _ask(world, lambda client: client.reword("p", f"{world.d} pushed"), "nothing-staged")
    _ask(world, lambda client: client.push("p"), "nothing-staged")


def _pushed(world: World) -> None:
    """What was pushed, and what became of it since."""
    for name in ("f", "gone", "c", "k/x", "stays"):
        world.write(world.a, name, name)
    with world.a.client() as client:
        client.stage("p", [world.d])
        client.push("p", f"{world.d} before")
    assert world.rest()
    root = world.a.root / world.d
    world.write(world.a, "f", "changed")
    world.write(world.a, "n/new", "new")
    (root / "gone").unlink()
    (root / "c").chmod(0o755)
    shutil.rmtree(root / "k")
    world.write(world.a, "k", "a file where a folder was")


_story("push", _pushed, _push, settings=_MANUAL)


def _restaged(world: World) -> None:
    """Staged twice, and another staged no more: what was staged alone goes to the trash."""
    world.write(world.a, "f", "staged once")
    once = world.written[world.d][-1]
    if _ask(world, lambda client: client.stage("p", [f"{world.d}/f"])) is None:
        world.written[world.d].remove(once)  # overwritten by its own author before it was kept
    world.write(world.a, "f", "staged twice")
    _ask(world, lambda client: client.stage("p", [f"{world.d}/f"]))
    world.write(world.a, "g", "staged, then written on")
    on = world.written[world.d][-1]
    if _ask(world, lambda client: client.stage("p", [f"{world.d}/g"])) is None:
        world.written[world.d].remove(on)
    world.write(world.a, "g", "written on")
    _ask(world, lambda client: client.unstage("p", [f"{world.d}/g"]), "not-staged")
    _push(world)


def _begun(world: World) -> None:
    world.known["strays"] = True  # killed between its row and the trash, what was staged has no name but its own
    world.write(world.a, "f", "f")
    with world.a.client() as client:
        client.stage("p", [world.d])
        client.push("p", f"{world.d} before")
    assert world.rest()


_story("staged anew, and staged no more", _begun, _restaged, _push, settings=_MANUAL, schemes=("file",))


def _news(world: World) -> None:
    """The teammate changes what was pushed here, and this folder has an edit of its own."""
    _begun(world)
    world.write(world.a, "g", "g")
    with world.a.client() as client:
        client.stage("p", [world.d])
        client.push("p", f"{world.d} again")
    assert world.rest()
    world.write(world.mate, "f", "theirs")
    (world.mate.root / world.d / "g").unlink()
    world.write(world.mate, "h/new", "theirs")
    world.mate.sync()


def _pull(world: World) -> None:
    _ask(world, lambda client: client.pull("p", timeout_s=REST_S))


_story("pull", _news, _pull, settings=_MANUAL, schemes=("file", "s3"))

for _what, _point in (
    ("a push whose commit exists", "after bucket.put in commit_store.CommitStore.create"),
    ("a push whose files are being copied", "after bucket.copy in manual_copies.Copies._write"),
    ("a push that deletes", "before bucket.delete in manual_copies.Copies._delete"),
):
    # What is left of it is carried out when it starts; the rest of it was perhaps not begun.
    _story(
        f"recovering {_what}",
        _was_killed(_pushed, _push, _point),
        lambda world: (_start_victim(world), _push(world))[0],
        _push,
        settings=_MANUAL,
        schemes=("file",),
    )
