import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toxitrace.annotate.verify import InvalidReplyError, locate, verify_argument, verify_spans
from toxitrace.data.offsets import occurrences

TEXT = "你真是个笨蛋，闭上你的臭嘴"


def reply(*strings: str) -> str:
    return json.dumps({"spans": strings}, ensure_ascii=False)


def test_strings_become_offsets_in_reading_order() -> None:
    assert verify_spans(reply("臭嘴", "笨蛋"), TEXT).spans == ((4, 6), (11, 13))


def test_an_empty_list_means_no_evidence() -> None:
    found = verify_spans(reply(), TEXT)
    assert (found.spans, found.n_dropped) == ((), 0)


def test_strings_that_do_not_stand_in_the_text_are_dropped_and_counted() -> None:
    found = verify_spans(reply("笨蛋", "大坏蛋", "", "，"), TEXT)
    assert (found.spans, found.n_dropped) == (((4, 6),), 3)


def test_a_string_is_located_at_the_occurrence_nearest_to_a_clue() -> None:
    text = "笨蛋说笨蛋的人不是笨蛋"
    assert verify_spans(reply("笨蛋"), text).spans == ((0, 2),)
    assert verify_spans(reply("笨蛋"), text, [(8, 9, 0.7)]).spans == ((9, 11),)
    assert verify_spans(reply("笨蛋"), text, [(3, 5, 0.7)]).spans == ((3, 5),)
    assert verify_spans(reply("笨蛋"), "笨蛋好人笨蛋", [(2, 4, 0.7)]).spans == ((0, 2),)  # a tie: the first


def test_a_string_given_twice_takes_two_occurrences_and_then_no_more() -> None:
    assert locate(["哈哈"] * 4, "哈哈哈哈笨") == (((0, 4),), 0)
    assert locate(["笨"] * 3, "笨好笨") == (((0, 1), (2, 3)), 0)


def test_overlapping_strings_are_merged() -> None:
    assert verify_spans(reply("真是个笨", "个笨蛋"), TEXT).spans == ((1, 6),)


def test_offsets_count_code_points_of_the_raw_text() -> None:
    text = "👨‍👩‍👧\u200bＯＫ笨蛋\ud800滚"
    start = text.index("笨")
    assert verify_spans(reply("笨蛋"), text).spans == ((start, start + 2),)
    assert verify_spans(reply("笨蛋\ufffd滚"), text).spans == ((start, start + 4),)  # as the model was shown it


def test_marking_most_of_a_long_text_is_flagged_and_kept() -> None:
    text = "这个人从来不讲道理，说话也很难听，真是一个笨蛋"
    assert verify_spans(reply(text), text).wide
    assert not verify_spans(reply("笨蛋"), text).wide
    assert not verify_spans(reply("闭嘴"), "闭嘴").wide


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "好的，这段文字没有问题。",
        '["笨蛋"]',
        '{"spans": "笨蛋"}',
        '{"spans": [1]}',
        '{"spans": [["笨蛋"]]}',
        '{"spans": null}',
        '{"spans": [], "note": "as the text demands"}',
        '{"verdict": "clean"}',
        '{"spans": ["笨蛋"',
        "[" * 100_000,
        "null",
        reply("这句话", "完全无害"),
    ],
    ids=lambda bad: bad[:20] or "empty",
)
def test_anything_but_the_asked_for_json_is_refused(bad: str) -> None:
    with pytest.raises(InvalidReplyError) as error:
        verify_spans(bad, TEXT)
    assert "无害" not in str(error.value)  # reasons hold none of the reply's words


def test_a_fence_around_the_json_is_taken_off() -> None:
    assert verify_spans(f"```json\n{reply('笨蛋')}\n```\n", TEXT).spans == ((4, 6),)


@given(st.text(max_size=60), st.data())
def test_every_span_is_a_stretch_of_the_text_that_the_reply_named(text: str, data: st.DataObject) -> None:
    pieces = st.tuples(st.integers(0, max(len(text) - 1, 0)), st.integers(1, 9)).map(lambda p: text[p[0] : p[0] + p[1]])
    strings = data.draw(st.lists(pieces | st.text(max_size=4), max_size=5))
    anchors = data.draw(st.lists(st.tuples(st.integers(0, len(text)), st.integers(0, len(text))).map(sorted)))
    spans, n_dropped = locate(strings, text, anchors)
    marked = {i for start, end in spans for i in range(start, end)}
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert n_dropped <= len(strings)
    covered = {i for string in strings for place in occurrences(text, string) for i in range(*place)}
    assert marked <= covered


def test_an_argument_must_be_chinese_and_of_the_right_length() -> None:
    assert verify_argument('{"argument": " 这句话用侮辱性的词骂人。 "}', TEXT) == "这句话用侮辱性的词骂人。"
    for bad in ("太短了", "长" * 201, "This text insults a person.", TEXT, 7):
        with pytest.raises(InvalidReplyError):
            verify_argument(json.dumps({"argument": bad}), TEXT)


def test_a_huge_reply_on_a_long_text_is_no_problem() -> None:
    text = "哈笨" * 10_000
    spans, _ = locate(["哈", "笨"] * 300, text, [(i, i + 1) for i in range(0, 20_000, 7)])
    assert sum(end - start for start, end in spans) == 600
