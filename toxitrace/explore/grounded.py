"""Grounded decoding: tokens that would leave the item's own words get no probability.

Legend: R rows (prompts times replies), T tokens, V entries of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor

from toxitrace.explore.grounding import GroundedReplies, State


class GroundedLogits(LogitsProcessor):
    """Masks every token after which no grounded reply exists; for greedy, sampled and beam search alike.

    Args:
        replies: the grounded replies of each prompt in the batch.
        token_bytes: token id -> bytes.
        end_ids: tokens that end a reply.
        prompt_tokens: length of the padded prompts.
    """

    def __init__(
        self,
        replies: Sequence[GroundedReplies],
        token_bytes: Mapping[int, bytes],
        end_ids: Collection[int],
        prompt_tokens: int,
    ) -> None:
        self._replies = replies
        self._token_bytes = token_bytes
        self._end_ids = sorted(end_ids)
        self._prompt_tokens = prompt_tokens
        # what was written -> where that is; beams are reordered between steps, so rows are known by their tokens
        self._states: list[dict[tuple[int, ...], State | None]] = [{(): one.start} for one in replies]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(R, T), (R, V) -> (R, V) with -inf where a token is not allowed."""
        mask = torch.full_like(scores, float("-inf"))
        rows_per_prompt = len(input_ids) // len(self._replies)
        for row, written in enumerate(input_ids[:, self._prompt_tokens :].tolist()):
            mask[row, self._allowed(row // rows_per_prompt, tuple(written))] = 0.0
        return scores + mask

    def _allowed(self, prompt: int, written: tuple[int, ...]) -> list[int]:
        state = self._state(prompt, written)
        if state is None:  # ended before, or a beam that search only keeps to fill its places
            return self._end_ids
        ids, may_end = self._replies[prompt].allowed(state)
        return [*ids, *(self._end_ids if may_end else ())]

    def _state(self, prompt: int, written: tuple[int, ...]) -> State | None:
        states = self._states[prompt]
        if written not in states:
            before = self._state(prompt, written[:-1])
            spelt = self._token_bytes.get(written[-1])
            states[written] = None if before is None or spelt is None else self._replies[prompt].after(before, spelt)
        return states[written]
