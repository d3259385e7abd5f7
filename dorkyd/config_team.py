"""`.dorky.yaml`: what a team commits to git, so that a clone knows its bucket. Bucket, project and fingerprint, nothing else.

Whoever can write to the repository can write this file: what it says is shown to a person before it is followed.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from dorkyd.config_nodes import Source
from dorkyd.errors import Configuration

NAME = ".dorky.yaml"
HEAD = """\
# Which bucket dorkyd keeps this folder in sync with: `dorkyctl up` in a clone joins it, and asks first.
# Written by `dorkyctl invite`. It holds no secret, and belongs into git.
"""
_KEYS = ("bucket", "project", "fingerprint")
_SCHEMES = re.compile(r"(s3|gs|file)://\S")


@dataclass(frozen=True, slots=True)
class TeamFile:
    """What it says."""

    bucket: str
    project: str | None = None
    """The id of the project in the bucket; None: it does not say."""
    fingerprint: str | None = None
    """Of the project's keys; None: it does not say, or there are none."""


def read_team_file(folder: str) -> TeamFile | None:
    """None: there is no such file. Raises `Configuration` for one that cannot be followed."""
    file = Path(folder) / NAME
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        raise Configuration(f"{file} cannot be read", hint="correct it, or remove it and name the bucket") from exc
    source = Source(file)
    root = source.compose(text)
    if root is None:
        raise source.wrong(1, "it names no bucket: write `bucket: s3://bucket/prefix`, or remove the file")
    table = source.table(root, NAME, _KEYS)
    bucket = table.text("bucket")
    if bucket is None or not _SCHEMES.match(bucket) or not bucket.isprintable():
        raise table.wrong("bucket", "it names no bucket: write `bucket: s3://bucket/prefix`, or remove the file")
    return TeamFile(bucket, table.text("project"), table.text("fingerprint"))


def write_team_file(folder: str, told: TeamFile) -> Path:
    """Write it, and return where."""
    file = Path(folder) / NAME
    lines = [f"{key}: {_plain(value)}\n" for key in _KEYS if (value := getattr(told, key)) is not None]
    staged = file.with_name(f"{NAME}.new")
    staged.write_text(HEAD + "".join(lines), encoding="utf-8")
    staged.replace(file)
    return file


def _plain(value: str) -> str:
    """As it is, where YAML reads it back so; else in quotes, which JSON and YAML share."""
    try:
        same = yaml.safe_load(f"k: {value}") == {"k": value}
    except yaml.YAMLError:
        same = False
    return value if same else json.dumps(value)
