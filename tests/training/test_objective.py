from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import BertForSequenceClassification

from toxitrace.config import LossConfig, ScratchConfig
from toxitrace.data.batches import Batch, collate
from toxitrace.data.prepare import TrainingRow
from toxitrace.encoder.classifier import Classifier
from toxitrace.encoder.scratch import scratch_config
from toxitrace.training import objective
from toxitrace.training.objective import joint_losses

N_TEXTS = 7
NO_TOKENS = np.zeros(0, np.int64)


@pytest.fixture
def classifier() -> Classifier:
    torch.manual_seed(0)
    size = ScratchConfig(layers=2, hidden=16, heads=2, feed_forward=32, max_positions=32, dropout=0.1)
    model = BertForSequenceClassification(scratch_config(size, 50))
    with torch.no_grad():  # large weights: saliency that differs from token to token
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter.mul_(8)
    return Classifier(model).eval()


@pytest.fixture
def batch() -> Batch:
    """Texts of different lengths; the odd ones are toxic, 1, 3 and 5 with spans, 0, 1 and 2 with rationales."""
    rng = np.random.default_rng(0)

    def ids(length: int) -> np.ndarray:
        return np.concatenate([[2], rng.integers(5, 50, length), [3]])

    rows = []
    for index in range(N_TEXTS):
        length = 5 + index
        toxic = np.zeros(length + 2, bool)
        toxic[2 : 3 + index % 3] = index % 2 == 1
        argued = index < 3
        rows.append(
            TrainingRow(
                input_ids=ids(length),
                label=index % 2,
                toxic_prob=0.4 if index == 6 else float(index % 2),
                toxic_mask=toxic,
                supervised=bool(toxic.any()),
                supporting_ids=ids(4 + index) if argued else NO_TOKENS,
                opposing_ids=ids(6) if argued else NO_TOKENS,
            )
        )
    return collate(rows, pad_id=0)


@pytest.fixture
def traced_rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Texts in each saliency pass."""
    sizes: list[int] = []
    original = objective.saliency_pass

    def counted(classifier: Classifier, input_ids: Tensor, *args: object, **options: object) -> object:
        sizes.append(len(input_ids))
        return original(classifier, input_ids, *args, **options)

    monkeypatch.setattr(objective, "saliency_pass", counted)
    return sizes


def by_the_book(classifier: Classifier, batch: Batch, config: LossConfig) -> dict[str, Tensor]:
    """Methods 1.4 and 1.6 read literally: one text at a time, unpadded, sums over pairs as loops."""
    ce, pgr, ppt, contrast = [], [], [], []
    argued = batch["argued"].tolist()
    for b in range(N_TEXTS):
        n = int(batch["attention_mask"][b].sum())
        embedded = classifier.embed(batch["input_ids"][b : b + 1, :n])
        out = classifier.encode(embedded, torch.ones(1, n, dtype=torch.long))
        log_prob = out.logits[0].log_softmax(-1)
        y = batch["toxic_prob"][b]
        ce.append(-(1 - y) * log_prob[0] - y * log_prob[1])
        if batch["supervised"][b]:
            margin = out.logits[0, 1] - out.logits[0, 0]
            (gradient,) = torch.autograd.grad(margin, embedded, create_graph=True)
            g = torch.sqrt((gradient[0] ** 2).sum(-1) + 1e-12)[1 : n - 1]
            g = g / g.max()
            toxic = batch["toxic_mask"][b, 1 : n - 1].tolist()
            inside = [i for i, t in enumerate(toxic) if t]
            outside = [i for i, t in enumerate(toxic) if not t]
            pairs = [torch.relu(config.margin - (g[i] - g[j])) for i in inside for j in outside]
            pgr.append(sum(pairs) / len(pairs))
            low = float(np.percentile(g.detach().numpy(), config.percentile))
            high = config.alpha * float(g.detach().max())
            above = [torch.relu(g[j] - low) for j in outside]
            below = [torch.relu(high - g[i]) for i in inside]
            ppt.append(sum(above) / len(above) + sum(below) / len(below))
        if b in argued:
            sides = []
            for half in range(2):
                row = argued.index(b) + half * len(argued)
                length = int(batch["rationale_mask"][row].sum())
                ids = batch["rationale_ids"][row : row + 1, :length]
                sides.append(classifier.encode(classifier.embed(ids), torch.ones_like(ids)).pooled[0])
            h = [v / v.norm() for v in (out.pooled[0], *sides)]
            weight = 1 + (1 - log_prob[batch["label"][b]].exp().detach())
            pro, con = (torch.exp(h[0] @ other / config.temperature) for other in h[1:])
            contrast.append(-torch.log(pro / (pro + weight * con)))
    terms = {name: sum(values) / len(values) for name, values in locals().items() if name in _TERMS}
    weighted = config.grad_weight * (terms["pgr"] + terms["ppt"]) + config.contrast_weight * terms["contrast"]
    return {**terms, "total": terms["ce"] + weighted}


_TERMS = ("ce", "pgr", "ppt", "contrast")


def test_all_terms_and_the_gradient_equal_the_textbook_sums(classifier: Classifier, batch: Batch) -> None:
    config = LossConfig()
    ours = joint_losses(classifier, batch, config, warm_up=False)
    with sdpa_kernel(SDPBackend.MATH):
        expected = by_the_book(classifier, batch, config)
    for name in (*_TERMS, "total"):
        torch.testing.assert_close(getattr(ours, name), expected[name].to(torch.float32), atol=1e-5, rtol=1e-5)
        assert float(expected[name].detach()) > 0.01, f"{name} tests nothing"
    parameters = [p for p in classifier.parameters() if p.requires_grad]
    for one, other in zip(
        torch.autograd.grad(ours.total, parameters),
        torch.autograd.grad(expected["total"], parameters),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


def test_the_warm_up_is_cross_entropy_alone(classifier: Classifier, batch: Batch, traced_rows: list[int]) -> None:
    losses = joint_losses(classifier, batch, LossConfig(), warm_up=True)
    assert losses.total.item() == losses.ce.item()
    assert (losses.pgr, losses.ppt, losses.contrast) == (0, 0, 0)
    assert traced_rows == []


def test_only_texts_with_usable_spans_go_through_the_saliency_pass(
    classifier: Classifier, batch: Batch, traced_rows: list[int]
) -> None:
    joint_losses(classifier, batch, LossConfig(), warm_up=False)
    assert traced_rows == [3]


@pytest.mark.parametrize(
    ("switched_off", "zero"),
    [
        ({"grad_weight": 0.0}, {"pgr", "ppt"}),
        ({"pgr": False}, {"pgr"}),
        ({"ppt": False}, {"ppt"}),
        ({"pgr": False, "ppt": False}, {"pgr", "ppt"}),
        ({"contrast_weight": 0.0}, {"contrast"}),
    ],
)
def test_every_term_can_be_switched_off(
    classifier: Classifier,
    batch: Batch,
    traced_rows: list[int],
    switched_off: dict[str, float],
    zero: set[str],
) -> None:
    full = joint_losses(classifier, batch, LossConfig(), warm_up=False)
    losses = joint_losses(classifier, batch, replace(LossConfig(), **switched_off), warm_up=False)
    assert {name for name in _TERMS if getattr(losses, name) == 0} == zero
    for name in set(_TERMS) - zero:
        torch.testing.assert_close(getattr(losses, name), getattr(full, name))
    assert traced_rows == ([3] if zero >= {"pgr", "ppt"} else [3, 3])  # a term that is off costs nothing


@pytest.mark.parametrize("rows", [[0, 2, 4], [1, 3, 5]])
def test_batches_without_or_of_nothing_but_supervised_texts_have_finite_gradients(
    classifier: Classifier, batch: Batch, rows: list[int]
) -> None:
    part = {name: value[rows] for name, value in batch.items() if name not in _RATIONALES}
    nothing = torch.zeros(0, dtype=torch.long)
    empty = torch.zeros(0, 0, dtype=torch.long)
    part |= {"argued": nothing, "rationale_ids": empty, "rationale_mask": empty}
    losses = joint_losses(classifier.train(), part, LossConfig(), warm_up=False)  # type: ignore[arg-type]
    losses.total.backward()
    # every parameter takes part whatever the batch holds: processes that train together need that
    assert all(p.grad is not None and p.grad.isfinite().all() for p in classifier.parameters())


_RATIONALES = ("argued", "rationale_ids", "rationale_mask")


def test_bf16_autocast_gives_the_same_losses_roughly(classifier: Classifier, batch: Batch) -> None:
    exact = joint_losses(classifier, batch, LossConfig(), warm_up=False)
    with torch.autocast("cpu", torch.bfloat16):
        rough = joint_losses(classifier, batch, LossConfig(), warm_up=False)
    rough.total.backward()
    torch.testing.assert_close(rough.total, exact.total, rtol=0.05, atol=0.02)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in classifier.parameters())
