"""BERT written out by hand against autograd through transformers, in double precision."""

import pytest
import torch
from export_models import bert, scatter
from torch import Tensor
from transformers import RobertaConfig, RobertaForSequenceClassification

from toxitrace.export.bert import BertGraph, is_plain_bert
from toxitrace.export.bert_parts import Norm, softmax_backward
from toxitrace.export.graph import AutogradGraph, build_graph
from toxitrace.saliency import saliency_pass
from toxitrace.settings import Calibration, SaliencyKind

CALIBRATION = Calibration(scale=2.0, offset=0.3)


def inputs(lengths: list[int], vocab_size: int = 40) -> tuple[Tensor, Tensor]:
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    return torch.randint(2, vocab_size, mask.shape, generator=torch.Generator().manual_seed(1)) * mask, mask


@pytest.mark.parametrize("kind", ["gradient", "grad_x_input"])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_written_out_gradient_is_autograds(layers: int, activation: str, kind: SaliencyKind) -> None:
    classifier = bert(layers=layers, hidden_act=activation).double()
    graph = BertGraph(classifier.model, CALIBRATION, kind)
    for lengths in ([3], [17, 9, 3], [32, 1]):
        wanted = saliency_pass(classifier, *inputs(lengths), kind=kind)
        margin, probability, saliency = graph(*inputs(lengths))
        wanted_margin = wanted.logits[:, 1] - wanted.logits[:, 0]
        torch.testing.assert_close(margin, wanted_margin, rtol=0, atol=1e-12)
        torch.testing.assert_close(saliency, wanted.saliency, rtol=0, atol=1e-12)
        torch.testing.assert_close(probability, torch.sigmoid(2 * wanted_margin + 0.3), rtol=0, atol=1e-12)


def test_without_gradients_margin_and_probability_are_the_same() -> None:
    classifier = bert().double()
    full = BertGraph(classifier.model, CALIBRATION)(*inputs([17, 4]))
    forward = BertGraph(classifier.model, CALIBRATION, gradients=False)(*inputs([17, 4]))
    assert len(forward) == 2
    for found, wanted in zip(forward, full, strict=False):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


def test_padding_changes_nothing_and_weighs_nothing() -> None:
    graph = build_graph(bert().double(), CALIBRATION)
    input_ids, mask = inputs([9])
    alone = graph(input_ids, mask)
    padded = graph(torch.cat([input_ids, torch.full((1, 6), 7)], dim=1), torch.cat([mask, mask[:, :6] * 0], dim=1))
    torch.testing.assert_close(padded[0], alone[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(padded[2][:, :9], alone[2], rtol=0, atol=1e-12)
    assert not padded[2][:, 9:].any()


def test_other_architectures_take_the_gradient_by_autograd() -> None:
    config = RobertaConfig(
        vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64, num_labels=2
    )
    classifier = scatter(RobertaForSequenceClassification(config)).double()
    assert not is_plain_bert(classifier.model)
    wanted = saliency_pass(classifier, *inputs([11, 5]))
    margin, _, saliency = AutogradGraph(classifier, CALIBRATION)(*inputs([11, 5]))
    torch.testing.assert_close(margin, wanted.logits[:, 1] - wanted.logits[:, 0], rtol=0, atol=1e-12)
    torch.testing.assert_close(saliency, wanted.saliency, rtol=0, atol=1e-12)
    assert classifier.model.config._attn_implementation != "eager"  # the caller's model stays as it was


def test_an_activation_without_a_written_slope_is_no_plain_bert() -> None:
    assert is_plain_bert(bert().model)
    assert not is_plain_bert(bert(hidden_act="gelu_new").model)


def test_the_norms_backward_pass_is_autograds() -> None:
    torch.manual_seed(0)
    layer = torch.nn.LayerNorm(8).double()
    torch.nn.init.normal_(layer.weight)
    x, grad = torch.randn(5, 8).double().requires_grad_(), torch.randn(5, 8).double()
    norm = Norm(layer, gradients=True)
    out, saved = norm(x.detach())
    torch.testing.assert_close(out, layer(x).detach(), rtol=0, atol=1e-12)
    (wanted,) = torch.autograd.grad(layer(x), x, grad)
    torch.testing.assert_close(norm.backward(grad, saved), wanted, rtol=0, atol=1e-12)


def test_the_softmaxs_backward_pass_is_autograds() -> None:
    torch.manual_seed(0)
    x, grad = torch.randn(3, 5).double().requires_grad_(), torch.randn(3, 5).double()
    probability = torch.softmax(x, dim=-1)
    (wanted,) = torch.autograd.grad(probability, x, grad)
    torch.testing.assert_close(softmax_backward(grad, probability.detach()), wanted, rtol=0, atol=1e-12)
