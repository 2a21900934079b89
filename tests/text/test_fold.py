import re
import sys
import time
import unicodedata
from itertools import groupby

import numpy as np
import pytest
from awkward_text import any_text, awkward_text
from hypothesis import example, given
from hypothesis import strategies as st

from toxitrace.settings import FoldOptions
from toxitrace.text import fold, is_invisible, traditional_to_simplified

OPTIONS = st.builds(FoldOptions, st.booleans(), st.booleans(), st.booleans(), st.booleans())
NOTHING = FoldOptions(nfkc=False, lowercase=False, simplify=False, drop_invisible=False)


def reference(text: str) -> str:
    """The definition, on the whole text at once and without offsets."""
    kept = ("\ufffd" if unicodedata.category(c) == "Cs" else c for c in text if not is_invisible(c))
    text = "".join(" " if c.isspace() and unicodedata.category(c) != "Zs" else c for c in kept)
    text = "".join(c.lower() for c in unicodedata.normalize("NFKC", text))
    table = traditional_to_simplified()
    return "".join(table.get(c, c) for c in unicodedata.normalize("NFKC", text))


@given(awkward_text)
@example("J\u030c")
@example("Α\u0345Σ")
def test_folding_in_segments_equals_folding_the_whole_text(text: str) -> None:
    assert fold(text).text == reference(text)


@given(awkward_text, OPTIONS)
def test_offsets_are_monotone_non_empty_and_inside_the_raw_text(text: str, options: FoldOptions) -> None:
    folded = fold(text, options)
    assert folded.starts.dtype == folded.ends.dtype == np.int64
    assert len(folded.starts) == len(folded.ends) == len(folded.text)
    if folded.text:
        assert folded.starts[0] >= 0
        assert folded.ends[-1] <= len(text)
        assert (folded.ends > folded.starts).all()
        assert (np.diff(folded.starts) >= 0).all()
        assert (np.diff(folded.ends) >= 0).all()


@given(awkward_text, OPTIONS)
@example("\u0301" * 100, FoldOptions())
@example("a" + "\u0316\u0301" * 50, FoldOptions())
def test_folding_the_raw_slice_gives_the_folded_characters(text: str, options: FoldOptions) -> None:
    folded = fold(text, options)
    rows = zip(folded.starts.tolist(), folded.ends.tolist(), folded.text, strict=True)
    for (start, end), group in groupby(rows, key=lambda row: row[:2]):
        assert fold(text[start:end], options).text == "".join(char for _, _, char in group)


@given(awkward_text)
def test_every_raw_character_that_shows_is_covered(text: str) -> None:
    folded = fold(text)
    covered = np.zeros(len(text), dtype=bool)
    for start, end in zip(folded.starts, folded.ends, strict=True):
        covered[start:end] = True
    assert all(covered[i] or is_invisible(char) for i, char in enumerate(text))


@given(awkward_text, OPTIONS)
def test_folding_twice_is_folding_once(text: str, options: FoldOptions) -> None:
    once = fold(text, options).text
    assert fold(once, options).text == once


def test_every_single_character_folds_to_a_fixed_point_without_invisible_ones() -> None:
    for code in (*range(0x20000), *range(0x2F800, 0x2FA20)):
        once = fold(chr(code)).text
        if once != chr(code):
            assert fold(once).text == once, hex(code)
        assert not any(map(is_invisible, once)), hex(code)


@given(any_text)
def test_with_everything_off_only_lone_surrogates_change(text: str) -> None:
    folded = fold(text, NOTHING)
    assert folded.text == re.sub("[\ud800-\udfff]", "\ufffd", text)
    assert folded.starts.tolist() == list(range(len(text)))


@given(awkward_text, st.data())
def test_to_raw_gives_the_first_start_and_the_last_end(text: str, data: st.DataObject) -> None:
    folded = fold(text)
    start = data.draw(st.integers(0, len(folded.text)))
    end = data.draw(st.integers(start, len(folded.text)))
    raw_start, raw_end = folded.to_raw(start, end)
    assert 0 <= raw_start <= raw_end <= len(text)
    if start < end:
        assert (raw_start, raw_end) == (folded.starts[start], folded.ends[end - 1])


def test_to_raw_refuses_a_range_outside_the_folded_text() -> None:
    with pytest.raises(IndexError, match="does not lie"):
        fold("今天").to_raw(1, 3)


def test_an_unchanged_text_is_passed_through() -> None:
    text = "今天天气很好 hello"
    assert fold(text).text is text


@pytest.mark.parametrize(
    ("raw", "folded", "ranges"),
    [
        ("ＡＢ", "ab", [(0, 1), (1, 2)]),
        ("İ", "i\u0307", [(0, 1), (0, 1)]),
        ("笨\u200b\u200b蛋", "笨蛋", [(0, 3), (3, 4)]),
        ("\u200b好", "好", [(1, 2)]),
        ("㍿好", "株式会社好", [(0, 1)] * 4 + [(1, 2)]),
        ("e\u0301好", "é好", [(0, 2), (2, 3)]),
        ("e\u200b\u0301", "é", [(0, 3)]),
        ("ｶﾞ", "ガ", [(0, 2)]),
        ("\u1112\u1161\u11ab", "한", [(0, 3)]),
        ("\ud83d好", "\ufffd好", [(0, 1), (1, 2)]),
        ("a\tb\r", "a b ", [(0, 1), (1, 2), (2, 3), (3, 4)]),
        ("頭\ufe00髮", "头发", [(0, 2), (2, 3)]),
        ("", "", []),
        ("\u200b\x00", "", []),
    ],
)
def test_known_texts_fold_to_known_ranges(raw: str, folded: str, ranges: list[tuple[int, int]]) -> None:
    result = fold(raw)
    assert result.text == folded
    assert list(zip(result.starts.tolist(), result.ends.tolist(), strict=True)) == ranges


@pytest.mark.parametrize(
    "pattern",
    ["今天天气很好", "後來", "笨\u200b", "e\u0301", "\u0316\u0301", "\u1161", "Ａ", "㍿", "\ud800", "\x00", "😂\u200d"],
)
def test_a_line_of_a_million_characters_folds_in_seconds(pattern: str) -> None:
    line = (pattern * (1_000_000 // len(pattern) + 1))[:1_000_000]
    before = time.process_time()
    folded = fold(line)
    assert time.process_time() - before < 3.0
    assert len(folded.text) == 0 or folded.ends[-1] == len(line)


def test_the_range_of_code_points_without_look_up_is_indeed_stable() -> None:
    for code in (*range(0x30000, 0x32400), *range(0xF0000, 0xF0100), 0x10FFFD, sys.maxunicode):
        char = chr(code)
        assert unicodedata.normalize("NFKC", char) == char.lower() == char
        assert unicodedata.combining(char) == 0
