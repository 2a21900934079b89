"""Versions of this package and of what it computes with, for the record beside every model and result."""

from __future__ import annotations

import platform
from importlib import metadata

_RECORDED = (
    "toxitrace",
    "torch",
    "transformers",
    "lightning",
    "tokenizers",
    "onnxruntime",
    "openvino",
    "onnx",
    "numpy",
    "trl",
    "peft",
    "sentence-transformers",
    "bm25s",
    "pymilvus",
)


def package_versions() -> dict[str, str]:
    """Installed versions; packages that are not installed are left out."""
    found = {"python": platform.python_version()}
    for name in _RECORDED:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
