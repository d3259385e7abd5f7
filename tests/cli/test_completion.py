"""What a shell offers at TAB, and the manual pages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dorkyd.cli import completing, completion, load_all, manpages
from dorkyd.cli.completing import split
from tests.api.fakes import file_item
from tests.api.serving import LEAK, Served
from tests.cli.conftest import Ctl

PATHS = [".env", "data/a b.csv", "data/deep/x", "data/deep/y", "data/e", "docs/z"]


@pytest.fixture
def tab(at_home: Served, capsys: pytest.CaptureFixture[str]) -> object:
    """What fish is offered, as words."""
    at_home.project.files_held = [file_item(path) for path in PATHS]
    (at_home.home / "state").mkdir(exist_ok=True)

    def offered(*words: str) -> list[str]:
        completing.main(["fish", "--", *words])
        return [line.partition("\t")[0] for line in capsys.readouterr().out.splitlines()]

    return offered


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["sta"], ["status", "stage"]),
        (["team", "a"], ["add"]),
        (["status", "--w"], ["--watch"]),
        (["status", "--"], ["--help", "--watch", "--exit-code", "--json"]),
        (["status", "a"], ["api"]),
        (["sync", "--timeout", "1s", "a"], ["api"]),
        (["status", "api", ""], []),
        (["resolve", "f", "--keep", ""], ["mine", "theirs", "both"]),
        (["key", "unlock", ""], []),
        (["why", "api:"], ["api:.env", "api:data/", "api:docs/"]),
        (["why", "api:data/"], ["api:data/a b.csv", "api:data/deep/", "api:data/e"]),
        (["why", "nobody:"], []),
        (["why", "a"], ["api:"]),
        (["put", ""], [":files"]),
        (["up", ""], [":folders"]),
        (["nonsense", ""], []),
        (["nonsense", "more", ""], []),
    ],
)
def test_what_is_offered(tab: object, words: list[str], offered: list[str]) -> None:
    """Commands, options and their choices by the parser's own declarations; projects and paths by the daemon."""
    assert tab(*words) == offered  # type: ignore[operator]


def test_paths_here(tab: object, at_home: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a project's folder paths are told from there: what the daemon knows, and what lies here besides."""
    data = at_home.home / "code" / "data"
    data.mkdir()
    (data / "deep").mkdir()
    (data / "dust.log").touch()
    monkeypatch.chdir(data)
    assert tab("why", "d") == ["deep/", "dust.log"]  # type: ignore[operator]
    assert tab("why", "deep/") == ["deep/x", "deep/y"]  # type: ignore[operator]


def test_a_large_folder_hides_nothing(tab: object, at_home: Served) -> None:
    """It is one candidate, and what follows it is found without reading all of it."""
    at_home.project.files_held = [file_item(f"d/{n:04}") for n in range(500)] + [file_item("e")]
    assert tab("why", "api:") == ["api:d/", "api:e"]  # type: ignore[operator]


@LEAK
def test_without_a_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Commands are offered all the same, names are not, and nothing is said."""
    monkeypatch.setenv("DORKY_HOME", str(tmp_path))
    completing.main(["fish", "--", "status", ""])
    completing.main([])
    assert capsys.readouterr() == ("", "")
    completing.main(["fish", "--", "sto"])
    assert capsys.readouterr().out == "stop\tEnd the daemon, and wait until it is gone\n"


def test_the_table_is_written_once(tab: object, at_home: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """And made anew for another version; what somebody broke counts as none."""
    tab("")  # type: ignore[operator]
    kept = at_home.home / "state" / "completion.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    made: list[int] = []
    table = completion.table()
    monkeypatch.setattr(completion, "table", lambda: made.append(1) or table)
    tab("")  # type: ignore[operator]
    assert made == []
    for broken in ("{", '{"of": "another", "table": {}}'):
        kept.write_text(broken)
        assert tab("sto") == ["stop"]  # type: ignore[operator]
    assert made == [1, 1]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("dorkyctl ", (["dorkyctl", ""], False)),
        ("dorkyctl why a\\ b", (["dorkyctl", "why", "a b"], False)),
        ("dorkyctl why 'a b", (["dorkyctl", "why", "a b"], True)),
        ('x "a b" c', (["x", "a b", "c"], False)),
        ("x ''  ", (["x", "", ""], False)),
        ("x a\\", (["x", "a"], False)),
    ],
)
def test_an_unfinished_line(line: str, words: tuple[list[str], bool]) -> None:
    """As a shell would read it."""
    assert split(line) == words


def test_in_bash(at_home: Served, tab: object, tmp_path: Path) -> None:
    """The script in a real bash, which breaks words at colons; names are quoted, folders leave the word open."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed")
    tab("")  # type: ignore[operator]
    script = tmp_path / "script"
    script.write_text(completion.BASH)
    # However busy this machine is: at TAB half a second is all that anybody waits.
    patient = "from dorkyd.cli import completing, main; completing.ANSWER_S = 60; main()"
    lines = f"""
dorkyctl() {{ '{sys.executable}' -c '{patient}' "$@"; }}
compopt() {{ :; }}
. '{script}'
COMP_WORDBREAKS=$' \\t\\n"\\'><=;|&(:'
try() {{ COMP_LINE=$1; COMP_POINT=${{#1}}; COMP_WORDS=("${{@:2}}"); COMP_CWORD=$(($# - 2)); _dorkyctl; printf '<%s>' "${{COMPREPLY[@]}}"; echo; }}
try 'dorkyctl why api:data/' dorkyctl why api : data/
try 'dorkyctl sto' dorkyctl sto
"""
    environ = {**os.environ, "DORKY_HOME": str(at_home.home)}
    done = subprocess.run([bash, "-c", lines], capture_output=True, text=True, check=True, env=environ)
    assert done.stdout.splitlines() == ["<data/a\\ b.csv><data/deep/><data/e>", "<stop>"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(ctl: Ctl, shell: str) -> None:
    """Each shell's is printed, and has no error where that shell is installed."""
    done = ctl("completion", shell)
    assert (done.code, "--complete" in done.out) == (0, True)
    program = shutil.which(shell)
    if program is not None:
        checked = subprocess.run([program, "-n"], input=done.out, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_manual_pages(ctl: Ctl, tmp_path: Path) -> None:
    """One for each command; roff has nothing to say against them; nothing in a help text steers it."""
    assert ctl("man", str(tmp_path / "man1")).code == 0
    load_all()
    names = {file.stem for file in (tmp_path / "man1").iterdir()}
    wanted = {"dorkyctl", *(f"dorkyctl-{name.replace(' ', '-')}" for name in completion.table() if name)}
    assert names == wanted
    page = (tmp_path / "man1" / "dorkyctl-status.1").read_text()
    assert all(part in page for part in (".SH EXIT STATUS", r"\-\-exit\-code", "dorkyctl status"))
    assert manpages.text(".so /etc/passwd \\x …") == r"\&.so /etc/passwd \ex \[u2026]"
    groff = shutil.which("groff")
    if groff is not None:
        files = sorted(str(file) for file in (tmp_path / "man1").iterdir())
        done = subprocess.run(
            [groff, "-man", "-Tutf8", "-ww", "-z", *files], capture_output=True, text=True, check=False
        )
        assert done.stderr == ""
