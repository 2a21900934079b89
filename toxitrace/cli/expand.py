"""``toxitrace expand``: query expansion aligned with ranking, from candidates to a trained retriever."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser

from toxitrace.cli.quiet import quiet_training
from toxitrace.cli.settings_parser import Config, build_config, settings_parser
from toxitrace.cli.tasks import Task, run_task, tasks_parser
from toxitrace.errors import DataError
from toxitrace.expand import config as settings
from toxitrace.expand.beir import check_retrieval_files
from toxitrace.expand.counted import counted
from toxitrace.expand.inputs import check_inputs, check_run_inputs

if TYPE_CHECKING:
    from toxitrace.expand.candidates import GenerationReport, Progress
    from toxitrace.expand.report import RetrievalReport


def build_parser() -> ArgumentParser:
    """The command's options."""
    return tasks_parser(
        "expand",
        "Passages that a language model writes for a query, rewarded by how they rank, preferred and trained on "
        "(LLM-QE), and a dense retriever that searches with them. Sets are folders in BEIR's layout.",
        _TASKS,
    )


def run(config: Any) -> int:
    """Run one task; 1 if some queries are left without a row."""
    return run_task(config, "expand", _TASKS)


def _candidates(config: settings.CandidatesConfig) -> int:
    from toxitrace.expand import tasks

    with _progress() as progress:
        report = tasks.candidates(config, progress)
    return _end(report, config.output)


def _answers(config: settings.AnswersConfig) -> int:
    from toxitrace.expand import tasks

    with _progress() as progress:
        report = tasks.answers(config, progress)
    return _end(report, config.output)


def _rewards(config: settings.RewardsConfig) -> int:
    check_inputs(config.data, config.split, "--retriever", config.retriever)
    _check_files(candidates=config.candidates, answers=config.answers)
    quiet_training()
    from toxitrace.expand import tasks

    tasks.rewards(config, _say)
    return 0


def _preferences(config: settings.PreferencesConfig) -> int:
    _check_files(candidates=config.candidates, rewards=config.rewards)
    quiet_training()
    from toxitrace.expand import tasks

    tasks.preferences(config, _say)
    return 0


def _dpo(config: settings.TrainDPOConfig) -> int:
    _check_files(preferences=config.preferences)
    quiet_training()
    from toxitrace.expand import tasks

    tasks.dpo(config, _say)
    return 0


def _retriever(config: settings.TrainRetrieverConfig) -> int:
    check_inputs(config.data, config.split, "--encoder", config.encoder)
    _check_files(expansions=config.expansions)
    quiet_training()
    from toxitrace.expand import tasks

    tasks.retriever(config, _say)
    return 0


def _evaluate(config: settings.EvaluateConfig) -> int:
    check_retrieval_files(config.data, config.split)
    _check_files(expansions=config.expansions, against=config.against)
    if config.is_dense:  # keywords alone need none of the libraries that this loads
        check_inputs(config.data, config.split, "--retriever", config.retriever or "")
        quiet_training()
    from toxitrace.expand import tasks

    _show(tasks.evaluate(config, _say))
    return 0


def _run(config: settings.RunConfig) -> int:
    check_run_inputs(config)
    quiet_training()
    from toxitrace.expand import pipeline

    with _progress() as progress:
        report = pipeline.run(config, _say, progress)
    _show(report)
    return 0


# task -> (its settings, what it does, how)
def _task(name: str, kind: type[Config], purpose: str, do: Callable[[Config], int]) -> Task:
    """A task whose flags are the fields of a dataclass."""
    return Task(
        lambda: settings_parser(f"expand {name}", kind.__doc__ or purpose, kind),
        purpose,
        lambda namespace: do(build_config(namespace, kind)),
    )


_TASKS = {
    "candidates": _task(
        "candidates", settings.CandidatesConfig, "have expansions written for the queries", _candidates
    ),
    "answers": _task("answers", settings.AnswersConfig, "have answers written from the gold documents", _answers),
    "rewards": _task("rewards", settings.RewardsConfig, "rank the candidates by document and answer", _rewards),
    "preferences": _task(
        "preferences", settings.PreferencesConfig, "pair the best with the worst candidate", _preferences
    ),
    "dpo": _task("dpo", settings.TrainDPOConfig, "train a language model on the pairs", _dpo),
    "train-retriever": _task("train-retriever", settings.TrainRetrieverConfig, "train a dense retriever", _retriever),
    "evaluate": _task("evaluate", settings.EvaluateConfig, "score and compare retrieval systems", _evaluate),
    "run": _task("run", settings.RunConfig, "all of it, in one folder", _run),
}


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _check_files(**paths: str | None) -> None:
    """Before libraries are loaded, which takes long."""
    for name, path in paths.items():
        if path and not Path(path).is_file():
            raise DataError(f"--{name} {path} does not exist; expected a file: check the path")


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    """A report that counts queries, of whatever stage is under way."""
    from toxitrace.report.progress import progress_on

    shown = progress_on(unit="queries")

    def update(n_done: int, n_all: int) -> None:
        shown.update(n_done, n_done / max(n_all, 1))

    try:
        yield update
    finally:
        shown.close()


def _end(report: GenerationReport, output: str) -> int:
    without = f", {report.n_without_text} of them without a text" if report.n_without_text else ""
    _say(f"{output}: {counted(report.n_rows, 'query', 'queries')}{without}")
    if report.n_left:
        left = "1 query is" if report.n_left == 1 else f"{report.n_left} queries are"
        _say(f"{left} left ({report.reason or 'interrupted'}): go on with --resume true")
        return 1
    return 0


def _show(report: RetrievalReport) -> None:
    from toxitrace.expand.report import columns
    from toxitrace.report.terminal import table

    n_queries = next(iter(report.systems.values())).n_queries
    title = f"{report.part}, {counted(n_queries, 'query', 'queries')}"
    drawn = table(columns(), report.to_rows(), title=title, color=sys.stdout.isatty())
    sys.stdout.write("\n".join([drawn, *report.empty_lines()]) + "\n")
