"""Lines that break in every way, under real daemons and a real S3 server. `tests.wire` is the line."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.daemons import RealDaemon, wait_until
from tests.e2e.commands import ctl
from tests.e2e.persons import mine
from tests.e2e.places import FULL
from tests.faults.lines import Pair, pair
from tests.servers import Server
from tests.wire import State

pytestmark = [pytest.mark.daemon, pytest.mark.s3, pytest.mark.timeout(600)]

SILENT_S = 20
"""What `docs/operations.md` says of stores that say nothing."""


def _offline(daemon: RealDaemon) -> bool:
    return daemon.state() == "offline"


def _edits(one: Pair, stem: str) -> None:
    """On both sides: a new file, an edit, a deletion, a rename."""
    for daemon in (one.a, one.b):
        root, who = daemon.root, daemon.name
        (root / f"{stem} new {who}").write_text(f"{stem} {who}")
        (root / f"edited {who}").write_text(f"edited {stem}")
        (root / f"gone {who}").unlink(missing_ok=True)
        (root / f"moved {who}").rename(root / f"moved {who} {stem}")


def _begin(one: Pair) -> None:
    for who in ("a", "b"):
        for name in ("edited", "gone", "moved"):
            (one.a.root / f"{name} {who}").write_text(f"{name} {who}")
    one.start()


# --- the line is down ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state",
    [
        "refused",
        *(pytest.param(s, marks=pytest.mark.skipif(not FULL, reason="DORKY_FULL=1")) for s in ("reset", "silent")),
    ],
)
def test_offline_for_a_while(tmp_path: Path, seaweed: Server, state: State) -> None:
    """Both say *offline*, on the screen too, within the time that a silent store is given; edits are journalled, also
    over a kill; and both catch up by themselves soon after the line is back.
    """
    with pair(tmp_path, seaweed) as one:
        _begin(one)
        one.line_a.state = one.line_b.state = state
        begun = time.monotonic()
        _edits(one, state)
        wait_until("both say offline", lambda: _offline(one.a) and _offline(one.b), SILENT_S + 40)
        assert time.monotonic() - begun < (SILENT_S if state == "silent" else 0) + 20
        shown = ctl(one.a, "status")
        assert shown.code == 5, shown
        assert "offline" in shown.out
        assert one.line_a.url in shown.out
        # Journalled, not only seen: it is there after a kill as well.
        wait_until("edits are known", lambda: one.a.status().pending.upload >= 2)
        one.a.kill()
        one.a.start()
        wait_until("and known again", lambda: one.a.status().pending.upload >= 2)
        before = mine(one.a.root)
        one.line_a.state = one.line_b.state = "up"
        begun = time.monotonic()
        wait_until("caught up", lambda: mine(one.a.root) == mine(one.b.root) != before, SILENT_S + 60)
        assert time.monotonic() - begun < 15 + (SILENT_S if state == "silent" else 0) + 15
        expected = {f"edited {who}": f"edited {state}".encode() for who in ("a", "b")}
        expected |= {f"moved {who} {state}": f"moved {who}".encode() for who in ("a", "b")}
        expected |= {f"{state} new {who}": f"{state} {who}".encode() for who in ("a", "b")}
        one.equal(expected)


def test_a_stop_does_not_wait_for_a_silent_store(tmp_path: Path, seaweed: Server) -> None:
    """SIGTERM ends the daemon within ten seconds while its transfers hang, within two once it knows that it is offline;
    what was under way is taken up by the next start.
    """
    with pair(tmp_path, seaweed) as one:
        _begin(one)
        for daemon, line in ((one.a, one.line_a), (one.b, one.line_b)):
            line.state = "silent"
            (daemon.root / f"hangs {daemon.name}").write_bytes(b"x" * 1000)
        wait_until("an upload and a poll hang", lambda: one.line_a.injected["swallowed"] > 1)
        # On a slow machine it knows by now that it is offline, and ends all the sooner.
        begun = time.monotonic()
        one.a.stop()
        assert time.monotonic() - begun < 15
        wait_until("offline", lambda: _offline(one.b), SILENT_S + 40)
        begun = time.monotonic()
        one.b.stop()
        assert time.monotonic() - begun < 8
        one.whole()
        one.a.launch(), one.b.launch()
        one.a.ready(), one.b.ready()
        one.equal()
        assert {"hangs a", "hangs b"} <= mine(one.a.root).keys()
