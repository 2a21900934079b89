"""Marked text as HTML: a fragment for one text, a standalone page for many. Everything is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from toxitrace.report.runs import SHADES, runs
from toxitrace.report.visible import visible
from toxitrace.types import Prediction, Span

_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.6 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       display: flex; flex-direction: column }
header { order: -2 } .summary { order: -1 }
article { border-left: .3rem solid #8a8; padding: .2rem .8rem; margin: .5rem 0 } article.toxic { border-color: #c33 }
.verdict { font-size: .8rem; opacity: .75 }
.text { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; margin: 0 }
mark { background: #c333; color: inherit; border-bottom: .15rem solid #c33 }
""".strip()


def fragment(text: str, spans: Sequence[Span], saliency: Sequence[float] | None = None) -> str:
    """Mark the toxic words of a text, as HTML that can stand inside any page.

    Args:
        saliency: weight of every character in [0, 1]; sets the opacity of its background.

    >>> fragment("<你>笨蛋", [Span.of("<你>笨蛋", 3, 5, 0.9)])
    '<bdi style="white-space:pre-wrap">&lt;你&gt;<mark title="0.90">笨蛋</mark></bdi>'
    """
    shown = visible(text, keep_lines=True)
    best: dict[int, float] = {}  # character -> score of the best span over it
    for span in spans:
        best.update({i: max(span.score, best.get(i, span.score)) for i in range(span.start, span.end)})
    pieces: list[str] = []
    for start, end, marked, shade in runs(len(text), spans, saliency):
        piece = html.escape(shown[start:end])
        if shade:
            style = f"background:rgba(204,51,51,{0.6 * shade / SHADES:.2f})"
            if marked:
                style += ";text-decoration:underline 2px"
            piece = f'<span style="{style}">{piece}</span>'
        if marked:
            piece = f'<mark title="{best[start]:.2f}">{piece}</mark>'
        pieces.append(piece)
    return f'<bdi style="white-space:pre-wrap">{"".join(pieces)}</bdi>'


def page_head(title: str = "toxitrace") -> str:
    """Open a standalone page; follow with ``page_row`` for every prediction and ``page_tail``."""
    return (
        '<!DOCTYPE html>\n<html lang="zh">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(visible(title))}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>\n"
        f"<header><h1>{html.escape(visible(title))}</h1></header>\n"
    )


def page_row(record_id: object, prediction: Prediction) -> str:
    """One prediction of a page."""
    verdict = "toxic" if prediction.toxic else "clean"
    note = " · truncated" if prediction.truncated else ""
    return (
        f'<article class="{verdict}"><div class="verdict">{html.escape(visible(str(record_id)))} · {verdict} '
        f"{prediction.probability:.2f}{note}</div>"
        f'<div class="text">{fragment(prediction.text, prediction.spans)}</div></article>\n'
    )


def page_tail(n_texts: int, n_toxic: int, n_rejected: int = 0) -> str:
    """Close a page with its summary, which the page shows at the top."""
    rejected = f", {n_rejected} bad lines left out" if n_rejected else ""
    return f'<p class="summary">{n_texts} texts, {n_toxic} toxic{rejected}</p>\n</body>\n</html>\n'


def page(rows: Iterable[tuple[object, Prediction]], title: str = "toxitrace") -> str:
    """A standalone page of predictions, each with its id."""
    pieces, n_texts, n_toxic = [page_head(title)], 0, 0
    for record_id, prediction in rows:
        pieces.append(page_row(record_id, prediction))
        n_texts += 1
        n_toxic += prediction.toxic
    return "".join([*pieces, page_tail(n_texts, n_toxic)])
