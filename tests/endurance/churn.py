"""What people do all day: every kind of edit, large files, whole trees, conflicts, and daemons that end."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import subprocess
import time
from collections.abc import Sequence

from tests.daemons import RealDaemon
from tests.e2e.persons import Account, Person

FOLDER_FILES = 100
"""Files in each folder of the tree that the day begins with."""
FRESH_S = 60.0
"""For how long a person remembers what files there are."""
KEEP_AWAY = 400
"""Deleted files and folders that wait to be read for the account."""


class Dweller(Person):
    """A person in a folder of many thousands of files, who does not look at all of them before each edit."""

    large_bytes = 20 * 1024 * 1024
    most = 0
    """Files that there should be: more are deleted when there are more."""
    _seen: tuple[float, list[str]] = (0.0, [])

    def fill(self, files: int) -> None:
        """The tree that the day begins with."""
        self.most = files
        for number in range(files):
            path = f"tree/{number // FOLDER_FILES:04d}/file-{number:05d}.txt"
            full = self.root / path
            if number % FOLDER_FILES == 0:
                full.parent.mkdir(parents=True)
            data = self._content(path)[:4000]
            full.write_bytes(data)
            self.account.write(data, f"{self.name}: {path}")

    def large(self) -> None:
        """A large file is made, edited in place, or deleted."""
        path = self.root / f"large/{self.rng.randrange(3)}.bin"
        path.parent.mkdir(exist_ok=True)
        data = secrets.token_bytes(16) + self.rng.randbytes(1024) * (self.rng.randrange(1, self.large_bytes) // 1024)
        if not path.exists():
            with contextlib.suppress(FileExistsError), path.open("xb") as stream:
                stream.write(data)
                self.account.write(data, f"{self.name}: {path.name}, large")
        elif self.rng.random() < 0.3:
            with contextlib.suppress(FileNotFoundError):
                os.rename(path, self.away / secrets.token_hex(8))
        else:
            with contextlib.suppress(FileNotFoundError), path.open("r+b") as stream:
                before = stream.read()
                stream.seek(0)
                stream.write(data)
                stream.truncate()
                self.account.give_up(before)
                self.account.write(data, f"{self.name}: {path.name}, large, edited")

    def keep_level(self) -> None:
        """As many files as there were at first, about."""
        files = self._files()
        for path in self.rng.sample(files, max(0, min(len(files) - self.most, 20))):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self.delete(path)

    def tidy(self) -> None:
        """What was deleted some time ago is read for the account, and gone."""
        aged = sorted(self.away.iterdir(), key=lambda p: p.lstat().st_ctime_ns)
        for item in aged[: max(0, len(aged) - KEEP_AWAY)]:
            for file in [item] if item.is_file() else [p for p in item.rglob("*") if p.is_file()]:
                self.account.give_up(file.read_bytes())
                file.unlink()
            if item.is_dir():
                for folder in sorted((p for p in item.rglob("*")), reverse=True):
                    folder.rmdir()
                item.rmdir()

    def _files(self) -> list[str]:
        at, files = self._seen
        if time.monotonic() - at > FRESH_S or not files:
            files = super()._files()
            self._seen = (time.monotonic(), files)
        return files


class Day:
    """Everybody's edits in turn. `step` does one thing."""

    def __init__(self, daemons: Sequence[RealDaemon], seed: int, files: int, restarting: Sequence[RealDaemon]) -> None:
        self.rng = random.Random(seed)
        self.account = Account()
        self.daemons, self.restarting = list(daemons), list(restarting)
        self.people = [
            Dweller(d, random.Random(self.rng.random()), self.account, d.root.with_name(f"away-{d.name}"))
            for d in daemons
        ]
        self.done: dict[str, int] = {}
        for person in self.people:
            person.most = files
        self.people[0].fill(files)

    def step(self) -> None:
        """One thing that somebody does; now and then one that is less usual."""
        one, *others = self.rng.sample(self.people, len(self.people))
        kind = self.rng.choices(("edit", "meeting", "large", "level"), (90, 6, 1, 3))[0]
        self.done[kind] = self.done.get(kind, 0) + 1
        match kind:
            case "edit":
                one.edit()
            case "meeting":
                path = one.edit()
                if path is not None:
                    for other in others[:2]:
                        other.edit(near=path)
            case "large":
                one.large()
            case _:
                one.keep_level()
                one.tidy()

    def restart_one(self) -> None:
        """A daemon ends, by a signal it hears or one it cannot, and begins again."""
        if not self.restarting:
            return
        daemon = self.rng.choice(self.restarting)
        how = self.rng.choice(("stop", "kill"))
        self.done[how] = self.done.get(how, 0) + 1
        try:
            daemon.stop() if how == "stop" else daemon.kill()
        except subprocess.TimeoutExpired:  # it was killed then
            self.done["stop took too long"] = self.done.get("stop took too long", 0) + 1
        daemon.launch()

    def close(self) -> dict[str, int]:
        """Account for all that was deleted; how often each thing was done."""
        for person in self.people:
            person.close()
            for kind, count in person.done.items():
                self.done[kind] = self.done.get(kind, 0) + count
        return self.done
