"""Preference pairs for DPO: the best and the worst expansion of a query (methods.md section 3)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from toxitrace.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class Preference:
    """One pair.

    Attributes:
        id: of the query.
        prompt: what the model was asked, exactly as it was asked.
        chosen, rejected: expansions without preamble, never equal.
        reward_chosen, reward_rejected: of which the first is the higher.
    """

    id: str
    prompt: str
    chosen: str
    rejected: str
    reward_chosen: float
    reward_rejected: float

    def __post_init__(self) -> None:
        if not self.reward_chosen > self.reward_rejected or self.chosen == self.rejected:
            raise DataError(
                f"query {self.id!r}: rewards {self.reward_chosen} and {self.reward_rejected} make no pair; expected "
                "two expansions, the chosen one with the higher reward"
            )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready row."""
        return {name: getattr(self, name) for name in self.__slots__}


def choose_pair(id: str, prompt: str, texts: Sequence[str], rewards: Sequence[float]) -> Preference | None:
    """argmax and argmin of the rewards, the first one on ties; None where no pair can be had: all rewards are equal.

    Args:
        texts: expansions without preamble; blank ones (an empty or blocked reply) are no choice.
        rewards: one for each text.

    >>> pair = choose_pair("q", "问题：猫？", ["喵", "汪", "咩"], [1.0, 0.5, 2.0])
    >>> pair.chosen, pair.rejected
    ('咩', '汪')
    """
    if len(texts) != len(rewards):
        raise DataError(f"query {id!r} has {len(texts)} expansions and {len(rewards)} rewards; expected one for each")
    places = [place for place, text in enumerate(texts) if text.strip()]
    if not places:
        return None
    best = max(places, key=lambda place: rewards[place])  # max and min keep the first of equals
    worst = min(places, key=lambda place: rewards[place])
    if not rewards[best] > rewards[worst] or texts[best] == texts[worst]:
        return None
    return Preference(id, prompt, texts[best], texts[worst], rewards[best], rewards[worst])


def split_by_group(groups: Iterable[tuple[str, str]], dev_share: float, seed: int) -> tuple[set[str], set[str]]:
    """Ids of training and development, whole groups to one side, whatever their order.

    A group's side is a hash of its name and the seed: more rows, or rows in another order, move none.

    Args:
        groups: (id, group) pairs; the group of a query is its gold document, so that no document is in both parts.
        dev_share: about this share of the groups goes to development.

    >>> train, dev = split_by_group([("q1", "d1"), ("q2", "d1"), ("q3", "d2")], 0.5, seed=1)
    >>> ("q1" in train) == ("q2" in train)
    True
    """
    if not (0 <= dev_share < 1 and math.isfinite(dev_share)):
        raise ConfigError(f"--dev-share is {dev_share}; expected a share in [0, 1): correct it")
    train: set[str] = set()
    dev: set[str] = set()
    for id, group in groups:
        digest = hashlib.sha256(f"{seed}\0{group}".encode("utf-8", "surrogatepass")).digest()
        (dev if int.from_bytes(digest[:8], "big") < dev_share * 2**64 else train).add(id)
    return train, dev
