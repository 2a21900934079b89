"""Every setting of training and pre-training, as frozen dataclasses: one typed source for YAML, flags and help.

No torch here: ``toxitrace train --help`` must be quick.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from toxitrace.errors import ConfigError
from toxitrace.settings import FoldOptions, SaliencyKind

Precision = Literal["auto", "32-true", "bf16-mixed"]


class Paths(tuple[str, ...]):
    """Files or names; on the command line one may stand alone: ``--data.train a.jsonl`` or ``'[a.jsonl, b.jsonl]'``."""

    __slots__ = ()


class Seeds(tuple[int, ...]):
    """Seeds; on the command line one may stand alone: ``--seeds 1`` or ``--seeds [1,2,3]``."""

    __slots__ = ()


def _require(ok: bool, flag: str, value: object, expected: str) -> None:
    if not ok:
        raise ConfigError(f"--{flag} is {value!r}; expected {expected}")


def _is_duration(text: str | None) -> bool:
    return text is None or re.fullmatch(r"\d+:\d{2}:\d{2}:\d{2}", text) is not None


@dataclass(frozen=True)
class ScratchConfig:
    """Size of an encoder built from scratch (BERT layout)."""

    layers: int = 4
    """Transformer layers."""
    hidden: int = 256
    """Width of the hidden vectors."""
    heads: int = 4
    """Attention heads; must divide ``hidden``."""
    feed_forward: int = 1024
    """Width of the feed-forward layers."""
    max_positions: int = 256
    """Longest input in tokens, [CLS] and [SEP] included."""
    dropout: float = 0.1
    """Dropout probability of hidden states and attention."""
    vocab_size: int = 8000
    """Most entries the character tokenizer may have."""
    min_count: int = 5
    """Characters seen fewer times than this in the training text become [UNK]."""
    ngram_buckets: int = 0
    """Rows of the hashed table of character n-grams that is added to the word embeddings; 0: plain BERT."""

    def __post_init__(self) -> None:
        for name in ("layers", "heads", "feed_forward", "min_count"):
            self._check(name, getattr(self, name) > 0, "1 or more")
        divides = self.hidden > 0 and self.hidden % self.heads == 0
        self._check("hidden", divides, f"a multiple of the number of heads ({self.heads})")
        self._check("max_positions", self.max_positions >= 8, "8 or more tokens")
        self._check("dropout", 0 <= self.dropout < 1, "a probability in [0, 1)")
        self._check("vocab_size", self.vocab_size > 16, "more than 16 entries")
        self._check("ngram_buckets", self.ngram_buckets >= 0, "0 or more rows")
        if self.ngram_buckets:
            self._check("hidden", self.hidden % 2 == 0, "an even number, since n-grams have vectors in two halves")

    def _check(self, name: str, ok: bool, expected: str) -> None:
        # two commands have these flags, under names of their own
        _require(ok, f"encoder.scratch.{name} (in pretrain: --encoder.{name})", getattr(self, name), expected)


@dataclass(frozen=True)
class EncoderConfig:
    """Which encoder to train."""

    name: str | None = None
    """Hub name (hfl/chinese-roberta-wwm-ext), local folder (one that `toxitrace pretrain` wrote), or none: scratch."""
    max_tokens: int = 128
    """Training texts are cut to this many tokens, [CLS] and [SEP] included."""
    scratch: ScratchConfig = field(default_factory=ScratchConfig)
    """Size of the encoder when ``name`` is not given."""
    fold: FoldOptions = field(default_factory=FoldOptions)
    """How texts are folded before tokenisation; stored with the model."""

    def __post_init__(self) -> None:
        _require(self.max_tokens >= 8, "encoder.max_tokens", self.max_tokens, "8 or more tokens")
        _require(
            self.name is not None or self.max_tokens <= self.scratch.max_positions,
            "encoder.max_tokens",
            self.max_tokens,
            f"at most encoder.scratch.max_positions ({self.scratch.max_positions}) tokens",
        )


@dataclass(frozen=True)
class DataConfig:
    """Where the labelled texts and their annotations are."""

    train: Paths = Paths()
    """Labelled training texts: .jsonl, .csv, or a published set's own file; several are joined."""
    dev: Paths = Paths()
    """Labelled development texts: early stop and model selection."""
    spans: Paths = Paths()
    """Weak spans {"id", "spans"} for training texts, joined by id; `builtin:cold-spans` is shipped."""
    rationales: Paths = Paths()
    """Rationales {"id", "toxic", "non_toxic"} for ARCL, joined by id; `builtin:cold-rationales` is shipped."""
    teacher: Paths = Paths()
    """Probabilities {"id", "probability"} by a teacher for training texts (distillation), as `predict` writes them."""
    teacher_weight: float = 0.5
    """Share of the teacher in the label to train on; the rest is the text's own."""
    unlabelled: Paths = Paths()
    """Training texts {"id", "text"} that nobody labelled, learnt with what ``teacher`` says alone (self-training)."""
    doubtful_label: float = 0.4
    """Soft label of rows whose label and evidence disagree (toxic without spans, non-toxic with)."""
    soften_doubtful: bool = True
    """Whether rows whose label and evidence disagree get ``doubtful_label``."""
    clauses: bool = False
    """Whether single clauses, with evidence and without, are short training texts of their own."""
    disguises: float = 0.0
    """Share of the texts that come a second time with their words disguised: pinyin, homophones, symbols, swaps."""
    limit: int | None = None
    """Use only this many training rows, drawn with ``seed``; for trials and ablations."""
    batch_size: int = 32
    """Texts per optimiser step and device."""
    workers: int = 0
    """Data-loading processes."""

    def __post_init__(self) -> None:
        _require(0 <= self.doubtful_label <= 1, "data.doubtful_label", self.doubtful_label, "a probability in [0, 1]")
        _require(0 <= self.teacher_weight <= 1, "data.teacher_weight", self.teacher_weight, "a share in [0, 1]")
        _require(0 <= self.disguises <= 1, "data.disguises", self.disguises, "a share in [0, 1]")
        _require(self.batch_size > 0, "data.batch_size", self.batch_size, "1 or more texts")
        _require(self.limit is None or self.limit > 0, "data.limit", self.limit, "1 or more rows")
        _require(self.workers >= 0, "data.workers", self.workers, "0 or more processes")


@dataclass(frozen=True)
class LossConfig:
    """Weights and thresholds of L = L_CE + λ_grad (L_PGR + L_PPT) + λ_sem L_con (methods section 1.4, 1.6)."""

    grad_weight: float = 0.5
    """λ_grad; 0 switches GCLoss off."""
    pgr: bool = True
    """Pairwise gradient margin between toxic and other tokens."""
    ppt: bool = True
    """Percentile bounds on both ends of the saliency."""
    contrast_weight: float = 0.1
    """λ_sem; 0 switches ARCL off."""
    margin: float = 0.3
    """m: least difference of scaled saliency between a toxic and another token."""
    percentile: float = 15.0
    """Within-text percentile that bounds the saliency of non-toxic tokens from above."""
    alpha: float = 0.5
    """α: share of the largest saliency that bounds toxic tokens from below."""
    temperature: float = 0.1
    """τ of the contrastive loss."""
    in_batch_negatives: bool = False
    """Whether the other texts' rationales in a batch are further negatives of ARCL."""
    saliency: SaliencyKind = "gradient"
    """Norm of the margin's gradient, or |gradient · input|."""

    def __post_init__(self) -> None:
        _require(self.grad_weight >= 0, "loss.grad_weight", self.grad_weight, "0 or more")
        _require(self.contrast_weight >= 0, "loss.contrast_weight", self.contrast_weight, "0 or more")
        _require(0 < self.margin <= 1, "loss.margin", self.margin, "a number in (0, 1]")
        _require(0 <= self.percentile <= 100, "loss.percentile", self.percentile, "a percentile from 0 to 100")
        _require(0 < self.alpha <= 1, "loss.alpha", self.alpha, "a number in (0, 1]")
        _require(self.temperature > 0, "loss.temperature", self.temperature, "a number above 0")


@dataclass(frozen=True)
class OptimConfig:
    """AdamW with warm-up and linear decay."""

    lr: float = 2e-5
    """Peak learning rate of the encoder."""
    head_lr: float | None = None
    """Peak learning rate of the classification head; none: the encoder's."""
    weight_decay: float = 0.01
    """Decoupled weight decay; biases and LayerNorm are spared."""
    warmup_share: float = 0.1
    """Share of all steps over which the learning rate rises from 0."""
    clip_norm: float = 1.0
    """Gradients are scaled to at most this norm; 0: off."""
    accumulate: int = 1
    """Batches per optimiser step."""
    ema_decay: float = 0.0
    """The model measured and written is an exponential moving average of the weights; 0.999: over some 1,000 steps,
    so a run of fewer is mostly its start; 0: off."""

    def __post_init__(self) -> None:
        _require(self.lr > 0, "optim.lr", self.lr, "a number above 0")
        _require(self.head_lr is None or self.head_lr > 0, "optim.head_lr", self.head_lr, "a number above 0, or none")
        _require(self.weight_decay >= 0, "optim.weight_decay", self.weight_decay, "0 or more")
        _require(self.clip_norm >= 0, "optim.clip_norm", self.clip_norm, "0 or more")
        _require(0 <= self.warmup_share < 1, "optim.warmup_share", self.warmup_share, "a share in [0, 1)")
        _require(self.accumulate > 0, "optim.accumulate", self.accumulate, "1 or more batches")
        _require(0 <= self.ema_decay < 1, "optim.ema_decay", self.ema_decay, "a number in [0, 1)")


@dataclass(frozen=True)
class ScheduleConfig:
    """How long to train and when to stop, save and look."""

    warmup_epochs: int = 3
    """Epochs of cross-entropy alone before the other losses join (the paper: 3)."""
    joint_epochs: int = 3
    """Epochs with all losses."""
    patience: int = 0
    """Stop after this many joint epochs without a better dev macro-F1; 0: never."""
    checkpoint_minutes: float = 10.0
    """A resumable checkpoint is written this often, and after every epoch."""
    max_time: str | None = None
    """Stop cleanly after DD:HH:MM:SS; the best model so far is written."""
    keep_warmup: bool = False
    """Write the model of the warm-up's end to OUTPUT/warm-up as well; without a warm-up there is none."""

    def __post_init__(self) -> None:
        _require(self.warmup_epochs >= 0, "schedule.warmup_epochs", self.warmup_epochs, "0 or more epochs")
        _require(self.joint_epochs >= 0, "schedule.joint_epochs", self.joint_epochs, "0 or more epochs")
        n_epochs = self.warmup_epochs + self.joint_epochs
        _require(
            n_epochs > 0, "schedule.joint_epochs", self.joint_epochs, "1 or more, since there is no warm-up either"
        )
        _require(self.patience >= 0, "schedule.patience", self.patience, "0 or more epochs")
        _require(self.checkpoint_minutes > 0, "schedule.checkpoint_minutes", self.checkpoint_minutes, "minutes above 0")
        _require(_is_duration(self.max_time), "schedule.max_time", self.max_time, "DD:HH:MM:SS")


@dataclass(frozen=True)
class DeviceConfig:
    """Where to compute; passed to Lightning's Trainer."""

    accelerator: str = "auto"
    """Lightning's accelerator: auto, cpu, gpu, ..."""
    devices: int | str = 1
    """Number of devices or processes, or auto."""
    strategy: str = "auto"
    """Lightning's strategy: auto, ddp, ddp_spawn, ..."""
    precision: Precision = "auto"
    """auto: bf16 where the hardware multiplies it fast (AMX, recent GPUs), else fp32. fp16 has no double backward."""

    def __post_init__(self) -> None:
        usable = isinstance(self.devices, str) or self.devices > 0 or self.devices == -1
        _require(usable, "device.devices", self.devices, "1 or more, -1 for all, or auto")


@dataclass(frozen=True)
class TrainConfig:
    """Everything `toxitrace train` needs."""

    output: str = "runs/train"
    """Folder that receives the model; logs and checkpoints go to its ``logs`` folder."""
    data: DataConfig = field(default_factory=DataConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    device: DeviceConfig = field(default_factory=DeviceConfig)
    seeds: Seeds = Seeds((1,))
    """One model per seed; with several, each goes to OUTPUT/seed-N and a summary to OUTPUT/summary.json."""
    resume: bool = False
    """Go on from the last checkpoint in OUTPUT; the result equals an uninterrupted run."""
    tensorboard: bool = True
    """Write TensorBoard logs beside the CSV ones."""

    def __post_init__(self) -> None:
        _require(bool(self.seeds), "seeds", self.seeds, "at least one seed")
        _require(len(set(self.seeds)) == len(self.seeds), "seeds", self.seeds, "seeds that differ")
        _require(min(self.seeds) >= 0, "seeds", self.seeds, "seeds of 0 or more")


@dataclass(frozen=True)
class PretrainConfig:
    """Everything `toxitrace pretrain` needs: masked-LM training of a scratch encoder."""

    output: str = "runs/pretrain"
    """Folder that receives encoder and tokenizer."""
    texts: Paths = Paths()
    """Plain text, a passage a line: files (.txt, .txt.xz, .jsonl) or folders of them."""
    start: str | None = None
    """Folder that an earlier `toxitrace pretrain` wrote: go on from its weights and tokenizer, with a new optimiser."""
    repeat: dict[str, int] = field(default_factory=dict)
    """How often a file is read per pass, by its name without endings; 0 leaves it out; default 1."""
    encoder: ScratchConfig = field(default_factory=ScratchConfig)
    fold: FoldOptions = field(default_factory=FoldOptions)
    sequence_tokens: int = 128
    """Length of the packed training blocks, [CLS] and [SEP] included."""
    batch_size: int = 32
    """Blocks per step and device."""
    lr: float = 3e-3
    """Peak learning rate of Muon (hidden matrices) and AdamW (the rest)."""
    weight_decay: float = 0.01
    """Decoupled weight decay."""
    warmup_steps: int = 150
    """Steps over which the learning rate rises."""
    cooldown_share: float = 0.2
    """Share of the run, at its end, over which the learning rate falls to 0; a resumed run may extend the middle."""
    dropout: float = 0.0
    """Dropout while pre-training: off, since few texts are seen twice; the saved encoder keeps ``encoder.dropout``."""
    mask_share: float = 0.2
    """Share of the tokens to predict."""
    mean_span_tokens: float = 1.2
    """Mean length of the masked runs (geometric, at most 5 tokens): span masking stands in for whole words."""
    max_steps: int | None = None
    """Stop after this many optimiser steps."""
    max_time: str | None = None
    """Stop after DD:HH:MM:SS of training; the schedule ends with it."""
    checkpoint_minutes: float = 5.0
    """A resumable checkpoint is written this often."""
    workers: int = 0
    """Data-loading processes."""
    compile: bool = False
    """torch.compile the encoder: needs a C++ compiler and a minute; faster afterwards in trials on a CPU."""
    device: DeviceConfig = field(default_factory=DeviceConfig)
    seed: int = 1
    resume: bool = False
    """Go on from the last checkpoint in OUTPUT."""

    def __post_init__(self) -> None:
        _require(
            8 <= self.sequence_tokens <= self.encoder.max_positions,
            "sequence_tokens",
            self.sequence_tokens,
            f"8 to encoder.max_positions ({self.encoder.max_positions}) tokens",
        )
        _require(self.batch_size > 0, "batch_size", self.batch_size, "1 or more blocks")
        _require(self.lr > 0, "lr", self.lr, "a number above 0")
        _require(0 < self.mask_share < 1, "mask_share", self.mask_share, "a share in (0, 1)")
        _require(0 <= self.cooldown_share <= 1, "cooldown_share", self.cooldown_share, "a share from 0 to 1")
        _require(self.mean_span_tokens >= 1, "mean_span_tokens", self.mean_span_tokens, "1 or more tokens")
        _require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")
        _require(self.warmup_steps >= 0, "warmup_steps", self.warmup_steps, "0 or more steps")
        _require(0 <= self.dropout < 1, "dropout", self.dropout, "a probability in [0, 1)")
        _require(self.checkpoint_minutes > 0, "checkpoint_minutes", self.checkpoint_minutes, "minutes above 0")
        _require(self.workers >= 0, "workers", self.workers, "0 or more processes")
        _require(self.seed >= 0, "seed", self.seed, "0 or more")
        _require(self.max_steps is None or self.max_steps > 0, "max_steps", self.max_steps, "1 or more steps")
        _require(_is_duration(self.max_time), "max_time", self.max_time, "DD:HH:MM:SS")
        _require(
            self.max_steps is not None or self.max_time is not None,
            "max_time",
            self.max_time,
            "a limit: --max_time DD:HH:MM:SS or --max_steps N",
        )
