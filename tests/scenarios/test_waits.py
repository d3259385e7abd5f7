"""Deletions wait, and the wait ends."""

from __future__ import annotations

from pathlib import Path

from tests.devices import World


def test_listings_faster_than_the_wait_do_not_put_it_off(tmp_path: Path) -> None:
    """Every listing misses the object anew and the bucket is asked again; the deletion keeps its place."""
    world = World(tmp_path)
    one = world.device("A")
    one.write("f", "1")
    one.write("stays", "s")
    world.settle()
    world.remove("f")
    for _ in range(20):
        one.look()
        one.step(0.25)
        one.step(0.25)
    assert one.tree() == {"stays": "s"}
    assert one.trashed()
