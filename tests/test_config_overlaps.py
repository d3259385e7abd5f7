from __future__ import annotations

from pathlib import Path

import pytest

from dorkyd import config
from dorkyd.core.settings import Settings
from dorkyd.errors import Configuration


@pytest.fixture
def homes(tmp_path: Path) -> config.Homes:
    """A `DORKY_HOME` beside the folders that tests use."""
    return config.find_homes({"HOME": str(tmp_path), "DORKY_HOME": str(tmp_path / "dorky")})


def read(text: str, homes: config.Homes) -> Settings:
    """The settings of a text."""
    return config.read_settings(text, homes, host="host")


@pytest.mark.parametrize("names", [("api", "api"), ("api", "API"), ("x", "x")])
def test_equal_names_are_refused(names: tuple[str, str], homes: config.Homes) -> None:
    """Names are unique, case aside."""
    items = [f"  - {{name: {name}, path: /p/{at}, bucket: 's3://acme/{at}'}}\n" for at, name in enumerate(names)]
    with pytest.raises(Configuration, match=r"^config.yaml:3: two projects are named"):
        read("projects:\n" + "".join(items), homes)


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        ("s3://acme/api", "s3://acme/api", True),
        ("s3://acme/api", "s3://acme/api/sub", True),
        ("s3://acme", "s3://acme/api", True),
        ("s3://acme/api", "s3://acme/api2", False),
        ("s3://acme/api", "s3://other/api", False),
    ],
)
def test_nested_prefixes_are_refused(first: str, second: str, overlap: bool, homes: config.Homes) -> None:
    """Two projects may share a bucket, never a prefix."""
    text = f"projects:\n  - {{path: /p/a, bucket: '{first}'}}\n  - {{path: /p/b, bucket: '{second}'}}\n"
    if not overlap:
        assert len(read(text, homes).projects) == 2
        return
    with pytest.raises(Configuration, match=r"^config.yaml:3: .* overlap; give each its own prefix"):
        read(text, homes)


@pytest.mark.parametrize(
    ("folders", "buckets"),
    [
        (["{t}/a", "{t}/a"], ["s3://acme/a", "s3://acme/b"]),
        (["{t}/a", "{t}/a/b"], ["s3://acme/a", "s3://acme/b"]),
        (["{t}/a/b", "{t}/a"], ["s3://acme/a", "s3://acme/b"]),
        (["{t}/real", "{t}/link/b"], ["s3://acme/a", "s3://acme/b"]),
        (["{t}/a"], ["file://{t}/a/bucket"]),
        (["{t}/a/b"], ["file://{t}/a"]),
        (["{t}/a", "{t}/b"], ["file://{t}/x", "file://{t}/x/y"]),
        (["{t}/dorky/state"], ["s3://acme/a"]),
        (["{t}"], ["s3://acme/a"]),
        (["{t}/a"], ["file://{t}/dorky/state"]),
        (["{t}/a"], ["file://{t}/dorky/state/buckets/a/b"]),
        (["{t}/dorky/state/buckets/a"], ["file://{t}/dorky/state/buckets/a"]),
    ],
)
def test_nested_directories_are_refused(
    folders: list[str], buckets: list[str], tmp_path: Path, homes: config.Homes
) -> None:
    """No project folder, bucket directory or directory of ours lies in another, symlinks resolved."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    pairs = zip(folders, buckets, strict=True)
    items = [f"  - {{name: n{at}, path: {folder}, bucket: '{bucket}'}}\n" for at, (folder, bucket) in enumerate(pairs)]
    with pytest.raises(Configuration, match="keep them apart"):
        read("projects:\n" + "".join(items).replace("{t}", str(tmp_path)), homes)


def test_one_directory_with_two_names_is_noticed(
    tmp_path: Path, homes: config.Homes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where names differ the inode tells (a folding file system, a bind mount); here a symlink kept from resolving."""
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to("real")
    monkeypatch.setattr("os.path.realpath", str)
    with pytest.raises(Configuration, match="keep them apart"):
        read(
            f"projects:\n  - {{path: {tmp_path}/real, bucket: 's3://acme/a'}}\n"
            f"  - {{path: {tmp_path}/alias/deep, bucket: 's3://acme/b'}}\n",
            homes,
        )


def test_siblings_are_fine(tmp_path: Path, homes: config.Homes) -> None:
    """Directories beside each other, one name the other's beginning, are no nesting."""
    text = f"projects:\n  - {{path: {tmp_path}/a, bucket: 'file://{tmp_path}/ab'}}\n"
    assert len(read(text, homes).projects) == 1
