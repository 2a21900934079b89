import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from toxitrace.text import chars_to_token_mask, spans_to_token_mask, tokens_to_chars

N_CHARS = 12
RANGE = st.tuples(st.integers(0, N_CHARS), st.integers(0, N_CHARS)).map(lambda pair: tuple(sorted(pair)))
RANGES = st.lists(RANGE, max_size=8)


def columns(tokens: list[tuple[int, int]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    table = np.array(tokens, dtype=np.int64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


@given(st.lists(st.tuples(RANGE, st.floats(-5, 5)), max_size=8))
def test_a_character_has_the_largest_value_of_the_tokens_over_it(tokens: list[tuple[tuple[int, int], float]]) -> None:
    values = np.array([value for _, value in tokens], dtype=np.float64)
    result = tokens_to_chars(values, *columns([token for token, _ in tokens]), N_CHARS)
    for i in range(N_CHARS):
        over = [value for (start, end), value in tokens if start <= i < end]
        assert result[i] == (max(over) if over else 0.0)


@given(RANGES, RANGES)
def test_a_token_is_marked_iff_it_shares_a_character_with_a_span(
    spans: list[tuple[int, int]], tokens: list[tuple[int, int]]
) -> None:
    expected = [any(set(range(*span)) & set(range(*token)) for span in spans) for token in tokens]
    assert spans_to_token_mask(spans, *columns(tokens)).tolist() == expected


@given(st.lists(st.booleans(), min_size=N_CHARS, max_size=N_CHARS), RANGES)
def test_a_token_is_marked_iff_one_of_its_characters_is(marks: list[bool], tokens: list[tuple[int, int]]) -> None:
    expected = [any(marks[start:end]) for start, end in tokens]
    assert chars_to_token_mask(np.array(marks), *columns(tokens)).tolist() == expected


def test_the_float_type_of_the_values_is_kept() -> None:
    assert tokens_to_chars(np.ones(1, dtype=np.float32), *columns([(0, 2)]), 3).dtype == np.float32
    assert tokens_to_chars(np.ones(1, dtype=np.int64), *columns([(0, 2)]), 3).dtype == np.float64


def test_no_tokens_give_zeros() -> None:
    assert tokens_to_chars(np.empty(0), *columns([]), 3).tolist() == [0.0, 0.0, 0.0]


def test_a_token_outside_the_text_is_refused() -> None:
    with pytest.raises(ValueError, match="outside a text of 3 characters"):
        tokens_to_chars(np.ones(1), *columns([(2, 4)]), 3)
    with pytest.raises(ValueError, match="outside a text of 3 characters"):
        chars_to_token_mask(np.ones(3, dtype=np.bool_), *columns([(2, 4)]))


def test_values_and_tokens_must_be_equally_many() -> None:
    with pytest.raises(ValueError, match="one value per token"):
        tokens_to_chars(np.ones(2), *columns([(0, 1)]), 3)
