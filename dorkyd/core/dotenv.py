r"""`.env` files, read so that every character can be put back: values by key, and edits that touch nothing else.

The syntax is python-dotenv's, to the letter (version 1.2, its `parser.py`), which tests ask what it
makes of the same text. A file is a row of entries:

    export KEY='value'  # why      a binding: perhaps `export`, a key, perhaps `=` and a value, perhaps a comment
    # words                        a comment: no key
    KEY=a "b                       what python-dotenv does not understand and passes over: `bad`

An entry begins with the blank lines before it and ends with its line's end; the entries' texts joined are the file. Single
quotes know the escapes `\\` and `\'`, double quotes those of C as well, and both may hold line ends. `${NAME}` and
`${NAME:-default}` are expanded whatever the quotes (`expand`), by what stood above and by the environment.

Two things differ from python-dotenv on purpose. A byte order mark at the beginning is no part of the first key. And text is
read as it stands: python-dotenv turns each line end inside quotes into a newline only when it opens the file itself, which is
what `Entry.value` does always.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from dorkyd.core.model import Path
from dorkyd.core.paths import name, without_conflict
from dorkyd.errors import Refused

BOM = "\ufeff"
MASK = "********"
"""Stands for any value, however long."""

_BLANK = re.compile(r"\s*")
_EXPORT = re.compile(r"export[^\S\r\n]+")
_SPACES = re.compile(r"[^\S\r\n]*")
_QUOTED_KEY = re.compile(r"'([^']+)'")
_PLAIN_KEY = re.compile(r"[^=#\s]+")
_SINGLE = re.compile(r"'((?:\\.|[^'\\])*)'", re.DOTALL)
_DOUBLE = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)
_REST = re.compile(r"[^\r\n]*")
_COMMENT = re.compile(r"\s+#")
_END = re.compile(r"[^\S\r\n]*(?:#[^\r\n]*)?[^\S\r\n]*(?:\r\n|\n|\r|\Z)")
_BROKEN = re.compile(r"[^\r\n]*(?:\r|\n)?")
_NEWLINE = re.compile(r"\r\n|\r")
_EOL = re.compile(r"\r\n|\n|\r")
_SINGLE_ESCAPE = re.compile(r"\\([\\'])")
_DOUBLE_ESCAPE = re.compile(r"\\([\\'\"abfnrtv])")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_WRITTEN = {ord(char): f"\\{escape}" for escape, char in _ESCAPES.items()} | {ord("\\"): "\\\\", ord('"'): '\\"'}
_VARIABLE = re.compile(r"\$\{([^}:]*)(?::-([^}]*))?\}")
_NEEDS_NO_QUOTES = re.compile(r"[A-Za-z0-9_./:@%+,=&?~^*-]+")
_NEW_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


ENV = ".env"
"""Their names begin so."""


def is_env(path: Path) -> bool:
    """A path whose name begins with `.env`, in any folder; a conflict copy of one is one."""
    return name(without_conflict(path)).startswith(ENV)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a file. See the module."""

    raw: str
    """All of it, from the blank lines before it to its line's end."""
    key: str | None = None
    """None: a comment, blank lines at the end, or `bad`."""
    value: str | None = None
    """What it says, escapes resolved, `${...}` not; None: a key without `=`, or no key."""
    start: int = 0
    """Where in `raw` the value stands as written, its quotes included; where it would have to stand when there is none."""
    end: int = 0
    bad: bool = False
    """Not understood, and left alone."""

    @property
    def lead(self) -> str:
        """The blank lines and indentation before it."""
        return self.raw[: len(self.raw) - len(self.raw.lstrip())]

    @property
    def tail(self) -> str:
        """The blanks after it, its line's end among them."""
        return self.raw[len(self.raw.rstrip()) :] if self.raw.strip() else ""

    @property
    def comment(self) -> str:
        """What stands behind its value."""
        return self.raw[self.end :].strip()

    @property
    def core(self) -> str:
        """What it says, whatever blanks surround it and however lines end."""
        return _NEWLINE.sub("\n", self.raw.strip())


class Binding(NamedTuple):
    """A key and its value."""

    key: str
    value: str | None
    """None: a key without `=`."""


@dataclass(frozen=True, slots=True)
class Document:
    """A whole file."""

    entries: tuple[Entry, ...]
    bom: str = ""

    @property
    def text(self) -> str:
        """The file, to the character."""
        return self.bom + "".join(entry.raw for entry in self.entries)

    @property
    def bindings(self) -> list[Binding]:
        """All bindings in order; a key may come more than once, and the last counts."""
        return [Binding(entry.key, entry.value) for entry in self.entries if entry.key is not None]

    @property
    def eol(self) -> str:
        """How its lines end."""
        found = _EOL.search(self.text)
        return found[0] if found is not None else "\n"

    @property
    def bad_lines(self) -> list[int]:
        """The lines, from 1, that are not understood."""
        lines, at = [], 1
        for entry in self.entries:
            if entry.bad:
                lines.append(at + len(_EOL.findall(entry.lead)))
            at += len(_EOL.findall(entry.raw))
        return lines

    def get(self, key: str) -> str | None:
        """The value of a key, not expanded; None: it is not there, or has none."""
        return dict(self.bindings).get(key)

    def with_value(self, key: str, value: str) -> Document:
        """The same with this value: the key's last binding is changed in its place, `export` and comment kept; a new key
        comes last. Raises `Refused` for a key or value that cannot be written so that it would be read back.
        """
        if "\0" in value:
            raise Refused(f"{key}: a value cannot hold a NUL character", code="bad-value")
        at = max((at for at, entry in enumerate(self.entries) if entry.key == key), default=None)
        if at is not None:
            entry = self.entries[at]
            equals = "" if entry.value is not None else "="
            rest = entry.raw[entry.end :]
            apart = " " if rest.startswith("#") else ""
            raw = entry.raw[: entry.start] + equals + quoted(value) + apart + rest
            entries = (*self.entries[:at], replace(entry, raw=raw), *self.entries[at + 1 :])
        else:
            if not _NEW_KEY.fullmatch(key) or key == "export":
                hint = "a key begins with a letter or _ and goes on with letters, digits, _ . and -"
                raise Refused(f"{key!r} cannot be a key", hint=hint, code="bad-key")
            entries = (*closed(self.entries, self.eol), Entry(f"{key}={quoted(value)}{self.eol}", key, value))
        return self._checked(key, value, entries)

    def _checked(self, key: str, value: str, entries: tuple[Entry, ...]) -> Document:
        """What was made must be read as it was meant: an open quote further up may swallow it."""
        made = parse(self.bom + "".join(entry.raw for entry in entries))
        kept = [binding for binding in made.bindings if binding.key != key]
        if made.get(key) != value or kept != [binding for binding in self.bindings if binding.key != key]:
            lines = ", ".join(map(str, self.bad_lines))
            hint = f"line {lines} is not understood: mend it first" if lines else "edit it by hand"
            raise Refused(f"{key} cannot be set without changing what other lines mean", hint=hint, code="bad-env")
        return made


def closed(entries: tuple[Entry, ...], eol: str) -> tuple[Entry, ...]:
    """The entries with a line's end after the last, so that another can follow."""
    if not entries or not entries[-1].raw or entries[-1].raw[-1] in "\r\n":
        return entries
    return (*entries[:-1], replace(entries[-1], raw=entries[-1].raw + eol))


def decode(data: bytes) -> str:
    """A file's bytes as text. Raises `Refused` for what is not UTF-8, as python-dotenv would."""
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise Refused(f"line {line} is not UTF-8", hint="save the file as UTF-8", code="bad-env") from exc


def parse(text: str) -> Document:
    """Read a file. Never fails: what is not understood is `bad`, and stays."""
    bom = BOM if text.startswith(BOM) else ""
    at, entries = len(bom), []
    while at < len(text):
        entry = _entry(text, at)
        entries.append(entry)
        at += len(entry.raw)
    return Document(tuple(entries), bom)


def _entry(text: str, begin: int) -> Entry:
    at = _past(_BLANK, text, begin)
    if at == len(text):
        return Entry(text[begin:])
    at = found.end() if (found := _EXPORT.match(text, at)) is not None else at
    key: str | None = None
    if text[at : at + 1] != "#":
        quoted_key = text[at : at + 1] == "'"
        found = (_QUOTED_KEY if quoted_key else _PLAIN_KEY).match(text, at)
        if found is None:
            return _bad(text, begin, at)
        key, at = found[1] if quoted_key else found[0], found.end()
    start = end = at
    at = _past(_SPACES, text, at)
    value: str | None = None
    if text[at : at + 1] == "=":
        equals = at
        at = start = _past(_SPACES, text, at + 1)
        read = _value(text, at, spaced=at > equals + 1)
        if read is None:
            return _bad(text, begin, at)
        value, at = read
        end = at
    found = _END.match(text, at)
    if found is None:
        # A comment here needs no blank before it, and nothing else may follow.
        return _bad(text, begin, _past(_SPACES, text, at))
    return Entry(text[begin : found.end()], key, value if key is not None else None, start - begin, end - begin)


def _value(text: str, at: int, *, spaced: bool) -> tuple[str, int] | None:
    """The value that stands here and where it ends; None: a quote that is never closed."""
    first = text[at : at + 1]
    if spaced and first == "#":
        return "", at
    if first in {"'", '"'}:
        found = (_SINGLE if first == "'" else _DOUBLE).match(text, at)
        if found is None:
            return None
        inner = _NEWLINE.sub("\n", found[1])
        if first == "'":
            return _SINGLE_ESCAPE.sub(r"\1", inner), found.end()
        return _DOUBLE_ESCAPE.sub(lambda escape: _ESCAPES.get(escape[1], escape[1]), inner), found.end()
    rest = text[at : _past(_REST, text, at)]
    comment = _COMMENT.search(rest)
    value = (rest[: comment.start()] if comment is not None else rest).rstrip()
    return value, at + len(value)


def _bad(text: str, begin: int, at: int) -> Entry:
    return Entry(text[begin : _past(_BROKEN, text, at)], bad=True)


def _past(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found is not None else at


# --- values ----------------------------------------------------------------------------------------------------------


def quoted(value: str) -> str:
    """A value as it is written: bare where that is read back so, in single quotes, or in double ones where it holds
    characters that only their escapes can keep. `${...}` is expanded in all of them.
    """
    if _NEEDS_NO_QUOTES.fullmatch(value):
        return value
    if any(char in value for char in "\r\a\b\f\v"):
        return f'"{value.translate(_WRITTEN)}"'
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def expand(bindings: Iterable[Binding], environ: Mapping[str, str]) -> dict[str, str | None]:
    """Values with `${NAME}` and `${NAME:-default}` replaced: by what stood above, then by the environment."""
    known: dict[str, str | None] = {}
    for key, value in bindings:
        known[key] = None if value is None else _VARIABLE.sub(lambda found: _looked_up(found, known, environ), value)
    return known


def _looked_up(found: re.Match[str], known: Mapping[str, str | None], environ: Mapping[str, str]) -> str:
    variable, default = found[1], found[2] or ""
    value = known[variable] if variable in known else environ.get(variable, default)
    return value if value is not None else ""


# --- for people ------------------------------------------------------------------------------------------------------


def masked(text: str) -> str:
    """The file for people, no value in it: `KEY=********`. A comment may hold an old value, and a line that is not
    understood anything, so both are masked as well. Blank lines go.
    """
    return "".join(f"{_masked(entry)}\n" for entry in parse(text).entries if entry.core)


def _masked(entry: Entry) -> str:
    if entry.bad or entry.key is None:
        return f"# {MASK}"
    return entry.key if entry.value is None else f"{entry.key}={MASK}"


class Change(NamedTuple):
    """How one key differs between two states of a file, without its values."""

    key: str
    what: str
    """`added`, `removed` or `changed`."""


def changes(before: str, after: str) -> list[Change]:
    """Which keys differ, in the later file's order and then those that are gone. Never a value."""
    old, new = dict(parse(before).bindings), dict(parse(after).bindings)
    found = [Change(key, "changed" if key in old else "added") for key in new if key not in old or old[key] != new[key]]
    return [*found, *(Change(key, "removed") for key in old if key not in new)]
