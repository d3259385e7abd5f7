"""`convert`: a text table to Parquet. It works on files, with or without a daemon, in any folder."""

from __future__ import annotations

import dataclasses
import json as jsonlib
from pathlib import Path
from typing import Annotated

import typer

from dorkyd.cli.app import Exit, Failure, Json, app, emit, say, show
from dorkyd.cli.units import size
from dorkyd.core.conversion import Conversion, Converted, Form, named
from dorkyd.errors import Configuration, DorkyError

_INPUTS = ".csv, .tsv or .jsonl, also with .gz or .zst"


@app.command(epilog="Example: dorkyctl convert rides.csv rides.parquet --schema rides.yaml")
def convert(
    source: Annotated[str, typer.Argument(metavar="IN", help=f"A table as text: {_INPUTS}.")],
    target: Annotated[str, typer.Argument(metavar="OUT", help="The table to make: .parquet, or .feather.")],
    schema: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML or JSON of column to type; what does not fit is rejected.")
    ] = None,
    delimiter: Annotated[
        str | None, typer.Option(help=r"Between fields; \t is a tab. By default what the name's ending means.")
    ] = None,
    encoding: Annotated[str, typer.Option(help="Of the text, such as latin-1.")] = "utf-8",
    header: Annotated[bool, typer.Option("--header/--no-header", help="The first line names the columns.")] = True,
    rejects: Annotated[
        str | None, typer.Option(metavar="FILE", help="Where rejects are listed; by default beside OUT.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace OUT, and an older list of rejects.")] = False,
    json: Json = False,
) -> None:
    """Make a Parquet table of a CSV or JSON lines file, which stays as it is.

    Types are found by looking at every value, and a column is text where a number would lose anything: a leading zero, a
    digit, a word such as NA. Records that are no rows of the table are listed with their line, and the exit code is 4.
    """
    asked = _asked(source, target, schema, delimiter, encoding, header=header)
    list_ = rejects if rejects is not None else f"{target}.rejects.jsonl"
    from dorkyd.tables.converting.files import convert_file  # noqa: PLC0415  loads pyarrow

    try:
        told = convert_file(asked, source, target, list_, force=force)
    except DorkyError as exc:
        if json:
            emit(jsonlib.dumps({"code": exc.code, "detail": str(exc), "hint": exc.hint}).encode())
        code = Exit.CONFIGURATION if isinstance(exc, Configuration) else Exit.ERROR
        raise Failure(str(exc), hint=exc.hint, exit_code=code) from exc
    list_ = list_ if told.rejects else ""
    if json:
        emit(jsonlib.dumps({**dataclasses.asdict(told), "rejects_file": list_ or None}).encode())
    else:
        _show(told, target)
    for note in told.notes:
        say(f"note: {note}")
    if told.rejects:
        what = "1 record is no row" if told.rejects == 1 else f"{told.rejects} records are no rows"
        say(f"{what} of the table; {list_} lists what was left out, with lines.")
        raise typer.Exit(Exit.ATTENTION)


def _asked(
    source: str, target: str, schema: Path | None, delimiter: str | None, encoding: str, *, header: bool
) -> Conversion:
    read, write = named(source), named(target)
    if read is None or read.form not in {Form.CSV, Form.JSON_LINES}:
        raise Failure(f"{source} is no table as text, by its name.", hint=f"Such names end in {_INPUTS}.")
    if write is None or write.packed is not None or write.form not in {Form.PARQUET, Form.FEATHER}:
        raise Failure(f"{target} is no table to make, by its name.", hint="Such a name ends in .parquet or .feather.")
    text = None
    if schema is not None:
        try:
            text = schema.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            what = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
            raise Failure(f"The schema {schema} cannot be read: {what}.") from exc
    try:
        return Conversion(
            name=Path(source).name,
            form=read.form,
            target=write.form,
            delimiter=read.delimiter if delimiter is None else delimiter.replace(r"\t", "\t"),
            packed=read.packed,
            encoding=encoding,
            header=header,
            schema=text,
            schema_name=str(schema or ""),
        )
    except DorkyError as exc:
        raise Failure(str(exc), hint=exc.hint) from exc


def _show(told: Converted, target: str) -> None:
    show(f"Wrote {target}: {told.rows} rows, {len(told.columns)} columns, {size(told.size)}.")
    for name, kind in list(told.columns.items())[:50]:
        show(f"  {kind:<14} {name}")
    if len(told.columns) > 50:
        show(f"  and {len(told.columns) - 50} more")
