"""Everything measured on one part of the data, for JSON and for a table."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from toxitrace.evaluation.bootstrap import Interval
from toxitrace.evaluation.calibration import CalibrationScores
from toxitrace.evaluation.classification import Classification
from toxitrace.evaluation.faithfulness import Faithfulness
from toxitrace.evaluation.span_scores import SpanScores


class ReportRow(NamedTuple):
    """One line of a table; scores are in [0, 1], None where undefined, without interval where None."""

    section: str
    measure: str
    value: float | int | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    """What one model does on one part of the data; whatever was not measured is None.

    Attributes:
        part: name of the data, for example ``cold/dev_expert``: every table names it.
        model: where the model came from.
        classification: verdicts against labels.
        calibration: probabilities against labels.
        spans: end-to-end, texts predicted non-toxic counting as empty.
        spans_forced: extraction on every text with gold, whatever the verdict.
        spans_topk: the top-k baseline on the same saliency, forced.
        faithfulness: what masking the spans does.
        settings: parameters, seeds and versions, for the record.
    """

    part: str
    model: str
    classification: Classification | None = None
    calibration: CalibrationScores | None = None
    spans: SpanScores | None = None
    spans_forced: SpanScores | None = None
    spans_topk: SpanScores | None = None
    faithfulness: Faithfulness | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without what was not measured."""
        row: dict[str, Any] = {"part": self.part, "model": self.model}
        for name, section in self._sections():
            row[name] = section.to_dict()
        if self.settings:
            row["settings"] = self.settings
        return row

    def to_rows(self) -> list[ReportRow]:
        """One row per measured value, sections in a fixed order.

        >>> report = EvaluationReport("dev", "tiny", calibration=CalibrationScores(0.02, 0.03, 0.1))
        >>> report.to_rows()[0]
        ReportRow(section='calibration', measure='ece', value=0.02, low=None, high=None)
        """
        return [row for name, section in self._sections() for row in _rows(name, section)]

    def _sections(
        self,
    ) -> Iterator[tuple[str, Classification | CalibrationScores | SpanScores | Faithfulness]]:
        for name in ("classification", "calibration", "spans", "spans_forced", "spans_topk", "faithfulness"):
            section = getattr(self, name)
            if section is not None:
                yield name, section


def _rows(name: str, section: Classification | CalibrationScores | SpanScores | Faithfulness) -> Iterator[ReportRow]:
    for measure in section.__slots__:
        value = getattr(section, measure)
        if isinstance(value, Interval):
            yield ReportRow(name, measure, _known(value.value), _known(value.low), _known(value.high))
        elif isinstance(value, int | float):
            yield ReportRow(name, measure, _known(value))
    if isinstance(section, Classification):
        for scores in section.per_class:
            for measure in ("precision", "recall", "f1", "n_texts"):
                yield ReportRow(f"{name}/{scores.label}", measure, getattr(scores, measure))
        for topic in section.topics:
            for measure in ("accuracy", "macro_f1", "auroc", "n_texts", "n_toxic"):
                yield ReportRow(f"{name}/topic {topic.topic}", measure, _known(getattr(topic, measure)))


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
