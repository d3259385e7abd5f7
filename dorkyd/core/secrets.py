"""What looks like a secret, told from a file's name and its first bytes; and who may read such a file.

Two questions, answered apart. *By name* (`is_private`): files that are for their owner alone wherever they arrive. The name
decides and nothing else, so that permission bits never change with what is in a file. *By content* (`suspicion`): what should
not go into a bucket in plain before somebody said so. `.env` by itself is no suspicion, for it is what people come for;
a private key or a live token in it is.

The rules are few, and each asks for a form that hardly anything else has: a detector that cries wolf is turned off. What was
measured, on which trees, stands in docs/security.md. Nothing of a file is ever part of an answer, only what kind of thing
was found and on which line.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from dorkyd.core.dotenv import is_env
from dorkyd.core.model import Path
from dorkyd.core.paths import name, without_conflict

READ_BYTES = 1024 * 1024
"""A file is looked at no further."""
OWNER_BITS = 0o700
"""Of a private file nobody but the owner may do anything, on any device."""

_BINARY_WITHIN = 8000
"""A NUL in so many bytes, and it is no text (as git has it)."""
_KEY_NAMES = re.compile(r"id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?|\.netrc|\.pgpass|\.htpasswd|\.git-credentials", re.ASCII)
_KEY_EXTENSIONS = (".p12", ".pfx", ".jks", ".keystore", ".kdbx", ".ppk")
_PRIVATE_EXTENSIONS = (*_KEY_EXTENSIONS, ".pem", ".key")


class Suspicion(NamedTuple):
    """What a file seems to hold."""

    what: str
    """For people, such as `a private key`. Never a part of the file."""
    line: int
    """Counted from 1; 0: the name alone says so."""


def is_private(path: Path) -> bool:
    """Its name says that it is for its owner alone: `.env*`, and what keys and passwords are usually kept in."""
    last = name(without_conflict(path)).lower()
    return is_env(path) or last.endswith(_PRIVATE_EXTENSIONS) or _KEY_NAMES.fullmatch(last) is not None


def installed_mode(path: Path, mode: int | None) -> int | None:
    """The permission bits with which a file is put in place, given those it shall have (None: the file system's default)."""
    if not is_private(path):
        return mode
    return 0o600 if mode is None else mode & OWNER_BITS


def suspicion(path: Path, data: bytes) -> Suspicion | None:
    """What the file seems to hold, given its first `READ_BYTES`; None: nothing that should not be in a bucket."""
    last = name(without_conflict(path)).lower()
    if last.endswith(_KEY_EXTENSIONS):
        return Suspicion("a key store", 0)
    if _KEY_NAMES.fullmatch(last):
        return Suspicion("a file of keys or passwords", 0)
    if b"\0" in data[:_BINARY_WITHIN]:
        return None
    for needle, pattern, what in _FORMS:
        for at in _everywhere(needle, data):
            found = pattern.search(data, max(0, at - _BEFORE), at + _AFTER)
            if found is not None and not _is_example(found[0]):
                return Suspicion(what, _line(data, found.start()))
    lowered = data.lower()
    for word, pattern in _NAMED:
        for at in _everywhere(word, lowered):
            found = pattern.match(data, at + len(word))
            harmless = word == b"token" and _OPENS_NOTHING.search(lowered, max(0, at - 16), at) is not None
            if found is not None and _is_random(found[1]) and not harmless:
                return Suspicion("a random value that is named like a secret", _line(data, at))
    return None


def _everywhere(needle: bytes, data: bytes) -> Iterator[int]:
    """Where it stands. An expression is tried only around there: searching for it in all of a file costs a hundred times as
    much as to find that what it begins with is not in the file.
    """
    at, left = data.find(needle), _PLACES
    while at >= 0 and left > 0:
        yield at
        at, left = data.find(needle, at + len(needle)), left - 1


def _line(data: bytes, at: int) -> int:
    return data.count(b"\n", 0, at) + 1


_PLACES = 2000
"""So many of one word are looked at: no file that a person wrote has more, and no file makes it slow."""
_BEFORE, _AFTER = 110, 2500
"""How much of a form may stand before and after what it is found by."""

_FORMS: tuple[tuple[bytes, re.Pattern[bytes], str], ...] = tuple(
    (needle, re.compile(pattern), what)
    for needle, pattern, what in (
        (
            b"PRIVATE KEY",
            # The header and a line of the key: a program that only names the header is none. `\n` may stand in escapes.
            (
                rb"-----BEGIN [A-Z ]{0,24}PRIVATE KEY(?: BLOCK)?-----(?:\s|\\r|\\n){1,8}"
                rb"(?:[A-Za-z-]{1,32}: ?[^\r\n]{0,200}(?:\s|\\r|\\n){1,8}){0,8}[A-Za-z0-9+/=]{32}"
            ),
            "a private key",
        ),
        (b"AGE-SECRET-KEY-1", rb"AGE-SECRET-KEY-1[0-9A-Z]{58}", "a private key"),
        (b"PuTTY-User-Key-File-", rb"(?m)^PuTTY-User-Key-File-[23]: ", "a private key"),
        (b"AKIA", rb"(?<![A-Za-z0-9/+])AKIA[A-Z2-7]{16}(?![A-Za-z0-9/+])", "an AWS access key"),
        (b"ASIA", rb"(?<![A-Za-z0-9/+])ASIA[A-Z2-7]{16}(?![A-Za-z0-9/+])", "an AWS access key"),
        (b"AIza", rb"(?<![\w-])AIza[\w-]{35}(?![\w-])", "a Google API key"),
        (b"GOCSPX-", rb"(?<![\w-])GOCSPX-[\w-]{28}(?![\w-])", "a Google client secret"),
        (b"AccountKey=", rb"AccountKey=[A-Za-z0-9+/]{86}==", "an Azure storage key"),
        *((b"gh%c_" % kind, rb"(?<!\w)gh%c_[A-Za-z0-9]{36}(?!\w)" % kind, "a GitHub token") for kind in b"pousr"),
        (b"github_pat_", rb"(?<!\w)github_pat_\w{82}(?!\w)", "a GitHub token"),
        (b"glpat-", rb"(?<![\w-])glpat-[\w-]{20}", "a GitLab token"),
        (b"xox", rb"(?<!\w)xox[abeprs]-[0-9]{8,14}-[A-Za-z0-9-]{20,}", "a Slack token"),
        (b"hooks.slack.com", rb"hooks\.slack\.com/services/T\w{8,12}/B\w{8,12}/\w{24}", "a Slack web hook"),
        (b"k_live_", rb"(?<!\w)[sr]k_live_[A-Za-z0-9]{20,}", "a Stripe key"),
        (b"npm_", rb"(?<!\w)npm_[A-Za-z0-9]{36}(?!\w)", "an npm token"),
        (b"pypi-AgE", rb"(?<!\w)pypi-AgE[\w-]{50,}", "a PyPI token"),
        (b"T3BlbkFJ", rb"(?<![\w-])sk-(?:proj-|svcacct-)?[\w-]{20,90}T3BlbkFJ[\w-]{20,}", "an OpenAI key"),
        (b"sk-ant-", rb"(?<![\w-])sk-ant-[\w-]{80,}", "an Anthropic key"),
        (b"SG.", rb"(?<!\w)SG\.[\w-]{22}\.[\w-]{43}(?![\w-])", "a SendGrid key"),
        (b"dop_v1_", rb"(?<!\w)dop_v1_[0-9a-f]{64}", "a DigitalOcean token"),
        (b"hvs.", rb"(?<!\w)hvs\.[\w-]{24,}", "a Vault token"),
        (b":AA", rb"(?<!\w)[0-9]{8,10}:AA[\w-]{33}(?![\w-])", "a Telegram bot token"),
    )
)
"""What must be in the file for the expression to be tried, the expression, what it finds."""

_ASSIGNED = re.compile(
    # What follows the word: the rest of the name, the sign, the value and nothing that would make it an expression.
    rb"[\w.-]{0,32}[\"']?[ \t]{0,8}(?::=|=>|=|:)[ \t]{0,8}[\"']?([A-Za-z0-9+/_=~-]{20,200})(?![A-Za-z0-9+/_=~.(\[-])"
)
_IN_URL = re.compile(rb"[\w.%-]{1,64}:([A-Za-z0-9+_=~%!*-]{16,200})@[\w.-]")
_NAMED: tuple[tuple[bytes, re.Pattern[bytes]], ...] = (
    *((word, _ASSIGNED) for word in (b"secret", b"token", b"passw", b"api_key", b"api-key", b"apikey")),
    *((word, _ASSIGNED) for word in (b"access_key", b"access-key", b"accesskey")),
    (b"://", _IN_URL),
)
"""A word in lower case, and what makes of what follows it a secret's value."""
_OPENS_NOTHING = re.compile(rb"(?:next|page|continuation|client|request|sync|change|cursor|csrf)[_ -]?$")
"""Of a token that opens nothing: where a listing goes on, which request is repeated."""
_EXAMPLES = (b"example", b"xxxx", b"0000", b"1234567", b"abcdef", b"your", b"dummy", b"placeholder")
_BITS = 3.6
"""Of entropy for each character: words and names have less, random hexadecimal digits a little more."""


def _is_random(value: bytes) -> bool:
    """A value that nobody typed: letters and digits mixed, hardly any character twice as often as another."""
    if (
        _is_example(value)
        or b"://" in value
        or not re.search(rb"[0-9].*[0-9]", value)
        or not re.search(rb"[A-Za-z]", value)
    ):
        return False
    # Names that were put together with digits in them: `sha256_of_the_file_2`.
    longest = max(len(word) for word in re.split(rb"[^A-Za-z0-9+/]", value))
    return longest >= 16 and _entropy(value) >= _BITS


def _is_example(value: bytes) -> bool:
    lowered = value.lower()
    return any(word in lowered for word in _EXAMPLES)


def _entropy(value: bytes) -> float:
    """Shannon's, in bits for each character."""
    return -sum(count / len(value) * math.log2(count / len(value)) for count in Counter(value).values())
