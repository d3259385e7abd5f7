"""What persons do in folders while a random day goes on, and the account of what they wrote."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Mapping

from tests.devices import Device
from tests.stamps import Stamps

NAMES = ("a", "b", "c", "d/a", "d/b", "d/e/a", "e/a", "a/x", "b/y/z", ".env", "d")
FOLDERS = ("d", "e", "d/e", "a", "b", "g", "h/i")
MODES = (0o644, 0o600, 0o755)


class People:
    """They throw the story's dice. Every content is new, or was one before."""

    def __init__(self, rng: random.Random, say: Callable[[str], None], stamps: Mapping[str, Stamps]) -> None:
        self.rng, self.say, self._stamps = rng, say, stamps
        self.serial = 0
        self.edits = 0
        self.written: set[str] = set()
        self.given_up: set[str] = set()
        """Contents that a person replaced or deleted on a device that had them."""

    def fresh(self) -> str:
        self.serial += 1
        text = f"{self.serial}"
        self.written.add(text)
        return text

    def edit(self, device: Device) -> None:
        """One thing a person does in a folder."""
        self._edit(device)
        self._stamps[device.name].see(device.root)

    def stamp(self, device: Device, path: str) -> None:
        """The mtime of an edit: of the story's own time, and like no other."""
        self.edits += 1
        stamp = self._stamps[device.name].time_ns() + self.edits
        os.utime(device.root / path, ns=(stamp, stamp))

    def _edit(self, device: Device) -> None:
        rng, root = self.rng, device.root
        present = sorted(device.tree().keys() - {"stays"})
        verb = rng.choice(
            ("write", "write", "create", "create", "save", "delete", "move", "move folder", "chmod", "turn", "touch",
             "revert", "copy", "rm -r", "swap")
        )  # fmt: skip
        try:
            match verb:
                case "write" | "save" if present:
                    self._put(device, rng.choice(present), self.fresh(), atomic=verb == "save")
                case "create":
                    self._put(device, rng.choice(NAMES), self.fresh(), atomic=False)
                case "revert" if present and self.written:
                    self._put(device, rng.choice(present), rng.choice(sorted(self.written)), atomic=False)
                case "copy" if present:
                    self._put(device, rng.choice(NAMES), device.read(rng.choice(present)), atomic=False)
                case "delete" if present:
                    path = rng.choice(present)
                    self.say(f"{device.name}: rm {path}")
                    self._lost(device, path)
                    (root / path).unlink()
                case "move" if present:
                    path, to = rng.choice(present), rng.choice(NAMES)
                    if not self._room(device, to):
                        return
                    self.say(f"{device.name}: mv {path} {to}")
                    if path != to:
                        self._lost(device, to)
                    (root / path).rename(root / to)
                case "swap" if len(present) > 1:
                    one, two = rng.sample(present, 2)
                    self.say(f"{device.name}: swap {one} {two}")
                    (root / one).rename(root / "swapping")
                    (root / two).rename(root / one)
                    (root / "swapping").rename(root / two)
                case "move folder":
                    path, to = rng.choice(FOLDERS), rng.choice(FOLDERS)
                    if (root / path).is_dir() and not (root / to).exists():
                        self.say(f"{device.name}: mv {path}/ {to}/")
                        (root / to).parent.mkdir(parents=True, exist_ok=True)
                        (root / path).rename(root / to)
                case "chmod" if present:
                    path, mode = rng.choice(present), rng.choice(MODES)
                    self.say(f"{device.name}: chmod {mode:o} {path}")
                    before = (root / path).stat().st_ctime_ns
                    (root / path).chmod(mode)
                    while (root / path).stat().st_ctime_ns == before:
                        (root / path).chmod(mode)  # an old kernel's stamps are coarse
                case "touch" if present:
                    self.stamp(device, rng.choice(present))
                case "turn" if present:
                    path = rng.choice(present)
                    self.say(f"{device.name}: {path} becomes a folder")
                    self._lost(device, path)
                    (root / path).unlink()
                    self._put(device, f"{path}/x", self.fresh(), atomic=False)
                case "rm -r":
                    path = rng.choice(FOLDERS)
                    if (root / path).is_dir():
                        self.say(f"{device.name}: rm -r {path}")
                        for below in [p for p in present if p.startswith(f"{path}/")]:
                            self._lost(device, below)
                        shutil.rmtree(root / path)
                        if rng.random() < 0.3:
                            self._put(device, path, self.fresh(), atomic=False)
        except (OSError, ValueError):
            self.say(f"{device.name}: {verb} is not possible")

    def _lost(self, device: Device, path: str) -> None:
        if (device.root / path).is_file():
            self.given_up.add(device.read(path))

    def _room(self, device: Device, path: str) -> bool:
        target = device.root / path
        if target.is_dir():
            return False
        for above in target.relative_to(device.root).parents:
            if (device.root / above).is_file():
                return False
        target.parent.mkdir(parents=True, exist_ok=True)
        return True

    def _put(self, device: Device, path: str, text: str, *, atomic: bool) -> None:
        if not self._room(device, path):
            self.say(f"{device.name}: no room for {path}")
            self.written.discard(text) if text == str(self.serial) else None
            return
        self.say(f"{device.name}: {path} := {text}{' (atomic)' if atomic else ''}")
        target = device.root / path
        self._lost(device, path)
        if atomic:
            temporary = target.with_name(f"{target.name}.tmp~")
            temporary.write_text(text)
            temporary.replace(target)
        else:
            target.write_text(text)
        self.stamp(device, path)
