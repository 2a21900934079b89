"""Queries from a causal language model on this machine: greedy, sampled or by beams, free or grounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList

from toxitrace.explore.config import GenerateSettings, PromptLimits, ReplyLimits
from toxitrace.explore.grounded import GroundedLogits
from toxitrace.explore.grounding import GroundedReplies, is_grounded
from toxitrace.explore.language_model import LanguageModel
from toxitrace.explore.prompts import SEPARATOR, clean, render, shown_text
from toxitrace.explore.records import SeedItem
from toxitrace.explore.replies import ParsedReply, ReplyCounts, count_replies, distinct_queries, parse_reply
from toxitrace.explore.vocabulary import TokenTrie, token_bytes


class LocalGenerator:
    """A `Generator` with a model in memory.

    Args:
        language_model: model and tokenizer; the model's device is where it computes.
        settings: how replies are drawn.
        prompt_limits: how much of an item is shown; as in training.
        reply_limits: what counts as a query.
    """

    def __init__(
        self,
        language_model: LanguageModel,
        settings: GenerateSettings | None = None,
        prompt_limits: PromptLimits | None = None,
        reply_limits: ReplyLimits | None = None,
    ) -> None:
        self._lm = language_model
        self._settings = settings or GenerateSettings()
        self._prompt_limits = prompt_limits or PromptLimits()
        self._reply_limits = reply_limits or ReplyLimits()
        self._counted: list[ParsedReply] = []
        self._token_bytes: dict[int, bytes] = {}
        if self._settings.ground:
            self._token_bytes = token_bytes(language_model.tokenizer)
            self._trie = TokenTrie(self._token_bytes)

    def queries(self, items: Sequence[SeedItem]) -> list[list[str]]:
        """See `Generator`; with several replies per item their queries in the order of the replies."""
        return [distinct_queries(replies) for replies in self.replies([(item,) for item in items])]

    def replies(self, groups: Sequence[Sequence[SeedItem]]) -> list[list[ParsedReply]]:
        """All replies to each prompt; a prompt shows one item or several (D_cat).

        The same groups and seed give the same replies; another batch size or order gives other draws.
        """
        prompts = [self._lm.prompt_ids(render(group, self._lm.style, self._prompt_limits)) for group in groups]
        order = sorted(range(len(groups)), key=lambda row: (len(prompts[row]), row))  # little padding
        found: list[list[ParsedReply]] = [[] for _ in groups]
        size = self._settings.batch_size
        for number, start in enumerate(range(0, len(order), size)):
            rows = order[start : start + size]
            texts = self._generate([prompts[row] for row in rows], [groups[row] for row in rows], number)
            for row, written in zip(rows, texts, strict=True):
                found[row] = [self._parsed(text, groups[row]) for text in written]
        self._counted += [reply for replies in found for reply in replies]
        return found

    @property
    def counts(self) -> ReplyCounts:
        """Refusals, replies without a query and dropped lines so far."""
        return count_replies(self._counted)

    def _generate(
        self, prompts: Sequence[list[int]], groups: Sequence[Sequence[SeedItem]], number: int
    ) -> list[list[str]]:
        """The replies as text, for each prompt of one batch."""
        model: Any = self._lm.model
        tokenizer: Any = self._lm.tokenizer
        input_ids, attention_mask = _left_padded(prompts, tokenizer.pad_token_id)
        n_prompt_tokens = input_ids.shape[1]
        processors = LogitsProcessorList()
        if self._settings.ground:
            replies = [GroundedReplies(self._texts(group), self._settings.ground, self._trie) for group in groups]
            processors.append(GroundedLogits(replies, self._token_bytes, self._lm.end_ids, n_prompt_tokens))
        with torch.inference_mode(), torch.random.fork_rng():
            torch.manual_seed(self._settings.seed * 1_000_003 + number)
            output = model.generate(
                input_ids=input_ids.to(model.device),
                attention_mask=attention_mask.to(model.device),
                generation_config=self._generation_config(),
                logits_processor=processors,
            )  # (B * replies, T)
        texts = tokenizer.batch_decode(output[:, n_prompt_tokens:], skip_special_tokens=True)
        n = self._settings.n_replies
        return [texts[i * n : (i + 1) * n] for i in range(len(prompts))]

    def _generation_config(self) -> GenerationConfig:
        settings = self._settings
        options: dict[str, Any] = {}
        if settings.mode == "sample":
            # 0: the whole vocabulary; transformers would otherwise cut to the 50 most probable without a word
            options = {"do_sample": True, "temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0}
        elif settings.mode == "beam":
            options = {"num_beams": max(2, settings.n_replies), "do_sample": False}
        return GenerationConfig(
            max_new_tokens=settings.max_new_tokens,
            num_return_sequences=settings.n_replies,
            pad_token_id=self._lm.tokenizer.pad_token_id,
            eos_token_id=sorted(self._lm.end_ids),
            **options,
        )

    def _parsed(self, text: str, group: Sequence[SeedItem]) -> ParsedReply:
        text = text.rstrip("\ufffd")  # a reply cut off inside a character
        ground = self._settings.ground
        if ground is None:
            return parse_reply(text, self._reply_limits)
        # no preambles or numbers to take away here; what looks like one is the item's
        lines = [clean(line) for line in text.split(SEPARATOR)]
        texts = self._texts(group)
        kept = [
            line
            for line in lines
            if any(char.isalnum() for char in line) and is_grounded(line, texts, ground.max_pieces)
        ]
        queries = tuple(dict.fromkeys(kept))[: self._reply_limits.max_queries]
        return ParsedReply(queries, n_dropped=len(lines) - len(kept))

    def _texts(self, group: Sequence[SeedItem]) -> list[str]:
        return [shown_text(item, self._prompt_limits.max_text_chars) for item in group]


def _left_padded(prompts: Sequence[list[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Token lists -> (B, T) ids and mask, padded in front, so that every reply begins at the same place."""
    n_tokens = max(len(ids) for ids in prompts)
    ids = torch.tensor([[pad_id] * (n_tokens - len(one)) + one for one in prompts])
    mask = torch.tensor([[0] * (n_tokens - len(one)) + [1] * len(one) for one in prompts])
    return ids, mask
