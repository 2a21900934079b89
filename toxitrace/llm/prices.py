"""What tokens cost, in US dollars."""

from __future__ import annotations

import math
from dataclasses import dataclass

from toxitrace.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens of the question and of the reply; thinking counts as reply.

    >>> Price(1.25, 10.0).cost_usd(1000, 200)
    0.00325
    """

    input_usd: float
    output_usd: float

    def __post_init__(self) -> None:
        for flag, usd in (("--price-in", self.input_usd), ("--price-out", self.output_usd)):
            if not (math.isfinite(usd) and usd >= 0):
                raise ConfigError(f"{flag} is {usd}; expected US dollars per million tokens, 0 or more: correct it")

    def cost_usd(self, prompt_tokens: int, output_tokens: int) -> float:
        """What one request costs."""
        return (prompt_tokens * self.input_usd + output_tokens * self.output_usd) / 1e6


PRICES: dict[str, Price] = {
    "gemini-2.5-pro": Price(1.25, 10.00),
    "gemini-2.5-flash": Price(0.30, 2.50),
    "gemini-2.5-flash-lite": Price(0.10, 0.40),
}
"""List prices of the paid tier, prompts of up to 200,000 tokens, as third parties quoted Google's page in March 2026;
not read from Google itself. Prices change: check https://ai.google.dev/gemini-api/docs/pricing and override them with
``--price-in`` and ``--price-out``."""


def find_price(model: str, input_usd: float | None = None, output_usd: float | None = None) -> Price | None:
    """The price to count with: the user's own, else the list's, else None.

    Raises:
        ConfigError: only one of the two prices is given, or one is no amount of money.
    """
    if input_usd is None and output_usd is None:
        return PRICES.get(model.removeprefix("models/"))
    if input_usd is None or output_usd is None:
        missing = "--price-in" if input_usd is None else "--price-out"
        raise ConfigError(f"{missing} is missing; expected both --price-in and --price-out, or neither: add it")
    return Price(input_usd, output_usd)
