"""Settings of the whole loop, as frozen dataclasses like those of training. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, field

from toxitrace.annotate.asking import LLMOptions
from toxitrace.annotate.clues import Which
from toxitrace.annotate.runs import Refiner
from toxitrace.config import TrainConfig
from toxitrace.errors import ConfigError


@dataclass(frozen=True)
class LoopConfig:
    """Everything `toxitrace annotate loop` needs: warm-up -> annotation -> joint training."""

    output: str = "runs/cusa"
    """Folder that receives warmup/, spans.jsonl, rationales.jsonl and model/."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """As for `toxitrace train`; the loop sets ``output``, ``resume`` and ``data.spans`` itself."""
    refiner: Refiner = "llm"
    """llm: as ``spans`` says; offline: a substitute without a language model."""
    rows: Which = "toxic"
    """Texts to annotate: toxic, flagged (and what the warmed-up model flags), or all."""
    spans: LLMOptions = field(default_factory=LLMOptions)
    """Who refines the clues."""
    rationales: LLMOptions = field(default_factory=LLMOptions)
    """Who writes the rationales of the training texts; without ``llm`` nobody, and train.data.rationales are used."""
    resume: bool = False
    """Go on with the stage that was under way; finished stages are kept. Without it, a loop's folder is refused."""

    def __post_init__(self) -> None:
        if len(self.train.seeds) != 1:
            raise ConfigError(f"--train.seeds is {list(self.train.seeds)}; expected one seed: run the loop for each")
        if self.train.data.spans:
            raise ConfigError(
                f"--train.data.spans is {list(self.train.data.spans)}; expected none, the loop makes them itself: "
                "to use these, name them as --spans.llm recorded:FILE"
            )
        if self.rationales.llm and self.train.data.rationales:
            raise ConfigError("--train.data.rationales and --rationales.llm are both given; leave one of them out")
        epochs = (self.train.schedule.warmup_epochs, self.train.schedule.joint_epochs)
        if min(epochs) < 1:
            raise ConfigError(
                f"--train.schedule has {epochs[0]} warm-up and {epochs[1]} joint epochs; expected 1 or more of each"
            )
        if self.refiner == "llm" and not self.spans.llm:
            raise ConfigError(
                "nobody is named to refine the clues; expected --spans.llm gemini:MODEL, openai:MODEL or "
                "recorded:FILE, or --refiner offline"
            )
