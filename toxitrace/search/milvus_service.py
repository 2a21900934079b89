"""Talking to Milvus through pymilvus: opening, the collection's layout, and errors as one clear line."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from toxitrace.errors import ConfigError, DataError, MissingExtraError
from toxitrace.search.errors import SearchError
from toxitrace.search.splitter import splitter_name

MAX_HITS = 16_384  # Milvus' own limit on what a search returns
MAX_ID_BYTES = 512
MAX_WORDS_BYTES = 65_535  # Milvus' own limit on a VARCHAR
_COLLECTION_NOT_FOUND = 100
# pymilvus asks an idle server every ten seconds whether it lives; Lite's, in this process, hangs up on that.
_NO_PINGS = {"grpc.keepalive_time_ms": 2**31 - 1, "grpc.keepalive_permit_without_calls": False}


def is_file(uri: str) -> bool:
    """Whether an address is a file, which Milvus Lite serves inside this process."""
    return "://" not in uri


def require_file(uri: str) -> None:
    """Refuse to search a file that is not there: opening it would leave a new, empty one.

    Raises:
        DataError: the address is a file, and there is none.
    """
    if is_file(uri) and uri.endswith(".db") and not Path(uri).exists():
        raise DataError(f"the Milvus file {uri} does not exist; expected one with an index: index the items first")


def is_lite(client: Any) -> bool:
    """Whether Milvus Lite answers, from a file or as a server, rather than a cluster."""
    return "lite" in str(client.get_server_version())


def connect(uri: str, token: str | None, timeout_seconds: float) -> Any:
    """A pymilvus client.

    Raises:
        ConfigError: the address is neither a ``.db`` file nor one of a server.
        MissingExtraError: pymilvus or milvus-lite is not installed.
        SearchError: nothing answers there, or the file is in use.
    """
    if is_file(uri) and not uri.endswith(".db"):
        raise ConfigError(f"the Milvus file is {uri!r}; expected a name ending in .db, or an address like http://host")
    for package in ("pymilvus", "milvus_lite") if is_file(uri) else ("pymilvus",):
        if find_spec(package) is None:
            raise MissingExtraError(package.replace("_", "-"), "explore")
    # gRPC's own log goes past Python's, straight to the terminal; read when gRPC starts.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    import pymilvus

    # pymilvus and Lite log every failure with a traceback before raising it; here it becomes one line.
    for name in ("pymilvus", "milvus_lite"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with service_errors(uri, "opening the file (one process at a time)" if is_file(uri) else "the connection"):
        if is_file(uri):
            Path(uri).absolute().parent.mkdir(parents=True, exist_ok=True)
        # Its own connection: one shared with the caller's other clients could be closed under our feet.
        options = _NO_PINGS if is_file(uri) else {}
        return pymilvus.MilvusClient(
            uri, token=token or "", timeout=timeout_seconds, dedicated=True, grpc_options=options
        )


@contextmanager
def service_errors(uri: str, what: str) -> Iterator[None]:
    """Turn whatever pymilvus, gRPC and the file system raise inside into a `SearchError` of one line."""
    import grpc
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except MilvusException as error:
        reason = _one_line(error.message)
        if error.code == _COLLECTION_NOT_FOUND or ("not found" in reason and "collection" in reason):
            raise SearchError(
                f"{what} is not in Milvus at {uri}: it was never indexed, or has vanished since; index the items again"
            ) from error
        raise SearchError(
            f"Milvus at {uri} failed on {what}: {reason}", retryable=not getattr(error, "is_input_error", False)
        ) from error
    except grpc.RpcError as error:
        raise SearchError(
            f"Milvus at {uri} gave no answer on {what}: {_one_line(str(error))}", retryable=True
        ) from error
    except (OSError, ValueError) as error:  # ValueError: gRPC's for a channel that was closed
        raise SearchError(f"Milvus at {uri} cannot be used for {what}: {_one_line(str(error))}") from error


def bm25_function() -> str:
    """Name of the function that weighs words. It says how they were split: Lite keeps no descriptions."""
    return "bm25_" + re.sub(r"\W", "_", splitter_name())


def create_collection(client: Any, name: str, *, lite: bool, n_dimensions: int | None, k1: float, b: float) -> None:
    """An empty collection: ids, words with their BM25 field and, if wanted, vectors.

    Words come split and joined by blanks. A cluster cuts them at the blanks; Lite (3.2) has no such analyser, its
    standard one takes ``\\w+``, the same for our words.
    """
    from pymilvus import DataType, Function, FunctionType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=MAX_ID_BYTES)
    schema.add_field(
        "words",
        DataType.VARCHAR,
        max_length=MAX_WORDS_BYTES,
        enable_analyzer=True,
        analyzer_params={"tokenizer": "standard" if lite else "whitespace"},
    )
    schema.add_field("sparse", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_function(
        Function(
            name=bm25_function(),
            function_type=FunctionType.BM25,
            input_field_names=["words"],
            output_field_names=["sparse"],
        )
    )
    indexes = client.prepare_index_params()
    tuning = {"bm25_k1": k1, "bm25_b": b}
    indexes.add_index("sparse", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25", params=tuning)
    if n_dimensions is not None:
        schema.add_field("dense", DataType.FLOAT_VECTOR, dim=n_dimensions)
        indexes.add_index("dense", index_type="FLAT", metric_type="IP")  # exact
    client.create_collection(name, schema=schema, index_params=indexes, consistency_level="Strong")


def _one_line(text: str) -> str:
    return " ".join(text.split())[:300]
