import numpy as np
import pytest

from toxitrace.training.masking import MAX_SPAN_TOKENS, corrupt, span_mask


def _runs(mask: np.ndarray) -> list[int]:
    """Lengths of the runs of masked tokens."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(int), axis=1)
    starts, ends = (np.argwhere(edges == step) for step in (1, -1))
    return (ends[:, 1] - starts[:, 1]).tolist()


@pytest.mark.parametrize("share", [0.05, 0.15, 0.3, 0.5])
@pytest.mark.parametrize("mean_span", [1.0, 1.2, 2.0, 4.0])
def test_the_masked_share_is_as_asked(share: float, mean_span: float) -> None:
    mask = span_mask((2000, 126), share, mean_span, np.random.default_rng(0))
    assert mask.mean() == pytest.approx(share, rel=0.1)


def test_a_mean_of_one_masks_single_tokens_and_a_larger_one_runs() -> None:
    # few starts: runs that touch would count as one
    lengths = {m: _runs(span_mask((4000, 126), 0.01, m, np.random.default_rng(0))) for m in (1.0, 2.0)}
    assert np.mean(lengths[1.0]) == pytest.approx(1.0, abs=0.02)
    assert np.mean(lengths[2.0]) == pytest.approx(2 * (1 - 0.5**MAX_SPAN_TOKENS), abs=0.1)


def test_masks_come_from_the_generator_alone() -> None:
    one, again, other = (span_mask((8, 64), 0.15, 2.0, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()


def test_corruption_keeps_unmasked_tokens_and_hides_the_others_the_bert_way() -> None:
    rng = np.random.default_rng(0)
    ids = rng.integers(5, 1000, (400, 126))
    mask = span_mask((400, 126), 0.3, 2.0, rng)
    before = ids.copy()
    hidden = corrupt(ids, mask, 4, (5, 1000), rng)
    assert (ids == before).all()
    assert (hidden[~mask] == ids[~mask]).all()
    is_mask = hidden[mask] == 4
    kept = hidden[mask] == ids[mask]
    assert is_mask.mean() == pytest.approx(0.8, abs=0.02)
    assert kept.mean() == pytest.approx(0.1, abs=0.02)
    swapped = hidden[mask][~is_mask & ~kept]
    assert len(swapped) / mask.sum() == pytest.approx(0.1, abs=0.02)
    assert swapped.min() >= 5
    assert swapped.max() < 1000
