"""`dorkyctl env`: on files, without a daemon, and with no value where nobody asked for one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dorkyd.core.dotenv import MASK
from tests.cli.conftest import Ctl

TEXT = "# ours\nexport A=1 # why\nB='two words'\nC=${A}${B}\nEMPTY\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder with a `.env`, as working directory."""
    (tmp_path / ".dorky").mkdir()
    (tmp_path / ".dorky" / "folder.json").write_text("{}")
    (tmp_path / ".env").write_text(TEXT)
    (tmp_path / ".env").chmod(0o600)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_value_is_printed(folder: Path, ctl: Ctl) -> None:
    """Expanded; from a folder further down as well."""
    assert ctl("env", "get", "C").out == "1two words\n"
    (folder / "d" / "e").mkdir(parents=True)
    os.chdir(folder / "d" / "e")
    assert ctl("env", "get", "A").out == "1\n"


@pytest.mark.parametrize("key", ["NONE", "EMPTY"])
def test_a_key_without_a_value_is_an_error(folder: Path, ctl: Ctl, key: str) -> None:
    """Nothing on standard output, for a script that takes it."""
    done = ctl("env", "get", key)
    assert (done.code, done.out) == (1, "")
    assert key in done.err


def test_values_are_masked_unless_asked_for(folder: Path, ctl: Ctl) -> None:
    """In the list, and in JSON everywhere."""
    assert ctl("env", "list").out == f"A={MASK}\nB={MASK}\nC={MASK}\nEMPTY\n"
    assert "B=two words" in ctl("env", "list", "--reveal").out
    for words in (("list",), ("get", "B")):
        hidden = ctl("env", *words, "--json").out
        assert "two words" not in hidden
        assert "two words" in ctl("env", *words, "--json", "--reveal").out
    items = json.loads(ctl("env", "list", "--json").out)["items"]
    assert items == [{"key": key, "value": None} for key in ("A", "B", "C", "EMPTY")]


def test_an_edit_is_in_place(folder: Path, ctl: Ctl) -> None:
    """Comments, order and permission bits stay, the value is in no message, and nothing is left beside the file."""
    before = {path.name for path in folder.iterdir()}
    (folder / ".env").chmod(0o640)
    done = ctl("env", "set", "A=sesame", "NEW=two words")
    assert done.code == 0
    assert "sesame" not in done.out + done.err
    assert (folder / ".env").read_text() == TEXT.replace("A=1", "A=sesame") + "NEW='two words'\n"
    assert (folder / ".env").stat().st_mode & 0o777 == 0o640
    assert {path.name for path in folder.iterdir()} == before


def test_a_new_file_is_for_its_owner_alone(folder: Path, ctl: Ctl) -> None:
    """In the project's folder, or where it is named."""
    (folder / ".env").unlink()
    told = json.loads(ctl("env", "set", "A=1", "--json").out)
    assert told == {"file": str(folder / ".env"), "keys": ["A"]}
    assert ctl("env", "set", "A=1", "-f", "other.env").code == 0
    for name in (".env", "other.env"):
        assert (folder / name).read_text() == "A=1\n"
        assert (folder / name).stat().st_mode & 0o777 == 0o600


def test_a_link_keeps_its_place(folder: Path, ctl: Ctl) -> None:
    """What it leads to is edited."""
    (folder / "link").symlink_to(folder / ".env")
    assert ctl("env", "set", "A=2", "-f", "link").code == 0
    assert (folder / "link").is_symlink()
    assert "A=2 # why" in (folder / ".env").read_text()


def test_outside_a_project_a_file_is_named(tmp_path: Path, ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """None is made just anywhere, and none is taken from further up."""
    (tmp_path / ".env").write_text("A=1\n")
    (tmp_path / "d").mkdir()
    monkeypatch.chdir(tmp_path / "d")
    for words in (("get", "A"), ("set", "A=2"), ("list",), ("run", "--", "true")):
        done = ctl("env", *words)
        assert done.code == 2
        assert "--file" in done.err


@pytest.mark.parametrize("word", ["=x", "A B=1", "A=1\0"])
def test_what_cannot_be_set_is_refused(folder: Path, ctl: Ctl, word: str) -> None:
    """And the file stays as it is."""
    assert ctl("env", "set", word).code == 2
    assert (folder / ".env").read_text() == TEXT


def test_a_file_that_is_no_text_is_told(folder: Path, ctl: Ctl) -> None:
    """Not a trace, and nothing of it."""
    (folder / ".env").write_bytes(b"A=\xff\n")
    done = ctl("env", "list")
    assert done.code == 2
    assert "line 1 is not UTF-8" in done.err


def run(*words: str, stdin: str = "", cwd: Path) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own."""
    code = [sys.executable, "-c", "from dorkyd.cli import main; main()", *words]
    return subprocess.run(code, input=stdin, capture_output=True, text=True, cwd=cwd, check=False)


def test_a_value_comes_by_a_pipe(folder: Path) -> None:
    """Neither the shell's history nor the list of processes sees it."""
    done = run("env", "set", "A", stdin="ses ame\n", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "export A='ses ame' # why" in (folder / ".env").read_text()
    assert run("env", "set", "A", "B", stdin="x", cwd=folder).returncode == 2


def test_a_command_has_the_variables_and_its_own_end(folder: Path) -> None:
    """Options are its own, standard input is its own, its exit code and its signal are the command's."""
    script = "import os,sys; print(os.environ['B'], sys.argv[1:], sys.stdin.read()); sys.exit(7)"
    done = run("env", "run", "--", sys.executable, "-c", script, "--json", "-f", stdin="in", cwd=folder)
    assert (done.returncode, done.stdout) == (7, "two words ['--json', '-f'] in\n")
    killed = "import os; os.kill(os.getpid(), 15)"
    assert run("env", "run", sys.executable, "-c", killed, cwd=folder).returncode == -signal.SIGTERM
    assert run("env", "run", "--", "no-such-command", cwd=folder).returncode == 127


def test_the_files_value_counts_before_the_environments(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As python-dotenv's own command has it."""
    monkeypatch.setenv("A", "from the shell")
    assert run("env", "run", "sh", "-c", "echo $A", cwd=folder).stdout == "1\n"
