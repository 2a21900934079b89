"""Sets in BEIR's layout, and what is wrong with a broken one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from toxitrace.errors import DataError
from toxitrace.expand.beir import check_retrieval_files, read_qrels, read_retrieval_set


@pytest.fixture
def own_set(retrieval_set: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(retrieval_set, tmp_path / "own"))


def test_a_set_is_read_by_id_with_title_and_text_as_one(retrieval_set: Path) -> None:
    data = read_retrieval_set(retrieval_set, "dev")
    assert data.name == "tiny/dev"
    assert data.documents["d0"] == "猫的介绍 猫是常见的东西，人们喜欢猫。"
    assert len(data.documents) == 12
    assert list(data.queries) == [f"q{n}-{m}" for n in range(4) for m in range(2)]
    assert data.answers["q0-0"] == "人们喜欢猫"
    assert data.gold("q1-0") == "d1"


def test_a_document_without_title_is_its_text(own_set: Path) -> None:
    (own_set / "corpus.jsonl").write_text('{"_id": "d0", "text": "猫"}\n', encoding="utf-8")
    data = read_retrieval_set(own_set, "dev")
    assert data.documents == {"d0": "猫"}
    assert data.n_missing_documents == 3
    assert data.missing_documents == ("d1", "d2", "d3")


def test_the_gold_document_has_the_highest_grade_then_the_smallest_id(own_set: Path) -> None:
    (own_set / "qrels" / "graded.tsv").write_text("q0-0\td3\t1\nq0-0\td2\t2\nq0-0\td1\t2\nq0-1\td1\t0\n")
    data = read_retrieval_set(own_set, "graded")
    assert data.gold("q0-0") == "d1"
    assert data.gold("q0-1") is None


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("corpus.jsonl", '{"_id": "a", "text": "x"}\n{"_id": "a", "text": "y"}\n', r"corpus.jsonl:2: _id 'a' occurs"),
        ("corpus.jsonl", '{"_id": "a", "text": 3}\n', r"corpus.jsonl:1: text is int"),
        ("corpus.jsonl", '{"text": "x"}\n', r"corpus.jsonl:1: _id is None"),
        (
            "corpus.jsonl",
            '{"_id": "zzz", "text": "x"}\n',
            r"lacks every document that qrels/dev.tsv names \(4, the first 'd0'\)",
        ),
        ("queries.jsonl", '{"_id": "q0-0", "text": "x"}\n', r"has judgements for 7 queries that"),
        ("queries.jsonl", "{\n", r"queries.jsonl:1"),
        (
            "qrels/dev.tsv",
            "query-id\tcorpus-id\tscore\nq0-0 d0 1\n",
            r"dev.tsv:2: the line has 1 column and is not a judgement",
        ),
        ("qrels/dev.tsv", "q0-0\td0\tyes\n", r"dev.tsv:1: the line has 3 columns and is not a judgement"),
        ("qrels/dev.tsv", "q0-0\td0\t1\nq0-0\td0\t2\n", r"dev.tsv:2: document 'd0' has another score for query 'q0-0'"),
        ("qrels/dev.tsv", "query-id\tcorpus-id\tscore\n", r"holds no judgement"),
    ],
)
def test_a_broken_file_is_named_with_its_line(own_set: Path, file: str, content: str, message: str) -> None:
    (own_set / file).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_retrieval_set(own_set, "dev")


def test_a_missing_split_is_answered_with_those_there_are(retrieval_set: Path) -> None:
    with pytest.raises(DataError, match="splits are dev, train"):
        read_retrieval_set(retrieval_set, "test")


def test_a_folder_that_is_not_there_is_no_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none is not a folder"):
        check_retrieval_files(tmp_path / "none", "test")


@pytest.mark.parametrize("file", ["corpus.jsonl", "queries.jsonl"])
def test_a_missing_file_of_a_set_is_named(own_set: Path, file: str) -> None:
    (own_set / file).unlink()
    with pytest.raises(DataError, match=f"{file} does not exist; expected it beside qrels"):
        check_retrieval_files(own_set, "dev")


def test_one_query_without_a_text_is_told_in_the_singular(own_set: Path) -> None:
    lines = (own_set / "queries.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (own_set / "queries.jsonl").write_text("".join(lines[1:]), encoding="utf-8")
    with pytest.raises(DataError, match=r"has judgements for 1 query that .* lacks \(first 'q0-0'\)"):
        read_retrieval_set(own_set, "dev")


def test_ids_that_a_query_and_a_document_share_are_known_and_those_judged_relevant(own_set: Path) -> None:
    assert read_retrieval_set(own_set, "dev").own_documents == ()
    with (own_set / "corpus.jsonl").open("a", encoding="utf-8") as corpus:
        corpus.write('{"_id": "q1-0", "text": "什么是狗？"}\n{"_id": "q2-0", "text": "什么是茶？"}\n')
    with (own_set / "qrels" / "dev.tsv").open("a", encoding="utf-8") as qrels:
        qrels.write("q2-0\tq2-0\t1\n")
    data = read_retrieval_set(own_set, "dev")
    assert data.own_documents == ("q1-0", "q2-0")
    assert data.own_relevant == ("q2-0",)


def test_qrels_without_a_header_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("q\td\t1\n")
    assert read_qrels(path) == {"q": {"d": 1}}
