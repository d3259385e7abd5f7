"""Looking at a bucket before anything is paired with it: real directories as buckets."""

from __future__ import annotations

from pathlib import Path

import pytest

from dorkyd import config, prospecting
from dorkyd.buckets import open_bucket
from dorkyd.config_team import TeamFile, read_team_file, write_team_file
from dorkyd.control_prospect import Wish
from dorkyd.core import members
from dorkyd.core.logbook import PROJECT, ProjectDocument, encode_project
from dorkyd.core.settings import Project
from dorkyd.daemon import SystemClock
from dorkyd.errors import Blocked, Configuration, Refused
from dorkyd.news import Bytes
from dorkyd.prospecting import Prospector

ID = "0123456789abcdef"


class Place:
    """A bucket's directory, and who looks at it."""

    def __init__(self, tmp_path: Path) -> None:
        self.directory = tmp_path / "bucket"
        self.url = f"file://{self.directory}"
        self.trusted: str | None = None
        homes = config.find_homes({"HOME": str(tmp_path), "DORKY_HOME": str(tmp_path / "h")})
        self.at = Prospector(
            lambda wish: config.prospective(homes, bucket=wish.bucket, region=wish.region),
            open_bucket,
            lambda: [Project("api", str(tmp_path), self.url)],
            lambda _project, _id: self.trusted,
            SystemClock(),
        )

    def put(self, key: str, data: bytes = b"x") -> None:
        """As a teammate's daemon did."""
        self.directory.mkdir(exist_ok=True)
        bucket = open_bucket(Project("api", "", self.url))
        bucket.put(key, Bytes(data), replaces=None, meta={})
        bucket.close()


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A bucket that is not there yet."""
    return Place(tmp_path)


def test_what_is_there(place: Place) -> None:
    """The project, its keys, its files without ours, and when something changed last."""
    place.put(PROJECT, encode_project(ProjectDocument(ID, 1)))
    place.put(members.key_of_document(1), b"first")
    place.put("d/f.txt", b"12345")
    place.put(".env", b"1")
    found = place.at.look(Wish(place.url + "/"), try_it=False)
    assert (found.bucket, found.project, found.fingerprint) == (place.url, ID, members.fingerprint(b"first"))
    assert (found.files, found.bytes, sorted(found.names), found.more) == (2, 6, [".env", "d/f.txt"], False)
    assert found.newest is not None
    assert list(found.findings) == []


def test_looking_makes_nothing(place: Place) -> None:
    """A directory that is not there is not made; what trying leaves is nothing."""
    assert place.at.look(Wish(place.url), try_it=False).project is None
    assert not place.directory.exists()
    tried = place.at.look(Wish(place.url), try_it=True)
    assert [finding.check for finding in tried.findings if not finding.ok] == []
    assert "bucket-conditions" in {finding.check for finding in tried.findings}
    assert [str(left) for left in place.directory.rglob("*") if left.is_file() and "directory" not in str(left)] == []


def test_counting_ends(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket of millions is not counted to its end."""
    monkeypatch.setattr(prospecting, "MOST_COUNTED", 2)
    for number in range(5):
        place.put(f"f{number}")
    assert place.at.look(Wish(place.url), try_it=False).more


@pytest.mark.parametrize("wish", [Wish("s3:/acme/api"), Wish("file:///b", region="eu-west-1"), Wish("s3://a/.dorky")])
def test_a_url_that_is_none(place: Place, wish: Wish) -> None:
    """As the configuration would refuse it, but for the line."""
    with pytest.raises(Configuration) as told:
        place.at.look(wish, try_it=False)
    assert not str(told.value).startswith("config.yaml")


def test_an_invitation(place: Place) -> None:
    """Bucket and project; the fingerprint only as it is trusted here."""
    place.put("f")
    assert place.at.invitation("api").project is None
    place.put(PROJECT, encode_project(ProjectDocument(ID, 1)))
    told = place.at.invitation("api")
    assert (told.bucket, told.project, told.fingerprint) == (place.url, ID, None)
    place.put(members.key_of_document(1), b"first")
    with pytest.raises(Blocked, match="not trusted here"):
        place.at.invitation("api")
    place.trusted = members.fingerprint(b"first")
    assert place.at.invitation("api").fingerprint == place.trusted
    with pytest.raises(Refused):
        place.at.invitation("web")


# --- .dorky.yaml ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [TeamFile("s3://acme/api", ID, "0f1e-2d3c"), TeamFile("file:///a b: #c", "yes"), TeamFile("gs://a/b", "0123")],
)
def test_it_is_read_as_it_was_written(tmp_path: Path, told: TeamFile) -> None:
    """Whatever the texts look like to YAML; nothing but the three."""
    file = write_team_file(str(tmp_path), told)
    assert read_team_file(str(tmp_path)) == told
    keys = [line.partition(":")[0] for line in file.read_text().splitlines() if not line.startswith("#")]
    assert keys == ["bucket", "project", "fingerprint"][: len(keys)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("bucket: [", ":1: "),
        ("project: p1", "names no bucket"),
        ("- a", ":1: "),
        ("", "names no bucket"),
        ("bucket: here", "names no bucket"),
        ("bucket: s3://a/b\nprofile: mine\n", ":2: unknown setting `profile`"),
    ],
)
def test_one_that_cannot_be_followed(tmp_path: Path, text: str, said: str) -> None:
    """It says in which line what is wrong; a setting beside the three is refused."""
    (tmp_path / ".dorky.yaml").write_text(text)
    with pytest.raises(Configuration) as told:
        read_team_file(str(tmp_path))
    assert said in str(told.value)
    assert read_team_file(str(tmp_path / "nowhere")) is None
