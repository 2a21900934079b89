"""Commands that hold several tasks (``toxitrace explore index``): one parser, and errors that name the right help."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jsonargparse import ArgumentParser

from toxitrace.errors import ConfigError


class Task(NamedTuple):
    """One task of a command."""

    build: Callable[[], ArgumentParser]
    """Its options."""
    purpose: str
    """One line of the command's help."""
    run: Callable[[Any], int]
    """Does it with the parsed options; returns the exit code."""


class TasksParser(ArgumentParser):
    """Knows which task's help to name, and the flag that was probably meant."""

    tasks: Mapping[str, Task]

    def parse_args(self, args: Any = None, *more: Any, **options: Any) -> Any:
        try:
            return super().parse_args(args, *more, **options)
        except argparse.ArgumentError as error:
            words = [str(word) for word in (sys.argv[2:] if args is None else args)]
            raise ConfigError(f"{error}; {_advice(words, self.tasks, self.prog)}") from None


def tasks_parser(command: str, description: str, tasks: Mapping[str, Task]) -> ArgumentParser:
    """The parser of ``toxitrace COMMAND TASK``.

    Args:
        command: its name.
        description: what it is for.
        tasks: by name, in the order of the help.
    """
    parser = TasksParser(
        prog=f"toxitrace {command}",
        description=description,
        exit_on_error=False,  # main does the same, but the tasks take it over before that
    )
    parser.tasks = tasks
    # required=False: jsonargparse would complain in its own words; `run_task` says what is missing
    commands = parser.add_subcommands(required=False, dest="task")
    for name, task in tasks.items():
        commands.add_subcommand(name, task.build(), help=task.purpose)
    return parser


def run_task(config: Any, command: str, tasks: Mapping[str, Task]) -> int:
    """Run the task that was chosen.

    Raises:
        ConfigError: none was.
    """
    if not config.task:
        raise ConfigError(f"expected one of {', '.join(tasks)}; see toxitrace {command} --help")
    return tasks[config.task].run(config[config.task])


def _advice(words: list[str], tasks: Mapping[str, Task], prog: str) -> str:
    if not words or words[0] not in tasks:
        return f"see {prog} --help"
    see = f"see {prog} {words[0]} --help"
    known = [flag for flag in tasks[words[0]].build()._option_string_actions if flag.startswith("--")]
    for flag in (word.partition("=")[0] for word in words if word.startswith("--")):
        if flag not in known:
            ends_alike = [other for other in known if other.endswith(f".{flag[2:]}")]
            close = ends_alike or difflib.get_close_matches(flag, known, n=1)
            return f"did you mean {close[0]}? {see}" if close else see
    return see
