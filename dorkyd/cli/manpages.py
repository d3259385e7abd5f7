"""`dorkyctl man`: manual pages in roff (man(7)), from what `--help` says. One for each command, and one that lists them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

import dorkyd
from dorkyd.cli.app import Exit, Failure, app, show
from dorkyd.cli.units import plural

EXITS = {
    Exit.OK: "ok",
    Exit.ERROR: "error",
    Exit.USAGE: "usage",
    Exit.PENDING: "work is pending (only with --exit-code)",
    Exit.ATTENTION: "attention: a conflict, a halt or a problem",
    Exit.TEMPORARY: "temporary, will be tried again",
    Exit.NOT_RUNNING: "the daemon is not running",
    Exit.GUARD: "refused by a safety guard",
    Exit.CREDENTIALS: "credentials or permission",
    Exit.INTEGRITY: "integrity: bytes are not what their digest says",
    Exit.CONFIGURATION: "configuration",
}


@app.command("man", epilog="Example: dorkyctl man ~/.local/share/man/man1")
def man(folder: Annotated[str, typer.Argument(help="Where to write them; it is made if it is missing.")]) -> None:
    """Write the manual pages: dorkyctl.1, and dorkyctl-COMMAND.1 for each command."""
    place = Path(folder).expanduser()
    made = pages()
    try:
        place.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            (place / f"{name}.1").write_text(text, encoding="utf-8")
    except OSError as exc:
        raise Failure(f"{place}: {exc.strerror}", exit_code=Exit.ERROR) from exc
    show(f"Wrote {plural(len(made), 'page')} to {place}. Read one: man {place / 'dorkyctl.1'}")


def pages() -> dict[str, str]:
    """Each page by its name."""
    from dorkyd.cli import load_all  # noqa: PLC0415  it imports this

    load_all()
    return dict(_pages("dorkyctl", typer.main.get_command(app)))


def _pages(name: str, command: Any) -> Iterator[tuple[str, str]]:
    inside = {word: each for word, each in getattr(command, "commands", {}).items() if not each.hidden}
    yield name, "\n".join(_page(name, command, inside)) + "\n"
    for word, each in inside.items():
        yield from _pages(f"{name}-{word}", each)


def _page(name: str, command: Any, inside: dict[str, Any]) -> Iterator[str]:
    spoken = name if name == "dorkyctl" else f"dorkyctl {name.removeprefix('dorkyctl-')}"
    for word in ("key", "team", "env", "service"):
        spoken = re.sub(rf"^dorkyctl {word}-", f"dorkyctl {word} ", spoken)
    first, _, rest = _told(command).partition("\n")
    yield f'.TH "{name.upper()}" 1 "" "dorkyd {dorkyd.__version__}" "dorkyctl"'
    yield ".SH NAME"
    yield f"{text(name)} \\- {text(first.rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield f".B {text(spoken)}"
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option"]
    words = ["COMMAND"] if inside else [_shown(each) for each in arguments]
    yield text(" ".join([*(["[OPTIONS]"] if options else []), *words]))
    yield ".SH DESCRIPTION"
    yield from paragraphs(f"{first}\n{rest}")
    if inside:
        yield ".SH COMMANDS"
        for word, each in inside.items():
            yield from (".TP", f".BR {text(f'{name}-{word}')} (1)", text(_told(each).partition("\n")[0]))
    if arguments and any(each.help for each in arguments):
        yield ".SH ARGUMENTS"
        for each in arguments:
            yield from (".TP", f".I {text(_shown(each))}", text(each.help or ""))
    if options:
        yield ".SH OPTIONS"
        for each in options:
            value = "" if each.is_flag else f" {each.metavar or 'VALUE'}"
            yield from (".TP", f".B {text(', '.join(each.opts) + value)}", text(each.help or ""))
    if command.epilog:
        yield ".SH EXAMPLE"
        yield from (".nf", text(command.epilog.removeprefix("Example: ")), ".fi")
    yield ".SH EXIT STATUS"
    for code, about in EXITS.items():
        yield from (".TP", f".B {code.value}", text(about))
    if name != "dorkyctl":
        yield ".SH SEE ALSO"
        yield ".BR dorkyctl (1)"


def _told(command: Any) -> str:
    """Its help, without the example that a group has there."""
    return re.sub(r"\n+(Example|Begin with): .*", "", command.help or "").strip()


def _shown(argument: Any) -> str:
    shown = argument.metavar or argument.name.upper()
    return shown if argument.required or shown.startswith("[") else f"[{shown}]"


def paragraphs(told: str) -> Iterator[str]:
    """Each paragraph of a help text."""
    for number, part in enumerate(re.split(r"\n\s*\n", told.strip())):
        if number:
            yield ".PP"
        yield text(" ".join(part.split()))


def text(plain: str) -> str:
    """Fit for a line of roff: nothing of it steers."""
    told = plain.replace("\\", r"\e").replace("-", r"\-")
    told = "".join(letter if letter.isascii() else rf"\[u{ord(letter):04X}]" for letter in told)
    return rf"\&{told}" if told[:1] in {".", "'"} else told
