"""What differs from run to run, as what does not: places, times, ids. The rest is as it was printed.

A *time* becomes the ordinal number of the block in which it was, so that what was later is later. An *id* becomes one that is made of the
page and the command that showed it first; commands of the page that name it get the real one again. Digests stay: contents are
the page's own.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import time
from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

_FIRST = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
_STAMPS = (
    (re.compile(r"\b(20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d)((?:\.\d+)?Z)"), "%Y-%m-%dT%H:%M:%S"),
    (re.compile(r"\b(20\d{6}-\d{6})()\b"), "%Y%m%d-%H%M%S"),
    (re.compile(r"\b(20\d{6}T\d{6})((?:\.\d+)?Z)"), "%Y%m%dT%H%M%S"),
    (re.compile(r"\b(20\d\d-\d\d-\d\d \d\d:\d\d:\d\d)((?:,\d{3})?)"), "%Y-%m-%d %H:%M:%S"),
)
_MEASURES = (
    (re.compile(r"\d+ s ago( *)"), lambda m: f"0 s ago{' ' * (len(m[0]) - 7) if m[1] else ''}"),
    (re.compile(r"\d+ MiB free"), "12050 MiB free"),
    (re.compile(r"allows \d+ for all"), "allows 192536 for all"),
    (re.compile(r"\d+ files may be open"), "20000 files may be open"),
    (re.compile(r"tried \d+x, again in \d+ s"), "tried 1x, again in 1 s"),
    (re.compile(r"\b(pid|process)([= ])\d+"), r"\1\g<2>4312"),
    (re.compile(r"\bseconds=[\d.]+"), "seconds=0.012"),
    (re.compile(r'"pid":\d+'), '"pid":4312'),
    (re.compile(r'"uptime_s":[\d.]+'), '"uptime_s":12.705'),
    (re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]+"), "AGE-SECRET-KEY-1…"),
)
_FORMS = (
    r"\b[0-9a-f]+-[0-9a-f]+-[0-9a-f]{16}-[0-9a-f]{16}\b",  # a version of a directory
    r"(?<= )(?=[0-9a-f-]{12}(?: |$))[0-9a-f]{4,8}-[0-9a-f]{1,6}-[0-9a-f]{1,4}\b",  # the beginning of one
    r"\bage1[0-9a-z]{58}(?::[A-Za-z0-9+/]{43}=)?",
    r"\b(?:[0-9a-f]{8}-){4}[0-9a-f]{8}\b",  # a fingerprint
    r"(?<= approve )[a-z]+ [0-9a-f]{8}\b|(?<= reject )[a-z]+ [0-9a-f]{8}\b",
    r"(?<=epoch 0001-)[0-9a-f]{8}|(?<=Z-)[0-9a-f]{8}\b",
    r"(?<=[0-9]{6} )[0-9a-f]{6}(?=\))",  # at the end of a conflict copy's name
    r"\b(?!0{12}\b)[0-9a-f]{12,64}\b",
    r"\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{8,11}\b",
)
_HOST = re.compile(rf"\b{re.escape(os.uname().nodename)}\b")
_ID = re.compile("|".join(_FORMS), re.MULTILINE)
_LAST = {
    "TOKEN": re.compile(r"dorkyctl approve \S+ ([0-9a-f]{8})"),
    "KEY": re.compile(r"\b(age1[0-9a-z]{58}:\S*)"),
    "FINGERPRINT": re.compile(r"\b((?:[0-9a-f]{8}-){4}[0-9a-f]{8})\b"),
}
"""What commands name and nobody knows before it was told: a command may be written with the word."""
_MEANT = re.compile(
    r"(?<=(?:approve|.reject) api )[0-9a-f]{8}\b|age1[0-9a-z]{58}:[A-Za-z0-9+/]{43}=|(?:[0-9a-f]{8}-){4}[0-9a-f]{8}|\bTOKEN\b|\bKEY\b|\bFINGERPRINT\b"
)


class Stable:
    """Of one page in one run."""

    def __init__(self, page: str) -> None:
        self._page = page
        self._began: list[int] = []
        """When each block began: whole seconds, no two in the same."""
        self._ids: dict[str, str] = {}
        self._texts: list[tuple[str, str]] = []
        self._contents: set[str] = set()
        self._last: dict[str, str] = {}

    def begin(self) -> None:
        """A block begins. Stores tell whole seconds, so each begins in a second of its own."""
        while self._began and int(time.time()) <= self._began[-1]:
            time.sleep(0.02)
        self._began.append(int(time.time()))

    def place(self, real: str, told: str) -> None:
        """A text that stands for another: both ways."""
        self._texts.append((real, told))

    def contents(self, folders: Iterable[Path]) -> None:
        """Learn the digests of what lies there."""
        for folder in folders:
            for file in folder.rglob("*"):
                if (
                    ".dorky" not in file.parts
                    and file.is_file()
                    and not file.is_symlink()
                    and file.stat().st_size < 1 << 20
                ):
                    self._contents.add(hashlib.sha256(file.read_bytes()).hexdigest())

    def meant(self, command: str) -> str:
        """A command of the page with the tokens and keys of before an edit replaced by those of now."""
        told = set(self._ids.values())

        def now(match: re.Match[str]) -> str:
            word = (
                match[0]
                if match[0] in _LAST
                else "KEY"
                if "age1" in match[0]
                else "FINGERPRINT"
                if "-" in match[0]
                else "TOKEN"
            )
            known = match[0] == "00000000" or any(each.startswith(match[0]) for each in told)
            return match[0] if known else self._last.get(word, match[0])

        return _MEANT.sub(now, command)

    def real(self, command: str) -> str:
        """A command of the page as it is carried out."""
        for real, told in self._texts:
            command = command.replace(told, real)
        return _ID.sub(lambda match: self._real(match[0]), command)

    def told(self, said: str, who: str, command: str) -> str:
        """What was printed as the page shows it."""
        for real, told in self._texts:
            said = said.replace(real, told)
        said = _HOST.sub("ana-laptop", said)
        for pattern, put in _MEASURES:
            said = pattern.sub(put, said)
        # Ids after times: a time in one stretch of digits is no id.
        for pattern, form in _STAMPS:
            said = pattern.sub(lambda match, form=form: self._time(match[1], form) + _zeros(match[2]), said)
        count = 0

        def named(match: re.Match[str]) -> str:
            nonlocal count
            count += 1
            return self._id(match[0], f"{who}: {command} {count}")

        said = _ID.sub(named, said)
        for word, pattern in _LAST.items():
            for found in pattern.findall(said):
                self._last[word] = found
        return "\n".join(line.rstrip() for line in said.splitlines())

    def _time(self, text: str, form: str) -> str:
        at = int(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp())
        block = bisect_right(self._began, at)
        if block == 0:
            return text
        return (_FIRST + timedelta(minutes=block)).strftime(form)

    def _id(self, real: str, where: str) -> str:
        if any(content.startswith(real) for content in self._contents):
            return real
        halt, _, token = real.rpartition(" ")
        if halt:
            return f"{halt} {self._id(token, where)}"
        for known, told in self._ids.items():
            if known.startswith(real):
                return told[: len(real)]
            if real.startswith(known) and len(told) > len(known):
                self._ids[real] = told
                return told[: len(real)]
        told = _made(hashlib.sha256(f"{self._page} {where}".encode()).hexdigest(), real)
        self._ids[real] = told
        return told[: len(real)] if set(told) <= set("0123456789abcdef") else told

    def _real(self, told: str) -> str:
        halt, _, token = told.rpartition(" ")
        if halt:
            return f"{halt} {self._real(token)}"
        for real, known in self._ids.items():
            if known == told or (known.startswith(told) and len(told) <= len(real)):
                return real[: len(told)] if known != told else real
        return told


def _made(digest: str, real: str) -> str:
    """An id of the same form. Of plain hexadecimal digits all: it may be shown longer later."""
    if real.startswith("age1"):
        key = "age1" + digest[:58]
        return f"{key}:{base64.b64encode(bytes.fromhex(digest)).decode()}" if ":" in real else key
    if real.count("-") == 4:
        return "-".join(digest[at : at + 8] for at in range(0, 40, 8))
    if real.count("-") == 3:
        return f"6f-1a-{digest[:16]}-{digest[16:32]}"
    return digest[:12] if "-" in real else digest


def _zeros(fraction: str) -> str:
    return re.sub(r"\d", "0", fraction)
