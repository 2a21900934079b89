"""From a folder, a hub name or nothing at all to a ready detector."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from toxitrace.detector.detector import Detector
from toxitrace.detector.onnx_backend import CLASSIFIER_FILE, MODEL_FILE, OnnxBackend
from toxitrace.detector.openvino_backend import OpenVINOBackend
from toxitrace.detector.torch_backend import WEIGHTS_FILE, load_torch_backend
from toxitrace.errors import ConfigError, ModelError
from toxitrace.settings import SETTINGS_FILE, ModelSettings, load_settings
from toxitrace.text import TextTokenizer, WordList
from toxitrace.text.tokenize import TOKENIZER_FILE
from toxitrace.text.words import WORDS_FILE

if TYPE_CHECKING:
    from toxitrace.detector.backend import Backend

BackendName = Literal["auto", "onnx", "openvino", "torch"]

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_FILES = (SETTINGS_FILE, TOKENIZER_FILE, "config.json", MODEL_FILE, CLASSIFIER_FILE, WEIGHTS_FILE, WORDS_FILE)


def load(
    model: str | os.PathLike[str] | None = None,
    *,
    backend: BackendName | Backend = "auto",
    threshold: float | None = None,
    threads: int | None = None,
) -> Detector:
    """Load a detector.

    Args:
        model: a model or export folder, or a hub name; None takes the model shipped with the package.
        backend: ``auto`` runs an export with onnxruntime if the folder has one, else the weights with torch;
            ``openvino`` runs an export faster and less exactly, in bf16 where the processor has it. A `Backend` of
            your own runs the weights wherever it likes; of the folder only tokenizer, settings and words are read,
            and ``threads`` is its own affair.
        threshold: calibrated probability from which a text is toxic; None takes the model's own.
        threads: CPU threads; None lets the backend take the cores it may use.

    Raises:
        ModelError: there is no such model, or a file of it is missing or damaged.
        MissingExtraError: what the backend needs (torch, openvino) is not installed.
        ConfigError: ``threshold``, ``threads`` or ``backend`` is out of range.
    """
    if threads is not None and threads < 1:
        raise ConfigError(f"threads is {threads}; expected 1 or more")
    folder = find_model(model)
    settings = load_settings(folder)
    chosen = choose_backend(folder, backend) if isinstance(backend, str) else backend
    tokenizer = TextTokenizer.load(folder, settings.fold)
    runner = _runner(chosen, folder, settings, tokenizer, threads) if isinstance(chosen, str) else chosen
    words = WordList.load(folder, tokenizer.raw.get_vocab()) if settings.word_share else None
    return Detector(runner, tokenizer, settings, threshold, words=words)


def _runner(
    chosen: Literal["onnx", "openvino", "torch"],
    folder: Path,
    settings: ModelSettings,
    tokenizer: TextTokenizer,
    threads: int | None,
) -> Backend:
    quantised = settings.notes.get("export", {}).get("precision") == "int8"  # the forward-only graph alone
    if chosen == "onnx":
        return OnnxBackend(folder, threads, margins_agree=not quantised)
    if chosen == "torch":
        return load_torch_backend(folder, settings.saliency, threads)
    if quantised:
        raise ConfigError(f"{folder} is an int8 export, made for onnxruntime; use --backend onnx, or export fp32")
    return OpenVINOBackend(folder, tokenizer.vocab_size, threads)


def choose_backend(folder: Path, backend: BackendName = "auto") -> Literal["onnx", "openvino", "torch"]:
    """Which backend runs the folder's model.

    Raises:
        ModelError: the folder has no weights that the backend could run.
        ConfigError: there is no backend of that name.
    """
    files: dict[Literal["onnx", "openvino", "torch"], str] = {
        "onnx": MODEL_FILE,
        "openvino": MODEL_FILE,
        "torch": WEIGHTS_FILE,
    }
    if backend not in ("auto", *files):
        raise ConfigError(f"backend is {backend!r}; expected auto, {', '.join(files)}")
    for name, file in files.items():
        if backend in ("auto", name) and (folder / file).is_file():
            return name
    if backend == "torch" and (folder / MODEL_FILE).is_file():
        raise ModelError(f"{folder} is an export, which torch does not run; name the model it was made from")
    wanted = " nor ".join(dict.fromkeys(files.values())) if backend == "auto" else files[backend]
    raise ModelError(f"{folder} has no {wanted}; point to a folder that `toxitrace train` or `toxitrace export` wrote")


def find_model(model: str | os.PathLike[str] | None = None) -> Path:
    """The folder of a model, fetched from the hub if ``model`` is a hub name.

    Raises:
        ModelError: nothing is found under that name.
    """
    if model is None:
        folder = default_model()
        if folder is None:
            raise ModelError(
                "this installation has no default model: train one with `toxitrace train --config ...`, "
                "then name its folder (`--model DIR`, toxitrace.load(DIR))"
            )
        return folder
    path = Path(model)
    if path.is_dir():
        return path
    if path.exists():
        raise ModelError(f"{path} is a file; expected the folder of a model")
    if isinstance(model, str) and _HUB_NAME.fullmatch(model):
        return _fetch(model)
    raise ModelError(f"{os.fspath(model)!r} does not exist; expected the folder of a model, or a hub name OWNER/NAME")


def default_model() -> Path | None:
    """The folder of the shipped model: inside the package, or ``exports/default`` of a checkout; None if absent."""
    package = Path(str(resources.files("toxitrace")))
    candidates = (package / "default_model", package.parent / "exports" / "default")
    return next((folder for folder in candidates if (folder / SETTINGS_FILE).is_file()), None)


def fingerprint(folder: Path) -> str:
    """SHA-256 over a model folder's files, names included: equal for copies, different for different models."""
    digest = hashlib.sha256()
    for name in _FILES:
        if (folder / name).is_file():
            with open(folder / name, "rb") as file:
                digest.update(f"{name}:{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return digest.hexdigest()


def _fetch(name: str) -> Path:
    missing = f"{name!r} is no folder here"
    if importlib.util.find_spec("huggingface_hub") is None:
        raise ModelError(f"{missing}; to load it from the hub: pip install huggingface_hub")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(_FILES)))
    except Exception as error:  # the hub client lets through errors of its HTTP library, which changes by version
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(f"{missing}, and the hub did not give it: {lines[0]}") from error
