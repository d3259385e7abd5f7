"""Adopting a project of the npm tool: the folder and the prefix together, over a store in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dorkyd.buckets.memory import Fault, Faults, MemoryBucket
from dorkyd.control import NewProject
from dorkyd.control_import import ImportWish
from dorkyd.core.npm_plan import ImportPlan
from dorkyd.core.settings import Project
from dorkyd.errors import AuthExpired, Refused
from dorkyd.importing import Importer
from dorkyd.news import Bytes
from tests.npm.tool import KEY_ID, SECRET, NpmTool, nothing_changes


@dataclass
class Named:
    """A project that was added."""

    name: str


@dataclass
class Place:
    """The npm tool in a folder `api` over a store in memory, and what is added."""

    tool: NpmTool
    store: MemoryBucket
    faults: Faults | None = None
    opened: list[Project] = field(default_factory=list)
    added: list[NewProject] = field(default_factory=list)
    projects: list[Project] = field(default_factory=list)

    @property
    def importer(self) -> Importer:
        return Importer(self._open, self._add, lambda: self.projects)

    def _open(self, project: Project) -> MemoryBucket:
        self.opened.append(project)
        return self.store.client(faults=self.faults)

    def _add(self, new: NewProject) -> Any:
        self.added.append(new)
        assert new.path is not None
        assert new.bucket is not None
        self.projects.append(Project(new.name or "api", new.path, new.bucket, ignore=new.ignore))
        return Named(self.projects[-1].name)

    def plan(self, **wish: Any) -> ImportPlan:
        return self.importer.plan(ImportWish(str(self.tool.root), **wish))

    def carry_out(self, **wish: Any) -> ImportPlan:
        return self.importer.carry_out(ImportWish(str(self.tool.root), **wish))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """One file, pushed."""
    store = MemoryBucket(etags=True)

    def put(key: str, content: bytes) -> None:
        key = key.removeprefix("api/")
        there = store.head(key)
        store.put(key, Bytes(content), replaces=there.version if there else None, meta={})

    tool = NpmTool(tmp_path / "api", put)
    tool.init()
    (tool.root / ".env").write_text("A=1")
    tool.add("./.env")
    tool.push()
    return Place(tool, store)


def refused(call: Callable[[], object]) -> Refused:
    """What a call is refused with."""
    with pytest.raises(Refused) as caught:
        call()
    return caught.value


def test_plan(place: Place) -> None:
    """Where it goes, what is equal, its history and its credentials; asked with one listing, and nothing is changed."""
    with nothing_changes(place.tool.root):
        plan = place.plan()
    assert (plan.name, plan.bucket, plan.region, plan.storage) == ("api", "s3://acme/api", "us-east-1", "aws")
    assert plan.counts["same"] == 1
    assert (plan.history.pushes, plan.history.objects, plan.history.missing) == (1, 1, 0)
    assert (plan.ignore, plan.untracked) == ((), 0)
    assert [warning.code for warning in plan.warnings] == ["credentials-in-plain-text", "history-stays"]
    assert SECRET not in repr(plan)
    assert KEY_ID not in repr(plan)
    assert place.added == []


@pytest.mark.parametrize(
    ("given", "url"),
    [
        (None, "s3://acme/api"),
        ("s3://other", "s3://other/api"),
        ("s3://other/", "s3://other/api"),
        ("s3://other/team/x/", "s3://other/team/x"),
        ("gs://other/x", "gs://other/x"),
    ],
)
def test_bucket(place: Place, given: str | None, url: str) -> None:
    """The npm tool's own, below the folder's name; a bucket alone gets the name; a prefix is taken as it is."""
    assert place.plan(bucket=given).bucket == url
    assert place.opened[0].region == ("us-east-1" if given is None else None)


def test_carried_out(place: Place) -> None:
    """One project is added, as the plan says, and the npm tool's files stay as they are."""
    (place.tool.root / "main.py").write_text("print()")
    shown = place.plan()
    with nothing_changes(place.tool.root):
        done = place.carry_out(token=shown.token)
    assert done == shown
    (new,) = place.added
    assert new == NewProject(
        str(place.tool.root),
        "s3://acme/api",
        region="us-east-1",
        ignore=("/*", "!/.env"),
        over_npm=True,
    )


@pytest.mark.parametrize("change", ["folder", "bucket", "wish"])
def test_a_plan_that_is_no_longer_so(place: Place, change: str) -> None:
    """What is carried out is what was shown: after a change on either side, or another wish, nothing is done."""
    shown = place.plan(everything=True)
    if change == "folder":
        (place.tool.root / "main.py").write_text("print()")
    elif change == "bucket":
        place.store.put("x", Bytes(b"x"), replaces=None, meta={})
    assert refused(lambda: place.carry_out(token=shown.token, everything=True, retire=change == "wish")).code == (
        "refused-by-guard"
    )
    assert place.added == []


def test_retired_later(place: Place) -> None:
    """A second run is refused, or moves the npm tool's files when that is asked for; then there is nothing left."""
    place.carry_out()
    assert refused(place.plan).code == "already-imported"
    shown = place.plan(retire=True)
    assert shown.moves == ("metadata.json", "history.json", "credentials.json")
    place.carry_out(retire=True, token=shown.token)
    assert len(place.added) == 1
    assert refused(lambda: place.plan(retire=True)).code == "already-imported"
    assert place.plan(history=True).moves == ()


def test_google_drive(place: Place) -> None:
    """It cannot be adopted in place, and the answer says what to do; into a bucket that is named, it can."""
    file = place.tool.root / ".dorky/credentials.json"
    file.write_text(json.dumps({"storage": "google-drive", "access_token": SECRET}))
    told = refused(place.plan)
    assert told.code == "google-drive"
    assert "dorky --pull" in told.hint
    plan = place.plan(bucket="s3://mine/api")
    assert {"google-drive", "credentials-in-plain-text"} <= {warning.code for warning in plan.warnings}
    assert SECRET not in repr(plan)


def test_no_credentials(place: Place) -> None:
    """As in a fresh clone: the bucket must be named."""
    (place.tool.root / ".dorky/credentials.json").unlink()
    assert refused(place.plan).code == "no-bucket"
    assert [warning.code for warning in place.plan(bucket="s3://acme").warnings] == ["history-stays"]


def test_two_folders_of_one_name(place: Place) -> None:
    """A prefix that another folder of this machine is in sync with is refused by that project's name."""
    place.projects.append(Project("api", "/elsewhere/api", "s3://acme/api"))
    told = refused(place.plan)
    assert told.code == "prefix-in-use"
    assert "/elsewhere/api" in str(told)


def test_encrypted(place: Place) -> None:
    """Objects that are not the files' bytes are not adopted."""
    file = place.tool.root / ".dorky/metadata.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "encryption": {}}))
    assert refused(place.plan).code == "npm-encrypted"


def test_too_many_to_tell_apart(place: Place) -> None:
    """More patterns than a configuration should hold are refused; the whole folder needs none."""
    for number in range(1000):
        (place.tool.root / f"f{number}").write_text("x")
    place.tool.add(*(f"f{number}" for number in range(1000)))
    (place.tool.root / "main.py").write_text("print()")
    assert refused(place.plan).code == "too-many-patterns"
    assert place.plan(everything=True).ignore == ()


def test_credentials_that_do_not_work(place: Place) -> None:
    """The SDK's own are asked; the answer says that those in the folder are not used, and how they would be."""
    error = AuthExpired("no credentials", hint="sign in", code="no-credentials")
    place.faults = lambda _verb, _key: Fault(error)
    with pytest.raises(AuthExpired) as caught:
        place.plan()
    assert caught.value.code == "no-credentials"
    assert caught.value.hint.startswith("sign in; ")
    assert "aws configure --profile api" in caught.value.hint
    assert SECRET not in caught.value.hint


def test_an_adopted_prefix(place: Place) -> None:
    """A teammate was first: this folder joins, and our own objects are no part of the plan."""
    place.store.put(".dorky/project.json", Bytes(b"{}"), replaces=None, meta={})
    place.store.put(".dorky/log/000000000001.json", Bytes(b"{}"), replaces=None, meta={})
    plan = place.plan()
    assert "adopted-already" in {warning.code for warning in plan.warnings}
    assert len(plan.items) == 2


def test_names_are_the_persons(place: Place) -> None:
    """A name that was asked for is the project's."""
    place.carry_out(name="web")
    assert place.added[0].name == "web"
