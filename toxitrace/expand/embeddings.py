"""Vectors of a corpus, kept on disk under everything that shapes them: never under a file's name.

(The published code's cache knows a corpus by the name of its file, so a changed model or corpus gets old vectors,
methods.md section 3.)
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from toxitrace.data.rowfile import write_json

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EmbeddingKey:
    """What vectors belong to.

    Attributes:
        model: `model_fingerprint` of the encoder's folder.
        corpus: `texts_fingerprint` of the texts with their ids, in order.
        pooling: how token vectors become one.
        max_tokens: where texts are cut.
        dtype: in which they are computed.
        fold: how texts are folded before, as text; empty: not at all.
    """

    model: str
    corpus: str
    pooling: str
    max_tokens: int
    dtype: str = "float32"
    fold: str = ""

    def name(self) -> str:
        """Name of the files: a hash of all fields."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:24]


class EmbeddingCache:
    """A folder of ``NAME.npy`` with vectors and ``NAME.json`` with their key."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)

    def get(self, key: EmbeddingKey, compute: Callable[[], Floats]) -> Floats:
        """(n, D) vectors of ``key``, computed if they are not on disk yet, or not whole."""
        path = self._folder / f"{key.name()}.npy"
        found = self._read(path, key)
        if found is not None:
            return found
        vectors = np.ascontiguousarray(compute(), dtype=np.float32)
        self._folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with open(part, "wb") as sink:
            np.save(sink, vectors, allow_pickle=False)
        os.replace(part, path)
        # last: vectors without their key are as if they were not there
        write_json(path.with_suffix(".json"), {"key": asdict(key), "shape": list(vectors.shape)})
        return vectors

    def _read(self, path: Path, key: EmbeddingKey) -> Floats | None:
        try:
            noted = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            vectors = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        whole = isinstance(noted, dict) and noted.get("key") == asdict(key) and noted.get("shape") == [*vectors.shape]
        return vectors if whole else None
