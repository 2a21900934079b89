"""Legend: B texts, T tokens, D hidden."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from captum.attr import InputXGradient, LayerGradientXActivation, Saliency
from tiny_encoder import padded, tiny_classifier
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from toxitrace.encoder import Classifier
from toxitrace.saliency import margin_saliency, saliency_pass, scale_saliency
from toxitrace.settings import SaliencyKind

IDS, MASK = padded([2, 7, 8, 9, 11, 3], [2, 10, 12, 3])

WEIGHTS = {
    "word embeddings": ("bert.embeddings.word_embeddings.weight",),
    "attention": (
        "bert.encoder.layer.0.attention.self.query.weight",
        "bert.encoder.layer.0.attention.self.value.weight",
    ),
    "feed-forward and head": ("bert.encoder.layer.0.output.dense.weight", "classifier.weight"),
}


class SaliencyModule(nn.Module):
    """The saliency as a function of the classifier's weights."""

    def __init__(self, classifier: Classifier, input_ids: Tensor, mask: Tensor, kind: SaliencyKind) -> None:
        super().__init__()
        self.classifier, self.input_ids, self.mask, self.kind = classifier, input_ids, mask, kind

    def forward(self) -> Tensor:
        return saliency_pass(self.classifier, self.input_ids, self.mask, kind=self.kind, create_graph=True).saliency


class MarginModule(nn.Module):
    """The margin as a function of the classifier's weights, by the path that the saliency pass takes."""

    def __init__(self, classifier: Classifier, input_ids: Tensor, mask: Tensor) -> None:
        super().__init__()
        self.classifier, self.input_ids, self.mask = classifier, input_ids, mask

    def forward(self) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):
            logits = self.classifier.encode(self.classifier.embed(self.input_ids), self.mask).logits
        return logits[:, 1] - logits[:, 0]


def as_function(module: nn.Module, weights: tuple[str, ...]) -> tuple[Callable[..., Tensor], tuple[Tensor, ...]]:
    """What gradcheck wants: a function of some of the weights, and their values."""
    names = [f"classifier.model.{name}" for name in weights]
    values = dict(module.named_parameters())

    def function(*tensors: Tensor) -> Tensor:
        return functional_call(module, dict(zip(names, tensors, strict=True)), ())

    return function, tuple(values[name].detach().clone().requires_grad_() for name in names)


def margin_of_embeddings(classifier: Classifier, mask: Tensor) -> Callable[[Tensor], Tensor]:
    def margin(embeddings: Tensor) -> Tensor:
        logits = classifier.encode(embeddings, mask).logits
        return logits[:, 1] - logits[:, 0]

    return margin


@pytest.mark.parametrize("kind", ["gradient", "grad_x_input"])
@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_derivatives_of_the_saliency_are_right_in_double_precision(
    kind: SaliencyKind, weights: tuple[str, ...]
) -> None:
    # the saliency is a first derivative itself, so this checks the double backward pass that training needs
    classifier = tiny_classifier(3, torch.float64, hidden=4, layers=1, vocab_size=6)
    assert gradcheck(*as_function(SaliencyModule(classifier, *padded([2, 4, 5, 3], [2, 5, 3]), kind), weights))


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_the_margin_passes_gradgradcheck_through_the_embedding_path_and_the_layers(weights: tuple[str, ...]) -> None:
    classifier = tiny_classifier(3, torch.float64, hidden=4, layers=1, vocab_size=6)
    margin = MarginModule(classifier, *padded([2, 4, 5, 3], [2, 5, 3]))
    assert gradgradcheck(*as_function(margin, weights))


def test_the_margin_passes_gradgradcheck_at_the_embeddings() -> None:
    classifier = tiny_classifier(1, torch.float64, hidden=4, layers=2, vocab_size=6)
    ids, mask = padded([2, 4, 3])
    embeddings = classifier.embed(ids).detach().requires_grad_()
    with sdpa_kernel(SDPBackend.MATH):
        assert gradgradcheck(margin_of_embeddings(classifier, mask), (embeddings,))


def test_saliency_is_the_norm_of_finite_differences_of_the_margin() -> None:
    classifier = tiny_classifier(2, torch.float64, hidden=4)
    ids, mask = padded([2, 7, 8, 3])
    margin = margin_of_embeddings(classifier, mask)
    embeddings = classifier.embed(ids).detach()  # (1, T, D)
    differences = torch.zeros_like(embeddings)
    step = 1e-6
    for place in range(embeddings.numel()):
        nudge = torch.zeros_like(embeddings)
        nudge.view(-1)[place] = step
        with torch.no_grad():
            slope = (margin(embeddings + nudge) - margin(embeddings - nudge)) / (2 * step)
        differences.view(-1)[place] = slope
    found = saliency_pass(classifier, ids, mask).saliency
    torch.testing.assert_close(found, differences.norm(dim=-1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("gold", [0, 1])
def test_scaled_saliency_is_the_same_for_margin_log_probability_and_cross_entropy(seed: int, gold: int) -> None:
    classifier = tiny_classifier(seed)
    embeddings = classifier.embed(IDS).detach().requires_grad_()
    logits = classifier.encode(embeddings, MASK).logits
    log_prob = logits.log_softmax(-1)[:, 1].sum()
    loss = cross_entropy(logits, torch.full((2,), gold), reduction="sum")
    content = (MASK == 1) & (IDS > 3)
    scaled = scale_saliency(saliency_pass(classifier, IDS, MASK).saliency, content)
    for objective in (log_prob, loss):
        (gradient,) = torch.autograd.grad(objective, embeddings, retain_graph=True)
        other = scale_saliency(gradient.norm(dim=-1), content)
        torch.testing.assert_close(other, scaled, rtol=0, atol=1e-5)


def test_captum_saliency_agrees() -> None:
    classifier = tiny_classifier(4)
    embeddings = classifier.embed(IDS).detach().requires_grad_()
    margin = margin_of_embeddings(classifier, MASK)
    expected = Saliency(margin).attribute(embeddings, abs=False).norm(dim=-1)  # (B, T, D) -> (B, T)
    found = saliency_pass(classifier, IDS, MASK).saliency
    assert expected.max() > 0.1
    torch.testing.assert_close(found, expected * MASK, rtol=0, atol=1e-5)


def test_captum_input_times_gradient_agrees_at_the_input_and_at_the_embedding_layer() -> None:
    classifier = tiny_classifier(4)
    found = saliency_pass(classifier, IDS, MASK, kind="grad_x_input").saliency
    embeddings = classifier.embed(IDS).detach().requires_grad_()
    at_input = InputXGradient(margin_of_embeddings(classifier, MASK)).attribute(embeddings)

    def margin_of_ids(ids: Tensor) -> Tensor:
        logits = classifier(ids, MASK)
        return logits[:, 1] - logits[:, 0]

    at_layer = LayerGradientXActivation(margin_of_ids, classifier.model.get_input_embeddings()).attribute(IDS)
    torch.testing.assert_close(found, at_input.sum(-1).abs() * MASK, rtol=0, atol=1e-5)
    torch.testing.assert_close(found, at_layer.sum(-1).abs() * MASK, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", ["gradient", "grad_x_input"])
def test_saliency_is_zero_at_padding_and_positive_elsewhere(kind: SaliencyKind) -> None:
    saliency = saliency_pass(tiny_classifier(), IDS, MASK, kind=kind).saliency
    assert torch.equal(saliency > 0, MASK == 1)


def test_batch_mates_and_padding_change_neither_logits_nor_saliency() -> None:
    classifier = tiny_classifier(5)
    together = saliency_pass(classifier, IDS, MASK)
    for row, ids in enumerate(([2, 7, 8, 9, 11, 3], [2, 10, 12, 3])):
        alone = saliency_pass(classifier, *padded(ids))
        torch.testing.assert_close(alone.logits[0], together.logits[row], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(alone.saliency[0], together.saliency[row, : len(ids)], rtol=1e-4, atol=1e-5)


def test_logits_and_pooled_are_those_of_a_plain_forward_pass() -> None:
    classifier = tiny_classifier()
    result = saliency_pass(classifier, IDS, MASK)
    torch.testing.assert_close(result.logits, classifier(IDS, MASK))
    hidden = classifier.model.bert(input_ids=IDS, attention_mask=MASK).last_hidden_state
    torch.testing.assert_close(result.pooled, hidden[:, 0].detach())


def test_frozen_weights_and_callers_without_gradients_get_the_same_saliency() -> None:
    classifier = tiny_classifier()
    expected = saliency_pass(classifier, IDS, MASK).saliency
    with torch.no_grad():
        torch.testing.assert_close(saliency_pass(classifier, IDS, MASK).saliency, expected)
    classifier.requires_grad_(False)
    torch.testing.assert_close(saliency_pass(classifier, IDS, MASK).saliency, expected)
    with torch.no_grad():
        torch.testing.assert_close(saliency_pass(classifier, IDS, MASK).saliency, expected)


def test_inference_leaves_no_graph_and_no_gradients_behind() -> None:
    classifier = tiny_classifier()
    margin, saliency = margin_saliency(classifier, IDS, MASK)
    logits = classifier(IDS, MASK)
    torch.testing.assert_close(margin, (logits[:, 1] - logits[:, 0]).detach())
    assert not margin.requires_grad
    assert not saliency.requires_grad
    assert all(parameter.grad is None for parameter in classifier.parameters())


def test_bfloat16_autocast_gives_finite_saliency_and_finite_second_derivatives() -> None:
    classifier = tiny_classifier()
    with torch.autocast("cpu", torch.bfloat16):
        result = saliency_pass(classifier, IDS, MASK, create_graph=True)
        result.saliency.sum().backward()
    exact = saliency_pass(classifier, IDS, MASK).saliency
    torch.testing.assert_close(result.saliency.detach().float(), exact, rtol=0.2, atol=0.1 * exact.max().item())
    gradients = [p.grad for p in classifier.parameters() if p.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)


def test_scaling_puts_the_highest_content_token_at_one_and_everything_else_outside_at_zero() -> None:
    saliency = torch.tensor([[9.0, 2.0, 4.0, 9.0, 0.0], [9.0, 0.0, 0.0, 9.0, 0.0]])
    content = torch.tensor([[False, True, True, False, False]] * 2)
    # row 1: 2/4 and 4/4, the larger special tokens do not count; row 2 has no gradient at all and stays finite
    assert scale_saliency(saliency, content).tolist() == [[0.0, 0.5, 1.0, 0.0, 0.0], [0.0] * 5]


def test_a_text_of_special_tokens_alone_scales_to_zero() -> None:
    assert scale_saliency(torch.ones(1, 2), torch.zeros(1, 2, dtype=torch.bool)).tolist() == [[0.0, 0.0]]
