"""Texts -> the best argument for either side (methods.md 1.6), from a language model or recorded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from toxitrace.annotate.prompts import Side, rationale_request
from toxitrace.annotate.rows import Outcome as RowOutcome
from toxitrace.annotate.rows import RationaleRow, Source, Stopped, is_blank
from toxitrace.annotate.second_try import CUT_OFF
from toxitrace.annotate.span_rows import Answers
from toxitrace.annotate.verify import InvalidReplyError, verify_argument
from toxitrace.data.annotations import Rationales
from toxitrace.data.records import Example
from toxitrace.llm.protocol import LLMRequest
from toxitrace.text import separator_mask

if TYPE_CHECKING:
    from toxitrace.llm.batch import Outcome

SIDES: tuple[Side, Side] = ("toxic", "non_toxic")

# how bad an outcome is: a row takes the worst of its sides; what another run may mend comes first
_WORST: tuple[RowOutcome, ...] = ("failed", "blocked", "invalid", "missing", "blank", "ok")

_Answer = tuple[RowOutcome, str]
"""Outcome of one side, with the argument or what went wrong."""


def llm_rationale_rows(examples: Iterable[Example], answers: Answers, model: str) -> Iterator[RationaleRow | Stopped]:
    """Ask a language model to argue both sides of every text, in two requests; a row comes when both are answered.

    Args:
        model: name of the model for the rows.
    """
    waiting: dict[str, tuple[Example, dict[Side, _Answer | Stopped]]] = {}
    blank: list[RationaleRow] = []

    def requests() -> Iterator[tuple[str, LLMRequest]]:
        for example in examples:
            if is_blank(example.text):
                blank.append(RationaleRow(example.id, None, None, "none", model, "blank"))
                continue
            waiting[example.id] = example, {}
            for side in SIDES:
                yield f"{side}:{example.id}", rationale_request(example.text, side)

    for key, outcome in answers(requests()):
        side: Side = "toxic" if key.startswith("toxic:") else "non_toxic"
        id = key.removeprefix(f"{side}:")
        example, sides = waiting[id]
        sides[side] = _answer(example, outcome)
        if len(sides) == len(SIDES):
            del waiting[id]
            yield _row(id, sides, model)
        while blank:
            yield blank.pop()
    yield from blank  # those after the last question


def recorded_rationale_rows(
    examples: Iterable[Example], notes: Mapping[str, Rationales], name: str
) -> Iterator[RationaleRow]:
    """Take recorded arguments for a model's replies, joined by id; they pass the same checks."""
    for example in examples:
        note = notes.get(example.id)
        if note is None:
            yield RationaleRow(example.id, None, None, "none", name, "missing")
            continue
        recorded: dict[Side, str] = {"toxic": note.toxic, "non_toxic": note.non_toxic}
        sides = {side: _checked(example, json.dumps({"argument": text})) for side, text in recorded.items()}
        yield _joined(example.id, sides, "recorded", name)


def _answer(example: Example, outcome: Outcome) -> _Answer | Stopped:
    if outcome.kind == "stopped":
        return Stopped(example.id, outcome.error)
    if outcome.reply is None:
        return "failed", outcome.error
    if outcome.reply.finish == "blocked":
        return "blocked", "refused by the service's safety filter"
    if outcome.reply.finish == "length":
        return "invalid", CUT_OFF
    return _checked(example, outcome.reply.text)


def _checked(example: Example, reply: str) -> _Answer:
    try:
        return "ok", verify_argument(reply, example.text)
    except InvalidReplyError as error:
        return "invalid", str(error)


def _row(id: str, sides: Mapping[Side, _Answer | Stopped], model: str) -> RationaleRow | Stopped:
    answered: dict[Side, _Answer] = {}
    for side, answer in sides.items():
        if isinstance(answer, Stopped):
            return answer
        answered[side] = answer
    return _joined(id, answered, "llm", model)


def _joined(id: str, sides: Mapping[Side, _Answer], source: Source, model: str) -> RationaleRow:
    outcome = min((sides[side][0] for side in SIDES), key=_WORST.index)
    errors = [f"{side}: {sides[side][1]}" for side in SIDES if sides[side][0] != "ok"]
    arguments = {side: sides[side][1] if sides[side][0] == "ok" else None for side in SIDES}
    if outcome == "ok" and _words(sides["toxic"][1]) == _words(sides["non_toxic"][1]):
        outcome, errors = "invalid", ["both sides have the same argument"]
        arguments = dict.fromkeys(SIDES)
    return RationaleRow(
        id,
        arguments["toxic"],
        arguments["non_toxic"],
        source if outcome == "ok" else "none",
        model,
        outcome,
        "; ".join(errors) or None,
    )


def _words(argument: str) -> str:
    """An argument without white space and punctuation."""
    return "".join(char for char, gap in zip(argument, separator_mask(argument), strict=True) if not gap)
