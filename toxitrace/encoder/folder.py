"""Model folders: read and write ``config.json, model.safetensors, tokenizer.json, toxitrace.json``.

The first two are in the layout of `transformers`, which loads the folder as well. A folder is complete once
``toxitrace.json`` is there: it is written last.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    PreTrainedModel,
)
from transformers.utils import logging as transformers_logging

from toxitrace.config import EncoderConfig
from toxitrace.encoder.char_tokenizer import SPECIAL_TOKENS
from toxitrace.encoder.classifier import Classifier
from toxitrace.encoder.scratch import fresh_classifier, scratch_config
from toxitrace.errors import ModelError
from toxitrace.settings import SETTINGS_FILE, ModelSettings, load_settings, save_settings

TOKENIZER_FILE = "tokenizer.json"
WEIGHTS_FILE = "model.safetensors"
_LABELS = {0: "non_toxic", 1: "toxic"}


def save_encoder_folder(
    model: PreTrainedModel, tokenizer: Tokenizer, settings: ModelSettings, folder: str | os.PathLike[str]
) -> None:
    """Write a model folder so that a reader never sees half of it."""
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target, prefix=".writing-") as name:
        part = Path(name)
        model.save_pretrained(part)
        tokenizer.save(str(part / TOKENIZER_FILE))
        save_settings(settings, part)
        # safetensors makes the weights readable for their owner alone; the service that loads them may be another user
        (part / WEIGHTS_FILE).chmod((part / SETTINGS_FILE).stat().st_mode)
        # until here the folder holds the earlier model; from here on, until the last rename, none: no mix of two
        (target / SETTINGS_FILE).unlink(missing_ok=True)
        for path in sorted(part.iterdir(), key=lambda p: p.name == SETTINGS_FILE):
            os.replace(path, target / path.name)


def save_classifier(
    classifier: Classifier, tokenizer: Tokenizer, settings: ModelSettings, folder: str | os.PathLike[str]
) -> None:
    """Write a trained classifier as a model folder."""
    save_encoder_folder(classifier.model, tokenizer, settings, folder)


def load_classifier(folder: str | os.PathLike[str]) -> Classifier:
    """Load a trained classifier in evaluation mode.

    Raises:
        ModelError: the folder is missing, incomplete, damaged, or holds an encoder without a trained head.
    """
    load_settings(folder)
    model, missing = _from_pretrained(str(folder), local=True)
    if missing:
        raise ModelError(
            f"{folder} lacks trained weights ({', '.join(sorted(missing)[:3])}, ...); "
            "it is an encoder, not a classifier: train one with `toxitrace train --encoder.name`"
        )
    return Classifier(model).eval()


def load_masked_lm(model: PreTrainedModel, folder: str | os.PathLike[str]) -> int:
    """Fill a masked LM with the weights of a folder that `toxitrace pretrain` wrote, in half or single precision.

    Returns:
        Tokens that those weights have seen.

    Raises:
        ModelError: the folder is missing, damaged, or holds a model of another size.
    """
    settings = load_settings(folder)
    path = Path(folder) / WEIGHTS_FILE
    try:
        weights = {name: tensor.float() for name, tensor in load_file(path).items()}
        missing, unknown = model.load_state_dict(weights, strict=False)
    except (OSError, SafetensorError, RuntimeError) as error:
        first_line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ModelError(
            f"{path} cannot be the start of this training: {first_line}; is it of another size, or cut short?"
        ) from error
    # the output layer is tied to the embeddings, which a file holds once
    if unknown or any(not name.startswith("cls.predictions.decoder.") for name in missing):
        names = ", ".join([*unknown, *missing][:3])
        raise ModelError(
            f"{path} is no masked LM of this kind ({names}, ...); expected what `toxitrace pretrain` wrote"
        )
    return int(settings.notes.get("pretraining", {}).get("tokens", 0))


def new_classifier(config: EncoderConfig, tokenizer: Tokenizer | None = None) -> tuple[Classifier, Tokenizer]:
    """An untrained head on a hub encoder, a local encoder, or an encoder from scratch.

    Args:
        config: ``name`` says which; without it ``config.scratch`` gives the size.
        tokenizer: required for an encoder from scratch, ignored otherwise.

    Raises:
        ModelError: the name is neither a folder nor reachable on the hub, or its files are damaged.
    """
    if config.name is None:
        if tokenizer is None:
            raise ModelError("an encoder from scratch needs a tokenizer made from the training text")
        bert = scratch_config(config.scratch, tokenizer.get_vocab_size())
        bert.id2label, bert.label2id = dict(_LABELS), {label: i for i, label in _LABELS.items()}
        return Classifier(fresh_classifier(bert)), tokenizer
    local = Path(config.name).is_dir()
    if not local and (Path(config.name).is_absolute() or config.name.startswith(".") or config.name.count("/") > 1):
        raise ModelError(f"encoder folder {config.name} does not exist; check --encoder.name")
    if not local:
        _require_hub(config.name)
    found = _tokenizer(config.name, local)
    model, _ = _from_pretrained(config.name, local)
    if model.config.vocab_size < found.get_vocab_size():
        raise ModelError(
            f"{config.name}: the tokenizer has {found.get_vocab_size()} entries, "
            f"the encoder only {model.config.vocab_size}; the folder mixes two models"
        )
    if model.config.max_position_embeddings < config.max_tokens:
        raise ModelError(
            f"{config.name} reads at most {model.config.max_position_embeddings} tokens; "
            f"--encoder.max_tokens is {config.max_tokens}"
        )
    return Classifier(model).train(), found  # transformers hands models over in evaluation mode, without dropout


def _require_hub(name: str) -> None:
    """One question without retries: the hub's client repeats its own for a minute where there is no network."""
    try:
        if not isinstance(try_to_load_from_cache(name, "config.json"), str):
            get_hf_file_metadata(hf_hub_url(name, "config.json"))
    except Exception as error:  # errors of its HTTP library come through, and that changes by version
        raise ModelError(_load_message(name, False, error)) from error


def _from_pretrained(name: str, local: bool) -> tuple[PreTrainedModel, set[str]]:
    """Model with a two-way head, and the names of weights that the files do not hold."""
    if local and not (Path(name) / WEIGHTS_FILE).is_file():
        raise ModelError(f"{name} has no {WEIGHTS_FILE}; weights are read from safetensors only, never from pickles")
    try:
        config = AutoConfig.from_pretrained(name, local_files_only=local)
        config.num_labels = 2
        config.id2label, config.label2id = dict(_LABELS), {label: i for i, label in _LABELS.items()}
        with _no_loading_bar():
            model, info = AutoModelForSequenceClassification.from_pretrained(
                name, config=config, local_files_only=local, use_safetensors=True, output_loading_info=True
            )
    except Exception as error:  # transformers, safetensors and the hub client each raise kinds of their own
        raise ModelError(_load_message(name, local, error)) from error
    return model.float(), set(info["missing_keys"])


@contextmanager
def _no_loading_bar() -> Iterator[None]:
    """Loading a small model takes no time; a bar for it would stand between the results on a terminal."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def _tokenizer(name: str, local: bool) -> Tokenizer:
    path = Path(name) / TOKENIZER_FILE
    try:
        if local and path.is_file():
            return Tokenizer.from_file(str(path))
        loaded: Any = AutoTokenizer.from_pretrained(name, local_files_only=local, use_fast=True)
        backend: Tokenizer = Tokenizer.from_str(loaded.backend_tokenizer.to_str())
    except Exception as error:  # as above: no common base class
        raise ModelError(_load_message(name, local, error)) from error
    if backend.get_vocab_size() <= len(SPECIAL_TOKENS):  # transformers makes such a tokenizer up where there is none
        raise ModelError(f"{name} has no vocabulary; is {TOKENIZER_FILE} or vocab.txt missing or empty?")
    return backend


def _load_message(name: str, local: bool, error: Exception) -> str:
    first_line = next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
    if local:
        return f"model folder {name} cannot be loaded: {first_line}; is a file missing or cut short?"
    return (
        f"{name} is no local folder and could not be loaded from the hub ({first_line}); "
        "check the name and the network, or give a local folder"
    )
