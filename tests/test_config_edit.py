from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dorkyd.config_edit import add_patterns, add_project, remove_project, set_bandwidth
from dorkyd.errors import Configuration, Refused

NEW = {"name": "new", "path": "~/new", "bucket": "s3://acme/new", "region": None}
ENTRY = "- name: new\n    path: ~/new\n    bucket: s3://acme/new\n"

TWO = """\
# our team's folders
device: pc   # the old one

projects:
  # secrets
  - name: api   # the main one
    path: ~/api
    bucket: s3://acme/api
    ignore:
      - "*.tmp"   # scratch

  # data
  - path: ~/data/
    bucket: s3://acme/data
  # - name: later
poll_s: 5
"""


@pytest.mark.parametrize(
    ("text", "edited"),
    [
        ("", f"projects:\n  {ENTRY}"),
        ("# mine", f"# mine\nprojects:\n  {ENTRY}"),
        ("device: pc\n# end\n", f"device: pc\nprojects:\n  {ENTRY}# end\n"),
        ("device: pc", f"device: pc\nprojects:\n  {ENTRY}"),
        ("projects:\ndevice: pc\n", f"projects:\n  {ENTRY}device: pc\n"),
        ("projects: []  # none\ndevice: pc\n", f"projects:  # none\n  {ENTRY}device: pc\n"),
        ("projects: null\n", f"projects:\n  {ENTRY}"),
        (
            "projects:\n- name: a\n  path: /a\n# end\n",
            "projects:\n- name: a\n  path: /a\n" + ENTRY.replace("    ", "  ") + "# end\n",
        ),
        ("projects: [{name: a}]\n", 'projects: [{name: a}, {name: "new", path: "~/new", bucket: "s3://acme/new"}]\n'),
        ("---\ndevice: pc\n...\n", f"---\ndevice: pc\nprojects:\n  {ENTRY}...\n"),
    ],
)
def test_a_project_is_added_in_place(text: str, edited: str) -> None:
    """The new entry stands after the last, in the list's own form; every other character stays."""
    assert add_project(text, NEW) == edited


@pytest.mark.parametrize("text", ["", "projects: [{name: a}]\n"])
def test_a_list_of_texts_is_added(text: str) -> None:
    """Patterns come back as they were given, whatever is in them; an empty list is left out."""
    patterns = ("/*", "!/.env", "#x", "a: [b]", "tail\\ ", "line\nbreak")
    added = yaml.safe_load(add_project(text, {**NEW, "ignore": patterns}))["projects"][-1]
    assert added["ignore"] == list(patterns)
    assert "ignore" not in yaml.safe_load(add_project(text, {**NEW, "ignore": ()}))["projects"][-1]


def test_comments_stay_when_a_project_is_added() -> None:
    """The entry comes after the last project's lines, before the comments and settings that follow."""
    assert add_project(TWO, NEW) == TWO.replace("  # - name: later\n", f"  {ENTRY}  # - name: later\n")


def test_line_ends_are_kept() -> None:
    """A file with CRLF gets CRLF."""
    edited = add_project("projects:\r\n  - {name: a}\r\n", NEW)
    assert edited.count("\r\n") == edited.count("\n") == 5


@pytest.mark.parametrize("text", ["{device: pc}\n", "projects: {a: b}\n", "projects: hello\n", "a: [\n"])
def test_a_form_without_a_place_is_refused(text: str) -> None:
    """What cannot be edited in place is left to a person, with the reason."""
    with pytest.raises(Configuration):
        add_project(text, NEW)


def test_a_project_is_removed_with_its_lines() -> None:
    """Its own lines go, comments around it and all other projects stay."""
    assert remove_project(TWO, "api") == TWO.replace(TWO[TWO.index("  - name: api") : TWO.index("\n  # data")], "")


def test_a_project_goes_by_its_folders_name() -> None:
    """Without `name:` the folder's name is the project's."""
    assert remove_project(TWO, "data") == TWO.replace("  - path: ~/data/\n    bucket: s3://acme/data\n", "")


def test_the_last_project_leaves_an_empty_list() -> None:
    """The key stays; without entries it means no projects."""
    assert remove_project("projects:\n  -\n    name: a\n    path: /a\n# end\n", "a") == "projects:\n# end\n"


@pytest.mark.parametrize(
    ("name", "edited"),
    [("a", "[{name: b}, {name: c}]"), ("b", "[{name: a}, {name: c}]"), ("c", "[{name: a}, {name: b}]")],
)
def test_an_entry_of_a_flow_list_is_removed(name: str, edited: str) -> None:
    """One comma goes with it."""
    assert remove_project("projects: [{name: a}, {name: b}, {name: c}]\n", name) == f"projects: {edited}\n"


def test_removing_an_unknown_project_is_refused() -> None:
    """The code tells programs why."""
    with pytest.raises(Refused) as raised:
        remove_project(TWO, "none")
    assert raised.value.code == "no-such-project"


def test_an_entry_that_others_refer_to_is_not_removed() -> None:
    """An anchor in the entry is used elsewhere: the edit would break the file."""
    with pytest.raises(Configuration):
        remove_project("projects:\n  - &a {name: a}\n  - *a\n", "a")


values = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), min_size=1, max_size=20)


@settings(deadline=None)  # a busy machine is no defect
@given(values, values)
def test_any_text_survives_as_a_value(name: str, path: str) -> None:
    """Whatever a name or path holds, the file says exactly that, in a block list and in a flow list."""
    fields = {"name": name, "path": path}
    for text in ("", "projects: [{name: a}]\n"):
        assert yaml.safe_load(add_project(text, fields))["projects"][-1] == fields


@settings(deadline=None)  # a busy machine is no defect
@given(st.permutations(["a", "b", "c", "d"]), st.sampled_from(["", "# note\n", "projects: []\n", "device: x\n"]))
def test_adding_and_removing_in_any_order(order: list[str], start: str) -> None:
    """Projects come in the order they were added and go in any order."""
    text = start
    for name in "abcd":
        text = add_project(text, {"name": name, "path": f"/{name}", "bucket": f"s3://acme/{name}"})
    left = list("abcd")
    for name in order:
        text = remove_project(text, name)
        left.remove(name)
        assert [item["name"] for item in yaml.safe_load(text)["projects"] or []] == left


# --- bandwidth --------------------------------------------------------------------------------------------------------

MiB = 1024 * 1024


@pytest.mark.parametrize(
    ("text", "edited"),
    [
        ("", "bandwidth: {up: 2MiB}\n"),
        ("# mine", "# mine\nbandwidth: {up: 2MiB}\n"),
        ("device: pc", "device: pc\nbandwidth: {up: 2MiB}\n"),
        ("{device: pc}\n", "{device: pc, bandwidth: {up: 2MiB}}\n"),
        ("# a\nprojects:\n  - path: /a\n", "# a\nbandwidth: {up: 2MiB}\nprojects:\n  - path: /a\n"),
        ("bandwidth: {up: 1MiB} # slow\n", "bandwidth: {up: 2MiB} # slow\n"),
        ("bandwidth: {down: 1MiB}\n", "bandwidth: {down: 1MiB, up: 2MiB}\n"),
        ("bandwidth:   # none\n", "bandwidth: {up: 2MiB}   # none\n"),
        ("bandwidth: {}\n", "bandwidth: {up: 2MiB}\n"),
        ("bandwidth:\n  up: '1MiB' # slow\n  down: 0\n", "bandwidth:\n  up: 2MiB # slow\n  down: 0\n"),
        ("bandwidth:\n  down: 0 # any\n# end\n", "bandwidth:\n  down: 0 # any\n  up: 2MiB\n# end\n"),
    ],
)
def test_a_limit_of_all_projects(text: str, edited: str) -> None:
    """The rate is set where it stands, or added where it belongs; everything else stays."""
    assert set_bandwidth(text, None, up=2 * MiB, down=None) == edited


def test_a_limit_of_one_project() -> None:
    """It stands with that project's settings."""
    entry = "    bucket: s3://acme/data\n"
    edited = set_bandwidth(TWO, "data", up=None, down=500_000)
    assert edited == TWO.replace(entry, f"{entry}    bandwidth: {{down: 500kB}}\n")
    assert set_bandwidth(edited, "data", up=1025, down=0) == TWO.replace(
        entry, f"{entry}    bandwidth: {{down: 0, up: 1025}}\n"
    )


def test_nothing_to_set() -> None:
    """Without a rate the text is as it was."""
    assert set_bandwidth(TWO, "api", up=None, down=None) == TWO


def test_a_limit_of_an_unknown_project_is_refused() -> None:
    """The code tells programs why."""
    with pytest.raises(Refused) as raised:
        set_bandwidth(TWO, "none", up=0, down=None)
    assert raised.value.code == "no-such-project"


@pytest.mark.parametrize(
    "text",
    ["projects:\n  - &a {name: a}\n  - *a\n", "bandwidth: &b {up: 1MiB}\nprojects:\n  - {name: a, bandwidth: *b}\n"],
)
def test_a_limit_that_others_refer_to_is_not_changed(text: str) -> None:
    """An anchor would carry the change to where nobody asked for it."""
    with pytest.raises(Configuration):
        set_bandwidth(text, "a", up=2 * MiB, down=None)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '    allow: ["/.env", "*.pem"]\n'),
        ("    allow: []  # none\n", '    allow: ["/.env", "*.pem"]  # none\n'),
        ("    allow: ['*.pem']\n", "    allow: ['*.pem', \"/.env\"]\n"),
        ("    allow:\n      - a # why\n", '    allow:\n      - a # why\n      - "/.env"\n      - "*.pem"\n'),
    ],
)
def test_patterns_are_added_once(before: str, after: str) -> None:
    """At the end of the project's own list, whatever its form; all else stays."""
    entry = "    bucket: s3://acme/data\n"
    edited = add_patterns(TWO.replace(entry, entry + before), "data", "allow", ["/.env", "*.pem"])
    assert edited == TWO.replace(entry, entry + after)
    assert add_patterns(edited, "data", "allow", ["/.env"]) == edited


def test_patterns_of_an_unknown_project_are_refused() -> None:
    """The code tells programs why."""
    with pytest.raises(Refused) as raised:
        add_patterns(TWO, "none", "allow", ["a"])
    assert raised.value.code == "no-such-project"
