import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toxitrace.detector.records import READERS, BadLine, Record
from toxitrace.errors import DataError


def read(kind: str, content: bytes, column: str = "text") -> list[Record | BadLine]:
    return list(READERS[kind](io.BytesIO(content), column))


def test_every_line_of_a_text_file_is_a_text_and_blank_ones_are_empty() -> None:
    found = read("txt", "\ufeff早上好\r\n\n  \n晚安".encode())
    assert [(row.id, row.text) for row in found] == [(0, "早上好"), (1, ""), (2, "  "), (3, "晚安")]


def test_only_line_feeds_end_a_line() -> None:
    assert [row.text for row in read("txt", "早\u2028上\x85好\x0b\x00\n".encode())] == ["早\u2028上\x85好\x0b\x00"]


def test_bytes_that_are_no_utf8_are_a_bad_line() -> None:
    good, bad = read("txt", "早\n".encode() + b"\xff\xfe\n")
    assert isinstance(good, Record)
    assert (bad.line, bad.raw) == (2, b"\xff\xfe\n")
    assert "no valid UTF-8 at byte 0" in bad.reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "a"', "no valid JSON"),
        (b'{"txt": "a"}', "no 'text'"),
        (b'{"text": 7}', "'text' is int"),
        (b'{"text": null}', "'text' is NoneType"),
        (b'["a"]', "expected a JSON object"),
        (b'{"text": "a", "id": NaN}', "NaN"),
        (b'{"text": "a", "id": 1e999}', "not JSON compliant"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"text": "a", "id": ' + b"9" * 5000 + b"}", "limit"),
        (b'{"text": "\xff"}', "no valid UTF-8"),
    ],
)
def test_a_bad_json_line_is_reported_and_the_next_one_read(line: bytes, reason: str) -> None:
    bad, good = read("jsonl", line + b"\n" + b'{"text": "b"}')
    assert isinstance(bad, BadLine)
    assert reason in bad.reason
    assert bad.raw == line + b"\n"
    assert bad.line == 1
    assert good == Record(1, "b", 2)


def test_json_ids_are_kept_as_they_are() -> None:
    ids: list[Any] = ["x", 7, 0, "", 1.5, False]
    content = "\n".join(json.dumps({"id": value, "text": "a"}) for value in ids).encode()
    assert [row.id for row in read("jsonl", content)] == ids


def test_a_missing_id_is_the_zero_based_line_number_blank_lines_counted() -> None:
    assert [row.id for row in read("jsonl", b'{"text":"a"}\n\n{"text":"b","id":null}\n')] == [0, 2]


def test_lone_surrogates_come_through() -> None:
    assert read("jsonl", b'{"text": "\\ud800"}') == [Record(0, "\ud800", 1)]


def test_a_csv_file_with_bom_quotes_and_line_feeds_is_read() -> None:
    content = '\ufeffid,TEXT\r\na,"一,""二""\n三"\r\n,四\r\n'.encode()
    assert read("csv", content, "TEXT") == [Record("a", '一,"二"\n三', 2), Record(1, "四", 4)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [(b"a\n", "1 columns"), (b"a,\xff\n", "no valid UTF-8"), (b'a,"b"c\n', "no valid CSV")],
)
def test_a_bad_csv_row_is_reported_and_the_next_one_read(row: bytes, reason: str) -> None:
    bad, good = read("csv", b"id,text\n" + row + b"z,good\n")
    assert isinstance(bad, BadLine)
    assert reason in bad.reason
    assert (bad.raw, bad.line) == (row, 2)
    assert good == Record("z", "good", 3)


def test_an_unclosed_quote_does_not_swallow_the_rest_silently() -> None:
    good, bad = read("csv", b'id,text\na,b\nc,"d\ne,f\n')
    assert good == Record("a", "b", 2)
    assert isinstance(bad, BadLine)
    assert bad.line == 3
    assert bad.raw == b'c,"d\ne,f\n'


@pytest.mark.parametrize("content", [b"", b"id,TEXT\n", b"\n"])
def test_a_csv_header_without_the_column_is_refused(content: bytes) -> None:
    with pytest.raises(DataError, match="--text-column"):
        read("csv", content)


@pytest.mark.parametrize("n_rows", [1, 3, 50])
def test_a_key_that_no_row_has_stops_the_reading_and_names_the_keys(n_rows: int) -> None:
    rows = '{"id": 1, "body": "早"}\n' * n_rows
    with pytest.raises(DataError, match=r"'text'.* the keys are 'id', 'body'; name one of them with --text-column"):
        read("jsonl", rows.encode())


def test_a_key_that_some_early_row_has_is_believed() -> None:
    found = read("jsonl", b'{"body": "a"}\n' * 19 + b'{"text": "b"}\n' + b'{"body": "a"}\n' * 5)
    assert [type(item) for item in found] == [BadLine] * 19 + [Record] + [BadLine] * 5


def test_lines_without_any_key_are_bad_lines_and_no_wrong_key() -> None:
    assert [type(item) for item in read("jsonl", b"{\n[1]\n{}\n7\n")] == [BadLine] * 4


@settings(max_examples=40)
@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), max_size=8))
def test_csv_rows_written_by_python_are_read_back(texts: list[str]) -> None:
    target = io.StringIO(newline="")
    csv.writer(target, quoting=csv.QUOTE_ALL).writerows([["text"], *([text] for text in texts)])
    assert [row.text for row in read("csv", target.getvalue().encode())] == texts


def test_a_long_csv_field_is_read() -> None:
    assert len(read("csv", b"text\n" + b"a" * 1_000_000)[0].text) == 1_000_000


def test_a_row_with_more_columns_than_the_header_is_a_bad_line() -> None:
    good, bad = read("csv", "id,text\n1,早上好\n2,早,晚\n".encode())
    assert isinstance(good, Record)
    assert isinstance(bad, BadLine)
    assert "3 columns; expected 2" in bad.reason


def test_a_utf16_file_stops_at_once_and_says_what_to_do() -> None:
    with pytest.raises(DataError, match="iconv -f utf-16"):
        read("txt", "早上好\n".encode("utf-16"))


def test_a_number_of_thousands_of_digits_is_a_bad_line_in_plain_words() -> None:
    rows = read("jsonl", b'{"text": "a"}\n{"text": "a", "id": ' + b"9" * 5000 + b"}\n")
    assert rows[1].reason == "no usable JSON: a number beyond the limit of digits"
