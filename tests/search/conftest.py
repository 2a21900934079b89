from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from search_corpus import ITEMS, word_vectors

from toxitrace.search import BM25Engine, DenseEngine, HybridEngine, MilvusEngine, SearchEngine


@pytest.fixture(scope="session")
def milvus_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of Milvus Lite for the whole session: each costs a server."""
    pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")
    return tmp_path_factory.mktemp("milvus") / "lite.db"


@pytest.fixture(scope="session", params=["bm25", "dense", "hybrid", "milvus words", "milvus dense", "milvus both"])
def engine(request: pytest.FixtureRequest) -> Iterator[SearchEngine]:
    """Every engine, holding `ITEMS`. Tests do not change it."""
    made: SearchEngine
    if request.param.startswith("milvus"):
        by = request.param.removeprefix("milvus ")
        file = str(request.getfixturevalue("milvus_file"))
        made = MilvusEngine(file, f"laws_{by}", dense=None if by == "words" else word_vectors, by=by)
    elif request.param == "hybrid":
        made = HybridEngine([BM25Engine(), DenseEngine(word_vectors)])
    else:
        made = BM25Engine() if request.param == "bm25" else DenseEngine(word_vectors)
    made.index(ITEMS)
    yield made
    if isinstance(made, MilvusEngine):
        made.close()
