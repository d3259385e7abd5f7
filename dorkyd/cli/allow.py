"""The answer to what the tripwire asks: allow."""

from __future__ import annotations

from typing import Annotated

import typer

from dorkyd.api import calls
from dorkyd.cli import targets
from dorkyd.cli.app import Failure, Json, app, emit, show
from dorkyd.client import DorkyClient
from dorkyd.core.ignore import literal
from dorkyd.core.model import Path

_WILD = frozenset("*?[!")


@app.command(epilog="Example: dorkyctl allow .env 'certs/*.pem'")
def allow(
    words: Annotated[list[str], typer.Argument(metavar="PATH|PATTERN...", help="A file, or a gitignore pattern.")],
    json: Json = False,
) -> None:
    """Let files that look like secrets be uploaded in plain: whoever reads the bucket can read them."""
    with DorkyClient() as client:
        project, patterns = None, []
        for word in words:
            if _WILD & set(word) or word.endswith("/"):
                name, pattern = targets.project_name(client, None), word
            else:
                meant = targets.target(client, word)
                name, pattern = meant.project, literal(Path(meant.path))
            if project not in {None, name}:
                raise Failure("These are of several projects.", hint="Allow those of one project at a time.")
            project = name
            patterns.append(pattern)
        assert project is not None
        reply = client.send(calls.allow(project, patterns))
        if json:
            emit(reply.body)
        else:
            show(f"{project}: allowed in plain: {', '.join(reply.value.patterns)}")
