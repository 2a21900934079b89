"""Causal language models: load any by name or folder, save one so that every tool reads it, merge adapters."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from toxitrace.errors import ModelError
from toxitrace.explore.extras import require
from toxitrace.explore.prompts import Style, chat_messages

RECORD_FILE = "explore.json"
ADAPTER_FILE = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A model with its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase

    @property
    def style(self) -> Style:
        """How prompts are written for it: ``chat`` if it has a chat template, else ``compact``."""
        return "chat" if self.tokenizer.chat_template else "compact"

    @property
    def end_ids(self) -> set[int]:
        """Tokens that end a reply: the tokenizer's and those of the model's own settings."""
        configured = self.model.generation_config.eos_token_id if self.model.generation_config else None
        several = configured if isinstance(configured, list) else [configured]
        ids = {id for id in (*several, self.tokenizer.eos_token_id) if isinstance(id, int)}
        if not ids:
            raise ModelError("the model has no token that ends a reply; expected an eos token: choose another model")
        return ids

    def prompt_ids(self, prompt: str) -> list[int]:
        """The tokens of a prompt in the model's style, up to where the reply begins."""
        tokenizer: Any = self.tokenizer
        if self.style == "compact":
            return list(tokenizer(prompt)["input_ids"])
        rendered = tokenizer.apply_chat_template(
            chat_messages(prompt), tokenize=True, add_generation_prompt=True, return_dict=True
        )
        return list(rendered["input_ids"])


def load_language_model(name: str | os.PathLike[str], *, dtype: str | None = None) -> LanguageModel:
    """Load a causal language model with its tokenizer, ready to generate.

    Args:
        name: hub name OWNER/NAME (Qwen/Qwen1.5-7B-Chat), model folder, or the folder of an adapter, which is merged
            into its base.
        dtype: number format of the weights, e.g. bfloat16; None: as stored.

    Raises:
        ModelError: there is no such model, or it is damaged.
        MissingExtraError: an adapter needs peft.
    """
    source = os.fspath(name)
    if not Path(source).exists():
        _require_hub(source)
    options: dict[str, Any] = {"dtype": dtype or "auto", "use_safetensors": True}  # weights are never pickles
    try:
        if (Path(source) / ADAPTER_FILE).is_file():
            if not (Path(source) / ADAPTER_WEIGHTS).is_file():
                raise OSError(f"no {ADAPTER_WEIGHTS}")
            require("peft")
            from peft import AutoPeftModelForCausalLM

            adapted: Any = AutoPeftModelForCausalLM.from_pretrained(source, **options)
            model = adapted.merge_and_unload()
        else:
            model = AutoModelForCausalLM.from_pretrained(source, **options)
        tokenizer = AutoTokenizer.from_pretrained(source)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first_line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(
            f"{source} cannot be loaded as a causal language model: {first_line}; expected a hub name or a folder with "
            "config.json, model.safetensors and a tokenizer: check the name"
        ) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return LanguageModel(model.eval(), tokenizer)


def _require_hub(name: str) -> None:
    """Tell a path from a hub name, and ask the hub once: its client repeats its own questions for a minute."""
    owner, slash, model = name.partition("/")
    if not slash or not owner or not model or "/" in model or owner in (".", "..", "~"):
        raise ModelError(f"{name} does not exist; expected a model folder or a hub name OWNER/NAME: check the name")
    try:
        if not isinstance(try_to_load_from_cache(name, "config.json"), str):
            get_hf_file_metadata(hf_hub_url(name, "config.json"))
    except EntryNotFoundError:
        return  # the hub answers; an adapter has no config.json
    except Exception as error:  # errors of its HTTP library come through, and that changes by version
        first_line = next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
        raise ModelError(
            f"{name} is no folder and could not be loaded from the hub ({first_line}); check the name and the network, "
            "or give a local folder"
        ) from error


def save_language_model(
    language_model: LanguageModel, folder: str | os.PathLike[str], record: Mapping[str, Any] | None = None
) -> Path:
    """Write a standard transformers folder (safetensors), with ``record`` in ``explore.json``; never half of it.

    Args:
        language_model: model and tokenizer.
        folder: made if need be; a model in it is replaced.
        record: how the model came about: settings, seed, losses, versions.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target, prefix=".writing-") as name:
        part = Path(name)
        language_model.model.save_pretrained(part)
        language_model.tokenizer.save_pretrained(part)
        note = part / RECORD_FILE
        note.write_text(json.dumps(dict(record or {}), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        for weights in part.glob("*.safetensors"):
            # safetensors makes them readable for their owner alone; who loads them may be another user
            weights.chmod(note.stat().st_mode)
        # from here until the last rename the folder holds no whole model: no mix of two
        (target / RECORD_FILE).unlink(missing_ok=True)
        for path in sorted(part.iterdir(), key=lambda p: p.name == RECORD_FILE):
            os.replace(path, target / path.name)
    return target


def merge(adapter: str | os.PathLike[str], output: str | os.PathLike[str]) -> Path:
    """Fold an adapter into its base and write the whole model, which then needs no peft.

    Args:
        adapter: folder with ``adapter_config.json``, which names the base.
        output: folder of the merged model.

    Raises:
        ModelError: the folder holds no adapter, or its base cannot be loaded.
    """
    if not (Path(adapter) / ADAPTER_FILE).is_file():
        raise ModelError(f"{adapter} holds no {ADAPTER_FILE}; expected the folder of an adapter: check the path")
    return save_language_model(load_language_model(adapter), output, {"merged_from": os.fspath(adapter)})


def sequence_log_probs(model: PreTrainedModel, input_ids: Tensor, attention_mask: Tensor, reply_mask: Tensor) -> Tensor:
    """log π(y|x): summed log-probabilities of the reply's tokens.

    Legend: B texts, T tokens.

    Args:
        input_ids, attention_mask, reply_mask: (B, T); the last is 1 on the reply.

    Returns:
        (B,)
    """
    logits = model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits  # (B, T, V)
    log_probs = torch.log_softmax(logits[:, :-1].float(), dim=-1)  # (B, T-1, V)
    picked = log_probs.gather(2, input_ids[:, 1:, None]).squeeze(2)  # (B, T-1, V) -> (B, T-1)
    return (picked * reply_mask[:, 1:]).sum(dim=1)
