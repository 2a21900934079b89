"""Score any number of records at constant memory, in chunks that depend on the records alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from toxitrace.detector.records import BadLine, Record
from toxitrace.types import Prediction

MAX_CHUNK_TEXTS = 256
MAX_CHUNK_CHARS = 1 << 20


@dataclass(slots=True)
class Counts:
    """What a run has seen so far."""

    n_texts: int = 0
    n_toxic: int = 0
    n_truncated: int = 0
    n_bad: int = 0

    def add(self, predictions: Iterable[Prediction]) -> None:
        """Count predictions in."""
        for prediction in predictions:
            self.n_texts += 1
            self.n_toxic += prediction.toxic
            self.n_truncated += prediction.truncated


class ChunkRule:
    """Says where a chunk ends.

    A function of the records' texts alone, so a resumed run cuts the same chunks as one that was never
    interrupted, and pads the same batches: its output has the same bytes.
    """

    def __init__(self) -> None:
        self._n_texts = self._n_chars = 0

    def closes_with(self, record: Record) -> bool:
        """Take the next record in; true if the chunk ends with it."""
        self._n_texts += 1
        self._n_chars += len(record.text)
        full = self._n_texts >= MAX_CHUNK_TEXTS or self._n_chars >= MAX_CHUNK_CHARS
        if full:
            self._n_texts = self._n_chars = 0
        return full


def score_records(
    items: Iterable[Record | BadLine],
    predict: Callable[[Sequence[str]], Sequence[Prediction]],
    counts: Counts,
    on_bad: Callable[[BadLine], None],
) -> Iterator[list[tuple[Record, Prediction]]]:
    """Yield scored chunks in the order of the records.

    Args:
        items: records and bad lines, read only as fast as chunks are taken.
        predict: scores a list of texts.
        counts: updated before each chunk is yielded; bad lines are counted in as they come.
        on_bad: called for every bad line, in its turn.
    """
    rule, chunk = ChunkRule(), list[Record]()
    for item in items:
        if isinstance(item, BadLine):
            counts.n_bad += 1
            on_bad(item)
            continue
        chunk.append(item)
        if rule.closes_with(item):
            yield _scored(chunk, predict, counts)
            chunk = []
    if chunk:
        yield _scored(chunk, predict, counts)


def _scored(
    chunk: list[Record], predict: Callable[[Sequence[str]], Sequence[Prediction]], counts: Counts
) -> list[tuple[Record, Prediction]]:
    predictions = predict([record.text for record in chunk])
    counts.add(predictions)
    return list(zip(chunk, predictions, strict=True))
