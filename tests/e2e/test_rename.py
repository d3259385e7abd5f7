"""A renamed folder moves no bytes, on either side."""

from __future__ import annotations

import pytest

from tests.daemons import RealDaemon
from tests.e2e.places import Place, moved

pytestmark = [pytest.mark.daemon, pytest.mark.slow]

FILES = 1000


def inodes(daemon: RealDaemon, folder: str) -> dict[str, int]:
    """Which file is which on this disk."""
    return {f.name: f.stat().st_ino for f in (daemon.root / folder).rglob("*") if f.is_file()}


def test_renaming_a_folder_of_a_thousand_files_moves_no_object_bytes(place: Place) -> None:
    """The bucket copies, the other device renames: its files keep their inodes."""
    a, b = place.device("a"), place.device("b")
    files = place.share(FILES)
    for n in range(files):
        folder = a.root / "old" / f"part-{n % 7}" / f"p{n % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"file-{n}.bin").write_bytes(f"{n}\n".encode() * (1 + n % 50))
    a.launch(), b.launch()
    a.ready().sync()
    b.ready().sync()
    a.sync()
    was = {daemon.name: (daemon.requests(), inodes(daemon, "old")) for daemon in (a, b)}
    (a.root / "old").rename(a.root / "new")
    a.sync()
    b.sync()
    for daemon in (a, b):
        asked = moved(was[daemon.name][0], daemon.requests())
        assert "bytes_up" not in asked, asked
        assert "bytes_down" not in asked, asked
        assert inodes(daemon, "new") == was[daemon.name][1]
        assert not (daemon.root / "old").exists()
    assert moved(was["a"][0], a.requests())["COPY"] == files
    assert len(place.live()) == files
    assert a.tree() == b.tree()
