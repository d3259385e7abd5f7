"""A victim and its teammate, both real daemons, on one bucket; and what must be true of them when they have come to rest."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.daemons import RealDaemon, folder_tree, wait_until
from tests.e2e.places import Place, read_folder
from tests.kills.trap import site
from tests.nursery import Nursery

REST_S = 90.0
_OPEN = {
    "intents": "state = 'intended'",
    "installs": "1",
    "fetched": "1",
    "uploads": "1",
    "pushes": "1",
    "staged": "1",
}
"""Rows of the journal that speak of work under way."""
_CONFLICT = re.compile(r"\((conflict|kept) [^)]*\)")


@dataclass(frozen=True, slots=True)
class Point:
    """Where a process may end, as its trace told it."""

    id: str
    when: str
    op: str
    chain: str

    @property
    def site(self) -> tuple[str, str]:
        """The operation and its place in the code (`tests.kills.sites`)."""
        return self.op, site(self.op, self.chain)

    @property
    def kind(self) -> str:
        """`before bucket.put`."""
        return f"{self.when} {self.op}"

    def __str__(self) -> str:
        places = self.chain.split(" < ")
        return f"{self.when} {self.op} in {' < '.join(places[:3])}{' …' if places[3:] else ''}"


class Victim(RealDaemon):
    """A daemon that may end at any point. Its bucket is polled when it is told to."""

    nursery: Nursery

    def prepare(self, tune: dict[str, Any], nursery: Nursery) -> None:
        """Set the trap's directory up."""
        self.nursery = nursery
        self.traps = self.home / "traps"
        self.traps.mkdir()
        self.env |= {
            "DORKY_KILLS": str(self.traps),
            "DORKY_KILLS_TUNE": json.dumps(tune),
        }

    def launch(self) -> Victim:
        """As `RealDaemon.launch`, from the nursery."""
        self.process = self.nursery.start("tests.kills.launch", self.env, self.log)  # type: ignore[assignment]
        return self

    def arm(self, point: str | None, nth: int = 1) -> None:
        """Let it end at the point's n-th passing from now on; None: never. The trace begins anew."""
        trace = self.traps / "trace"
        if trace.exists():
            os.truncate(trace, 0)
        if point is None:
            (self.traps / "arm").unlink(missing_ok=True)
            return
        staged = self.traps / "arm.new"
        # The salt tells one arming from the next.
        staged.write_text(json.dumps({"point": point, "nth": nth, "salt": os.urandom(4).hex()}))
        staged.replace(self.traps / "arm")

    def trace(self) -> list[list[str]]:
        """What it passed since it was armed."""
        file = self.traps / "trace"
        return [line.split("\t") for line in file.read_text().splitlines()] if file.exists() else []

    def points(self) -> dict[str, tuple[Point, int]]:
        """The points it passed, and how often, in their order."""
        found: dict[str, tuple[Point, int]] = {}
        for kind, *rest in self.trace():
            if kind == "point":
                point = Point(*rest)
                found[point.id] = (point, found.get(point.id, (point, 0))[1] + 1)
        return found

    def statements(self) -> set[str]:
        """What it wrote to its journal."""
        return {rest[0] for kind, *rest in self.trace() if kind == "statement"}

    @property
    def dead(self) -> bool:
        """It ended at the point."""
        return self.process is not None and self.process.poll() is not None

    def bury(self) -> None:
        """Take note of its death, which must be the one that was ordered."""
        assert self.process is not None
        if self.process.wait() != -9:
            raise AssertionError(f"ended by itself: {self.log.read_text()[-3000:]}")
        self.process = None


@dataclass
class World:
    """See the module. `d` is the folder of one round: rounds do not meet."""

    place: Place
    a: Victim
    b: RealDaemon | None
    uploads: Callable[[], list[str]]
    """Keys of uploads that were begun and not ended, as the store has them."""
    round: int = 0
    written: dict[str, list[bytes]] = field(default_factory=dict)
    """By round."""
    known: dict[str, Any] = field(default_factory=dict)
    """What a story's parts tell each other."""

    @property
    def d(self) -> str:
        """The round's folder."""
        return f"r{self.round}"

    @property
    def mate(self) -> RealDaemon:
        """The teammate."""
        assert self.b is not None
        return self.b

    # --- what people do -----------------------------------------------------------------------------------------

    def write(self, daemon: RealDaemon, path: str, text: str | bytes, *, at: str | None = None) -> Path:
        """Write a file of this round. A text is told apart from those of all other rounds."""
        data = text if isinstance(text, bytes) else f"{self.d} {text}\n".encode()
        file = daemon.root / (at if at is not None else self.d) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        staged = file.with_name(f".{file.name}.swp") if file.exists() else file
        staged.write_bytes(data)
        if staged != file:
            staged.chmod(file.stat().st_mode & 0o777)
            staged.replace(file)
        self.written.setdefault(self.d, []).append(data)
        return file

    def large(self, text: str, kib: int) -> bytes:
        """Bytes of that size, like no others."""
        line = f"{self.d} {text} ".encode()
        return (line * (kib * 1024 // len(line) + 1))[: kib * 1024]

    def nudge(self) -> None:
        """Let the victim ask for news now."""
        with self.talking() as client:
            client.sync("p", wait=False)

    @contextlib.contextmanager
    def talking(self) -> Iterator[Any]:
        """The victim's client. What it cannot answer for being dead is no error."""
        try:
            with self.a.client() as client:
                yield client
        except Exception:
            if not self.has_died():
                raise

    def has_died(self) -> bool:
        """The victim is dead, or about to be."""
        if self.a.process is None:
            return True
        if ["killed"] in self.a.trace():  # written before the signal is sent, which may take its time
            wait_until("it ended", lambda: self.a.dead)
        with contextlib.suppress(AssertionError):  # or by itself, which `bury` says
            wait_until("it ended", lambda: self.a.dead, 2.0)
        return self.a.dead

    def answers(self) -> bool:
        """The victim lives and answers."""
        try:
            return not self.a.dead and self.a._answers()
        except AssertionError:
            if self.a.dead:
                return False
            raise

    def until(self, what: str, check: Callable[[], bool], deadline_s: float = REST_S) -> None:
        """Wait for it, or for the victim's death."""

        def come() -> bool:
            try:
                return self.a.dead or check()
            except Exception:
                if self.has_died():  # while it was asked
                    return True
                raise

        wait_until(what, come, deadline_s)

    # --- coming to rest -----------------------------------------------------------------------------------------

    def rest(self) -> bool:
        """Let all come to rest. False: the victim died on the way."""
        before: object = None
        for turn in range(12):
            for daemon in self._daemons():
                try:
                    daemon.sync(REST_S)
                except Exception as exc:  # whatever a dead daemon's client meets
                    if daemon is self.a and self.has_died():
                        return False
                    if daemon is self.a and daemon.state() == "paused":
                        with self.talking() as client:
                            client.resume("p")
                        continue  # its resumption was killed
                    if turn < 5 and daemon.status().problems:
                        continue  # that of a path whose holder has to move it first
                    raise AssertionError(f"{daemon.name}: {str(exc)[:500]}") from None
            now = [self.tree(daemon) for daemon in self._daemons()]
            if now == before and all(tree == now[0] for tree in now):
                return not self.a.dead
            before = now
        raise AssertionError(f"the daemons do not come to rest: {before}")

    def _daemons(self) -> list[RealDaemon]:
        return [self.a] if self.b is None else [self.b, self.a]

    def tree(self, daemon: RealDaemon) -> dict[str, tuple[bytes, int]]:
        """Content and permission bits of the round's files."""
        return {path: (data, mode) for path, (data, mode, _) in folder_tree(daemon.root / self.d).items()}

    def revive(self, point: str | None) -> None:
        """Start the victim again, to die at that point; None: in no danger."""
        self.a.bury()
        self.a.arm(point)
        self.a.launch()
        wait_until("it answers or is dead again", lambda: self.a.dead or self.answers())

    # --- what is checked ----------------------------------------------------------------------------------------

    def outcome(self) -> dict[str, tuple[str, int]]:
        """The round's files in the words that all rounds share: a conflict copy's date and hash are its own."""
        mark = self.d.encode()
        found = sorted(
            (_CONFLICT.sub(r"(\1)", path), data.replace(mark, b"R").decode(errors="replace")[:80], mode)
            for path, (data, mode) in self.tree(self.a).items()
        )
        return {f"{path} #{at}": (text, mode) for at, (path, text, mode) in enumerate(found)}

    def check(self) -> None:
        """At rest: all sides are equal, nothing is under way, nothing is left over and nothing is lost."""
        ours = self.tree(self.a)
        for daemon in self._daemons():
            assert self.tree(daemon) == ours, daemon.name
        live = {key.removeprefix(f"{self.d}/"): data for key, data in self.place.read(f"{self.d}/").items()}
        assert live == {path: data for path, (data, _) in ours.items()}, "the bucket"
        status = self.a.status()
        assert status.halt is None, status.halt
        assert status.problems == 0
        wait_until(f"nothing is under way: {self.left_over()}", lambda: not self.left_over(), REST_S)
        assert not self.uploads(), self.uploads()
        lost = self.lost()
        assert not lost, lost
        recovered = [path for path in read_folder(self.a.root / ".dorky/trash") if "/recovered-" in path]
        # Where names cannot be exchanged a rename goes through staging, and no journal knows whither (docs/reliability.md).
        recovered = [path for path in recovered if "/recovered-rename-" not in path]
        assert not recovered or self.known.get("strays"), {
            path: read_folder(self.a.root / ".dorky/trash")[path][:60] for path in recovered
        }

    def left_over(self) -> list[str]:
        """Staged files and rows of the victim's journal that speak of work under way."""
        tmp = self.a.root / ".dorky/tmp"
        found = [f"tmp/{name}" for name in os.listdir(tmp) if not name.startswith(".")]
        for file in sorted((self.a.home / "state/journals").glob("*.db")):
            with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=20)) as conn:
                if conn.execute("SELECT 1 FROM meta WHERE key = 'retired'").fetchone():
                    continue
                for table, where in _OPEN.items():
                    rows = conn.execute(f"SELECT count(*) FROM {table} WHERE {where}").fetchone()[0]
                    found += [f"{table}: {rows}"] if rows else []
        return found

    def lost(self) -> list[bytes]:
        """What somebody wrote in this round that is nowhere: not live, in no trash."""
        there = {data for daemon in self._daemons() for data, _ in self.tree(daemon).values()}
        there |= set(self.place.read(f".dorky/trash/{self.d}/").values())
        for daemon in self._daemons():
            there |= set(read_folder(daemon.root / ".dorky/trash").values())
        return [data[:80] for data in self.written.get(self.d, ()) if data not in there]
