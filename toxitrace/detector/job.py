"""What it takes to score a chunk, in a form that travels to another process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from toxitrace.detector.bulk import Scored, score_chunk
from toxitrace.detector.records import Record

if TYPE_CHECKING:
    from toxitrace.detector.loading import BackendName


@dataclass(frozen=True, slots=True)
class ScoringJob:
    """A model, and what is wanted of it.

    Attributes:
        folder: the model's folder.
        backend: ``auto``, ``onnx`` or ``torch``.
        threshold: probability from which a text is toxic; None takes the model's own.
        threads: CPU threads of one process; None takes every core it may use.
        force_spans: mark the most suspicious words of clean texts too.
        form: ``jsonl``, ``text`` or ``html``.
        color: colours in text, for a terminal.
    """

    folder: Path
    backend: BackendName = "auto"
    threshold: float | None = None
    threads: int | None = None
    force_spans: bool = False
    form: str = "jsonl"
    color: bool = False

    def start(self) -> Callable[[Sequence[Record]], Scored]:
        """Load the model; the function that scores a chunk comes back.

        Raises:
            ModelError: the folder holds no usable model.
            ConfigError: a value is out of range.
        """
        from toxitrace.detector.loading import load
        from toxitrace.report.formats import output_format

        detector = load(self.folder, backend=self.backend, threshold=self.threshold, threads=self.threads)
        row = output_format(self.form, color=self.color).row

        def score(chunk: Sequence[Record]) -> Scored:
            return score_chunk(chunk, lambda texts: detector.predict(texts, force_spans=self.force_spans), row)

        return score
