"""The trainings as whole runs: rows from files, the model they start from, and a folder that is finished or goes on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toxitrace.data.hashing import sha256_file
from toxitrace.data.rowfile import write_json
from toxitrace.errors import ConfigError, DataError
from toxitrace.explore.config import PretrainLMSettings, SmallLMSize
from toxitrace.explore.records import QueryRecord, SeedItem
from toxitrace.explore.tasks.items import flagged_items, limited, read_items
from toxitrace.explore.tasks.make_preferences import grouped
from toxitrace.explore.tasks.query_files import fingerprint, read_query_lists
from toxitrace.explore.tasks.train_config import SMALL, DPOTask, PretrainTask, SFTTask
from toxitrace.explore.training_rows import Demonstration, demonstrations, read_preferences

if TYPE_CHECKING:
    from toxitrace.explore.fitting import FitReport
    from toxitrace.explore.prompts import Style

Say = Callable[[str], None]

TASK_FILE = "task.json"
# what may differ between two sittings of one training
_FREE = ("resume", "output")


def pretrain(task: PretrainTask, say: Say) -> Path:
    """Train a small model on the texts of items."""
    folder = Path(task.output)
    if _begin(folder, task, _hashes(*task.texts), task.resume):
        say(f"{folder}: is finished")
        return folder
    report = _pretrained(list(task.texts), task.limit, folder, task.size, task.fit, say, resume=task.resume)
    say(f"{folder}: trained on {report.n_rows:,} blocks, {_course(report)}")
    return folder


def sft(task: SFTTask, say: Say) -> Path:
    """Train on D and D_cat, or on preferred replies; with ``--model small`` pre-train first."""
    from toxitrace.explore.language_model import load_language_model
    from toxitrace.explore.sft import train_sft

    folder = Path(task.output)
    if task.model != SMALL and folder.resolve() == Path(task.model).resolve():
        raise ConfigError(f"--output {folder} is the model itself; expected another folder: name one")
    inputs = (*task.items, task.queries, task.spans, *task.preferences, *task.small.texts)
    if _begin(folder, task, _hashes(*filter(None, inputs)), task.resume):
        say(f"{folder}: is finished")
        return folder
    rows_for = _preferred_rows(task) if task.preferences else _annotated_rows(task)
    model = task.model
    if model == SMALL:
        base = folder / "base"
        if not (base / "explore.json").is_file():
            texts = list(task.small.texts or task.items)
            found = _pretrained(texts, task.small.limit, base, task.small.size, task.small.fit, say, resume=task.resume)
            say(f"{base}: trained on {found.n_rows:,} blocks, {_course(found)}")
        model = str(base)
    start = load_language_model(model)
    rows = rows_for(start.style)
    report = train_sft(rows, start, folder, task.settings(), resume=task.resume, on_log=_told(say))
    say(f"{folder}: trained on {report.n_rows} rows, {report.n_too_long} too long, {_course(report)}")
    return folder


def _annotated_rows(task: SFTTask) -> Callable[[Style], list[Demonstration]]:
    """D and D_cat; the files are read at once, so that a wrong one is told before anything is trained."""
    items = flagged_items(task.items, spans=task.spans, which="all")
    annotated = read_query_lists(task.queries)
    return lambda style: demonstration_rows(items, annotated, style, task)


def _preferred_rows(task: SFTTask) -> Callable[[Style], list[Demonstration]]:
    """The replies that found more; the rejected ones play no part."""
    pairs = [pair for path in task.preferences for pair in read_preferences(path)]
    rows = [Demonstration(pair.prompt, pair.chosen, pair.item_ids, pair.style) for pair in pairs]
    return lambda style: rows


def dpo(task: DPOTask, say: Say) -> Path:
    """Train on preferences."""
    from toxitrace.explore.dpo import train_dpo
    from toxitrace.explore.language_model import load_language_model

    folder = Path(task.output)
    if folder.resolve() == Path(task.model).resolve():
        raise ConfigError(f"--output {folder} is the model itself, the reference; expected another folder: name one")
    if _begin(folder, task, _hashes(*task.preferences), task.resume):
        say(f"{folder}: is finished")
        return folder
    rows = [row for path in task.preferences for row in read_preferences(path)]
    report = train_dpo(
        rows, load_language_model(task.model), folder, task.settings(), resume=task.resume, on_log=_told(say)
    )
    margins = [log["rewards/margins"] for log in report.logs if "rewards/margins" in log]
    margin = f", margin {margins[0]:.3f} -> {margins[-1]:.3f}" if margins else ""
    say(f"{folder}: trained on {report.n_rows} pairs, {report.n_too_long} too long, {_course(report)}{margin}")
    return folder


def demonstration_rows(
    items: list[SeedItem], annotated: Mapping[str, list[str]], style: Style, task: SFTTask
) -> list[Demonstration]:
    """Rows of single items with queries, and of groups of them (D_cat).

    Raises:
        DataError: no item has queries.
    """
    with_queries = [item for item in items if annotated.get(item.id)]
    if not with_queries:
        raise DataError(
            f"{task.queries}: none of its {len(annotated)} items with queries is among the {len(items)} flagged ones; "
            "expected the queries of these items: name the right file"
        )
    records = [
        QueryRecord(item.id, query, rank) for item in with_queries for rank, query in enumerate(annotated[item.id])
    ]
    groups = [(item,) for item in with_queries] + grouped(with_queries, task.group_size, task.similarity, task.fit.seed)
    return demonstrations(groups, records, style=style, max_queries=task.max_queries)


def _pretrained(
    files: list[str],
    limit: int | None,
    folder: Path,
    size: SmallLMSize,
    fit: PretrainLMSettings,
    say: Say,
    *,
    resume: bool,
) -> FitReport:
    from toxitrace.explore.pretraining import pretrain_language_model
    from toxitrace.explore.small_lm import new_small_lm

    posts = [SeedItem(item.id, item.text) for item in read_items(files)]
    texts = [post.text for post in limited(posts, limit, fit.seed)]
    start = new_small_lm(texts, size, seed=fit.seed)
    say(f"{folder}: {len(texts):,} texts, {start.model.num_parameters():,} weights")
    return pretrain_language_model(texts, start, folder, fit, resume=resume, on_log=_told(say))


def _begin(folder: Path, task: Any, hashes: dict[str, str], resume: bool) -> bool:
    """Whether the training is finished already; else the folder notes what it is made with.

    Raises:
        ConfigError: the folder holds something, and ``resume`` is off or its settings were others.
    """
    wanted = {name: value for name, value in dataclasses.asdict(task).items() if name not in _FREE}
    now = json.loads(json.dumps({"task": type(task).__name__, **wanted, "sha256": hashes}))
    if folder.is_dir() and any(folder.iterdir()):
        if not resume:
            raise ConfigError(f"{folder} is not empty: go on with --resume true, or name another --output")
        try:
            before = json.loads((folder / TASK_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            raise ConfigError(
                f"{folder} holds no {TASK_FILE} that says how it was made; expected a folder of this task: name another"
            ) from None
        # a setting that an earlier version did not know was at its default
        before = {name: value for name, value in _defaults(task).items() if name in now} | before
        changed = sorted(name for name in {*now, *before} if now.get(name) != before.get(name))
        if changed:
            raise ConfigError(
                f"{folder} was begun with another {', '.join(changed)}: go on as it was begun, or name another --output"
            )
        return (folder / "explore.json").is_file()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / TASK_FILE, now)
    return False


def _defaults(task: Any) -> dict[str, Any]:
    """Of its simple settings, as they stand in a file."""
    simple = {one.name: one.default for one in dataclasses.fields(task) if one.default is not dataclasses.MISSING}
    return dict(json.loads(json.dumps(simple)))


def _hashes(*paths: str) -> dict[str, str]:
    return {path: fingerprint(path) if path.startswith("builtin:") else sha256_file(path) for path in paths}


def _told(say: Say) -> Callable[[Mapping[str, float]], None]:
    def told(log: Mapping[str, float]) -> None:
        if "loss" in log:
            say(f"step {log['step']:.0f}/{log['n_steps']:.0f}: loss {log['loss']:.4f}")

    return told


def _course(report: FitReport) -> str:
    losses = report.losses
    return f"{report.n_steps} steps, loss {losses[0]:.3f} -> {losses[-1]:.3f}" if losses else f"{report.n_steps} steps"
