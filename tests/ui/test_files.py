"""The page's files: they ask nobody else for anything, and make markup of nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dorkyd.ui import pages

FILES = sorted((Path(pages.__file__).parent / "page").iterdir())
OURS = {"http://www.w3.org/2000/svg"}
"""The name of a format, which is fetched from nowhere."""
MARKUP = (
    "innerHTML",
    "outerHTML",
    "insertAdjacentHTML",
    "document.write",
    "DOMParser",
    "eval(",
    "new Function",
    "srcdoc",
)


def test_all_of_them_are_served() -> None:
    """By their names, and the page itself at `/`."""
    assert {f"/{file.name}".replace("/index.html", "/") for file in FILES} == set(pages.assets())
    assert pages.assets()["/app.js"].media_type == "text/javascript; charset=utf-8"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_one_file(file: Path) -> None:
    """No address of another host, nothing inline that the policy would stop, no text that becomes markup."""
    text = file.read_text()
    assert set(re.findall(r"[a-z]+://[^\s\"'`)]+", text)) <= OURS
    assert not re.findall(r"""(?:src|href|url|import|from)\s*[=(]?\s*["']//""", text)
    assert not [word for word in MARKUP if word in text]
    assert "style=" not in text
    assert not re.findall(r"<script(?![^>]*\bsrc=)", text)
    assert len(text.splitlines()) < 400


def test_imports_are_there() -> None:
    """Every module that one imports is a file beside it."""
    named = {name for file in FILES for name in re.findall(r'from "\./([^"]+)"', file.read_text())}
    assert named <= {file.name for file in FILES}


def test_the_policy() -> None:
    """Nothing but our own files, and no page may frame ours."""
    parts = dict(part.strip().partition(" ")[::2] for part in pages.POLICY.split(";"))
    assert parts["default-src"] == parts["base-uri"] == parts["form-action"] == parts["frame-ancestors"] == "'none'"
    assert {parts[name] for name in ("script-src", "style-src", "img-src", "connect-src")} == {"'self'"}
    assert parts["require-trusted-types-for"] == "'script'"


def test_what_the_server_writes_itself() -> None:
    """Texts are escaped where they stand in markup."""
    assert b"&lt;b&gt;" in pages.refused("<b>")
    assert b'content="&quot;&gt;"' in pages.begun('">')
