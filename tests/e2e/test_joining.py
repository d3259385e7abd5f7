"""A real daemon joins a bucket whose objects lie in its folder already."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.places import s3_place
from tests.servers import Server

pytestmark = [pytest.mark.daemon, pytest.mark.s3]

FILES = 200


def test_joining_asks_nothing_about_what_is_here(tmp_path: Path, seaweed: Server) -> None:
    """The listing proves every file equal: no object is looked at or moved, and an edit afterwards arrives."""
    with s3_place(tmp_path, seaweed) as place:
        a, b = place.device("a"), place.device("b")
        for device in (a, b):
            for n in range(FILES):
                (device.root / f"f{n}").write_text(f"text {n}")
        a.start().sync()
        b.start().sync()
        asked = b.requests()
        assert asked["bytes_up"] == asked["bytes_down"] == 0
        # What there is comes from the probe, the log and the project's document.
        assert asked["HEAD"] + asked["GET"] < FILES / 3, asked
        (b.root / "f0").write_text("edited on b")
        b.sync()
        a.sync()
        assert (a.root / "f0").read_text() == "edited on b"
        assert len(list(b.root.glob("f*"))) == FILES
