"""Repeated texts: the same words in training and development data make a score look better than it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from toxitrace.data.records import Example


def drop_duplicate_texts(
    examples: Sequence[Example], against: Iterable[Example] = ()
) -> tuple[list[Example], list[Example]]:
    """Split into ``(kept, dropped)``: the first of equal texts stays, unless ``against`` already holds it.

    >>> kept, dropped = drop_duplicate_texts([Example("a", "你好", 0), Example("b", "你好", 0)])
    >>> [example.id for example in kept], [example.id for example in dropped]
    (['a'], ['b'])
    """
    seen = {example.text for example in against}
    kept: list[Example] = []
    dropped: list[Example] = []
    for example in examples:
        (dropped if example.text in seen else kept).append(example)
        seen.add(example.text)
    return kept, dropped
