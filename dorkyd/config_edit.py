"""Editing the configuration as a person would: in place, comments and formatting kept.

The nodes of the composed text say where to cut and where to insert; nothing is ever written out anew. What an edit did
is then read back: the projects must be the old ones and the change, all else untouched, or it is refused and a person
edits. `dorkyd.config.edit` puts the result through the full check and onto the disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from dorkyd.config_nodes import Source, folder_name, items_of, value_of
from dorkyd.core.sizes import written
from dorkyd.errors import Configuration, Refused

_SOURCE = Source(Path("config.yaml"))


def add_project(text: str, fields: Mapping[str, str | Sequence[str] | None]) -> str:
    """The text with one more project at the end of the list. `fields` are its keys in order; None, and a list without
    entries, leave one out.

    Raises `Configuration` when the text is not well-formed or its form leaves no place to add.

    >>> print(add_project("", {"name": "api", "path": "~/api", "bucket": "s3://acme/api"}))
    projects:
      - name: api
        path: ~/api
        bucket: s3://acme/api
    <BLANKLINE>
    """
    given = {key: value for key, value in fields.items() if value is not None and value != ()}
    root = _SOURCE.compose(text)
    end = "\r\n" if "\r\n" in text else "\n"
    node = value_of(root, "projects")
    if root is None:
        edited = _closed(text, end) + f"projects:{end}" + _entry(given, 2, end)
    elif root.flow_style:
        raise _SOURCE.wrong(
            root, "the file is one {...}; write it as `key: value` lines so that a project can be added"
        )
    elif node is None:
        column = root.start_mark.column
        edited = _after(
            text, _content_end(root), " " * column + f"projects:{end}" + _entry(given, column + 2, end), end
        )
    elif isinstance(node, yaml.SequenceNode) and node.value and node.flow_style:
        last = node.value[-1].end_mark.index
        edited = text[:last] + ", " + _flow(given) + text[last:]
    elif isinstance(node, yaml.SequenceNode) and node.value:
        edited = _after(text, _content_end(node), _entry(given, node.start_mark.column, end), end)
    else:
        # `projects:` with nothing or `[]` after it: what stands there goes, a comment beside it stays.
        start, stop = node.start_mark.index, node.end_mark.index
        emptied = text[:start].rstrip(" ") + text[stop:]
        edited = _after(emptied, len(text[:start].rstrip(" ")), _entry(given, root.start_mark.column + 2, end), end)
    _prove(text, edited, removed=None, added=1)
    return edited


def remove_project(text: str, name: str) -> str:
    """The text without the project of that name (given or its folder's). Comments around it stay.

    Raises `Refused` with code `no-such-project`, `Configuration` as `add_project`.
    """
    node = value_of(_SOURCE.compose(text), "projects")
    items = items_of(_SOURCE, node, "`projects`")
    place = next((at for at, item in enumerate(items) if _name_of(item) == name), None)
    if node is None or place is None:
        raise Refused(f"no project is named {name}", code="no-such-project", hint="dorkyctl status shows the names")
    item = items[place]
    if isinstance(node, yaml.SequenceNode) and node.flow_style:
        start, stop = item.start_mark.index, item.end_mark.index
        if place + 1 < len(items):
            stop = items[place + 1].start_mark.index
        elif place > 0:
            start = items[place - 1].end_mark.index
        edited = text[:start] + text[stop:]
    else:
        start = _dash_line(text, node, item)
        edited = text[:start] + text[_line_end(text, _content_end(item)) :]
    _prove(text, edited, removed=place, added=0)
    return edited


def set_bandwidth(text: str, name: str | None, *, up: int | None, down: int | None) -> str:
    """The text with these limits, bytes a second, of the project of that name; None: of all projects together. None
    leaves a direction as it is, 0 lifts its limit.

    Raises `Refused` with code `no-such-project`, `Configuration` as `add_project`.
    """
    for key, size in (("up", up), ("down", down)):
        if size is not None:
            text = _set_rate(text, name, key, written(size))
    return text


def add_patterns(text: str, name: str, key: str, patterns: Sequence[str]) -> str:
    """The text with these at the end of a project's list `key`, those that are there already left out.

    Raises `Refused` with code `no-such-project`, `Configuration` as `add_project`.
    """
    for pattern in patterns:
        text = _add_pattern(text, name, key, pattern)
    return text


def _add_pattern(text: str, name: str, key: str, pattern: str) -> str:
    root = _SOURCE.compose(text)
    items = items_of(_SOURCE, value_of(root, "projects"), "`projects`")
    place = next((at for at, item in enumerate(items) if _name_of(item) == name), None)
    table = None if place is None else items[place]
    if not isinstance(table, yaml.MappingNode):
        raise Refused(f"no project is named {name}", code="no-such-project", hint="dorkyctl status shows the names")
    node = value_of(table, key)
    end = "\r\n" if "\r\n" in text else "\n"
    there = [str(item.value) for item in node.value] if isinstance(node, yaml.SequenceNode) else []
    if pattern in there:
        return text
    if node is None:
        edited = _one_more(text, table, f"{key}: [{_quoted(pattern)}]", end)
    elif isinstance(node, yaml.SequenceNode) and node.value and node.flow_style:
        last = node.value[-1].end_mark.index
        edited = f"{text[:last]}, {_quoted(pattern)}{text[last:]}"
    elif isinstance(node, yaml.SequenceNode) and node.value:
        line = " " * node.start_mark.column + f"- {_quoted(pattern)}{end}"
        edited = _after(text, _content_end(node), line, end)
    else:
        # Nothing or `[]`.
        before = text[: node.start_mark.index]
        space = "" if before.endswith((" ", "\n")) else " "
        edited = f"{before}{space}[{_quoted(pattern)}]{text[node.end_mark.index :]}"
    expected, found = (_plain(_SOURCE.compose(each)) for each in (text, edited))
    assert isinstance(expected, dict)
    expected["projects"][place][key] = [*there, pattern]
    if found != expected:
        raise Configuration("config.yaml cannot be edited in place in this form", hint="edit config.yaml by hand")
    return edited


def _set_rate(text: str, name: str | None, key: str, rate: str) -> str:
    root = _SOURCE.compose(text)
    items = items_of(_SOURCE, value_of(root, "projects"), "`projects`")
    place = None if name is None else next((at for at, item in enumerate(items) if _name_of(item) == name), None)
    if name is not None and place is None:
        raise Refused(f"no project is named {name}", code="no-such-project", hint="dorkyctl status shows the names")
    table = root if place is None else items[place]
    limits = value_of(table, "bandwidth")
    there = value_of(limits, key)
    end = "\r\n" if "\r\n" in text else "\n"
    if there is not None:
        edited = text[: there.start_mark.index] + rate + text[there.end_mark.index :]
    elif isinstance(limits, yaml.MappingNode) and limits.value:
        edited = _one_more(text, limits, f"{key}: {rate}", end)
    elif limits is not None:
        # `bandwidth:` with nothing or `{}` after it.
        before = text[: limits.start_mark.index]
        space = "" if before.endswith((" ", "\n")) else " "
        edited = f"{before}{space}{{{key}: {rate}}}{text[limits.end_mark.index :]}"
    elif isinstance(table, yaml.MappingNode):
        edited = _one_more(text, table, f"bandwidth: {{{key}: {rate}}}", end)
    else:
        edited = _closed(text, end) + f"bandwidth: {{{key}: {rate}}}{end}"
    _prove_rate(text, edited, place, key, rate)
    return edited


def _one_more(text: str, table: yaml.MappingNode, entry: str, end: str) -> str:
    """The text with one more entry in a mapping that has some: at its end, but before a list of projects."""
    if table.flow_style:
        last = _content_end(table.value[-1][1])
        return f"{text[:last]}, {entry}{text[last:]}"
    line = " " * table.start_mark.column + entry + end
    projects = next((pair[0] for pair in table.value if pair[0].value == "projects"), None)
    if projects is None:
        return _after(text, _content_end(table), line, end)
    index = projects.start_mark.index - projects.start_mark.column
    return text[:index] + line + text[index:]


def _prove_rate(before: str, after: str, place: int | None, key: str, rate: str) -> None:
    """One rate was set and nothing else changed. Raises `Configuration`."""
    expected, found = (_plain(_SOURCE.compose(text)) for text in (before, after))
    expected = {} if expected is None else expected
    if isinstance(expected, dict):
        tables = expected.get("projects")
        table = expected if place is None or not isinstance(tables, list) else tables[place]
        table["bandwidth"] = {**(table.get("bandwidth") or {}), key: rate}
    if found != expected:
        raise Configuration("config.yaml cannot be edited in place in this form", hint="edit config.yaml by hand")


def _plain(node: yaml.Node | None) -> object:
    """A node's content without its form."""
    if isinstance(node, yaml.MappingNode):
        return {key.value: _plain(value) for key, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item) for item in node.value]
    return None if node is None else node.value


def _prove(before: str, after: str, *, removed: int | None, added: int) -> None:
    """The edit did what it should and nothing else. Raises `Configuration`."""
    old, new = _shape(before), _shape(after)
    expected = [item for at, item in enumerate(old[1]) if at != removed]
    if new[0] != old[0] or new[1][: len(expected)] != expected or len(new[1]) != len(expected) + added:
        raise Configuration("config.yaml cannot be edited in place in this form", hint="edit config.yaml by hand")


def _shape(text: str) -> tuple[dict[str, str], list[str]]:
    """All settings but the projects, and the projects, as comparable texts."""
    root = _SOURCE.compose(text)
    others = (
        {}
        if root is None
        else {yaml.serialize(key): yaml.serialize(value) for key, value in root.value if key.value != "projects"}
    )
    return others, [yaml.serialize(item) for item in items_of(_SOURCE, value_of(root, "projects"), "`projects`")]


def _name_of(item: yaml.Node) -> str | None:
    name = value_of(item, "name")
    if isinstance(name, yaml.ScalarNode):
        return str(name.value)
    path = value_of(item, "path")
    return folder_name(path.value) if isinstance(path, yaml.ScalarNode) else None


def _content_end(node: yaml.Node) -> int:
    """Where the last character of a node's content stands. A block's own end mark lies beyond the comments after it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        key, value = last if isinstance(node, yaml.MappingNode) else (None, last)
        found = _content_end(value)
        return found if key is None else max(found, key.end_mark.index)
    return int(node.end_mark.index)


def _line_end(text: str, index: int) -> int:
    """Just after the line that holds `index`. A block scalar ends at the start of the next line already."""
    if index > 0 and text[index - 1] == "\n":
        return index
    found = text.find("\n", index)
    return len(text) if found < 0 else found + 1


def _after(text: str, index: int, addition: str, end: str) -> str:
    """The addition on lines of its own, after the line that holds `index`."""
    place = _line_end(text, index)
    return _closed(text[:place], end) + addition + text[place:]


def _closed(text: str, end: str) -> str:
    return text + end if text and not text.endswith("\n") else text


def _dash_line(text: str, node: yaml.Node, item: yaml.Node) -> int:
    """The start of the line with the dash of a block list's entry: often the entry's own, sometimes one above."""
    indent = " " * node.start_mark.column
    start = item.start_mark.index
    while True:
        start = text.rfind("\n", 0, start) + 1
        if text[start:].removeprefix("\ufeff").startswith(indent + "-") or start == 0:
            return start
        start -= 1


def _entry(fields: Mapping[str, str | Sequence[str]], column: int, end: str) -> str:
    lines = [f"{key}: {_scalar(value)}" for key, value in fields.items()]
    return " " * column + "- " + (end + " " * (column + 2)).join(lines) + end


def _flow(fields: Mapping[str, str | Sequence[str]]) -> str:
    return "{" + ", ".join(f"{key}: {_quoted(value)}" for key, value in fields.items()) + "}"


def _scalar(value: str | Sequence[str]) -> str:
    """A text as YAML, in quotes only when it needs them; a list on one line."""
    if not isinstance(value, str):
        return _quoted(value)
    plain = yaml.safe_dump(value, allow_unicode=True, width=2**31).removesuffix("\n").removesuffix("\n...")
    return _quoted(value) if "\n" in plain else plain


def _quoted(value: str | Sequence[str]) -> str:
    if not isinstance(value, str):
        return "[" + ", ".join(_quoted(each) for each in value) + "]"
    return yaml.safe_dump(value, default_style='"', allow_unicode=True, width=2**31).removesuffix("\n")
