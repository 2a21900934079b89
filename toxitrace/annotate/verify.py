"""Check what a language model answered, and find its quotations in the text. Pure.

What a text can do at most by talking to the model (prompt injection): an answer is used only if it is the JSON
object that was asked for, and of that only strings that stand in the text itself. Prose, other JSON and invented
strings are refused or dropped here. So an injected instruction can have other substrings of its own text marked, or
none, or the answer blocked; it cannot bring foreign words into the data, touch another text, or make the program do
anything. Substrings that cover most of a text are flagged (``wide``) for reviewers. The argument of a rationale is
free text: there, an instruction can change what is argued, within the length and language that are checked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from toxitrace.annotate.prompts import MAX_ARGUMENT_CHARS, MIN_ARGUMENT_CHARS, shown
from toxitrace.data.offsets import Offsets, merge_offsets, occurrences
from toxitrace.text import separator_mask

# 0.3 % of the human-like annotations of COLD mark more of a text of this length
WIDE_SHARE, WIDE_MIN_CHARS = 0.7, 20
_FENCE = re.compile(r"\s*```(?:json)?(.*)```\s*", re.DOTALL)
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


class InvalidReplyError(ValueError):
    """A reply that cannot be used; the message is the reason, in words of our own and none of the reply's."""


@dataclass(frozen=True, slots=True)
class VerifiedSpans:
    """The usable part of a reply.

    Attributes:
        spans: disjoint, in reading order; () = the model found no evidence.
        n_dropped: strings that do not stand in the text, or hold no word.
        wide: whether the spans cover more than 70 % of a text of more than 20 characters.
    """

    spans: Offsets
    n_dropped: int = 0
    wide: bool = False


def verify_spans(reply: str, text: str, anchors: Iterable[Sequence[float]] = ()) -> VerifiedSpans:
    """Turn ``{"spans": [...]}`` into offsets (methods.md 1.5).

    Args:
        reply: what the model wrote.
        text: the untouched text; offsets are its own.
        anchors: clues ``(start, end, ...)``; each string is located at the occurrence nearest to one of them.

    Raises:
        InvalidReplyError: no such JSON, or it names strings and not one of them stands in the text.

    >>> verify_spans('{"spans": ["笨蛋", "坏人"]}', "你真是个笨蛋")
    VerifiedSpans(spans=((4, 6),), n_dropped=1, wide=False)
    """
    strings = _only_value(reply, "spans")
    if not isinstance(strings, list) or not all(isinstance(string, str) for string in strings):
        raise InvalidReplyError('"spans" must be a list of strings')
    spans, n_dropped = locate(strings, shown(text), anchors)
    if strings and not spans:
        raise InvalidReplyError("none of the strings is an exact substring of the text")
    n_marked = sum(end - start for start, end in spans)
    return VerifiedSpans(spans, n_dropped, len(text) > WIDE_MIN_CHARS and n_marked > WIDE_SHARE * len(text))


def verify_argument(reply: str, text: str) -> str:
    """The argument in ``{"argument": "..."}``, without blanks at its ends.

    Raises:
        InvalidReplyError: no such JSON; too short or too long; not mostly Chinese; a copy of the text.

    >>> verify_argument('{"argument": "这句话用侮辱性的词骂人。"}', "你真是个笨蛋")
    '这句话用侮辱性的词骂人。'
    """
    argument = _only_value(reply, "argument")
    if not isinstance(argument, str):
        raise InvalidReplyError('"argument" must be a string')
    argument = shown(argument.strip())
    if not MIN_ARGUMENT_CHARS <= len(argument) <= MAX_ARGUMENT_CHARS:
        raise InvalidReplyError(f"the argument must have {MIN_ARGUMENT_CHARS} to {MAX_ARGUMENT_CHARS} characters")
    if 2 * len(_HAN.findall(argument)) < len(argument):
        raise InvalidReplyError("the argument must be in Chinese")
    if argument == shown(text).strip():
        raise InvalidReplyError("the argument must not be a copy of the text")
    return argument


def locate(strings: Sequence[str], text: str, anchors: Iterable[Sequence[float]] = ()) -> tuple[Offsets, int]:
    """Find every string in the text, each at the best occurrence that no equal string before it took.

    Best is an occurrence that is an anchor, then the one with most anchored characters, then the nearest to an
    anchor, then the first. A string given more often than it occurs is not counted as dropped.

    Returns:
        Merged offsets, and how many strings were dropped.

    >>> locate(["笨蛋", "笨蛋"], "笨蛋就是笨蛋，笨蛋", [(4, 6)]), locate(["坏"], "笨蛋")
    ((((4, 6), (7, 9)), 0), ((), 1))
    """
    bounds = {(int(anchor[0]), int(anchor[1])) for anchor in anchors}
    n_anchored, distance = _anchored_before(len(text), bounds), _distances(len(text), bounds)
    separators = separator_mask(text)

    def rank(occurrence: tuple[int, int]) -> tuple[bool, int, int, int]:
        start, end = occurrence
        n_shared = n_anchored[end] - n_anchored[start]
        gap = 0 if n_shared else min(distance[start], distance[end - 1])
        return occurrence not in bounds, -n_shared, gap, start

    left: dict[str, list[tuple[int, int]]] = {}  # string -> its free occurrences, best first
    found: list[tuple[int, int]] = []
    n_dropped = 0
    for string in strings:
        if string not in left:
            places = sorted(occurrences(text, string), key=rank)
            # equal strings of punctuation are equal everywhere: the first place tells
            left[string] = places if places and not separators[slice(*places[0])].all() else []
            n_dropped += not left[string]
        if left[string]:
            start, end = left[string][0]
            found.append((start, end))
            left[string] = [place for place in left[string] if place[1] <= start or place[0] >= end]
    return merge_offsets(found), n_dropped


def _only_value(reply: str, key: str) -> Any:
    """The value of a JSON object with this one key; servers without structured output like to fence it."""
    fenced = _FENCE.fullmatch(reply)
    try:
        row = json.loads(fenced[1] if fenced else reply)
    except (ValueError, RecursionError):
        raise InvalidReplyError("the answer was no JSON") from None
    if not isinstance(row, dict) or set(row) != {key}:
        raise InvalidReplyError(f'the answer must be a JSON object with the one key "{key}"')
    return row[key]


def _anchored_before(n_chars: int, anchors: Iterable[tuple[int, int]]) -> list[int]:
    """(n_chars + 1) how many anchored characters stand before each position."""
    inside = bytearray(n_chars)
    for start, end in anchors:
        inside[start:end] = b"\x01" * (end - start)
    total, before = 0, [0]
    for flag in inside:
        total += flag
        before.append(total)
    return before


def _distances(n_chars: int, anchors: Iterable[tuple[int, int]]) -> list[int]:
    """(n_chars,) characters from each position to the nearest anchor; all equal where there is none."""
    distance = [n_chars] * n_chars
    for start, end in anchors:
        distance[start:end] = [0] * (end - start)
    for i in range(1, n_chars):
        distance[i] = min(distance[i], distance[i - 1] + 1)
    for i in range(n_chars - 2, -1, -1):
        distance[i] = min(distance[i], distance[i + 1] + 1)
    return distance
