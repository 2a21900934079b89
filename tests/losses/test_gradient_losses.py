"""PGR and PPT. Tokens of the hand-made row: [CLS], two toxic, three others, [PAD]."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from toxitrace.encoder import Classifier
from toxitrace.losses import pairwise_gradient_loss, percentile_threshold_loss
from toxitrace.losses.percentile_threshold import masked_percentile
from toxitrace.saliency import saliency_pass, scale_saliency

sys.path.insert(0, str(Path(__file__).parent.parent / "saliency"))  # the tiny models are shared

from tiny_encoder import padded, tiny_classifier

SALIENCY = torch.tensor([[0.7, 1.0, 0.5, 0.4, 0.9, 0.1, 0.0]])
TOXIC = torch.tensor([[False, True, True, False, False, False, False]])
OTHER = torch.tensor([[False, False, False, True, True, True, False]])


def test_pgr_is_the_mean_shortfall_of_the_margin_over_pairs() -> None:
    # m = 0.3; 1.0 against 0.4, 0.9, 0.1: 0, 0.2, 0;  0.5 against them: 0.2, 0.7, 0;  sum 1.1 over 6 pairs
    assert pairwise_gradient_loss(SALIENCY, TOXIC, OTHER).tolist() == pytest.approx([1.1 / 6])


def test_pgr_is_zero_exactly_when_every_pair_keeps_the_margin() -> None:
    kept = torch.tensor([[0.7, 1.0, 0.8, 0.4, 0.5, 0.1, 0.0]])  # least gap 0.8 - 0.5 = 0.3
    assert pairwise_gradient_loss(kept, TOXIC, OTHER, margin=0.25).tolist() == [0.0]
    assert pairwise_gradient_loss(kept, TOXIC, OTHER, margin=0.36).item() == pytest.approx(0.06 / 6)


def test_pgr_is_zero_for_a_text_without_a_pair() -> None:
    saliency = SALIENCY.repeat(2, 1)
    toxic = torch.cat([TOXIC, torch.zeros_like(TOXIC)])
    other = torch.cat([torch.zeros_like(OTHER), OTHER])
    assert pairwise_gradient_loss(saliency, toxic, other).tolist() == [0.0, 0.0]


def test_ppt_is_the_mean_excess_of_both_kinds_of_tokens() -> None:
    # V sorted: 0.1 0.4 0.5 0.9 1.0; P15 at 0.15 * 4 = 0.6 steps: 0.1 + 0.6 * 0.3 = 0.28
    # N above it: 0.12 + 0.62 + 0 over 3;  T below alpha * max = 0.8: 0 + 0.3 over 2
    found = percentile_threshold_loss(SALIENCY, TOXIC, OTHER, percentile=15, alpha=0.8)
    assert found.tolist() == pytest.approx([0.74 / 3 + 0.3 / 2])


def test_ppt_ignores_special_tokens_and_padding() -> None:
    louder = SALIENCY.clone()
    louder[0, 0], louder[0, 6] = 50.0, 60.0
    torch.testing.assert_close(
        percentile_threshold_loss(louder, TOXIC, OTHER), percentile_threshold_loss(SALIENCY, TOXIC, OTHER)
    )


def test_both_losses_are_zero_where_all_bounds_hold_and_each_sees_its_own_violation() -> None:
    good = torch.tensor([[0.7, 1.0, 0.6, 0.0, 0.0, 0.0, 0.0]])
    assert pairwise_gradient_loss(good, TOXIC, OTHER).item() == 0
    assert percentile_threshold_loss(good, TOXIC, OTHER).item() == 0
    weak = torch.tensor([[0.7, 1.0, 0.4, 0.0, 0.0, 0.0, 0.0]])  # under 0.5 * 1.0 by 0.1, mean over two toxic tokens
    assert pairwise_gradient_loss(weak, TOXIC, OTHER).item() == 0
    assert percentile_threshold_loss(weak, TOXIC, OTHER).item() == pytest.approx(0.05)
    loud = torch.tensor([[0.7, 1.0, 0.6, 0.2, 0.0, 0.0, 0.0]])  # P15 at 0.6 steps of 0 0 0.2 0.6 1.0 is 0
    assert pairwise_gradient_loss(loud, TOXIC, OTHER).item() == 0
    assert percentile_threshold_loss(loud, TOXIC, OTHER).item() == pytest.approx(0.2 / 3)


def test_the_thresholds_of_ppt_are_constants_for_the_gradient() -> None:
    saliency = SALIENCY.clone().requires_grad_()
    percentile_threshold_loss(saliency, TOXIC, OTHER, percentile=15, alpha=0.8).sum().backward()
    # the maximum (1.0) and the percentile's neighbours (0.1, 0.4) get nothing from the thresholds made of them
    expected = torch.tensor([[0.0, 0.0, -1 / 2, 1 / 3, 1 / 3, 0.0, 0.0]])
    torch.testing.assert_close(saliency.grad, expected)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1, width=32), st.booleans()), min_size=1, max_size=12),
    st.floats(0, 100),
)
def test_masked_percentile_is_numpys(entries: list[tuple[float, bool]], percentile: float) -> None:
    values = torch.tensor([[value for value, _ in entries]])
    mask = torch.tensor([[kept for _, kept in entries]])
    found = masked_percentile(values, mask, percentile).item()
    kept = [value for value, keep in entries if keep]
    assert found == pytest.approx(np.percentile(kept, percentile) if kept else 0.0, abs=1e-5)


def test_rows_of_a_batch_do_not_touch_each_other() -> None:
    generator = torch.Generator().manual_seed(0)
    saliency = torch.rand(5, 9, generator=generator)
    toxic = torch.rand(5, 9, generator=generator) < 0.3
    other = ~toxic & (torch.rand(5, 9, generator=generator) < 0.8)
    for loss in (pairwise_gradient_loss, percentile_threshold_loss):
        together = loss(saliency, toxic, other)
        alone = [loss(saliency[i : i + 1], toxic[i : i + 1], other[i : i + 1]).item() for i in range(5)]
        assert together.tolist() == pytest.approx(alone)


def gc_loss(classifier: Classifier, ids: Tensor, mask: Tensor, toxic: Tensor) -> tuple[Tensor, Tensor]:
    content = (mask == 1) & (ids > 3)
    scaled = scale_saliency(saliency_pass(classifier, ids, mask, create_graph=True).saliency, content)
    other = content & ~toxic
    return (
        pairwise_gradient_loss(scaled, toxic, other) + percentile_threshold_loss(scaled, toxic, other)
    ).mean(), scaled


def test_the_whole_chain_gives_finite_gradients_to_embeddings_and_layers() -> None:
    classifier = tiny_classifier().train()
    ids, mask = padded([2, 7, 8, 9, 11, 12, 3], [2, 10, 12, 13, 3])
    loss, _ = gc_loss(classifier, ids, mask, torch.isin(ids, torch.tensor([8, 9, 13])))
    loss.backward()
    assert loss.item() > 0
    weights = dict(classifier.model.named_parameters())
    for name in (
        "bert.embeddings.word_embeddings.weight",
        "bert.encoder.layer.0.attention.self.query.weight",
        "bert.encoder.layer.1.output.dense.weight",
        "bert.pooler.dense.weight",
        "classifier.weight",
    ):
        gradient = weights[name].grad
        assert gradient is not None, name
        assert gradient.isfinite().all(), name
        assert gradient.abs().max() > 0, name
    assert all(p.grad is None or p.grad.isfinite().all() for p in classifier.parameters())


def test_descending_gcloss_alone_raises_the_toxic_tokens_above_the_others() -> None:
    classifier = tiny_classifier(6)
    ids, mask = padded([2, 7, 8, 9, 11, 12, 13, 3])
    start = saliency_pass(classifier, ids, mask).saliency[0, 1:-1]
    toxic = torch.isin(ids, ids[0, 1:-1][start.argsort()[:2]])  # the two that matter least to begin with
    others = (ids > 3) & ~toxic
    first_loss, _ = gc_loss(classifier, ids, mask, toxic)
    optimizer = torch.optim.Adam(classifier.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        loss, _ = gc_loss(classifier, ids, mask, toxic)
        loss.backward()
        optimizer.step()
    last_loss, after = gc_loss(classifier, ids, mask, toxic)
    assert last_loss < 0.5 * first_loss
    assert after[toxic].min() > after[others].max()
