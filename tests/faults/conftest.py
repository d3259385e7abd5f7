"""What tests of faults share: short temporary paths, and the places of end-to-end tests."""

from tests.e2e.conftest import directory, place, tmp_path

__all__ = ["directory", "place", "tmp_path"]
