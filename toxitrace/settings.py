"""What a model needs to know beside its weights: the contents of ``toxitrace.json``.

Pure data, no torch: the score path reads it from model folders and export folders alike.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from toxitrace.errors import ConfigError, ModelError

FORMAT_VERSION = 1
SETTINGS_FILE = "toxitrace.json"

SaliencyKind = Literal["gradient", "grad_x_input"]


@dataclass(frozen=True)
class FoldOptions:
    """How a text is folded before it is tokenised; offsets always stay in the raw text."""

    nfkc: bool = True
    """Compatibility normalisation, full-width forms included."""
    lowercase: bool = True
    """Lower-case Latin, Greek and Cyrillic letters."""
    simplify: bool = True
    """Traditional -> simplified characters."""
    drop_invisible: bool = True
    """Leave out zero-width and other format characters, variation selectors and controls."""


@dataclass(frozen=True)
class BiCSEParams:
    """Thresholds of the Bidirectional Cliff Scan and Extraction, on saliency scaled to [0, 1].

    Tune on development data only (``toxitrace evaluate --tune``); stored with the model.
    """

    seed: float = 0.5
    """τ_seed: a character at or above this starts a span."""
    cliff: float = 0.5
    """δ: relative fall from the mean of the span so far at which the scan stops."""
    floor: float = 0.15
    """τ_floor: a character below this always stops the scan."""
    gap: int = 1
    """g: spans at most this many characters apart are joined (never across punctuation)."""
    min_chars: int = 1
    """Spans with fewer characters are dropped (the best span of a text stays)."""

    def __post_init__(self) -> None:
        for name in ("seed", "cliff", "floor"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ConfigError(f"bicse.{name} is {value}; expected a number from 0 to 1")
        if self.gap < 0:
            raise ConfigError(f"bicse.gap is {self.gap}; expected 0 or more characters")
        if self.min_chars < 1:
            raise ConfigError(f"bicse.min_chars is {self.min_chars}; expected 1 or more characters")


@dataclass(frozen=True)
class Calibration:
    """Platt scaling: probability = sigmoid(scale * margin + offset), margin = z_tox - z_non."""

    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0 and math.isfinite(self.offset)):
            raise ConfigError(
                f"calibration has scale {self.scale} and offset {self.offset}; "
                "expected a finite scale above 0 and a finite offset"
            )


@dataclass(frozen=True)
class ModelSettings:
    """The contents of ``toxitrace.json``."""

    threshold: float = 0.5
    """Calibrated probability from which a text counts as toxic."""
    max_tokens: int = 128
    """Longest input of the encoder in tokens, [CLS] and [SEP] included; longer texts are read in windows."""
    saliency: SaliencyKind = "gradient"
    """What stands for a token's weight: the norm of the margin's gradient, or |gradient · input|."""
    ngram_evidence: float = 0.0
    """Of a model with n-grams that judge beside the encoder: what a unit of their evidence adds to a token's saliency,
    scaled to 1, before spans are cut; 0: spans come from the gradient alone."""
    word_share: float = 0.0
    """How far every token of a word is lifted to its heaviest one before spans are cut, from 0 (not at all) to 1 (all
    weigh the same); above 0 the model's folder has a list of words."""
    labels: tuple[str, str] = ("non_toxic", "toxic")
    """Names of the two logits, in their order."""
    bicse: BiCSEParams = field(default_factory=BiCSEParams)
    calibration: Calibration = field(default_factory=Calibration)
    fold: FoldOptions = field(default_factory=FoldOptions)
    training: dict[str, Any] = field(default_factory=dict)
    """The resolved training config, for the record."""
    data_sha256: dict[str, str] = field(default_factory=dict)
    """Hash of every data file the model was trained or tuned on."""
    versions: dict[str, str] = field(default_factory=dict)
    """Package versions at training time."""
    notes: dict[str, Any] = field(default_factory=dict)
    """Anything measured on the way: development scores, export checks."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.threshold <= 1.0:
            raise ConfigError(f"threshold is {self.threshold}; expected a probability from 0 to 1")
        if self.max_tokens < 4:
            raise ConfigError(f"max_tokens is {self.max_tokens}; expected 4 or more tokens")
        if self.saliency not in get_args(SaliencyKind):
            raise ConfigError(f"saliency is {self.saliency!r}; expected one of {', '.join(get_args(SaliencyKind))}")
        if not 0.0 <= self.ngram_evidence < math.inf:
            raise ConfigError(f"ngram_evidence is {self.ngram_evidence}; expected 0 or a positive number")
        if not 0.0 <= self.word_share <= 1.0:
            raise ConfigError(f"word_share is {self.word_share}; expected a share from 0 to 1")
        if len(self.labels) != 2:
            raise ConfigError(f"labels are {self.labels!r}; expected the names of non-toxic and toxic, in this order")

    def to_dict(self) -> dict[str, Any]:
        return {"format_version": FORMAT_VERSION, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> ModelSettings:
        known = {f.name for f in dataclasses.fields(cls)}
        values = {key: value for key, value in row.items() if key in known}
        nested = {"bicse": BiCSEParams, "calibration": Calibration, "fold": FoldOptions}
        for key, kind in nested.items():
            if key in values:
                values[key] = kind(**values[key])
        if "labels" in values:
            values["labels"] = tuple(values["labels"])
        return cls(**values)


def save_settings(settings: ModelSettings, folder: str | os.PathLike[str]) -> None:
    """Write ``toxitrace.json`` into ``folder``, whole or not at all."""
    path = Path(folder) / SETTINGS_FILE
    part = path.with_suffix(".json.part")
    part.write_text(json.dumps(settings.to_dict(), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    os.replace(part, path)


def load_settings(folder: str | os.PathLike[str]) -> ModelSettings:
    """Read ``toxitrace.json`` from ``folder``.

    Raises:
        ModelError: the file is missing, no JSON, of a newer format, or holds impossible values.
    """
    path = Path(folder) / SETTINGS_FILE
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"{folder} is no toxitrace model: it has no {SETTINGS_FILE}; "
            "point to a folder that `toxitrace train` or `toxitrace export` wrote"
        ) from None
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read: {error}; train or export the model again") from error
    version = row.get("format_version") if isinstance(row, dict) else None
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ModelError(
            f"{path} has format version {version!r}; this toxitrace reads up to {FORMAT_VERSION}: upgrade toxitrace"
        )
    try:
        return ModelSettings.from_dict(row)
    except (TypeError, AttributeError, ConfigError) as error:
        raise ModelError(f"{path} holds unusable settings: {error}; train or export the model again") from error
