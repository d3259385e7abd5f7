"""Devices over months, by a store that has a clock."""

from __future__ import annotations

from pathlib import Path

from dorkyd.buckets.memory import MemoryBucket
from dorkyd.core.logbook import LOG, entry_number
from dorkyd.news import News
from tests.devices import Device, World

DAY = 86_400.0


class Months(World):
    """Devices over a store with a clock, which moves with `pass_days` only."""

    def __init__(self, base: Path) -> None:
        super().__init__(base)
        self.seconds = 1_700_000_000
        self.store = MemoryBucket(seconds=lambda: self.seconds)

    def pass_days(self, days: float, *devices: Device) -> None:
        """Time goes by, for the store and for the devices named."""
        self.seconds += int(days * DAY)
        for device in devices:
            device.clock.advance(days * DAY)

    def numbers(self) -> list[int]:
        found = [entry_number(key) for key in self.keys(LOG)]
        return [number for number in found if number is not None]

    def floor(self) -> int:
        found = News(self.store.client()).project()
        assert found is not None
        return found.floor

    def edit(self, device: Device, *texts: str, days: float = 0) -> None:
        """Write a file again and again, one log entry each."""
        for text in texts:
            self.pass_days(days, device)
            device.write("f", text)
            device.settle()
