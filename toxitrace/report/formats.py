"""The forms in which predictions are written, one record at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from toxitrace.report.html import page_head, page_row, page_tail
from toxitrace.report.terminal import prediction_line
from toxitrace.types import Prediction

# Line ends to Unicode, though not to JSON: a reader that splits at them would break the line in two.
_LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}


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


def json_line(record_id: Any, prediction: Prediction) -> str:
    """One JSON object and a line feed; lone surrogates are escaped, so it can always be encoded as UTF-8."""
    row = {"id": record_id, **prediction.to_dict()}
    line = json.dumps(row, ensure_ascii=False, allow_nan=False).translate(_LINE_ENDS)
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        line = json.dumps(row, allow_nan=False)
    return line + "\n"


def output_format(name: str, *, color: bool = False) -> OutputFormat:
    """The form called ``jsonl``, ``text`` or ``html``; ``color`` is for text on a terminal."""
    forms = {
        "jsonl": OutputFormat(lambda title: "", json_line, lambda *counts: ""),
        "text": OutputFormat(
            lambda title: "",
            lambda record_id, prediction: prediction_line(prediction, color=color) + "\n",
            lambda *counts: "",
        ),
        "html": OutputFormat(page_head, page_row, page_tail),
    }
    return forms[name]
