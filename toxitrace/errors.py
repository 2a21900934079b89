"""The errors a user can meet. A message says what was wrong, what was expected and what to do."""

from __future__ import annotations


class ToxitraceError(Exception):
    """Base of every error that toxitrace raises on purpose."""


class ConfigError(ToxitraceError):
    """A setting, flag or combination of settings is not usable."""


class DataError(ToxitraceError):
    """A data file or a row of it is not usable; the message names file and line."""


class ModelError(ToxitraceError):
    """A model folder, export or hub name cannot be loaded or does not fit."""


class LLMError(ToxitraceError):
    """A language-model service gave no usable answer."""


class MissingExtraError(ToxitraceError):
    """A feature needs packages that the base install leaves out."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed; this needs the '{extra}' extra: pip install \"toxitrace[{extra}]\""
        )
