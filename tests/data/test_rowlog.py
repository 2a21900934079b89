from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from toxitrace.data.rowlog import RowLog
from toxitrace.errors import ConfigError, DataError


def test_a_torn_line_is_cut_off_and_the_whole_ones_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with RowLog(path, {"k": 1}) as log:
        log.add([{"id": "a", "n": 1}, {"id": "b", "n": 2}])
    with open(path, "ab") as file:
        file.write(b'{"id": "c", "n"')
    with RowLog(path, {"k": 1}, resume=True) as log:
        assert list(log.rows) == [("a",), ("b",)]
        log.add([{"id": "c", "n": 3}])
        log.finish([("c",), ("a",), ("b",)], {"n": 3})
    assert [row["id"] for row in read(path)] == ["c", "a", "b"]
    with RowLog(path, {"k": 1}, resume=True) as log:
        assert log.report == {"n": 3}


def test_an_output_is_neither_overwritten_nor_gone_on_with_under_other_settings(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with RowLog(path, {"k": 1}) as log:
        log.add([{"id": "a"}])
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="--resume"):
        RowLog(path, {"k": 1})
    with pytest.raises(ConfigError, match="k was 1 and is 2"):
        RowLog(path, {"k": 2}, resume=True)
    assert path.read_bytes() == before


def test_a_file_that_no_task_has_made_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "thesis.txt"
    path.write_text("precious")
    with pytest.raises(ConfigError, match="says how it was made"):
        RowLog(path, {}, resume=True)
    assert path.read_text() == "precious"


def test_two_runs_cannot_hold_one_output(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    path = tmp_path / "rows.jsonl"
    with RowLog(path, {}), pytest.raises(DataError, match="another run"):
        RowLog(path, {}, resume=True)
    with RowLog(path, {}, resume=True):
        pass


def test_lone_surrogates_survive(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with RowLog(path, {}) as log:
        log.add([{"id": "a", "queries": ["笨\ud800蛋"]}])
    with RowLog(path, {}, resume=True) as log:
        assert log.rows["a",]["queries"] == ["笨\ud800蛋"]


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_what_fails_before_its_first_row_and_report_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(report: dict[str, int] | None = None, *, resume: bool = False) -> None:
        with RowLog(tmp_path / "rows.jsonl", {"a": 1}, resume=resume) as log:
            if report:
                log.note(report)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert list(tmp_path.iterdir()) == []
    for resume in (False, True):
        with pytest.raises(KeyboardInterrupt):
            fail({"spending": 3}, resume=resume)  # paid for: the next sitting must know
        with RowLog(tmp_path / "rows.jsonl", {"a": 1}, resume=True) as log:
            assert log.report == {"spending": 3}
    with RowLog(tmp_path / "empty.jsonl", {}):
        pass
    assert (tmp_path / "empty.jsonl").is_file()
