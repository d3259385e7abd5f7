"""A bucket that somebody else may write to, and what must hold whatever they put there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from dorkyd.news import Bytes
from tests.devices import Device, World

KEPT, OUTSIDE = "kept.txt", "outside"


class Hostile:
    """Two devices in sync over a bucket in memory, beside a folder that is nobody's business."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.world = World(base)
        (base / OUTSIDE).mkdir()
        (base / OUTSIDE / "secret").write_text("not yours")
        self.a, self.b = self.world.device("a"), self.world.device("b")
        self.a.write(KEPT, "kept")
        self.world.settle()

    def put(self, key: str, data: bytes = b"theirs", meta: Mapping[str, str] | None = None) -> None:
        """Write an object over whatever is there, as anybody can who may write to the bucket."""
        bucket = self.world.store.client()
        found = bucket.head(key)
        replaces = found.version if found is not None else None
        bucket.put(key, Bytes(data), replaces=replaces, meta=dict(meta or {}))

    def remove(self, key: str) -> None:
        """Delete an object, ours too."""
        self.world.remove(key)

    def goes_on(self, *devices: Device) -> None:
        """Files still go from each device to the other, a restart changes nothing, and nothing was written anywhere else."""
        devices = devices or (self.a, self.b)
        for n, device in enumerate((*devices, *devices)):
            device.write(f"after-{n}.txt", f"{device.name} {n}")
            self.world.settle()
            if n == len(devices):
                device.restart()
        expected = {f"after-{n}.txt": f"{device.name} {n}" for n, device in enumerate((*devices, *devices))}
        for device in self.world.devices:
            held = device.tree()
            assert {path: held.get(path) for path in expected} == expected, device.name
            assert device.engine.held is None
            assert device.engine.trouble is None
        self.untouched()

    def untouched(self) -> None:
        """Nothing outside the folders and the journals."""
        names = {OUTSIDE} | {n for d in self.world.devices for n in (d.name, f"{d.name}-state")}
        assert {entry.name for entry in self.base.iterdir()} == names
        assert os.listdir(self.base / OUTSIDE) == ["secret"]
        assert (self.base / OUTSIDE / "secret").read_text() == "not yours"
