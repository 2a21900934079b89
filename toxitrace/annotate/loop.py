"""Warm-up, annotation and joint training in one go (methods.md 1.1, steps 1 to 5), resumable stage by stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from toxitrace.annotate.journal import begin_meta
from toxitrace.annotate.lock import only_run
from toxitrace.annotate.loop_config import LoopConfig
from toxitrace.annotate.running import RunReport
from toxitrace.annotate.runs import annotate_rationales, annotate_spans
from toxitrace.config import LossConfig, Paths, TrainConfig
from toxitrace.errors import ConfigError, LLMError

# what may change between two sittings: it shapes no result
_MAY_CHANGE = ("output", "resume", "device", "concurrency", "max_cost", "max_requests", "timeout_seconds", "cache",
               "price_in", "price_out", "checkpoint_minutes", "workers", "tensorboard")  # fmt: skip


def run_loop(config: LoopConfig, say: Callable[[str], None]) -> Path:
    """Run every stage that is not finished yet.

    Args:
        say: told what happens, line by line.

    Returns:
        Folder of the trained model.

    Raises:
        ConfigError: the loop to be resumed had other settings, or there is a loop that is not to be resumed.
        DataError: another loop is at work in this folder.
        LLMError: the annotation ended early; what is there is kept.
    """
    folder = Path(config.output)
    folder.mkdir(parents=True, exist_ok=True)
    with only_run(folder / "loop"):
        return _run_stages(config, folder, say)


def _run_stages(config: LoopConfig, folder: Path, say: Callable[[str], None]) -> Path:
    from toxitrace.training.train import train

    spans, rationales, warmup, model = (
        folder / name for name in ("spans.jsonl", "rationales.jsonl", "warmup", "model")
    )
    if not config.resume and any(path.exists() for path in (spans, rationales, warmup, model)):
        raise ConfigError(
            f"{folder} holds a loop already{_state(model)}: --resume true goes on with what is left of it; "
            "to start over, name another --output, or remove warmup, model, spans.jsonl and rationales.jsonl from it "
            "(llm-cache.sqlite keeps the answers)"
        )
    begin_meta(folder / "loop", _flat(asdict(config)), resume=config.resume)

    say(f"1/3 warm-up, cross-entropy alone: {warmup}")
    train(warmup_config(config, warmup))

    # once the joint training has begun, its data stay as they are: rows that failed are not asked again
    if config.resume and (model / "logs").exists() and spans.exists():
        say(f"2/3 annotation: {spans} is in use by the training that goes on; nothing to do")
    else:
        say(f"2/3 annotation: {spans}")
        texts, only = config.train.data.train, _limited(config)
        report = annotate_spans(
            texts,
            spans,
            model=str(warmup),
            options=config.spans,
            refiner=config.refiner,
            which=config.rows,
            only=only,
            resume=config.resume,
        )
        _finished(report, say)
        if config.rationales.llm:
            report = annotate_rationales(texts, rationales, options=config.rationales, only=only, resume=config.resume)
            _finished(report, say)

    say(f"3/3 joint training: {model}")
    train(joint_config(config, warmup, spans, rationales, model))
    return model


def _state(model: Path) -> str:
    from toxitrace.settings import SETTINGS_FILE
    from toxitrace.training.train import UNFINISHED

    complete = (model / SETTINGS_FILE).is_file() and not (model / "logs" / UNFINISHED).exists()
    return f", which is complete (model in {model})" if complete else ", which is not complete"


def warmup_config(config: LoopConfig, output: Path) -> TrainConfig:
    """The first stage: labels alone."""
    train = config.train
    return replace(
        train,
        output=str(output),
        data=replace(train.data, rationales=Paths()),
        loss=LossConfig(grad_weight=0.0, contrast_weight=0.0, saliency=train.loss.saliency),
        schedule=replace(train.schedule, joint_epochs=0, patience=0),
        resume=config.resume,
    )


def joint_config(config: LoopConfig, warmup: Path, spans: Path, rationales: Path, output: Path) -> TrainConfig:
    """The last stage: all losses from the first step, on the warmed-up encoder and its head."""
    train = config.train
    data = replace(train.data, spans=Paths([str(spans)]))
    if config.rationales.llm:
        data = replace(data, rationales=Paths([str(rationales)]))
    return replace(
        train,
        output=str(output),
        data=data,
        encoder=replace(train.encoder, name=str(warmup)),
        schedule=replace(train.schedule, warmup_epochs=0),
        resume=config.resume,
    )


def _limited(config: LoopConfig) -> set[str] | None:
    """Ids of the training texts where only some are drawn: the others would be paid for and not used."""
    if config.train.data.limit is None:
        return None
    from toxitrace.data.load import load_labelled

    data = replace(config.train.data, rationales=Paths())
    return {example.id for example in load_labelled(data, config.train.seeds[0]).train}


def _finished(report: RunReport, say: Callable[[str], None]) -> None:
    """Go on only with a complete annotation; rows that failed for good have their clues and are counted."""
    say(", ".join(f"{n} {name}" for name, n in report.rows.items()) or "no rows")
    for remark in report.remarks:
        say(remark)
    if report.interrupted:
        say(f"interrupted: {report.n_left} texts are left; go on with --resume true")
        raise KeyboardInterrupt
    if report.reason:
        raise LLMError(f"{report.output} is not complete ({report.reason}); go on with --resume true")


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dotted names of everything that shapes the result."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if name in _MAY_CHANGE:
            continue
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = list(value) if isinstance(value, tuple) else value
    return flat
