from html.parser import HTMLParser

from toxitrace.report.side_by_side import Table, TwoMarkings, marked_html, side_by_side_page

HOSTILE = '<script>alert("你")</script>\u202e\x1b[2J&'


def page() -> str:
    tables = [Table(HOSTILE, (HOSTILE, "value"), ((HOSTILE, "1"),))]
    pairs = [
        TwoMarkings(HOSTILE, HOSTILE, HOSTILE, [(0, 8)], []),
        TwoMarkings("b", "", "你真是个笨蛋", [(4, 6)], [(3, 6)]),
    ]
    return side_by_side_page(HOSTILE, (HOSTILE, "B"), tables, pairs)


def test_nothing_in_a_page_is_obeyed_by_a_browser() -> None:
    seen: set[str] = set()

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.add(tag)
            assert not {name for name, _ in attrs} & {"src", "href", "onload", "style"}

    Tags().feed(page())
    assert "script" not in seen
    assert "mark" in seen
    assert "\u202e" not in page()
    assert "\x1b" not in page()
    assert "default-src 'none'" in page()


def test_both_markings_of_a_text_stand_below_each_other() -> None:
    shown = page()
    assert "你真是个<mark>笨蛋</mark>" in shown
    assert shown.index("你真是个<mark>笨蛋</mark>") < shown.index("你真是<mark>个笨蛋</mark>")


def test_a_text_without_spans_is_shown_unmarked() -> None:
    assert marked_html("a<b\n", []) == "<bdi>a&lt;b\n</bdi>"
