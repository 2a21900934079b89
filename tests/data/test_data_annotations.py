from __future__ import annotations

import json
from pathlib import Path

import pytest

from toxitrace.data import (
    BUILTINS,
    Example,
    attach_spans,
    read_queries,
    read_rationales,
    read_spans,
    unknown_ids,
)
from toxitrace.errors import DataError

EXAMPLES = [Example("a", "你真是个笨蛋", 1), Example("b", "你好", 0, spans=((0, 1),)), Example("c", "好", 0)]


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_spans_are_joined_by_id_whatever_their_order(tmp_path: Path) -> None:
    path = write(
        tmp_path / "s.jsonl", {"id": "b", "spans": []}, {"id": "x", "spans": []}, {"id": "a", "spans": [[4, 6]]}
    )
    spans = read_spans(path)
    joined = attach_spans(EXAMPLES, spans)
    assert [example.spans for example in joined] == [((4, 6),), (), None]
    assert [example.id for example in joined] == ["a", "b", "c"]
    assert unknown_ids(EXAMPLES, spans) == ("x",)


def test_a_span_outside_its_text_is_named_by_the_line_of_the_annotation(tmp_path: Path) -> None:
    path = write(tmp_path / "s.jsonl", {"id": "b", "spans": []}, {"id": "a", "spans": [[4, 7]]})
    with pytest.raises(DataError, match=r"s\.jsonl:2: id 'a': span \[4, 7\) does not fit its text of 6"):
        attach_spans(EXAMPLES, read_spans(path))


def test_a_number_as_id_joins_as_a_string(tmp_path: Path) -> None:
    spans = read_spans(write(tmp_path / "s.jsonl", {"id": 0, "spans": [[0, 1]]}))
    assert attach_spans([Example("0", "好", 1)], spans)[0].spans == ((0, 1),)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "b"}, "no field 'spans'"),
        ({"spans": []}, "no field 'id'"),
        ({"id": None, "spans": []}, "id is null"),
        ({"id": "a", "spans": []}, "already used in line 1"),
        ({"id": "b", "spans": [[2, 1]]}, r"span is \[2, 1\]"),
        ({"id": "b", "spans": None}, "span is None"),
    ],
)
def test_a_bad_span_row_is_named_by_line(tmp_path: Path, row: object, message: str) -> None:
    with pytest.raises(DataError, match=rf"s\.jsonl:2: .*{message}"):
        read_spans(write(tmp_path / "s.jsonl", {"id": "a", "spans": []}, row))


def test_an_empty_annotation_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no rows"):
        read_spans(write(tmp_path / "s.jsonl"))


def test_rationales_and_queries_are_read_by_id(tmp_path: Path) -> None:
    rationale = read_rationales(write(tmp_path / "r.jsonl", {"id": "a", "toxic": "甲", "non_toxic": "乙"}))["a"]
    assert (rationale.toxic, rationale.non_toxic) == ("甲", "乙")
    assert read_queries(write(tmp_path / "q.jsonl", {"id": "a", "queries": ["甲 乙"]}))["a"].queries == ("甲 乙",)


def test_a_rationale_that_is_blank_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"r\.jsonl:1: text is empty or blank"):
        read_rationales(write(tmp_path / "r.jsonl", {"id": "a", "toxic": "甲", "non_toxic": " "}))


def test_the_shipped_annotations_have_the_rows_that_their_notice_says() -> None:
    assert len(read_spans("builtin:cold-spans")) == 14_993
    assert len(read_spans("builtin:swsr-spans")) == 2_728
    assert len(read_rationales("builtin:cold-rationales")) == 1_997
    assert len(read_queries("builtin:cold-queries")) == 1_760
    assert len(BUILTINS) == 4


def test_an_unknown_builtin_lists_those_that_exist() -> None:
    with pytest.raises(DataError, match="builtin:cold-spans"):
        read_spans("builtin:nothing")
