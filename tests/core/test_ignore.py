from __future__ import annotations

import subprocess
from pathlib import Path as FilePath

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dorkyd.core.ignore import BUILT_IN, IGNORE_FILE, IgnoreRules, check
from dorkyd.core.model import Path
from dorkyd.errors import Refused


def ignored(rules: IgnoreRules, path: str, *, is_folder: bool = False) -> bool:
    """A file, unless told otherwise, is not synced."""
    return rules.skip(Path(path), is_folder)


# --- git as the oracle -----------------------------------------------------------------------------------------------

TABLE = {
    "*.log\n!keep.log\n": ["a.log", "keep.log", "d/keep.log", "d/x.log"],
    "build/\n": ["build", "build/", "d/build/x", "build/x/y"],
    "/top\n": ["top", "d/top"],
    "a/b\n": ["a/b", "x/a/b", "a/b/c"],
    "a/**\n": ["a/", "a", "a/x", "a/x/y"],
    "a/**\n!a/x/\n": ["a/x/", "a/x/y", "a/x"],
    "*\n!*/\n!*.txt\n": ["f", "f.txt", "d/f.txt", "d/f", "d/"],
    "*\n!foo/\n": ["foo/", "foo/bar", "foo"],
    "**/x\n": ["x", "a/x", "a/b/x"],
    "a/**/z\n": ["a/z", "a/b/z", "a/b/c/z", "az"],
    "**/\n": ["f", "d/", "d/f"],
    "**\n": ["f", "d/f"],
    "**/*\n": ["f", "longname", "d/f"],
    "d/*\n!d/keep\n": ["d/", "d/x", "d/keep", "d/keep/x", "d/x/keep"],
    "x[!a]y\n": ["xby", "xay", "x/y"],
    "d/x[!a]y\n": ["d/xby", "d/xay", "d/x/y"],
    "[a-c]?\n": ["a1", "d1", "b", "c12"],
    "\\#x\n\\!y\n#c\n": ["#x", "!y", "#c"],
    "!#x\n": ["#x"],
    "sp \nesc\\ \n in\n": ["sp", "sp ", "esc ", "esc", " in", "in"],
    "t \t\n": ["t", "t \t"],
    "node\n!node/keep\n": ["node/keep", "node/"],
    "foo**bar\n": ["fooxbar", "d/foobar", "foo/bar"],
    "a//b\n": ["a/b", "a/c"],
    "x/\r\ny\r\n": ["x/", "y", "x"],
    "{a,b}\n(c)\n+\n$\n": ["a", "{a,b}", "(c)", "+", "$"],
    ".*\n!.env\n": [".env", ".x", "d/.env", ".d/.env"],
    "**/a/**/b\n": ["a/b", "x/a/y/b", "a/b/x/b", "b/a"],
}


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> FilePath:
    """Two repositories: `files` stays empty, so that git takes each name there for a file's; `folders` gets folders."""
    place = tmp_path_factory.mktemp("oracle")
    for kind in ("files", "folders"):
        subprocess.run(["git", "init", "-q", place / kind], check=True)
    return place


def git_ignores(oracle: FilePath, text: str, entries: list[str]) -> dict[str, bool]:
    """What git says of each entry; those that end in `/` are folders. A match that lifts (`!`) is not ignoring."""
    folders = [entry for entry in entries if entry.endswith("/")]
    for folder in folders:
        (oracle / "folders" / folder).mkdir(parents=True, exist_ok=True)
    files = [entry for entry in entries if not entry.endswith("/")]
    return git_says(oracle / "folders", text, folders) | git_says(oracle / "files", text, files)


def git_says(repository: FilePath, text: str, entries: list[str]) -> dict[str, bool]:
    """As `git_ignores` in one repository. Asked without the closing `/`: with it git would match it as a character."""
    (repository / ".gitignore").write_text(text, newline="")
    command = ["git", "-C", str(repository), "-c", "core.excludesFile=/dev/null", "check-ignore", "--no-index"]
    asked = "".join(entry.rstrip("/") + "\0" for entry in entries)
    run = subprocess.run(
        [*command, "-v", "-n", "-z", "--stdin"], input=asked, capture_output=True, text=True, check=False
    )
    assert run.returncode in {0, 1}, run.stderr
    found = run.stdout.split("\0")[2:-1:4]
    return {entry: bool(pattern) and not pattern.startswith("!") for entry, pattern in zip(entries, found, strict=True)}


def ours(text: str, entries: list[str]) -> dict[str, bool]:
    """What we say of the same entries."""
    rules = IgnoreRules(synced=text)
    return {entry: ignored(rules, entry.rstrip("/"), is_folder=entry.endswith("/")) for entry in entries}


@pytest.mark.parametrize("text", TABLE, ids=repr)
def test_patterns_mean_what_git_says(oracle: FilePath, text: str) -> None:
    """Each pattern of the table ignores exactly what `git check-ignore --no-index` ignores."""
    assert ours(text, TABLE[text]) == git_ignores(oracle, text, TABLE[text])


components = st.text("ab.x", min_size=1, max_size=3).filter(lambda part: part not in {".", ".."})
pieces = st.one_of(components, st.sampled_from(["*", "**", "a*", "*.x", "?", "[ab]", "[!a]", "?b*"]))
patterns = st.builds(
    lambda lifts, root, parts, folder: lifts + root + "/".join(parts) + folder,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(pieces, min_size=1, max_size=3),
    st.sampled_from(["", "", "/"]),
)
entries = st.builds(
    lambda parts, folder: "/".join(parts) + folder,
    st.lists(components, min_size=1, max_size=4),
    st.sampled_from(["", "/"]),
)


@given(st.lists(patterns, min_size=1, max_size=4), st.lists(entries, min_size=1, max_size=30, unique=True))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_patterns_mean_what_git_says(oracle: FilePath, lines: list[str], asked: list[str]) -> None:
    """Random lists of patterns with negations agree with git on random files and folders."""
    text = "\n".join(lines) + "\n"
    assert ours(text, asked) == git_ignores(oracle, text, asked)


# --- who may lift what -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "node_modules/x/index.js",
        "d/__pycache__/m.pyc",
        ".venv/bin/python",
        ".f.swp",
        "d/.f.swo",
        "#draft#",
        ".#draft",
        ".goutputstream-AB12",
        "~$report.docx",
        ".~lock.sheet.ods#",
        ".DS_Store",
        "film.mkv.part",
        "x.crdownload",
        ".dorky.yaml",
        ".git/config",
        "d/.dorky/x",
    ],
)
def test_the_built_in_list(path: str) -> None:
    """What no team wants in a bucket is ignored without a word in the settings."""
    assert ignored(IgnoreRules(), path)


@pytest.mark.parametrize(
    "path", ["f~", ".env", "a.tmp", "f.swp", "parts", "d/.dorky.yaml", ".gitignore", "#x", "data.log", "4913"]
)
def test_what_people_write_is_not_built_in(path: str) -> None:
    """A visible backup (F01), a secret, a log, the name that vim probes with: synced unless somebody says otherwise."""
    assert not ignored(IgnoreRules(), path)


def test_settings_lift_the_built_in_list() -> None:
    """Local settings can bring `node_modules` back."""
    assert not ignored(IgnoreRules(local=("!node_modules",)), "node_modules/x")


def test_the_synced_file_cannot_lift_the_built_in_list() -> None:
    """A teammate's `!node_modules` changes nothing here (rule 8)."""
    assert ignored(IgnoreRules(synced="!node_modules\n"), "node_modules/x")


def test_the_synced_file_cannot_lift_settings() -> None:
    """A teammate's `!*.pem` does not send what this machine keeps to itself (rule 8)."""
    assert ignored(IgnoreRules(local=("*.pem",), synced="!*.pem\n"), "key.pem")


def test_the_synced_file_lifts_its_own_lines() -> None:
    """Within `.dorkyignore` the last matching line decides."""
    rules = IgnoreRules(synced="*.log\n!keep.log\n")
    assert (ignored(rules, "a.log"), ignored(rules, "keep.log")) == (True, False)


def test_settings_decide_over_the_synced_file() -> None:
    """Where a local pattern matches it decides, lifting too."""
    assert not ignored(IgnoreRules(local=("!a.log",), synced="*.log\n"), "a.log")


@pytest.mark.parametrize(
    "path",
    [
        ".git/x",
        "a/.GIT/x",
        ".dorky/tmp/x",
        ".dorky.yaml",
        ".Dorky.YAML",
        ".dorky (conflict pc 20261103-141530 3fa9c1).yaml",
    ],
)
def test_nothing_lifts_what_is_reserved(path: str) -> None:
    """No rule brings back `.git`, `.dorky` or the root of trust, in whatever case."""
    assert ignored(IgnoreRules(local=("!*", "!.git", "!.dorky", "!.dorky.yaml")), path)


def test_nothing_ignores_the_ignore_file() -> None:
    """`.dorkyignore` in the root is synced even under `*`; one further down is an ordinary file."""
    rules = IgnoreRules(local=("*",), synced="*\n.dorkyignore\n")
    assert not ignored(rules, IGNORE_FILE)
    assert ignored(rules, "d/.dorkyignore")


def test_an_ignored_folder_is_final() -> None:
    """Nothing below an ignored folder is synced, whatever a later line or another list says."""
    rules = IgnoreRules(local=("!out/keep",), synced="out\n!out/keep\n")
    assert ignored(rules, "out/keep")


# --- how it is asked -------------------------------------------------------------------------------------------------


def test_copies_are_ignored_like_their_original() -> None:
    """A conflict copy, a kept copy and a child set aside follow the rules of the name without our part."""
    rules = IgnoreRules(synced="/.env\n/f/x\n")
    assert ignored(rules, ".env (conflict pc 20261103-141530 3fa9c1)")
    assert ignored(rules, ".env (kept pc 20261103-141530 3fa9c1)")
    assert ignored(rules, "f (conflict 3fa9c1)/x")


def test_names_with_line_breaks_match() -> None:
    """A wildcard matches every character of a name, line breaks too."""
    rules = IgnoreRules(synced="*.log\nd/*.x\n**/deep\n")
    assert ignored(rules, "a\nb.log")
    assert ignored(rules, "d/a\nb.x")
    assert ignored(rules, "a\nb/deep")
    assert not ignored(rules, "a.log\n")


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("x.log", ".dorkyignore:3: *.log"),
        ("d/x.tmp", "settings: *.tmp"),
        ("a/node_modules/b", "built-in: node_modules"),
        (".GIT/x", "built-in: .git"),
        ("f.txt", None),
    ],
)
def test_the_deciding_rule_is_named_with_its_place(path: str, rule: str | None) -> None:
    """`why` can say which rule of which list ignores a path."""
    rules = IgnoreRules(local=("*.tmp",), synced="# logs\n\n*.log\n")
    assert rules.rule(Path(path), is_folder=False) == rule


@pytest.mark.parametrize("pattern", ["d/.x", "d/*.csv", "/.[ab]", "!d/.x", "d/**", ".*", "x/\\.y"])
@pytest.mark.parametrize("path", ["d/.x", "d/a.csv", ".a", "a/d", "abd", "d/abd", "d/y", "x/.y", "plain"])
def test_a_walk_is_told_the_same(pattern: str, path: str) -> None:
    """However little most names cost, the answer is the rules'."""
    rules = IgnoreRules((pattern,))
    assert rules.skip_entry(Path(path), False) == (rules._entry(Path(path), False) is not None)


def test_a_walk_asks_about_the_entry_alone() -> None:
    """`skip_entry` trusts that the parents were asked before."""
    rules = IgnoreRules(synced="out\n")
    assert rules.skip_entry(Path("out"), is_folder=True)
    assert not rules.skip_entry(Path("out/f"), is_folder=False)


# --- patterns that cannot be used ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern", ["[[:digit:]]*", "[abc", "[\x1f", "[a\t", "/", "!", "!/", "a\\", "[z-a]", "[[a]", "[\\]]", "[a&&b]"]
)
def test_a_bad_pattern_is_reported_with_its_line(pattern: str) -> None:
    """A pattern that we cannot read as git does is named, never guessed at."""
    bad = check(f"good\n# comment\n{pattern}\n")
    assert [(line.line, line.pattern) for line in bad] == [(3, pattern)]
    assert bad[0].detail


def test_a_bad_line_of_the_synced_file_is_skipped() -> None:
    """The other lines of `.dorkyignore` still hold; the bad one is there for a warning."""
    rules = IgnoreRules(synced="[[:digit:]]\n*.log\n")
    assert ignored(rules, "a.log")
    assert [bad.line for bad in rules.bad_lines] == [1]


def test_a_bad_pattern_in_settings_is_refused() -> None:
    """Settings are the person's own: a pattern that cannot be used is an error."""
    with pytest.raises(Refused, match="not supported"):
        IgnoreRules(local=("[[:digit:]]",))


def test_escaped_brackets_are_plain_characters() -> None:
    r"""`\[` starts no set, so what follows it is not looked into."""
    assert check("\\[a[b]\n") == []
    assert ignored(IgnoreRules(synced="\\[a[b]\n"), "[ab")


def test_the_built_in_list_is_well_formed() -> None:
    """Every built-in pattern can be used."""
    assert check("\n".join(BUILT_IN)) == []
