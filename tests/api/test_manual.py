"""The routes of mode manual: what they hand on, and how they answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from dorkyd.core.model import Path, Version
from dorkyd.core.report import ChangeItem, ManualStatus, PushResult, SkippedItem, State, SyncResult
from dorkyd.errors import Refused, Transient
from tests.api.fakes import digest_of
from tests.api.serving import Served

URL = "/v1/projects/api"


def change(path: str, **said: Any) -> ChangeItem:
    """A staged file."""
    fields = {"staged": "modified", "outdated": False, "changed": "", "behind": "", **said}
    return ChangeItem(Path(path), digest=digest_of(1), size=3, version=Version("v"), **fields)


class FakeManual:
    """Keeps what it is told, and answers from what it holds."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.held = [change(f"f{n}") for n in range(5)]
        self.error: Exception | None = None
        self.skipped = SkippedItem(Path("link"), "symlink", "it is a link")

    def changes(self, after: str, limit: int) -> Sequence[ChangeItem]:
        return [item for item in self.held if item.path > after][:limit]

    def stage(self, paths: Sequence[str]) -> tuple[Sequence[ChangeItem], Sequence[SkippedItem]]:
        self._ask(list(paths))
        return self.held[:1], [self.skipped]

    def unstage(self, paths: Sequence[str]) -> Sequence[ChangeItem]:
        self._ask(list(paths))
        return [change("f0", staged="", changed="modified")]

    def reword(self, message: str) -> ManualStatus:
        self._ask(message)
        return ManualStatus(staged=1, message=message)

    def push(self, message: str | None) -> PushResult:
        self._ask(message)
        return PushResult("1f" * 32, 7, message or "1 path", "Ann", "laptop", "2026-11-22T10:00:00Z", 1, (Path("l"),))

    def pull(self, *, timeout_s: float | None) -> SyncResult:
        self._ask(timeout_s)
        return SyncResult(True, State.IN_SYNC, "1 staged")

    def _ask(self, what: object) -> None:
        self.asked.append(what)
        if self.error is not None:
            raise self.error


@pytest.fixture
def manual(served: Served) -> FakeManual:
    """Of the served project."""
    served.project.manual = FakeManual()  # type: ignore[attr-defined]
    fake: FakeManual = served.project.manual  # type: ignore[attr-defined]
    return fake


def test_changes_in_pages(served: Served, manual: FakeManual) -> None:
    """Following `next` visits each once; an item about a file has path, digest, size and version."""
    seen, after = [], ""
    while after is not None:
        page = served.http.get(f"{URL}/changes", params={"after": after, "limit": 2}).json()
        seen += page["items"]
        after = page["next"]
    assert [item["path"] for item in seen] == [item.path for item in manual.held]
    assert set(seen[0]) == {"path", "staged", "outdated", "changed", "behind", "digest", "size", "version"}


def test_what_is_asked_arrives(served: Served, manual: FakeManual) -> None:
    """Each action with its words, and the answer field by field."""
    staged = served.http.post(f"{URL}/stage", json={"paths": ["f0", "d"]}).json()
    assert [item["path"] for item in staged["items"]] == ["f0"]
    assert staged["skipped"] == [{"path": "link", "code": "symlink", "detail": "it is a link"}]
    assert served.http.post(f"{URL}/unstage", json={"paths": ["."]}).json()["items"][0]["staged"] == ""
    assert served.http.post(f"{URL}/reword", json={"message": "why"}).json()["message"] == "why"
    pushed = served.http.post(f"{URL}/push", json={"message": "why"}).json()
    assert (pushed["id"], pushed["seq"], pushed["lost"], pushed["told"]) == ("1f" * 32, 7, ["l"], True)
    assert served.http.post(f"{URL}/push", json={}).json()["message"] == "1 path"
    assert served.http.post(f"{URL}/pull", json={"timeout_s": 5}).json()["converged"] is True
    assert manual.asked == [["f0", "d"], ["."], "why", "why", None, 5.0]


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (Refused("moved", code="remote-moved", hint="dorkyctl pull api"), 409, "state"),
        (Refused("old", code="outdated"), 409, "state"),
        (Refused("nothing", code="nothing-staged"), 409, "state"),
        (Transient("who knows", code="outcome-unknown", retry_after_s=3), 503, "temporary"),
    ],
)
def test_refusals(served: Served, manual: FakeManual, error: Exception, status: int, kind: str) -> None:
    """A state that a person must change first is a conflict; what a look will tell is temporary."""
    manual.error = error
    answer = served.http.post(f"{URL}/push", json={})
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:dorky:problem:{kind}")
    assert answer.json()["code"] == getattr(error, "code", "")


@pytest.mark.parametrize("body", [{}, {"paths": []}, {"paths": "f"}, {"paths": ["f"], "all": True}])
def test_what_makes_no_sense_is_refused(served: Served, manual: FakeManual, body: dict[str, Any]) -> None:
    """No paths, or words that nobody knows."""
    assert served.http.post(f"{URL}/stage", json=body).status_code == 422
    assert manual.asked == []


def test_status_of_other_modes(served: Served) -> None:
    """`manual` is null there, and says how many paths wait in mode manual."""
    assert served.http.get("/v1/status").json()["projects"][0]["manual"] is None
    served.project.publish(manual=ManualStatus(staged=1, behind=2, message="why"))
    (project,) = served.http.get("/v1/status").json()["projects"]
    assert project["manual"] == {
        "staged": 1, "changed": 0, "behind": 2, "message": "why", "pulling": False, "pushing": False,
    }  # fmt: skip
