"""What a shell offers at TAB, asked for by the scripts of `completion` as `dorkyctl --complete SHELL …`.

Quick and silent: it imports no parser and no client, gives the daemon half a second, and offers less where that does not answer. The
words that are typed are compared with a table of commands and options, which is written down once for each version
(building it needs the parser): a cache, in the state directory.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from dorkyd.api.failures import ApiError
from dorkyd.client import quick
from dorkyd.locate import state_directory

ANSWER_S = 0.5
MOST_PATHS = 200
"""What is more than that is not looked through by a person either."""
PAGE = 100
FILES, FOLDERS = ":files", ":folders"
"""Last line: the shell adds its own files, or folders."""
_LAST = "\U0010ffff"
"""Sorts after everything that begins with what stands before it."""
_UNSAFE = re.compile(r"([^\w@%+=:,./~-])")

Table = Mapping[str, Any]
"""By command (of a group: `team add`; of all: empty): `words` with a line on each, `options` with what each takes (`flag`,
`value`, or a list of choices), `arguments` with each one's kind, and whether the last may be repeated (`more`).
"""


def main(given: Sequence[str]) -> None:
    """Print a candidate a line, for zsh and fish with a line on it after a tab. Never fails: at TAB nobody reads errors."""
    try:
        shell, words, quoted = _asked(given)
        found = list(candidates(_table(), words))
    except Exception:  # whatever it is, the person at the prompt is typing something else
        return
    cut = _cut(words[-1], given[2]) if shell == "bash" else 0
    for text, about in found:
        if text in {FILES, FOLDERS}:
            print(text)
        elif shell == "bash":
            told = text[cut:]
            print(told if quoted else _UNSAFE.sub(r"\\\1", told))
        else:
            print(f"{text}\t{about}" if about else text)


def _asked(given: Sequence[str]) -> tuple[str, list[str], bool]:
    """The shell, the words after `dorkyctl` up to the cursor, and whether the last is in quotes."""
    if given[0] != "bash":
        return given[0], list(given[2:]) or [""], False  # after `--`
    line = given[1]
    words, quoted = split(line)
    return "bash", words[1:] or [""], quoted


def split(line: str) -> tuple[list[str], bool]:
    """A line that is being typed as a shell reads it; the last word may be empty or unfinished. True: it is in quotes."""
    words, word, quote, begun = [], "", "", False
    letters = iter(line)
    for letter in letters:
        if quote:
            if letter == quote:
                quote = ""
            else:
                word += letter
        elif letter in "\"'":
            quote, begun = letter, True
        elif letter == "\\":
            word, begun = word + next(letters, ""), True
        elif letter.isspace():
            if begun or word:
                words.append(word)
            word, begun = "", False
        else:
            word, begun = word + letter, True
    return [*words, word], bool(quote)


def _cut(word: str, breaks: str) -> int:
    """How much of a word bash does not replace: it breaks words at `:` and `=` too."""
    return 1 + max(word.rfind(each) for each in ":=" if each in breaks) if set(":=") & set(breaks) else 0


# --- what may stand there ---------------------------------------------------------------------------------------------


def candidates(table: Table, words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What the last word may become, and a line on it."""
    *before, current = words
    name, rest = _command(table, before)
    here = table[name]
    if "words" in here:
        yield from ((word, about) for word, about in here["words"].items() if word.startswith(current))
        return
    options = here["options"]
    if rest and (taken := options.get(rest[-1])) is not None and taken[0] != "flag":
        if isinstance(taken[0], list):
            yield from ((choice, "") for choice in taken[0] if choice.startswith(current))
        elif rest[-1] == "--project":
            yield from _projects(current)
        else:
            yield FILES, ""
        return
    if current.startswith("-") and "--" not in rest:
        yield from ((option, taken[1]) for option, taken in options.items() if option.startswith(current))
        return
    yield from _argument(here, rest, options, current)


def _command(table: Table, before: Sequence[str]) -> tuple[str, list[str]]:
    """The command that the words name, and those after it."""
    name, rest = "", list(before)
    while rest and "words" in table[name]:
        word = rest.pop(0)
        if word.startswith("-"):
            continue
        name = f"{name} {word}".strip()
        if name not in table:
            raise LookupError(name)
    return name, rest


def _argument(
    here: Mapping[str, Any], rest: Sequence[str], options: Mapping[str, Any], current: str
) -> Iterator[tuple[str, str]]:
    given, skip = 0, False
    for word in rest:
        if skip:
            skip = False
        elif word.startswith("-"):
            skip = options.get(word, ["flag"])[0] != "flag"
        else:
            given += 1
    kinds = here["arguments"]
    if given >= len(kinds) and not (kinds and here["more"]):
        return
    kind = kinds[min(given, len(kinds) - 1)]
    if kind in {"project", "name-or-path"}:
        yield from _projects(current)
    if kind in {"path", "name-or-path"}:
        yield from dict.fromkeys([*_paths(current), *_here(current)])
    if kind == "file":
        yield FILES, ""
    if kind == "folder":
        yield FOLDERS, ""


# --- what the daemon knows --------------------------------------------------------------------------------------------


def _ask(path: str, **query: str | int) -> Any:
    return json.loads(quick.get(f"{path}?{urlencode(query)}" if query else path, patience_s=ANSWER_S))["items"]


def _known() -> list[tuple[str, str]]:
    """Name and folder of each project; none where no daemon answers."""
    try:
        return [(each["name"], each["path"]) for each in _ask("/v1/projects")]
    except ApiError:
        return []


def _projects(current: str) -> Iterator[tuple[str, str]]:
    yield from ((name, folder) for name, folder in _known() if name.startswith(current))


def _paths(current: str) -> Iterator[tuple[str, str]]:
    known = _known()
    name, colon, prefix = current.partition(":")
    if colon:
        if any(name == each for each, _ in known):
            yield from ((f"{name}:{path}", "") for path in _below(name, prefix))
        return
    yield from ((f"{each}:", folder) for each, folder in known if each.startswith(current))
    if current.startswith(("/", "~")) or {".", ".."} & set(current.split("/")):
        return  # the shell's own files will do
    here = os.path.realpath(os.getcwd())
    for each, folder in known:
        below = os.path.relpath(here, os.path.realpath(folder))
        if below != ".." and not below.startswith("../"):
            at = "" if below == "." else f"{below}/"
            yield from ((path[len(at) :], "") for path in _below(each, at + current))


def _here(current: str) -> Iterator[tuple[str, str]]:
    """Files that lie here, synced or not."""
    folder, slash, start = current.rpartition("/")
    try:
        with os.scandir(os.path.expanduser(folder) + slash or ".") as found:
            held = sorted((each.name, each.is_dir()) for each in found if each.name.startswith(start))
    except OSError:
        return
    for name, is_folder in held:
        if name.isprintable() and name != ".dorky" and (start or not name.startswith(".")):
            yield f"{folder}{slash}{name}{'/' if is_folder else ''}", ""


def _below(project: str, prefix: str) -> Iterator[str]:
    """Paths that begin with it, down to the next folder."""
    after, found = "", 0
    while found < MOST_PATHS:
        try:
            page = _ask(f"/v1/projects/{quote(project, safe='')}/files", prefix=prefix, after=after, limit=PAGE)
        except ApiError:
            return
        for item in page:
            path = item["path"]
            if path <= after:
                continue
            slash = path.find("/", len(prefix))
            found += 1
            if slash >= 0:
                yield path[: slash + 1]
                after = path[: slash + 1] + _LAST
                break  # the rest of the page may all be in it: ask for what follows
            yield path
            after = path
        else:
            if len(page) < PAGE:
                return


# --- the table --------------------------------------------------------------------------------------------------------


def _table() -> Table:
    """From the cache, when it is of this very code."""
    file = state_directory() / "completion.json"
    stamp = _stamp()
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        if kept["of"] == stamp:
            return dict(kept["table"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # it is the first time, or of another version: made anew below
    from dorkyd.cli.completion import table  # noqa: PLC0415  half a second, once

    made = table()
    staged = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        with open(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            json.dump({"of": stamp, "table": made}, stream)
        staged.replace(file)
    except OSError:
        pass  # there is no state directory yet: made anew next time
    return made


def _stamp() -> str:
    folder = Path(__file__).parent
    newest = max(each.stat().st_mtime_ns for each in os.scandir(folder) if each.name.endswith(".py"))
    return f"{sys.version_info[:2]} {folder} {newest}"
