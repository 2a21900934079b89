"""What the tasks of ``toxitrace explore`` share on the command line: flags, their checks, and how progress is shown."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser

from toxitrace.errors import ConfigError

if TYPE_CHECKING:
    from toxitrace.explore.records import SeedItem
    from toxitrace.explore.tasks.judging import Judging
    from toxitrace.search.protocol import SearchEngine

ENGINE_HELP = "bm25:FOLDER, or milvus:FILE.db or milvus:http://HOST:19530, with #COLLECTION if need be"


def add_item_flags(parser: ArgumentParser) -> None:
    """The flagged items."""
    parser.add_argument(
        "--items",
        nargs="+",
        default=[],
        metavar="FILE",
        help="flagged items: JSON lines with id, text, spans (also .xz); what toxitrace predict writes will do",
    )
    parser.add_argument("--spans", metavar="FILE", help="evidence spans joined by id, or builtin:cold-spans")
    parser.add_argument(
        "--which",
        choices=("evidence", "toxic", "all"),
        default="evidence",
        help="which rows are flagged items: those with spans, those labelled toxic, or all",
    )
    parser.add_argument("--limit", type=int, metavar="N", help="take a sample of so many items, drawn by their ids")


def add_search_flags(parser: ArgumentParser) -> None:
    """The platform: its index, and who judges what is found."""
    parser.add_argument("--engine", metavar="SPEC", help=f"the index: {ENGINE_HELP}")
    parser.add_argument(
        "--platform",
        nargs="+",
        default=[],
        metavar="FILE",
        help="the items of the index, JSON lines with id, text and label or toxic (also .xz)",
    )
    parser.add_argument(
        "--detector",
        metavar="MODEL",
        help="judges items without label: a model folder, or default for the shipped one",
    )
    parser.add_argument("--k", type=int, default=100, metavar="N", help="most results of a query")


def flagged(config: Any, seed: int) -> list[SeedItem]:
    """The items that `add_item_flags` names."""
    if not config["items"]:  # `config.items` is a method
        raise ConfigError("expected --items FILE, the flagged items")
    from toxitrace.explore.tasks.items import flagged_items, limited

    return limited(flagged_items(config["items"], spans=config.spans, which=config.which), config.limit, seed)


def opened(config: Any) -> tuple[SearchEngine, Judging]:
    """The engine and the judge that `add_search_flags` names."""
    if not config.engine:
        raise ConfigError(f"expected --engine, the index to search: {ENGINE_HELP}")
    if config.k < 1:
        raise ConfigError(f"--k is {config.k}; expected 1 or more results: raise it")
    from toxitrace.explore.tasks.judging import open_judging
    from toxitrace.search import open_engine

    return open_engine(config.engine), open_judging(config.platform, config.detector)


def search_settings(config: Any) -> dict[str, Any]:
    """What a run that goes on has to have in common with the one before."""
    from toxitrace.data.hashing import sha256_file

    platform = {path: sha256_file(path) for path in config.platform}
    return {"engine": config.engine, "platform": platform, "detector": config.detector}


def output_file(config: Any, *inputs: str) -> Path:
    """``--output``, which is neither a folder nor one of the inputs."""
    if not config.output:
        raise ConfigError("expected --output FILE, the file that receives the rows")
    output = Path(config.output)
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise ConfigError(f"--output {output} is a folder, or in a folder that does not exist; name a file")
    if output.resolve() in (Path(path).resolve() for path in inputs):
        raise ConfigError(f"--output {output} is one of the files that are read; name another file")
    return output


def say(line: str) -> None:
    """One line on stderr."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


@contextlib.contextmanager
def progress(unit: str) -> Iterator[Callable[[int, int], None]]:
    """A report on stderr, told how many rows are done of how many."""
    from toxitrace.report.progress import progress_on

    shown = progress_on(unit=unit)

    def told(n_done: int, n_all: int) -> None:
        shown.update(n_done, n_done / max(n_all, 1))

    try:
        yield told
    finally:
        shown.close()


@contextlib.contextmanager
def resumable(output: Path) -> Iterator[None]:
    """After Ctrl-C, say how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"{output}: what was done is kept; go on with --resume")
        raise
