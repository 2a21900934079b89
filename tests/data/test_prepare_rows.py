"""Examples -> rows. The tokenizer has one token per character, so a token's place is the character's plus one."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from toxitrace.data import Example, Rationales
from toxitrace.data.prepare import TrainingRow, is_doubtful, prepare_rows
from toxitrace.errors import DataError
from toxitrace.settings import FoldOptions
from toxitrace.text import TextTokenizer

VOCABULARY = {
    token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"你真是个笨蛋今天气不错他好abcde", "##a"])
}


@pytest.fixture(scope="module")
def tokenizer() -> TextTokenizer:
    raw = Tokenizer(models.WordPiece(VOCABULARY, unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer()
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return TextTokenizer(raw, FoldOptions())


def row_of(example: Example, tokenizer: TextTokenizer, max_tokens: int = 16, soft: float | None = 0.4) -> TrainingRow:
    return prepare_rows([example], tokenizer, max_tokens=max_tokens, doubtful_label=soft)[0][0]


def ids_of(text: str) -> list[int]:
    return [2, *(VOCABULARY[char] for char in text), 3]


@pytest.mark.parametrize(
    ("label", "spans", "soft", "expected"),
    [
        (1, ((4, 6),), 0.4, 1.0),  # agree
        (0, (), 0.4, 0.0),
        (1, (), 0.4, 0.4),  # disagree
        (0, ((4, 6),), 0.4, 0.4),
        (1, None, 0.4, 1.0),  # nobody looked
        (0, None, 0.4, 0.0),
        (1, (), None, 1.0),  # switched off
        (0, ((4, 6),), None, 0.0),
        (1, (), 0.0, 0.0),  # 0 is a soft label like any other
    ],
)
def test_rows_whose_label_and_evidence_disagree_get_the_soft_label(
    tokenizer: TextTokenizer,
    label: int,
    spans: tuple[tuple[int, int], ...] | None,
    soft: float | None,
    expected: float,
) -> None:
    example = Example("a", "你真是个笨蛋", label, spans=spans)
    row = row_of(example, tokenizer, soft=soft)
    assert row.toxic_prob == expected
    assert row.label == label
    assert is_doubtful(example) == (spans is not None and bool(spans) != bool(label))


@pytest.mark.parametrize(
    ("text", "label", "spans", "supervised"),
    [
        ("你真是个笨蛋", 1, ((4, 6),), True),
        ("你真是个笨蛋", 0, ((4, 6),), False),  # not toxic
        ("你真是个笨蛋", 1, (), False),  # no toxic token
        ("你真是个笨蛋", 1, None, False),
        ("笨蛋", 1, ((0, 2),), False),  # no other token
    ],
)
def test_gradient_losses_use_toxic_texts_with_both_kinds_of_tokens(
    tokenizer: TextTokenizer, text: str, label: int, spans: tuple[tuple[int, int], ...] | None, supervised: bool
) -> None:
    assert row_of(Example("a", text, label, spans=spans), tokenizer).supervised is supervised


def test_spans_become_a_token_mask_beside_the_framed_ids(tokenizer: TextTokenizer) -> None:
    row = row_of(Example("a", "你真是个笨蛋", 1, spans=((0, 1), (4, 6))), tokenizer)
    assert row.input_ids.tolist() == ids_of("你真是个笨蛋")
    assert row.toxic_mask.astype(int).tolist() == [0, 1, 0, 0, 0, 1, 1, 0]


def test_spans_count_in_the_raw_text_where_folding_shifts_it(tokenizer: TextTokenizer) -> None:
    text = "你\u200b\u200b是笨蛋"
    row = row_of(Example("a", text, 1, spans=((4, 6),)), tokenizer)
    assert row.input_ids.tolist() == ids_of("你是笨蛋")
    assert row.toxic_mask.astype(int).tolist() == [0, 0, 0, 1, 1, 0]


def test_long_texts_are_cut_with_their_masks_and_counted(tokenizer: TextTokenizer) -> None:
    examples = [
        Example("cut inside the span", "你真是个笨蛋", 1, spans=((4, 6),)),
        Example("span cut away", "你真是他好笨蛋", 1, spans=((5, 7),)),
        Example("fits", "你真是个笨", 0),
    ]
    rows, counts = prepare_rows(examples, tokenizer, max_tokens=7)
    assert rows[0].input_ids.tolist() == ids_of("你真是个笨")
    assert rows[0].toxic_mask.astype(int).tolist() == [0, 0, 0, 0, 0, 1, 0]
    assert [row.supervised for row in rows] == [True, False, False]
    assert counts.truncated == 2


def test_a_span_that_touches_part_of_a_token_marks_the_whole_token(tokenizer: TextTokenizer) -> None:
    row = row_of(Example("a", "你aa好", 1, spans=((2, 3),)), tokenizer)  # a ##a
    assert row.toxic_mask.astype(int).tolist() == [0, 0, 0, 1, 0, 0]


def test_the_supporting_rationale_is_the_one_for_the_label(tokenizer: TextTokenizer) -> None:
    pair = Rationales("", "笨蛋", "天气好")
    examples = [Example("bad", "你真是个笨蛋", 1), Example("good", "今天天气不错", 0), Example("none", "你好", 0)]
    rows, counts = prepare_rows(examples, tokenizer, max_tokens=4, rationales={"bad": pair, "good": pair, "else": pair})
    assert rows[0].supporting_ids.tolist() == ids_of("笨蛋")
    assert rows[0].opposing_ids.tolist() == ids_of("天气")  # cut like the texts
    assert rows[1].supporting_ids.tolist() == ids_of("天气")
    assert rows[1].opposing_ids.tolist() == ids_of("笨蛋")
    assert len(rows[2].supporting_ids) == len(rows[2].opposing_ids) == 0
    assert counts.with_rationales == 2


def test_the_counts_say_what_became_of_the_rows(tokenizer: TextTokenizer) -> None:
    examples = [
        Example("a", "你真是个笨蛋", 1, spans=((4, 6),)),
        Example("b", "你真好", 1, spans=()),
        Example("c", "今天天气不错", 0, spans=((0, 1),)),
        Example("d", "今天", 0),
    ]
    counts = prepare_rows(examples, tokenizer, max_tokens=16)[1]
    assert (counts.rows, counts.positive, counts.doubtful, counts.supervised, counts.truncated) == (4, 2, 2, 1, 0)


def test_an_example_without_label_is_an_error_not_a_clean_text(tokenizer: TextTokenizer) -> None:
    with pytest.raises(DataError, match="'x' has no label"):
        prepare_rows([Example("x", "你好", None)], tokenizer, max_tokens=16)


def test_no_examples_give_no_rows(tokenizer: TextTokenizer) -> None:
    rows, counts = prepare_rows([], tokenizer, max_tokens=16)
    assert rows == []
    assert counts.rows == 0


def test_ids_are_whole_numbers_of_64_bits(tokenizer: TextTokenizer) -> None:
    assert row_of(Example("a", "你好", 0), tokenizer).input_ids.dtype == np.int64


def test_a_text_of_invisible_characters_is_no_training_data(tokenizer: TextTokenizer) -> None:
    with pytest.raises(DataError, match="'ghost' shows no character"):
        prepare_rows([Example("ghost", "\u3000\u200b", 0)], tokenizer, max_tokens=16)


def test_a_teacher_has_its_share_in_the_label(tokenizer: TextTokenizer) -> None:
    examples = [Example("a", "你好", 1, spans=()), Example("b", "你好", 0), Example("c", "你好", 1)]
    teacher = {"a": 0.9, "b": 0.5}
    rows, _ = prepare_rows(examples, tokenizer, max_tokens=8, doubtful_label=0.4, teacher=teacher, teacher_weight=0.5)
    assert [row.toxic_prob for row in rows] == pytest.approx([0.65, 0.25, 1.0])
    assert [row.label for row in rows] == [1, 0, 1]


def test_where_there_is_no_label_the_teachers_word_is_the_label(tokenizer: TextTokenizer) -> None:
    examples = [Example("a", "你好", None), Example("b", "你好", None), Example("c", "你好", 1)]
    rows, counts = prepare_rows(examples, tokenizer, max_tokens=8, teacher={"a": 0.7, "b": 0.2}, teacher_weight=0.1)
    assert [row.toxic_prob for row in rows] == [0.7, 0.2, 1.0]
    assert [row.label for row in rows] == [1, 0, 1]
    assert (counts.rows, counts.positive, counts.doubtful, counts.supervised) == (3, 2, 0, 0)
