"""Cut a marked text into runs of equal looks. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from toxitrace.types import Span

SHADES = 10


def runs(
    n_chars: int, spans: Sequence[Span], saliency: Sequence[float] | None = None
) -> Iterator[tuple[int, int, bool, int]]:
    """Yield ``(start, end, marked, shade)`` in reading order, covering ``[0, n_chars)`` once.

    Args:
        spans: stretches to mark; may overlap.
        saliency: weight of every character in [0, 1], shown in ``SHADES`` steps; None gives shade 0.

    >>> list(runs(5, [Span.of("真是个笨蛋", 3, 5, 0.9)]))
    [(0, 3, False, 0), (3, 5, True, 0)]
    """
    marked = bytearray(n_chars)
    for span in spans:
        marked[span.start : span.end] = b"\x01" * (span.end - span.start)
    shades = None if saliency is None else [_shade(weight) for weight in saliency]
    start = 0
    looks = zip(marked, shades or bytes(n_chars), strict=True)
    for (is_marked, shade), group in groupby(looks):
        end = start + sum(1 for _ in group)
        yield start, end, bool(is_marked), shade
        start = end


def _shade(weight: float) -> int:
    return round(SHADES * min(max(float(weight), 0.0), 1.0))
