"""A causal language model on this machine, asked like a service, but with a seed for every draw.

The draws of one question go through the model together: one batch, one cache of keys and values, and a random
generator of its own for each draw, so that no draw depends on what is sampled beside it.

Legend: B draws, T tokens, V vocabulary.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toxitrace.errors import ConfigError, LLMError, ModelError
from toxitrace.expand.fingerprint import model_fingerprint
from toxitrace.expand.prompts import rendered_prompt
from toxitrace.explore.extras import require
from toxitrace.llm.protocol import LLMReply, LLMRequest

if TYPE_CHECKING:
    from torch import Tensor


class LocalLM:
    """A causal language model in a folder; an `LLMClient`, and faster by `sample`.

    Args:
        folder: one that `toxitrace.explore.language_model` loads: a small one of ours, or any of transformers.
        top_p: only the most probable tokens that together reach this probability are drawn from.
        device: of torch.

    Raises:
        ModelError: the folder is missing or unusable.
        MissingExtraError: torch or transformers is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str], *, top_p: float = 0.9, device: str = "cpu") -> None:
        if not 0 < top_p <= 1:
            raise ConfigError(f"top_p is {top_p}; expected a share in (0, 1]")
        if not Path(folder).is_dir():
            raise ModelError(f"{folder} does not exist; expected the folder of a causal language model")
        require("torch", "transformers")
        from toxitrace.explore.language_model import load_language_model

        loaded = load_language_model(folder)
        self._tokenizer: Any = loaded.tokenizer
        self._lm: Any = loaded.model.to(device)  # type: ignore[arg-type]
        self._ends = loaded.end_ids
        self._top_p = top_p
        self._device = device
        self._context = int(getattr(self._lm.config, "max_position_embeddings", 0) or 1 << 20)
        self._name = f"local:{Path(folder).resolve().name}@{model_fingerprint(folder)}"

    @property
    def model(self) -> str:
        """Name of the folder and hash of its contents: the model before DPO and after are two models."""
        return self._name

    def complete(self, request: LLMRequest) -> LLMReply:
        """One draw; ``request.sample`` is its seed."""
        return self.sample([request])[0]

    def sample(self, requests: Sequence[LLMRequest]) -> list[LLMReply]:
        """Draws of one question, which may differ in temperature and seed alone; temperature 0 takes the likeliest.

        Raises:
            LLMError: the prompt leaves no room in the model's context.
        """
        first = requests[0]
        prompt = rendered_prompt(first, self._tokenizer)
        templated = bool(getattr(self._tokenizer, "chat_template", None))
        prompt_ids: list[int] = self._tokenizer(prompt, add_special_tokens=not templated)["input_ids"]
        room = min(first.max_output_tokens, self._context - len(prompt_ids))
        if room < 1:
            raise LLMError(
                f"the prompt of {len(prompt_ids)} tokens leaves no room in the model's {self._context}; expected a "
                "shorter text or a model that reads more",
                fate="unsent",
            )
        drawn = self._draw(prompt_ids, [(r.temperature, r.sample) for r in requests], room)
        return [self._reply(tokens, room, len(prompt_ids)) for tokens in drawn]

    def _reply(self, tokens: list[int], room: int, n_prompt: int) -> LLMReply:
        ended = bool(tokens) and tokens[-1] in self._ends
        text = self._tokenizer.decode(tokens[:-1] if ended else tokens, skip_special_tokens=True)
        return LLMReply(text, "stop" if ended else "length", self.model, n_prompt, len(tokens))

    def _draw(self, prompt_ids: list[int], draws: list[tuple[float, int]], n_tokens: int) -> list[list[int]]:
        import torch

        generators = [torch.Generator().manual_seed(seed) for _, seed in draws]
        temperatures = torch.tensor([temperature for temperature, _ in draws])[:, None]  # (B, 1)
        rows: list[list[int]] = [[] for _ in draws]
        ids = torch.tensor([prompt_ids] * len(draws), device=self._device)  # (B, T)
        past: Any = None
        with torch.inference_mode():
            for _ in range(n_tokens):
                out = self._lm(input_ids=ids, past_key_values=past, use_cache=True)
                past = out.past_key_values
                logits = out.logits[:, -1].float().cpu()  # (B, T, V) -> (B, V)
                drawn = draw_tokens(logits, temperatures, self._top_p, generators)  # (B,)
                for row, token in zip(rows, drawn.tolist(), strict=True):
                    if not row or row[-1] not in self._ends:
                        row.append(token)
                if all(row[-1] in self._ends for row in rows):
                    break
                ids = drawn[:, None].to(self._device)  # (B, 1)
        return rows


def draw_tokens(logits: Tensor, temperatures: Tensor, top_p: float, generators: Sequence[Any]) -> Tensor:
    """One token for each row by nucleus sampling (Holtzman et al. 2020): (B, V), (B, 1) -> (B,).

    Args:
        temperatures: of each row; 0 takes the likeliest token.
        generators: a ``torch.Generator`` for each row; every call takes one number from each.
    """
    import torch

    greedy = temperatures <= 0  # (B, 1)
    scaled = logits / torch.where(greedy, torch.ones_like(temperatures), temperatures)
    probabilities, order = scaled.softmax(dim=-1).sort(dim=-1, descending=True, stable=True)  # (B, V)
    before = probabilities.cumsum(dim=-1) - probabilities  # what the likelier tokens reach: the first always stays
    probabilities = probabilities.masked_fill(before >= top_p, 0.0)
    reached = probabilities.cumsum(dim=-1)  # (B, V)
    points = torch.stack([torch.rand(1, generator=generator) for generator in generators])  # (B, 1)
    places = torch.searchsorted(reached, points * reached[:, -1:], right=True)  # (B, 1)
    # rounding may put a point past the end
    last = (probabilities > 0).sum(dim=-1, keepdim=True) - 1  # (B, 1)
    places = torch.where(greedy, torch.zeros_like(places), torch.minimum(places, last))
    return order.gather(1, places)[:, 0]
