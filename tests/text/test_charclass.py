import pytest
from awkward_text import awkward_text
from hypothesis import given

from toxitrace.text import is_invisible, separator_mask


@pytest.mark.parametrize(
    "text", ["，。！？；：、", "「『《（）》』」", " \t\n\u3000\u2028", "+=<>|~_@#%&", "→│■□▶─", "\ufffd\ud800"]
)
def test_punctuation_white_space_and_line_drawing_separate(text: str) -> None:
    assert separator_mask(text).all()


@pytest.mark.parametrize(
    "text",
    [
        "字𠮷aＡ1é한",
        "😂🐷💩🤡",
        "👍🏽",
        "👨\u200d👩\u200d👧",
        "❤\ufe0f☠⭐",
        "$￥",
        "Ⓐ㊗〇",
        "\u200b\x00\u202e",
        "e\u0301",
    ],
)
def test_letters_emoji_and_invisible_characters_do_not_separate(text: str) -> None:
    assert not separator_mask(text).any()


@pytest.mark.parametrize("text", ["笨*蛋", "f**k", "傻×们", "王○蛋", "一□二", "坏＊人"])
def test_a_mask_inside_a_word_is_part_of_it(text: str) -> None:
    assert not separator_mask(text).any()


@pytest.mark.parametrize(
    ("text", "separators"), [("* 好", [0, 1]), ("好**", [1, 2]), ("好 * 好", [1, 2, 3]), ("（*）", [0, 1, 2])]
)
def test_a_mask_that_no_word_surrounds_separates(text: str, separators: list[int]) -> None:
    assert separator_mask(text).nonzero()[0].tolist() == separators


@given(awkward_text)
def test_the_mask_has_one_entry_per_character_and_no_invisible_one_separates(text: str) -> None:
    mask = separator_mask(text)
    assert mask.shape == (len(text),)
    assert not any(mask[i] for i, char in enumerate(text) if is_invisible(char))


def test_white_space_always_separates() -> None:
    assert all(separator_mask(chr(code))[0] for code in range(0x3001) if chr(code).isspace())
