"""BERT whose word embeddings know character n-grams: a hashed table beside the table of characters.

Words of Chinese are mostly two or three characters. A small encoder that has to put them together from single
characters spends its layers and its training on that; a table costs memory instead. What it gives has not been
measured against the same encoder without it. Hashed n-grams are fastText's (Bojanowski et al. 2017), in the input of a
transformer see N-Grammer (Roy et al. 2022).

Legend: B batch, T tokens, D hidden, M buckets.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
)
from transformers.modeling_outputs import SequenceClassifierOutput

from toxitrace.encoder.ngram_hash import N_SPECIAL, pulled, shifted, sum_of
from toxitrace.encoder.ngram_margin import NgramMargin, add_ngram_margin

# order -> multipliers of its tokens, last token first, one row for either half of the vector; primes. Two halves with
# hashes of their own: two n-grams that share a bucket in one half hardly ever share one in the other.
MULTIPLIERS: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {
    2: ((1000003, 39916801), (15485863, 32452843)),
    3: ((49979687, 67867967, 86028121), (104395301, 122949823, 141650939)),
}


class NgramTable(nn.Module):
    """Sums, for every token, the vectors of the two- and three-token sequences that it is part of.

    Args:
        buckets: rows of the table; a prime spreads the hashes best.
        hidden: width D of the result, even.
    """

    weight: nn.Parameter  # (M, D / 2)

    def __init__(self, buckets: int, hidden: int) -> None:
        super().__init__()
        self.buckets = buckets
        self.weight = nn.Parameter(torch.zeros(buckets, hidden // 2))  # what was never seen adds nothing

    def forward(self, input_ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, D)."""
        total = torch.zeros((), dtype=self.weight.dtype, device=input_ids.device)
        for order, halves in MULTIPLIERS.items():
            tokens = [shifted(input_ids, back) for back in range(order)]  # of the n-gram that ends here, last first
            real = torch.stack(tokens).amin(0) >= N_SPECIAL  # (B, T)
            buckets = [sum_of(self.terms(tokens, half)) % self.buckets for half in halves]
            ending = torch.cat([functional.embedding(b, self.weight) for b in buckets], dim=-1)  # (B, T, D)
            ending = ending * real[..., None].to(ending.dtype)
            for ahead in range(order):  # every token that the n-gram covers has its vector
                total = total + pulled(ending, ahead)
        return total

    def terms(self, tokens: list[Tensor], multipliers: tuple[int, ...]) -> list[Tensor]:
        """What each token, (B, T), gives to the hash of its n-gram; ids below 2^17 cannot overflow."""
        return [token * multiplier for token, multiplier in zip(tokens, multipliers, strict=True)]


class NgramEmbedding(nn.Embedding):
    """Embedding of a token, with those of its n-grams added: stands where BERT has its word embeddings."""

    def __init__(self, config: NgramBertConfig) -> None:
        super().__init__(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.ngrams = NgramTable(config.ngram_buckets, config.hidden_size)

    def forward(self, input_ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, D)."""
        ngrams: Tensor = self.ngrams(input_ids)
        return super().forward(input_ids) + ngrams


class NgramBertConfig(BertConfig):
    """BERT's configuration and the sizes of the n-gram tables."""

    model_type = "toxitrace-bert"

    ngram_buckets: int = 0
    ngram_margin_buckets: int = 0  # of a classifier that n-grams help to judge; 0: the encoder alone


class NgramBertModel(BertModel):
    """Hidden states only; no pooler, which pre-training leaves untrained."""

    config_class = NgramBertConfig

    def __init__(self, config: NgramBertConfig, add_pooling_layer: bool = False) -> None:
        super().__init__(config, add_pooling_layer=add_pooling_layer)
        self.embeddings.word_embeddings = NgramEmbedding(config)
        self.post_init()  # type: ignore[no-untyped-call]


class NgramBertForMaskedLM(BertForMaskedLM):
    """For pre-training; the output layer is tied to the embeddings of single tokens."""

    config_class = NgramBertConfig

    def __init__(self, config: NgramBertConfig) -> None:
        super().__init__(config)
        self.bert.embeddings.word_embeddings = NgramEmbedding(config)
        self.post_init()  # type: ignore[no-untyped-call]


class NgramBertForSequenceClassification(BertForSequenceClassification):
    """For fine-tuning and scoring.

    From ids it gives the whole logits; from ``inputs_embeds``, which tell nothing of n-grams, those of the encoder.
    """

    config_class = NgramBertConfig

    def __init__(self, config: NgramBertConfig) -> None:
        super().__init__(config)
        self.bert.embeddings.word_embeddings = NgramEmbedding(config)
        self.ngram_margin = NgramMargin(config.ngram_margin_buckets) if config.ngram_margin_buckets else None
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, input_ids: Tensor | None = None, **inputs: Any) -> SequenceClassifierOutput:
        """As BERT's, for (B, T) ids; without labels."""
        found: SequenceClassifierOutput = super().forward(input_ids=input_ids, **inputs)
        if self.ngram_margin is not None and input_ids is not None and found.logits is not None:
            found.logits = add_ngram_margin(found.logits, input_ids, self.ngram_margin)
        return found


def ngram_tables(model: nn.Module) -> list[nn.Parameter]:
    """The weights of the n-gram tables in a model; none for other encoders."""
    return [module.weight for module in model.modules() if isinstance(module, NgramTable)]


AutoConfig.register(NgramBertConfig.model_type, NgramBertConfig)
AutoModel.register(NgramBertConfig, NgramBertModel)
AutoModelForMaskedLM.register(NgramBertConfig, NgramBertForMaskedLM)
AutoModelForSequenceClassification.register(NgramBertConfig, NgramBertForSequenceClassification)
