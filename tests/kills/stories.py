"""The stories that are told with a kill at each point of them.

`prepare` brings both devices to where the story begins; then the victim is armed, and `act` is what makes it work. It may
be dead at any moment of `act`. `again` is what a person does after its restart who had asked for something and got no
answer: they ask again, if it is still to be asked.
"""

from __future__ import annotations

import http.client
import os
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.daemons import wait_until
from tests.e2e.places import read_folder
from tests.kills.world import World

Part = Callable[[World], None]


def _nothing(_world: World) -> None:
    """No person is needed."""


@dataclass(frozen=True, slots=True)
class Story:
    """See the module."""

    name: str
    prepare: Part
    act: Part
    again: Part = _nothing
    settings: dict[str, Any] = field(default_factory=dict)
    """The victim's."""
    tune: dict[str, Any] = field(default_factory=dict)
    """Of `tests.kills.launch`."""
    tune_mate: dict[str, Any] = field(default_factory=dict)
    """The same, of the teammate."""
    facts: Callable[[World], dict[str, tuple[str, int]]] = lambda _world: {}
    """What else must be as it is without a kill; raises what is wrong however the story went."""
    alone: bool = False
    """Without a teammate, in a bucket of its own each time."""
    schemes: tuple[str, ...] = ("s3", "file", "gs")
    check: Part = _nothing
    """What else is true at its end, however it went."""


STORIES: dict[str, Story] = {}


def _story(name: str, prepare: Part, act: Part, again: Part = _nothing, **more: Any) -> None:
    STORIES[name] = Story(name, prepare, act, again, **more)


# --- up --------------------------------------------------------------------------------------------------------------


def _start(world: World) -> None:
    """Files that both hold."""
    for name in ("f", "m", "gone", "c", "k/x", "stays"):
        world.write(world.a, name, name)
    assert world.rest()


def _changes(world: World, daemon: Any) -> None:
    """One of each, at once."""
    root = daemon.root / world.d
    world.write(daemon, "n", "new")
    world.write(daemon, "sub/deep/n", "new and deep")
    world.write(daemon, "e", b"")
    world.write(daemon, "f", "changed")
    (root / "gone").unlink()
    (root / "m").rename(root / "m2")
    (root / "c").chmod(0o755)
    (root / "k").rename(root / "k2")


def _up(world: World) -> None:
    _changes(world, world.a)


_story("upload, update, delete, move and chmod", _start, _up)


def _down(world: World) -> None:
    _changes(world, world.mate)
    shutil.copy(world.mate.root / world.d / "stays", world.mate.root / world.d / "stays too")
    world.mate.sync()
    world.nudge()


_story("download, update, delete, move and chmod", _start, _down)


def _deleted_there(world: World) -> None:
    _start(world)
    (world.mate.root / world.d / "gone").unlink()
    assert world.rest()


def _comes_back(world: World) -> None:
    world.write(world.mate, "gone", "gone")
    world.mate.sync()
    world.nudge()


_story("what lies in the trash comes back", _deleted_there, _comes_back, schemes=("s3",))

_STEPWISE = {"stepwise": True}
_story("stepwise up", _start, _up, tune=_STEPWISE, schemes=("file",))
_story("stepwise down", _start, _down, tune=_STEPWISE, schemes=("file",))

# --- large files -----------------------------------------------------------------------------------------------------

_SMALL = {"small-parts": True}


def _large_there(world: World) -> None:
    world.write(world.a, "old.bin", world.large("old", world.known["kib"]))
    assert world.rest()


def _large_up(world: World) -> None:
    world.write(world.a, "new.bin", world.large("new", world.known["kib"]))
    world.write(world.a, "old.bin", world.large("changed", world.known["kib"] + 1))


_story("large upload in a session", _large_there, _large_up, tune=_SMALL, schemes=("s3", "gs"))


def _left_session(world: World) -> None:
    """The victim was killed in the middle of a large upload, and a person changed the file since."""
    _large_there(world)
    world.write(world.a, "new.bin", world.large("new", 2 * world.known["kib"]))
    seen = lambda: any(point.op == "s3 UploadPart" for point, _ in world.a.points().values())
    world.a.arm(None)
    wait_until("a part is sent", seen)
    world.a.kill()
    world.a.arm(None)
    world.written[world.d].pop()  # a person gave it up
    world.write(world.a, "new.bin", world.large("newer", world.known["kib"]))


def _start_victim(world: World) -> None:
    world.a.launch()
    world.until("it is up", world.answers)


_story("a session that is of no use any more", _left_session, _start_victim, tune=_SMALL, schemes=("s3",))


def _large_down(world: World) -> None:
    world.write(world.mate, "new.bin", world.large("new", world.known["kib"]))
    world.write(world.mate, "old.bin", world.large("changed", world.known["kib"] + 1))
    world.mate.sync()
    world.nudge()


_story("large download in ranges", _large_there, _large_down, tune=_SMALL)


def _cut_fetch(world: World) -> None:
    """The victim was killed in the middle of a download, and the object was deleted since."""
    _large_there(world)
    world.a.arm(None)
    world.write(world.mate, "new.bin", world.large("new", 3 * world.known["kib"]))
    world.mate.sync()
    world.nudge()
    wait_until("it is being fetched", lambda: any(p.op == "folder.stage" for p, _ in world.a.points().values()))
    world.a.kill()
    world.a.arm(None)
    world.written[world.d].pop()  # a person gave it up
    world.write(world.mate, "new.bin", "small now")
    world.mate.sync()


_story("a download that is of no use any more", _cut_fetch, _start_victim, tune=_SMALL, schemes=("s3",))

# --- conflicts -------------------------------------------------------------------------------------------------------


def _pause(world: World) -> None:
    with world.a.client() as client:
        client.pause("p")


def _resume(world: World) -> None:
    with world.talking() as client:
        client.resume("p")


def _torn(world: World) -> None:
    for name in ("f", "g", "h", "c"):
        world.write(world.a, name, name)
    assert world.rest()
    _pause(world)
    for daemon, who in ((world.a, "ours"), (world.mate, "theirs")):
        world.write(daemon, "f", f"{who}")
        world.write(daemon, "n", f"{who}, new")
        world.write(daemon, "same", "the same")
    root = world.mate.root / world.d
    (root / "g").unlink()
    world.write(world.a, "g", "ours")
    (world.a.root / world.d / "h").unlink()
    world.write(world.mate, "h", "theirs")
    (root / "c").chmod(0o755)
    world.write(world.a, "c", "ours")
    world.mate.sync()


_story("conflicts", _torn, _resume)
_story("stepwise conflicts", _torn, _resume, tune=_STEPWISE, schemes=("file",))


_ENV = "A=1\nB=1\n"


def _variables(world: World) -> None:
    """Both change another key, one in a file that both hold."""
    (world.a.root / world.d / ".env").write_text(_ENV)
    assert world.rest()
    _pause(world)
    for daemon, line in ((world.a, "OURS=1"), (world.mate, "THEIRS=1")):
        (daemon.root / world.d / ".env").write_text(f"{_ENV}{line}\n")
    # Whole it is nowhere then: this is what both must come to.
    world.written[world.d].append(f"{_ENV}THEIRS=1\nOURS=1\n".encode())
    world.mate.sync()


_story("two edits of one .env", _variables, _resume)


def _clashing(world: World) -> None:
    for name in ("t", "u/x"):
        world.write(world.a, name, name)
    assert world.rest()
    _pause(world)
    ours, theirs = world.a.root / world.d, world.mate.root / world.d
    world.write(world.a, "q", "a file here")
    world.write(world.mate, "q/x", "a folder there")
    world.write(world.a, "w/y", "a folder here")
    world.write(world.mate, "w", "a file there")
    (ours / "t").unlink()
    world.write(world.a, "t/z", "a folder now")
    shutil.rmtree(theirs / "u")
    world.write(world.mate, "u", "a file now")
    (ours / "hollow/empty").mkdir(parents=True)
    world.write(world.mate, "hollow", "where an empty folder is")
    world.mate.sync()


_story("a file and a folder want one name", _clashing, _resume)


def _in_conflict(world: World) -> None:
    _pause(world)
    for daemon, who in ((world.a, "ours"), (world.mate, "theirs")):
        for name in ("mine", "theirs", "both"):
            world.write(daemon, name, f"{who} of {name}")
    world.mate.sync()
    _resume(world)
    assert world.rest()


def _resolve(world: World) -> None:
    for keep in ("mine", "theirs", "both"):
        with world.talking() as client:
            try:
                client.resolve("p", f"{world.d}/{keep}", keep)
            except Exception as exc:  # the client's own kinds
                if getattr(exc, "code", "") != "no-conflict":
                    raise  # else it was resolved before the kill


_story("resolve", _in_conflict, _resolve, _resolve)


def _in_trash(world: World) -> None:
    for name in ("f", "g"):
        world.write(world.a, name, name)
    assert world.rest()
    world.write(world.mate, "f", "changed")
    (world.mate.root / world.d / "g").unlink()
    assert world.rest()
    with world.a.client() as client:
        world.known["trash"] = {i.path: i.name for i in client.trash("p") if str(i.path).startswith(world.d + "/")}


def _restore(world: World) -> None:
    for path, name in world.known["trash"].items():
        with world.talking() as client:
            client.restore("p", path, name)


_story("restore", _in_trash, _restore, _restore)


def _folder_gone(world: World) -> None:
    for name in ("kept/f", "kept/g", "stays"):
        world.write(world.a, name, name)
    assert world.rest()
    shutil.rmtree(world.mate.root / world.d / "kept")
    assert world.rest()


def _restore_folder(world: World) -> None:
    with world.talking() as client:
        try:
            client.restore("p", f"{world.d}/kept/")
        except Exception as exc:  # the client's own kinds
            if getattr(exc, "code", "") != "nothing-to-restore":
                raise  # else it was restored before the kill


_story("a folder is restored", _folder_gone, _restore_folder, _restore_folder)


def _acted(world: World) -> None:
    """The last action here: a teammate changed one file, deleted another and made a third."""
    for name in ("f", "g"):
        world.write(world.a, name, name)
    assert world.rest()
    world.write(world.mate, "f", "changed")
    world.write(world.mate, "new", "new")
    (world.mate.root / world.d / "g").unlink()
    assert world.rest()


def _undo(world: World) -> None:
    with world.talking() as client:
        client.undo("p")


def _undo_the_rest(world: World) -> None:
    """Asked again only where some of it is not undone: the next undo would be of an action before."""
    here = world.a.root / world.d
    if not (here / "g").exists() or (here / "new").exists() or (here / "f").read_text() != "f":
        _undo(world)


_story("undo", _acted, _undo, _undo_the_rest)


def _empty_trash(world: World) -> None:
    for where in ("folder", "bucket"):
        with world.talking() as client:
            client.empty_trash("p", where=where, path=f"{world.d}/")
    world.written[world.d].clear()  # what a person wanted gone


_story("the trash is emptied", _in_trash, _empty_trash, _empty_trash, schemes=("file",))

# --- halts -----------------------------------------------------------------------------------------------------------

_GUARD = {"percent": 1, "files": 3, "max": 100_000, "window_s": 1}


def _many(world: World) -> None:
    for at in range(5):
        world.write(world.a, f"f{at}", str(at))
    world.write(world.a, "stays", "stays")
    assert world.rest()


def _wiped(world: World) -> None:
    for at in range(5):
        (world.a.root / world.d / f"f{at}").unlink()


def _halted(world: World) -> bool:
    return world.answers() and world.a.status().halt is not None


def _answer(verb: str) -> Part:
    def answer(world: World) -> None:
        with world.talking() as client:
            halt = client.status().projects[0].halt
            if halt is not None:
                getattr(client, verb)("p", halt.token)

    return answer


def _wiped_and(verb: str) -> Part:
    def act(world: World) -> None:
        _wiped(world)
        world.until("it halts", lambda: _halted(world))
        _answer(verb)(world)

    return act


def _halts_again(verb: str) -> Part:
    """A halt that was answered stays answered, one that was not is there again."""

    def again(world: World) -> None:
        gone = not any((world.a.root / world.d / f"f{at}").exists() for at in range(5))
        settled = lambda: _halted(world) or (world.a.state() == "in-sync" and not world.a.dead)
        if gone:
            world.until("it halts or is done", settled)
        _answer(verb)(world)

    return again


_story("approve", _many, _wiped_and("approve"), _halts_again("approve"), settings={"guard": _GUARD})
_story("reject", _many, _wiped_and("reject"), _halts_again("reject"), settings={"guard": _GUARD})


def _halted_at_start(verb: str) -> Part:
    def act(world: World) -> None:
        _start_victim(world)
        world.until("it halts", lambda: _halted(world))
        _answer(verb)(world)

    return act


def _all_halted_at_start(verb: str) -> Part:
    """The teammate meets the same, and answers alike."""

    def act(world: World) -> None:
        _halted_at_start(verb)(world)
        mates(world)

    def mates(world: World) -> None:
        with world.mate.client() as client:
            client.sync("p", wait=False)
            wait_until("it halts too", lambda: world.mate.status().halt is not None)
            getattr(client, verb)("p", world.mate.status().halt.token)

    return act


def _answered(verb: str) -> Part:
    def again(world: World) -> None:
        world.until("it halts or goes on", lambda: _halted(world) or world.a.state() == "in-sync")
        _answer(verb)(world)

    return again


def _marker_lost(world: World) -> None:
    _start(world)
    world.a.stop()
    (world.a.root / ".dorky/folder.json").unlink()
    world.write(world.a, "n", "meanwhile")


_story("a lost marker", _marker_lost, _halted_at_start("approve"), _answered("approve"))


def _copied(world: World) -> None:
    """The folder is replaced by a copy of itself."""
    _start(world)
    world.a.stop()
    aside = world.a.root.with_name("aside")
    world.a.root.rename(aside)
    shutil.copytree(aside, world.a.root)
    shutil.rmtree(aside)


_story("a copied folder", _copied, _halted_at_start("approve"), _answered("approve"))


def _moved(world: World) -> None:
    _start(world)
    world.a.stop()
    there = world.a.root.with_name(f"moved-{world.round}")
    world.a.root.rename(there)
    world.a.root = there
    world.a.settings["projects"][0]["path"] = str(there)
    world.a.configure(world.a.settings)


_story("a moved folder", _moved, _halted_at_start("approve"), _answered("approve"))


def _damaged(world: World) -> None:
    _start(world)
    world.a.stop()
    for file in (world.a.home / "state/journals").glob("*.db"):
        file.write_bytes(b"not a database at all" * 1000)
    world.write(world.a, "n", "meanwhile")
    (world.a.root / world.d / "gone").unlink()
    ours = world.a.root / ".dorky"
    (ours / "folder.json.new").write_text("half")
    (ours / "tmp/stray").write_text("of nobody knows whom")
    world.known["strays"] = True


_story("a damaged journal", _damaged, _start_victim)


def _rewound(world: World) -> None:
    """The bucket's log lost its end."""
    _start(world)
    world.a.stop()
    key = max(key for key in world.place.read(".dorky/log/"))
    world.known["cut"](key)


for _verb in ("approve", "reject"):
    _story(f"a rewound bucket, {_verb}", _rewound, _all_halted_at_start(_verb), _answered(_verb))


def _emptied(world: World) -> None:
    """The folder is emptied while nobody looks, and its marker with it."""
    _start(world)
    world.a.stop()
    shutil.rmtree(world.a.root)
    (world.a.root / world.d).mkdir(parents=True)
    world.written[world.d].clear()
    shutil.rmtree(world.a.root / world.d)
    world.known["strays"] = True


def _gone_is_gone(world: World) -> None:
    _halted_at_start("approve")(world)


_story("an emptied folder", _emptied, _gone_is_gone, _answered("approve"), schemes=("s3",))


def _old_journal(world: World) -> None:
    """A backup of the journal came back."""
    _start(world)
    world.a.stop()
    journals, aside = world.a.home / "state/journals", world.a.home / "aside"
    shutil.copytree(journals, aside)
    world.a.start()
    for at in range(3):
        world.write(world.a, f"later {at}", str(at))
        assert world.rest()
    world.a.stop()
    shutil.rmtree(journals)
    aside.rename(journals)


_story("an older journal", _old_journal, _start_victim, schemes=("s3",))

# --- the log ---------------------------------------------------------------------------------------------------------


def _behind(world: World) -> None:
    _start(world)
    world.write(world.mate, "theirs", "theirs")
    world.mate.sync()


def _one_more(world: World) -> None:
    world.write(world.a, "ours", "ours")


_story("a log entry whose number is taken", _behind, _one_more)

_SOON = {
    "dorkyd.daemon.PURGE_EVERY_S": 1,
    "dorkyd.compaction.LIVE_S": 0,
    "dorkyd.compaction.SLACK_S": 0,
    "dorkyd.bucket_upkeep.EVERY_S": 0,
    "dorkyd.bucket_trash.NEWEST_STAYS_S": 0,
    "dorkyd.bucket_trash.SLACK_S": 0,
}


def _entries(world: World) -> list[str]:
    return [key for key in world.place.read(".dorky/log/") if key.endswith(".json")]


def _log_is_long(world: World) -> None:
    _start(world)
    for at in range(3):
        world.write(world.mate, f"m{at}", str(at))
        world.mate.sync()
    world.write(world.a, "f", world.large("replaced", 2))
    assert world.rest()
    world.write(world.a, "f", world.large("replacing", 2))
    assert world.rest()
    world.written[world.d].clear()  # what the trash may let go of


def _time_passes(world: World) -> None:
    world.write(world.a, "ours", "ours")
    world.until(
        "the log is short", lambda: len(_entries(world)) == 1 and world.answers() and world.a.state() == "in-sync"
    )


_story("compaction", _log_is_long, _time_passes, _time_passes, tune=_SOON)

# --- upkeep, rules, configuration ------------------------------------------------------------------------------------

_CHECKED_SOON = {
    "dorkyd.daemon.PURGE_EVERY_S": 1,
    "dorkyd.upkeep.NEWEST_STAYS_NS": 0,
    "dorkyd.upkeep.CHECKS_S": [1.0, 1.5],
}


def _trash(world: World) -> dict[str, bytes]:
    return read_folder(world.a.root / ".dorky/trash")


def _held_open(world: World) -> None:
    file = world.write(world.a, "f", "before")
    assert world.rest()
    world.known["open"] = file.open("r+b")
    world.write(world.mate, "f", "theirs")
    assert world.rest()


def _late_write(world: World) -> None:
    opened = world.known.pop("open", None)
    if opened is not None:
        data = f"{world.d} written late\n".encode()
        with opened:
            opened.write(data)
        world.written[world.d].append(data)
    copies = lambda: list((world.a.root / world.d).glob("f (conflict *"))
    world.until("the late write is a file", lambda: bool(copies()))


_story("a late writer", _held_open, _late_write, _late_write, tune={"dorkyd.upkeep.CHECKS_S": [4.0, 6.0]})


def _much_trash(world: World) -> None:
    data = world.large("old", 2000)
    world.write(world.a, "f", data)
    assert world.rest()
    world.write(world.mate, "f", "theirs")
    assert world.rest()
    world.written[world.d].remove(data)  # what the trash may let go of


def _purged(world: World) -> None:
    world.until("the trash is small", lambda: all(len(data) < 1000_000 for data in _trash(world).values()))


_story(
    "the trash is purged",
    _much_trash,
    _purged,
    _purged,
    settings={"trash": {"days": 30, "size": "1MiB"}},
    tune=_CHECKED_SOON,
)


def _rules(world: World) -> None:
    _start(world)
    assert world.rest()


def _ignored(world: World) -> None:
    rules = world.a.root / ".dorkyignore"
    rules.write_text(f"# {world.d}\nnot-{world.d}-*\n")
    root = world.a.root / world.d
    world.write(world.a, "n", "n")
    os.symlink("n", root / "link")
    world.until("it is told", lambda: world.answers() and bool(world.a.status().problems))
    (root / "link").unlink()


def _no_link(world: World) -> None:
    (world.a.root / world.d / "link").unlink(missing_ok=True)
    if not (world.a.root / world.d / "n").exists():
        world.write(world.a, "n", "n")


_story("rules and problems", _rules, _ignored, _no_link)


def _configured(world: World) -> None:
    _start(world)


def _configure(world: World) -> None:
    second = world.a.home.with_name(f"second-{world.round}")
    second.mkdir(exist_ok=True)
    bucket = world.a.home.with_name(f"bucket-{world.round}")
    bucket.mkdir(exist_ok=True)
    with world.talking() as client:
        names = [project.name for project in client.projects()]
        if second.name not in names and not world.known.get(f"added-{world.round}"):
            client.add(str(second), f"file://{bucket}")
        world.known[f"added-{world.round}"] = True
        client.doctor("p")
        client.limit("p", up=10 * 1024 * 1024)
        client.limit("p", up=0)
        if second.name in [project.name for project in client.projects()]:
            client.remove(second.name)


def _reconfigure(world: World) -> None:
    _configure(world)
    world.until("one project is left", lambda: world.answers() and _projects(world) == ["p"])


def _projects(world: World) -> list[str]:
    with world.talking() as client:
        return [project.name for project in client.projects()]
    return []


_story("edits of the configuration", _configured, _configure, _reconfigure, schemes=("s3",))


def _another_mode(world: World) -> None:
    _start(world)
    world.a.stop()
    shutil.rmtree(world.a.root / ".dorky/tmp")
    project = world.a.settings["projects"][0]
    project["mode"] = "two-way" if project.get("mode") == "push" else "push"
    world.a.configure(world.a.settings)
    project["mode"] = "two-way"


_story("another mode", _another_mode, _start_victim, _nothing, schemes=("s3",))

# --- the first start -------------------------------------------------------------------------------------------------


def _unknown(world: World) -> None:
    """A folder and a bucket that hold the same, and more, and nobody has ever joined them."""
    (world.a.root / ".dorky").mkdir(0o755)
    world.write(world.a, "same", "same")
    world.known["put"](f"{world.d}/same", (world.a.root / world.d / "same").read_bytes())
    world.write(world.a, "here", "here")
    there = f"{world.d} there\n".encode()
    world.known["put"](f"{world.d}/there", there)
    world.write(world.a, "both", "here of both")
    other = f"{world.d} there of both\n".encode()
    world.known["put"](f"{world.d}/both", other)
    world.written[world.d] += [there, other]


_story("the first start", _unknown, _start_victim, alone=True)

# --- after a kill ----------------------------------------------------------------------------------------------------


def _was_killed(begin: Part, act: Part, point: str) -> Part:
    """The victim was killed at such a point, and what it is to find when it starts is what the story is about."""

    def prepare(world: World) -> None:
        begin(world)
        world.a.arm(point)
        act(world)
        if not world.a.dead:
            assert not world.rest()
        world.a.bury()
        world.a.arm(None)

    return prepare


for _name, _act, _at in (
    ("an exchange", _down, "after folder.swap_in"),
    ("a file taken out", _down, "after folder.take_out"),
    ("an upload", _up, "after bucket.put"),
    ("a copy", _up, "after bucket.copy"),
):
    _story(f"recovering {_name}", _was_killed(_start, _act, _at), _start_victim, schemes=("s3",))


def _stop_and_start(world: World) -> None:
    """An orderly end with work under way."""
    _up(world)
    process = world.a.process
    assert process is not None
    process.terminate()
    wait_until("it ended", lambda: world.a.dead)
    if process.returncode == 0:
        _start_victim(world)


_story("a stop", _start, _stop_and_start, schemes=("s3",))

# --- artifacts -------------------------------------------------------------------------------------------------------


def _ask(world: World, method: str, path: str, body: bytes = b"") -> None:
    """One request about an artifact of the round. What a dead victim does not answer is asked again by who asked."""
    connection = _ToSocket(world.a.socket)
    try:
        headers = {"Content-Type": "application/json" if method == "PATCH" else "application/octet-stream"}
        if method == "PUT":
            headers["Idempotency-Key"] = f'"{world.d}-{path}"'
        connection.request(method, f"/v1/projects/p/artifacts/{world.d}/{path}", body, headers)
        reply = connection.getresponse()
        assert reply.status < 300 or (method == "DELETE" and reply.status == 404), (reply.status, reply.read())
    except (OSError, http.client.HTTPException):
        if not world.has_died():
            raise
    finally:
        connection.close()


class _ToSocket(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


def _artifacts(world: World) -> None:
    for name in ("old", "gone", "kept"):
        world.write(world.a, name, name)
    assert world.rest()


def _store(world: World) -> None:
    new, changed = f"{world.d} new\n".encode(), f"{world.d} changed\n".encode()
    _ask(world, "PUT", "new", new)
    _ask(world, "PUT", "old", changed)
    _ask(world, "DELETE", "gone")
    _ask(world, "PATCH", "kept/metadata", b'{"metadata": {"note": "x"}}')


_story("artifacts", _artifacts, _store, _store)


def _store_large(world: World) -> None:
    _ask(world, "PUT", "large.bin", world.large("artifact", world.known["kib"]))


_story("a large artifact", _artifacts, _store_large, _store_large, tune=_SMALL, schemes=("s3", "gs"))

# Those of keys are told in a module of their own.
import tests.kills.stories_keys  # noqa: E402,F401
