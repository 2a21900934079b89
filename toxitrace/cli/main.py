"""``toxitrace COMMAND``: choose a command, run it, turn what went wrong into one line and an exit code."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any, Protocol

# The whole command line on one screen: command -> (module, what it does). A module has
# ``build_parser() -> jsonargparse.ArgumentParser`` and ``run(config) -> int`` and is imported when chosen.
COMMANDS: dict[str, tuple[str, str]] = {
    "predict": ("toxitrace.cli.predict", "score texts and mark their toxic words"),
    "train": ("toxitrace.cli.train", "train a model on labelled texts"),
    "pretrain": ("toxitrace.cli.pretrain", "pre-train an encoder on plain text"),
    "evaluate": ("toxitrace.cli.evaluate", "measure a model, tune its thresholds"),
    "export": ("toxitrace.cli.export", "write a model as ONNX, to run without torch"),
    "annotate": ("toxitrace.cli.annotate", "have a language model mark evidence, and compare"),
    "explore": ("toxitrace.cli.explore", "find more toxic items by search queries"),
    "expand": ("toxitrace.cli.expand", "expand queries, train a dense retriever"),
    "info": ("toxitrace.cli.info", "show versions, models and hardware"),
}

DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class Command(Protocol):
    """What a command's module offers."""

    def build_parser(self) -> Any:
        """The command's ``jsonargparse.ArgumentParser``."""
        ...

    def run(self, config: Any) -> int:
        """Do the work and return the exit code."""
        ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 done, 1 failed, 2 wrong usage, 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    flags = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = "--debug" in flags
    if debug:
        arguments.remove("--debug")
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except SystemExit as stop:  # argparse's own exits, 0 after --help
        return stop.code if isinstance(stop.code, int) else FAILED
    except BrokenPipeError:
        # The reader of a pipe left (`| head`). Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        if debug:
            raise
        return _complain("interrupted", INTERRUPTED)
    except Exception as error:
        if debug:
            raise
        return _explain(error)


def _dispatch(arguments: list[str]) -> int:
    if not arguments:
        sys.stderr.write(_usage())
        return USAGE
    name, *rest = arguments
    if name in ("-h", "--help"):
        sys.stdout.write(_usage())
        return DONE
    if name == "--version":
        from toxitrace import __version__

        sys.stdout.write(f"toxitrace {__version__}\n")
        return DONE
    if name not in COMMANDS:
        close = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"expected one of: {', '.join(COMMANDS)}"
        return _complain(f"unknown command '{name}'; {hint}", USAGE)
    command: Command = importlib.import_module(COMMANDS[name][0])
    parser = command.build_parser()
    parser.exit_on_error = False  # its own way out prints the whole usage above the message
    try:
        config = parser.parse_args(rest)
    except argparse.ArgumentError as error:
        return _complain(f"{error}; see toxitrace {name} --help", USAGE)
    return command.run(config)


def _explain(error: Exception) -> int:
    from toxitrace.errors import ConfigError, ToxitraceError

    if isinstance(error, ConfigError):
        return _complain(str(error), USAGE)
    if isinstance(error, ToxitraceError):
        return _complain(str(error), FAILED)
    if isinstance(error, OSError) and error.strerror:
        return _complain(f"{error.strerror}: {error.filename}" if error.filename else error.strerror, FAILED)
    return _complain(f"unexpected {type(error).__name__}: {error} (run with --debug to see where)", FAILED)


def _complain(message: str, code: int) -> int:
    sys.stderr.write(f"toxitrace: error: {' '.join(message.split())}\n")
    return code


def _usage() -> str:
    lines = [f"  {name:<10}{purpose}" for name, (_, purpose) in COMMANDS.items()]
    return (
        "usage: toxitrace [--debug] COMMAND ...\n\n"
        "Tells whether a Chinese text is toxic, which words make it so, and where more of it hides.\n\n"
        "commands:\n" + "\n".join(lines) + "\n\n"
        "options:\n  --help    show this, or with COMMAND its options\n  --version show the version\n"
        "  --debug   show the traceback of an error\n\n"
        "Example: toxitrace predict 闭上你的臭嘴\n"
    )
