"""The names that the settings of `toxitrace.llm` have as flags of ``explore run``. Pure."""

from __future__ import annotations

import re

_NAMES = {
    "--max-requests": "--ask.max_requests",
    "--max-cost": "--ask.max_cost",
    "--price-in": "--ask.price_in",
    "--price-out": "--ask.price_out",
    "--concurrency": "--ask.concurrency",
    "--llm-url": "--llm_url",
    "--llm": "--generator",
}
_FLAG = re.compile(r"--[a-z]+(?:-[a-z]+)*")


def own_flags(message: str) -> str:
    """A message of `toxitrace.llm`, whose flags are those of ``toxitrace annotate``, with the flags of this command.

    >>> own_flags("--max-requests 5 is reached: raise it to go on")
    '--ask.max_requests 5 is reached: raise it to go on'
    >>> own_flags("check the name in --llm, and --llm-url")
    'check the name in --generator, and --llm_url'
    """
    return _FLAG.sub(lambda flag: _NAMES.get(flag[0], flag[0]), message)
