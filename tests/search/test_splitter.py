"""How texts become words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toxitrace.search.splitter import has_words, split
from toxitrace.text import fold

TEXTS = st.text(alphabet="笨蛋骗子你好們個aB１ｂ \u200b，!🐒_\n", max_size=20)


@given(TEXTS)
def test_a_folded_text_splits_like_the_raw_one(text: str) -> None:
    assert split(text) == split(fold(text).text)


@given(TEXTS)
def test_words_hold_no_blank_and_no_punctuation(text: str) -> None:
    assert all(word and (word.isalnum() or word == "🐒") for word in split(text))


@given(TEXTS)
def test_a_text_has_words_exactly_if_splitting_it_gives_some(text: str) -> None:
    assert has_words(text) == bool(split(text))


def test_a_long_word_gives_the_shorter_words_inside_it_and_all_pairs_of_characters() -> None:
    words = split("计算所骗子")
    assert {"计算", "计算所", "骗子", "算所", "所骗"} <= set(words)


def test_pairs_do_not_cross_a_blank() -> None:
    assert "蛋骗" not in split("笨蛋 骗子")
    assert "蛋骗" in split("笨蛋骗子")


@pytest.mark.parametrize("disguise", ["笨\u200b蛋", "笨\u2060蛋", "笨\ufe0f蛋"])
def test_invisible_characters_do_not_hide_a_word(disguise: str) -> None:
    assert split(disguise) == split("笨蛋")


def test_width_case_and_script_make_no_difference() -> None:
    assert split("騙子ＤＡＮ") == split("骗子dan")


def test_an_emoji_is_a_word_and_a_dash_is_none() -> None:
    assert split("🐒——") == ["🐒"]
