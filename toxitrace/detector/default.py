"""Shortcuts that use the shipped model, loaded once."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import overload

from toxitrace.detector.detector import Detector
from toxitrace.detector.loading import load
from toxitrace.types import Prediction, Span


@lru_cache(maxsize=1)
def default_detector() -> Detector:
    """The shipped model's detector, the same one on every call.

    Raises:
        ModelError: this installation ships no model.
    """
    return load()


@overload
def predict(texts: str) -> Prediction: ...  # type: ignore[overload-overlap]
@overload
def predict(texts: Iterable[str]) -> list[Prediction]: ...
def predict(texts: str | Iterable[str]) -> Prediction | list[Prediction]:
    """``Detector.predict`` of the shipped model."""
    return default_detector().predict(texts)


@overload
def predict_spans(texts: str) -> list[Span]: ...  # type: ignore[overload-overlap]
@overload
def predict_spans(texts: Iterable[str]) -> list[list[Span]]: ...
def predict_spans(texts: str | Iterable[str]) -> list[Span] | list[list[Span]]:
    """``Detector.predict_spans`` of the shipped model."""
    return default_detector().predict_spans(texts)
