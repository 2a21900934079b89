"""Retrieval sets in BEIR's layout: ``corpus.jsonl, queries.jsonl, qrels/SPLIT.tsv`` in one folder (Thakur et al. 2021).

Everything is keyed by id. A document is read as its title, a space and its text.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toxitrace.data import iter_json_rows
from toxitrace.data.lines import iter_lines
from toxitrace.errors import DataError
from toxitrace.expand.counted import counted

Qrels = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class RetrievalSet:
    """One split of a retrieval set.

    Attributes:
        name: folder and split, for every table.
        documents: id -> title + " " + text, of the whole corpus.
        queries: id -> text, those of the split alone, in the order of the qrels.
        qrels: query id -> document id -> grade; 0 is judged and not relevant.
        answers: query id -> recorded answer (``metadata.answer``), where there is one.
        missing_documents: ids of judged documents that the corpus lacks, sorted; they stay in ``qrels``, where nothing
            can find them, as in every evaluation of such a set.
    """

    name: str
    documents: Mapping[str, str]
    queries: Mapping[str, str]
    qrels: Qrels
    answers: Mapping[str, str]
    missing_documents: tuple[str, ...] = ()

    @property
    def n_missing_documents(self) -> int:
        """How many judged documents the corpus lacks."""
        return len(self.missing_documents)

    @property
    def own_documents(self) -> tuple[str, ...]:
        """Ids that a query and a document share, in the order of the queries: no search finds them for that query."""
        return tuple(id for id in self.queries if id in self.documents)

    @property
    def own_relevant(self) -> tuple[str, ...]:
        """Those of `own_documents` that are judged relevant to the query of that id."""
        return tuple(id for id in self.own_documents if self.qrels.get(id, {}).get(id, 0) > 0)

    def gold(self, query_id: str) -> str | None:
        """The best document of a query that is in the corpus: highest grade, then smallest id; None without one."""
        graded = self.qrels.get(query_id, {})
        found = [id for id, grade in graded.items() if grade > 0 and id in self.documents]
        return min(found, key=lambda id: (-graded[id], id), default=None)


def read_retrieval_set(folder: str | os.PathLike[str], split: str = "test") -> RetrievalSet:
    """Read a folder in BEIR's layout.

    Args:
        split: name of the file in ``qrels/`` without ``.tsv``.

    Raises:
        DataError: a file is missing or has an unusable row, an id occurs twice, or the qrels belong to another set.
    """
    root = Path(folder)
    check_retrieval_files(root, split)
    judged = read_qrels(root / "qrels" / f"{split}.tsv")
    documents = read_documents(root / "corpus.jsonl")
    texts, answers = read_queries(root / "queries.jsonl")
    if missing := [id for id in judged if id not in texts]:
        raise DataError(
            f"{root}/qrels/{split}.tsv has judgements for {counted(len(missing), 'query', 'queries')} that "
            f"{root}/queries.jsonl lacks (first {missing[0]!r}); expected files of one set: fetch them together"
        )
    named = {id for graded in judged.values() for id in graded}
    lacking = named - documents.keys()
    if lacking == named:
        raise DataError(
            f"{root}/corpus.jsonl lacks every document that qrels/{split}.tsv names ({len(named)}, the first "
            f"{min(named)!r}); expected files of one set: fetch them together"
        )
    return RetrievalSet(
        name=f"{root.name}/{split}",
        documents=documents,
        queries={id: texts[id] for id in judged},
        qrels=judged,
        answers={id: answers[id] for id in judged if id in answers},
        missing_documents=tuple(sorted(lacking)),
    )


def check_retrieval_files(folder: str | os.PathLike[str], split: str) -> None:
    """Whether a split's three files are there, unread: soon enough to say so before any library is loaded.

    Raises:
        DataError: one is missing.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError(
            f"{root} is not a folder; expected one in BEIR's layout, with corpus.jsonl, queries.jsonl, qrels/"
        )
    qrels = root / "qrels" / f"{split}.tsv"
    if not qrels.is_file():
        found = ", ".join(sorted(other.stem for other in (root / "qrels").glob("*.tsv"))) or "none"
        raise DataError(f"{qrels} does not exist; expected a folder in BEIR's layout: its splits are {found}")
    for path in (root / "corpus.jsonl", root / "queries.jsonl"):
        if not path.is_file():
            raise DataError(f"{path} does not exist; expected it beside qrels/: fetch the set's files together")


def read_documents(path: str | os.PathLike[str]) -> dict[str, str]:
    """``{"_id", "title", "text"}`` rows as id -> title + " " + text; the title may be absent."""
    documents: dict[str, str] = {}
    for place, row in _rows(path):
        title, text = _text(row, "title", place, required=False), _text(row, "text", place)
        _add(documents, _id(row, place), f"{title} {text}".strip(), place)
    return documents


def read_queries(path: str | os.PathLike[str]) -> tuple[dict[str, str], dict[str, str]]:
    """``{"_id", "text"}`` rows as id -> text, and id -> ``metadata.answer`` of those that have one."""
    texts: dict[str, str] = {}
    answers: dict[str, str] = {}
    for place, row in _rows(path):
        id = _id(row, place)
        _add(texts, id, _text(row, "text", place), place)
        metadata = row.get("metadata")
        answer = metadata.get("answer") if isinstance(metadata, dict) else None
        if isinstance(answer, str) and answer.strip():
            answers[id] = answer
    return texts, answers


def read_qrels(path: str | os.PathLike[str]) -> dict[str, dict[str, int]]:
    """``query-id <tab> corpus-id <tab> score`` lines, a header allowed.

    Raises:
        DataError: a line has other columns, judges a pair twice, or the file judges nothing.
    """
    judged: dict[str, dict[str, int]] = {}
    for number, line in iter_lines(path):
        place = f"{path}:{number}"
        parts = line.rstrip("\r\n").split("\t")
        if not line.strip() or (number == 1 and parts[-1:] == ["score"]):
            continue
        try:
            query_id, document_id, grade = parts[0], parts[1], int(parts[2])
        except (IndexError, ValueError):
            grade, query_id, document_id = 0, "", ""
        if len(parts) != 3 or not query_id or not document_id:
            raise DataError(
                f"{place}: the line has {counted(len(parts), 'column')} and is not a judgement; expected query-id, "
                "corpus-id and a whole-number score, separated by tabs: correct the line"
            )
        graded = judged.setdefault(query_id, {})
        if graded.setdefault(document_id, grade) != grade:
            raise DataError(
                f"{place}: document {document_id!r} has another score for query {query_id!r} in an earlier line; "
                "expected one score for each pair: drop one of the lines"
            )
    if not judged:
        raise DataError(f"{path} holds no judgement; expected at least one line: check that it is the right file")
    return judged


def _rows(path: str | os.PathLike[str]) -> list[tuple[str, dict[str, Any]]]:
    rows = [(f"{path}:{number}", row) for number, row in iter_json_rows(path)]
    if not rows:
        raise DataError(f"{path} holds no rows; expected at least one: check that it is the right file")
    return rows


def _id(row: dict[str, Any], place: str) -> str:
    id = row.get("_id")
    if isinstance(id, bool) or not isinstance(id, str | int) or not str(id).strip():
        raise DataError(f"{place}: _id is {id!r}; expected a string: correct the row")
    return str(id)


def _text(row: dict[str, Any], name: str, place: str, *, required: bool = True) -> str:
    value = row.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        raise DataError(f"{place}: {name} is {type(value).__name__}; expected a string: correct the row")
    return value


def _add(texts: dict[str, str], id: str, text: str, place: str) -> None:
    if id in texts:
        raise DataError(f"{place}: _id {id!r} occurs twice; expected each once: rename or drop one of the rows")
    texts[id] = text
