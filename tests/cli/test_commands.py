"""Commands: what they print where, and how they exit."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dorkyd.cli import MODULES, app, files, load_all, table
from dorkyd.cli.glance import document_of, understood
from dorkyd.core.model import Path
from dorkyd.core.report import (
    Finding,
    Halt,
    HaltReason,
    Pending,
    ProblemItem,
    SkippedItem,
    State,
    SyncResult,
    TrashItem,
)
from dorkyd.errors import AuthExpired, Configuration, Integrity, Refused, Transient, UnsafeStore
from tests.api.fakes import conflict_item, file_item, log_item
from tests.api.serving import DEADLINE_S, LEAK, Served, eventually
from tests.api.test_manual import FakeManual
from tests.cli.conftest import Ctl

HALT = Halt(HaltReason.MASS_DELETE, "300 of 400 files are gone.", "tok1")


def test_status_table(at_home: Served, ctl: Ctl) -> None:
    """The table has a line for each project, and beneath it what needs a person, with the command."""
    at_home.project.publish(
        files=1234, bytes=5 << 20, conflicts=1, problems=2, pending=Pending(upload=2, delete_local=1, bytes=4096)
    )
    done = ctl("status")
    lines = done.out.splitlines()
    assert lines[0].split()[:2] == ["PROJECT", "STATE"]
    assert all(part in lines[1] for part in ("api", "in-sync", "1,234", "5.0 MiB", "↑2 ✗1 (4.0 KiB)", "never"))
    assert lines[1].endswith(f"{at_home.home}/code → s3://acme/api")
    assert "dorkyctl conflicts api" in lines[2]
    assert "dorkyctl problems api" in lines[3]
    assert "\x1b" not in done.out


@pytest.mark.parametrize("json_", [[], ["--json"]])
def test_a_push_that_lost_a_path_wants_a_person(at_home: Served, ctl: Ctl, json_: list[str]) -> None:
    """4, as for all that a person has to look at: what they staged is not what the bucket has there."""
    at_home.project.manual = FakeManual()  # type: ignore[attr-defined]
    done = ctl("push", "api", *json_)
    assert done.code == 4
    assert "l was changed in the bucket meanwhile" in done.err or json.loads(done.out)["lost"] == ["l"]


@pytest.mark.parametrize(
    ("code", "ends"), [("symlink", 0), ("unreadable", 4), ("changing", 4)], ids=["no-file", "unreadable", "changing"]
)
def test_what_could_not_be_staged(at_home: Served, ctl: Ctl, code: str, ends: int) -> None:
    """A script that pushes after it learns that a file is missing; what is no file is missing nowhere."""
    fake = FakeManual()
    fake.skipped = SkippedItem(Path("one"), code, "the reason")
    at_home.project.manual = fake  # type: ignore[attr-defined]
    done = ctl("stage", f"{at_home.home}/code/d")
    assert done.code == ends
    assert "one was not staged: the reason" in done.err
    assert ctl("stage", "--json", f"{at_home.home}/code/d").code == ends


def test_status_of_a_halt(at_home: Served, ctl: Ctl) -> None:
    """A halt is shown with its reason and both commands."""
    at_home.project.publish(state=State.HALTED, halt=HALT)
    done = ctl("status")
    assert all(part in done.out for part in ("mass-delete", "300 of 400", "approve api tok1", "reject api tok1"))
    assert done.code == 4


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 0),
        ({"conflicts": 1, "state": State.AUTH_EXPIRED}, 4),
        ({"problems": 1}, 4),
        ({"state": State.HALTED, "halt": HALT}, 4),
        ({"state": State.ERROR}, 4),
        ({"state": State.AUTH_EXPIRED}, 8),
        ({"state": State.OFFLINE}, 5),
        ({"state": State.SYNCING}, 0),
        ({"state": State.PAUSED}, 0),
    ],
)
def test_status_codes(at_home: Served, ctl: Ctl, changes: dict[str, Any], code: int) -> None:
    """`status` exits by health, with --json too."""
    at_home.project.publish(**changes)
    assert ctl("status").code == code
    assert ctl("status", "--json").code == code


def test_status_pending(at_home: Served, ctl: Ctl) -> None:
    """With --exit-code what is pending exits 3, but what needs a person goes first."""
    assert ctl("status", "--exit-code").code == 0
    at_home.project.publish(pending=Pending(download=1))
    assert ctl("status", "--exit-code").code == 3
    at_home.project.publish(conflicts=1)
    assert ctl("status", "--exit-code").code == 4


def test_json_is_the_body(at_home: Served, ctl: Ctl) -> None:
    """With --json stdout is the response body unchanged, and stderr may narrate."""
    done = ctl("doctor", "api", "--json")
    assert done.out == at_home.http.get("/v1/projects/api/doctor").text + "\n"
    assert "Checking" in done.err


def test_json_of_an_error(at_home: Served, ctl: Ctl) -> None:
    """With --json an error's body is the problem document; the message and hint are on stderr."""
    done = ctl("ls", "nobody", "x", "--json")
    assert json.loads(done.out)["code"] == "no-such-project"
    assert done.err.splitlines() == ["dorkyctl: There is no project 'nobody'.", "  There are: api."]
    assert done.code == 2


@LEAK
@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize("arguments", [("status",), ("sync", "api"), ("status", "--json"), ("stop",)])
def test_not_running(ctl: Ctl, monkeypatch: pytest.MonkeyPatch, tmp_path: Any, arguments: tuple[str, ...]) -> None:
    """Without a daemon every command exits 6 and says how to start one."""
    monkeypatch.setenv("DORKY_HOME", str(tmp_path))
    done = ctl(*arguments)
    assert (done.code, done.out) == (6, "")
    assert "dorkyctl up" in done.err


def test_a_home_whose_socket_nobody_can_reach(ctl: Ctl, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """A path that is too long for a socket, where no daemon can be: `up` says what to do."""
    monkeypatch.setenv("DORKY_HOME", str(tmp_path / ("x" * 100)))
    done = ctl("status")
    assert done.code == 6
    assert "dorkyctl up" in done.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused("no"), 2),
        (Configuration("no"), 78),
        (AuthExpired("no"), 8),
        (UnsafeStore("no"), 7),
        (Refused("no", code="refused-by-guard"), 7),
        (Refused("no", code="halted"), 4),
        (Refused("no", code="paused"), 5),
        (Transient("no"), 5),
        (Integrity("no"), 9),
        (RuntimeError("no"), 1),
    ],
)
def test_error_codes(at_home: Served, ctl: Ctl, error: Exception, code: int) -> None:
    """Each kind of error has its documented exit code."""
    at_home.project.error = error
    done = ctl("ls")
    assert done.code == code
    assert done.err.startswith("dorkyctl: ")


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (SyncResult(True, State.IN_SYNC, "Equal."), 0),
        (SyncResult(False, State.HALTED, "Halted."), 4),
        (SyncResult(False, State.ERROR, "Disk full."), 4),
        (SyncResult(False, State.AUTH_EXPIRED, "Expired."), 8),
        (SyncResult(False, State.OFFLINE, "No network."), 5),
        (SyncResult(False, State.SYNCING, "2 paths left."), 5),
        (SyncResult(False, State.PAUSED, "Paused."), 5),
    ],
)
def test_sync_codes(at_home: Served, ctl: Ctl, result: SyncResult, code: int) -> None:
    """`sync --wait` is 0 when converged, old conflicts or not; else its state decides."""
    at_home.project.publish(conflicts=3)
    at_home.project.result = result
    done = ctl("sync", "--wait", "--timeout", "5s")
    assert done.code == code
    assert at_home.project.syncs == [(True, 5.0)]
    assert result.detail in (done.out if code == 0 else done.err)


def test_sync_timeout(at_home: Served, ctl: Ctl) -> None:
    """A wait that times out is temporary, and says what is still under way."""
    at_home.project.hold.clear()
    done = ctl("sync", "--wait", "--timeout", "0.2")
    assert done.code == 5
    assert "2 paths are still under way" in done.err


def test_bad_usage(at_home: Served, ctl: Ctl) -> None:
    """Usage errors exit 2 and change nothing."""
    for arguments in (("nothing",), ("pause", "--for", "2x"), ("resolve", "a", "--keep", "all"), ("ls", "a", "b", "c")):
        assert ctl(*arguments).code == 2
    assert at_home.project.status().state is State.IN_SYNC


def test_name_left_out(at_home: Served, ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside a project's folder the name may be left out; outside, with several projects, it may not."""
    ctl("add", str(at_home.home), "--bucket", "s3://b/x", "--name", "outer")
    at_home.daemon.remove("outer")
    (at_home.home / "web").mkdir()
    assert ctl("add", "web", "--bucket", "s3://b/web").code == 0
    assert ctl("pause").code == 2
    monkeypatch.chdir(at_home.home / "code")
    assert "api" in ctl("pause", "--for", "2h").out
    assert at_home.project.paused_for == 7200
    assert ctl("resume").code == 0


def test_limit(at_home: Served, ctl: Ctl) -> None:
    """Bandwidth limits are shown, changed, and told by `status`; a rate that makes no sense is a usage error."""
    assert ctl("limit", "api").out == "api: no bandwidth limit\n"
    assert ctl("limit", "api", "--up", "2MiB", "--down", "500kB/s").out == "api: ↑2.0 MiB/s ↓488.3 KiB/s\n"
    assert ctl("limit", "api", "--down", "0").out == "api: ↑2.0 MiB/s\n"
    assert ctl("limit", "--global", "--down", "1GiB").out == "All projects together: ↓1.0 GiB/s\n"
    status = ctl("status").out
    assert "  bandwidth limit: ↑2.0 MiB/s\n" in status
    assert "  bandwidth limit of all projects together: ↓1.0 GiB/s\n" in status
    assert json.loads(ctl("limit", "api", "--json").out) == {"up": 2 * 1024 * 1024, "down": None}
    for wrong in (("api", "--up", "5"), ("api", "--up", "fast"), ("api", "--global")):
        assert ctl("limit", *wrong).code == 2
    assert at_home.project.status().bandwidth.up == 2 * 1024 * 1024


def test_allow(at_home: Served, ctl: Ctl) -> None:
    """A path becomes the pattern of exactly that path; a pattern is sent as it is."""
    assert ctl("allow", "api:d/a b.env", "certs/*.pem").out == "api: allowed in plain: /d/a b.env, certs/*.pem\n"
    assert json.loads(ctl("allow", "[x].env", "--json").out)["patterns"][-1] == "[x].env"


def test_add_and_remove(at_home: Served, ctl: Ctl) -> None:
    """A folder is added by its absolute path; a missing one is refused and nothing is made."""
    missing = ctl("add", "gone", "--bucket", "s3://b/x")
    assert (missing.code, "does not exist" in missing.err) == (2, True)
    (at_home.home / "web").mkdir()
    ctl("add", "web", "--bucket", "s3://b/web", "--mode", "pull")
    status = at_home.daemon.project("web").status()
    assert (status.path, status.mode) == (str(at_home.home / "web"), "pull")
    assert ctl("remove", "web").code == 0
    assert ctl("remove", "web").code == 2


def test_ls(at_home: Served, ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are listed by prefix, relative to the working directory; control characters are escaped."""
    at_home.project.files_held = [file_item(p) for p in ("d/a", "d/b\x1b[31m", "da")]
    assert [line.split()[-1] for line in ctl("ls", "api", "d/").out.splitlines()] == ["d/a", r"d/b\x1b[31m"]
    assert len(ctl("ls", "api:d").out.splitlines()) == 3
    (at_home.home / "code" / "d").mkdir()
    monkeypatch.chdir(at_home.home / "code" / "d")
    assert [line.split()[-1] for line in ctl("ls", "a").out.splitlines()] == ["d/a"]


def test_ls_of_very_many(at_home: Served, ctl: Ctl, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page is a line as the daemon told it, and the next page follows it; filters are the daemon's."""
    monkeypatch.setattr(files, "JSON_PAGE", 3000)
    names = [f"d/{n:05}.csv" for n in range(6500)] + ['e "\\ü.bin']
    at_home.project.files_held = [file_item(name) for name in names]
    pages = [json.loads(line) for line in ctl("ls", "api", "--json").out.splitlines()]
    assert [len(page["items"]) for page in pages] == [3000, 3000, 501]
    assert [item["path"] for page in pages for item in page["items"]] == names
    assert pages[-1]["next"] is None
    assert len(ctl("ls", "api").out.splitlines()) == 6501
    assert ctl("ls", "api", "--match", "*.bin", "--smaller", "1GiB").out.splitlines()[0].endswith('e "\\ü.bin')
    assert ctl("ls", "api", "--state", "local").out == ""
    for wrong in (("--larger", "much"), ("--state", "lost"), ("--meta", "a=b", "--match", "*")):
        assert ctl("ls", "api", *wrong).code == 2


def test_why_and_check_ignore(at_home: Served, ctl: Ctl) -> None:
    """`why` explains one path; `check-ignore` names the rule of each."""
    at_home.project.files_held = [file_item("a")]
    assert "a: synced" in ctl("why", "api:a").out
    done = ctl("check-ignore", "api:a", "api:b.tmp")
    assert done.out.splitlines() == ["a: not ignored", "b.tmp: ignored by *.tmp"]


def test_conflicts(at_home: Served, ctl: Ctl) -> None:
    """A conflict is listed with its copy, and settled once."""
    at_home.project.conflicts_held = [conflict_item("a")]
    assert "a (conflict b" in ctl("conflicts").out
    assert ctl("resolve", "api:a", "--keep", "mine").code == 0
    assert ctl("resolve", "api:a", "--keep", "mine").code == 2


def test_problems(at_home: Served, ctl: Ctl) -> None:
    """A problem is listed with its reason, and with what to do."""
    at_home.project.problems_held = [ProblemItem(Path("A"), "case", "clashes with a", "rename one", 1, None)]
    assert ctl("problems").out == "A: clashes with a\n  rename one\n"


def test_halts(at_home: Served, ctl: Ctl) -> None:
    """Approve and reject want the token that was shown; a wrong one is refused by the guard."""
    at_home.project.publish(state=State.HALTED, halt=HALT)
    assert ctl("approve", "api", "old").code == 7
    assert ctl("reject", "tok1").code == 0


def test_trash(at_home: Served, ctl: Ctl) -> None:
    """What the trash shows can be restored, by path or by its name there."""
    at_home.project.trashed = [TrashItem("t1", Path("a"), 3, "2026-11-22T10:00:00Z", None)]
    assert "t1" in ctl("trash").out
    assert ctl("restore", "api:a", "--at", "t1").code == 0
    assert ctl("restore", "api:a", "--at", "t2").code == 2


def test_the_past(at_home: Served, ctl: Ctl) -> None:
    """Undo says what it left alone and exits 4; emptying a trash for good wants `--yes` off a terminal."""
    at_home.project.trashed = [TrashItem("t1", Path("a"), 3, "2026-11-22T10:00:00Z", None)]
    undone = ctl("undo", "api")
    assert (undone.code, "Undone: a" in undone.out, "left: it changed since" in undone.err) == (4, True, True)
    assert "kept 30 days" in ctl("history", "api:a").err
    assert "+2" in ctl("diff", "api:a@v1", "@v2").out
    assert "+2" in ctl("diff", "api:a@v1", "api:a@v2").out
    assert ctl("diff", "api:a", "b").code == 2
    assert ctl("trash", "api", "--empty").code == 2
    assert at_home.project.emptied == []
    assert ctl("trash", "api", "--empty", "--older-than", "7d", "--yes").code == 0
    assert ctl("trash", "api:d/", "--empty", "--bucket", "--yes").code == 0
    assert at_home.project.emptied == [("folder", None, 7 * 86400.0), ("bucket", "d/", None)]
    told = ctl("log", "api", "--everyone", "--by", "Ann", "-n", "2")
    assert (len(told.out.splitlines()), "Ann (b)" in told.out, "90 days" in told.err) == (2, True, True)
    assert ctl("log", "api", "--path", "d/").code == 0
    assert at_home.project.log_filters[-1].path == "d/"


def test_doctor(at_home: Served, ctl: Ctl) -> None:
    """A finding that is not well exits 4 and says what to run."""
    at_home.project.findings = [Finding("clock", False, "40 min off.", "Run ntpdate.")]
    done = ctl("doctor")
    assert (done.code, "Run ntpdate." in done.out) == (4, True)


def test_log_followed(at_home: Served, ctl: Ctl) -> None:
    """A followed log prints each thing as it is done, and exits 6 when the daemon stops."""
    at_home.project.history = [log_item(1)]

    def later() -> None:
        eventually(lambda: bool(at_home.daemon.listeners), "the log is followed")
        at_home.project.history.append(log_item(2))
        at_home.project.publish(files=2)
        at_home.server.stop()

    other = threading.Thread(target=later)
    other.start()
    done = ctl("log", "-f", "--json")
    other.join(DEADLINE_S)
    assert [json.loads(line)["seq"] for line in done.out.splitlines()] == [1, 2]
    assert done.code == 6


@LEAK  # the daemon may be gone between an event and the question that follows it
@pytest.mark.usefixtures("collected")
def test_status_watched(at_home: Served, ctl: Ctl) -> None:
    """A watched status prints a document for each change, and exits 6 when the daemon stops."""

    def later() -> None:
        eventually(lambda: bool(at_home.daemon.listeners), "the status is watched")
        at_home.project.publish(files=7)
        at_home.server.stop()

    other = threading.Thread(target=later)
    other.start()
    done = ctl("status", "--watch", "--json")
    other.join(DEADLINE_S)
    documents = [json.loads(line) for line in done.out.splitlines()]
    assert documents[0]["projects"][0]["files"] == 0
    assert done.code == 6


TALL = {"convert", "import-dorky", "log"}
"""Commands whose options alone fill a screen of 24 lines."""


def test_help_fits_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The help of every command, and of every command in a group, fits a screen of 24 lines and 80 columns and has an example."""
    monkeypatch.setenv("COLUMNS", "80")
    load_all()
    whole = typer.main.get_command(app.app)
    # Else it is made anew, of a hundred functions, for each.
    monkeypatch.setattr("typer.testing._get_command", lambda _app: whole)
    told = dict(helps(whole, ()))
    assert {words[0] for words in told if len(words) == 1} == {name for names in MODULES.values() for name in names}
    for words, text in told.items():
        if words:
            assert len(text.splitlines()) <= (40 if words[0] in TALL else 24), words
            assert f"Example: dorkyctl {words[0]}" in text, words
        assert max(map(len, text.splitlines())) <= 80, words


def helps(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The help of a command and of all in it."""
    yield words, CliRunner().invoke(app.app, [*words, "--help"]).output
    for name, each in getattr(command, "commands", {}).items():
        if not each.hidden:
            yield from helps(each, (*words, name))


def test_every_command_is_where_it_is_said_to_be() -> None:
    """Each module defines what `MODULES` says and what nobody else's does: a command is found by that table alone."""
    script = (
        "import json, sys, dorkyd.cli\n"
        "from dorkyd.cli import app, MODULES\n"
        "from dorkyd.cli import load\n"
        "load(sys.argv[1])\n"
        "names = [c.name or c.callback.__name__ for c in app.app.registered_commands if c.callback.__module__.endswith('.' + sys.argv[1])]\n"
        "names += [g.name for g in app.app.registered_groups]\n"
        "print(json.dumps(names))"
    )
    for module in ("projects", "history", "keys"):
        told = subprocess.run([sys.executable, "-c", script, module], capture_output=True, text=True, check=True)
        assert json.loads(told.stdout) == list(MODULES[module])
    load_all()
    defined = {(each.callback.__module__, each.name or each.callback.__name__) for each in app.app.registered_commands}
    groups = {each.name for each in app.app.registered_groups}
    assert defined == {
        (f"dorkyd.cli.{module}", name) for module, names in MODULES.items() for name in names if name not in groups
    }
    assert len(groups) == len(app.app.registered_groups)


def test_imports() -> None:
    """The command line imports no server and no SDK, most commands no HTTP library; and `status`, which prompts ask for, no parser
    and no model.
    """
    heavy = {"fastapi", "uvicorn", "boto3", "rich", "yaml"}
    brief = {"httpx2", "asyncio", "pathspec", "mcp", "dorkyd.api.commit_messages", "dorkyd.api.import_messages"}
    for words, more in (
        *(((word,), brief) for word in ("ls", "log", "sync", "conflicts")),
        (("status",), {"typer", "pydantic", "httpx2", "asyncio"}),
    ):
        script = (
            "import sys, dorkyd.cli\n"
            "try: dorkyd.cli.run(sys.argv[1:])\n"
            "except SystemExit as exc: assert exc.code == 6, exc.code\n"
            "print(*sys.modules)"
        )
        environ = {**os.environ, "DORKY_HOME": "/nowhere"}
        told = subprocess.run(
            [sys.executable, "-c", script, *words], capture_output=True, text=True, check=True, env=environ
        )
        assert not (heavy | more) & set(told.stdout.split()), words


@pytest.mark.parametrize(
    "words",
    [(), ("api",), ("--json",), ("api", "--json", "--exit-code"), ("nobody",), ("nobody", "--json"), ("a&b=c d",)],
)
def test_a_glance_is_the_command(at_home: Served, ctl: Ctl, words: tuple[str, ...]) -> None:
    """What `status` does without the parser is what it does with it: the same words, code and errors."""
    at_home.project.publish(conflicts=1, pending=Pending(upload=2, bytes=9), detail="", last_success=None)
    assert understood(words) is not None
    quick = ctl("status", *words)
    with_parser = ctl("status", *words, "--")  # which ends the options, and is for the parser
    strip = lambda text: re.sub(r'"uptime_s":[0-9.]+', "", text)
    assert (quick.code, strip(quick.out), quick.err) == (with_parser.code, strip(with_parser.out), with_parser.err)


@pytest.mark.parametrize("words", [("--help",), ("--watch",), ("-w",), ("a", "b"), ("--jsn",), ("",), ("--", "api")])
def test_what_a_glance_leaves_to_the_parser(words: tuple[str, ...]) -> None:
    """All but the plain forms."""
    assert understood(words) is None


def test_an_older_daemon(at_home: Served) -> None:
    """What its document lacks is shown as nothing, not as an error."""
    body = json.loads(at_home.http.get("/v1/status").text)
    for name in ("manual", "cost", "bandwidth", "detail", "hint"):
        del body["projects"][0][name]
    del body["warnings"], body["daemon"]["bandwidth"]
    document = document_of(json.dumps(body).encode())
    assert "api" in table.render(document, None).plain
