"""Two markings of the same texts, for reviewers: a standalone page with tables of figures. Everything is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from toxitrace.report.html import page_head
from toxitrace.report.runs import runs
from toxitrace.report.visible import visible
from toxitrace.types import Span

_STYLE = """
table { border-collapse: collapse; margin: .5rem 0 } caption { text-align: left; font-weight: bold }
th, td { padding: .1rem .8rem .1rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #8884 }
.source { font-size: .8rem; opacity: .75; display: inline-block; min-width: 6rem }
""".strip()


@dataclass(frozen=True, slots=True)
class Table:
    """Figures for reading: cells are shown as they are given."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class TwoMarkings:
    """One text with the spans of two sources; ``note`` is what else there is to say."""

    id: str
    note: str
    text: str
    left: Sequence[tuple[int, int]]
    right: Sequence[tuple[int, int]]


def side_by_side_page(title: str, names: tuple[str, str], tables: Iterable[Table], pairs: Iterable[TwoMarkings]) -> str:
    """A page without scripts and without anything from elsewhere.

    Args:
        names: of the two sources.
        tables: shown first, in their order.
        pairs: texts, each once as either source marks it.
    """
    pieces = [page_head(title).replace("</head>", f"<style>\n{_STYLE}\n</style>\n</head>")]
    pieces += [table_html(table) for table in tables]
    pieces += [_pair(pair, names) for pair in pairs]
    return "".join([*pieces, "</body>\n</html>\n"])


def marked_html(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """A text with marked stretches as an escaped fragment.

    >>> marked_html("<你>笨蛋", [(3, 5)])
    '<bdi>&lt;你&gt;<mark>笨蛋</mark></bdi>'
    """
    shown = visible(text, keep_lines=True)
    pieces = []
    for start, end, marked, _ in runs(len(text), [Span.of(text, *span, 1.0) for span in spans]):
        piece = html.escape(shown[start:end])
        pieces.append(f"<mark>{piece}</mark>" if marked else piece)
    return f"<bdi>{''.join(pieces)}</bdi>"


def table_html(table: Table) -> str:
    """A table as an escaped fragment."""
    head = "".join(f"<th>{_escaped(column)}</th>" for column in table.columns)
    body = "".join(f"<tr>{''.join(f'<td>{_escaped(cell)}</td>' for cell in row)}</tr>\n" for row in table.rows)
    return f"<table><caption>{_escaped(table.title)}</caption>\n<tr>{head}</tr>\n{body}</table>\n"


def _pair(pair: TwoMarkings, names: tuple[str, str]) -> str:
    lines = "".join(
        f'<div class="text"><span class="source">{_escaped(name)}</span> {marked_html(pair.text, spans)}</div>'
        for name, spans in zip(names, (pair.left, pair.right), strict=True)
    )
    return f'<article><div class="verdict">{_escaped(pair.id)} · {_escaped(pair.note)}</div>{lines}</article>\n'


def _escaped(text: str) -> str:
    return html.escape(visible(text))
