"""An export back into a classifier: the same answers, the same saliency, and errors for what is none."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from export_models import SETTINGS, bert, tokenizer

from toxitrace.detector.loading import default_model
from toxitrace.encoder import Classifier, load_classifier, save_classifier
from toxitrace.errors import ModelError
from toxitrace.export import export_model
from toxitrace.export.precision import halve
from toxitrace.export.restore import restore_classifier
from toxitrace.saliency import margin_saliency

pytest.importorskip("onnxscript", reason="onnxscript comes with the train extra")


def ids_and_mask(n_tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    input_ids = torch.randint(5, n_tokens, (3, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(12) < torch.tensor([12, 7, 3])[:, None]
    return input_ids * mask, mask.long()


@pytest.fixture(scope="module")
def plain() -> Classifier:
    return bert(tokenizer().get_vocab_size(), layers=2)


@pytest.fixture(scope="module")
def exported(plain: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exported once: it takes seconds."""
    root = tmp_path_factory.mktemp("restore")
    save_classifier(plain, tokenizer(), SETTINGS, root / "model")
    return export_model(root / "model", root / "export").folder


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_restored_model_answers_as_the_first(
    plain: Classifier, exported: Path, tmp_path: Path, precision: str
) -> None:
    if precision == "fp16":
        model = onnx.load(exported / "model.onnx")
        halve(model)
        onnx.save(model, tmp_path / "model.onnx")
    restored = restore_classifier(exported if precision == "fp32" else tmp_path)
    inputs = ids_and_mask(tokenizer().get_vocab_size())
    tolerance = 2e-2 if precision == "fp16" else 1e-4
    for found, wanted in zip(margin_saliency(restored, *inputs), margin_saliency(plain, *inputs), strict=True):
        torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("n_heads", [0, 2, 3, 8])
def test_another_number_of_heads_is_refused(exported: Path, n_heads: int) -> None:
    with pytest.raises(ModelError, match="heads"):
        restore_classifier(exported, n_heads)


def test_the_shipped_model_comes_back_with_its_ngrams() -> None:
    folder = default_model()
    if folder is None:
        pytest.skip("no model is shipped in this checkout")
    import numpy as np

    import toxitrace
    from toxitrace.detector.batching import pad
    from toxitrace.detector.torch_backend import TorchBackend

    exact = toxitrace.load(folder, threads=1)
    batch = pad([exact.tokenizer.raw.encode(text).ids for text in ("你真是个笨蛋，闭嘴", "今天天气不错")], 0)
    for found, wanted in zip(
        TorchBackend(restore_classifier(folder)).saliency(batch), exact.backend.saliency(batch), strict=True
    ):
        assert (found is None) == (wanted is None)
        if found is not None:
            np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)


def test_ngrams_that_judge_can_be_left_out(tmp_path: Path) -> None:
    folder = default_model()
    if folder is None:
        pytest.skip("no model is shipped in this checkout")
    without = restore_classifier(folder, ngram_margin=False)
    save_classifier(without, tokenizer(), SETTINGS, tmp_path)
    inputs = ids_and_mask(1000)
    torch.testing.assert_close(load_classifier(tmp_path)(*inputs), without(*inputs))
    margin = restore_classifier(folder)(*inputs).diff(dim=1) - without(*inputs).diff(dim=1)
    assert float(margin.detach().abs().max()) > 0.1


def test_what_is_no_export_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model.onnx cannot be read"):
        restore_classifier(tmp_path)
    (tmp_path / "model.onnx").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match=r"model.onnx"):
        restore_classifier(tmp_path)


def test_an_export_of_another_architecture_is_refused(tmp_path: Path) -> None:
    import sys

    sys.path.insert(0, str(Path(__file__).parent.parent / "detector"))
    from fake_model import write_export

    with pytest.raises(ModelError, match="no BERT of 4 heads that toxitrace exported"):
        restore_classifier(write_export(tmp_path / "fake"))
