"""An encoder that searches: texts in, vectors of length 1 out, by the settings that are stored with it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from toxitrace.errors import DataError, MissingExtraError, ModelError
from toxitrace.expand.counted import counted
from toxitrace.expand.embeddings import EmbeddingCache, EmbeddingKey
from toxitrace.expand.fingerprint import model_fingerprint, texts_fingerprint
from toxitrace.expand.represent import Floats, query_vectors, unit
from toxitrace.expand.retriever_settings import Pooling, RetrieverSettings, load_retriever_settings
from toxitrace.settings import SETTINGS_FILE, FoldOptions, load_settings
from toxitrace.text import fold

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class Retriever:
    """A bi-encoder with one tower for queries and documents.

    Args:
        model: of sentence-transformers.
        fingerprint: of its folder, for the cache.
        batch_size: texts per forward pass.
    """

    def __init__(
        self, model: SentenceTransformer, settings: RetrieverSettings, fingerprint: str, batch_size: int = 64
    ) -> None:
        self.model = model
        self.settings = settings
        self.fingerprint = fingerprint
        self._batch_size = batch_size

    def encode(self, texts: Sequence[str]) -> Floats:
        """(n, D) unit vectors of any texts."""
        if not texts:
            return np.zeros((0, self._width()), dtype=np.float32)
        vectors = self.model.encode(
            [self.prepared(text) for text in texts],
            batch_size=self._batch_size,
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        return unit(np.asarray(vectors, dtype=np.float32))

    def encode_documents(self, documents: Mapping[str, str], cache: EmbeddingCache | None = None) -> Floats:
        """(n, D) vectors of a corpus in its order, from the cache if it has them."""
        texts = list(documents.values())
        if cache is None:
            return self.encode(texts)
        key = EmbeddingKey(
            model=self.fingerprint,
            corpus=texts_fingerprint(documents),
            pooling=self.settings.pooling,
            max_tokens=self.settings.max_tokens,
            fold=json.dumps(self.settings.fold and vars(self.settings.fold)),
        )
        return cache.get(key, lambda: self.encode(texts))

    def encode_queries(self, queries: Mapping[str, str], expansions: Mapping[str, str] | None = None) -> Floats:
        """(Q, D) vectors of queries in their order, represented as ``settings.query`` says.

        Args:
            expansions: query id -> expansion; joined by id, not needed in mode ``query``.

        Raises:
            DataError: the mode needs expansions and a query has none.
        """
        asked = self.encode(list(queries.values()))
        if self.settings.query == "query":
            return query_vectors(asked, None, "query")
        lacking = [id for id in queries if not (expansions or {}).get(id, "").strip()]
        if expansions is None or lacking:
            raise DataError(
                f"there is no expansion for {len(lacking)} of {counted(len(queries), 'query', 'queries')} (first "
                f"{next(iter(lacking), None)!r}); expected one for each, as this retriever represents a query by "
                f"{self.settings.query!r}: write them with `toxitrace expand candidates`"
            )
        return query_vectors(asked, self.encode([expansions[id] for id in queries]), self.settings.query)

    def prepared(self, text: str) -> str:
        """A text as the tokenizer gets it."""
        return fold(text, self.settings.fold).text if self.settings.fold else text

    def _width(self) -> int:
        return int(self.model.get_embedding_dimension() or 0)


def open_retriever(
    name: str | os.PathLike[str],
    zero_shot: RetrieverSettings | None = None,
    *,
    device: str = "cpu",
    batch_size: int = 64,
) -> Retriever:
    """Load a trained retriever by its own settings, or any encoder as a zero-shot one.

    Args:
        name: a retriever's folder, a folder that `toxitrace pretrain` or `toxitrace train` wrote, any encoder's folder
            or its name on the hub.
        zero_shot: settings of an encoder that has none of its own; texts are then folded as the project's encoders
            were taught to read them.

    Raises:
        ModelError: it cannot be loaded.
        MissingExtraError: sentence-transformers is not installed.
    """
    stored = load_retriever_settings(name)
    settings = stored or _zero_shot(Path(name), zero_shot or RetrieverSettings())
    model = open_sentence_transformer(name, settings.pooling, settings.max_tokens, device=device)
    fingerprint = model_fingerprint(name) if Path(name).is_dir() else f"hub:{name}"
    return Retriever(model, settings, fingerprint, batch_size)


def open_sentence_transformer(
    name: str | os.PathLike[str], pooling: Pooling, max_tokens: int, *, device: str = "cpu"
) -> SentenceTransformer:
    """A folder or hub name as a sentence-transformers model; raises as `open_retriever`."""
    try:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.base.modules import Transformer
        from sentence_transformers.sentence_transformer.modules import Pooling as PoolingModule
    except ImportError as error:
        raise MissingExtraError(str(error.name), "explore") from None
    import toxitrace.encoder.ngrams  # noqa: F401 (registers the project's own encoder)

    source = Path(name)
    safe = {"use_safetensors": True}  # weights are never pickles
    try:
        if (source / "modules.json").is_file():
            model = SentenceTransformer(str(name), device=device, local_files_only=True, model_kwargs=safe)
        else:
            with tempfile.TemporaryDirectory(prefix="toxitrace-") as staged:
                folder = _with_tokenizer_config(source, Path(staged)) if source.is_dir() else name
                transformer = Transformer(str(folder), max_seq_length=max_tokens, model_kwargs=safe)
            width = int(transformer.get_embedding_dimension())
            model = SentenceTransformer(
                modules=[transformer, PoolingModule(width, pooling_mode=pooling)], device=device
            )
    except Exception as error:  # transformers, safetensors and the hub client each raise kinds of their own
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
        raise ModelError(f"{name} cannot be loaded as an encoder: {reason}; check the folder or the name") from error
    context = getattr(model[0].config, "max_position_embeddings", None)
    if isinstance(context, int) and context < max_tokens:
        raise ModelError(f"{name} reads at most {context} tokens, but max_tokens is {max_tokens}: lower it")
    model.max_seq_length = max_tokens
    return model


def _with_tokenizer_config(source: Path, staged: Path) -> Path:
    """The project's folders do not say which tokens are special: links to their files beside one that does."""
    if not (source / SETTINGS_FILE).is_file() or (source / "tokenizer_config.json").is_file():
        return source
    from transformers import PreTrainedTokenizerFast

    special: dict[str, Any] = {f"{kind}_token": f"[{kind.upper()}]" for kind in ("pad", "unk", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(tokenizer_file=str(source / "tokenizer.json"), **special).save_pretrained(staged)
    for name in ("config.json", "model.safetensors"):
        (staged / name).symlink_to((source / name).resolve())
    return staged


def _zero_shot(source: Path, settings: RetrieverSettings) -> RetrieverSettings:
    if settings.fold is not None or not (source / SETTINGS_FILE).is_file():
        return settings
    known: FoldOptions = load_settings(source).fold
    return RetrieverSettings(settings.query, settings.pooling, settings.max_tokens, known)


def exact_run(
    query_ids: Iterable[str], queries: Floats, document_ids: Sequence[str], documents: Floats, k: int = 1000
) -> dict[str, dict[str, float]]:
    """The k nearest documents of every query by exact cosine: query id -> document id -> score.

    A document under the query's own id is the query itself: it is left out and costs no place.

    Args:
        queries, documents: (Q, D) and (n, D) unit vectors in the order of their ids.

    >>> exact_run(["q"], np.eye(2, dtype=np.float32)[:1], ["a", "b"], np.eye(2, dtype=np.float32), k=1)
    {'q': {'a': 1.0}}
    """
    run: dict[str, dict[str, float]] = {}
    for query_id, vector in zip(query_ids, queries, strict=True):
        scores = documents @ vector  # (n,)
        best = np.argsort(-scores, kind="stable")[: k + 1].tolist()
        others = [place for place in best if document_ids[place] != query_id]
        run[query_id] = {document_ids[place]: float(scores[place]) for place in others[:k]}
    return run
