from __future__ import annotations

import json
from pathlib import Path

import pytest

from toxitrace.data import READERS, guess_format, read_examples
from toxitrace.errors import ConfigError, DataError

COLD = ",split,topic,label,TEXT\n0,dev,race,1,甲\n"
STATE = [{"id": 1, "content": "好", "output": "NULL | NULL | non-hate | non-hate [END]"}]


@pytest.mark.parametrize(
    ("name", "content", "format"),
    [
        ("a.jsonl", '{"text":"好","label":0}\n', "jsonl"),
        ("a.csv", COLD, "cold"),
        ("b.csv", "platform,topic,content,toxic,toxic_type\nx,y,好,0,0\n", "toxicn"),
        ("c.csv", "index,comment_text,label,category\n0,好,0,\n", "swsr"),
        ("d.CSV", "text,label\n好,0\n", "csv"),
        ("e.tsv", "text\tlabel\n好\t0\n", "csv"),
        ("f.json", json.dumps([{"sentence_id": 1, "original_text": "好", "is_toxic": False}]), "cntp"),
        ("g.json", json.dumps(STATE), "state-toxicn"),
    ],
)
def test_the_format_is_guessed_and_read(tmp_path: Path, name: str, content: str, format: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert guess_format(path) == format
    assert read_examples(path) == READERS[format](path)


@pytest.mark.parametrize(("name", "content"), [("a.parquet", "x"), ("a.json", '[{"x": 1}]'), ("b.json", "[]")])
def test_what_cannot_be_guessed_is_an_error_that_lists_the_formats(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match="name the format: jsonl, csv, cold"):
        read_examples(path)


def test_named_columns_make_any_csv_a_plain_table(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(COLD, encoding="utf-8")
    assert read_examples(path, text_field="TEXT")[0].id == "0"


def test_a_file_can_be_read_without_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"body":""}\n', encoding="utf-8")
    assert read_examples(path, text_field="body", require_label=False)[0].label is None


def test_an_unknown_format_is_an_error() -> None:
    with pytest.raises(ConfigError, match="format is 'xml'; expected auto or one of jsonl"):
        read_examples("a.xml", "xml")


def test_fixed_formats_take_no_field_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="fixed fields"):
        read_examples(tmp_path / "a.csv", "cold", text_field="x")


def test_a_missing_file_is_a_data_error_whatever_its_kind(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.csv", "a.json"):
        with pytest.raises(DataError, match="does not exist"):
            read_examples(tmp_path / name)
