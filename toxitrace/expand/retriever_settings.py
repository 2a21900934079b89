"""What a retriever must know beside its weights: the contents of ``retriever.json``, written last into its folder."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from toxitrace.data.rowfile import write_json
from toxitrace.errors import ConfigError, ModelError
from toxitrace.expand.represent import QueryMode, check_mode
from toxitrace.settings import FoldOptions

RETRIEVER_FILE = "retriever.json"
FORMAT_VERSION = 1

Pooling = Literal["mean", "cls", "lasttoken"]


@dataclass(frozen=True)
class RetrieverSettings:
    """How texts become vectors; training and evaluation both read it from here."""

    query: QueryMode = "query"
    """What stands for a query: mean of query and expansion, expansion alone, or query alone."""
    pooling: Pooling = "mean"
    """How token vectors become one."""
    max_tokens: int = 256
    """Texts are cut to this many tokens."""
    fold: FoldOptions | None = None
    """How texts are folded before they are tokenised; none: not at all."""
    training: dict[str, Any] = field(default_factory=dict)
    """The resolved training settings, data hashes and versions, for the record; empty: zero-shot."""

    def __post_init__(self) -> None:
        check_mode(self.query)
        if self.pooling not in get_args(Pooling):
            raise ConfigError(f"pooling is {self.pooling!r}; expected one of {', '.join(get_args(Pooling))}")
        if self.max_tokens < 8:
            raise ConfigError(f"max_tokens is {self.max_tokens}; expected 8 or more tokens")

    def to_dict(self) -> dict[str, Any]:
        return {"format_version": FORMAT_VERSION, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, row: dict[str, Any]) -> RetrieverSettings:
        known = {f.name for f in dataclasses.fields(cls)}
        values = {name: value for name, value in row.items() if name in known}
        if values.get("fold") is not None:
            values["fold"] = FoldOptions(**values["fold"])
        return cls(**values)


def save_retriever_settings(settings: RetrieverSettings, folder: str | os.PathLike[str]) -> None:
    """Write ``retriever.json``, whole or not at all."""
    write_json(Path(folder) / RETRIEVER_FILE, settings.to_dict())


def load_retriever_settings(folder: str | os.PathLike[str]) -> RetrieverSettings | None:
    """Read ``retriever.json``; None if the folder has none, as an encoder that was never trained to retrieve.

    Raises:
        ModelError: the file is damaged or of a newer format.
    """
    path = Path(folder) / RETRIEVER_FILE
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
        if row["format_version"] > FORMAT_VERSION:
            raise ModelError(f"{path} has format version {row['format_version']}: upgrade toxitrace")
        return RetrieverSettings.from_dict(row)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, ConfigError) as error:
        raise ModelError(f"{path} holds unusable settings ({error}): train the retriever again") from error
