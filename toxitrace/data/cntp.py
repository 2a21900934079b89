"""CNTP, the data of ToxiBenchCN (thomasyyyoung/ToxiBenchCN, MIT; arXiv 2505.24341): gold toxic words.

Two layouts. As seen in the repository's ``CNTP_dataset``: JSON lists of ``sentence_id, original_text, is_toxic``, in
toxic files ``toxic_entity`` (a list of strings), in perturbed files, below one key, also ``perturbed_text``. And JSON
Lines ``{"id", "text", "label", "spans"}`` with offsets, as toxitrace's development third has it. Sampled from ToxiCN:
for evaluation and span parameters, never for training.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from typing import Any

from toxitrace.data.fields import build_example, collect, get_field, parse_id, parse_label, parse_offsets, parse_text
from toxitrace.data.jsonl import iter_json_rows, read_json_list
from toxitrace.data.lines import plain_suffix
from toxitrace.data.offsets import Offsets, merge_offsets, occurrences
from toxitrace.data.records import Example
from toxitrace.errors import DataError

_LOG = logging.getLogger(__name__)


def entity_spans(text: str, entities: list[str]) -> Offsets:
    """All occurrences of each gold string, merged where they overlap or touch (methods.md, section 1.9).

    >>> entity_spans("笨蛋就是笨蛋", ["笨蛋", "笨"])
    ((0, 2), (4, 6))
    """
    return merge_offsets(place for entity in entities for place in occurrences(text, entity))


def follow_perturbation(original: str, spans: Offsets, perturbed: str) -> Offsets | None:
    """Where the spans of ``original`` went in a text that differs from it inside the spans only.

    Returns:
        The spans in ``perturbed``; None where the texts differ elsewhere too, so that nothing exact can be said.

    >>> follow_perturbation("你真笨啊", ((2, 3),), "你真ben啊")
    ((2, 5),)
    """
    kept_ends = [0, *(end for _, end in spans)]
    kept_starts = [*(start for start, _ in spans), len(original)]
    kept = [re.escape(original[a:b]) for a, b in zip(kept_ends, kept_starts, strict=True)]
    match = re.fullmatch("(.+?)".join(kept), perturbed, re.DOTALL)
    return None if match is None else merge_offsets(match.span(group) for group in range(1, len(spans) + 1))


def read_cntp(path: str | os.PathLike[str]) -> list[Example]:
    """Read a file of CNTP, clean, toxic or perturbed, in either layout; ids are ToxiCN's row numbers.

    In the official layout, gold strings that are not in their text leave no span, and their number is logged as a
    warning; spans are None where no gold string is found, or `follow_perturbation` has no exact answer.

    Raises:
        DataError: the file is unusable or in no known layout.
    """
    if plain_suffix(path) == ".jsonl":
        return collect(_development(path), path)
    missing: list[str] = []
    examples = collect(_official(path, missing), path)
    if missing:
        _LOG.warning("%s: %d gold strings are not in their text and leave no span", path, len(missing))
    return examples


def _official(path: str | os.PathLike[str], missing: list[str]) -> Iterator[tuple[str, Example]]:
    for number, (place, row) in enumerate(read_json_list(path)):
        toxic = parse_label(get_field(row, "is_toxic", place), place, "is_toxic")
        text = parse_text(get_field(row, "original_text", place), place).strip()
        spans: Offsets | None = ()
        if toxic:
            entities = _entities(row, place)
            absent = [entity for entity in entities if entity not in text]
            missing += absent
            # nothing found because of a slip in the annotation is not "annotated, no evidence"
            spans = entity_spans(text, entities) or (None if absent else ())
        if "perturbed_text" in row:
            original, text = text, parse_text(row["perturbed_text"], place).strip()
            spans = follow_perturbation(original, spans, text) if spans else spans
        id = parse_id(get_field(row, "sentence_id", place), number, place)
        yield place, build_example(place, id=id, text=text, label=toxic, spans=spans)


def _entities(row: dict[str, Any], place: str) -> list[str]:
    entities = get_field(row, "toxic_entity", place)
    if not isinstance(entities, list) or not all(isinstance(entity, str) for entity in entities):
        raise DataError(f"{place}: toxic_entity is no list of strings; expected the gold words: correct the row")
    return entities


def _development(path: str | os.PathLike[str]) -> Iterator[tuple[str, Example]]:
    for line, row in iter_json_rows(path):
        place = f"{path}:{line}"
        raw = get_field(row, "spans", place)
        # some perturbed rows carry zero-width pairs beside the real ones; they mark no character
        pairs = [pair for pair in raw if not _zero_width(pair)] if isinstance(raw, list) else raw
        yield (
            place,
            build_example(
                place,
                id=parse_id(row.get("id"), line - 1, place),
                text=parse_text(get_field(row, "text", place), place),
                label=parse_label(get_field(row, "label", place), place),
                spans=parse_offsets(pairs, place),
            ),
        )


def _zero_width(pair: object) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and type(pair[0]) is int and pair[0] == pair[1]
