"""The list of words: which reading wins, what a file may hold, and agreement with jieba's own cut."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toxitrace.errors import ModelError
from toxitrace.text import WordList
from toxitrace.text.words import MAX_WORD_TOKENS, WORDS_FILE, write_word_counts

CHARS = "今天气很好吃了吗"
VOCAB = {char: i for i, char in enumerate(CHARS)}
COUNTS = {"今天": 50, "天气": 60, "很好": 20, "好吃": 30, "今": 5, "天": 20, "气": 5, "很": 40, "好": 40, "吃": 20}


def cut(text: str, counts: dict[str, int] = COUNTS) -> list[str]:
    words = WordList(counts, VOCAB)
    return [text[start:end] for start, end in words.bounds([VOCAB.get(char, 99) for char in text])]


def test_the_most_probable_reading_wins() -> None:
    assert cut("今天天气很好吃") == ["今天", "天气", "很", "好吃"]
    assert cut("今天天气很好吃", COUNTS | {"很好": 900}) == ["今天", "天气", "很好", "吃"]


def test_what_is_not_in_the_list_stands_alone() -> None:
    assert cut("吗吗×了") == ["吗", "吗", "×", "了"]
    assert cut("") == []


def test_a_token_of_several_characters_is_part_of_no_word() -> None:
    words = WordList({"ok": 9, "今天": 1, "\0\0": 1}, {"ok": 0, "今": 1, "天": 2, "o": 3, "k": 4})
    assert words.bounds([0, 0, 1, 2]) == [(0, 1), (1, 2), (2, 4)]


@given(st.lists(st.integers(-1, 12), max_size=60))
def test_bounds_cover_the_tokens_in_order(ids: list[int]) -> None:
    bounds = WordList(COUNTS, VOCAB).bounds(ids)
    assert [i for start, end in bounds for i in range(start, end)] == list(range(len(ids)))
    assert all(0 < end - start <= MAX_WORD_TOKENS for start, end in bounds)


def test_no_other_reading_is_more_probable() -> None:
    words = WordList(COUNTS, VOCAB)
    draw = random.Random(0)

    def best(text: str) -> float:
        if not text:
            return 0.0
        ways = [best(text[1:]) + words._log_share.get(text[:1], words._unseen)]
        ways += [best(text[n:]) + words._log_share[text[:n]] for n in (2, 3, 4) if text[:n] in words._log_share]
        return max(ways)

    for _ in range(50):
        text = "".join(draw.choices(CHARS, k=8))
        bounds = words.bounds([VOCAB[char] for char in text])
        assert sum(words._log_share.get(text[a:b], words._unseen) for a, b in bounds) == pytest.approx(best(text))


def test_a_written_list_reads_back(tmp_path: Path) -> None:
    counts = COUNTS | {"，": 900, "ok": 40, "今天天气很": 3, "了吗": 1}
    assert write_word_counts(counts, tmp_path / WORDS_FILE, most=3) == 3
    lines = (tmp_path / WORDS_FILE).read_text(encoding="utf-8").splitlines()
    assert lines[0] == "天气\t60"
    assert {line.split("\t")[0] for line in lines} == {"天气", "今天", "好吃", *"今天气很好吃"}
    words = WordList.load(tmp_path, VOCAB)
    assert words is not None
    assert len(words) == 9
    assert words.bounds([VOCAB[char] for char in "今天天气"]) == [(0, 2), (2, 4)]


def test_a_folder_without_a_list_has_none(tmp_path: Path) -> None:
    assert WordList.load(tmp_path, VOCAB) is None


@pytest.mark.parametrize("line", ["今天", "今天 5", "今天\tmany", "今天\t0", "今天\t5\t6"])
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / WORDS_FILE).write_text(f"天气\t2\n{line}\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"words.txt:2: expected a word, a tab") as caught:
        WordList.load(tmp_path, VOCAB)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / WORDS_FILE).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelError, match=r"words.txt"):
        WordList.load(tmp_path, VOCAB)
