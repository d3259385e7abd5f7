"""Commands that a later version has. They exist, so that nobody mistakes them for a typing error, and refuse."""

from __future__ import annotations

import typer

from dorkyd.cli.app import Failure, app

LATER = ("service",)


def _refuse(context: typer.Context) -> None:
    raise Failure(
        f"`dorkyctl {context.info_name}` is not built yet in this version.",
        hint="`dorkyctl --help` lists what there is.",
    )


for _name in LATER:
    app.command(
        _name,
        help="Not built yet.",
        hidden=True,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )(_refuse)
