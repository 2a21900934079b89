"""``toxitrace explore run``: flagged items -> queries -> more toxic items, again and again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from toxitrace.cli.settings_parser import build_config, settings_parser
from toxitrace.errors import ConfigError
from toxitrace.explore.operate.config import OperateConfig

if TYPE_CHECKING:
    from toxitrace.explore.operate.sitting import Tools

_DESCRIPTION = (
    "Write queries for flagged items, search, score what is found, and hand the most suspicious posts to reviewers. "
    "The store in --output remembers everything: the same command goes on where it was stopped or killed."
)


def build_parser() -> ArgumentParser:
    """The task's options."""
    return settings_parser("explore run", _DESCRIPTION, OperateConfig)


def run(namespace: Namespace) -> int:
    """One sitting; 1 if it ended early, with a line that says what is left."""
    config = build_config(namespace, OperateConfig)
    if not config.flagged:
        raise ConfigError("expected --flagged FILE, items that `toxitrace predict` or reviewers found toxic")
    if not config.engine:
        raise ConfigError("expected --engine bm25:FOLDER or milvus:FILE.db; `toxitrace explore index` makes them")
    if not config.items:
        raise ConfigError("expected --items FILE, the texts of the indexed items")
    if config.dry_run:
        return _show_plan(config)
    from toxitrace.explore.operate.sitting import run_sitting
    from toxitrace.report.progress import progress_on

    tools = _open(config)
    shown = progress_on(unit="searches")
    try:
        ending = run_sitting(
            config,
            tools,
            say=_say,
            progress=lambda n_done, n_left: shown.update(n_done, n_done / (n_done + n_left)),
        )
    finally:
        shown.close()
    left = f"{ending.n_seeds_left} flagged items without queries and {ending.n_searches_left} searches are left"
    if ending.interrupted:
        _say(f"interrupted: {left}: the same command goes on")
        raise KeyboardInterrupt
    if not ending.complete:
        _say(f"ended early: {ending.reason}; {left}: {ending.advice}")
        return 1
    if ending.n_seeds_left or ending.n_searches_left:
        _say(f"--max_searches {config.max_searches} is reached; {left}: the same command goes on")
    return 0


def _show_plan(config: OperateConfig) -> int:
    from toxitrace.explore.operate.sitting import plan_sitting

    if config.llm_url:
        from toxitrace.explore.operate.own_flags import own_flags
        from toxitrace.llm.open import checked_url

        try:
            checked_url(config.llm_url)
        except ConfigError as error:
            raise ConfigError(own_flags(str(error))) from error
    plan = plan_sitting(config, _open(config))
    queries = "as many queries as the language model gives" if plan.n_queries is None else f"{plan.n_queries} queries"
    more = " and those of the new queries" if plan.n_queries is None else ""
    n = plan.n_searches if config.max_searches is None else min(plan.n_searches, config.max_searches)
    pace = f" at most {config.queries_per_second:g} a second" if config.queries_per_second else ""
    sys.stdout.write(
        f"round {plan.round}: {queries} for {plan.n_seeds} flagged items by {config.generator}, "
        f"{n} searches{more}{pace}\n"
    )
    return 0


def _open(config: OperateConfig) -> Tools:
    from toxitrace.detector.loading import find_model, fingerprint, load
    from toxitrace.explore.operate.sitting import Tools, index_mark
    from toxitrace.search.open import open_engine

    engine = open_engine(config.engine)
    folder = find_model(config.model)
    detector = load(folder, threshold=config.threshold)
    return Tools(engine, index_mark(config.engine, engine, config.index_version), detector, fingerprint(folder))


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
