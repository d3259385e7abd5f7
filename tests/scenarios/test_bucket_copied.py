"""A bucket in a directory that another tool copied: to another disk, or back from a backup."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dorkyd.buckets.directory import DirectoryBucket
from dorkyd.core import members
from dorkyd.keys import new_identity, own_key
from tests.devices import Device

SECRET = "PASSWORD=correct horse battery staple, and more of it\n"


class Place:
    def __init__(self, base: Path) -> None:
        self.base, self.root = base, base / "bucket"
        self.root.mkdir()

    def device(self, name: str) -> Device:
        device = Device(self.base, name, lambda: DirectoryBucket(self.root), keys=True, encrypt=(".env*",))
        assert device.key_home is not None
        device.key_home.keep(new_identity().encode())
        return device


@pytest.mark.parametrize("copied", [shutil.copyfile, shutil.copy2])
def test_what_is_encrypted_stays_so(tmp_path: Path, copied: object) -> None:
    """Whoever joins the copy reads it, and who had it keeps it: nobody's file becomes its own ciphertext."""
    place = Place(tmp_path)
    ann = place.device("ann")
    ann.settle()
    ann.keyring.begin("ann", own_key(new_identity().encode()).share, ())
    ann.settle()
    bob = place.device("bob")
    bob.settle()
    assert bob.key_home is not None
    own = bob.key_home.own()
    assert own is not None
    ann.keyring.add(members.member_of("bob", own.share))
    bob.keyring.trust(ann.keyring.keys.fingerprint)
    ann.write(".env", SECRET)
    ann.write("run", "#!/bin/sh\n")
    (ann.root / "run").chmod(0o755)
    for device in (ann, bob, ann, bob):
        device.settle()
    assert bob.read(".env") == SECRET
    assert SECRET.encode() not in (place.root / ".env").read_bytes()
    shutil.copytree(place.root, tmp_path / "copy", copy_function=copied)
    place.root = tmp_path / "copy"
    carl = place.device("carl")
    carl.settle()
    for device in (ann, bob):
        device.restart()
    ann.write("late", "to the copy\n")
    for device in (ann, bob, ann):
        device.settle()
        assert device.engine.held is None
        assert device.problems() == {}
    files = {".env": SECRET, "run": "#!/bin/sh\n", "late": ann.read("late")}
    assert ann.tree() == bob.tree() == files
    assert ann.modes()["run"] == bob.modes()["run"] == carl.modes()["run"] == 0o755
    assert set(carl.problems()) == {".env"}  # nobody gave Carl a key
    assert SECRET.encode() not in (place.root / ".env").read_bytes()
