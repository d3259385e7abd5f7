"""Which paths are not synced at all.

Three lists of gitignore patterns, and who may lift what:

    built-in        what no team wants in a bucket; only local settings can lift an entry (`!node_modules`)
    `.dorkyignore`  in the folder's root, itself synced, so a teammate may have written it: it can only add to what is
                    ignored. Its negations lift its own earlier lines, nothing else
    settings        this machine's own; where one of its patterns matches, it decides

Nothing lifts `.git`, `.dorky` (ours) and the root's `.dorky.yaml`, which names the bucket: whoever writes the bucket must
not replace it. Nothing ignores `.dorkyignore`.

An ignored folder is final: nothing below it can be lifted. So an entry is decided level by level, and each level asks
only about the entry itself. pathspec translates the patterns; matching them is done here, because its own matchers also
accept an entry for its parent's sake, which made negations differ from git's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from pathspec.patterns.gitignore import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from dorkyd.core.model import Path
from dorkyd.core.paths import ancestors, is_reserved, name, seen_as, without_conflict
from dorkyd.errors import Refused

IGNORE_FILE = Path(".dorkyignore")
"""The synced list, in the folder's root."""

TEAM_FILE = Path(".dorky.yaml")
"""What a team commits to git: bucket, project id, key fingerprint. Never synced."""

BUILT_IN: tuple[str, ...] = (
    ".git",
    ".dorky",
    "/.dorky.yaml",
    "dorky.lock",  # it names a commit, and git carries it
    "node_modules",
    "__pycache__",
    ".venv",
    # Editors at work. Backups that a person sees and may want (`f~`) are synced.
    ".*.sw[a-px]",  # vim, neovim, nano
    r"\#*#",  # emacs
    ".#*",
    ".*.kate-swp",
    ".goutputstream-*",  # gedit and all of GLib
    "*___jb_tmp___",  # JetBrains
    "*___jb_old___",
    # Office programs at work.
    "~$*",
    ".~lock.*#",
    # What desktops and network file systems leave.
    ".DS_Store",
    "Thumbs.db",
    ".fuse_hidden*",
    ".nfs[0-9a-f]*",
    # Downloads under way.
    "*.part",
    "*.partial",
    "*.crdownload",
    "*.download",
    ".~tmp~",  # rsync --delay-updates
    # Copies that the npm tool `dorky` keeps of every push, in the bucket beside the files.
    "/.dorky-history",
)
"""Gitignore patterns that apply unless local settings lift them."""

_FOLDERS_REMEMBERED = 50_000
_TRAILING_SPACES = re.compile(r"(?<!\\) +\Z")
_TRAILING_BLANKS = re.compile(r"\s+\Z")
_SPECIAL = re.compile(r"[\\*?\[\]]| +\Z")
_BRACKET = re.compile(r"\\.|(\[[!^]?\]?[^\]]*\])")
_SHORT_FORMS = {".": ".+", "/": ".+/"}  # pathspec's for `*` and `**/*/**`, meant for searching
_NOT_IN_BRACKET = re.compile(r"\[|\\|--|&&|\|\||~~")


class BadLine(NamedTuple):
    """A pattern that cannot be understood as git would."""

    line: int
    """Counted from 1."""
    pattern: str
    detail: str
    """What is wrong, for people."""


def check(text: str) -> list[BadLine]:
    """The lines of an ignore file that cannot be used. In `.dorkyignore` each is a warning and that line is skipped;
    in settings each is a configuration error.
    """
    bad: list[BadLine] = []
    for number, line in _lines(text):
        try:
            _rule(line, "")
        except ValueError as exc:
            bad.append(BadLine(number, line, str(exc)))
    return bad


class IgnoreRules:
    """The rules of one project at one time. A changed `.dorkyignore` makes a new one.

    Pure: the same questions have the same answers. May be shared between threads.
    """

    def __init__(self, local: tuple[str, ...] = (), synced: str | None = None) -> None:
        """`local` are the settings' patterns, `synced` the text of `.dorkyignore`, None: there is none.

        Raises `Refused` for a local pattern that `check` would report. Bad lines of `synced` are skipped and stand in
        `bad_lines`.
        """
        self.bad_lines = tuple(check(synced or ""))
        skipped = {bad.line for bad in self.bad_lines}
        try:
            self._settings = _List([_rule(line, f"settings: {line}") for text in local for _, line in _lines(text)])
        except ValueError as exc:
            raise Refused(f"ignore in the settings: {exc}", hint="correct the pattern in config.yaml") from exc
        self._synced = _List(
            [
                _rule(line, f"{IGNORE_FILE}:{number}: {line}")
                for number, line in _lines(synced or "")
                if number not in skipped
            ]
        )
        self._built_in = _BUILT_IN
        self._plain_names = _plain_names(self._settings, self._built_in, self._synced)
        self._folders: dict[Path, str | None] = {}

    def skip(self, path: Path, is_folder: bool) -> bool:
        """The path is not synced, for its own sake or because a folder above it is ignored."""
        return self.rule(path, is_folder) is not None

    def skip_entry(self, path: Path, is_folder: bool) -> bool:
        """As `skip`, for a walk that came down from the root and knows that no folder above is ignored."""
        bare, plain_names = without_conflict(path), self._plain_names
        if plain_names is not None:
            last = bare[bare.rfind("/") + 1 :]
            if last.isascii() and "~" not in last and plain_names.fullmatch(last) is not None:
                return False
        return self._entry(bare, is_folder) is not None

    def rule(self, path: Path, is_folder: bool) -> str | None:
        """The rule that ignores the path, with its place: `.dorkyignore:3: *.log`, `settings: *.tmp`,
        `built-in: node_modules`. None: it is synced.
        """
        bare = without_conflict(path)
        for folder in ancestors(bare):
            found = self._folder(folder)
            if found is not None:
                return found
        return self._entry(bare, is_folder)

    def _folder(self, folder: Path) -> str | None:
        """`_entry` of a folder, remembered: siblings ask the same."""
        try:
            return self._folders[folder]
        except KeyError:
            if len(self._folders) >= _FOLDERS_REMEMBERED:
                self._folders.clear()
            found = self._folders[folder] = self._entry(folder, True)
            return found

    def _entry(self, path: Path, is_folder: bool) -> str | None:
        """The rule that ignores this entry, its parents left aside."""
        last = name(path)
        plain = last[:1] != "." and last.isascii() and "~" not in last
        if not plain and (fixed := _fixed(path, last)) is not None:
            return fixed or None
        own = self._settings.last_match(path, last, is_folder)
        if own is not None:
            return None if own.lifts else own.where
        for rules in (self._built_in, self._synced):
            found = rules.last_match(path, last, is_folder)
            if found is not None and not found.lifts:
                return found.where
        return None


class Patterns:
    """Gitignore patterns that pick paths for any other purpose. The last that matches decides, `!` takes back, and a folder
    that is picked is picked with all below it. A conflict copy goes with its original. Pure, as `IgnoreRules`.
    """

    def __init__(self, texts: tuple[str, ...] = ()) -> None:
        """Raises `Refused` for a pattern that `check` would report."""
        try:
            self._list = _List([_rule(line, line) for text in texts for _, line in _lines(text)])
        except ValueError as exc:
            raise Refused(str(exc), hint="correct the pattern in config.yaml") from exc
        self.texts = texts

    def picks(self, path: Path) -> bool:
        """Whether a file is picked."""
        if not self.texts:
            return False
        bare = without_conflict(path)
        return any(self._picks(folder, True) for folder in ancestors(bare)) or self._picks(bare, False)

    def _picks(self, path: Path, is_folder: bool) -> bool:
        found = self._list.last_match(path, name(path), is_folder)
        return found is not None and not found.lifts


def literal(path: Path) -> str:
    """The pattern that picks exactly this path."""
    return "/" + _SPECIAL.sub(r"\\\g<0>", path)


def _fixed(path: Path, last: str) -> str | None:
    """What no rule can change: the rule's text, "" for never ignored; None: rules decide."""
    if is_reserved(last):
        return f"built-in: {seen_as(last)}"
    if path == IGNORE_FILE:
        return ""
    if seen_as(path) == TEAM_FILE:
        # In any disguise: on a folding file system `.Dorky.yaml` from the bucket would replace it.
        return f"built-in: /{TEAM_FILE}"
    return None


@dataclass(frozen=True, slots=True)
class _Rule:
    """One pattern, ready to match."""

    where: str
    lifts: bool
    """Began with `!`."""
    folders_only: bool
    """Ended with `/`."""
    whole_path: bool
    """Had another `/`: the whole path is matched; otherwise only the last component."""
    dotted: bool
    """The last component of what it matches begins with a dot."""
    depth: int | None
    """How many `/` a matching path has; None: `**` matches any number."""
    below: bool
    """Ends with `/**`: matches everything at any depth below."""
    regex: re.Pattern[str]

    def matches(self, path: str, last: str, is_folder: bool) -> bool:
        if self.folders_only and not is_folder:
            return False
        if not self.whole_path:
            return self.regex.fullmatch(last) is not None
        if self.depth is not None and path.count("/") != self.depth:
            return False  # brackets of a regular expression match `/`, those of a pattern never do
        found = self.regex.match(path) if self.below else self.regex.fullmatch(path)
        return found is not None


class _List:
    """Rules of one origin. The last that matches decides."""

    def __init__(self, rules: list[_Rule]) -> None:
        self._newest_first = tuple(reversed(rules))
        self._whole_path = tuple(rule for rule in self._newest_first if rule.whole_path)
        self.names = [f"(?:{rule.regex.pattern})" for rule in rules if not rule.whole_path]
        # Nearly every name matches nothing: one expression says so at once.
        self._names = re.compile("|".join(self.names), re.DOTALL) if self.names else None
        self.leaves_plain_paths = all(rule.dotted for rule in rules if rule.whole_path)
        """No whole path matches whose last component does not begin with a dot."""

    def last_match(self, path: str, last: str, is_folder: bool) -> _Rule | None:
        named = self._names is not None and self._names.fullmatch(last) is not None
        for rule in self._newest_first if named else self._whole_path:
            if rule.matches(path, last, is_folder):
                return rule
        return None


def _plain_names(*lists: _List) -> re.Pattern[str] | None:
    """What matches names that begin with no dot and that no rule is about, so that nearly every entry of a walk costs one
    match; None: rules ask for more than names.
    """
    if not all(rules.leaves_plain_paths for rules in lists):
        return None
    names = "|".join(name for rules in lists for name in rules.names)
    return re.compile(rf"(?!\.)(?!(?:{names})\Z).*" if names else r"(?!\.).*", re.DOTALL)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The patterns of an ignore file with their line numbers: no comments, no blank lines, no trailing spaces."""
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        pattern = _TRAILING_SPACES.sub("", line.removesuffix("\r"))
        if pattern and not pattern.startswith("#"):
            yield number, pattern


def _rule(pattern: str, where: str) -> _Rule:
    """Read one pattern. Raises `ValueError` with what is wrong."""
    lifts = pattern.startswith("!")
    body = pattern[1:] if lifts else pattern
    folders_only = body.endswith("/")
    body = body.removesuffix("/")
    if not body:
        raise ValueError(f"`{pattern}` matches nothing")
    for bracket in _BRACKET.findall(body):
        if _NOT_IN_BRACKET.search(bracket, 1):
            raise ValueError(f"`{bracket}` in `{pattern}` is not supported; list the characters, as in [0-9a-f]")
    whole_path = "/" in body
    regex = _translate(body, pattern)
    return _Rule(
        where=where,
        lifts=lifts,
        folders_only=folders_only,
        whole_path=whole_path,
        dotted=body.rpartition("/")[2].startswith("."),
        depth=None if "**" in body.split("/") else body.removeprefix("/").count("/"),
        below=body.endswith("/**"),
        regex=regex,
    )


def _translate(body: str, pattern: str) -> re.Pattern[str]:
    """The regular expression of a pattern without `!` and closing `/`, for texts without a closing `/`."""
    # What was before the body is off by now: a `!` or `#` that it begins with and blanks at its end are meant.
    literal = "\\" + body if body[0] in "!#" else body
    if not literal.endswith("\\ "):
        literal = _TRAILING_BLANKS.sub(lambda blanks: "".join(f"[{blank}]" for blank in blanks[0]), literal)
    try:
        text, _ = GitIgnoreSpecPattern.pattern_to_regex(literal)
        # One that the blanks put behind it seem to close is as open.
        if text is None or "[" in _BRACKET.sub("", body):
            raise ValueError(f"`{pattern}` has a `[` that is never closed; write `\\[` for the character")
        text = _SHORT_FORMS.get(text, text).replace("(?P<ps_d>", "(?:")
        if "/" not in body:
            text = text.removeprefix("^(?:.+/)?")  # only the last component is asked: no folders come before it
        return re.compile(text, re.DOTALL)
    except GitIgnorePatternError as exc:
        raise ValueError(f"`{pattern}` is not a gitignore pattern") from exc
    except re.error as exc:
        raise ValueError(f"`{pattern}` has a range that runs backwards") from exc


_BUILT_IN = _List([_rule(pattern, f"built-in: {pattern}") for pattern in BUILT_IN])
