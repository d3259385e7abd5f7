"""Names from a bucket on a screen and in a log: they steer no terminal and forge no line."""

from __future__ import annotations

import io
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dorkyd.api.messages import LogItem
from dorkyd.cli.app import complain, show
from dorkyd.cli.told import done
from dorkyd.core.printable import printable
from dorkyd.loglines import FORMAT, PrintableLines

EVIL = "\x1b[2J\x1b]0;owned\x07 d\u202eexe.txt\r\nverb=upload path='fake' outcome=ok\x9b31m\u2028"


def _logged(*args: object, exc: BaseException | None = None) -> str:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PrintableLines(FORMAT))
    record = logging.LogRecord("dorkyd.x", logging.INFO, "f", 1, "path=%s detail=%r", args, None)
    if exc is not None:
        record.exc_info = (type(exc), exc, exc.__traceback__)
    handler.emit(record)
    return stream.getvalue()


def test_a_log_line_is_one_line() -> None:
    """Whatever a name holds, it is escaped and cannot begin a line of its own."""
    line = _logged(EVIL, EVIL)
    assert line.count("\n") == 1
    assert line.rstrip("\n").isprintable()
    assert "owned" in line


def test_a_traceback_in_a_log_keeps_its_lines_and_no_more() -> None:
    """A message that an exception quotes is escaped as well."""
    try:
        raise ValueError(EVIL)
    except ValueError as exc:
        text = _logged("p", "d", exc=exc)
    assert text.replace("\n", "").isprintable()
    assert "Traceback" in text


def test_what_is_printed_forges_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    """An answer is a line for each item; messages may have lines, and no escapes."""
    show(f"  3 B  in-sync  {EVIL}")
    show(
        done(LogItem(at="t", device=EVIL, verb="put", path=EVIL, size=1, detail=EVIL, digest=None, version=None, seq=1))
    )
    out = capsys.readouterr().out
    assert out.count("\n") == 2
    assert out.replace("\n", "").isprintable()
    complain(EVIL, EVIL)
    assert capsys.readouterr().err.replace("\n", "").isprintable()


@given(st.text())
def test_every_text_is_made_printable(text: str) -> None:
    """Nothing is left that a terminal obeys, what was printable is as it was, and doing it twice changes nothing."""
    once = printable(text, keep="")
    assert once.isprintable()
    assert printable(once, keep="") == once
    if text.isprintable():
        assert once == text
