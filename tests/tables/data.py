"""Makers of table files for tests: shaped as public data sets are, from a seed, and small unless asked otherwise.

Each takes the file to write and returns it. Good ones: `taxi`, `wide`, `nested`, `feather`, `taxi_csv`, `json_lines`. Wrong in some
way that people's files are: the makers in `BROKEN`.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2024, 1, 1, tzinfo=UTC)
ZONES = ["Astoria", "Battery Park", "Chinatown", "East Harlem", "JFK Airport", "LaGuardia Airport", "SoHo", "Tribeca"]
PAYMENTS = ["card", "cash", "dispute", None]


def rides(rows: int, seed: int = 1) -> dict[str, list[Any]]:
    """Columns of taxi rides: times, floats with a few nulls, a category with many repeats, an id that is a key."""
    chance = random.Random(seed)
    begun = [START + timedelta(seconds=chance.randrange(31 * 86_400)) for _ in range(rows)]
    miles = [round(chance.expovariate(0.4), 2) for _ in range(rows)]
    return {
        "ride_id": [seed * 10_000_000 + n for n in range(rows)],
        "pickup_at": begun,
        "dropoff_at": [at + timedelta(minutes=3 + m * 4) for at, m in zip(begun, miles, strict=True)],
        "passengers": [chance.choice([1, 1, 1, 2, 3, None]) for _ in range(rows)],
        "distance": miles,
        "zone": [chance.choice(ZONES) for _ in range(rows)],
        "payment": [chance.choice(PAYMENTS) for _ in range(rows)],
        "fare": [round(3 + 2.5 * m + chance.random(), 2) for m in miles],
    }


def taxi(file: Path, rows: int = 1000, *, seed: int = 1, group: int = 250, drop: tuple[str, ...] = ()) -> Path:
    """Parquet, in several row groups, without these columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(rides(rows, seed)).drop_columns(list(drop))
    pq.write_table(table, file, row_group_size=group)
    return file


def large(file: Path, size: int, *, seed: int = 1, rows: int = 262_144) -> Path:
    """Parquet of about so many bytes that do not pack, in row groups of about 16 MiB, or so many rows."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    chance = np.random.default_rng(seed)
    names = [f"signal_{n}" for n in range(8)]
    schema = pa.schema([(name, pa.float64()) for name in names])
    # Numbers that never repeat have no use for dictionaries; pages of 64 KiB, so that first rows are a small part.
    with pq.ParquetWriter(file, schema, compression="none", use_dictionary=False, data_page_size=65_536) as writer:
        while file.stat().st_size < size:
            writer.write_table(pa.table({name: chance.random(rows) for name in names}), row_group_size=rows)
    return file


def wide(file: Path, columns: int = 400, rows: int = 50, *, seed: int = 2) -> Path:
    """Parquet with many columns, as features of a model are kept."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    chance = random.Random(seed)
    made = {f"feature_{n:04d}": [chance.random() for _ in range(rows)] for n in range(columns)}
    pq.write_table(pa.table(made), file)
    return file


def nested(file: Path, rows: int = 200, *, seed: int = 3) -> Path:
    """Parquet with lists, structs and maps, as events are kept."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    chance = random.Random(seed)
    schema = pa.schema(
        [
            ("id", pa.int64()),
            ("user", pa.struct([("name", pa.string()), ("tags", pa.list_(pa.string()))])),
            ("items", pa.list_(pa.struct([("sku", pa.string()), ("count", pa.int32())]))),
            ("labels", pa.map_(pa.string(), pa.string())),
            ("day", pa.date32()),
            ("price", pa.decimal128(12, 2)),
            ("raw", pa.binary()),
        ]
    )
    from decimal import Decimal

    made = [
        {
            "id": n,
            "user": {"name": f"user {n}", "tags": [chance.choice("abc") for _ in range(n % 3)]},
            "items": [{"sku": f"S{chance.randrange(99)}", "count": chance.randrange(9)} for _ in range(n % 4)],
            "labels": [("k", str(n))],
            "day": (START + timedelta(days=n)).date(),
            "price": Decimal(chance.randrange(10_000)) / 100,
            "raw": bytes([n % 256, 0, 27]),
        }
        for n in range(rows)
    ]
    pq.write_table(pa.Table.from_pylist(made, schema=schema), file)
    return file


def feather(file: Path, rows: int = 500, *, seed: int = 4) -> Path:
    """Arrow IPC, as Feather writes it (packed with lz4), in batches of 100 rows."""
    import pyarrow as pa
    import pyarrow.feather

    pyarrow.feather.write_feather(pa.table(rides(rows, seed)), str(file), chunksize=100)
    return file


def _text(value: Any) -> str:
    return "" if value is None else value.strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, datetime) else str(value)


def taxi_csv(file: Path, rows: int = 300, *, seed: int = 1, separator: str = ",", packed: bool = False) -> Path:
    """Text with a header."""
    columns = rides(rows, seed)
    lines = [separator.join(columns)]
    lines += [separator.join(_text(value) for value in row) for row in zip(*columns.values(), strict=True)]
    data = ("\n".join(lines) + "\n").encode()
    file.write_bytes(gzip.compress(data, mtime=0) if packed else data)
    return file


def json_lines(file: Path, rows: int = 300, *, seed: int = 1) -> Path:
    """One object a line; every tenth lacks a field, every seventh nests one."""
    columns = rides(rows, seed)
    lines = []
    for n, row in enumerate(zip(*columns.values(), strict=True)):
        made = {name: _text(v) if isinstance(v, datetime) else v for name, v in zip(columns, row, strict=True)}
        if n % 10 == 9:
            del made["payment"]
        if n % 7 == 6:
            made["extra"] = {"tip": n}
        lines.append(json.dumps(made))
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


# --- as people's files are ------------------------------------------------------------------------------------------


def latin1(file: Path) -> Path:
    """CSV that is not UTF-8, with semicolons and decimal commas, as a spreadsheet of Europe saves it."""
    file.write_bytes("straße;größe\nAn der Mühle;1,5\nÜberweg;2,25\n".encode("latin-1"))
    return file


def newlines(file: Path) -> Path:
    """CSV with line breaks, separators and quotes inside of quotes."""
    rows = ['id,note,"a ""name"""', '1,"first\nsecond, with a comma",x', '2,"he said ""no""",y', '3,"",z']
    file.write_bytes(("\r\n".join(rows) + "\r\n").encode())
    return file


def mixed(file: Path) -> Path:
    """CSV with a column that is a number for a while, then text, and one that is sometimes empty."""
    lines = ["id,value,maybe"] + [f"{n},{n if n < 150 else 'unknown'},{'' if n % 5 else n}" for n in range(200)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def ragged(file: Path) -> Path:
    """CSV whose lines have too few and too many fields."""
    file.write_text("a,b,c\n1,2,3\n4,5\n6,7,8,9\n10,11,12\n", encoding="utf-8")
    return file


def headless(file: Path) -> Path:
    """CSV without a header."""
    file.write_text("\n".join(f"{n},{n * 2},{n / 4}" for n in range(50)) + "\n", encoding="utf-8")
    return file


def twice(file: Path) -> Path:
    """CSV with a name that stands twice, one that is empty, and one that would move the cursor of a terminal."""
    file.write_text("a,a,,\x1b[2Jd\n1,2,3,4\n5,6,7,8\n", encoding="utf-8")
    return file


def utf16(file: Path) -> Path:
    """CSV in UTF-16 with its mark, as spreadsheets export "Unicode text"."""
    file.write_bytes("name\tcount\nåse\t1\nbjørn\t2\n".encode("utf-16"))
    return file


def unclosed(file: Path) -> Path:
    """CSV whose quote never ends."""
    file.write_text('a,b\n1,"never ends\n' + "x,y\n" * 2000, encoding="utf-8")
    return file


def one_line(file: Path) -> Path:
    """CSV that is one line of a megabyte."""
    file.write_bytes(b"x" * 1_000_000)
    return file


def empty(file: Path) -> Path:
    """No bytes."""
    file.write_bytes(b"")
    return file


def cut_off(file: Path) -> Path:
    """Parquet whose end is missing."""
    taxi(file)
    file.write_bytes(file.read_bytes()[:-100])
    return file


def noise(file: Path) -> Path:
    """Bytes without meaning, with Parquet's marks at both ends and a footer length that points into them."""
    made = random.Random(5).randbytes(5000)
    file.write_bytes(b"PAR1" + made + (1000).to_bytes(4, "little") + b"PAR1")
    return file


def huge_footer(file: Path) -> Path:
    """Parquet that claims a footer of 4 GiB."""
    file.write_bytes(b"PAR1" + b"\0" * 100 + b"\xff\xff\xff\xff" + b"PAR1")
    return file


def bad_json(file: Path) -> Path:
    """JSON lines, some of which are none."""
    file.write_text('{"a": 1}\n{"a": \n[1, 2]\n\n{"a": "two", "b": null}\n{"a": NaN}\n', encoding="utf-8")
    return file


BROKEN: dict[str, Callable[[Path], Path]] = {
    "latin1.csv": latin1,
    "newlines.csv": newlines,
    "mixed.csv": mixed,
    "ragged.csv": ragged,
    "headless.csv": headless,
    "twice.csv": twice,
    "utf16.tsv": utf16,
    "unclosed.csv": unclosed,
    "one-line.csv": one_line,
    "empty.csv": empty,
    "empty.parquet": empty,
    "cut-off.parquet": cut_off,
    "noise.parquet": noise,
    "huge-footer.parquet": huge_footer,
    "bad.jsonl": bad_json,
}
"""By a name that says their format."""
