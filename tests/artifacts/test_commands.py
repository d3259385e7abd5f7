"""`dorkyctl put`, `get` and `meta` as a person runs them, against a real daemon."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.artifacts.place import Place
from tests.daemons import wait_until
from tests.e2e.commands import Ran, ctl

pytestmark = pytest.mark.daemon

DORKYCTL = [sys.executable, "-c", "from dorkyd.cli import main; main()"]


def ok(place: Place, *arguments: str, cwd: Path) -> Ran:
    """A command that succeeds."""
    ran = ctl(place.daemon, *arguments, cwd=cwd)
    assert ran.code == 0, (arguments, ran)
    return ran


def piped(place: Place, *arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """A command between two pipes."""
    return subprocess.run(
        [*DORKYCTL, *arguments], check=False, env=place.daemon.env, input=given, capture_output=True, timeout=90
    )


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files in it, one of them empty."""
    made = tmp_path / "data"
    (made / "deep" / "er").mkdir(parents=True)
    (made / ".git").mkdir()
    (made / ".git" / "config").write_text("never")
    (made / "a.txt").write_text("a")
    (made / "deep" / "ü b.bin").write_bytes(os.urandom(2 << 20))
    (made / "deep" / "er" / "empty").touch()
    return made


def test_one_file(place: Place, tmp_path: Path) -> None:
    """It is stored under the name given, with its metadata, told on stdout, and fetched as it was."""
    (tmp_path / "f.bin").write_bytes(b"content")
    put = ok(place, "put", "f.bin", "p:one/f.bin", "--meta", "note=x=y", "--meta", "lang=ü", cwd=tmp_path)
    assert put.out.startswith("Stored one/f.bin (7 B, version ")
    assert put.err == ""
    shown = ok(place, "meta", "p:one/f.bin", cwd=tmp_path).out
    assert "note = x=y" in shown
    assert "lang = ü" in shown
    got = ok(place, "get", "p:one/f.bin", "back", cwd=tmp_path)
    assert got.out == "Fetched p:one/f.bin (7 B) to back.\n"
    assert (tmp_path / "back").read_bytes() == b"content"
    ok(place, "get", "p:one/f.bin", cwd=tmp_path)  # its own name, where the same bytes are already


def test_folders_and_files(place: Place, folder: Path, tmp_path: Path) -> None:
    """Many at once: folders keep their names below the target, what is never stored is left out, and all comes back."""
    (tmp_path / "single").write_text("single")
    (folder / "link").symlink_to("a.txt")
    put = ok(place, "put", "data", "single", "p:many/", cwd=tmp_path)
    assert "Left out, since it is no plain file: data/link" in put.err
    (folder / "link").unlink()
    expected = {f"data/{name}": data for name, data in tree(folder).items() if not name.startswith(".git")}
    expected["single"] = b"single"
    stored = {k.removeprefix("many/"): v for k, v in place.objects().items() if k.startswith("many/")}
    assert sorted(stored) == sorted(expected)
    assert all(stored[name] == data for name, data in expected.items())
    got = ok(place, "get", "p:many/", "out", cwd=tmp_path)
    assert (tree(tmp_path / "out" / "many") == expected) is True  # not compared in words: it is MiBs
    assert len(got.out.splitlines()) == len(expected)


def test_a_pipe(place: Place, tmp_path: Path) -> None:
    """`-` is standard input and standard output, byte for byte; a pipe needs a name."""
    data = os.urandom(3 << 20)
    assert piped(place, "put", "-", "p:piped", given=data).returncode == 0
    assert piped(place, "get", "p:piped", "-").stdout == data
    for arguments in (("put", "-"), ("put", "-", "p:"), ("put", "-", "p:d/"), ("get", "p:piped", "-", "--json")):
        refused = piped(place, *arguments, given=data)
        assert refused.returncode == 2
        assert refused.stdout == b""


def test_json(place: Place, tmp_path: Path) -> None:
    """With --json each artifact is a line with path, digest, size and version, and nothing else is on stdout."""
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    for arguments in (("put", "a", "b", "p:json/"), ("get", "p:json/a", "p:json/b", "."), ("meta", "p:json/a")):
        lines = ok(place, *arguments, "--json", cwd=tmp_path).out.splitlines()
        items: list[dict[str, Any]] = [json.loads(line) for line in lines]
        assert [item["path"] for item in items] == ["json/a", "json/b"][: len(items)]
        assert all({"path", "digest", "size", "version"} <= set(item) for item in items)
    missing = ctl(place.daemon, "meta", "p:json/none", "--json", cwd=tmp_path)
    assert (missing.code, json.loads(missing.out)["code"]) == (2, "no-such-artifact")


def test_found_by_metadata(place: Place, tmp_path: Path) -> None:
    """`ls --meta` lists what has all of it, below a prefix, with what it has."""
    (tmp_path / "f").write_text("x")
    for name, run in (("a", "1"), ("b", "2"), ("c", "2")):
        ok(place, "put", "f", f"p:found/{name}", "--meta", f"run={run}", "--meta", "kind=ü", cwd=tmp_path)
    lines = ok(place, "ls", "p:found/", "--meta", "run=2", "--meta", "kind=ü", cwd=tmp_path).out.splitlines()
    assert [line.split()[2:] for line in lines] == [["found/b", "kind=ü", "run=2"], ["found/c", "kind=ü", "run=2"]]
    (line,) = ok(place, "ls", "p", "found/", "--meta", "run=1", "--json", cwd=tmp_path).out.splitlines()
    assert [item["path"] for item in json.loads(line)["items"]] == ["found/a"]
    assert "found/a" in ok(place, "ls", "p:found/", "--remote", cwd=tmp_path).out
    assert ctl(place.daemon, "ls", "--meta", "run", cwd=tmp_path).code == 2


def test_inside_the_folder(place: Place) -> None:
    """Without a target a file in the project's folder is awaited under its own path."""
    file = place.daemon.root / "sub" / "awaited.txt"
    file.parent.mkdir(exist_ok=True)
    file.write_text("awaited")
    assert "Stored sub/awaited.txt" in ok(place, "put", "awaited.txt", cwd=file.parent).out
    assert place.objects()["sub/awaited.txt"] == b"awaited"
    assert "path" not in ok(place, "meta", "awaited.txt", "k=v", cwd=file.parent).err
    assert "k = v" in ok(place, "meta", "p:sub/awaited.txt", cwd=file.parent).out
    assert "k = v" not in ok(place, "meta", "awaited.txt", "--remove", "k", cwd=file.parent).out


def test_conditions(place: Place, tmp_path: Path) -> None:
    """A version that is there no longer is not replaced."""
    (tmp_path / "f").write_text("1")
    stored = json.loads(ok(place, "put", "f", "p:cond", "--json", cwd=tmp_path).out)
    (tmp_path / "f").write_text("2")
    ok(place, "put", "f", "p:cond", "--if-match", stored["version"], cwd=tmp_path)
    again = ctl(place.daemon, "put", "f", "p:cond", "--if-match", stored["version"], cwd=tmp_path)
    assert again.code == 1
    assert "nothing was changed" in again.err
    assert ctl(place.daemon, "meta", "p:cond", "a=b", "--if-match", stored["version"], cwd=tmp_path).code == 1


def test_what_is_there_is_kept(place: Place, tmp_path: Path) -> None:
    """A file here that differs is not replaced unless that is said; then nothing at all was fetched."""
    place.put("kept/a", b"a")
    place.put("kept/b", b"b")
    (tmp_path / "b").write_bytes(b"mine")
    refused = ctl(place.daemon, "get", "p:kept/a", "p:kept/b", ".", cwd=tmp_path)
    assert refused.code == 7
    assert "--force" in refused.err
    assert tree(tmp_path) == {"b": b"mine"}
    ok(place, "get", "p:kept/a", "p:kept/b", ".", "--force", cwd=tmp_path)
    assert tree(tmp_path) == {"a": b"a", "b": b"b"}


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("put", "missing", "p:x"), 2, "cannot be read"),
        (("put", "p:x"), 2, "nothing to store"),
        (("put", "here", "nobody:x"), 2, "There are: p."),
        (("put", "here", "p:../x"), 2, ""),
        (("put", "here", "p:x", "--meta", "novalue"), 2, "KEY=VALUE"),
        (("put", "here", "p:.git/x"), 2, ""),
        (("get", "p:nothing"), 2, "no 'nothing'"),
        (("get", "p:nothing/"), 2, "nothing below"),
        (("get", "p:there", "missing/"), 0, ""),
        (("meta", "p:nothing", "a=b"), 2, "no 'nothing'"),
    ],
)
def test_what_goes_wrong(place: Place, tmp_path: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    """Each mistake has its message, its exit code, and leaves nothing behind."""
    place.put("there", b"1")
    (tmp_path / "here").write_text("x")
    before = place.objects()
    ran = ctl(place.daemon, *arguments, cwd=tmp_path)
    assert ran.code == code
    assert says in ran.err
    assert sorted(place.objects()) == sorted(before)
    assert code == 0 or tree(tmp_path) == {"here": b"x"}


def test_some_fail(place: Place, tmp_path: Path) -> None:
    """Of several, one that fails is told by name and sets the exit code; the others are done."""
    (tmp_path / "good").write_text("good")
    (tmp_path / ".DS_Store").write_text("ignored")
    ran = ctl(place.daemon, "put", ".DS_Store", "good", "p:some/", cwd=tmp_path)
    assert ran.code == 1
    assert ".DS_Store: " in ran.err
    assert place.objects()["some/good"] == b"good"


def test_a_bar_on_a_terminal(place: Place, tmp_path: Path) -> None:
    """On a terminal there is a bar on stderr, which is gone at the end; stdout has the answer alone."""
    (tmp_path / "f").write_bytes(b"x" * (4 << 20))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*DORKYCTL, "put", "f", "p:bar"],
        env={**place.daemon.env, "TERM": "xterm", "COLUMNS": "100"},
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            more = os.read(ours, 65_536)
        except OSError:  # the other end is closed
            break
        if not more:
            break
        seen += more
    out, _ = process.communicate(timeout=60)
    os.close(ours)
    assert process.returncode == 0
    assert out.startswith(b"Stored bar (4.0 MiB")
    assert b"storing f" in seen
    assert b"MiB" in seen


@pytest.mark.parametrize("sig", [signal.SIGKILL, signal.SIGINT])
def test_ended_in_mid_upload(place: Place, tmp_path: Path, sig: signal.Signals) -> None:
    """A put that is killed or interrupted leaves no object and nothing in staging."""
    process = subprocess.Popen(
        [*DORKYCTL, "put", "-", f"p:ended-{sig.name}"],
        env=place.daemon.env,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A shell's background passes on that SIGINT is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - nothing else is called
    )
    assert process.stdin is not None
    process.stdin.write(b"x" * (3 << 20))
    process.stdin.flush()
    wait_until("its body is on its way", lambda: bool(place.staged()))
    begun = time.monotonic()
    process.send_signal(sig)
    process.stdin.close()
    assert process.wait(60) != 0
    assert time.monotonic() - begun < 30
    process.stderr.close()  # type: ignore[union-attr]
    wait_until("nothing is staged", lambda: not place.staged())
    assert f"ended-{sig.name}" not in list(place.objects())


def test_what_would_overwrite_each_other(place: Place, tmp_path: Path) -> None:
    """Two files for one artifact, or two artifacts for one file, are not both moved: the second is told of and left."""
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same").write_text(folder)
    ran = ctl(place.daemon, "put", "a/same", "b/same", "p:once/", "--jobs", "1", cwd=tmp_path)
    assert ran.code == 2
    assert "b/same: p:once/same is the place of another" in ran.err
    ok(place, "put", "b/same", "p:b/same", cwd=tmp_path)
    ran = ctl(place.daemon, "get", "p:once/same", "p:b/same", "out/", "--jobs", "1", cwd=tmp_path)
    assert ran.code == 2
    assert (tmp_path / "out" / "same").read_text() == "a"


def test_a_folder_that_is_a_link_is_told_of(place: Place, folder: Path, tmp_path: Path) -> None:
    """Links are not followed, to folders as to files, and nobody has to find out by what is missing."""
    (folder / "linked").symlink_to(folder / "deep")
    ran = ok(place, "put", "data", "p:linked/", cwd=tmp_path)
    assert "Left out, since it is no plain file: data/linked" in ran.err


def test_a_pipe_whose_reader_has_had_enough(place: Place, tmp_path: Path) -> None:
    """`dorkyctl get X - | head` is no error: nothing is said."""
    (tmp_path / "f").write_bytes(b"x" * 300_000)
    ok(place, "put", "f", "p:f", cwd=tmp_path)
    ours, theirs = os.pipe()
    os.close(ours)
    done = subprocess.run(
        [*DORKYCTL, "get", "p:f", "-"], env=place.daemon.env, stdout=theirs, stderr=subprocess.PIPE, check=False
    )
    os.close(theirs)
    assert (done.returncode, done.stderr) == (1, b"")
