"""The places of end-to-end tests, each test with its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.places import Place, directory_place, s3_place
from tests.servers import Server


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """As pytest's own, with a short path: homes lie in it, and sockets want that."""
    path = Path(os.path.realpath(tempfile.mkdtemp(prefix="dk")))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Place]:
    """A directory bucket."""
    with directory_place(tmp_path) as place:
        yield place


@pytest.fixture(params=["directory", pytest.param("s3", marks=pytest.mark.s3)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A directory bucket, then a prefix of a real S3 server."""
    if request.param == "directory":
        with directory_place(tmp_path) as made:
            yield made
    else:
        server: Server = request.getfixturevalue("seaweed")
        with s3_place(tmp_path, server) as made:
            yield made
