"""Search engines behind one protocol: BM25 in memory, Milvus, exact vectors, and several fused by rank."""

from toxitrace.search.bm25 import BM25Engine
from toxitrace.search.dense import DenseEngine, Encode
from toxitrace.search.errors import SearchError
from toxitrace.search.hybrid import HybridEngine, fuse
from toxitrace.search.milvus import MilvusEngine
from toxitrace.search.open import open_engine
from toxitrace.search.protocol import Hit, Item, SearchEngine
from toxitrace.search.splitter import split

__all__ = [
    "BM25Engine",
    "DenseEngine",
    "Encode",
    "Hit",
    "HybridEngine",
    "Item",
    "MilvusEngine",
    "SearchEngine",
    "SearchError",
    "fuse",
    "open_engine",
    "split",
]
