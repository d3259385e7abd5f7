"""Messages mirror the report, and carry what JSON can."""

from __future__ import annotations

import dataclasses

import pytest

from dorkyd.api import messages
from dorkyd.core import report
from tests.api.fakes import file_item

MIRRORED = [
    (report.ProjectStatus, messages.ProjectStatus),
    (report.Pending, messages.Pending),
    (report.Halt, messages.Halt),
    (report.Warning, messages.Notice),
    (report.RequestCounts, messages.RequestCounts),
    (report.FileItem, messages.FileItem),
    (report.ConflictItem, messages.ConflictItem),
    (report.ProblemItem, messages.ProblemItem),
    (report.LogItem, messages.LogItem),
    (report.TrashItem, messages.TrashItem),
    (report.IgnoreItem, messages.IgnoreItem),
    (report.Why, messages.Why),
    (report.SyncResult, messages.SyncResult),
    (report.Finding, messages.Finding),
]


@pytest.mark.parametrize(("value", "message"), MIRRORED, ids=lambda kind: kind.__name__)
def test_same_fields(value: type, message: type[messages.Answer]) -> None:
    """A message has exactly the fields of the value it mirrors, in its order."""
    names = [field.alias or name for name, field in message.model_fields.items()]
    assert names == [field.name for field in dataclasses.fields(value)]


def test_undecodable_names() -> None:
    """A name that is not valid Unicode is written with an escape instead of failing."""
    message = messages.FileItem.model_validate(file_item("caf\udce9.txt"))
    assert message.path == "caf\\udce9.txt"
    assert b"caf" in message.model_dump_json().encode()


def test_new_fields() -> None:
    """An answer with fields that this version does not know is read all the same."""
    assert messages.Removed.model_validate_json('{"name": "a", "removed": true, "later": 1}').name == "a"
