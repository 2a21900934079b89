"""What goes wrong between this package and a search service."""

from __future__ import annotations

from toxitrace.errors import ToxitraceError


class SearchError(ToxitraceError):
    """A search engine gave no answer: the service is gone, the collection vanished, a request was refused.

    Attributes:
        retryable: whether the same search may succeed later without anything being repaired.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable
