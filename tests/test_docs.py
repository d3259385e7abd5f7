"""The documentation says what is so: commands, links, settings; and nothing of the machine it was written on."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from pathlib import Path

import pytest
import typer

from dorkyd.cli import app, load_all
from dorkyd.core.report import HaltReason
from dorkyd.core.settings import Guard, Project, Settings, TrashLimits

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
COMMAND = re.compile(r"\bdorkyctl ([a-z][a-z-]*)")


def named(pages: list[Path]) -> list[object]:
    """Pages as parameters, told by their place."""
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in pages]


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings."""
    outside = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", outside, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def commands() -> dict[str, bool]:
    """Every command of `dorkyctl`; True: it is shown in the help."""
    load_all()
    group = typer.main.get_command(app.app)
    return {name: not command.hidden for name, command in group.commands.items()}  # type: ignore[attr-defined]


# --- the two commands -------------------------------------------------------------------------------------------------


def test_two_commands() -> None:
    """The README has exactly two: one that syncs a folder, one that runs the tests; each sets itself up."""
    blocks = [block.strip() for block in BLOCK.findall(README.read_text())]
    assert len(blocks) == 2
    assert all("\n" not in block and "python3 -m venv .venv" in block for block in blocks)
    assert "dorkyctl up " in blocks[0]
    assert all(tool in blocks[1] for tool in ("'.[test]'", "ruff check", "ruff format --check", "mypy", "pytest"))


def test_ci_runs_the_readmes_command() -> None:
    """`.ci/run` ends with the README's second command, so its exit code and its last words are those of the tests."""
    tests = BLOCK.findall(README.read_text())[1].strip()
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == tests


# --- every page -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", named(PAGES))
def test_links(page: Path) -> None:
    """Every relative link leads to a file of the repository, and to a heading where it names one."""
    for link in LINK.findall(page.read_text()):
        if "://" in link:
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.is_relative_to(ROOT), link
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link


@pytest.mark.parametrize("page", named(PAGES))
def test_commands_exist(page: Path) -> None:
    """A command that a page names is one; what is not built yet appears only in the place that says so."""
    there = commands()
    for name in COMMAND.findall(page.read_text()):
        assert name in there, name
        assert there[name], f"{name} is not built yet"


# --- what must be documented ------------------------------------------------------------------------------------------


def test_every_command_has_a_section() -> None:
    """docs/commands.md explains every command."""
    text = (ROOT / "docs" / "commands.md").read_text()
    explained = {word.strip() for line in re.findall(r"^## (.+)$", text, re.MULTILINE) for word in line.split(",")}
    assert {name for name, shown in commands().items() if shown} <= explained


def test_every_setting_is_documented() -> None:
    """The table of settings in docs/operations.md has every setting there is, and no other."""
    section = (ROOT / "docs" / "operations.md").read_text().partition("## Settings")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert told == {field.name for kind in (Settings, Project) for field in dataclasses.fields(kind)}
    for kind in (Guard, TrashLimits):
        assert all(f"{field.name}: " in section for field in dataclasses.fields(kind))


def test_every_halt_is_documented() -> None:
    """Both tables of halts have every reason."""
    for page in ("sync-table.md", "operations.md"):
        rows = re.findall(r"^\| `([a-z-]+)` \|", (ROOT / "docs" / page).read_text(), re.MULTILINE)
        assert {reason.value for reason in HaltReason} <= set(rows), page


def test_every_module_has_a_place() -> None:
    """The architecture page names every module of the package's top level and of its core."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    package = ROOT / "dorkyd"
    modules = [file.stem for folder in (package, package / "core") for file in folder.glob("[a-z]*.py")]
    missing = [m for m in modules if not re.search(rf"\b{m}\b", text) and not m.startswith(("config_", "doctor_"))]
    assert not missing


# --- this machine -----------------------------------------------------------------------------------------------------


def test_nothing_of_this_machine() -> None:
    """No tracked file names a package registry's host or a path of the machine it was written on."""
    places = ["/wor" + "k/", "/far" + "m/", "/root/" + "venv"]
    hosts = ["py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "proxy.golang" + ".org"]
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git clone")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    found = [
        f"{file.relative_to(ROOT)}: {word}"
        for file in files
        if file.is_file()
        for word in (*places, *hosts)
        if word in file.read_text(errors="replace")
    ]
    assert not found
