"""STATE-ToxiCN (shenmeyemeifashengguo/STATE-ToxiCN; Bai et al., arXiv 2501.15451): hateful quadruples.

Two layouts, both JSON lists with ``id`` and ``content``. As seen in the repository's ``data/train.json``: ``sen_hate``
and numbered fields ``Q1 Target, Q1 Argument, Q1 Group, Q1 hateful, Q2 ...``. As in the CCL 2025 task 10, and in the
repository's ``evaluate.ipynb``: ``output`` = ``Target | Argument | Targeted Group | Hateful [SEP] ... [END]``. For
research only: nothing that toxitrace ships is trained on it. The posts are ToxiCN's.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from toxitrace.data.fields import build_example, collect, get_field, optional_str, parse_id, parse_label, parse_text
from toxitrace.data.jsonl import read_json_list
from toxitrace.data.offsets import Offsets, gap_between, merge_offsets, occurrences
from toxitrace.data.records import Example
from toxitrace.errors import DataError

_LOG = logging.getLogger(__name__)
_BETWEEN = re.compile(r"\s*\[(?:SEP|END)\]\s*")


@dataclass(frozen=True, slots=True)
class Quadruple:
    """One judgement in a post: who is talked about, what is said, the group, and whether it is hateful.

    ``target`` and ``argument`` are verbatim parts of the post, or None where the annotators wrote NULL.
    """

    target: str | None
    argument: str | None
    group: str
    hateful: bool


def parse_quadruples(output: str, place: str) -> list[Quadruple]:
    """The quadruples of one ``output`` string.

    Raises:
        DataError: a part has fewer than four fields, or its last is neither ``hate`` nor ``non-hate``.

    >>> parse_quadruples("你 | 蠢 | non-hate | non-hate [END]", "a.json: row 1")
    [Quadruple(target='你', argument='蠢', group='non-hate', hateful=False)]
    """
    quadruples: list[Quadruple] = []
    for part in filter(None, _BETWEEN.split(output.strip())):
        # a bar inside the post can only be part of the argument: the other three fields are short names
        head, *tail = part.rsplit("|", 2)
        target, bar, argument = head.partition("|")
        if len(tail) != 2 or not bar:
            raise DataError(
                f"{place}: a quadruple has {part.count('|') + 1} fields; expected 'Target | Argument | Group | Hateful'"
                ", quadruples separated by [SEP] and closed by [END]: correct the row"
            )
        quadruples.append(_quadruple(target, argument, tail[0], tail[1], place))
    return quadruples


def argument_spans(text: str, quadruples: Iterable[Quadruple]) -> tuple[Offsets, int]:
    """Character spans of the arguments of the hateful quadruples, merged where they overlap or touch.

    An argument that occurs several times is taken where it is nearest to its target, the first of equals; without a
    target, its first occurrence. A NULL argument marks nothing.

    Returns:
        The spans, and how many arguments are not in the text.

    >>> argument_spans("懒人说他懒，小王懒", [Quadruple("小王", "懒", "others", True)])
    (((8, 9),), 0)
    """
    found: list[tuple[int, int]] = []
    n_missing = 0
    for quadruple in quadruples:
        if not quadruple.hateful or quadruple.argument is None:
            continue
        places = occurrences(text, quadruple.argument)
        targets = occurrences(text, quadruple.target or "")
        if places:
            found.append(min(places, key=lambda place: min((gap_between(place, t) for t in targets), default=0)))
        else:
            n_missing += 1
    return merge_offsets(found), n_missing


def read_state_toxicn(path: str | os.PathLike[str]) -> list[Example]:
    """Read a STATE-ToxiCN file, where label 1 = hateful, which is narrower than toxic.

    The label is ``sen_hate`` where a row has it, else whether any quadruple is hateful. Arguments that are no verbatim
    part of their post leave no span; their number is logged as a warning.

    Raises:
        DataError: the file is unusable or in neither layout.
    """
    missing: list[int] = []
    examples = collect(_rows(path, missing), path)
    if any(missing):
        _LOG.warning("%s: %d hateful arguments are not in their text and leave no span", path, sum(missing))
    return examples


def _rows(path: str | os.PathLike[str], missing: list[int]) -> Iterator[tuple[str, Example]]:
    for number, (place, row) in enumerate(read_json_list(path)):
        text = parse_text(get_field(row, "content", place), place)
        quadruples = _quadruples_of(row, place)
        spans, n_missing = argument_spans(text, quadruples)
        missing.append(n_missing)
        # nothing found because of a slip in the annotation is not "annotated, no evidence"
        known = spans if spans or not n_missing else None
        any_hateful = int(any(quadruple.hateful for quadruple in quadruples))
        label = parse_label(row["sen_hate"], place, "sen_hate") if "sen_hate" in row else any_hateful
        id = parse_id(row.get("id"), number, place)
        topic = optional_str(row.get("topic"))
        yield place, build_example(place, id=id, text=text, label=label, topic=topic, spans=known)


def _quadruples_of(row: dict[str, Any], place: str) -> list[Quadruple]:
    if "output" in row:
        return parse_quadruples(str(row["output"]), place)
    get_field(row, "Q1 Target", place)  # neither layout: the error lists the fields that there are
    quadruples: list[Quadruple] = []
    while f"Q{len(quadruples) + 1} Target" in row:
        prefix = f"Q{len(quadruples) + 1} "
        target, argument, group, hateful = (
            str(get_field(row, prefix + name, place)) for name in ("Target", "Argument", "Group", "hateful")
        )
        quadruples.append(_quadruple(target, argument, group, hateful, place))
    return quadruples


def _quadruple(target: str, argument: str, group: str, hateful: str, place: str) -> Quadruple:
    flag = hateful.strip().lower()
    if flag not in ("hate", "non-hate"):
        raise DataError(f"{place}: hateful is {flag[:40]!r}; expected 'hate' or 'non-hate': correct the row")
    return Quadruple(_or_none(target), _or_none(argument), group.strip(), flag == "hate")


def _or_none(field: str) -> str | None:
    field = field.strip()
    return None if field in ("", "NULL") else field
