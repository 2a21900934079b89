"""Settings of QExplorer: prompts, training, generation. No torch here: help must be quick."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from toxitrace.config import Precision
from toxitrace.errors import ConfigError

Mode = Literal["greedy", "sample", "beam"]


def _require(ok: bool, name: str, value: object, expected: str) -> None:
    if not ok:
        raise ConfigError(f"{name} is {value!r}; expected {expected}: correct it")


@dataclass(frozen=True)
class PromptLimits:
    """How much of an item a prompt shows."""

    max_text_chars: int = 160
    """Characters of one item; a longer text is cut to a window around its first span."""
    max_evidence: int = 4
    """Spans shown for one item, the first in reading order."""
    max_evidence_chars: int = 40
    """Characters of one span."""

    def __post_init__(self) -> None:
        _require(self.max_text_chars >= 8, "max_text_chars", self.max_text_chars, "8 or more characters")
        _require(self.max_evidence >= 0, "max_evidence", self.max_evidence, "0 or more spans")
        _require(self.max_evidence_chars >= 1, "max_evidence_chars", self.max_evidence_chars, "1 or more characters")


@dataclass(frozen=True)
class ReplyLimits:
    """Which lines of a reply can be queries."""

    max_queries: int = 5
    """Queries kept of one reply, the first ones."""
    max_query_chars: int = 40
    """A longer line is no query."""

    def __post_init__(self) -> None:
        _require(self.max_queries >= 1, "max_queries", self.max_queries, "1 or more queries")
        _require(self.max_query_chars >= 1, "max_query_chars", self.max_query_chars, "1 or more characters")


@dataclass(frozen=True)
class SmallLMSize:
    """Size of a causal language model from scratch (Qwen2 layout)."""

    layers: int = 4
    """Transformer layers."""
    hidden: int = 256
    """Width of the hidden vectors."""
    heads: int = 4
    """Attention heads; must divide ``hidden`` into an even width, since positions rotate pairs."""
    feed_forward: int = 768
    """Width of the gated feed-forward layers."""
    max_positions: int = 1024
    """Longest prompt with its reply in tokens."""
    vocab_size: int = 8000
    """Most entries of the tokenizer; the 256 bytes and the markers are always among them."""
    min_count: int = 2
    """Characters seen fewer times than this are spelt as bytes."""

    def __post_init__(self) -> None:
        for name in ("layers", "heads", "feed_forward", "min_count"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        fits = self.hidden >= 2 and self.hidden % (2 * self.heads) == 0
        _require(fits, "hidden", self.hidden, f"a multiple of twice the number of heads ({2 * self.heads})")
        _require(self.max_positions >= 16, "max_positions", self.max_positions, "16 or more tokens")
        _require(self.vocab_size >= 300, "vocab_size", self.vocab_size, "300 or more entries")


@dataclass(frozen=True)
class LoraSettings:
    """Low-rank adapters (methods.md section 2, our defaults)."""

    r: int = 16
    """Rank of the update."""
    alpha: int = 32
    """The update is scaled by alpha / r."""
    dropout: float = 0.05
    """Dropout probability before the update."""
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")
    """Names of the layers that get one."""

    def __post_init__(self) -> None:
        _require(self.r >= 1, "lora.r", self.r, "a rank of 1 or more")
        _require(self.alpha >= 1, "lora.alpha", self.alpha, "1 or more")
        _require(0 <= self.dropout < 1, "lora.dropout", self.dropout, "a probability in [0, 1)")
        _require(bool(self.targets), "lora.targets", self.targets, "names of layers, e.g. q_proj")


@dataclass(frozen=True)
class FitSettings:
    """What every training of a language model here needs."""

    lr: float = 1e-4
    """Peak learning rate of AdamW."""
    epochs: float = 3.0
    """Passes over the rows."""
    max_steps: int | None = None
    """Stop after this many optimiser steps; none: after ``epochs``."""
    batch_size: int = 16
    """Rows per forward pass and device."""
    accumulate: int = 1
    """Forward passes per optimiser step."""
    max_tokens: int = 512
    """Longest prompt with its reply in tokens; longer rows are left out and counted."""
    warmup_share: float = 0.1
    """Share of all steps over which the learning rate rises from 0; then it falls linearly."""
    weight_decay: float = 0.0
    """Decoupled weight decay."""
    clip_norm: float = 1.0
    """Gradients are scaled to at most this norm."""
    precision: Precision = "auto"
    """auto: bf16 where the hardware multiplies it fast, else fp32."""
    recompute: bool = False
    """Gradient checkpointing: less memory, about a fifth slower; for models of billions of weights."""
    checkpoint_steps: int = 0
    """A resumable checkpoint every so many optimiser steps, the last one kept; 0: none."""
    log_steps: int = 10
    """Losses are logged every so many optimiser steps."""
    seed: int = 1
    """Of the order of the rows, dropout and adapters."""
    cpu: bool = False
    """Stay on the CPU even where there is a GPU."""

    def __post_init__(self) -> None:
        _require(self.lr > 0, "lr", self.lr, "a number above 0")
        _require(self.epochs > 0, "epochs", self.epochs, "more than 0 passes")
        _require(self.max_steps is None or self.max_steps >= 1, "max_steps", self.max_steps, "1 or more steps")
        for name in ("batch_size", "accumulate", "log_steps"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        _require(self.max_tokens >= 8, "max_tokens", self.max_tokens, "8 or more tokens")
        _require(0 <= self.warmup_share < 1, "warmup_share", self.warmup_share, "a share in [0, 1)")
        _require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")
        _require(self.clip_norm > 0, "clip_norm", self.clip_norm, "a number above 0")
        _require(self.checkpoint_steps >= 0, "checkpoint_steps", self.checkpoint_steps, "0 or more steps")
        _require(self.seed >= 0, "seed", self.seed, "0 or more")


@dataclass(frozen=True)
class PretrainLMSettings(FitSettings):
    """Plain next-token training of a small model on item texts; ``epochs`` pass over packed blocks."""

    lr: float = 1e-3
    epochs: float = 1.0
    weight_decay: float = 0.1
    max_tokens: int = 128
    """Length of the packed blocks in tokens."""


@dataclass(frozen=True)
class SFTSettings(FitSettings):
    """Supervised fine-tuning on item -> queries (methods.md section 2, our defaults)."""

    lora: LoraSettings | None = field(default_factory=LoraSettings)
    """Adapters; none: all weights are trained, as a small model from scratch needs it."""


@dataclass(frozen=True)
class DPOSettings(FitSettings):
    """Direct preference optimisation against the SFT model (methods.md section 2, our defaults)."""

    lr: float = 1e-5
    epochs: float = 1.0
    beta: float = 0.1
    """How strongly the model is held to its reference; more holds closer."""
    sft_weight: float = 0.0
    """Weight of the chosen replies' mean negative log-likelihood; raise it if their log-probability falls."""
    lora: LoraSettings | None = field(default_factory=LoraSettings)
    """Adapters; none: all weights are trained."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _require(self.beta > 0, "beta", self.beta, "a number above 0")
        _require(self.sft_weight >= 0, "sft_weight", self.sft_weight, "0 or more")


@dataclass(frozen=True)
class GroundSettings:
    """What a grounded query may be: up to so many stretches of the item, joined by blanks."""

    max_pieces: int = 2
    """Stretches in one query; 1: every query is one substring."""
    max_queries: int = 3
    """Queries in one reply."""
    max_query_chars: int = 20
    """Characters of one query, blanks included."""
    min_query_chars: int = 2
    """Characters of one query at least, where the item has as many."""

    def __post_init__(self) -> None:
        for name in ("max_pieces", "max_queries", "min_query_chars"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        enough = self.max_query_chars >= self.min_query_chars
        _require(enough, "max_query_chars", self.max_query_chars, f"at least min_query_chars ({self.min_query_chars})")


@dataclass(frozen=True)
class GenerateSettings:
    """How a language model writes queries."""

    mode: Mode = "greedy"
    """greedy: the most probable token each time; sample: drawn; beam: the most probable replies."""
    n_replies: int = 1
    """Replies per item with sample and beam."""
    temperature: float = 1.0
    """Of sampling; below 1 sharper."""
    top_p: float = 0.95
    """Sampling among the most probable tokens that hold this share."""
    max_new_tokens: int = 48
    """Longest reply in tokens."""
    batch_size: int = 32
    """Prompts at once."""
    seed: int = 1
    """Of sampling."""
    ground: GroundSettings | None = None
    """Only queries made of the item's own words; none: free."""

    def __post_init__(self) -> None:
        _require(self.mode in ("greedy", "sample", "beam"), "mode", self.mode, "greedy, sample or beam")
        _require(self.n_replies >= 1, "n_replies", self.n_replies, "1 or more replies")
        one = self.mode != "greedy" or self.n_replies == 1
        _require(one, "n_replies", self.n_replies, "1 with mode greedy, whose replies would all be equal")
        _require(self.temperature > 0, "temperature", self.temperature, "a number above 0")
        _require(0 < self.top_p <= 1, "top_p", self.top_p, "a share in (0, 1]")
        for name in ("max_new_tokens", "batch_size"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        _require(self.seed >= 0, "seed", self.seed, "0 or more")
