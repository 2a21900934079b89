from hypothesis import given
from hypothesis import strategies as st

from toxitrace.annotate.excerpt import GAP, excerpt
from toxitrace.data.offsets import merge_offsets

TEXT = "".join(chr(0x4E00 + i) for i in range(2000))


@given(st.lists(st.tuples(st.integers(0, 1999), st.integers(1, 300)), min_size=1, max_size=8))
def test_every_mark_that_is_shown_marks_what_it_marked(starts: list[tuple[int, int]]) -> None:
    spans = merge_offsets([(start, min(start + n, len(TEXT))) for start, n in starts])
    shown, (moved,) = excerpt(TEXT, spans)
    assert len(shown.replace(GAP, "")) <= 400
    assert moved
    marked = "".join(TEXT[start:end] for start, end in spans)
    assert all(shown[start:end] in marked for start, end in moved)


def test_a_short_text_is_left_as_it_is() -> None:
    assert excerpt("你真是个笨蛋", ((4, 6),), ()) == ("你真是个笨蛋", (((4, 6),), ()))


def test_what_is_left_out_leaves_a_gap() -> None:
    shown, _ = excerpt(TEXT, ((500, 502),), ((900, 901),))
    assert shown == GAP + TEXT[440:562] + GAP + TEXT[840:961] + GAP
