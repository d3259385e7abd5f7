"""What must hold when all is well again, whatever a story was. See the package."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dorkyd.core import metadata
from dorkyd.core.batches import WAIT_S
from dorkyd.core.commits import commit_seq, decode, id_of, object_content
from dorkyd.core.ignore import IgnoreRules
from dorkyd.core.metadata import hex_of
from dorkyd.core.model import Path
from dorkyd.core.paths import fold, is_under
from dorkyd.core.pushes import plan_number
from dorkyd.core.secrets import installed_mode
from dorkyd.core.settings import Mode
from dorkyd.standing import Standing
from tests.devices import Device
from tests.simulation import committing, sealed
from tests.simulation.people import SHARED, is_shared
from tests.simulation.play import Play

Shape = dict[str, tuple[str, int]]
ROUNDS = 14
_COPY = re.compile(r" \(conflict [^()]*\)")


def settle(play: Play) -> None:
    """All is well again; then everything that must hold."""
    lone = _lone(play)
    mine = _shape(play, play.device(lone)) if lone is not None else None
    for device in play.devices:
        device.trap.unset()
        play.orders[device.name].clear()
    play.land_all()
    for device in play.devices:
        device.pool.run_all()
        # Before anybody looks: what failed just now is tried again by that look, and does not wait behind it.
        device.engine.collect()
        play.release(device.name)
    play.say("all settle")
    stuck = {name: orders.stuck for name, orders in play.orders.items() if orders.stuck}
    if stuck and play.setting.manual:
        for name in stuck:
            play.mend(name)
    elif stuck:
        _isolated(play, {path for paths in stuck.values() for path in paths})
        for name in stuck:
            play.mend(name)
    settle_all(play)
    if play.account.late:
        # Late writers are looked for after a minute.
        for device in play.devices:
            device.clock.advance(61.0)
        settle_all(play)
    if any(Standing(device.engine).half_here for device in play.devices):
        # Of a batch whose device died: nobody waits for it longer.
        for device in play.devices:
            device.clock.advance(WAIT_S + 1)
        settle_all(play)
    _check(play, mine)
    play.account.edits.clear()
    play.settled += 1
    play.journal_lost = False


def settle_all(play: Play) -> None:
    """Every device in turn, until a round in which nothing is written, moved or changed: a quiet system."""
    for _ in range(ROUNDS):
        before = play.tally.moved
        for device in play.devices:
            if device.project.mode is Mode.MANUAL:
                play.share(device)
            play.rest(device)
            if play.release(device.name):
                play.rest(device)
            assert device.engine.held is None, f"{device.name} is halted: {device.engine.held}"
        if play.tally.moved == before or _left_to_persons(play):
            return
    raise AssertionError("the devices do not come to rest: each round writes or moves something")


def _isolated(play: Play, stuck: set[str]) -> None:
    """Paths that have nothing to do with those that cannot sync come to rest all the same."""
    for _ in range(6):
        for device in play.devices:
            device.look()
            play._busy(device, 60)
            play.release(device.name)  # one that was killed could not be asked before
    shapes = {device.name: _shape(play, device) for device in play.devices}
    objects = _objects(play)
    bad = {Path(path) for path in stuck}
    contents = {
        text
        for shape in shapes.values()
        for path, (text, _) in shape.items()
        if any(_related(Path(path), b) for b in bad)
    }
    rules = play.devices[0].engine.rules()
    for path in sorted({*objects, *(p for shape in shapes.values() for p in shape)}):
        held = {objects.get(path), *(shape[path][0] if path in shape else None for shape in shapes.values())}
        # A path whose content is another's may be half of a move.
        if any(_related(Path(path), b) for b in bad) or held & contents or play.ignoring or play.strangers:
            continue
        if not rules.skip(Path(path), False):
            assert len(held) == 1, f"{path} did not sync while {sorted(stuck)} could not: {held}"


def _related(path: Path, other: Path) -> bool:
    original = Path(_COPY.sub("", path))
    # Of two names that clash only one is sent, and a file is told of that waits for the other.
    return fold(other) in {fold(path), fold(original)} or is_under(path, other) or is_under(other, path)


def _check(play: Play, mine: Shape | None) -> None:
    if _left_to_persons(play):
        _nothing_lost(play)
        return
    for device in play.devices:
        # A folder that was deleted elsewhere is kept, and told of, for the ignored files in it.
        problems = {
            path: code for path, code in device.problems().items() if code != "kept-folder" or not play.ignoring
        }
        assert not problems, (device.name, problems)
    rules = _rules(play.devices[0])
    whole = [_shape(play, device) for device in play.devices]
    if play.setting.manual:
        # Mode manual sets no bits unasked, so that a private file may be open to others there, and there alone.
        whole = [{p: (text, installed_mode(Path(p), mode) or 0) for p, (text, mode) in each.items()} for each in whole]
    shapes = [{p: held for p, held in shape.items() if not rules.skip(Path(p), False)} for shape in whole]
    first = shapes[0]
    infos = {key: found.info for key, found in play.store._store.objects.items() if not key.startswith(".dorky/")}
    untold = {path for path, info in infos.items() if "dorky-mode" not in info.meta}
    for device, shape in zip(play.devices[1:], shapes[1:], strict=True):
        differ = {path for path, _ in shape.items() ^ first.items()}
        # Where the object says nothing of permission bits, each device has its own.
        alike = {p for p in differ & untold if p in shape and p in first and shape[p][0] == first[p][0]}
        assert differ == alike, f"{device.name} differs from {play.devices[0].name}: {sorted(differ)}"
    objects = {path: text for path, text in _objects(play).items() if not rules.skip(Path(path), False)}
    assert objects == {path: text for path, (text, _) in first.items()}, (
        f"the bucket differs from the folders: {objects}"
    )
    for path, (_, mode) in first.items():
        info = infos[path]
        remote = metadata.remote_of(info.version, info.size, info.modified, info.meta)
        told = remote.mode if remote.mode is None else installed_mode(Path(path), remote.mode) & _bits(play)
        assert path in untold or told == mode, f"{path}: the object says mode {remote.mode}, the folders {mode}"
    if mine is not None:
        kept = {
            p: (text, installed_mode(Path(p), mode))
            for p, (text, mode) in mine.items()
            if not rules.skip(Path(p), False)
        }
        assert first == kept, f"the lone editor's folder did not win: {first}, not {kept}"
    _nothing_lost(play)
    _no_line_lost(play)
    committing.check(play)
    _copies(play, objects)
    _journals(play, first)
    if play.setting.manual:
        _commits(play)
    known = {name for device in play.devices for name in (device.name, f"{device.name}-state")}
    if play.setting.sealed:
        known.add("keys")
        plain = [key for key, obj in play.store._store.objects.items() if _must_be_sealed(key, obj.data, obj.info.meta)]
        assert not plain, f"in the bucket in plain: {plain}"
    assert {p.name for p in play.base.iterdir()} == known, "something was written outside the folders"


def _left_to_persons(play: Play) -> bool:
    """By design: what another tool put below a file or above a folder, and ignored files where others belong, are left to
    a person.
    """
    if not play.strangers and not play.ignoring:
        return False
    return any({"clash", "not-a-folder"} & set(device.problems().values()) for device in play.devices)


def _no_line_lost(play: Play) -> None:
    """Whatever was merged, every variable that somebody added is in the file or in a conflict copy of it."""
    for device in play.devices:
        shared = [text for path, text in device.tree().items() if is_shared(path)]
        lost = play.account.lines - {line for text in shared for line in text.splitlines()}
        assert not lost, f"{device.name} lost of {SHARED}: {sorted(lost)}"


def _nothing_lost(play: Play) -> None:
    """What somebody wrote and nobody gave up is there: as a file, an object or a conflict copy."""
    account = play.account
    live = {text for device in play.devices for text, _ in _shape(play, device).values()} | set(_objects(play).values())
    lost = account.written - account.given_up - live
    kept = {text for device in play.devices for text in device.trashed()} if lost & account.late else set()
    lost -= kept & account.late
    assert not lost, f"lost: {sorted(lost)}"


def _copies(play: Play, objects: dict[str, str]) -> None:
    """Where persons did nothing but write different contents to one path, each content is there exactly once: k-1 copies."""
    edits = play.account.edits
    paths = {edit.path for edit in edits}
    if (
        len(paths) != 1
        or play.settled
        or not play.setting.joined
        or play.journal_lost
        or play.strangers
        or play.ignoring
        or play.account.late
    ):
        return
    if any(edit.verb not in {"write", "save"} for edit in edits):
        return
    (path,) = paths
    texts = {edit.arg for edit in edits} - play.account.given_up
    if len(texts) < len({edit.who for edit in edits}):
        return
    found = sorted(text for key, text in objects.items() if _COPY.sub("", key) == path)
    assert found == sorted(texts), f"{path} and its copies hold {found}, not each of {sorted(texts)} once"


def _journals(play: Play, shape: Shape) -> None:
    for device in play.devices:
        if play.setting.sessions:
            _end_uploads(device)
        journal = device.journal
        base = set(journal.base_paths())
        assert base == set(shape), f"{device.name}: base differs from the folder: {sorted(base ^ set(shape))}"
        assert not journal.ledger.open_intents(), f"{device.name}: intents stay open"
        assert not journal.ledger.open_installs(), f"{device.name}: installs stay open"
        assert not journal.ledger.announcements(1), f"{device.name}: changes stay untold"
        assert not journal.sessions.all(), f"{device.name}: uploads stay begun"
        explained = {row.staged for row in journal.ledger.all_fetched()}
        staged = {p.name for p in (device.root / ".dorky" / "tmp").iterdir() if not p.name.startswith(".")}
        assert staged <= explained, f"{device.name}: staging holds {sorted(staged - explained)}"
    left = play.store.open_session_ids & play.sessions
    assert not left, f"uploads that nobody ends: {left}"


def _commits(play: Play) -> None:
    """Each follows the one before and has all that it needs, and no push is half done."""
    objects = play.store._store.objects
    last = play.last_commit()
    plans = [number for key in objects if (number := plan_number(key)) is not None and number <= last]
    assert not plans, "a push was not brought to its end"
    for device in play.devices:
        assert not play.decided_pushes(device), f"{device.name}: a push stays open"
        assert not device.journal.manual.staged(), f"{device.name}: something stays staged"
    kept = {found[0] for key in objects if (found := object_content(key)) is not None}
    parent, standing = None, sorted(key for key in objects if commit_seq(key) is not None)
    for key in standing:
        seq = commit_seq(key)
        assert seq is not None
        commit = decode(objects[key].data, seq)
        # The one before the first that stands was collected.
        assert commit.header.parent == parent or (key == standing[0] and seq > 1), f"commit {seq} does not follow"
        assert {hex_of(file.digest) for file in commit.files} <= kept, f"commit {seq} lacks contents"
        parent = id_of(objects[key].data)


def _end_uploads(device: Device) -> None:
    """Useless ones are given up one a poll."""
    for _ in range(60):
        if not device.journal.sessions.all():
            return
        device.step(20.0)


def _lone(play: Play) -> str | None:
    """Who alone edited anything since all settled last, where that must decide."""
    who = {edit.who for edit in play.account.edits}
    if len(who) != 1 or play.journal_lost or play.strangers or play.ignoring or play.account.late:
        return None
    return who.pop() if play.setting.joined else None


def _rules(device: Device) -> IgnoreRules:
    return device.engine.rules()


def _bits(play: Play) -> int:
    """Permission bits that all agree on: a downloaded secret is its owner's alone."""
    return sealed.OWNER if play.setting.sealed else 0o777


def _must_be_sealed(key: str, data: bytes, meta: Mapping[str, str]) -> bool:
    """What a device wrote of somebody's content, and is plain."""
    if key.startswith(".dorky/objects/"):
        return not data.startswith(b"age-encryption.org/v1")
    ours = key.startswith(".dorky/") and not key.startswith(".dorky/trash/")
    return not ours and "dorky-op" in meta and not data.startswith(b"age-encryption.org/v1")


def _shape(play: Play, device: Device) -> Shape:
    bits = _bits(play)
    return {path: (text, (device.root / path).stat().st_mode & bits) for path, text in device.tree().items()}


def _objects(play: Play) -> dict[str, str]:
    return {
        key: (sealed.opened(found.data) if play.setting.sealed else found.data).decode(errors="replace")
        for key, found in play.store._store.objects.items()
        if not key.startswith(".dorky/")
    }
