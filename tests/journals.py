"""Journals of tests that open many: a new one is a copy of one that this program made, so that its tables are made once a run."""

from __future__ import annotations

import sqlite3
import tempfile
from functools import cache
from pathlib import Path

import pytest

from dorkyd import schema
from dorkyd.journal import Journal
from dorkyd.sqlite import Database

_connect, _prepare = schema.connect, schema.prepare


@cache
def template() -> bytes:
    """A journal that holds nothing yet."""
    with tempfile.TemporaryDirectory() as where, pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "connect", _connect)
        patch.setattr(schema, "prepare", _prepare)
        file = Path(where) / "template.db"
        Journal(file).close()
        return file.read_bytes()


def copied(patch: pytest.MonkeyPatch) -> None:
    """From here on a journal that is new is such a copy. All else of it is as ever."""
    made: set[str] = set()

    def connect(file: Path) -> sqlite3.Connection:
        if not file.exists() or not file.stat().st_size:
            file.write_bytes(template())
            made.add(str(file))
        return _connect(file)

    def prepare(db: Database, file: str) -> None:
        if file in made:
            made.remove(file)
        else:
            _prepare(db, file)

    patch.setattr(schema, "connect", connect)
    patch.setattr(schema, "prepare", prepare)
