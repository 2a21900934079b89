"""Search at a platform's scale: Milvus, as a file inside this process or as a cluster, behind the same protocol."""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Literal

from toxitrace.errors import ConfigError, DataError
from toxitrace.search.dense import Encode, encode_in_parts
from toxitrace.search.errors import SearchError
from toxitrace.search.hybrid import fuse
from toxitrace.search.milvus_service import (
    MAX_HITS,
    MAX_ID_BYTES,
    MAX_WORDS_BYTES,
    bm25_function,
    connect,
    create_collection,
    is_file,
    is_lite,
    service_errors,
)
from toxitrace.search.protocol import Hit, Item, exclusions, unique_items
from toxitrace.search.splitter import has_words, split

_N_ROWS = 1_000  # inserted or encoded at once
_N_QUERIES = 256  # per request; Lite passes over all its ids once for each request
_FUSED_DEPTH = 100  # hits of each field that are fused, as in `HybridEngine`

By = Literal["words", "dense", "both"]


class MilvusEngine:
    """A collection of Milvus with a BM25 field over the project's own words and, if wanted, a field of vectors.

    Items are indexed into a collection beside the old one, which is replaced when the new one is complete.
    Milvus Lite weighs words within each of its segments (of up to 100,000 items), so its scores differ a little from
    those of a cluster or of `BM25Engine`, which weigh them over all items; items are stored in an order unrelated to
    theirs, so that segments are alike. Of more than 16,384 items of one score Milvus chooses itself.

    Args:
        uri: ``platform.db``, a new or existing file of Milvus Lite, or a server's address.
        collection: letters, digits and underscores.
        token: ``user:password`` or a key, where the server wants one.
        dense: texts -> (n, D) vectors, for a second field; None: words alone.
        by: what `search` compares: words (BM25), vectors (inner product), or both, fused by rank.
        timeout_seconds: longest wait for an answer of a server, retries included.

    Raises:
        ConfigError: an argument is unusable.
        MissingExtraError: pymilvus or milvus-lite is not installed.
        SearchError: nothing answers at ``uri``, or the file is in use by another process.
    """

    def __init__(
        self,
        uri: str,
        collection: str = "toxitrace",
        *,
        token: str | None = None,
        dense: Encode | None = None,
        by: By = "words",
        k1: float = 1.5,
        b: float = 0.75,
        timeout_seconds: float = 60.0,
    ) -> None:
        if not re.fullmatch(r"[A-Za-z_]\w{0,200}", collection, re.ASCII):
            raise ConfigError(f"collection is {collection!r}; expected letters, digits and underscores: rename it")
        if by != "words" and dense is None:
            raise ConfigError(f"by is {by!r}, which needs vectors: hand over `dense`, or search by words")
        self._uri, self._collection = uri, collection
        self._dense, self._by = dense, by
        self._k1, self._b = k1, b
        # A file is served by this process, which always answers: a limit would only cut large batches short.
        self._timeout_seconds = None if is_file(uri) else timeout_seconds
        self._checked = False
        self.n_truncated = 0  # items of the last `index` whose words did not all fit into a field
        self._client = connect(uri, token, timeout_seconds)

    def index(self, items: Iterable[Item]) -> None:
        held = unique_items(items)
        for item in held:
            if len(item.id.encode()) > MAX_ID_BYTES:
                raise DataError(f"id {item.id[:40]!r}... is longer than {MAX_ID_BYTES} bytes: shorten it")
        held.sort(key=lambda item: zlib.crc32(item.id.encode()))
        building = f"{self._collection}_building"
        self.n_truncated = 0
        n_dimensions = None if self._dense is None else encode_in_parts(self._dense, ["字"], 1).shape[1]
        with service_errors(self._uri, f"collection {building!r}"):
            self._client.drop_collection(building)
            lite = is_lite(self._client)
            create_collection(self._client, building, lite=lite, n_dimensions=n_dimensions, k1=self._k1, b=self._b)
        for begin in range(0, len(held), _N_ROWS):
            rows = self._rows(held[begin : begin + _N_ROWS])  # the caller's own code: its errors stay as they are
            with service_errors(self._uri, f"collection {building!r}"):
                self._client.insert(building, rows, timeout=self._timeout_seconds)
        with service_errors(self._uri, f"collection {building!r}"):
            self._client.flush(building)
            self._client.drop_collection(self._collection)
            self._client.rename_collection(building, self._collection)
            self._client.load_collection(self._collection)
        self._checked = True

    def search(self, query: str, k: int = 100, exclude: Collection[str] = ()) -> list[Hit]:
        return self.search_many([query], k, [exclude])[0]

    def search_many(
        self, queries: Sequence[str], k: int = 100, exclude: Sequence[Collection[str]] | None = None
    ) -> list[list[Hit]]:
        unwanted = [frozenset(ids) for ids in exclusions(queries, k, exclude)]
        depth = max(k, _FUSED_DEPTH) if self._by == "both" else k
        most = depth + max(map(len, unwanted), default=0)
        if most >= MAX_HITS:
            raise ConfigError(f"{most} hits and excluded ids; Milvus returns fewer than {MAX_HITS} hits: ask for less")
        self._check()
        found: list[list[list[Hit]]] = [[] for _ in queries]
        if self._by in ("words", "both"):
            words = [" ".join(_spelled(word) for word in split(query)) for query in queries]
            self._collect(found, [(i, text) for i, text in enumerate(words) if text], "sparse", depth, unwanted)
        if self._by in ("dense", "both") and self._dense is not None:
            asked = [i for i, query in enumerate(queries) if has_words(query)]
            vectors = encode_in_parts(self._dense, [queries[i] for i in asked], _N_ROWS).tolist()
            self._collect(found, list(zip(asked, vectors, strict=True)), "dense", depth, unwanted)
        return [fuse(lists)[:k] if self._by == "both" else lists[0] if lists else [] for lists in found]

    def __len__(self) -> int:
        with service_errors(self._uri, f"collection {self._collection!r}"):
            if not self._client.has_collection(self._collection):
                return 0
            return int(self._client.get_collection_stats(self._collection)["row_count"])

    def close(self) -> None:
        """Give the connection back; a file stays open until the process ends."""
        self._client.close()

    def _rows(self, items: Sequence[Item]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for item in items:
            words = " ".join(_spelled(word) for word in split(item.text))
            if len(words.encode()) > MAX_WORDS_BYTES:
                words = words.encode()[:MAX_WORDS_BYTES].decode(errors="ignore").rpartition(" ")[0]
                self.n_truncated += 1
            rows.append({"id": item.id, "words": words})
        if self._dense is not None:
            vectors = encode_in_parts(self._dense, [item.text for item in items], _N_ROWS)
            for row, vector in zip(rows, vectors.tolist(), strict=True):
                row["dense"] = vector
        return rows

    def _check(self) -> None:
        """Once, before the first search: the collection was made by this class and with this splitter."""
        if self._checked:
            return
        with service_errors(self._uri, f"collection {self._collection!r}"):
            layout = self._client.describe_collection(self._collection)
            self._client.load_collection(self._collection)
        fields = {field["name"] for field in layout["fields"]}
        functions = {function["name"] for function in layout.get("functions", ())}
        if bm25_function() not in functions or (self._by != "words" and "dense" not in fields):
            raise SearchError(
                f"collection {self._collection!r} of {self._uri} has fields {sorted(fields)} and functions "
                f"{sorted(functions)}; expected {bm25_function()}"
                f"{'' if self._by == 'words' else ' and a field dense'}: index the items again, or name another"
            )
        self._checked = True

    def _collect(
        self,
        found: list[list[list[Hit]]],
        asked: Sequence[tuple[int, Any]],
        field: Literal["sparse", "dense"],
        k: int,
        unwanted: Sequence[frozenset[str]],
    ) -> None:
        """Append to ``found[i]`` the best ``k`` of each query, asking again for more where the k-th place is shared."""
        for begin in range(0, len(asked), _N_QUERIES):
            part = asked[begin : begin + _N_QUERIES]
            limit = k + max(len(unwanted[i]) for i, _ in part) + 1  # one more shows whether the last place is shared
            while part:
                limit = min(limit, MAX_HITS)
                answers = self._ask([query for _, query in part], field, limit)
                again = []
                for (i, query), hits in zip(part, answers, strict=True):
                    wanted = [hit for hit in hits if hit.id not in unwanted[i]]
                    if len(hits) == limit < MAX_HITS and (len(wanted) <= k or wanted[-1].score == wanted[k - 1].score):
                        again.append((i, query))
                        continue
                    wanted.sort(key=lambda hit: (-hit.score, hit.id))
                    found[i].append(wanted[:k])
                part, limit = again, 4 * limit

    def _ask(self, queries: list[Any], field: str, limit: int) -> list[list[Hit]]:
        metric = "BM25" if field == "sparse" else "IP"
        with service_errors(self._uri, f"collection {self._collection!r}"):
            answers = self._client.search(
                self._collection,
                data=queries,
                anns_field=field,
                limit=limit,
                output_fields=["id"],
                search_params={"metric_type": metric, "params": {}},
                timeout=self._timeout_seconds,
            )
            # Lite reports BM25 with a minus sign, a cluster without.
            return [
                [Hit(str(hit["id"]), abs(hit["distance"]) if field == "sparse" else hit["distance"]) for hit in hits]
                for hits in answers
            ]


def _spelled(word: str) -> str:
    """A word as an analyser leaves it whole: an emoji by its code points."""
    return word if word.isalnum() else "".join(f"u{ord(char):x}" for char in word)
