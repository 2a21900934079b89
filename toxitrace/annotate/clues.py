"""Candidate spans of a warmed-up detector (methods.md 1.1, step 2): saliency -> BiCSE -> clues, text by text."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

from toxitrace.data.records import Example
from toxitrace.errors import ConfigError

if TYPE_CHECKING:
    from toxitrace.detector.detector import Detector
    from toxitrace.types import Prediction

Which = Literal["toxic", "flagged", "all"]

# A clue's saliency goes into the prompt: two digits tell as much, and survive another order of floating-point sums.
_DIGITS = 2
_CHUNK = 256


class Clue(NamedTuple):
    """A suspicious stretch ``[start, end)`` of a text; ``saliency`` is its mean scaled saliency in [0, 1]."""

    start: int
    end: int
    saliency: float


Clued = tuple[Example, tuple[Clue, ...]]

_CHOICES: dict[str, Callable[[Example, bool], bool]] = {
    "toxic": lambda example, flagged: example.label == 1 or (example.label is None and flagged),
    "flagged": lambda example, flagged: example.label == 1 or flagged,
    "all": lambda example, flagged: True,
}


def find_clues(
    detector: Detector, examples: Iterable[Example], which: Which = "toxic", done: Container[str] = ()
) -> Iterator[Clued]:
    """Yield the chosen examples with their clues, in order; constant memory.

    Clues are forced on texts labelled toxic, whatever the detector says of them; other texts have clues only if
    the detector finds them toxic.

    Args:
        examples: any number of them, read as they are needed.
        which: ``toxic`` = labelled toxic, or without label and found toxic; ``flagged`` = those, and texts labelled
            non-toxic that the detector finds toxic; ``all`` = every text.
        done: ids to pass over. What shares a chunk with an id that is left is computed all the same, so that a
            resumed run pads the same batches and asks the same questions as one that was never interrupted.

    Raises:
        ConfigError: there is no such choice.
    """
    if which not in _CHOICES:
        raise ConfigError(f"rows is {which!r}; expected one of {', '.join(_CHOICES)}")
    chunk: list[Example] = []
    for example in examples:
        if which == "toxic" and example.label == 0:
            continue  # never chosen: not worth a forward pass
        chunk.append(example)
        if len(chunk) == _CHUNK:
            yield from _chunk_clues(detector, chunk, which, done)
            chunk = []
    yield from _chunk_clues(detector, chunk, which, done)


def _chunk_clues(detector: Detector, chunk: list[Example], which: Which, done: Container[str]) -> Iterator[Clued]:
    if all(example.id in done for example in chunk):
        return
    forced = [example.text for example in chunk if example.label == 1]
    others = [example.text for example in chunk if example.label != 1]
    found_forced, found = iter(detector.predict(forced, force_spans=True)), iter(detector.predict(others))
    for example in chunk:
        prediction = next(found_forced if example.label == 1 else found)
        if example.id not in done and _CHOICES[which](example, prediction.toxic):
            yield example, _clues(prediction)


def _clues(prediction: Prediction) -> tuple[Clue, ...]:
    return tuple(Clue(span.start, span.end, round(span.score, _DIGITS)) for span in prediction.spans)
