"""Every parser of what others wrote, with a hundred or so generated inputs each; `tests.security.parsers` runs more."""

from __future__ import annotations

import os

import pytest

from tests.security.parsers import PARSERS, counts, fuzz

EXAMPLES = int(os.environ.get("DORKY_FUZZ", "120"))


@pytest.mark.parametrize("name", PARSERS)
def test_any_input_is_read_or_refused(name: str) -> None:
    """No exception but its own, no hang; and what is promised to be stable is."""
    fuzz(name, EXAMPLES)
    assert counts[name] >= EXAMPLES // 2
