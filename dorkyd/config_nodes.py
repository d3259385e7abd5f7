"""Reading YAML so that every complaint knows its line.

The text is composed to nodes, never constructed to objects: nodes keep their place, and no tag can make anything happen.
Types are strict: what YAML 1.1 would guess (`no`, `010`, `1:30`) is refused with what to write instead.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from dorkyd.core.sizes import size_of
from dorkyd.errors import Configuration

_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?")
_TAG = "tag:yaml.org,2002:"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a text came from, for messages."""

    file: Path
    """For the hint; messages name its last component."""

    def wrong(self, at: yaml.Node | int, message: str) -> Configuration:
        """The error to raise: `config.yaml:LINE: message`. `at` is a node or a line counted from 1."""
        line = at if isinstance(at, int) else at.start_mark.line + 1
        return Configuration(f"{self.file.name}:{line}: {message}", hint=f"edit {self.file}")

    def compose(self, text: str) -> yaml.MappingNode | None:
        """The root mapping; None: nothing is set. Raises `Configuration` for what is no YAML mapping."""
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as exc:
            mark = exc.problem_mark or exc.context_mark
            what = exc.problem or "this is not YAML"
            quotes = "; a text that begins with * & ! % @ or ` needs quotes" if "while scanning" in str(exc) else ""
            raise self.wrong(mark.line + 1 if mark else 1, what + quotes) from exc
        except yaml.reader.ReaderError as exc:
            line = text.count("\n", 0, int(exc.position)) + 1
            raise self.wrong(line, f"a character that YAML does not allow (#x{int(exc.character):04x})") from exc
        if root is None or _is_null(root):
            return None
        if not isinstance(root, yaml.MappingNode):
            raise self.wrong(root, "settings are `key: value` lines, such as `device: laptop-7`")
        return root

    def table(self, node: yaml.Node, what: str, known: Collection[str]) -> Table:
        """Read a mapping whose keys must be `known`."""
        if not isinstance(node, yaml.MappingNode):
            raise self.wrong(node, f"{what} must be `key: value` lines")
        values: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self.wrong(key, f"a key of {what} must be a word")
            if key.value in values:
                raise self.wrong(key, f"`{key.value}` is set twice in {what}; keep one of them")
            if key.value not in known:
                near = difflib.get_close_matches(key.value, known, n=1)
                meant = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(sorted(known))}"
                raise self.wrong(key, f"unknown setting `{key.value}` in {what}; {meant}")
            values[key.value] = value
        return Table(self, node, what, values)


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping of the file with its values still as nodes. Every reader returns None for an absent key and raises
    `Configuration` for a wrong one.
    """

    source: Source
    node: yaml.MappingNode
    what: str
    """How messages call it."""
    values: Mapping[str, yaml.Node]

    def at(self, key: str) -> yaml.Node:
        """Where to point for a key: its value, or the mapping when it is absent."""
        return self.values.get(key, self.node)

    def wrong(self, key: str, message: str) -> Configuration:
        """The error to raise about a key."""
        return self.source.wrong(self.at(key), message)

    def text(self, key: str) -> str | None:
        """A text that is not empty."""
        node = self.values.get(key)
        if node is None:
            return None
        value = text_of(self.source, node, f"`{key}`")
        if not value.strip():
            raise self.wrong(key, f"`{key}` is empty; give it a value or remove the line")
        return value

    def texts(self, key: str) -> list[tuple[yaml.Node, str]] | None:
        """A list of texts, each with its node."""
        node = self.values.get(key)
        if node is None:
            return None
        if not isinstance(node, yaml.SequenceNode):
            raise self.wrong(key, f'`{key}` must be a list, such as ["*.tmp"]')
        return [(item, text_of(self.source, item, f"an entry of `{key}`")) for item in node.value]

    def boolean(self, key: str) -> bool | None:
        """`true` or `false`, nothing else."""
        node = self.values.get(key)
        if node is None:
            return None
        if node.tag != _TAG + "bool" or node.value.lower() not in {"true", "false"}:
            raise self.wrong(key, f"`{key}` must be true or false")
        return bool(node.value.lower() == "true")

    def number(self, key: str, least: float, most: float, unit: str) -> float | None:
        """A number in `least` to `most`."""
        node = self.values.get(key)
        if node is None:
            return None
        plain = node.tag in {_TAG + "int", _TAG + "float"} and _NUMBER.fullmatch(node.value) is not None
        # `010` is eight in YAML 1.1: nobody means that.
        if not plain or (node.value[0] == "0" and node.value[1:2].isdigit()):
            raise self.wrong(key, f"`{key}` must be a plain number of {unit}, such as {_shown(max(least, 1))}")
        value = float(node.value)
        if not least <= value <= most:
            raise self.wrong(key, f"`{key}` must be from {_shown(least)} to {_shown(most)} {unit}")
        return value

    def whole(self, key: str, least: int, most: int, unit: str) -> int | None:
        """A whole number in `least` to `most`."""
        value = self.number(key, least, most, unit)
        if value is None:
            return None
        if value != int(value):
            raise self.wrong(key, f"`{key}` must be a whole number of {unit}")
        return int(value)

    def size(self, key: str) -> int | None:
        """Bytes, from `5GiB`, `1.5 MiB`, `10MB` or a plain number."""
        node = self.values.get(key)
        if node is None:
            return None
        size = size_of(node.value) if isinstance(node, yaml.ScalarNode) else None
        if size is None:
            raise self.wrong(key, f"`{key}` must be a size such as 10MiB, 5GiB or a number of bytes")
        return size


def items_of(source: Source, node: yaml.Node | None, what: str) -> list[yaml.Node]:
    """The entries of a list that may be absent or empty (`projects:` with nothing after it)."""
    if node is None or _is_null(node):
        return []
    if not isinstance(node, yaml.SequenceNode):
        raise source.wrong(node, f"{what} must be a list: each entry begins with `- `")
    return list(node.value)


def text_of(source: Source, node: yaml.Node, what: str) -> str:
    """The text of a scalar that YAML does not take for something else."""
    if isinstance(node, yaml.ScalarNode):
        if node.tag == _TAG + "str":
            return str(node.value)
        if _is_null(node):
            raise source.wrong(node, f"{what} has no value; give it one or remove the line")
        shown = node.value or node.tag
        raise source.wrong(node, f'{what} must be text; YAML reads {shown} as something else: write "{shown}"')
    raise source.wrong(node, f"{what} must be text, not a list or a mapping")


def folder_name(path: str) -> str:
    """The name that a project has when none is given: its folder's. Empty for `/`."""
    return posixpath.basename(posixpath.normpath(path))


def value_of(node: yaml.Node | None, key: str) -> yaml.Node | None:
    """The value of a key of a mapping node, None when there is none."""
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _is_null(node: yaml.Node) -> bool:
    return bool(node.tag == _TAG + "null")


def _shown(number: float) -> str:
    return f"{number:g}" if number < 1e6 else f"{number:.0f}"
