from __future__ import annotations

from toxitrace.report.explore_page import FoundPost, excerpt, explore_page
from toxitrace.report.side_by_side import Table
from toxitrace.types import Span

EVIL = "<script>alert(1)</script>&\u202e\x1b\ud800"


def test_everything_on_the_page_is_escaped_and_it_can_be_encoded() -> None:
    table = Table(EVIL, (EVIL,), ((EVIL,),))
    page = explore_page(EVIL, [table], [FoundPost(EVIL, EVIL, EVIL, [Span.of(EVIL, 0, 8, 0.5)])])
    assert "<script" not in page
    assert not {"\u202e", "\x1b"} & set(page)
    page.encode("utf-8")
    assert "default-src 'none'" in page


def test_posts_are_hidden_until_they_are_opened_and_those_left_out_are_counted() -> None:
    page = explore_page("t", [], [FoundPost("a", "0.90", "笨蛋", [])], n_more=7)
    assert "<summary>1 posts, 7 more in the review list; the texts are offensive</summary>" in page
    assert "<details>" in page


def test_an_excerpt_keeps_the_spans_that_it_shows_and_cuts_those_at_its_ends() -> None:
    text = "大" * 30 + "笨蛋" + "大" * 30
    shown, spans = excerpt(text, [(28, 34, 0.9), (50, 60, 0.8)], 4)
    assert len(shown) == 6
    assert [(span.start, span.end) for span in spans] == [(1, 5)]
    assert excerpt("笨蛋", [(0, 2, 0.9)], 4) == ("笨蛋", [Span(0, 2, "笨蛋", 0.9)])
