"""A journal that other things happen to: damaged bytes, a log cut short, a lock that lasts, a disk that is full."""

from __future__ import annotations

import random
import sqlite3
import sys
from collections import Counter
from pathlib import Path

import pytest

from dorkyd.core.report import HaltReason
from tests.devices import Device, World
from tests.e2e.places import FULL, SEED

FILES = {f"d{n % 4}/file number {n}": f"content {n}" for n in range(16)}
GUARD = {"percent": 25, "files": 10, "max": 5000, "window_s": 600}


def _world(base: Path) -> tuple[World, Device, Device]:
    world = World(base)
    a, b = world.device("a"), world.device("b")
    for path, text in FILES.items():
        a.write(path, text)
    world.settle()
    return world, a, b


def _journal(device: Device) -> Path:
    (found,) = device.journals.glob("*.db")
    return found


def _drift(a: Device, b: Device) -> set[str]:
    """Both sides change while `a` is down; what nobody gave up."""
    names = sorted(FILES)
    a.write(names[0], "edited here")
    b.write(names[1], "edited there")
    a.write(names[2], "edited both, here")
    b.write(names[2], "edited both, there")
    (a.root / names[3]).unlink()
    (b.root / names[4]).unlink()
    a.write("new here", "new here")
    b.write("new there", "new there")
    b.settle()
    new = {"edited here", "edited there", "edited both, here", "edited both, there", "new here", "new there"}
    return new | {FILES[name] for name in names[5:]}


def _go_on(world: World, a: Device) -> str | None:
    """As a daemon does: what a cycle did not foresee makes the engine begin again from the journal. The last of it."""
    for _ in range(200):
        try:
            world.settle()
        except (sqlite3.Error, ValueError, KeyError, TypeError, OverflowError, UnicodeError) as exc:
            a.engine.failed_unexpectedly(exc)
            told = f"{type(exc).__name__}: {exc}"
            a.clock.advance(10)
            continue
        return None
    return told


def _damage(file: Path, rng: random.Random, how: str) -> None:
    content = bytearray(file.read_bytes())
    match how:
        case "bytes":
            for _ in range(rng.choice((1, 8, 100))):
                content[rng.randrange(len(content))] = rng.randrange(256)
        case "sector":
            at = rng.randrange(0, len(content), 512)
            content[at : at + 512] = rng.choice((bytes(512), rng.randbytes(512)))[: len(content) - at]
        case "page":
            at = rng.randrange(0, len(content), 4096)
            content[at : at + 4096] = rng.choice((bytes(4096), rng.randbytes(4096)))
        case "cut":
            del content[rng.randrange(len(content)) :]
    file.write_bytes(content)


@pytest.mark.parametrize("how", ["bytes", "sector", "page", "cut"])
def test_damage_anywhere(tmp_path: Path, how: str) -> None:
    """Whatever was damaged: nothing is deleted or overwritten that was not before, both sides end equal, and no person is
    needed unless the journal still says, readably, that something is wrong with the folder.
    """
    seen: Counter[str] = Counter()
    # The last: a digest that is no text, which read as a journal that somebody else has open.
    for seed in (*range(SEED, SEED + (100 if FULL else 2)), *((20261162,) if how == "bytes" and not FULL else ())):
        rng = random.Random(f"{seed} {how}")
        world, a, b = _world(tmp_path / f"{how}{seed}")
        a.kill()
        kept = _drift(a, b)
        file = _journal(a)
        _damage(file, rng, how)
        before = file.read_bytes()
        a.restart()
        stuck = _go_on(world, a)
        assert stuck is None, f"seed {seed}: {stuck}"
        aside = [f for f in a.journals.iterdir() if ".damaged-" in f.name and f.read_bytes()[:4096] == before[:4096]]
        seen["set aside" if aside else "started over" if "started-over" in a.engine.warnings else "went on"] += 1
        if a.engine.held is not None:
            seen[f"halt {a.engine.held.halt.reason}"] += 1
            decide = a.decisions()
            copied = a.engine.held.halt.reason is HaltReason.FOLDER_COPIED
            (decide.approve if copied else decide.reject)(a.engine.held.halt.token)
            assert _go_on(world, a) is None
        assert a.tree() == b.tree() == world.objects(), seed
        assert kept <= set(a.tree().values()), f"seed {seed}: lost {kept - set(a.tree().values())}"
        a.kill(), b.kill()
    sys.stdout.write(f"{how}: {dict(seen)}\n")


def test_a_log_of_the_journal_that_was_cut_short(tmp_path: Path) -> None:
    """The last commits are gone, as after a power cut on a disk that lied: nothing is lost, no person is needed."""
    for seed in range(SEED, SEED + (60 if FULL else 3)):
        rng = random.Random(seed)
        world, a, b = _world(tmp_path / str(seed))
        file = _journal(a)
        wal = file.with_name(file.name + "-wal")
        kept = _drift(a, b)
        a.settle()
        # As it lies there when the power goes: closing would carry it into the database.
        whole = {part: part.read_bytes() for part in (file, wal)}
        a.kill()
        file.write_bytes(whole[file])
        wal.write_bytes(whole[wal][: rng.randrange(len(whole[wal]))])
        file.with_name(file.name + "-shm").unlink(missing_ok=True)
        a.restart()
        assert _go_on(world, a) is None
        assert a.engine.held is None, a.engine.held
        assert a.tree() == b.tree() == world.objects(), seed
        assert kept <= set(a.tree().values())
        a.kill(), b.kill()


def test_a_sound_journal_is_kept_when_it_is_doubted(tmp_path: Path) -> None:
    """A cycle that ended in what nobody foresaw has all of the journal read; one that is sound is used as before, and what a
    person deleted meanwhile stays deleted.
    """
    world, a, _ = _world(tmp_path)
    gone = min(FILES)
    (a.root / gone).unlink()
    a.engine.failed_unexpectedly(ValueError("a defect of ours"))
    a.clock.advance(10)
    world.settle()
    assert "started-over" not in a.engine.warnings
    assert [file.name for file in a.journals.iterdir() if ".damaged-" in file.name] == []
    assert gone not in a.tree()
    assert gone not in world.objects()
