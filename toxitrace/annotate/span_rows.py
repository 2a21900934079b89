"""Texts with clues -> rows with weak spans, from a language model, recorded annotations or the offline refiner."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from toxitrace.annotate.clues import Clue, Clued
from toxitrace.annotate.offline import MODEL, Lexicon, refine
from toxitrace.annotate.prompts import span_request
from toxitrace.annotate.rows import Source, SpanRow, Stopped, is_blank
from toxitrace.annotate.second_try import CUT_OFF
from toxitrace.annotate.verify import InvalidReplyError, verify_spans
from toxitrace.data.annotations import SpanAnnotation
from toxitrace.data.records import Example
from toxitrace.errors import DataError
from toxitrace.llm.protocol import LLMRequest

if TYPE_CHECKING:
    from toxitrace.llm.batch import Outcome

Answers = Callable[[Iterable[tuple[str, LLMRequest]]], Iterable[tuple[str, "Outcome"]]]
"""Asks many questions and gives their outcomes by id, in any order: ``llm.ask_all`` with a client."""


def llm_span_rows(clued: Iterable[Clued], answers: Answers, model: str) -> Iterator[SpanRow | Stopped]:
    """Ask a language model about every text that can be read; rows come as the answers do.

    Args:
        model: name of the model for rows that got no reply.
    """
    waiting: dict[str, Clued] = {}
    blank: list[SpanRow] = []

    def requests() -> Iterator[tuple[str, LLMRequest]]:
        for example, clues in clued:
            if is_blank(example.text):
                blank.append(SpanRow(example.id, (), (), "none", model, "blank"))
                continue
            waiting[example.id] = example, clues
            yield example.id, span_request(example.text, example.label, clues)

    for id, outcome in answers(requests()):
        example, clues = waiting.pop(id)
        if outcome.kind == "stopped":
            yield Stopped(id, outcome.error)
        elif outcome.reply is None:
            yield SpanRow.fallback(id, clues, model, "failed", outcome.error)
        elif outcome.reply.finish == "blocked":
            yield SpanRow.fallback(id, clues, outcome.reply.model, "blocked", None)
        elif outcome.reply.finish == "length":
            yield SpanRow.fallback(id, clues, outcome.reply.model, "invalid", CUT_OFF)
        else:
            yield _from_reply(example, clues, outcome.reply.text, "llm", outcome.reply.model, clues)
        while blank:
            yield blank.pop()
    yield from blank  # those after the last question


def recorded_span_rows(clued: Iterable[Clued], notes: Mapping[str, SpanAnnotation], name: str) -> Iterator[SpanRow]:
    """Take recorded annotations for a model's replies, joined by id; they pass the same checks.

    A recording knows offsets, so each string goes back to where it was marked and not to the nearest clue.

    Args:
        name: of the recording, for the rows.

    Raises:
        DataError: a recorded span lies outside its text.
    """
    for example, clues in clued:
        note = notes.get(example.id)
        if note is None:
            yield SpanRow.fallback(example.id, clues, name, "missing", None)
            continue
        if note.spans and note.spans[-1][1] > len(example.text):
            raise DataError(
                f"{note.place}: id {note.id!r}: span {list(note.spans[-1])} does not fit its text of "
                f"{len(example.text)} characters: check that the annotations belong to these texts"
            )
        strings = [example.text[start:end] for start, end in note.spans]
        yield _from_reply(example, clues, json.dumps({"spans": strings}), "recorded", name, note.spans)


def offline_span_rows(clued: Iterable[Clued], lexicon: Lexicon) -> Iterator[SpanRow]:
    """Refine clues without a language model: a substitute, which every row names."""
    for example, clues in clued:
        yield SpanRow(example.id, refine(example.text, clues, lexicon), clues, "offline", MODEL)


def _from_reply(
    example: Example,
    clues: tuple[Clue, ...],
    reply: str,
    source: Source,
    model: str,
    anchors: Iterable[Sequence[float]],
) -> SpanRow:
    try:
        found = verify_spans(reply, example.text, anchors)
    except InvalidReplyError as error:
        return SpanRow.fallback(example.id, clues, model, "invalid", str(error))
    return SpanRow(example.id, found.spans, clues, source, model, n_dropped=found.n_dropped, wide=found.wide)
