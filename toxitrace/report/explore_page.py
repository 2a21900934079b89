"""What an exploration found, for those who run it: a standalone page of tables and posts. Everything is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from toxitrace.report.html import fragment, page_head
from toxitrace.report.side_by_side import Table, table_html
from toxitrace.report.visible import visible
from toxitrace.types import Span

_STYLE = """
table { border-collapse: collapse; margin: 1rem 0 } caption { text-align: left; font-weight: bold }
th, td { padding: .1rem .8rem .1rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #8884;
         overflow-wrap: anywhere }
""".strip()


@dataclass(frozen=True, slots=True)
class FoundPost:
    """A post to be shown: its texts are cut by whoever makes it."""

    id: str
    note: str
    text: str
    spans: Sequence[Span]


def explore_page(title: str, tables: Iterable[Table], posts: Sequence[FoundPost], n_more: int = 0) -> str:
    """A page without scripts and without anything from elsewhere.

    Args:
        tables: shown in their order.
        posts: hidden until the reader opens them.
        n_more: posts that are left out, for the record.
    """
    pieces = [page_head(title).replace("</head>", f"<style>\n{_STYLE}\n</style>\n</head>")]
    pieces += [table_html(table) for table in tables]
    if posts:
        more = f", {n_more} more in the review list" if n_more else ""
        pieces.append(f"<details><summary>{len(posts)} posts{more}; the texts are offensive</summary>\n")
        pieces += [_post(post) for post in posts]
        pieces.append("</details>\n")
    return "".join([*pieces, "</body>\n</html>\n"])


def excerpt(text: str, spans: Sequence[tuple[int, int, float]], max_chars: int) -> tuple[str, list[Span]]:
    """A text cut to what surrounds its first span, with the spans that are left of it.

    Args:
        spans: half-open offsets with scores.
        max_chars: longest excerpt, without the ellipses.

    >>> excerpt("天" * 9 + "笨蛋" + "天" * 9, [(9, 11, 0.9)], 4)
    ('…天笨蛋天…', [Span(start=2, end=4, text='笨蛋', score=0.9)])
    """
    if len(text) <= max_chars:
        return text, [Span.of(text, start, end, score) for start, end, score in spans]
    first, last = (spans[0][0], spans[0][1]) if spans else (0, 0)
    begin = max(0, min((first + last - max_chars) // 2, len(text) - max_chars))
    begin = min(begin, first)
    end = begin + max_chars
    shown = f"{'…' if begin else ''}{text[begin:end]}{'…' if end < len(text) else ''}"
    shift = begin - bool(begin)
    cut = [(max(s, begin) - shift, min(e, end) - shift, score) for s, e, score in spans if s < end and e > begin]
    return shown, [Span.of(shown, s, e, score) for s, e, score in cut]


def _post(post: FoundPost) -> str:
    return (
        f'<article class="toxic"><div class="verdict">{_escaped(post.id)} · {_escaped(post.note)}</div>'
        f'<div class="text">{fragment(post.text, post.spans)}</div></article>\n'
    )


def _escaped(text: str) -> str:
    return html.escape(visible(text))
