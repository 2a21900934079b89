"""Long texts cut down to what is marked in them, for reviewers. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from toxitrace.data.offsets import Offsets, merge_offsets

MAX_CHARS, AROUND_CHARS, GAP = 400, 60, " … "


def excerpt(text: str, *markings: Offsets, max_chars: int = MAX_CHARS) -> tuple[str, tuple[Offsets, ...]]:
    """The marked parts of a text with what stands around them, and the markings moved along.

    Args:
        text: returned as it is up to ``max_chars`` characters.
        markings: offsets into the text, disjoint and in order.
        max_chars: characters of the text to keep; marks beyond them are left out.

    >>> excerpt("天" * 500 + "笨蛋" + "天" * 500, ((500, 502),))[1]
    (((63, 65),),)
    """
    if len(text) <= max_chars:
        return text, markings
    wide = [
        (max(0, start - AROUND_CHARS), min(len(text), end + AROUND_CHARS)) for own in markings for start, end in own
    ]
    shown, left, last = "", max_chars, 0
    moved: list[list[tuple[int, int]]] = [[] for _ in markings]
    for start, end in merge_offsets(wide) or ((0, max_chars),):
        if not left:
            break
        end = min(end, start + left)
        left -= end - start
        shown += GAP if start > last else ""
        for own, found in zip(markings, moved, strict=True):
            found += _inside(own, start, end, len(shown) - start)
        shown += text[start:end]
        last = end
    return shown + (GAP if last < len(text) else ""), tuple(tuple(found) for found in moved)


def _inside(spans: Sequence[tuple[int, int]], start: int, end: int, shift: int) -> list[tuple[int, int]]:
    """The parts of spans that lie in ``[start, end)``, moved by ``shift``."""
    return [(max(a, start) + shift, min(b, end) + shift) for a, b in spans if a < end and b > start]
