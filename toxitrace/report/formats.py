"""The forms in which predictions are written, one record at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from toxitrace.jsonline import json_line
from toxitrace.report.html import page_head, page_row, page_tail
from toxitrace.report.terminal import prediction_line
from toxitrace.types import Prediction


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """How a file of predictions begins, goes on and ends.

    Attributes:
        head: of a title.
        row: of a record's id and its prediction.
        tail: of the numbers of texts, toxic texts and bad lines.
    """

    head: Callable[[str], str]
    row: Callable[[Any, Prediction], str]
    tail: Callable[[int, int, int], str]


def prediction_row(record_id: Any, prediction: Prediction) -> str:
    """One JSON object and a line feed."""
    return json_line({"id": record_id, **prediction.to_dict()})


def output_format(name: str, *, color: bool = False) -> OutputFormat:
    """The form called ``jsonl``, ``text`` or ``html``; ``color`` is for text on a terminal."""
    forms = {
        "jsonl": OutputFormat(lambda title: "", prediction_row, lambda *counts: ""),
        "text": OutputFormat(
            lambda title: "",
            lambda record_id, prediction: prediction_line(prediction, color=color) + "\n",
            lambda *counts: "",
        ),
        "html": OutputFormat(page_head, page_row, page_tail),
    }
    return forms[name]
