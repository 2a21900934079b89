"""Measures of verdicts, probabilities, spans and explanations; numpy only, no model and no disk."""

from toxitrace.evaluation.bootstrap import Interval, bootstrap_counts, bootstrap_indices, bootstrap_sums
from toxitrace.evaluation.calibration import (
    CalibrationScores,
    best_threshold,
    brier_score,
    calibrated,
    cross_fitted_ece,
    cross_fitted_probabilities,
    expected_calibration_error,
    fit_platt,
    recall_at_false_alarm,
    score_calibration,
)
from toxitrace.evaluation.classification import (
    Classification,
    ClassScores,
    TopicScores,
    auroc,
    confusion_matrix,
    macro_f1,
    score_classification,
)
from toxitrace.evaluation.faithfulness import Faithfulness, score_faithfulness
from toxitrace.evaluation.report import EvaluationReport, ReportRow
from toxitrace.evaluation.span_scores import SpanCounts, SpanScores, count_spans, score_spans, silence
from toxitrace.evaluation.tuning import BiCSEGrid, tune_bicse, tune_topk

__all__ = [
    "BiCSEGrid",
    "CalibrationScores",
    "ClassScores",
    "Classification",
    "EvaluationReport",
    "Faithfulness",
    "Interval",
    "ReportRow",
    "SpanCounts",
    "SpanScores",
    "TopicScores",
    "auroc",
    "best_threshold",
    "bootstrap_counts",
    "bootstrap_indices",
    "bootstrap_sums",
    "brier_score",
    "calibrated",
    "confusion_matrix",
    "count_spans",
    "cross_fitted_ece",
    "cross_fitted_probabilities",
    "expected_calibration_error",
    "fit_platt",
    "macro_f1",
    "recall_at_false_alarm",
    "score_calibration",
    "score_classification",
    "score_faithfulness",
    "score_spans",
    "silence",
    "tune_bicse",
    "tune_topk",
]
