"""Two devices, one bucket: everything arrives as it was."""

from __future__ import annotations

import pytest

from tests.e2e.persons import assert_at_rest
from tests.e2e.places import Place, copy_library, moved

pytestmark = [pytest.mark.daemon, pytest.mark.slow, pytest.mark.timeout(600)]


def test_the_standard_library_arrives_as_it_was(place: Place) -> None:
    """Bytes, permission bits and mtimes are equal on the other device; looking again moves nothing."""
    a, b = place.device("a"), place.device("b")
    count = copy_library(a.root / "lib")
    (a.root / "lib" / "tool.sh").write_text("#!/bin/sh\n")
    (a.root / "lib" / "tool.sh").chmod(0o755)
    (a.root / ".env").write_text("SECRET=1\n")
    (a.root / ".env").chmod(0o600)
    a.launch(), b.launch()
    a.ready().sync()
    b.ready().sync()
    assert a.status().files == b.status().files == count + 2
    first, second = a.tree(), b.tree()
    differ = [p for p in first.keys() | second.keys() if first.get(p) != second.get(p)]
    assert not differ
    assert place.live() == {path: data for path, (data, _, _) in first.items()}
    size = sum(len(data) for data, _, _ in first.values())
    assert size <= a.requests()["bytes_up"] <= size * 1.01, "every file went up once"
    assert b.requests()["bytes_down"] <= size, "nothing came down twice"
    assert_at_rest(a, b)


def test_a_restart_moves_nothing(place: Place) -> None:
    """Both devices stopped and started: nothing is sent, fetched or announced anew."""
    a, b = place.device("a"), place.device("b")
    for n in range(60):
        (a.root / f"f{n}").write_text(f"{n}\n" * n)
    a.launch(), b.launch()
    a.ready().sync()
    b.ready().sync()
    a.sync()
    before = a.tree()
    a.stop(), b.stop()
    a.launch(), b.launch()
    for daemon in (a.ready(), b.ready()):
        daemon.sync()
    for daemon in (a, b):
        # The probe and the meeting at the start write under `.dorky/`, never an object that is a file.
        asked = moved(dict.fromkeys(daemon.requests(), 0), daemon.requests())
        assert asked.get("bytes_down", 0) == 0, asked
        assert asked.get("HEAD", 0) < 60, asked
        assert daemon.tree() == before
    assert_at_rest(a, b)
