"""Hashes that tell whether something computed still belongs to its model and its texts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from toxitrace.errors import ModelError

# What shapes a model's output; a README or a training log beside it does not.
_PARTS = (".json", ".safetensors", ".bin", ".txt", ".model")


def model_fingerprint(folder: str | os.PathLike[str]) -> str:
    """16 hexadecimal digits of a model folder's weights, configuration and tokenizer: contents, never names of files.

    Raises:
        ModelError: the folder holds no such file.
    """
    root = Path(folder)
    files = sorted(path for path in root.rglob("*") if path.is_file() and path.suffix in _PARTS)
    if not files:
        raise ModelError(f"{root} holds no model; expected a folder with config.json and model.safetensors")
    digest = hashlib.sha256()
    for path in files:
        with open(path, "rb") as stream:
            content = hashlib.file_digest(stream, "sha256").digest()
        digest.update(str(path.relative_to(root)).encode() + b"\0" + content)
    return digest.hexdigest()[:16]


def texts_fingerprint(texts: Mapping[str, str] | Iterable[str]) -> str:
    """16 hexadecimal digits of texts in their order, with their ids where they have any.

    >>> texts_fingerprint(["ab", "c"]) == texts_fingerprint(["a", "bc"])
    False
    """
    digest = hashlib.sha256()
    parts = (part for pair in texts.items() for part in pair) if isinstance(texts, Mapping) else iter(texts)
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.hexdigest()[:16]
