"""A BM25 index as a folder: arrays, ids and words, and a manifest that says what they are."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toxitrace.data.hashing import sha256_file
from toxitrace.errors import DataError
from toxitrace.search.postings import Postings
from toxitrace.search.splitter import splitter_name

MANIFEST = "index.json"
_DATA = "data-"
_FORMAT = "toxitrace-bm25/1"
_ARRAYS = {"starts": np.int64, "documents": np.int32, "scores": np.float32}
_FILES = ("ids.json", "words.json", *(f"{name}.npy" for name in _ARRAYS))


@dataclass(frozen=True, slots=True, eq=False)
class StoredIndex:
    """What a BM25 engine knows.

    Attributes:
        ids: ascending; an item's place is its number in the postings.
        words: word -> its number in the postings.
    """

    ids: list[str]
    words: dict[str, int]
    postings: Postings
    k1: float
    b: float


def write_index(folder: str | os.PathLike[str], index: StoredIndex) -> None:
    """Write the arrays to a folder of their own inside, then the manifest that names it.

    The manifest is replaced in one step: a process killed on the way leaves the index that was there before.

    Raises:
        DataError: the place holds something else than an index, or cannot be written.
    """
    folder = Path(folder)
    try:
        if folder.exists() and not (folder / MANIFEST).is_file() and not _is_unfinished(folder):
            raise DataError(f"{folder} holds something else than an index; expected a new folder: name another")
        folder.mkdir(parents=True, exist_ok=True)
        data = Path(tempfile.mkdtemp(prefix=_DATA, dir=folder))
        for name, kind in _ARRAYS.items():
            np.save(data / f"{name}.npy", np.asarray(getattr(index.postings, name), kind), allow_pickle=False)
        _write_json(data / "ids.json", index.ids)
        _write_json(data / "words.json", list(index.words))
        manifest = {
            "format": _FORMAT,
            "splitter": splitter_name(),
            "k1": index.k1,
            "b": index.b,
            "n_items": len(index.ids),
            "n_words": len(index.words),
            "n_postings": len(index.postings.documents),
            "data": data.name,
            "sha256": {name: sha256_file(data / name) for name in _FILES},
        }
        _write_json(data / MANIFEST, manifest, indent=2)
        os.replace(data / MANIFEST, folder / MANIFEST)
        for other in folder.glob(f"{_DATA}*"):
            if other != data:
                shutil.rmtree(other, ignore_errors=True)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written: {error.strerror}; expected a writable place: name another"
        ) from error


def read_index(folder: str | os.PathLike[str]) -> StoredIndex:
    """Read and check what `write_index` wrote.

    Raises:
        DataError: there is no index, it is broken, or it was made with another splitter.
    """
    folder = Path(folder)
    manifest = _read_manifest(folder)
    again = "index the items again"
    if manifest.get("format") != _FORMAT:
        raise DataError(f"{folder / MANIFEST} has format {manifest.get('format')!r}; expected {_FORMAT!r}: {again}")
    if manifest.get("splitter") != splitter_name():
        raise DataError(
            f"{folder} was split by {manifest.get('splitter')!r}; expected {splitter_name()!r}, by which queries are "
            f"split here: {again}"
        )
    hashes = manifest.get("sha256")
    data = folder / Path(str(manifest.get("data"))).name
    for name in _FILES:
        if not isinstance(hashes, dict) or sha256_file(data / name) != hashes.get(name):
            raise DataError(f"{data / name} is not the file that its manifest names; expected it unchanged: {again}")
    starts, documents, scores = (np.load(data / f"{name}.npy", allow_pickle=False) for name in _ARRAYS)
    ids: list[str] = json.loads((data / "ids.json").read_text(encoding="utf-8"))
    words: list[str] = json.loads((data / "words.json").read_text(encoding="utf-8"))
    return StoredIndex(
        ids,
        {word: number for number, word in enumerate(words)},
        Postings(starts, documents, scores, len(ids)),
        float(manifest["k1"]),
        float(manifest["b"]),
    )


def _read_manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{folder} holds no index ({MANIFEST} is missing); expected the folder of a saved one: check the path"
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"{folder / MANIFEST} cannot be read ({error}); expected the manifest of an index") from None
    if not isinstance(manifest, dict):
        raise DataError(f"{folder / MANIFEST} holds no JSON object; expected the manifest of an index")
    return manifest


def _is_unfinished(folder: Path) -> bool:
    """Whether there is nothing but what a killed `write_index` left, if that."""
    return folder.is_dir() and all(path.name.startswith(_DATA) for path in folder.iterdir())


def _write_json(path: Path, value: Any, indent: int | None = None) -> None:
    path.write_text(json.dumps(value, indent=indent) + "\n", encoding="ascii")  # ids may hold lone surrogates
