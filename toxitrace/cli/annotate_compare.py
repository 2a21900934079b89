"""``toxitrace annotate compare``: how two span files agree."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from toxitrace.errors import ConfigError


def build_parser() -> ArgumentParser:
    """The task's options."""
    parser = ArgumentParser(
        prog="toxitrace annotate compare",
        description="How two span files agree: characters, evidence or none, most frequent evidence, and the texts "
        "that differ most. Rows that nobody judged, where the clues stand in, are left out and counted. Texts are "
        "offensive: few are shown.",
    )
    parser.add_argument("left", metavar="A.jsonl", help="spans, or builtin:NAME")
    parser.add_argument("right", metavar="B.jsonl", help="spans, or builtin:NAME")
    parser.add_argument("--texts", nargs="+", default=[], metavar="FILE", help="the annotated texts")
    parser.add_argument("--names", nargs=2, metavar=("A", "B"), help="names of the two; else those of the files")
    parser.add_argument("--examples", type=int, default=20, help="texts that differ most to show")
    parser.add_argument("--strings", type=int, default=10, help="most frequent evidence strings to show, at most 20")
    parser.add_argument("--html", metavar="FILE", help="also write a page for reviewers")
    parser.add_argument("--json", metavar="FILE", help="also write the figures as JSON")
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap resamples of the intervals")
    return parser


def run(config: Any) -> int:
    """Print figures and the texts that differ most."""
    if config.examples < 0 or config.strings < 0 or config.resamples < 1:
        raise ConfigError("--examples and --strings are 0 or more, --resamples is 1 or more: correct them")
    for flag in ("html", "json"):
        if config[flag] and not Path(config[flag]).absolute().parent.is_dir():
            raise ConfigError(f"--{flag} {config[flag]}: its folder does not exist; make it first")
    from toxitrace.annotate.agreement import compare
    from toxitrace.annotate.agreement_tables import figures, marked, top_strings
    from toxitrace.annotate.judged import read_judged
    from toxitrace.annotate.runs import read_all
    from toxitrace.report.side_by_side import side_by_side_page
    from toxitrace.report.terminal import marked_text, table
    from toxitrace.types import Span

    names: tuple[str, str] = tuple(config.names or (Path(config.left).name, Path(config.right).name))
    (left, left_unjudged), (right, right_unjudged) = read_judged(config.left), read_judged(config.right)
    agreement = compare(
        read_all(config.texts),
        left,
        right,
        not_judged=(left_unjudged, right_unjudged),
        n_resamples=config.resamples,
    )
    tables = [figures(agreement, names)]
    if config.strings:
        tables.append(top_strings(agreement, names, config.strings))
    pairs = [marked(difference) for difference in agreement.differences[: config.examples]]
    color = sys.stdout.isatty()
    for shown in tables:
        sys.stdout.write(table(shown.columns, shown.rows, title=shown.title, color=color) + "\n\n")
    for pair in pairs:
        sys.stdout.write(f"{pair.id} · {pair.note}\n")
        for name, bounds in zip(names, (pair.left, pair.right), strict=True):
            spans = [Span.of(pair.text, *bound, 1.0) for bound in bounds]
            sys.stdout.write(f"  {name}: {marked_text(pair.text, spans, color=color)}\n")
    if config.html:
        page = side_by_side_page(f"{names[0]} and {names[1]}", names, tables, pairs)
        Path(config.html).write_text(page, encoding="utf-8")
    if config.json:
        content = {"names": names, **agreement.to_dict()}
        Path(config.json).write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return 0
