from pathlib import Path

import numpy as np
import pytest
from fake_model import SETTINGS, VOCAB, raw_tokenizer

from toxitrace.detector.batching import pad
from toxitrace.detector.loading import load
from toxitrace.detector.torch_backend import TorchBackend
from toxitrace.errors import ModelError

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def classifier() -> "torch.nn.Module":
    from transformers import BertConfig, BertForSequenceClassification

    from toxitrace.encoder import Classifier

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(VOCAB),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        num_labels=2,
    )
    return Classifier(BertForSequenceClassification(config))


BATCH = pad([[2, 7, 8, 9, 3], [2, 10, 3]], pad_id=0)


def test_margins_are_the_difference_of_the_logits_without_dropout(classifier: "torch.nn.Module") -> None:
    backend = TorchBackend(classifier.train())
    logits = classifier.eval()(torch.from_numpy(BATCH.input_ids), torch.from_numpy(BATCH.attention_mask))
    np.testing.assert_allclose(backend.margins(BATCH), (logits[:, 1] - logits[:, 0]).detach().numpy(), atol=1e-6)


def test_saliency_has_a_weight_per_token_none_at_padding_and_the_same_margins(classifier: "torch.nn.Module") -> None:
    backend = TorchBackend(classifier)
    margin, saliency, evidence = backend.saliency(BATCH)
    assert evidence is None
    np.testing.assert_allclose(margin, backend.margins(BATCH), atol=1e-5)
    assert saliency.shape == BATCH.input_ids.shape
    assert ((saliency > 0) == (BATCH.attention_mask == 1)).all()


def test_a_model_folder_is_loaded_and_scores_texts(classifier: "torch.nn.Module", tmp_path: Path) -> None:
    from toxitrace.encoder import save_classifier

    save_classifier(classifier, raw_tokenizer(), SETTINGS, tmp_path / "model")
    detector = load(tmp_path / "model")
    assert detector.backend.name == "torch"
    short, long = detector.predict(["早上好", "你真是个笨蛋。" * 9], force_spans=True)
    assert 0 < short.probability < 1
    assert short.spans
    assert long.spans
    with pytest.raises(ModelError, match=r"no model\.onnx"):
        load(tmp_path / "model", backend="onnx")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"\x00" * 40)
    with pytest.raises(ModelError):
        load(tmp_path / "model")
