"""``toxitrace explore``: flagged items -> search queries -> more toxic items -> a better writer of queries."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable
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
from toxitrace.errors import ConfigError

# task -> (its options, what it does, how)
_TASKS: dict[str, tuple[Callable[[], ArgumentParser], str, Callable[[Any], int]]] = {
    "index": (explore_data.index_parser, "make a platform's posts searchable", explore_data.index),
    "split": (explore_data.split_parser, "part flagged items for training and testing", explore_data.split),
    "queries": (explore_queries.build_parser, "have queries written for flagged items", explore_queries.run),
    "rewards": (explore_rewards.build_parser, "search for queries and judge what they find", explore_rewards.run),
    "pretrain": (explore_train.pretrain_parser, "a small language model from scratch", explore_train.pretrain),
    "sft": (explore_train.sft_parser, "train a language model on annotators' queries", explore_train.sft),
    "preferences": (explore_preferences.build_parser, "pair good queries with bad ones", explore_preferences.run),
    "dpo": (explore_train.dpo_parser, "train a language model on the pairs", explore_train.dpo),
    "merge": (explore_train.merge_parser, "fold an adapter into its base model", explore_train.merge),
    "evaluate": (explore_evaluate.build_parser, "compare sets of queries", explore_evaluate.run),
    "run": (explore_run.build_parser, "the operating loop, up to a list for reviewers", explore_run.run),
}


class _Parser(ArgumentParser):
    """Knows which task's help to name, and the flag that was probably meant."""

    def parse_args(self, args: Any = None, *more: Any, **options: Any) -> Any:
        try:
            return super().parse_args(args, *more, **options)
        except argparse.ArgumentError as error:
            words = [str(word) for word in (sys.argv[2:] if args is None else args)]
            raise ConfigError(f"{error}; {_advice(words)}") from None


def _advice(words: list[str]) -> str:
    if not words or words[0] not in _TASKS:
        return "see toxitrace explore --help"
    see = f"see toxitrace explore {words[0]} --help"
    known = [flag for flag in _TASKS[words[0]][0]()._option_string_actions if flag.startswith("--")]
    for flag in (word.partition("=")[0] for word in words if word.startswith("--")):
        if flag not in known:
            ends_alike = [other for other in known if other.endswith(f".{flag[2:]}")]
            close = ends_alike or difflib.get_close_matches(flag, known, n=1)
            return f"did you mean {close[0]}? {see}" if close else see
    return see


def build_parser() -> ArgumentParser:
    """The command's options."""
    parser = _Parser(
        prog="toxitrace explore",
        description="From flagged posts to more toxic ones (QExplorer): queries are written for the flagged posts, "
        "searched for, rewarded by what they find, and a language model learns from that to write better ones.",
        exit_on_error=False,  # main does the same, but the tasks take it over before that
    )
    # required=False: jsonargparse would complain in its own words; `run` says what is missing
    commands = parser.add_subcommands(required=False, dest="task")
    for name, (build, purpose, _) in _TASKS.items():
        commands.add_subcommand(name, build(), help=purpose)
    return parser


def run(config: Any) -> int:
    """Run one task; 1 if it ended before its rows did."""
    if not config.task:
        raise ConfigError(f"expected one of {', '.join(_TASKS)}; see toxitrace explore --help")
    return _TASKS[config.task][2](config[config.task])
