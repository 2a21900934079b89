"""Settings of every task of ``toxitrace expand``, as frozen dataclasses. No torch here: help must be quick."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

from toxitrace.config import Paths, Precision
from toxitrace.errors import ConfigError
from toxitrace.expand.asking import LOCAL, AskConfig
from toxitrace.expand.candidates import Sampling
from toxitrace.expand.represent import QueryMode, check_mode
from toxitrace.expand.rewards import GATE
from toxitrace.expand.train_retriever import RetrieverTraining
from toxitrace.explore.config import DPOSettings, LoraSettings

Negatives = Literal["bm25", "dense"]
SYSTEMS = ("bm25", "bm25-expanded", "dense", "hybrid")


@dataclass(frozen=True)
class DPOTraining:
    """DPO of the model that writes expansions; the paper's values (methods.md section 3)."""

    lr: float = 2e-5
    """Peak learning rate. A small model from scratch wants more: 2e-4."""
    epochs: float = 2.0
    """Passes over the pairs."""
    max_steps: int | None = None
    """Stop after this many optimiser steps; none: after ``epochs``."""
    batch_size: int = 16
    """Pairs per forward pass."""
    accumulate: int = 1
    """Forward passes per optimiser step."""
    max_tokens: int = 1024
    """Longest prompt with its expansion; longer pairs are left out and counted."""
    beta: float = 0.1
    """How strongly the model is held to its reference."""
    sft_weight: float = 0.0
    """Weight of the chosen expansions' mean negative log-likelihood; raise it if their log-probability falls."""
    lora_r: int = 8
    """Rank of the adapters on the attention's projections; 0: all weights are trained."""
    lora_alpha: int = 32
    """Their update is scaled by alpha / r."""
    lora_dropout: float = 0.1
    """Dropout before it."""
    precision: Precision = "auto"
    """auto: bf16 where the hardware multiplies it fast, else fp32."""
    recompute: bool = False
    """Gradient checkpointing, for models of billions of weights."""
    checkpoint_steps: int = 0
    """A resumable checkpoint every so many optimiser steps; 0: none."""
    seed: int = 1
    """Of the order of the pairs, dropout and adapters."""
    cpu: bool = False
    """Stay on the CPU even where there is a GPU."""

    def __post_init__(self) -> None:
        self.settings()

    def settings(self) -> DPOSettings:
        """The same for the trainer."""
        shared = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if not field.name.startswith("lora_")
        }
        lora = LoraSettings(r=self.lora_r, alpha=self.lora_alpha, dropout=self.lora_dropout) if self.lora_r else None
        return DPOSettings(**shared, lora=lora)


def _named(**values: str | None) -> None:
    for name, value in values.items():
        if not value:
            raise ConfigError(f"--{name} is missing; expected a path or name: add it")


@dataclass(frozen=True)
class CandidatesConfig:
    """Candidate expansions for the queries of a set in BEIR's layout."""

    data: str = ""
    """Folder with corpus.jsonl, queries.jsonl, qrels/."""
    split: str = "train"
    """Name of the file in qrels/."""
    output: str = ""
    """File that gets one JSON line for each query."""
    limit: int | None = None
    """Only this many queries, drawn by a hash of their ids and the seed; none: all."""
    sampling: Sampling = field(default_factory=Sampling)
    """How many draws, and how."""
    ask: AskConfig = field(default_factory=AskConfig)
    """Who writes them."""
    resume: bool = False
    """Go on with an earlier run's output."""

    def __post_init__(self) -> None:
        _named(data=self.data, output=self.output)


@dataclass(frozen=True)
class AnswersConfig:
    """An answer for every query from its gold document."""

    data: str = ""
    """Folder with corpus.jsonl, queries.jsonl, qrels/."""
    split: str = "train"
    """Name of the file in qrels/."""
    output: str = ""
    """File that gets one JSON line for each query."""
    recorded: bool = False
    """Take the answers that the set records (metadata.answer) instead of asking."""
    limit: int | None = None
    """As for candidates: the same number and seed choose the same queries."""
    max_new_tokens: int = 128
    """Longest answer."""
    seed: int = 0
    """Of the draws."""
    ask: AskConfig = field(default_factory=AskConfig)
    """Who writes them."""
    resume: bool = False
    """Go on with an earlier run's output."""

    def __post_init__(self) -> None:
        _named(data=self.data, output=self.output)


@dataclass(frozen=True)
class RewardsConfig:
    """What the candidates are worth to a zero-shot retriever."""

    data: str = ""
    """Folder with corpus.jsonl, queries.jsonl, qrels/."""
    split: str = "train"
    """Name of the file in qrels/."""
    candidates: str = ""
    """What `toxitrace expand candidates` wrote."""
    answers: str = ""
    """What `toxitrace expand answers` wrote."""
    retriever: str = ""
    """Folder or hub name of the encoder that ranks."""
    output: str = ""
    """File that gets one JSON line for each query."""
    gate: float = GATE
    """Queries whose best candidate is less similar to document and answer together are not kept. The paper's value
    belongs to its encoder: look at the similarities that another one gives."""
    max_tokens: int = 256
    """Where texts are cut, for an encoder without settings of its own."""
    device: str = "cpu"
    """cpu, or cuda."""

    def __post_init__(self) -> None:
        _named(data=self.data, output=self.output, retriever=self.retriever)
        _named(candidates=self.candidates, answers=self.answers)


@dataclass(frozen=True)
class PreferencesConfig:
    """Pairs for DPO from candidates and rewards."""

    candidates: str = ""
    """What `toxitrace expand candidates` wrote."""
    rewards: str = ""
    """What `toxitrace expand rewards` wrote for them."""
    output: str = ""
    """File of the training pairs; NAME-dev.jsonl beside it gets the others."""
    dev_share: float = 0.1
    """About this share of the gold documents, with all their queries, is kept for development."""
    seed: int = 0
    """Of the split."""
    lm: str | None = None
    """Model that is to be trained: its chat template, if it has one, writes the prompts."""

    def __post_init__(self) -> None:
        _named(candidates=self.candidates, rewards=self.rewards, output=self.output)


@dataclass(frozen=True)
class TrainDPOConfig:
    """DPO of a language model on preference pairs; adapters are merged into its weights."""

    preferences: str = ""
    """What `toxitrace expand preferences` wrote."""
    lm: str = ""
    """Folder or hub name of the model; it is its own reference."""
    output: str = ""
    """Folder that gets the trained model."""
    dpo: DPOTraining = field(default_factory=DPOTraining)
    """How it is trained."""
    resume: bool = False
    """Go on from the last checkpoint."""

    def __post_init__(self) -> None:
        _named(preferences=self.preferences, lm=self.lm, output=self.output)


@dataclass(frozen=True)
class TrainRetrieverConfig:
    """Contrastive training of a dense retriever."""

    data: str = ""
    """Folder with corpus.jsonl, queries.jsonl, qrels/."""
    split: str = "train"
    """Name of the file in qrels/."""
    encoder: str = ""
    """Folder (that of `toxitrace pretrain` too) or hub name of the encoder to start from."""
    output: str = ""
    """Folder that gets the retriever."""
    expansions: str | None = None
    """Candidates, of which the first is taken; needed unless training.query is query."""
    negatives: Negatives = "bm25"
    """Who ranks the documents of which the hard negative is taken."""
    skip: int = 0
    """Leave out this many of the best documents that are not judged relevant: they may be relevant all the same."""
    depth: int = 50
    """Documents ranked for it."""
    training: RetrieverTraining = field(default_factory=RetrieverTraining)
    """How it is trained."""

    def __post_init__(self) -> None:
        _named(data=self.data, encoder=self.encoder, output=self.output)
        if self.training.query != "query" and not self.expansions:
            raise ConfigError(f"--training.query is {self.training.query}; expected --expansions FILE with it: add it")


@dataclass(frozen=True)
class EvaluateConfig:
    """nDCG@10, MRR@10, Recall@100 and MAP on a set in BEIR's layout, with paired tests."""

    data: str = ""
    """Folder with corpus.jsonl, queries.jsonl, qrels/."""
    split: str = "test"
    """Name of the file in qrels/."""
    systems: Paths = Paths(("bm25",))
    """Of bm25, bm25-expanded (query and expansion as one query), dense, hybrid (bm25 and dense by rank)."""
    retriever: str | None = None
    """Folder or hub name of the encoder of dense and hybrid."""
    query: QueryMode = "query"
    """What stands for a query with an encoder that was never trained to retrieve; a retriever brings its own."""
    expansions: str | None = None
    """Candidates, of which the first is taken."""
    baseline: str = "bm25"
    """System that the others are tested against."""
    against: str | None = None
    """Report of an earlier evaluation on the same queries, whose systems are tested against as well."""
    output: str | None = None
    """JSON file of the report, every query in it."""
    depth: int = 1000
    """Results of each system that are looked at; a document under the query's own id is none, and costs no place."""
    max_tokens: int = 256
    """Where texts are cut, for an encoder without settings of its own."""
    cache: str | None = None
    """Folder that keeps the corpus's vectors; none: they are computed each time."""
    n_draws: int = 10_000
    """Random draws of the paired test."""
    seed: int = 0
    """Of the paired test."""
    device: str = "cpu"
    """cpu, or cuda."""

    def __post_init__(self) -> None:
        _named(data=self.data)
        check_mode(self.query)
        if unknown := [name for name in self.systems if name not in SYSTEMS]:
            raise ConfigError(f"--systems holds {unknown[0]!r}; expected some of {', '.join(SYSTEMS)}")
        if twice := [name for name in SYSTEMS if self.systems.count(name) > 1]:
            raise ConfigError(f"--systems names {twice[0]} more than once; expected each once: drop the others")
        if not self.systems:
            raise ConfigError(f"--systems is empty; expected one or more of {', '.join(SYSTEMS)}: add one")
        if self.depth < 100:
            raise ConfigError(f"--depth is {self.depth}; expected 100 or more, as Recall@100 looks at that many")
        if not self.retriever and self.is_dense:
            raise ConfigError("--systems names dense or hybrid; expected --retriever FOLDER with it: add it")
        if not self.expansions and "bm25-expanded" in self.systems:
            raise ConfigError("--systems names bm25-expanded; expected --expansions FILE with it: add it")

    @property
    def is_dense(self) -> bool:
        """Whether an encoder is needed."""
        return not {"dense", "hybrid"}.isdisjoint(self.systems)


@dataclass(frozen=True)
class RunConfig:
    """LLM-QE from end to end: answers, candidates, rewards, preferences, DPO, expansions, retriever, evaluation."""

    data: str = ""
    """Folder with corpus.jsonl, queries.jsonl, qrels/."""
    train_split: str = "train"
    """Split whose queries are trained on."""
    test_split: str = "dev"
    """Split whose queries are evaluated."""
    output: str = ""
    """Folder of everything the run makes; begun again, finished stages are kept."""
    encoder: str = ""
    """Encoder that ranks the candidates zero-shot, and from which the retriever is trained."""
    ask: AskConfig = field(default_factory=AskConfig)
    """Who writes candidates, and answers where none are recorded."""
    lm: str | None = None
    """Model to train by DPO; none: that of ask.llm if it is local:FOLDER, else DPO is left out."""
    limit: int | None = None
    """Only this many queries of the training split, drawn by a hash of their ids; none: all."""
    sampling: Sampling = field(default_factory=Sampling)
    """Of the candidates."""
    expansion: Sampling = field(default_factory=lambda: Sampling(temperatures=(0.8,), samples=1))
    """Of the one expansion that each query is searched with."""
    gate: float = GATE
    """Least similarity of a kept query's best candidate."""
    dev_share: float = 0.1
    """Share of the pairs' documents kept from DPO."""
    dpo: DPOTraining = field(default_factory=DPOTraining)
    """How the language model is trained."""
    negatives: Negatives = "bm25"
    """Who ranks the documents of which the hard negative is taken."""
    training: RetrieverTraining = field(default_factory=lambda: RetrieverTraining(query="mean"))
    """How the retriever is trained."""
    seed: int = 0
    """Of answers, split and tests."""

    def __post_init__(self) -> None:
        _named(data=self.data, output=self.output, encoder=self.encoder)

    @property
    def trained_lm(self) -> str | None:
        """The model that DPO trains, if any."""
        asked = self.ask.llm or ""
        return self.lm or (asked.removeprefix(LOCAL) if asked.startswith(LOCAL) else None)
