"""The suite works: it measures what it says, and leaves nothing behind. How fast anything is, is not tested."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import servers
from tests.bench.command import CASES, main
from tests.bench.goals import Goal, verdicts
from tests.bench.measure import Sample, Traffic
from tests.bench.table import table

FILES, SIZE = 20, 4096


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files go meanwhile: a short path, since sockets lie below it."""
    place = Path(tempfile.mkdtemp(prefix="bt-"))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    shutil.rmtree(place)


@pytest.mark.s3
@pytest.mark.daemon
@pytest.mark.slow
def test_a_case_runs(scratch: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A case at a thousandth of its size gives every contender's cost, as the server counted it, and clears up."""
    try:
        servers._program("rclone")
        servers._program("weed")
    except servers.Unavailable as missing:
        pytest.skip(str(missing))
    file = scratch / "samples.json"
    main(["small", "--scale", str(FILES / 20_000), "--repeat", "1", "--only", "rclone sync", "--json", str(file)])
    found = json.loads(file.read_text())["small"]
    assert set(found) == {"dorkyd", "rclone sync"}
    for name, (sample,) in found.items():
        assert sample["requests"]["PUT"] >= FILES, name
        assert sample["bytes_up"] >= FILES * SIZE, name
        assert min(sample["wall_s"], sample["cpu_s"], sample["peak_mb"]) > 0, name
    assert "| dorkyd " in capsys.readouterr().out
    assert list(scratch.iterdir()) == [file]


def test_a_table_tells_medians_and_ratios() -> None:
    """The median of a row's seconds, their spread, and ours divided by the row's."""

    def samples(*walls: float) -> list[Sample]:
        return [Sample(wall, 1, 50, 2, Traffic({"PUT": 3}, 2**20, 0)) for wall in walls]

    _, _, first, second = table({"slow": samples(4, 30, 8), "dorkyd": samples(2)}).splitlines()
    assert [cell.strip() for cell in first.split("|")[1:5]] == ["dorkyd", "2.00", "-", ""]
    assert [cell.strip() for cell in second.split("|")[1:5]] == ["slow", "8.00", "4.00-30.0", "0.25"]


def test_a_goal_is_judged_by_medians() -> None:
    """Met up to its bound, missed beyond it, and not judged without the contender it names."""
    samples = {name: [Sample(wall, 1, 50, 2, Traffic())] for name, wall in (("dorkyd", 3), ("peer", 4))}
    goals = [Goal(0.75, "peer"), Goal(0.74, "peer"), Goal(49, column="peak MB"), Goal(1, "absent")]
    assert [line.rpartition(" ")[2] for line in verdicts(goals, samples)] == ["met", "missed", "missed"]


def test_an_unknown_case_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is started, naming those there are."""
    with pytest.raises(SystemExit):
        main(["smal"])
    told = capsys.readouterr().err
    assert all(name in told for name in CASES)
