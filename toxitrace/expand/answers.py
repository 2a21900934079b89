"""One answer for every query, from its gold document (methods.md section 3): what s_ans is measured against."""

from __future__ import annotations

import os
from typing import Any

from toxitrace.data.rowfile import read_rows, write_rows
from toxitrace.errors import DataError
from toxitrace.expand.asking import Asker
from toxitrace.expand.beir import RetrievalSet
from toxitrace.expand.candidates import GenerationReport, Progress, write_generated
from toxitrace.expand.preamble import strip_preamble
from toxitrace.expand.prompts import ANSWER_VERSION, answer_request, draw_seed
from toxitrace.llm.protocol import LLMReply, LLMRequest


def write_answers(
    data: RetrievalSet,
    output: str | os.PathLike[str],
    asker: Asker,
    *,
    seed: int = 0,
    max_new_tokens: int = 128,
    resume: bool = False,
    progress: Progress | None = None,
) -> GenerationReport:
    """Write ``{"id", "query", "document", "answer", "model"}`` rows; queries without a gold document get none."""
    gold = {id: found for id in data.queries if (found := data.gold(id)) is not None}
    queries = {id: data.queries[id] for id in gold}

    def ask(id: str) -> list[LLMRequest]:
        draw = draw_seed(seed, id, 1.0, 0)
        return [answer_request(queries[id], data.documents[gold[id]], seed=draw, max_new_tokens=max_new_tokens)]

    def row(id: str, replies: tuple[LLMReply, ...]) -> dict[str, Any]:
        (reply,) = replies
        answer = strip_preamble(reply.text)
        return {"id": id, "query": queries[id], "document": gold[id], "answer": answer, "model": reply.model}

    settings = {"prompt": ANSWER_VERSION, "model": asker.model, "max_new_tokens": max_new_tokens, "seed": seed}
    return write_generated(queries, output, asker, ask, row, settings, resume=resume, progress=progress)


def copy_recorded_answers(data: RetrievalSet, output: str | os.PathLike[str]) -> int:
    """Write the answers that the set itself records (``metadata.answer``) instead of asking; returns how many.

    Raises:
        DataError: it records none.
    """
    if not data.answers:
        raise DataError(
            f"{data.name} records no answers (metadata.answer in queries.jsonl); expected some with --recorded: leave "
            "it out and name a language model"
        )
    rows = (
        {"id": id, "query": data.queries[id], "document": data.gold(id), "answer": answer, "model": "recorded"}
        for id, answer in data.answers.items()
    )
    return write_rows(output, rows)


def read_answers(path: str | os.PathLike[str]) -> dict[str, str]:
    """Query id -> answer without preamble; blank answers are left out.

    Raises:
        DataError: a row has no answer.
    """
    answers: dict[str, str] = {}
    for id, row in read_rows(path).items():
        if not isinstance(row.get("answer"), str):
            raise DataError(f"{path}: the row of {id!r} has no answer; expected what `toxitrace expand answers` wrote")
        if text := strip_preamble(row["answer"]):
            answers[id] = text
    return answers
