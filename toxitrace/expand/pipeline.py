"""LLM-QE from end to end in one folder; finished stages are kept, so that a run that was stopped goes on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

from toxitrace.config import Paths
from toxitrace.data.rowfile import write_json
from toxitrace.errors import ConfigError
from toxitrace.expand import tasks
from toxitrace.expand.asking import LOCAL, AskConfig
from toxitrace.expand.beir import read_retrieval_set
from toxitrace.expand.candidates import Progress, Sampling
from toxitrace.expand.config import (
    AnswersConfig,
    CandidatesConfig,
    EvaluateConfig,
    PreferencesConfig,
    RewardsConfig,
    RunConfig,
    TrainDPOConfig,
    TrainRetrieverConfig,
)
from toxitrace.expand.counted import counted
from toxitrace.expand.inputs import lm_is_trained, retriever_is_trained
from toxitrace.expand.report import RetrievalReport

SETTINGS_FILE = "run.json"
# what may change between two sittings: it shapes no result
_MAY_CHANGE = {"concurrency", "max_requests", "max_cost", "price_in", "price_out", "timeout_seconds", "cache", "record"}


def run(config: RunConfig, say: tasks.Say, progress: Progress | None = None) -> RetrievalReport:
    """Answers -> candidates -> rewards -> pairs -> DPO -> expansions -> retriever -> evaluation.

    With a service as the writer and no ``lm``, the DPO stages are left out, and its own expansions are used. Every
    stage opens its own inputs: call `check_run_inputs` first to learn at once what is missing.

    Raises:
        ConfigError: the folder belongs to a run with other settings.
        DataError, LLMError, ModelError, MissingExtraError: of the stages.
    """
    folder = Path(config.output)
    _begin(folder, config)
    writer = config.ask
    if config.trained_lm:
        _tune_writer(config, folder, say, progress)
        writer = dataclasses.replace(config.ask, llm=f"{LOCAL}{folder / 'lm-dpo'}")
    else:
        say("no model to train by DPO (--lm): expansions are the writer's own")
    for split in (config.train_split, config.test_split):
        _write(config, writer, split, folder / f"expansions-{split}.jsonl", config.expansion, say, progress)
    trained = folder / "retriever"
    if not retriever_is_trained(folder):
        _retriever(config, folder, trained, say)
    return _evaluate(config, folder, trained, say)


def _tune_writer(config: RunConfig, folder: Path, say: tasks.Say, progress: Progress | None) -> None:
    """Stages up to DPO."""
    answers, candidates = folder / "answers.jsonl", folder / "candidates.jsonl"
    rewards, pairs, lm = folder / "rewards.jsonl", folder / "preferences.jsonl", folder / "lm-dpo"
    if lm_is_trained(folder):
        return
    data = read_retrieval_set(config.data, config.train_split)
    recorded = bool(data.answers)
    if not (recorded and answers.exists()):
        task = AnswersConfig(
            data=config.data,
            split=config.train_split,
            output=str(answers),
            recorded=recorded,
            # every recorded answer costs nothing; asked ones only for the queries that get candidates
            limit=None if recorded else config.limit,
            seed=config.sampling.seed,
            ask=config.ask,
            resume=answers.exists(),
        )
        tasks.require_rows(tasks.answers(task, progress), str(answers))
        say(f"{answers}: {'recorded in the set' if recorded else 'written by ' + str(config.ask.llm)}")
    _write(config, config.ask, config.train_split, candidates, config.sampling, say, progress)
    reward_task = RewardsConfig(
        data=config.data,
        split=config.train_split,
        candidates=str(candidates),
        answers=str(answers),
        retriever=config.encoder,
        output=str(rewards),
        gate=config.gate,
        max_tokens=config.training.max_tokens,
        device=config.training.device,
    )
    tasks.rewards(reward_task, say)
    pair_task = PreferencesConfig(
        candidates=str(candidates),
        rewards=str(rewards),
        output=str(pairs),
        dev_share=config.dev_share,
        seed=config.seed,
        lm=config.trained_lm,
    )
    tasks.preferences(pair_task, say)
    tasks.dpo(
        TrainDPOConfig(
            preferences=str(pairs), lm=config.trained_lm or "", output=str(lm), dpo=config.dpo, resume=lm.exists()
        ),
        say,
    )


def _write(
    config: RunConfig,
    ask: AskConfig,
    split: str,
    output: Path,
    sampling: Sampling,
    say: Callable[[str], None],
    progress: Progress | None,
) -> None:
    # evaluation needs an expansion for every query of its split
    limit = config.limit if split == config.train_split else None
    task = CandidatesConfig(
        data=config.data,
        split=split,
        output=str(output),
        limit=limit,
        sampling=sampling,
        ask=ask,
        resume=output.exists(),
    )
    report = tasks.candidates(task, progress)
    tasks.require_rows(report, str(output))
    say(f"{output}: {counted(report.n_rows, 'query', 'queries')}, {report.n_without_text} of them without a text")


def _retriever(config: RunConfig, folder: Path, output: Path, say: tasks.Say) -> None:
    task = TrainRetrieverConfig(
        data=config.data,
        split=config.train_split,
        encoder=config.encoder,
        output=str(output),
        expansions=str(folder / f"expansions-{config.train_split}.jsonl"),
        negatives=config.negatives,
        training=config.training,
    )
    tasks.retriever(task, say)


def _evaluate(config: RunConfig, folder: Path, trained: Path, say: tasks.Say) -> RetrievalReport:
    return tasks.evaluate(
        EvaluateConfig(
            data=config.data,
            split=config.test_split,
            systems=Paths(("bm25", "bm25-expanded", "dense", "hybrid")),
            retriever=str(trained),
            expansions=str(folder / f"expansions-{config.test_split}.jsonl"),
            output=str(folder / "report.json"),
            cache=str(folder / "vectors"),
            seed=config.seed,
            device=config.training.device,
        ),
        say,
    )


def _begin(folder: Path, config: RunConfig) -> None:
    """Note the settings of a new run, or compare those of an old one."""
    path = folder / SETTINGS_FILE
    now = json.loads(json.dumps(dataclasses.asdict(config)))
    if not path.exists():
        if folder.is_dir() and any(folder.iterdir()):
            raise ConfigError(f"{folder} holds files that are not of a run: name another --output")
        write_json(path, now)
        return
    noted = json.loads(path.read_text(encoding="utf-8"))
    for part in (now, noted):
        part["ask"] = {name: value for name, value in part["ask"].items() if name not in _MAY_CHANGE}
    changed = [name for name, value in now.items() if noted.get(name) != value]
    if changed:
        raise ConfigError(
            f"{folder} was begun with other settings of {', '.join(changed)}: go on with those, or name another folder"
        )
