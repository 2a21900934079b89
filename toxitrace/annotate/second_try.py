"""One more question where the first answer cannot be used."""

from __future__ import annotations

import threading
from collections.abc import Callable

from toxitrace.annotate.prompts import asked_text, with_error
from toxitrace.annotate.verify import InvalidReplyError
from toxitrace.llm.protocol import LLMClient, LLMReply, LLMRequest

CUT_OFF = "the answer was cut off before its end: answer more briefly"


class SecondTry:
    """Checks every reply and asks once more, with the reason, if it is not usable.

    Belongs outside the cache: the second question differs from the first, so both answers are kept, and a run that is
    repeated takes the same turns.

    Args:
        check: of a reply and the text it is about; raises `InvalidReplyError` if it cannot be used.
    """

    def __init__(self, inner: LLMClient, check: Callable[[str, str], object]) -> None:
        self._inner = inner
        self._check = check
        self._lock = threading.Lock()
        self.n_second_tries = 0

    @property
    def model(self) -> str:
        return self._inner.model

    def complete(self, request: LLMRequest) -> LLMReply:
        """The first usable reply, else the second one whatever it is; a blocked reply is final."""
        reply = self._inner.complete(request)
        if reply.finish == "blocked":
            return reply
        try:
            checked(reply, asked_text(request), self._check)
            return reply
        except InvalidReplyError as error:
            reason = str(error)
        with self._lock:
            self.n_second_tries += 1
        return self._inner.complete(with_error(request, reason))


def checked(reply: LLMReply, text: str, check: Callable[[str, str], object]) -> object:
    """What ``check`` makes of a reply that was not blocked.

    Raises:
        InvalidReplyError: it cannot be used, or it was cut off.
    """
    if reply.finish == "length":
        raise InvalidReplyError(CUT_OFF)
    return check(reply.text, text)
