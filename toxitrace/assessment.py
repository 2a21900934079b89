"""Measure a detector on labelled examples and tune its thresholds on development data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from toxitrace.data.records import Example
from toxitrace.detector.detector import Detector
from toxitrace.detector.extract import extract_spans
from toxitrace.detector.scoring import probabilities
from toxitrace.errors import DataError
from toxitrace.evaluation import (
    EvaluationReport,
    best_threshold,
    cross_fitted_ece,
    fit_platt,
    score_calibration,
    score_classification,
    score_faithfulness,
    score_spans,
    silence,
    tune_bicse,
)
from toxitrace.settings import BiCSEParams, ModelSettings
from toxitrace.spans import topk
from toxitrace.text import separator_mask

Tunable = Literal["bicse", "calibration", "threshold"]
Bounds = list[tuple[int, int]]
TOPK_RATIO = 0.25  # the middle of the range of methods section 1.3, ours and not the paper's


@dataclass(frozen=True, slots=True, eq=False)
class Measurement:
    """What a model says about examples, before any threshold.

    Attributes:
        examples: (N) what was scored.
        margins: (N,) uncalibrated margins.
        saliencies: per example (n_chars,) scaled saliency; empty where no span is needed.
    """

    examples: Sequence[Example]
    margins: NDArray[np.float64]
    saliencies: Sequence[NDArray[np.float64]]

    def extract(self, params: BiCSEParams) -> list[Bounds]:
        """Forced BiCSE spans of every example that was traced."""
        return [
            [(s.start, s.end) for s in extract_spans(example.text, saliency, params)] if len(saliency) else []
            for example, saliency in zip(self.examples, self.saliencies, strict=True)
        ]

    def extract_topk(self, ratio: float) -> list[Bounds]:
        """Forced top-k spans of every example that was traced."""
        return [
            [(s.start, s.end) for s in topk(saliency, separator_mask(example.text), ratio)] if len(saliency) else []
            for example, saliency in zip(self.examples, self.saliencies, strict=True)
        ]


def measure(detector: Detector, examples: Sequence[Example]) -> Measurement:
    """Run the model once over all examples; gradients only where gold spans are known.

    Raises:
        DataError: there are no examples.
    """
    if not examples:
        raise DataError("there is nothing to evaluate; the data holds no rows")
    margins = detector.margins([example.text for example in examples])
    traced = [i for i, example in enumerate(examples) if example.spans is not None]
    saliencies: list[NDArray[np.float64]] = [np.zeros(0)] * len(examples)
    for i, explanation in zip(traced, detector.explain([examples[i].text for i in traced]), strict=True):
        saliencies[i] = explanation.saliency
    return Measurement(examples, margins, saliencies)


def tune(
    measurement: Measurement, settings: ModelSettings, what: Sequence[Tunable], files: Mapping[str, str] | None = None
) -> ModelSettings:
    """Choose thresholds on development data; what is not asked for stays as it is.

    BiCSE maximises character F1 on examples with gold evidence, the threshold macro-F1 on labelled examples, the
    calibration their likelihood (Platt).

    Args:
        files: the file of each example by id; BiCSE's score is the mean over files. None: all are one file.

    Raises:
        DataError: the data lacks what a choice needs (both classes, or gold spans).
    """
    labelled = [i for i, example in enumerate(measurement.examples) if example.label is not None]
    labels = [int(measurement.examples[i].label or 0) for i in labelled]
    margins = _finite(measurement.margins)[labelled]
    if {"calibration", "threshold"} & set(what) and len(set(labels)) < 2:
        raise DataError("tuning calibration or threshold needs toxic and non-toxic examples with labels")
    if "calibration" in what:
        settings = replace(settings, calibration=fit_platt(margins, labels))
    if "threshold" in what:
        settings = replace(settings, threshold=best_threshold(probabilities(margins, settings.calibration), labels))
    if "bicse" in what:
        gold = [i for i, example in enumerate(measurement.examples) if example.spans]
        if not gold:
            raise DataError("tuning bicse needs examples with gold spans; name them with --spans or a data file")
        params, _ = tune_bicse(
            [measurement.saliencies[i] for i in gold],
            [separator_mask(measurement.examples[i].text) for i in gold],
            [list(measurement.examples[i].spans or ()) for i in gold],
            parts=None if files is None else [files[measurement.examples[i].id] for i in gold],
        )
        settings = replace(settings, bicse=params)
    return settings


def assess(
    measurement: Measurement,
    detector: Detector,
    *,
    part: str,
    model: str,
    faithfulness: bool = False,
    n_resamples: int = 1000,
    seed: int = 0,
) -> EvaluationReport:
    """Score a measurement with the detector's threshold, calibration and BiCSE parameters.

    Args:
        part: name of the data; every table shows it.
        model: name of the model.
        faithfulness: mask spans and measure what that does; costs nine forward passes per toxic example.
    """
    examples = measurement.examples
    probs = probabilities(_finite(measurement.margins), detector.settings.calibration)
    labelled = [i for i, example in enumerate(examples) if example.label is not None]
    labels = [int(examples[i].label or 0) for i in labelled]
    classification = calibration = None
    settings: dict[str, object] = {
        "threshold": detector.threshold,
        "bicse": detector.settings.bicse.__dict__,
        "n_resamples": n_resamples,
        "seed": seed,
    }
    if labelled:
        topics = [examples[i].topic or "none" for i in labelled]
        classification = score_classification(
            probs[labelled],
            labels,
            detector.threshold,
            topics if len(set(topics)) > 1 else None,
            n_resamples=n_resamples,
            seed=seed,
        )
        calibration = score_calibration(probs[labelled], labels)
        if len(set(labels)) == 2 and len(labels) >= 50:
            settings["cross_fitted_ece"] = cross_fitted_ece(_finite(measurement.margins)[labelled], labels)
    annotated = [i for i, example in enumerate(examples) if example.spans is not None]
    with_gold = [i for i in annotated if examples[i].spans]
    spans = forced = by_topk = None
    found = measurement.extract(detector.settings.bicse)
    if with_gold:
        gold = [list(example.spans or ()) for example in examples]
        flagged = [bool(probs[i] >= detector.threshold) for i in annotated]
        end_to_end = silence([found[i] for i in annotated], flagged)
        spans = score_spans(end_to_end, [gold[i] for i in annotated], n_resamples=n_resamples, seed=seed)
        gold = [gold[i] for i in with_gold]
        forced = score_spans([found[i] for i in with_gold], gold, n_resamples=n_resamples, seed=seed)
        ranked = measurement.extract_topk(TOPK_RATIO)
        by_topk = score_spans([ranked[i] for i in with_gold], gold, n_resamples=n_resamples, seed=seed)
        settings["topk_ratio"] = TOPK_RATIO
    masked = None
    if faithfulness:
        toxic = [example.text for i, example in enumerate(examples) if probs[i] >= detector.threshold]
        marked = [[(s.start, s.end) for s in prediction.spans] for prediction in detector.predict(toxic)]
        masked = score_faithfulness(
            toxic,
            marked,
            lambda texts: probabilities(_finite(detector.margins(texts)), detector.settings.calibration),
            detector.threshold,
            n_resamples=n_resamples,
            seed=seed,
        )
    return EvaluationReport(part, model, classification, calibration, spans, forced, by_topk, masked, settings)


def _finite(margins: NDArray[np.float64]) -> NDArray[np.float64]:
    """A text without tokens has margin -inf and probability 0; for fits it counts as very clean."""
    return np.maximum(margins, -30.0)
