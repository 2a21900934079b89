"""The Ray recipe: its rows without Ray, and the whole of it where Ray is installed."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import toxitrace
from toxitrace.cli.main import main

pa = pytest.importorskip("pyarrow", reason="pyarrow comes with the train extra")
parquet = pytest.importorskip("pyarrow.parquet")
SCRIPT = Path(__file__).parent.parent / "scripts" / "score_with_ray.py"
TEXTS = ["你真是个笨蛋", None, "早上好", "", "滚"]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("score_with_ray", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def detector(export: Path) -> toxitrace.Detector:
    return toxitrace.load(export, threads=1)


def test_rows_keep_their_columns_and_gain_what_predict_finds(script: ModuleType, detector: toxitrace.Detector) -> None:
    table = pa.table({"n": range(5), "text": TEXTS})
    rows = script.score_table(table, detector).to_pylist()
    assert [(row["n"], row["text"]) for row in rows] == list(enumerate(TEXTS))
    for row in rows:
        if row["text"] is None:
            assert row["reason"] == "no text"
            assert [row[name] for name in ("toxic", "probability", "spans", "truncated")] == [None] * 4
        else:
            found = {name: row[name] for name in ("text", "toxic", "probability", "spans")}
            assert found == detector.predict(row["text"]).to_dict()
            assert (row["truncated"], row["reason"]) == (False, None)


@pytest.mark.parametrize("texts", [[], [None], ["早上好"], ["滚"], [7]])
def test_every_batch_has_the_same_types(script: ModuleType, detector: toxitrace.Detector, texts: list[Any]) -> None:
    scored = script.score_table(pa.table({"text": texts}), detector)
    assert {name: scored.schema.field(name).type for name in script.COLUMNS} == script.COLUMNS


def test_a_text_that_is_no_string_is_a_reason_and_no_crash(script: ModuleType, detector: toxitrace.Detector) -> None:
    (row,) = script.score_table(pa.table({"text": [7]}), detector).to_pylist()
    assert row["reason"] == "the text is of type int; expected a string"


def test_columns_that_are_missing_or_taken_are_named(script: ModuleType, detector: toxitrace.Detector) -> None:
    with pytest.raises(ValueError, match="no column 'text', they have \\['body'\\]"):
        script.score_table(pa.table({"body": ["早"]}), detector)
    table = pa.table({"text": ["滚"], "toxic": [1]})
    with pytest.raises(ValueError, match="--prefix"):
        script.score_table(table, detector)
    assert script.score_table(table, detector, prefix="our_").to_pylist()[0]["our_toxic"]


@pytest.mark.parametrize(
    ("names", "kind"), [(["a.parquet", "b.parquet"], "parquet"), (["a.jsonl"], "jsonl"), (["a.csv"], None), ([], None)]
)
def test_the_files_names_tell_the_format(script: ModuleType, tmp_path: Path, names: list[str], kind: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    assert script._format_of(str(tmp_path)) == kind


@pytest.mark.parametrize("form", ["parquet", "jsonl"])
def test_a_cluster_of_this_machine_finds_what_the_command_finds(form: str, export: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason='ray is no dependency; pip install "ray[data]" to run this')
    folder, flat, output = tmp_path / "in", tmp_path / "flat.jsonl", tmp_path / "out"
    folder.mkdir()
    rows = [{"id": i, "text": text, "lang": "zh"} for i, text in enumerate(TEXTS * 40)]
    for number in range(2):
        part = rows[number::2]
        if form == "parquet":
            parquet.write_table(pa.Table.from_pylist(part), folder / f"{number}.parquet")
        else:
            (folder / f"{number}.jsonl").write_text("\n".join(map(json.dumps, part)), encoding="utf-8")
    command = ["--input", folder, "--output", output, "--model", export, "--workers", "2"]
    subprocess.run([sys.executable, SCRIPT, *command], check=True, capture_output=True, timeout=300)
    found = {row["id"]: row for row in parquet.read_table(output).to_pylist()}
    assert sorted(found) == list(range(len(rows)))
    flat.write_text("\n".join(json.dumps(row) for row in rows if row["text"] is not None), encoding="utf-8")
    arguments = ["--input", flat, "--output", tmp_path / "flat.out", "--model", export, "--threads", "1"]
    assert main(["predict", *map(str, arguments)]) == 0
    wanted = [json.loads(line) for line in (tmp_path / "flat.out").read_text(encoding="utf-8").splitlines()]
    assert len(wanted) == sum(row["reason"] is None for row in found.values()) == 160
    for row in wanted:
        assert {name: found[row["id"]][name] for name in row} == row
        assert found[row["id"]]["lang"] == "zh"
