"""CMRC's passages cut into windows: the task of `expand_cmrc.py` that can tell systems apart."""

from __future__ import annotations

import re

from machine import require_shared

from toxitrace.data import iter_json_rows
from toxitrace.expand.beir import RetrievalSet
from toxitrace.expand.systems import Run

_SENTENCE = re.compile(r"[^。！？；\n]*[。！？；\n]?")


def window_set(data: RetrievalSet, n_chars: int) -> RetrievalSet:
    """The same questions over windows of the passages, ids PASSAGE#NUMBER.

    Relevant are the windows of a relevant passage that hold the recorded answer, or where it crosses a border those
    that it touches; questions whose answer is not in the passage are left out.
    """
    rows = list(iter_json_rows(require_shared() / "retrieval" / "cmrc" / "corpus.jsonl"))
    documents: dict[str, str] = {}
    parts: dict[str, list[tuple[str, int, int]]] = {}
    texts: dict[str, str] = {}
    for _, row in rows:
        passage, texts[passage] = str(row["_id"]), row["text"]
        for number, (start, end) in enumerate(cut(row["text"], n_chars)):
            id = f"{passage}#{number}"
            documents[id] = f"{row.get('title') or ''} {row['text'][start:end]}".strip()
            parts.setdefault(passage, []).append((id, start, end))
    qrels: dict[str, dict[str, int]] = {}
    for query_id, graded in data.qrels.items():
        answer = data.answers.get(query_id, "").strip()
        for passage in graded:
            place = texts[passage].find(answer) if answer else -1
            if place < 0:
                continue
            holding = [id for id, start, end in parts[passage] if answer in texts[passage][start:end]]
            touched = [id for id, start, end in parts[passage] if start < place + len(answer) and place < end]
            qrels[query_id] = dict.fromkeys(holding or touched, 1)
    queries = {id: query for id, query in data.queries.items() if id in qrels}
    answers = {id: data.answers[id] for id in queries}
    return RetrievalSet(f"{data.name} (windows)", documents, queries, qrels, answers)


def cut(text: str, n_chars: int) -> list[tuple[int, int]]:
    """Whole sentences up to ``n_chars`` together, longer ones cut; no character is lost and none is twice."""
    places: list[tuple[int, int]] = []
    for match in _SENTENCE.finditer(text):
        for start in range(match.start(), match.end(), n_chars):
            end = min(start + n_chars, match.end())
            if places and end - places[-1][0] <= n_chars:
                places[-1] = (places[-1][0], end)
            else:
                places.append((start, end))
    return places


def best_windows(run: Run) -> Run:
    """Passages by the score of their best window."""
    found: Run = {}
    for id, scores in run.items():
        best: dict[str, float] = {}
        for window, score in scores.items():
            passage = window.rpartition("#")[0]
            best[passage] = max(best.get(passage, score), score)
        found[id] = best
    return found
