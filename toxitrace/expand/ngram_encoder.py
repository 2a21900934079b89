"""The project's n-gram BERT without a head, under the name by which ``AutoModel`` finds it.

``toxitrace pretrain`` may write such a folder; sentence-transformers loads every encoder through ``AutoModel``.
Importing this module registers the class.
"""

from __future__ import annotations

from transformers import AutoModel, BertModel

from toxitrace.encoder.ngrams import NgramBertConfig, NgramEmbedding


class NgramBertModel(BertModel):
    """Hidden states only; no pooler, which pre-training leaves untrained."""

    config_class = NgramBertConfig

    def __init__(self, config: NgramBertConfig, add_pooling_layer: bool = False) -> None:
        super().__init__(config, add_pooling_layer=add_pooling_layer)
        self.embeddings.word_embeddings = NgramEmbedding(config)
        self.post_init()  # type: ignore[no-untyped-call]


AutoModel.register(NgramBertConfig, NgramBertModel, exist_ok=True)
