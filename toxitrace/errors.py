"""The errors a user can meet. A message says what was wrong, what was expected and what to do."""

from __future__ import annotations

from typing import Literal


class ToxitraceError(Exception):
    """Base of every error that toxitrace raises on purpose."""


class ConfigError(ToxitraceError):
    """A setting, flag or combination of settings is not usable."""


class DataError(ToxitraceError):
    """A data file or a row of it is not usable; the message names file and line."""


class ModelError(ToxitraceError):
    """A model folder, export or hub name cannot be loaded or does not fit."""


class LLMError(ToxitraceError):
    """A language-model service gave no usable answer; the message never holds a key or the request's text.

    Attributes:
        retryable: whether the same request may succeed later.
        retry_after_seconds: how long the service asked to wait; None: it did not say.
        fate: what became of the request: ``unsent`` never reached the service, ``refused`` was answered with an error
            status and costs nothing, ``unknown`` may have been carried out and billed.
        every_request: whether any other request would fail alike (a wrong key, an unknown model).
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        retry_after_seconds: float | None = None,
        fate: Literal["unsent", "refused", "unknown"] = "unknown",
        every_request: bool = False,
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after_seconds = retry_after_seconds
        self.fate = fate
        self.every_request = every_request


class MissingExtraError(ToxitraceError):
    """A feature needs packages that the base install leaves out."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(
            f"{package} is not installed; this needs the '{extra}' extra: pip install \"toxitrace[{extra}]\""
        )
