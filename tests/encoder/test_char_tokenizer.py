from __future__ import annotations

import random

import pytest
from tokenizers import Tokenizer

from toxitrace.encoder.char_tokenizer import SPECIAL_TOKENS, build_char_tokenizer
from toxitrace.settings import FoldOptions
from toxitrace.text import TextTokenizer

TEXTS = [
    "你真是个笨蛋，nmsl！",
    "今天天气不错 hello world 2024",
    "他说hello，我说hi 😀😀",
    "早上好呀 nmsl",
    "hello hi hi",
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return build_char_tokenizer(TEXTS, vocab_size=200, min_count=1)


def pieces(tokenizer: Tokenizer, text: str) -> list[str]:
    """Tokens as training and scoring see them: folded, without [CLS] and [SEP]."""
    ids = TextTokenizer(tokenizer, FoldOptions()).tokenize([text])[0].token_ids
    return [tokenizer.id_to_token(int(i)) for i in ids]


def test_special_tokens_come_first_and_padding_is_zero(tokenizer: Tokenizer) -> None:
    assert [tokenizer.id_to_token(i) for i in range(5)] == list(SPECIAL_TOKENS)
    assert tokenizer.encode("你好").tokens == ["[CLS]", "你", "好", "[SEP]"]


def test_the_same_texts_give_the_same_bytes_in_whatever_order_they_come(tokenizer: Tokenizer) -> None:
    words = ["xyz", "zyx", "qwe", "ewq", "rty", "ytr", "uio", "oiu"]  # all equally frequent
    texts = [*TEXTS, *(f"你{word} a{word}" for word in words for _ in range(3))]
    first = build_char_tokenizer(texts, 120, 2).to_str()
    for seed in range(5):
        random.Random(seed).shuffle(texts)
        assert build_char_tokenizer(iter(texts), 120, 2).to_str() == first


def test_every_han_character_digit_and_emoji_stands_alone(tokenizer: Tokenizer) -> None:
    assert pieces(tokenizer, "你真2024😀😀好") == ["你", "真", "2", "0", "2", "4", "😀", "😀", "好"]


def test_frequent_latin_words_stay_whole_and_others_fall_into_letters(tokenizer: Tokenizer) -> None:
    assert pieces(tokenizer, "nmsl你Hello") == ["nmsl", "你", "hello"]
    assert pieces(tokenizer, "holl") == ["h", "##o", "##l", "##l"]


def test_characters_below_the_minimum_count_become_unknown() -> None:
    tokenizer = build_char_tokenizer(["好好好", "好坏"], vocab_size=100, min_count=2)
    assert pieces(tokenizer, "好坏龘") == ["好", "[UNK]", "[UNK]"]


@pytest.mark.parametrize("text", ["[CLS]你[SEP]", "[MASK][PAD]", "[UNK]好", "##你"])
def test_special_strings_in_a_text_are_ordinary_characters(tokenizer: Tokenizer, text: str) -> None:
    tokens = TextTokenizer(tokenizer, FoldOptions()).tokenize([text])[0]
    reserved = {tokenizer.token_to_id(token) for token in ("[PAD]", "[CLS]", "[SEP]", "[MASK]")}
    assert reserved.isdisjoint(tokens.token_ids.tolist())
    assert tokens.starts[0] == 0
    assert tokens.ends[-1] == len(text)
    assert (tokens.starts[1:] >= tokens.ends[:-1]).all()


@pytest.mark.parametrize("vocab_size", [6, 17, 20, 40, 60, 1000])
def test_the_vocabulary_never_exceeds_its_size_and_has_no_gaps(vocab_size: int) -> None:
    tokenizer = build_char_tokenizer(TEXTS, vocab_size, min_count=1)
    assert tokenizer.get_vocab_size() <= vocab_size
    assert sorted(tokenizer.get_vocab().values()) == list(range(tokenizer.get_vocab_size()))


def test_the_most_frequent_characters_get_the_room_there_is() -> None:
    tokenizer = build_char_tokenizer(["好" * 9 + "坏" * 5 + "中" * 2], vocab_size=7, min_count=1)
    assert pieces(tokenizer, "好坏中") == ["好", "坏", "[UNK]"]


def test_the_alphabet_is_folded_like_the_texts() -> None:
    tokenizer = build_char_tokenizer(["ＡＢ說說"], vocab_size=50, min_count=1)
    assert pieces(tokenizer, "說说") == ["说", "说"]
    assert "[UNK]" not in pieces(tokenizer, "ＢＡ")


def test_a_very_long_latin_run_becomes_one_unknown_token(tokenizer: Tokenizer) -> None:
    assert pieces(tokenizer, "你" + "h" * 500 + "好") == ["你", "[UNK]", "好"]


def test_white_space_is_no_token_and_lone_surrogates_do_no_harm(tokenizer: Tokenizer) -> None:
    assert pieces(tokenizer, "你 \t\n\u3000好") == ["你", "好"]
    assert build_char_tokenizer(["好\ud800"], 20, 1).get_vocab_size() <= 20
    assert pieces(tokenizer, "\ud800好") == ["[UNK]", "好"]


def test_the_tokenizer_survives_its_own_file(tokenizer: Tokenizer) -> None:
    again = Tokenizer.from_str(tokenizer.to_str())
    for text in TEXTS:
        assert again.encode(text).tokens == tokenizer.encode(text).tokens
        assert again.encode(text).offsets == tokenizer.encode(text).offsets
