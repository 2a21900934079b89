"""Export folders: ``model.onnx, classifier.onnx, tokenizer.json, toxitrace.json``, checked before they are written.

Of a model whose spans keep words whole, ``words.txt`` too.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import onnx

from toxitrace.detector.onnx_backend import CLASSIFIER_FILE, MODEL_FILE
from toxitrace.encoder import Classifier, load_classifier
from toxitrace.encoder.folder import WEIGHTS_FILE
from toxitrace.errors import ConfigError, ModelError
from toxitrace.export.graph import build_graph
from toxitrace.export.onnx import to_onnx
from toxitrace.export.precision import Precision, halve, quantise
from toxitrace.export.storage import write_pair
from toxitrace.export.verify import TOLERANCE, Differences, measure, require_exact
from toxitrace.settings import SETTINGS_FILE, ModelSettings, load_settings, save_settings
from toxitrace.text.tokenize import TOKENIZER_FILE
from toxitrace.text.words import WORDS_FILE
from toxitrace.versions import package_versions

# A protobuf file holds at most 2 GiB; some room is left for the graph.
_MAX_WEIGHT_BYTES = (1 << 31) - (1 << 26)


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote.

    Attributes:
        folder: where.
        precision: of the weights.
        n_bytes: size of each file.
        differences: from torch in double precision, measured on the written files.
    """

    folder: Path
    precision: Precision
    n_bytes: dict[str, int]
    differences: Differences


def export_model(
    model: str | os.PathLike[str], output: str | os.PathLike[str], precision: Precision = "fp32"
) -> ExportReport:
    """Turn a model folder into an export folder that runs without torch.

    The graphs are always checked in full precision first. ``fp16`` halves the files and computes in fp32;
    ``int8`` quantises the forward-only graph, ``model.onnx`` stays in fp32. What either loses is measured and noted.

    Args:
        model: a folder that ``toxitrace train`` wrote.
        output: created, or replaced if it holds an earlier export.

    Raises:
        ConfigError: ``precision`` is unknown, or ``output`` is a file or the model itself.
        ModelError: the model cannot be loaded or exported, or its graph differs from torch; nothing is written then.
    """
    source, target = Path(model), Path(output)
    if precision not in get_args(Precision):
        raise ConfigError(f"precision is {precision!r}; expected one of {', '.join(get_args(Precision))}")
    if target.exists() and not target.is_dir():
        raise ConfigError(f"--output {target} is a file; name a folder")
    if source.resolve() == target.resolve():
        raise ConfigError(f"--output {target} is the model itself; name another folder")
    if target.is_dir() and any(target.iterdir()) and not (target / SETTINGS_FILE).is_file():
        raise ConfigError(f"--output {target} holds other files and no export; name a new folder")
    settings = load_settings(source)
    if (source / MODEL_FILE).is_file() and not (source / WEIGHTS_FILE).is_file():
        raise ModelError(f"{source} is an export already; name the model folder that `toxitrace train` wrote")
    if not (source / TOKENIZER_FILE).is_file():
        raise ModelError(f"{source} has no {TOKENIZER_FILE}; train the model again, or copy the file there")
    if settings.word_share and not (source / WORDS_FILE).is_file():
        raise ModelError(f"{source} has no {WORDS_FILE}; its spans need it: make it with scripts/count_words.py")
    classifier = load_classifier(source)
    if settings.max_tokens > classifier.max_positions:
        raise ModelError(
            f"{source} reads at most {classifier.max_positions} tokens; its {SETTINGS_FILE} says {settings.max_tokens}"
        )
    n_weight_bytes = 4 * sum(parameter.numel() for parameter in classifier.parameters())
    if n_weight_bytes > _MAX_WEIGHT_BYTES:
        raise ModelError(f"{source} has {n_weight_bytes >> 20} MiB of weights; one ONNX file holds less than 2 GiB")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part_folder = tempfile.TemporaryDirectory(dir=target.parent, prefix=".exporting-")
    except OSError as error:
        raise ConfigError(f"--output {target} cannot be written: {error.strerror}; name a folder that can") from None
    with part_folder as name:
        part = Path(name)
        differences = _write_graphs(classifier, settings, precision, part)
        for file in (TOKENIZER_FILE, WORDS_FILE) if settings.word_share else (TOKENIZER_FILE,):
            shutil.copyfile(source / file, part / file)
        note = _note(part, precision, differences)
        save_settings(replace(settings, notes=settings.notes | {"export": note}), part)
        sizes = {path.name: path.stat().st_size for path in sorted(part.iterdir())}
        _publish(part, target)
    return ExportReport(target, precision, sizes, differences)


def _write_graphs(classifier: Classifier, settings: ModelSettings, precision: Precision, folder: Path) -> Differences:
    """Write both graphs and measure them; the exact ones first, whatever the precision."""
    model, forward = (
        to_onnx(build_graph(classifier, settings.calibration, settings.saliency, gradients))
        for gradients in (True, False)
    )
    write_pair(_copy(model), _copy(forward), folder)
    differences = measure(folder, classifier, settings)
    require_exact(differences)
    if precision == "fp32":
        return differences
    if precision == "fp16":
        halve(model)
        halve(forward)
    else:
        forward = quantise(forward)
    write_pair(model, forward, folder)
    differences = measure(folder, classifier, settings)
    require_exact(differences, tolerance=float("inf"))  # any loss is noted, numbers that are none are not
    return differences


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def _note(folder: Path, precision: Precision, differences: Differences) -> dict[str, Any]:
    files = [n for n in (MODEL_FILE, CLASSIFIER_FILE, TOKENIZER_FILE, WORDS_FILE) if (folder / n).is_file()]
    return {
        "precision": precision,
        "tolerance": TOLERANCE if precision == "fp32" else None,
        "differences": differences.to_dict(),
        "sha256": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files},
        "versions": package_versions(),
    }


def _publish(part: Path, target: Path) -> None:
    """Move the files over; until the last one, the settings, is there, readers see no model, never a mix of two."""
    target.mkdir(exist_ok=True)
    for name in (SETTINGS_FILE, WORDS_FILE):  # not every model has the second
        (target / name).unlink(missing_ok=True)
    for path in sorted(part.iterdir(), key=lambda path: path.name == SETTINGS_FILE):
        os.replace(path, target / path.name)
