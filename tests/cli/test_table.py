"""What status tells a person beneath a project's line."""

from __future__ import annotations

import pytest

from dorkyd.api.messages import ProjectStatus
from dorkyd.cli.table import needs
from dorkyd.core import report
from dorkyd.core.report import Cost, State


@pytest.mark.parametrize(
    ("cost", "told"),
    [
        (Cost(190_000, 0.11, "S3"), ["  about 0.11 USD a month for 190,000 requests, at list prices"]),
        (Cost(190_000, None, ""), []),
    ],
)
def test_the_cost_of_requests(cost: Cost, told: list[str]) -> None:
    """A line where the store's prices are known, none where they are not."""
    status = report.ProjectStatus("api", "/p", "s3://acme/x", "two-way", State.IN_SYNC, cost=cost)
    assert [line.plain for line in needs(ProjectStatus.model_validate(status))] == told
