"""How stories begin: devices that hold a tree and agree, made once for each kind of setting and copied then.

The copy has the same journals, markers and stamps, so that nothing tells it from a start that was played.
"""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from dorkyd.buckets.memory import _Object
from dorkyd.core.model import StatTuple
from tests.devices import Device
from tests.simulation import sealed
from tests.simulation.steps import TREES, Setting
from tests.stamps import Stamps


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    data: bytes
    mode: int
    mtime_ns: int
    told: StatTuple | None
    """None: of the journal or of `.dorky`."""


@dataclass(slots=True)
class Beginning:
    """A state of the world."""

    objects: dict[str, _Object]
    writes: int
    files: dict[str, list[_File]] = field(default_factory=dict)
    folders: dict[str, list[str]] = field(default_factory=dict)
    clocks: dict[str, tuple[float, int, int]] = field(default_factory=dict)
    keys: dict[str, bytes] = field(default_factory=dict)
    """Files of the devices' key, where all is encrypted."""

    def wind(self, device: Device) -> None:
        """Its clock and its ids go on from there."""
        device.clock.now, device.clock.wall_ns, ids = self.clocks[device.name]
        device.clock._ids = itertools.count(ids)


_made: dict[tuple[object, ...], Beginning] = {}
_places: list[Path] = []


def place() -> Path:
    """Where this process plays its stories: in memory where there is such a place. Emptied before each."""
    if not _places:
        where = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        atexit.register(leave)
        _places.append(Path(tempfile.mkdtemp(prefix="dorky-sim-", dir=where)) / "story")
    shutil.rmtree(_places[0], ignore_errors=True)
    _places[0].mkdir()
    return _places[0]


def leave() -> None:
    """Remove that place, and what only holds there."""
    _made.clear()
    while _places:
        shutil.rmtree(_places.pop().parent)


def begin(setting: Setting) -> Beginning:
    """What its devices hold at first. Made when first asked for."""
    kind = replace(setting, page_keys=1000, stepwise=False, sessions=False, pace=1, manual=0)
    key = (kind,)
    if key not in _made:
        _made[key] = _make(kind)
    return _made[key]


def _make(setting: Setting) -> Beginning:
    from tests.simulation.checks import settle_all
    from tests.simulation.play import Play

    base = place()
    play = Play(replace(setting, joined=False, tree=0), base)
    if setting.sealed:
        play.rest(play.devices[0])
        sealed.found(play.devices[0])
    for path, text in TREES[setting.tree].items():
        play.people["A"]._put(path, text, "write")
    play.people["A"].stamps.see(base / "A")
    settle_all(play)
    made = Beginning({}, 0)
    for device in play.devices:
        device.engine.close()
        ids = next(device.clock._ids)
        made.clocks[device.name] = (device.clock.now + 100.0, device.clock.wall_ns + 100 * 10**9, ids)
        made.files[device.name], made.folders[device.name] = _copied(base, device.name, play.stamps[device.name])
    made.keys = {str(f.relative_to(base)): f.read_bytes() for f in (base / "keys").rglob("*") if f.is_file()}
    store = play.store._store
    made.objects, made.writes = dict(store.objects), store.writes
    play.close()
    place()
    return made


def _copied(base: Path, name: str, stamps: Stamps) -> tuple[list[_File], list[str]]:
    files: list[_File] = []
    folders: list[str] = []
    for top in (name, f"{name}-state"):
        for folder, below, here in os.walk(base / top):
            folders += [os.path.relpath(os.path.join(folder, sub), base) for sub in below]
            for file in here:
                full = Path(folder) / file
                info = full.lstat()
                path = os.path.relpath(full, base)
                mine = top == name and "/.dorky/" not in f"/{path}"
                told = None
                if mine:
                    told = stamps.told(StatTuple(info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino))
                files.append(_File(path, full.read_bytes(), info.st_mode & 0o777, info.st_mtime_ns, told))
    return files, [name, f"{name}-state", *folders]


def restore_keys(base: Path, beginning: Beginning) -> None:
    """Lay the devices' key."""
    for path, data in beginning.keys.items():
        (base / path).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        (base / path).write_bytes(data)


def restore(base: Path, name: str, beginning: Beginning, stamps: Stamps) -> None:
    """Lay one device's files."""
    for folder in beginning.folders[name]:
        os.mkdir(base / folder, 0o700)
    for file in beginning.files[name]:
        full = os.path.join(base, file.path)
        fd = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, file.data)
        os.fchmod(fd, file.mode)
        os.close(fd)
        os.utime(full, ns=(file.mtime_ns, file.mtime_ns))
        if file.told is not None:
            info = os.lstat(full)
            real = StatTuple(info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)
            stamps.remember(real, file.told)
