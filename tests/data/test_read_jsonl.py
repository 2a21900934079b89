from __future__ import annotations

import gzip
import json
import lzma
from pathlib import Path

import pytest

from toxitrace.data import Example, iter_json_rows, read_jsonl
from toxitrace.errors import DataError


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_row_keeps_every_known_field(tmp_path: Path) -> None:
    row = {"id": 3, "text": "你真是个笨蛋", "label": 1, "topic": "t", "fine": "f", "spans": [[5, 6], [4, 5]]}
    assert read_jsonl(write(tmp_path / "a.jsonl", row)) == [Example("3", "你真是个笨蛋", 1, "t", ((4, 6),), "f")]


def test_rows_without_id_are_named_by_their_line_from_zero(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text":"一","label":0}\n\n{"text":"二","label":1}\n', encoding="utf-8")
    assert [example.id for example in read_jsonl(path)] == ["0", "2"]


def test_no_spans_key_and_an_empty_list_mean_different_things(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"text": "一", "label": 0}, {"text": "二", "label": 0, "spans": []})
    assert [example.spans for example in read_jsonl(path)] == [None, ()]


def test_other_field_names_can_be_given(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"body": "一", "bad": True})
    assert read_jsonl(path, text_field="body", label_field="bad")[0].label == 1


def test_labels_may_be_absent_and_texts_blank_when_they_are_not_required(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"text": " "}, {"text": "二", "label": None})
    assert [example.label for example in read_jsonl(path, require_label=False)] == [None, None]


def test_a_label_can_be_taken_from_the_spans(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"text": "一", "spans": []}, {"text": "二", "spans": [[0, 1]]})
    assert [example.label for example in read_jsonl(path, label_from_spans=True)] == [0, 1]


@pytest.mark.parametrize(("suffix", "pack"), [(".xz", lzma.compress), (".gz", gzip.compress), ("", bytes)])
def test_packed_files_read_like_plain_ones(tmp_path: Path, suffix: str, pack: type[bytes]) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(pack('﻿{"text":"你好","label":0}\r\n'.encode()))
    assert read_jsonl(path)[0].text == "你好"


def test_odd_characters_and_lone_surrogates_stay_untouched(tmp_path: Path) -> None:
    text = "a\u2028b\x85\ud800\x00👨‍👩‍👧𠮷"
    assert read_jsonl(write(tmp_path / "a.jsonl", {"text": text, "label": 0}))[0].text == text


def test_rows_stream_with_line_numbers_from_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a":1}\n\n{"b":2}\nnot json\n', encoding="utf-8")
    rows = iter_json_rows(path)
    assert [next(rows), next(rows)] == [(1, {"a": 1}), (3, {"b": 2})]
    with pytest.raises(DataError, match=r"a\.jsonl:4: no valid JSON"):
        next(rows)


GOOD = '{"id":"x","text":"好","label":0}'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text":"好","label":', "no valid JSON"),
        ("[" * 100_000, "no valid JSON"),
        ("[1]", "a JSON list; expected one object"),
        ('{"body":"好","label":0}', "no field 'text'; the row has 'body', 'label'"),
        ('{"text":"好"}', "no field 'label'"),
        ('{"text":"好","label":7}', "label is 7; expected 0"),
        ('{"text":"好","label":"yes"}', "label is 'yes'; expected 0"),
        ('{"text":"好","label":null}', "label is None; expected 0"),
        ('{"text":"好","label":NaN}', "label is nan; expected 0"),
        ('{"text":"","label":0}', "text is empty or blank"),
        ('{"text":" \\u3000\\n","label":0}', "text is empty or blank"),
        ('{"text":5,"label":0}', r"text is 5 \(int\); expected a string"),
        ('{"text":null,"label":0}', "text is None"),
        ('{"id":"x","text":"好","label":0}', "id 'x' was already used at .*:1"),
        ('{"id":"","text":"好","label":0}', "id is ''"),
        ('{"id":1.5,"text":"好","label":0}', "id is 1.5"),
        ('{"text":"好","label":1,"spans":[[0,2]]}', r"span \[0, 2\) does not fit its text of 1 characters"),
        ('{"text":"好","label":1,"spans":[[0,0]]}', r"span is \[0, 0\]"),
        ('{"text":"好","label":1,"spans":[[-1,1]]}', r"span is \[-1, 1\]"),
        ('{"text":"好","label":1,"spans":[[0.0,1]]}', "span is"),
        ('{"text":"好","label":1,"spans":[0,1]}', "span is 0"),
        ('{"text":"好","label":1,"spans":"0-1"}', "span is '0-1'"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(f"{GOOD}\n{line}\n", encoding="utf-8")
    with pytest.raises(DataError, match=message) as caught:
        read_jsonl(path)
    assert f"{path}:2: " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_bad_row_is_quoted_only_in_part(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_jsonl(write(tmp_path / "a.jsonl", {"text": "好", "label": "长" * 10_000}))
    assert len(str(caught.value)) < 400


def test_bytes_that_are_not_utf8_are_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD.encode() + b"\n" + '{"text":"好"}'.encode("gb18030") + b"\n")
    with pytest.raises(DataError, match=r"a\.jsonl:2: byte \d+ .* is not UTF-8"):
        read_jsonl(path)


def test_a_utf16_file_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(GOOD, encoding="utf-16")
    with pytest.raises(DataError, match="UTF-16"):
        read_jsonl(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.jsonl does not exist"):
        read_jsonl(tmp_path / "nothing.jsonl")


def test_a_folder_is_no_data_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder"):
        read_jsonl(tmp_path)


def test_an_empty_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no rows"):
        read_jsonl(write(tmp_path / "a.jsonl"))


@pytest.mark.parametrize(("suffix", "pack"), [(".xz", lzma.compress), (".gz", gzip.compress)])
def test_a_truncated_archive_is_an_error(tmp_path: Path, suffix: str, pack: type[bytes]) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(pack(GOOD.encode() * 50)[:-12])
    with pytest.raises(DataError, match="cannot be read"):
        read_jsonl(path)


@pytest.mark.parametrize("suffix", [".xz", ".gz"])
def test_a_file_that_is_no_archive_is_an_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_text(GOOD, encoding="utf-8")
    with pytest.raises(DataError, match="cannot be read"):
        read_jsonl(path)
