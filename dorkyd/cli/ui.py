"""`dorkyctl ui`: the local page. Its server lives in this process and ends with it."""

from __future__ import annotations

import contextlib
import json as js
import os
import signal
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from dorkyd.cli.app import Exit, Failure, Json, app, say, show
from dorkyd.client import quick
from dorkyd.locate import state_directory
from dorkyd.private import make_private
from dorkyd.ui import pages
from dorkyd.ui.server import PageServer


@app.command(epilog="Example: dorkyctl ui")
def ui(
    *,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the address.")] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to serve it; 0: any port that is free.")] = 0,
    json: Json = False,
) -> None:
    """Show projects, files, conflicts and history in a browser of this machine, until Ctrl-C.

    The address works once, and for one browser. Nobody else on this machine gets in, and no other page does.
    """
    quick.get("/v1/health")  # says what to do where no daemon runs
    try:
        server = PageServer(port)
    except OSError as exc:
        raise Failure(
            f"The page cannot be served on port {port}: {exc.strerror}.",
            hint="Leave out --port to take any that is free.",
            exit_code=Exit.ERROR,
        ) from exc
    with _ended_by_signals(), server:
        if json:
            print(js.dumps({"url": server.url, "port": server.session.port}), flush=True)
        else:
            show(server.url)
        if no_browser or json or not _has_screen():
            say("Open this in a browser of this machine; it works once. Ctrl-C ends the page.")
            server.serve_forever()
            return
        with _leading(server) as file:
            say("Opening it in your browser. If no page appears, open the address yourself; it works once.")
            say("Ctrl-C ends the page.")
            # A browser that is started anew takes a while, and is a child of whoever asks for it.
            threading.Thread(target=webbrowser.open, args=(file.as_uri(),), daemon=True).start()
            server.serve_forever()


def _has_screen() -> bool:
    """A browser that was started here would be seen. Elsewhere one that runs in the terminal would take it over."""
    return sys.platform == "darwin" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Ctrl-C, SIGTERM and the terminal's end are how the page ends: as it should."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    before = [(number, signal.signal(number, end)) for number in (signal.SIGTERM, signal.SIGHUP)]
    try:
        yield
    except KeyboardInterrupt:
        say("\nThe page has ended.")
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@contextmanager
def _leading(server: PageServer) -> Iterator[Path]:
    """A file of ours that leads a browser to the page, until one has come. What a program is started with is seen by every user
    of this machine; the token must not be.
    """
    make_private(state_directory())  # the daemon may have another environment than this shell
    file = state_directory() / f"ui-{server.session.port}.html"
    file.unlink(missing_ok=True)
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as out:
        out.write(pages.leading(server.url))

    def gone() -> None:
        server.opened.wait()
        file.unlink(missing_ok=True)

    threading.Thread(target=gone, daemon=True).start()
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            file.unlink(missing_ok=True)
