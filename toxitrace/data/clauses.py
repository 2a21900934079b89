"""Short training rows out of long ones: clauses that hold evidence, and clauses that hold none.

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
    """Up to two clauses of every text of more than one, drawn at random.

    A toxic text with known evidence gives a clause with evidence and one without, a clean text without evidence gives
    one clause. A toxic text without known evidence gives none, nor does a clean one with evidence: nobody knows which
    of its clauses are toxic.

    Args:
        examples: texts; those without a label give nothing.
        seed: of the draw, which does not depend on the order of ``examples``.

    Returns:
        Clauses with evidence (label 1, its spans; id + ``#evidence``) and without (label 0, no spans; id + ``#rest``).

    >>> [(one.text, one.label, one.evidence) for one in clause_examples(
    ...     [Example("a", "你真是个笨蛋，今天天气不错", 1, spans=((4, 6),))], seed=1)]
    [('你真是个笨蛋，', 1, ('笨蛋',)), ('今天天气不错', 0, ())]
    """
    found: list[Example] = []
    for example in examples:
        if example.label is None or bool(example.label) != bool(example.spans):
            continue
        clauses = [m.span() for m in _CLAUSE.finditer(example.text) if _says_something(m.group())]
        if len(clauses) < 2:
            continue
        rng = np.random.default_rng([seed, *example.id.encode()])
        spans = example.spans or ()
        touched = [any(start < high and low < end for start, end in spans) for low, high in clauses]
        for toxic in (True, False):
            fitting = [clause for clause, hit in zip(clauses, touched, strict=True) if hit is toxic]
            if fitting:
                found.append(_cut(example, fitting[int(rng.integers(len(fitting)))], toxic))
    return found


def _says_something(clause: str) -> bool:
    return len(_WORDLIKE.findall(clause)) >= MIN_CHARACTERS


def _cut(example: Example, clause: tuple[int, int], toxic: bool) -> Example:
    low, high = clause
    inside = ((max(start, low) - low, min(end, high) - low) for start, end in example.spans or ())
    spans = tuple((start, end) for start, end in inside if start < end)
    name = "evidence" if toxic else "rest"
    return Example(f"{example.id}#{name}", example.text[low:high], int(toxic), example.topic, spans)
