"""What the server itself has to show: the page's files, and a few plain pages without any."""

from __future__ import annotations

import html
from dataclasses import dataclass
from importlib import resources

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Nothing but our own files, nothing inline, and no text that becomes markup."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer."""
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the page."""

    media_type: str
    body: bytes


def assets() -> dict[str, Asset]:
    """All files of the page, by the path they are asked for; `/` is the page itself."""
    found = {}
    for file in resources.files("dorkyd.ui").joinpath("page").iterdir():
        kind = _TYPES.get(file.name.rpartition(".")[2])
        if kind is not None:
            found[f"/{file.name}"] = Asset(f"{kind}; charset=utf-8", file.read_bytes())
    found["/"] = found.pop("/index.html")
    return found


def begun(key: str) -> bytes:
    """Where the token was spent: it hands the key to the browser's storage and goes on to the page."""
    return _document(
        "dorkyd",
        "<p>Opening the page. It needs JavaScript, which is all its own.</p>",
        f'<meta name="dorky-key" content="{html.escape(key)}"><script type="module" src="/start.js"></script>',
    )


def spent() -> bytes:
    """The link was used already, or is none."""
    return _document(
        "This link does not open the page any more",
        "<p>It opens it once. Start again in a terminal:</p><pre>dorkyctl ui</pre>"
        '<p>In the browser that used it the page is still there: <a href="/">open it</a>.</p>',
    )


def refused(detail: str) -> bytes:
    """Somebody without a part in the page asks for it."""
    return _document("Not for this browser", f"<p>{html.escape(detail)} Begin in a terminal:</p><pre>dorkyctl ui</pre>")


def leading(url: str) -> bytes:
    """A file for a browser that leads it to `url`: other users of this machine see what a program was started with."""
    return _document(
        "dorkyd", "<p>Opening the page.</p>", f'<meta http-equiv="refresh" content="0;url={html.escape(url)}">'
    )


def _document(title: str, body: str, head: str = "") -> bytes:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f'<meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>{head}</head>'
        f"<body><main><h1>{html.escape(title)}</h1>{body}</main></body></html>"
    ).encode()
