"""``toxitrace explore``: flagged items -> search queries -> more toxic items -> a better writer of queries."""

from __future__ import annotations

from typing import Any

from jsonargparse import ArgumentParser

from toxitrace.cli import (
    explore_data,
    explore_evaluate,
    explore_preferences,
    explore_queries,
    explore_rewards,
    explore_run,
    explore_train,
)
from toxitrace.cli.tasks import Task, run_task, tasks_parser

_TASKS = {
    "index": Task(explore_data.index_parser, "make a platform's posts searchable", explore_data.index),
    "split": Task(explore_data.split_parser, "part flagged items for training and testing", explore_data.split),
    "queries": Task(explore_queries.build_parser, "have queries written for flagged items", explore_queries.run),
    "rewards": Task(explore_rewards.build_parser, "search for queries and judge what they find", explore_rewards.run),
    "pretrain": Task(explore_train.pretrain_parser, "a small language model from scratch", explore_train.pretrain),
    "sft": Task(explore_train.sft_parser, "train a language model on annotators' queries", explore_train.sft),
    "preferences": Task(explore_preferences.build_parser, "pair good queries with bad ones", explore_preferences.run),
    "dpo": Task(explore_train.dpo_parser, "train a language model on the pairs", explore_train.dpo),
    "merge": Task(explore_train.merge_parser, "fold an adapter into its base model", explore_train.merge),
    "evaluate": Task(explore_evaluate.build_parser, "compare sets of queries", explore_evaluate.run),
    "run": Task(explore_run.build_parser, "the operating loop, up to a list for reviewers", explore_run.run),
}


def build_parser() -> ArgumentParser:
    """The command's options."""
    return tasks_parser(
        "explore",
        "From flagged posts to more toxic ones (QExplorer): queries are written for the flagged posts, searched for, "
        "rewarded by what they find, and a language model learns from that to write better ones.",
        _TASKS,
    )


def run(config: Any) -> int:
    """Run one task; 1 if it ended before its rows did."""
    return run_task(config, "explore", _TASKS)
