"""Settings of the trainings: what is read, where the model goes, and how it is fitted. No torch: help must be quick."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from toxitrace.config import Paths
from toxitrace.errors import ConfigError
from toxitrace.explore.config import (
    DPOSettings,
    FitSettings,
    LoraSettings,
    PretrainLMSettings,
    SFTSettings,
    SmallLMSize,
)

SMALL = "small"


def _named(**values: object) -> None:
    for name, value in values.items():
        if not value:
            raise ConfigError(f"--{name} is missing; expected a path or name: add it")


@dataclass(frozen=True)
class PretrainTask:
    """A small causal language model from scratch, taught the texts of the platform."""

    texts: Paths = Paths()
    """Items, JSON lines with id and text; labels play no part."""
    output: str = ""
    """Folder that gets the model."""
    limit: int | None = None
    """Take a sample of so many texts; none: all."""
    size: SmallLMSize = field(default_factory=SmallLMSize)
    """Layers, widths, vocabulary."""
    fit: PretrainLMSettings = field(default_factory=PretrainLMSettings)
    """How it is trained; its seed also draws the first weights and the sample."""
    resume: bool = False
    """Go on from the last checkpoint; a model that is finished is kept."""

    def __post_init__(self) -> None:
        _named(texts=self.texts, output=self.output)
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"--limit is {self.limit}; expected 1 or more texts: raise it")


@dataclass(frozen=True)
class SmallBase:
    """The model that ``--model small`` begins with."""

    texts: Paths = Paths()
    """Items to pre-train on; none: the flagged items themselves, which are few."""
    limit: int | None = None
    """Take a sample of so many texts; none: all."""
    size: SmallLMSize = field(default_factory=SmallLMSize)
    """Layers, widths, vocabulary."""
    fit: PretrainLMSettings = field(default_factory=PretrainLMSettings)
    """How it is pre-trained."""


@dataclass(frozen=True)
class SFTTask:
    """Supervised fine-tuning of a causal language model: flagged items -> the queries that annotators wrote.

    Or, with ``--preferences``, the replies of its own that found more.
    """

    items: Paths = Paths()
    """Flagged items, JSON lines with id, text and spans: the training part alone."""
    spans: str | None = None
    """Spans joined by id, if the items have none."""
    queries: str = ""
    """What `toxitrace explore rewards` wrote, of which the kept queries (D) are taken; or rows of id and queries."""
    preferences: Paths = Paths()
    """Instead of items and queries: what `toxitrace explore preferences` wrote, whose preferred replies are learnt."""
    model: str = SMALL
    """small: from scratch, see ``small``; else a hub name (Qwen/Qwen1.5-7B-Chat), a model folder or an adapter's."""
    output: str = ""
    """Folder that gets the whole model, adapters merged; those alone lie in its folder adapter."""
    max_queries: int = 3
    """Queries in one reply."""
    group_size: int = 3
    """Similar items shown together in D_cat, beside the single ones; 1: no groups."""
    similarity: float = 0.15
    """Least cosine of character n-grams within a group."""
    adapters: bool = True
    """LoRA; false: all weights are trained, as a small model from scratch needs it."""
    lora: LoraSettings = field(default_factory=LoraSettings)
    """The adapters."""
    fit: FitSettings = field(default_factory=FitSettings)
    """How it is trained."""
    small: SmallBase = field(default_factory=SmallBase)
    """With model small: the base, which is kept in OUTPUT/base."""
    resume: bool = False
    """Go on where an earlier run was stopped."""

    def __post_init__(self) -> None:
        if not self.preferences:
            _named(items=self.items, queries=self.queries)
        elif self.items or self.queries or self.spans:
            raise ConfigError("--preferences stands in place of --items, --queries and --spans: leave one out")
        elif self.model == SMALL:
            raise ConfigError("--preferences are of a model that writes queries already: name its folder with --model")
        _named(model=self.model, output=self.output)
        for name in ("max_queries", "group_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"--{name} is {getattr(self, name)}; expected 1 or more: raise it")

    def settings(self) -> SFTSettings:
        """The same for the trainer."""
        return SFTSettings(**_fields(self.fit), lora=self.lora if self.adapters else None)


@dataclass(frozen=True)
class DPOTask:
    """Direct preference optimisation: replies whose queries found more over those whose queries found less."""

    preferences: Paths = Paths()
    """What `toxitrace explore preferences` wrote."""
    model: str = ""
    """The SFT model, which is the reference too: a folder or hub name."""
    output: str = ""
    """Folder that gets the whole model, adapters merged; those alone lie in its folder adapter."""
    beta: float = 0.1
    """How strongly the model is held to its reference; more holds closer."""
    sft_weight: float = 0.0
    """Weight of the chosen replies' mean negative log-likelihood; raise it if their log-probability falls."""
    adapters: bool = True
    """LoRA; false: all weights are trained, as a small model from scratch needs it."""
    lora: LoraSettings = field(default_factory=LoraSettings)
    """The adapters."""
    fit: FitSettings = field(default_factory=lambda: FitSettings(lr=1e-5, epochs=1.0))
    """How it is trained."""
    resume: bool = False
    """Go on where an earlier run was stopped."""

    def __post_init__(self) -> None:
        _named(preferences=self.preferences, model=self.model, output=self.output)
        self.settings()

    def settings(self) -> DPOSettings:
        """The same for the trainer."""
        lora = self.lora if self.adapters else None
        return DPOSettings(**_fields(self.fit), beta=self.beta, sft_weight=self.sft_weight, lora=lora)


def _fields(fit: FitSettings) -> dict[str, Any]:
    return {field.name: getattr(fit, field.name) for field in dataclasses.fields(FitSettings)}
