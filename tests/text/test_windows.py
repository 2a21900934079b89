from itertools import pairwise

import pytest

from toxitrace.errors import ConfigError
from toxitrace.text import windows

CASES = [(n, size, overlap) for n in range(40) for size in range(1, 14) for overlap in range(size)]


def test_windows_cover_every_token_in_order_with_the_overlap_asked_for() -> None:
    for n, size, overlap in CASES:
        result = windows(n, size, overlap)
        assert sorted({token for start, end in result for token in range(start, end)}) == list(range(n))
        assert result[0][0] == 0
        assert result[-1][1] == n
        for (start, end), (next_start, next_end) in pairwise(result):
            assert start < next_start
            assert end < next_end
            assert end - next_start >= overlap


def test_every_window_of_a_long_text_is_full() -> None:
    for n, size, overlap in CASES:
        if n > size:
            assert all(end - start == size for start, end in windows(n, size, overlap))


def test_there_are_no_more_windows_than_needed() -> None:
    for n, size, overlap in CASES:
        needed = 1 if n <= size else 1 + -(-(n - size) // (size - overlap))
        assert len(windows(n, size, overlap)) == needed


def test_a_text_without_tokens_is_one_empty_window() -> None:
    assert windows(0, 126, 32) == [(0, 0)]


@pytest.mark.parametrize(("size", "overlap"), [(4, 4), (4, 5), (4, -1), (0, 0)])
def test_windows_that_cannot_move_forward_are_refused(size: int, overlap: int) -> None:
    with pytest.raises(ConfigError, match="overlap"):
        windows(10, size, overlap)
