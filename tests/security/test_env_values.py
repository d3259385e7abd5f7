"""Values of `.env` files are in the file, in what is kept of it in `.dorky/`, and in the object: nowhere else."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from dorkyd.core.settings import Tripwire
from tests.devices import World

SECRET = "Tr0ub4dor-and-3"
HELD = "sk_" + "live_" + "4eC39HqLyjWDarjtT1zd"


def test_what_is_merged_kept_twice_or_held_is_in_no_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in the log, nor in the journal with its history and problems, nor in the bucket's own files."""
    caplog.set_level(logging.DEBUG)
    world = World(tmp_path)
    one, two = world.device("ann", tripwire=Tripwire.ASK), world.device("ben", tripwire=Tripwire.ASK)
    world.begin({".env": "A=1\n"})
    one.write(".env", f"A=1\nONE={SECRET}1\n")
    two.write(".env", f"A=1\nTWO={SECRET}2\n")
    two.settle()
    world.settle()
    one.write(".env", f"A={SECRET}3\n")
    two.write(".env", f"A={SECRET}4\n")
    one.write("held.txt", HELD)
    two.settle()
    world.settle()
    assert ("merge", "ben") in one.history(".env")
    assert [path for path in one.tree() if "(conflict" in path]
    assert one.problems() == {"held.txt": "looks-secret"}

    records = [
        caplog.text,
        *(found.read_bytes().decode(errors="replace") for d in world.devices for found in d.journals.iterdir()),
    ]
    records += [world._content(key) for key in world.keys(".dorky/log/")]
    assert not [text for text in records if SECRET in text or HELD in text]
    assert not [key for key in world.keys("") if HELD in key]
    assert HELD not in "".join(world.objects().values())
