"""``bm25:FOLDER`` or ``milvus:FILE_OR_ADDRESS[#COLLECTION]`` -> a search engine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from urllib.parse import urlsplit

from toxitrace.errors import ConfigError
from toxitrace.search.bm25 import BM25Engine
from toxitrace.search.dense import Encode
from toxitrace.search.milvus import By, MilvusEngine
from toxitrace.search.milvus_service import require_file
from toxitrace.search.protocol import SearchEngine

_FORMS = "bm25:FOLDER or milvus:FILE.db or milvus:http://HOST:19530, with #COLLECTION if it is not called toxitrace"


def open_engine(
    spec: str, *, dense: Encode | None = None, by: By = "words", environ: Mapping[str, str] = os.environ
) -> SearchEngine:
    """The engine that a user named, with what it was given to hold before.

    Args:
        spec: ``bm25:index``, ``milvus:platform.db#posts``, ``milvus:https://host:19530#posts``.
        dense, by: see `MilvusEngine`.
        environ: where a server's token is: MILVUS_TOKEN.

    Raises:
        ConfigError: the spec is none.
        DataError: the folder holds no BM25 index, or the Milvus file does not exist.
        MissingExtraError: what the engine needs is not installed.
        SearchError: Milvus does not answer.
    """
    kind, _, place = spec.partition(":")
    place = place.strip()
    if kind not in ("bm25", "milvus") or not place:
        raise ConfigError(f"the search engine is {spec!r}; expected {_FORMS}")
    if kind == "bm25":
        if dense is not None or by != "words":
            raise ConfigError(f"{spec!r} knows no vectors; expected a search by words: use milvus: for both")
        return BM25Engine.load(place)
    uri, _, collection = place.partition("#")
    if "://" in uri and (urlsplit(uri).username or urlsplit(uri).password):
        raise ConfigError(
            "the address of Milvus holds a user or password; expected an address alone: set the environment variable "
            "MILVUS_TOKEN to user:password"
        )
    require_file(uri)
    token = environ.get("MILVUS_TOKEN", "").strip() or None
    return MilvusEngine(uri, collection or "toxitrace", token=token, dense=dense, by=by)
