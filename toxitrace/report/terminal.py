"""Marked text and tables for a terminal, as strings: who calls decides where they go."""

from __future__ import annotations

import io
from collections.abc import Sequence

from toxitrace.report.runs import SHADES, runs
from toxitrace.report.visible import visible
from toxitrace.types import Prediction, Span

OPEN, CLOSE = "【", "】"


def marked_text(
    text: str, spans: Sequence[Span], saliency: Sequence[float] | None = None, *, color: bool = False
) -> str:
    """Mark the toxic words of a text.

    Args:
        saliency: weight of every character in [0, 1]; shades the background when ``color`` is on.
        color: ANSI colours for a terminal; without, marked words stand in 【】.

    >>> marked_text("你真是个笨蛋", [Span.of("你真是个笨蛋", 4, 6, 0.9)])
    '你真是个【笨蛋】'
    """
    shown = visible(text)
    if not color:
        pieces = ((shown[start:end], marked) for start, end, marked, _ in runs(len(text), spans))
        return "".join(f"{OPEN}{piece}{CLOSE}" if marked else piece for piece, marked in pieces)
    pieces_of_style: list[str] = []
    for start, end, marked, shade in runs(len(text), spans, saliency):
        codes = ["1;4;38;5;203"] if marked else []
        if shade:
            codes.append(f"48;2;{40 + 120 * shade // SHADES};30;30")
        piece = shown[start:end]
        pieces_of_style.append(f"\x1b[{';'.join(codes)}m{piece}\x1b[0m" if codes else piece)
    return "".join(pieces_of_style)


def verdict_text(toxic: bool, probability: float, *, color: bool = False) -> str:
    """Verdict and probability, of equal width for both verdicts."""
    verdict = "toxic" if toxic else "clean"
    if color:
        verdict = f"\x1b[{'1;31' if toxic else '32'}m{verdict}\x1b[0m"
    return f"{verdict}  {probability:.2f}"


def prediction_line(prediction: Prediction, *, color: bool = False) -> str:
    """One line for one prediction: verdict, probability, marked text.

    >>> prediction_line(Prediction("早上好", False, 0.02))
    'clean  0.02  早上好'
    """
    verdict = verdict_text(prediction.toxic, prediction.probability, color=color)
    marked = marked_text(prediction.text, prediction.spans, color=color)
    return f"{verdict}  {marked}{'  (truncated)' if prediction.truncated else ''}"


def table(
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    title: str | None = None,
    color: bool = False,
    width: int | None = None,
) -> str:
    """Draw a table; columns of numbers are set flush right, floats with four digits.

    Args:
        rows: cells in the order of ``columns``; anything with a ``str``; None shows as a dash.
        width: characters a line may have; None takes what the table needs.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        cells = [row[index] for row in rows]
        numeric = any(cells) and all(cell is None or isinstance(cell, (int, float)) for cell in cells)
        drawn.add_column(visible(column), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        # Text objects: a cell such as "[red]" is data, never markup.
        drawn.add_row(*(Text(_cell(cell)) for cell in row))
    screen = io.StringIO()
    console = Console(
        file=screen, force_terminal=color, no_color=not color, width=width or 10_000, legacy_windows=False
    )
    console.print(drawn)
    return screen.getvalue().rstrip("\n")


def _cell(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:.4f}"
    return visible(str(cell), keep_lines=True)
