"""The points of the kill matrix come from the code: what is added to it cannot be forgotten."""

from __future__ import annotations

import ast

import pytest

from tests.kills.ports import BUCKET, FOLDER, Port
from tests.kills.sites import PASSED, ROOT, UNREACHED, _Reader, passed, sites, written
from tests.kills.trap import outer, site


@pytest.mark.parametrize("port", [BUCKET, FOLDER], ids=["bucket", "folder"])
def test_what_reads_is_of_the_port(port: Port) -> None:
    """A name that is said to read is a method of the protocol, so that none hides a new one under an old name."""
    assert port.reading <= port.methods
    assert port.changing


def test_every_step_of_a_module_is_found() -> None:
    """Calls of the system, of ports, of the store and of the journal are found where they stand, in whatever form."""
    text = """
import os, shutil
_NEW = os.O_WRONLY | os.O_CREAT
class Carrier:
    def effects(self):
        os.rename("a", "b")
        os.open("a", _NEW)
        os.open("a", os.O_RDONLY)
        shutil.rmtree("a")
        self._bucket.put("k")
        self._bucket.head("k")
        partial(self.folder.swap_in, "a")
        file.replace(other)
        text.replace("a", "b")
        with self.journal.atomic():
            pass
        def inner():
            os.unlink("a")
        open("a", "w")
        open("a", "rb")
"""
    found = _Reader("some/module.py", ast.parse(text)).sites()
    assert {place for _, place in found} == {"some.module.Carrier.effects"}
    assert {op for op, _ in found} == {
        "os.rename", "os.open", "os.unlink", "os.rmdir", "bucket.put", "folder.swap_in", "os.replace", "sql COMMIT",
        "open for writing",
    }  # fmt: skip


def test_a_site_is_where_more_is_done_than_handing_on() -> None:
    """Wrappers of a bucket, the journal's own frames and what sends for others are not the place of a step."""
    assert (
        site("bucket.put", "buckets.wrapped.Wrapped.put < transfer.Transfer._send < x.y") == "transfer.Transfer._send"
    )
    assert site("sql COMMIT", "journal.Journal.atomic < engine.Engine._recording < engine.Engine._collect") == (
        "engine.Engine._collect"
    )
    assert site("os.fsync", "durable.fsync < marker._write") == "durable.fsync"
    assert outer("Carrier.begin.<locals>.<lambda>") == "Carrier.begin"


def test_the_whole_daemon_is_read() -> None:
    """The scan finds the steps that everybody knows: a scan that finds nothing would let everything pass."""
    found = sites()
    for known in (
        ("bucket.put", "transfer.Transfer._send"),
        ("folder.swap_in", "transfer.Transfer.install"),
        ("renameat2", "renames.AtomicRenames.exchange"),
        ("sql COMMIT", "engine.Engine._carry_out"),
        ("s3 CompleteMultipartUpload", "buckets.s3_uploads.Uploads.complete"),
        ("os.rename", "marker._write"),
    ):
        assert known in found
    assert {("statement", "INSERT intents"), ("statement", "UPDATE dirty")} <= written()
    assert len(list(ROOT.rglob("*.py"))) > 50


def test_every_step_is_passed_by_a_story() -> None:
    """What the code can do to a disk, a store or the journal is done in some story, or a reason says why not."""
    missed = (sites() | written()) - passed() - UNREACHED.keys()
    told = "tell a story that passes them (tests/kills/stories.py) and run `python -m tests.kills --write`"
    assert not missed, f"{told}, or give a reason in UNREACHED: {sorted(missed)}"


def test_what_is_noted_is_so() -> None:
    """Neither the list of what was passed nor that of what cannot be names anything that the code has not."""
    assert passed() <= sites() | written(), f"{PASSED.name} is old: run `python -m tests.kills --write`"
    assert UNREACHED.keys() <= sites() | written()
    assert not passed() & UNREACHED.keys()
    assert all(UNREACHED.values())
