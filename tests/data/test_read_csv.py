from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest

from toxitrace.data import Example, read_csv
from toxitrace.errors import DataError


def write(path: Path, content: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(content.encode(encoding))
    return path


def test_a_bom_and_windows_line_ends_do_not_matter(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\r\n你好,0\r\n", "utf-8-sig")
    assert read_csv(path) == [Example("0", "你好", 0)]


def test_cells_may_hold_commas_quotes_and_line_breaks(tmp_path: Path) -> None:
    text = '他说："好,\n\n"坏"。\r\n完'
    path = tmp_path / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([["text", "label"], [text, 1], ["后", 0]])
    assert [(e.id, e.text, e.label) for e in read_csv(path)] == [("0", text, 1), ("1", "后", 0)]


def test_a_cell_may_be_longer_than_the_csv_module_allows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", f"text,label\n{'长' * 200_000},1\n")
    assert len(read_csv(path)[0].text) == 200_000


def test_nul_characters_stay_in_the_text_and_do_not_harm_the_label(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text,label\0\n你\0好,1\0\n")
    assert read_csv(path) == [Example("0", "你\0好", 1)]


def test_id_and_topic_columns_are_found_by_name_or_given(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id,nr,topic,body,y\nx,7,t,你好,1.0\n")
    assert read_csv(path, text_column="body", label_column="y") == [Example("x", "你好", 1, "t")]
    assert read_csv(path, text_column="body", label_column="y", id_column="nr")[0].id == "7"


def test_tsv_and_gzip_go_by_their_suffixes(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(gzip.compress("text\tlabel\n你,好\t0\n".encode()))
    assert read_csv(path)[0].text == "你,好"


def test_without_a_required_label_the_column_may_be_absent_or_empty(tmp_path: Path) -> None:
    assert read_csv(write(tmp_path / "a.csv", "text\n你好\n"), require_label=False)[0].label is None
    assert read_csv(write(tmp_path / "b.csv", "text,label\n,\n"), require_label=False) == [Example("0", "", None)]


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        ("body,label\n好,0\n", 1, "column 'text' is not there; the columns are 'body', 'label'"),
        ("text,text,label\n好,坏,0\n", 1, "column 'text' is twice"),
        ("text,label\n好,0\n好\n", 3, "the row has 1 cells; expected 2"),
        ("text,label\n好,0\n好,0,1\n", 3, "the row has 3 cells; expected 2"),
        ("text,label\n好,0\n好,7\n", 3, "label is '7'; expected 0"),
        ("text,label\n好,0\n好,\n", 3, "label is ''; expected 0"),
        ("text,label\n好,0\n  ,1\n", 3, "text is empty or blank"),
        ('text,label\n"好\n好",0\n坏,7\n', 4, "label is '7'"),
        ('text,label\n好,0\n"坏,1\n还,1\n', 3, "no valid CSV from here"),
        ('text,label\n好,0\n"坏"了,1\n', 3, "no valid CSV from here"),
        ("id,text,label\na,好,0\na,坏,1\n", 3, "id 'a' was already used at"),
        ("id,text,label\na,好,0\n ,坏,1\n", 3, "id is ''"),
    ],
)
def test_a_bad_row_is_named_by_the_line_on_which_it_starts(
    tmp_path: Path, content: str, place: int, message: str
) -> None:
    path = write(tmp_path / "rows.csv", content)
    with pytest.raises(DataError, match=message) as caught:
        read_csv(path)
    assert f"{path}:{place}: " in str(caught.value)


@pytest.mark.parametrize(("content", "message"), [("", "is empty"), ("text,label\n", "holds no rows")])
def test_a_file_without_rows_is_an_error(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_csv(write(tmp_path / "a.csv", content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.csv does not exist"):
        read_csv(tmp_path / "nothing.csv")


def test_a_file_in_gb18030_is_refused_with_the_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.csv:2: .* is not UTF-8; .*iconv"):
        read_csv(write(tmp_path / "a.csv", "text,label\n你好,0\n", "gb18030"))
