"""`.env` files: python-dotenv says what they mean, and nothing in them is lost."""

from __future__ import annotations

import io
import os
import re

import dotenv as oracle
import pytest
from dotenv.parser import parse_stream
from hypothesis import assume, given
from hypothesis import strategies as st

from dorkyd.core.dotenv import MASK, Change, changes, decode, expand, is_env, masked, parse, quoted
from dorkyd.core.model import Path
from dorkyd.errors import Refused

PIECES = [
    *(
        "A",
        "B",
        "_k.1",
        "=",
        "'",
        '"',
        "#",
        "\\",
        " ",
        "\n",
        "\r\n",
        "\r",
        "\t",
        "$",
        "{",
        "}",
        "${A}",
        "${B:-x}",
        ":-",
    ),
    *("export ", "export", "\n\n", "\n# c\n", "é", "\u2028", "\x0b", "\x85", "\x1c", "\\n", "\\'", '\\"', "A=1\n"),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=16).map("".join)
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@given(TEXTS)
def test_it_is_read_as_python_dotenv_reads_it(text: str) -> None:
    """Each entry has the same key, the same value, the same text, and is understood or not in the same cases."""
    theirs = list(parse_stream(io.StringIO(text, newline="")))
    ours = parse(text).entries
    assert [(e.key, e.raw, e.bad) for e in ours] == [(b.key, b.original.string, b.error) for b in theirs]
    if "\r" not in text:
        assert [e.value for e in ours if e.key is not None] == [b.value for b in theirs if b.key is not None]


@given(TEXTS)
def test_its_values_are_those_of_a_file(text: str) -> None:
    """As python-dotenv reads a file, which makes every line end a newline; the environment expands alike."""
    read = oracle.dotenv_values(stream=io.StringIO(re.sub("\r\n|\r", "\n", text)), interpolate=True)
    bindings = parse(text).bindings
    assume(not any("\r" in key for key, _ in bindings))
    assert expand(bindings, os.environ) == dict(read)


@given(TEXTS)
def test_every_character_is_kept(text: str) -> None:
    """Whatever it is, understood or not."""
    assert parse(text).text == text
    assert parse("\ufeff" + text).text == "\ufeff" + text


def test_a_byte_order_mark_is_no_part_of_a_key() -> None:
    """Which python-dotenv would make of it."""
    assert parse("\ufeffA=1\n").bindings == [("A", "1")]


@given(TEXTS, st.sampled_from(["A", "B", "NEW"]), VALUES)
def test_a_value_that_was_set_is_read_back(text: str, key: str, value: str) -> None:
    """And nothing else changed; what cannot be set so is refused."""
    before = parse(text)
    try:
        after = before.with_value(key, value)
    except Refused as exc:
        assert exc.code == "bad-env"  # noqa: PT017 - any other way is not refused at all
        assert before.bad_lines
        return
    assert after.get(key) == value
    assert [b for b in after.bindings if b.key != key] == [b for b in before.bindings if b.key != key]


@given(VALUES)
def test_what_is_written_python_dotenv_reads(value: str) -> None:
    """Its own reader gives the value back."""
    text = parse("").with_value("KEY", value).text
    assert oracle.dotenv_values(stream=io.StringIO(text), interpolate=False) == {"KEY": value}


@pytest.mark.parametrize(
    ("before", "key", "value", "after"),
    [
        ("# of A\nexport A=1  # why\nB=2\n", "A", "2", "# of A\nexport A=2  # why\nB=2\n"),
        ("A='x'\r\n", "A", "it's", "A='it\\'s'\r\n"),
        ("A=1\r\n", "B", "2", "A=1\r\nB=2\r\n"),
        ("A=1", "B", "2", "A=1\nB=2\n"),
        ("A=1\nA=2\n", "A", "3", "A=1\nA=3\n"),
        ("A\n", "A", "1", "A=1\n"),
        ("A=\n", "A", "two words", "A='two words'\n"),
        ("A= # none\n", "A", "1", "A= 1 # none\n"),
        ("A='x'# c\n", "A", "1", "A=1 # c\n"),
        ("A='x\ny' # c\n", "A", "z", "A=z # c\n"),
        ("", "A", "", "A=''\n"),
        ("", "A", "a\nb", "A='a\nb'\n"),
        ("", "A", "a\r", 'A="a\\r"\n'),
    ],
)
def test_an_edit_touches_nothing_else(before: str, key: str, value: str, after: str) -> None:
    """`export`, comments, order, quotes elsewhere and line ends stay; a new key comes last."""
    assert parse(before).with_value(key, value).text == after


def test_an_open_quote_swallows_nothing() -> None:
    """A new key after it would be read as the end of that quote: refused, with the line."""
    with pytest.raises(Refused) as caught:
        parse('A="open\nB=1\n').with_value("C", 'x"y')
    assert "line 1" in caught.value.hint


@pytest.mark.parametrize("key", ["", "A B", "A=B", "1A", "export", "A#", "'A'", "A\n"])
def test_what_cannot_be_a_key_is_refused(key: str) -> None:
    """Before it makes another line of it."""
    with pytest.raises(Refused, match="cannot be a key"):
        parse("").with_value(key, "1")


def test_a_nul_is_refused() -> None:
    """No environment could hold it."""
    with pytest.raises(Refused) as caught:
        parse("").with_value("A", "secret\0")
    assert "secret" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused() -> None:
    """With the line."""
    with pytest.raises(Refused, match="line 2"):
        decode(b"A=1\nB=\xff\n")


def test_what_stood_above_counts_before_the_environment() -> None:
    """And a default where neither knows it."""
    bindings = parse("A=1\nB=${A}${HOME}\nC=${X:-d}${Y}\nA=2\nN\n").bindings
    assert expand(bindings, {"A": "env", "HOME": "/h"}) == {"A": "2", "B": "1/h", "C": "d", "N": None}


def test_nothing_of_a_value_is_shown() -> None:
    """Comments may hold old values, lines that are not understood anything."""
    text = 'A=s3cret\n\n# was s3cret\nexport B="s3cret\ns3cret"\nC\nD="s3cret\n'
    assert "s3cret" not in masked(text)
    assert masked(text).splitlines() == [f"A={MASK}", f"# {MASK}", f"B={MASK}", "C", f"# {MASK}"]


def test_changes_are_told_by_key() -> None:
    """Never by value."""
    found = changes("A=1\nB=1\nC=1\n", "A=1\nB=2\nD=1\n")
    assert found == [Change("B", "changed"), Change("D", "added"), Change("C", "removed")]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".env", True),
        ("d/.env.local", True),
        (".env (conflict ann 20260101-000000 abcdef)", True),
        ("env", False),
        (".env/x", False),
        ("a.env", False),
    ],
)
def test_which_files_these_are(path: str, *, expected: bool) -> None:
    """By the name alone, in any folder."""
    assert is_env(Path(path)) is expected


@given(VALUES)
def test_a_bare_value_needs_no_quotes(value: str) -> None:
    """What is written without quotes holds nothing that a shell or python-dotenv would take for more."""
    written = quoted(value)
    assert written[0] in "'\"" or written == value
