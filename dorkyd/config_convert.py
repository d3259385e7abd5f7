"""The setting `convert`: which files of a project get a sibling that is a table, made by this device."""

from __future__ import annotations

import codecs
import posixpath

from dorkyd.config_nodes import Table, items_of, text_of
from dorkyd.core.ignore import check
from dorkyd.core.paths import is_reserved
from dorkyd.core.settings import Converting, Mode

_FORMS = ("parquet",)
_NO_MODES = {
    Mode.PULL: "never writes the bucket",
    Mode.MANUAL: "stores nothing but what you push",
    Mode.BUCKET: "has no folder to read from",
}


def conversions_of(table: Table, mode: Mode) -> tuple[Converting, ...]:
    """In order; the first that matches a path counts. Raises `Configuration`, with the line."""
    if "convert" not in table.values:
        return ()
    if mode in _NO_MODES:
        where = "a project without `path`" if mode is Mode.BUCKET else f"`mode: {mode}`"
        raise table.wrong("convert", f"{where} {_NO_MODES[mode]}, so that nothing is converted there: remove `convert`")
    found = []
    for node in items_of(table.source, table.values["convert"], "`convert`"):
        one = table.source.table(node, "an entry of `convert`", {"match", "to", "schema", "delimiter", "encoding"})
        found.append(Converting(_match(one), _to(one), _schema(one), _delimiter(one), _encoding(one)))
    return tuple(found)


def _match(one: Table) -> str:
    match = one.text("match")
    if match is None:
        raise one.wrong("match", 'an entry of `convert` needs a `match`, such as "*.csv"')
    if "\n" in match or match.startswith(("#", "!")):
        raise one.wrong("match", "`match` must be one gitignore pattern that picks files")
    for bad in check(match):
        raise one.wrong("match", f"in `match`: {bad.detail}")
    return match


def _to(one: Table) -> str:
    to = one.text("to")
    if to not in _FORMS:
        raise one.wrong("to", "`to` must be parquet")
    return to


def _schema(one: Table) -> str | None:
    path = one.text("schema")
    if path is None:
        return None
    parts = path.split("/")
    if posixpath.normpath(path) != path or any(part in {"", ".", ".."} or is_reserved(part) for part in parts):
        raise one.wrong("schema", "`schema` must be the path of a file in the project, such as schemas/rides.yaml")
    return path


def _delimiter(one: Table) -> str | None:
    node = one.values.get("delimiter")
    given = text_of(one.source, node, "`delimiter`") if node is not None else None
    if given is not None and (len(given) != 1 or not given.isascii() or given in '"\r\n\0'):
        raise one.wrong("delimiter", '`delimiter` must be one ASCII character, such as ";" or "\\t"')
    return given


def _encoding(one: Table) -> str:
    given = one.text("encoding")
    if given is None:
        return "utf-8"
    try:
        "".encode(codecs.lookup(given).name)
    except (LookupError, UnicodeError):
        raise one.wrong("encoding", f"`{given}` is no encoding; such are utf-8, latin-1, cp1252, utf-16") from None
    return given
