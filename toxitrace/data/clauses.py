"""Short training rows out of long ones: a clause that holds evidence, and one of the same text that holds none.

Published sets hold posts of several clauses, so a model of them has hardly seen a short insult, and may take what
stands around evidence for evidence. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from toxitrace.data.records import Example

MIN_CHARACTERS = 4
"""A clause with fewer letters, digits or ideographs says too little to be judged alone."""

_CLAUSE = re.compile(r"[^。！？!?；;，,、…~～\n\r]+[。！？!?；;，,、…~～\n\r]*")
_WORDLIKE = re.compile(r"\w")


def clause_examples(examples: Iterable[Example], seed: int) -> list[Example]:
    """Up to two clauses of every toxic text with known evidence, each drawn at random.

    Args:
        examples: texts; those labelled non-toxic, unread or without evidence give nothing, nor do those of one clause.
        seed: of the draw; it does not depend on the order of ``examples``.

    Returns:
        For each text at most one clause with evidence (label 1, its spans; id + ``#evidence``) and one without
        (label 0, no spans; id + ``#rest``).

    >>> [(one.text, one.label, one.evidence) for one in clause_examples(
    ...     [Example("a", "你真是个笨蛋，今天天气不错", 1, spans=((4, 6),))], seed=1)]
    [('你真是个笨蛋，', 1, ('笨蛋',)), ('今天天气不错', 0, ())]
    """
    found: list[Example] = []
    for example in examples:
        if not (example.label and example.spans):
            continue
        clauses = [m.span() for m in _CLAUSE.finditer(example.text) if _says_something(m.group())]
        if len(clauses) < 2:
            continue
        rng = np.random.default_rng([seed, *example.id.encode()])
        touched = [any(start < high and low < end for start, end in example.spans) for low, high in clauses]
        for wanted in (True, False):
            fitting = [clause for clause, hit in zip(clauses, touched, strict=True) if hit is wanted]
            if fitting:
                found.append(_cut(example, fitting[int(rng.integers(len(fitting)))], wanted))
    return found


def _says_something(clause: str) -> bool:
    return len(_WORDLIKE.findall(clause)) >= MIN_CHARACTERS


def _cut(example: Example, clause: tuple[int, int], toxic: bool) -> Example:
    low, high = clause
    spans = [
        (max(start, low) - low, min(end, high) - low)
        for start, end in example.spans or ()
        if start < high and low < end
    ]
    name = "evidence" if toxic else "rest"
    return Example(f"{example.id}#{name}", example.text[low:high], int(toxic), example.topic, tuple(spans))
