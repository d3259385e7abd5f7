"""Two devices, each behind a line of its own that can break."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.daemons import RealDaemon, settle
from tests.e2e.persons import mine
from tests.e2e.places import GUARD, Place, gcs_place, s3_place
from tests.servers import GcsProcess, Server
from tests.wire import Wire, wire


@dataclass
class Pair:
    """Devices a and b over one bucket; the lines are theirs."""

    place: Place
    a: RealDaemon
    b: RealDaemon
    line_a: Wire
    line_b: Wire

    def start(self) -> None:
        """Both, and the first sync of each."""
        self.a.launch(), self.b.launch()
        self.a.ready().sync()
        self.b.ready().sync()

    def whole(self) -> None:
        """Nothing is wrong with the lines any more."""
        for line in (self.line_a, self.line_b):
            line.rule, line.pace, line.state = lambda _: None, None, "up"

    def equal(self, expected: dict[str, bytes] | None = None) -> None:
        """At rest, both folders and the bucket hold the same, or just this; and no conflict copy was made."""
        settle(self.a, self.b)
        files = mine(self.a.root)
        assert mine(self.b.root) == files
        assert self.place.live() == files
        if expected is not None:
            assert files == expected
        for daemon in (self.a, self.b):
            status = daemon.status()
            assert (status.state, status.problems, status.halt) == ("in-sync", 0, None), status
        for line in (self.line_a, self.line_b):
            assert "misread" not in line.injected


@contextlib.contextmanager
def pair(base: Path, server: Server | GcsProcess, **settings: Any) -> Iterator[Pair]:
    """Not started yet."""
    made = gcs_place(base, server) if isinstance(server, GcsProcess) else s3_place(base, server)
    with wire(server.endpoint_url) as line_a, wire(server.endpoint_url) as line_b, made as place:
        more = {"guard": GUARD, **settings}
        a = place.device("a", endpoint_url=line_a.url, **more)
        b = place.device("b", endpoint_url=line_b.url, **more)
        yield Pair(place, a, b, line_a, line_b)
