import json

from hypothesis import given
from hypothesis import strategies as st

from toxitrace.report.formats import output_format, prediction_row
from toxitrace.report.html import fragment, page
from toxitrace.report.runs import runs
from toxitrace.report.terminal import marked_text, prediction_line, table
from toxitrace.report.visible import visible
from toxitrace.types import Prediction, Span

HOSTILE = "<script>alert(1)</script>&\"'\x00\x1b[2J\x9b31m\u202e好\ud800\n\t"
ANY_TEXT = st.text(st.one_of(st.characters(), st.sampled_from("\x00\x1b\ud800\u2028\u202e<>&\"'")), max_size=40)


@given(ANY_TEXT)
def test_visible_text_keeps_its_length_and_can_always_be_encoded(text: str) -> None:
    shown = visible(text)
    assert len(shown) == len(text)
    shown.encode("utf-8")
    assert not any(ord(char) < 32 or 0x7F <= ord(char) < 0xA0 for char in shown)


@given(st.integers(0, 30), st.data())
def test_runs_cover_a_text_once_and_agree_with_its_spans(n_chars: int, data: st.DataObject) -> None:
    bounds = data.draw(st.lists(st.tuples(st.integers(0, n_chars), st.integers(0, n_chars)), max_size=4))
    spans = [Span.of("字" * n_chars, start, end, 0.5) for start, end in bounds if start < end]
    weights = data.draw(st.lists(st.floats(0, 1), min_size=n_chars, max_size=n_chars))
    covered = [
        (i, marked, shade) for start, end, marked, shade in runs(n_chars, spans, weights) for i in range(start, end)
    ]
    assert covered == [
        (i, any(span.start <= i < span.end for span in spans), round(10 * weights[i])) for i in range(n_chars)
    ]


def test_nothing_of_a_text_can_act_in_html() -> None:
    view = fragment(HOSTILE, [Span.of(HOSTILE, 0, 8, 0.5)], [1.0] * len(HOSTILE))
    assert "<script" not in view
    assert "\x1b" not in view
    assert "\x00" not in view
    assert "\u202e" not in view
    whole = page([(HOSTILE, Prediction(HOSTILE, True, 0.9, (Span.of(HOSTILE, 0, 8, 0.5),)))], title=HOSTILE)
    assert "<script" not in whole
    assert "default-src 'none'" in whole
    assert '<meta charset="utf-8">' in whole
    whole.encode("utf-8")


def test_a_page_counts_its_texts() -> None:
    assert "2 texts, 1 toxic" in page([(0, Prediction("滚", True, 0.9)), (1, Prediction("好", False, 0.1))])


def test_overlapping_spans_show_the_better_score() -> None:
    text = "你真笨蛋"
    view = fragment(text, [Span.of(text, 1, 3, 0.2), Span.of(text, 2, 4, 0.7)])
    assert view.count("<mark") == 1
    assert 'title="0.20"' in view
    assert 'title="0.70"' in fragment(text, [Span.of(text, 2, 4, 0.7), Span.of(text, 2, 3, 0.2)])


def test_nothing_of_a_text_can_act_on_a_terminal() -> None:
    for color in (False, True):
        line = prediction_line(Prediction(HOSTILE, True, 0.9), color=color)
        assert "\x1b[2J" not in line
        assert "\x9b" not in line
        assert "\n" not in line
        assert "\u202e" not in line


def test_colours_mark_the_span_and_shade_the_weight() -> None:
    text = "你笨蛋"
    assert marked_text(text, [Span.of(text, 1, 3, 0.9)], color=True) == "你\x1b[1;4;38;5;203m笨蛋\x1b[0m"
    assert "48;2;" in marked_text(text, [], [0.0, 1.0, 0.0], color=True)


def test_a_table_shows_cells_as_they_are() -> None:
    drawn = table(["name", "F1"], [["[red]好[/red]", 0.5], ["x", None]], title="分数")
    assert "[red]好[/red]" in drawn
    assert "0.5000" in drawn
    assert "分数" in drawn
    assert "\x1b" not in drawn


@given(ANY_TEXT, st.one_of(st.text(), st.integers(), st.none(), st.lists(st.integers())))
def test_a_json_line_is_one_line_to_every_reader_and_reads_back(text: str, record_id: object) -> None:
    line = prediction_row(record_id, Prediction(text, False, 0.25))
    assert line.encode("utf-8").decode("utf-8").splitlines() == [line[:-1]]
    row = json.loads(line)
    # A high and a low surrogate side by side are one character to JSON.
    joined = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    assert row["id"] == record_id
    assert row["text"] in (text, joined)
    assert list(row) == ["id", "text", "toxic", "probability", "spans"]


def test_chinese_stays_readable_in_json() -> None:
    assert "早上好" in prediction_row(0, Prediction("早上好", False, 0.1))


def test_forms_begin_and_end_as_they_should() -> None:
    assert output_format("html").head("x").startswith("<!DOCTYPE html>")
    assert output_format("html").tail(1, 0, 2).endswith("</html>\n")
    assert output_format("text").row(0, Prediction("好", False, 0.1)) == "clean  0.10  好\n"
    assert output_format("jsonl").head("x") == output_format("jsonl").tail(1, 0, 0) == ""
