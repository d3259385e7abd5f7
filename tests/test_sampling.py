"""What every project did in the last day, from its statuses."""

from __future__ import annotations

from dataclasses import replace

from dorkyd.core.report import Pending, ProjectStatus, RequestCounts, Sample, State
from dorkyd.sampling import Sampling

IDLE = ProjectStatus("p", "/p", "s3://b", "two-way", State.IN_SYNC)


def test_each_project_by_itself() -> None:
    """In seconds; all work that is left counts as such; of an unknown project, and of one that was forgotten, nothing is told."""
    minute = [10]
    sampling = Sampling(lambda: minute[0])
    sampling.see(replace(IDLE, pending=Pending(1, 2, 3, 4, 50), requests=RequestCounts(bytes_up=7)))
    sampling.see(replace(IDLE, name="q", requests=RequestCounts(bytes_down=9)))
    minute[0] = 11
    assert sampling.of("p") == [Sample(600, 7, 0, 10, 50), Sample(660, 0, 0, 10, 0)]
    assert sampling.of("q") == [Sample(600, 0, 9, 0, 0), Sample(660, 0, 0, 0, 0)]
    assert sampling.of("nobody") == []
    sampling.forget("p")
    assert sampling.of("p") == []
