"""Tells whether a Chinese text is toxic, which words make it so, and where more of it hides."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from toxitrace.detector.default import predict, predict_spans
    from toxitrace.detector.detector import Detector
    from toxitrace.detector.explanation import Explanation
    from toxitrace.detector.loading import load
    from toxitrace.errors import ConfigError, DataError, LLMError, MissingExtraError, ModelError, ToxitraceError
    from toxitrace.types import Prediction, Span

    __version__: str

__all__ = [
    "ConfigError",
    "DataError",
    "Detector",
    "Explanation",
    "LLMError",
    "MissingExtraError",
    "ModelError",
    "Prediction",
    "Span",
    "ToxitraceError",
    "__version__",
    "load",
    "predict",
    "predict_spans",
]

# Name -> module: loaded on first use, so that `import toxitrace` costs next to nothing (PEP 562).
_HOMES = {
    "ConfigError": "toxitrace.errors",
    "DataError": "toxitrace.errors",
    "Detector": "toxitrace.detector.detector",
    "Explanation": "toxitrace.detector.explanation",
    "LLMError": "toxitrace.errors",
    "MissingExtraError": "toxitrace.errors",
    "ModelError": "toxitrace.errors",
    "Prediction": "toxitrace.types",
    "Span": "toxitrace.types",
    "ToxitraceError": "toxitrace.errors",
    "load": "toxitrace.detector.loading",
    "predict": "toxitrace.detector.default",
    "predict_spans": "toxitrace.detector.default",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        value: Any = _version()
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'toxitrace' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("toxitrace")
    except PackageNotFoundError:  # a source tree on the path, not installed
        return "0+unknown"
