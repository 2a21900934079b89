"""What a task reads: looked for before anything is computed, so that one message names all that is missing.

Seconds instead of the half hour after which a later stage would find that its model is not there. No torch here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from toxitrace.errors import ConfigError, DataError
from toxitrace.expand.asking import LOCAL
from toxitrace.expand.beir import check_retrieval_files
from toxitrace.expand.config import RunConfig
from toxitrace.expand.counted import counted
from toxitrace.expand.retriever_settings import RETRIEVER_FILE

REPLAY = "replay:"
_MODEL_FILES = ("config.json", "modules.json", "adapter_config.json")
# where the recipes write: never the owner of a model on the hub
_OWN_FOLDERS = ("runs", "checkpoints", ".", "..", "~", "")
_MAKE_LM = "toxitrace explore pretrain --texts FILE.jsonl --output {}"
_MAKE = {
    "--encoder": "toxitrace pretrain --config configs/pretrain-small.yaml --texts FOLDER --repeat '{{}}' --output {}",
    "--retriever": "toxitrace expand train-retriever --config configs/expand-retriever.yaml --output {}",
    "--lm": _MAKE_LM,
    "--ask.llm": _MAKE_LM,
}


def check_inputs(data: str, split: str, flag: Literal["--encoder", "--retriever"], name: str) -> None:
    """Whether the set and the encoder that a task reads are there.

    Raises:
        DataError: names everything that is not, with what makes it.
    """
    _require([*_sets(data, [split]), *_folder(flag, name)])
    _require(_on_hub(flag, name))


def check_run_inputs(config: RunConfig) -> None:
    """Whether all that the stages of `toxitrace expand run` read is there; what only finished stages read may be gone.

    Raises:
        DataError: names everything that is missing, each with what makes it.
        ConfigError: nobody is named who writes the expansions.
    """
    output = Path(config.output)
    tunes = config.trained_lm is not None and not lm_is_trained(output)
    asked = config.ask.llm or ""
    encoder = config.encoder if tunes or not retriever_is_trained(output) else None
    lm = config.lm if tunes else None
    missing = _sets(config.data, (config.train_split, config.test_split))
    if encoder:
        missing += _folder("--encoder", encoder)
    if tunes or config.trained_lm is None:
        missing += _writer(asked)
    if lm and asked != f"{LOCAL}{lm}":
        missing += _folder("--lm", lm)
    _require(missing)
    if not asked and (tunes or config.trained_lm is None):
        raise ConfigError(
            "no language model is named; expected --ask.llm local:FOLDER, openai:MODEL, gemini:MODEL, ..."
        )
    named = {"--encoder": encoder, "--lm": lm}
    _require(complaint for flag, name in named.items() if name for complaint in _on_hub(flag, name))


def lm_is_trained(output: str | os.PathLike[str]) -> bool:
    """Whether DPO of the run in this folder is finished."""
    return (Path(output) / "lm-dpo" / "explore.json").is_file()  # written last


def retriever_is_trained(output: str | os.PathLike[str]) -> bool:
    """Whether the retriever of the run in this folder is finished."""
    return (Path(output) / "retriever" / RETRIEVER_FILE).is_file()


def _require(missing: Iterable[str]) -> None:
    found = list(dict.fromkeys(missing))  # two splits of a folder that is not there are one complaint
    if not found:
        return
    told = found[0] if len(found) == 1 else "; ".join(f"({n}) {each}" for n, each in enumerate(found, 1))
    raise DataError(f"{counted(len(found), 'input is', 'inputs are')} missing, nothing was begun: {told}")


def _sets(data: str, splits: Iterable[str]) -> list[str]:
    missing = []
    for split in splits:
        try:
            check_retrieval_files(data, split)
        except DataError as error:
            missing.append(f"--data: {error} (configs/expand-beir.yaml says where sets are had)")
    return missing


def _writer(asked: str) -> list[str]:
    if asked.startswith(LOCAL):
        folder = asked.removeprefix(LOCAL)
        return [] if _is_model(folder) else [_not_there("--ask.llm", folder)]
    if asked.startswith(REPLAY) and not Path(asked.removeprefix(REPLAY).strip()).is_file():
        return [f"--ask.llm {asked}: no such file; --ask.record FILE with a service writes one"]
    return []


def _folder(flag: str, name: str) -> list[str]:
    """A complaint if the name can only be a folder, and there is no model in it."""
    return [] if _is_model(name) or _may_be_on_hub(name) else [_not_there(flag, name)]


def _on_hub(flag: str, name: str) -> list[str]:
    """A complaint if the name is no folder and the hub does not give it either; the hub is asked once."""
    if _is_model(name):
        return []
    try:
        from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
        from huggingface_hub.errors import EntryNotFoundError
    except ImportError:
        return []  # the stage that needs it names the extra
    try:
        if not isinstance(try_to_load_from_cache(name, "config.json"), str):
            get_hf_file_metadata(hf_hub_url(name, "config.json"))
    except EntryNotFoundError:
        return []  # the model is there, with other files
    except Exception as error:  # errors of its HTTP library come through, and that changes by version
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)[:200]
        return [f"{_not_there(flag, name)}; nor does the hub give a model of this name ({reason})"]
    return []


def _is_model(folder: str) -> bool:
    return any((Path(folder) / name).is_file() for name in _MODEL_FILES)


def _may_be_on_hub(name: str) -> bool:
    owner, slash, model = name.partition("/")
    if Path(name).exists() or "/" in model:
        return False
    return not slash or (model != "" and owner not in _OWN_FOLDERS)


def _not_there(flag: str, folder: str) -> str:
    state = "the folder holds no finished model" if Path(folder).is_dir() else "no such folder"
    return f"{flag} {folder}: {state}; `{_MAKE[flag].format(folder)}` makes one"
