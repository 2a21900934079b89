"""``toxitrace evaluate``: measure a model on labelled texts, or tune its thresholds on development data."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser

from toxitrace.errors import ConfigError, DataError, ModelError

if TYPE_CHECKING:
    from toxitrace.data.load import LabelledData
    from toxitrace.data.records import Example
    from toxitrace.evaluation import EvaluationReport
    from toxitrace.settings import ModelSettings

_TUNABLE = ("bicse", "calibration", "threshold")


def build_parser() -> ArgumentParser:
    """The command's options."""
    parser = ArgumentParser(
        prog="toxitrace evaluate",
        description="Measure verdicts, probabilities, spans and explanations with bootstrap intervals; scores are "
        "percentages in the table and shares in the JSON. With --tune, choose thresholds on development data first "
        "and store them with the model; the scores are then those of the tuned model on the data it was tuned on.",
    )
    parser.add_argument("--model", metavar="DIR", help="model folder, export folder or hub name; else the default")
    parser.add_argument("--data", nargs="+", default=[], metavar="FILE", help="labelled texts: .jsonl, .csv, ...")
    parser.add_argument("--spans", nargs="+", default=[], metavar="FILE", help="gold spans by id, if kept apart")
    parser.add_argument("--part", help="name of the data in tables; else the file names")
    parser.add_argument("--output", metavar="FILE", help="also write everything as JSON")
    parser.add_argument("--threshold", type=float, help="probability from which a text is toxic; else the model's")
    parser.add_argument("--faithfulness", action="store_true", help="mask spans and measure what that does (slower)")
    parser.add_argument(
        "--tune",
        nargs="?",
        const="all",
        choices=("all", *_TUNABLE),
        help="choose BiCSE parameters (needs gold spans; every file of --data counts alike), calibration and threshold "
        "(need labels), or one of them",
    )
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap resamples of the intervals")
    parser.add_argument(
        "--backend", choices=("auto", "onnx", "openvino", "torch"), default="auto", help="what runs the model"
    )
    parser.add_argument("--threads", type=int, help="CPU threads; else all")
    return parser


def run(config: Any) -> int:
    """Print the table, write the JSON, store tuned settings."""
    if not config.data:
        raise ConfigError("there is nothing to evaluate; name labelled texts with --data FILE")
    if config.resamples < 1:
        raise ConfigError(f"--resamples is {config.resamples}; expected 1 or more")
    if config.threshold is not None and not 0.0 <= config.threshold <= 1.0:
        raise ConfigError(f"--threshold is {config.threshold}; expected a probability from 0 to 1")
    if config.output and not Path(config.output).parent.is_dir():
        raise ConfigError(f"--output {config.output}: its folder does not exist; make it first")
    from toxitrace.assessment import assess, measure, tune
    from toxitrace.data.load import hash_sources
    from toxitrace.detector.detector import Detector
    from toxitrace.detector.loading import find_model, load
    from toxitrace.versions import package_versions

    data = _read(config.data, config.spans)
    examples = data.train
    what = _possible(config.tune, examples) if config.tune else []
    folder = find_model(config.model)
    detector = load(folder, backend=config.backend, threshold=config.threshold, threads=config.threads)
    measurement = measure(detector, examples)
    part = config.part or ", ".join(Path(path).name for path in config.data)
    hashes = hash_sources([*config.data, *config.spans])
    if config.tune:
        settings = tune(measurement, detector.settings, what, data.files)
        detector = Detector(detector.backend, detector.tokenizer, settings, config.threshold, words=detector.words)
        _store(settings, folder, part, what, hashes)
    report = assess(
        measurement,
        detector,
        part=f"{part} (tuned on it)" if config.tune else part,
        model=str(config.model or folder),
        faithfulness=config.faithfulness,
        n_resamples=config.resamples,
    )
    report.settings.update({"data_sha256": hashes, "versions": package_versions(), "backend": detector.backend.name})
    sys.stdout.write(_table(report))
    if config.output:
        Path(config.output).write_text(
            json.dumps(report.to_dict(), ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
        )
    return 0


def _read(data: list[str], spans: list[str]) -> LabelledData:
    from toxitrace.config import DataConfig, Paths
    from toxitrace.data.load import load_labelled

    return load_labelled(DataConfig(train=Paths(data), spans=Paths(spans)))


def _possible(asked: str, examples: list[Example]) -> list[Any]:
    """``all`` means whatever the data allows; a choice asked for by name must be possible."""
    if asked != "all":
        return [asked]
    labels = {example.label for example in examples}
    what = [name for name in ("calibration", "threshold") if {0, 1} <= labels]
    if any(example.spans for example in examples):
        what.append("bicse")
    if not what:
        raise DataError("--tune has nothing to go by; it needs labels of both kinds, or gold spans (--spans FILE)")
    return what


def _store(settings: ModelSettings, folder: Path, part: str, what: list[str], hashes: dict[str, str]) -> None:
    """Tuned values go into the model's own settings file, with a note of where they come from."""
    from dataclasses import replace

    from toxitrace.settings import save_settings

    tuned = dict(settings.notes.get("tuned", {}))
    tuned |= dict.fromkeys(what, part)
    known = settings.data_sha256 | hashes
    try:
        save_settings(replace(settings, notes=settings.notes | {"tuned": tuned}, data_sha256=known), folder)
    except OSError as error:
        raise ModelError(
            f"tuned settings cannot be stored in {folder}: {error.strerror}; copy the model first"
        ) from error
    sys.stderr.write(
        f"stored with {folder}: {', '.join(what)} (threshold {settings.threshold:.4f}, "
        f"bicse {settings.bicse.seed}/{settings.bicse.cliff}/{settings.bicse.floor}/{settings.bicse.gap}"
        f"/{settings.bicse.min_chars})\n"
    )


def _table(report: EvaluationReport) -> str:
    from toxitrace.report.terminal import table

    rows = []
    for section, measure, value, low, high in report.to_rows():
        counted = isinstance(value, int)
        shown = str(value) if counted else "-" if value is None else f"{100 * value:.2f}"
        interval = "" if low is None or high is None else f"{100 * low:.2f} - {100 * high:.2f}"
        rows.append((section, measure, shown, interval))
    columns = ("section", "measure", "value", "95 % interval")
    return table(columns, rows, title=f"{report.part} · {report.model}")
