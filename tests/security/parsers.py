"""Everything that reads what somebody else wrote, with generated inputs: no exception but its own, no hang, and what was
promised to be stable is.

    python -m tests.security.parsers 20000      so many inputs for each; prints the counts
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dorkyd import config, config_edit, marker, trash
from dorkyd.buckets import (
    fastlane,
    gcs_errors,
    gcs_names,
    gcs_reading,
    s3_advice,
    s3_errors,
    s3_names,
    s3_pages,
    s3_reading,
)
from dorkyd.cli import units
from dorkyd.core import ignore, logbook, metadata, paths, sizes
from dorkyd.core.model import Digest, Path, Version
from dorkyd.errors import Blocked, Configuration, DorkyError, PathProblem, Transient
from dorkyd.push import events_of
from dorkyd.tables import facts
from dorkyd.tables import text as text_tables
from dorkyd.tables.worker import Input, Unreadable

CANNED = [
    "dorky",
    "format",
    "changes",
    "path",
    "..",
    "/",
    ".git",
    "\0",
    "\x1b[2J",
    "\ud800",
    "9" * 30,
    "-1",
    "1e999",
    "null",
]

text = st.text(max_size=60) | st.sampled_from(CANNED) | st.text(st.sampled_from("./\\ab~: ()[]*?!#\n\0"), max_size=30)
"""Texts of every kind, lone surrogates among them."""
any_text = text | st.text(st.characters(), max_size=40)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | any_text
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4), max_leaves=12
)


def _like(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Documents that nearly make sense: each field right, wrong, or not there."""
    return st.fixed_dictionaries({}, optional={name: value | documents for name, value in fields.items()})


def _json(value: object) -> bytes:
    return json.dumps(value).encode("utf-8", "surrogatepass")


changes = _like(
    path=any_text,
    verb=st.sampled_from(["put", "copy", "patch", "delete"]),
    op=st.just("a" * 32),
    version=any_text,
    digest=any_text,
    size=st.integers(),
    mode=st.sampled_from(["644", "7777", "x"]),
    replaces=any_text,
    approved=st.booleans(),
)
entries = _like(
    format=st.just(1), replica=any_text, device=any_text, time=any_text, changes=st.lists(changes, max_size=5)
)
projects = _like(format=st.just(1), project_id=any_text, floor=st.integers())
metas = st.dictionaries(
    st.sampled_from(sorted(metadata.OURS)) | any_text,
    any_text | st.integers().map(str) | st.just("a" * 64) | st.text("01234567", max_size=8),
    max_size=8,
)
xml = st.builds(
    lambda parts: "".join(parts).encode("utf-8", "surrogatepass"),
    st.lists(
        st.sampled_from(
            [
                *(
                    "<ListBucketResult>",
                    "<Contents>",
                    "</Contents>",
                    "</Contents><Contents>",
                    "<Key>",
                    "</Key>",
                    "&amp;",
                ),
                *(
                    "<Size>7</Size>",
                    "<Size>",
                    "</Size>",
                    '<ETag>"a"</ETag>',
                    "&quot;",
                    "&#0;",
                    "<!DOCTYPE",
                    "<![CDATA[",
                ),
                *(
                    "<LastModified>2026-11-22T12:00:30Z</LastModified>",
                    "<LastModified>x</LastModified>",
                    "<Key>k</Key>",
                ),
            ]
        )
        | any_text,
        max_size=14,
    ),
)
yaml_lines = st.lists(
    st.sampled_from(
        [
            *(
                "device: a",
                "projects:",
                "  - name: x",
                "    path: /nowhere/x",
                "    bucket: s3://acme/x",
                "    mode: pull",
            ),
            *(
                "  - path: ~/y",
                "    bucket: gs://b/%2e%2e",
                "    bucket: file:///nowhere/b",
                "    poll_s: 1e99",
                "    trash: {}",
            ),
            *(
                "    guard: {percent: -1}",
                "    bandwidth: {up: 10MiB}",
                "&a [*a]",
                "a: *a",
                "<<: {}",
                "? [x]",
                "--- !!python/x",
            ),
            *(
                "    ignore: ['[[', '**/**']",
                "    push: {queue_url: 'https://sqs/1/q'}",
                "\t",
                "poll_s: .nan",
                "- - - -",
                "%YAML 9",
            ),
        ]
    )
    | any_text,
    max_size=9,
).map("\n".join)
urls = any_text | st.builds("{}://{}/{}".format, st.sampled_from(["s3", "gs", "file", "http", ""]), any_text, any_text)
errors = st.fixed_dictionaries(
    {
        "Error": st.dictionaries(st.sampled_from(["Code", "Message", "Region", "Endpoint"]), any_text),
        "ResponseMetadata": st.fixed_dictionaries(
            {"HTTPStatusCode": st.integers(100, 999)},
            optional={
                "HTTPHeaders": st.dictionaries(
                    st.sampled_from(["date", "retry-after", "x-amz-bucket-region", "location"]), any_text
                )
            },
        ),
    }
)
"""Errors of S3 as the SDK gives them: it makes texts of what the store wrote."""
headers = st.dictionaries(
    st.sampled_from(["Content-Range", "Content-Length", "x-goog-stored-content-length"]),
    any_text | st.builds("bytes {}-{}/{}".format, st.integers(), st.integers(), st.integers()) | st.just("9" * 5000),
)
HOMES = config.find_homes({"DORKY_HOME": "/nowhere/home", "HOME": "/nowhere"})
ASKED = s3_errors.Asked("PutObject", "k", "acme", "api", None, None)


class _Refusal(Exception):
    """As botocore raises it."""

    def __init__(self, response: object) -> None:
        super().__init__("refused")
        self.response = response


@dataclass
class _Reply:
    status_code: int
    headers: Mapping[str, str]


def _entry(raw: bytes) -> None:
    entry = logbook.decode_entry(raw)
    for change in entry.changes:
        assert paths.parse(change.path) == change.path
        assert change.mode is None or change.mode & ~0o777 == 0
    again = logbook.decode_entry(logbook.encode_entry(entry))
    assert again.changes == entry.changes
    assert len(entry.device) <= 255


def _project(raw: bytes) -> None:
    found = logbook.decode_project(raw)
    if found is not None:
        assert logbook.decode_project(logbook.encode_project(found)) == found
        moved = logbook.decode_project(logbook.with_floor(raw, 7))
        assert moved is not None
        assert (moved.project_id, moved.floor) == (found.project_id, 7)
        assert found.project_id.isprintable()


def _metadata(meta: dict[str, str]) -> None:
    remote = metadata.remote_of(Version("1"), 3, None, meta)
    assert remote.mode is None or remote.mode & ~0o777 == 0
    assert remote.mtime_ns is None or abs(remote.mtime_ns) < 2**63
    assert remote.device is None or len(remote.device) <= 255
    if remote.digest is not None and remote.op is not None:
        written = metadata.encode(
            digest=remote.digest,
            mtime_ns=remote.mtime_ns,
            mode=remote.mode,
            device=(remote.device or "").encode(errors="replace").decode(),
            op=remote.op,
            ancestry=remote.ancestry,
            user=metadata.user_keys(meta),
        )
        again = metadata.remote_of(Version("1"), 3, None, written)
        assert (again.digest, again.mode, again.op, again.ancestry) == (
            remote.digest,
            remote.mode,
            remote.op,
            remote.ancestry,
        )


def _path(given_text: str) -> None:
    problem = paths.key_problem(given_text)
    if problem is not None:
        f"{problem.path}{problem.detail}{problem.hint}".encode()
    with suppress(PathProblem):
        path = paths.parse(given_text)
        assert problem is None
        assert paths.parse(path) == path
        assert not {".", "..", ""} & set(path.split("/"))
        assert not any(paths.is_reserved(part) for part in path.split("/"))


def _names(given_text: str, device: str, mtime_ns: int) -> None:
    paths.is_reserved(given_text)
    paths.parse_conflict(Path(given_text))
    kept = paths.kept_name(Path(given_text))
    assert paths.kept_name(kept) == kept or paths.parse_conflict(kept) is not None
    plain = paths.without_conflict(Path(given_text))
    assert paths.without_conflict(plain) == plain
    with suppress(PathProblem):
        path = paths.parse(given_text)
        copy = paths.conflict_name(path, device=device, mtime_ns=mtime_ns, digest=Digest("sha256:" + "3f" * 32))
        assert copy.rpartition("/")[0] == path.rpartition("/")[0]
        found = paths.parse_conflict(copy)
        assert found is not None
        assert found.device.isprintable()


def _ignored(rules: str, path: str) -> None:
    ignore.check(rules)
    judge = ignore.IgnoreRules((), rules)
    with suppress(PathProblem):
        checked = paths.parse(path)
        assert judge.skip(checked, False) == judge.skip(checked, False)
    assert judge.skip(Path(".git"), True)
    assert judge.skip(Path("d/.dorky"), True)


def _settings(document: str) -> None:
    with suppress(Configuration):
        config.read_settings(document, HOMES, host="host")


def _edited(document: str, name: str) -> None:
    with suppress(Configuration):
        config.read_settings(document, HOMES, host="host")
        for change in (
            lambda: config_edit.add_project(document, {"name": name, "path": "/nowhere/z", "bucket": "s3://acme/z"}),
            lambda: config_edit.remove_project(document, name),
            lambda: config_edit.set_bandwidth(document, None, up=1 << 20, down=None),
        ):
            with suppress(DorkyError):
                change()


def _s3_page(body: bytes) -> None:
    found = s3_pages.split(body)
    if found is not None:
        for each in found[1]:
            assert isinstance(each.key, str)
            assert isinstance(each.size, int)


def _s3_error(response: object) -> None:
    with_reply = _Refusal(response)
    if isinstance(response, dict) and isinstance(response.get("Error"), dict):
        told = s3_advice.convert(with_reply, ASKED)
        assert told is None or isinstance(told, DorkyError)


def _lane_error(said: str) -> None:
    refused = fastlane.Refused(OSError(said))
    s3_errors.meaning_of(refused)
    assert len(str(refused)) < 150


def _google_error(status: int, reason: str, message: str, after: str) -> None:
    asked = gcs_errors.Asked("objects.get", "k", "acme", "api", None, ("storage.objects.get",))
    told = gcs_errors.convert(gcs_errors.Answered(status, reason, message, after), asked)
    assert told is None or isinstance(told, DorkyError)


def _ranges(status: int, said: dict[str, str]) -> None:
    for told in said.values():
        with suppress(Transient):
            first, stop, size = s3_reading._content_range(told)
            assert 0 <= first < stop <= size
    with suppress(Transient):
        first, stop, size = gcs_reading._range(_Reply(status, said))
        assert 0 <= first <= stop <= size


def _google_object(resource: dict[str, Any]) -> None:
    with suppress(Transient):
        gcs_names.info_of(resource)


def _urls(url: str) -> None:
    for parse in (s3_names.parse_url, gcs_names.parse_url):
        with suppress(Configuration):
            name, prefix = parse(url)
            assert name
            assert not prefix.startswith("/")


def _message(body: str) -> None:
    for key, version in events_of(body, "acme", "api"):
        assert isinstance(key, str)
        assert version is None or isinstance(version, str)


def _marker(content: object) -> None:
    with suppress(ValueError, Blocked):
        found = marker._parse(content)
        assert found.counter >= 0


def _small(said: str) -> None:
    sizes.size_of(said)
    with suppress(ValueError):
        units.seconds(said)
    units.ago(said)
    units.moment(said)
    trash._displaced_ns(said)
    logbook.entry_number(said)
    gcs_names.md5_of(said)
    gcs_names.generation_of(Version(said))
    s3_names.decoded(said, {"EncodingType": "url"})
    with suppress(Transient):
        gcs_names.seconds_of(said)


notifications = _like(
    Records=st.lists(
        _like(
            eventName=st.sampled_from(["ObjectCreated:Put", "ObjectRemoved:Delete", "x"]),
            s3=_like(
                bucket=_like(name=st.just("acme")),
                object=_like(key=any_text | st.just("api/k%2Fx+y"), eTag=any_text, sequencer=any_text),
            ),
        ),
        max_size=3,
    ),
    Message=any_text,
)
ids = st.from_regex(r"[0-9]{8}T[0-9]{6}\.[0-9]{9}Z-[0-9a-f]{8}", fullmatch=True)


def _facts(data: bytes) -> None:
    """Facts about a table: what is read is written as it was read."""
    read = facts.loads(data)
    if read is not None:
        again = facts.loads(facts.dumps(read))
        assert again is not None
        assert len(again.columns) == len(read.columns) <= read.width


def _csv(path: str, content: bytes) -> None:
    """A CSV or JSON lines file: described, or refused with a word."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        with suppress(Unreadable), Input(os.dup(file.fileno())) as given:
            look = text_tables.json_facts if path.endswith("l") else text_tables.csv_facts
            told = look(path, given, 4096)
            assert facts.decode(facts.encode(told)) is not None


columns = st.lists(_like(name=any_text, type=any_text, nulls=st.integers(), low=any_text, high=any_text), max_size=4)
tables = _like(
    schema=st.just(facts.SCHEMA), format=st.sampled_from(["csv", "parquet"]), size=st.integers(0), width=st.integers(0, 9),
    columns=columns, rows=st.integers(), notes=st.lists(any_text), dialect=st.dictionaries(any_text, any_text),
)  # fmt: skip
csv_bytes = st.binary(max_size=300) | st.lists(any_text, max_size=20).map(
    lambda parts: ",".join(parts).encode("utf-8", "surrogatepass")
)

PARSERS: dict[str, tuple[Callable[..., None], tuple[st.SearchStrategy[Any], ...]]] = {
    "log entry": (_entry, (st.binary(max_size=80) | documents.map(_json) | entries.map(_json),)),
    "project document": (_project, (st.binary(max_size=80) | projects.map(_json),)),
    "metadata": (_metadata, (metas,)),
    "path and key": (_path, (any_text,)),
    "names of copies": (_names, (any_text, any_text, st.integers())),
    "ignore file": (_ignored, (any_text | st.lists(any_text).map("\n".join), any_text)),
    "configuration": (_settings, (yaml_lines,)),
    "edit of the configuration": (_edited, (yaml_lines, any_text)),
    "S3 listing": (_s3_page, (xml,)),
    "S3 error": (_s3_error, (errors,)),
    "obstore error": (_lane_error, (any_text | xml.map(lambda b: b.decode(errors="replace")),)),
    "Google error": (_google_error, (st.integers(100, 999), any_text, any_text, any_text)),
    "range": (_ranges, (st.sampled_from([200, 206]), headers)),
    "Google object": (
        _google_object,
        (_like(generation=st.just("1"), size=any_text, updated=any_text, metadata=st.dictionaries(any_text, scalars)),),
    ),
    "bucket URL": (_urls, (urls,)),
    "queue message": (_message, (any_text | notifications.map(lambda m: _json(m).decode(errors="replace")),)),
    "folder marker": (
        _marker,
        (documents | _like(format=st.integers(), project_id=any_text, replica=any_text, counter=st.integers()),),
    ),
    "facts about a table": (_facts, (st.binary(max_size=80) | documents.map(_json) | tables.map(_json),)),
    "text tables": (_csv, (st.sampled_from(["t.csv", "t.tsv", "t.jsonl"]), csv_bytes)),
    "numbers, times and ids": (_small, (any_text | ids | st.integers().map(str) | st.just("9" * 5000),)),
}
"""What reads, and what it is given."""
LONGEST_S = 5.0
"""An input that takes longer hangs."""
counts: Counter[str] = Counter()
"""How many inputs each was given."""


def fuzz(name: str, examples: int) -> None:
    """Give a parser so many inputs. Raises what it raises that it should not."""
    check, strategies = PARSERS[name]

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.tuples(*strategies))
    def run(inputs: tuple[Any, ...]) -> None:
        counts[name] += 1
        began = time.thread_time()
        check(*inputs)
        assert time.thread_time() - began < LONGEST_S, "it hangs"

    run()


def main() -> None:
    """The long mode."""
    examples = int(sys.argv[1])
    for name in PARSERS:
        began = time.process_time()
        fuzz(name, examples)
        print(f"{name:<28} {counts[name]:>9,} inputs  {time.process_time() - began:7.1f} s", flush=True)  # noqa: T201
    print(f"{'all':<28} {counts.total():>9,} inputs")  # noqa: T201


if __name__ == "__main__":
    main()
