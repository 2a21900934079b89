"""N-grams that judge beside the encoder: what they sum, and that every way to the margin has them."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from toxitrace.config import EncoderConfig, ScratchConfig
from toxitrace.detector import Backend, TokenBatch
from toxitrace.detector.onnx_backend import OnnxBackend
from toxitrace.detector.openvino_backend import OpenVINOBackend
from toxitrace.detector.torch_backend import TorchBackend
from toxitrace.encoder import Classifier, load_classifier, new_classifier, save_classifier
from toxitrace.encoder.char_tokenizer import build_char_tokenizer
from toxitrace.encoder.ngram_hash import N_SPECIAL
from toxitrace.encoder.ngram_margin import NO_OWNER, NgramMargin
from toxitrace.encoder.ngrams import NgramBertForSequenceClassification
from toxitrace.export import export_model
from toxitrace.export.ngrams import LookedUpMargin
from toxitrace.saliency import saliency_pass
from toxitrace.settings import ModelSettings
from toxitrace.training.ngram_margin import fit_ngram_margin, scale_margin

SCRATCH = ScratchConfig(
    layers=2, hidden=16, heads=2, feed_forward=32, max_positions=32, vocab_size=60, min_count=1, ngram_buckets=97
)
TOKENIZER = build_char_tokenizer(["你真是个笨蛋，闭上你的臭嘴", "今天天气不错 hello"], 60, 1)
BUCKETS = 997


def ids(*rows: list[int]) -> Tensor:
    return torch.tensor(rows)


def owning(margin: NgramMargin, tokens: list[int], a: float, q: float) -> None:
    """Give the n-gram of all these tokens its bucket."""
    ngrams = list(margin.ngrams(ids(tokens)))[len(tokens) - 1]
    bucket = int(ngrams.bucket[0, -1])
    assert margin.names[bucket] == NO_OWNER
    margin.names[bucket] = ngrams.name[0, -1].to(margin.names.dtype)
    margin.evidence[bucket], margin.squares[bucket] = a, q


def example() -> NgramMargin:
    margin = NgramMargin(BUCKETS)
    owning(margin, [7], 1.0, 4.0)
    owning(margin, [7, 8], 3.0, 9.0)
    owning(margin, [7, 8, 9, 10], -5.0, 3.0)
    margin.bias.fill_(0.5)
    return margin


def test_known_ngrams_are_summed_and_scaled_to_length_one() -> None:
    found = example()(ids([7, 8, 11, 12], [7, 8, 9, 10], [7, 20, 21, 22]))
    wanted = [4 / math.sqrt(13) + 0.5, -1 / math.sqrt(16) + 0.5, 1 / math.sqrt(4) + 0.5]
    torch.testing.assert_close(found, torch.tensor(wanted), rtol=1e-5, atol=1e-5)


def test_evidence_of_tokens_is_shared_out_evenly_and_sums_up() -> None:
    margin = example()
    found = margin.token_evidence(ids([7, 8, 11, 12], [7, 8, 9, 10]))
    root = math.sqrt(13)
    torch.testing.assert_close(found[0], torch.tensor([2.5, 1.5, 0, 0]) / root, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found[1], torch.tensor([1.25, 0.25, -1.25, -1.25]) / 4, rtol=1e-5, atol=1e-5)
    repeated = ids([2, 7, 8, 7, 8, 3, 0])
    torch.testing.assert_close(margin.token_evidence(repeated).sum(-1) + margin.bias, margin(repeated))
    assert margin.token_evidence(repeated)[0, [0, 5, 6]].tolist() == [0, 0, 0]


def test_an_ngram_counts_once_however_often_it_stands_there() -> None:
    once, often = example()(ids([7, 8, 11, 0, 0, 0], [7, 8, 7, 8, 7, 8]))
    torch.testing.assert_close(often, once)


def test_a_text_without_a_known_ngram_gets_the_bias() -> None:
    torch.testing.assert_close(example()(ids([30, 31])), torch.tensor([0.5]))


def test_padding_and_special_tokens_change_nothing() -> None:
    margin = example()
    torch.testing.assert_close(margin(ids([2, 7, 8, 3, 0, 0])), margin(ids([2, 7, 8, 3])))
    for special in range(N_SPECIAL):
        torch.testing.assert_close(margin(ids([7, special, 8])), margin(ids([7])))


def test_a_bucket_does_not_judge_ngrams_of_another_name() -> None:
    margin = example()
    margin.names[:] = torch.where(margin.names == NO_OWNER, margin.names, (margin.names + 1) % 65_521)
    torch.testing.assert_close(margin(ids([7, 8, 9, 10])), torch.tensor([0.5]))


@pytest.mark.parametrize("buckets", [BUCKETS, 262_139])
def test_looked_up_hashes_are_the_computed_ones(buckets: int) -> None:
    margin = NgramMargin(buckets)
    looked_up = LookedUpMargin(margin, 21_128)
    tokens = torch.randint(0, 21_128, (4, 50), generator=torch.Generator().manual_seed(0))
    for one, other in zip(margin.ngrams(tokens), looked_up.ngrams(tokens), strict=True):
        assert torch.equal(one.bucket, other.bucket)
        assert torch.equal(one.name, other.name)


SEQUENCES = [[7, 8, 9], [7, 8, 12], [20, 21, 22], [20, 21, 9]] * 5
LABELS = [1.0, 1.0, 0.0, 0.0] * 5


def test_what_is_fitted_parts_the_classes_and_is_a_plain_logistic_regression() -> None:
    sklearn = pytest.importorskip("sklearn.linear_model")
    fitted = fit_ngram_margin(SEQUENCES, LABELS, buckets=9_973, inverse_l2=2.0)
    found = fitted.margin(ids(*SEQUENCES)).numpy()
    assert (found > 0).tolist() == [label == 1 for label in LABELS]

    def ngrams(tokens: list[int]) -> set[tuple[int, ...]]:
        return {tuple(tokens[i : i + n]) for n in range(1, 5) for i in range(len(tokens) - n + 1)}

    kinds = sorted({kind for tokens in SEQUENCES for kind in ngrams(tokens)})
    assert fitted.n_ngrams == fitted.n_wanted == len(kinds)
    has = np.array([[kind in ngrams(tokens) for kind in kinds] for tokens in SEQUENCES], dtype=float)
    features = has * (np.log((1 + len(has)) / (1 + has.sum(0))) + 1)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    wanted = sklearn.LogisticRegression(C=2.0).fit(features, LABELS).decision_function(features)
    np.testing.assert_allclose(found, wanted, atol=2e-3)


def test_scaling_scales_the_sum() -> None:
    margin = example()
    before = margin(ids([7, 8, 9], [30, 31, 32]))
    scale_margin(margin, 1.5)
    torch.testing.assert_close(margin(ids([7, 8, 9], [30, 31, 32])), 1.5 * before)


@pytest.fixture(scope="module")
def wide() -> Classifier:
    torch.manual_seed(0)
    made, _ = new_classifier(EncoderConfig(max_tokens=16, scratch=SCRATCH), TOKENIZER)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    config = made.model.config
    config.ngram_margin_buckets = BUCKETS
    model = NgramBertForSequenceClassification(config)
    model.load_state_dict(made.model.state_dict(), strict=False)
    model.ngram_margin = example()
    return Classifier(model).eval()


IDS = ids([2, 7, 8, 9, 10, 3], [2, 12, 7, 8, 3, 0])
MASK = ids([1] * 6, [1] * 5 + [0])


def test_every_way_to_the_logits_has_the_ngrams_and_the_gradient_has_not(wide: Classifier) -> None:
    assert isinstance(wide.model, NgramBertForSequenceClassification)
    found = saliency_pass(wide, IDS, MASK)
    torch.testing.assert_close(wide(IDS, MASK), found.logits, rtol=1e-4, atol=1e-5)
    ngrams, wide.model.ngram_margin = wide.model.ngram_margin, None
    alone = saliency_pass(wide, IDS, MASK)
    wide.model.ngram_margin = ngrams
    assert ngrams is not None
    torch.testing.assert_close(found.logits[:, 1] - alone.logits[:, 1], ngrams(IDS), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.saliency, alone.saliency, rtol=0, atol=0)


@pytest.fixture(scope="module")
def folder(wide: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wide") / "model"
    save_classifier(wide, TOKENIZER, ModelSettings(max_tokens=16), path)
    return path


def test_a_folder_keeps_them(wide: Classifier, folder: Path) -> None:
    torch.testing.assert_close(load_classifier(folder)(IDS, MASK), wide(IDS, MASK))


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_exported_graphs_have_them(wide: Classifier, folder: Path, tmp_path: Path, precision: str) -> None:
    export_model(folder, tmp_path, precision=precision)  # type: ignore[arg-type]  # checks itself against torch
    inputs = {"input_ids": IDS.numpy(), "attention_mask": MASK.numpy()}
    logits = wide(IDS, MASK).detach().numpy()
    for name in ("model.onnx", "classifier.onnx"):
        session = onnxruntime.InferenceSession(str(tmp_path / name))
        (margin,) = session.run(["margin"], inputs)
        np.testing.assert_allclose(margin, logits[:, 1] - logits[:, 0], atol=0.3 if precision == "int8" else 0.01)


def test_every_backend_has_the_same_evidence(wide: Classifier, folder: Path, tmp_path: Path) -> None:
    export_model(folder, tmp_path)
    batch = TokenBatch(IDS.numpy(), MASK.numpy())
    ngrams = wide.model.ngram_margin
    assert isinstance(ngrams, NgramMargin)
    wanted = ngrams.token_evidence(IDS).numpy()
    assert np.abs(wanted).max() > 0.1
    backends: list[Backend] = [TorchBackend(wide), OnnxBackend(tmp_path)]
    if importlib.util.find_spec("openvino"):
        backends.append(OpenVINOBackend(tmp_path, TOKENIZER.get_vocab_size(), threads=1))
    for backend in backends:
        found = backend.saliency(batch).ngram_evidence
        assert found is not None
        np.testing.assert_allclose(found, wanted, atol=0.02 if backend.name == "openvino" else 1e-5)
