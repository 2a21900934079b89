"""Word embeddings with hashed n-grams: what they sum, and that folders and graphs hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from toxitrace.config import EncoderConfig, ScratchConfig
from toxitrace.encoder import Classifier, load_classifier, new_classifier, save_classifier, save_encoder_folder
from toxitrace.encoder.char_tokenizer import build_char_tokenizer
from toxitrace.encoder.ngram_hash import N_SPECIAL
from toxitrace.encoder.ngrams import (
    NgramBertConfig,
    NgramBertForSequenceClassification,
    NgramTable,
    ngram_tables,
)
from toxitrace.encoder.scratch import fresh_masked_lm, scratch_config
from toxitrace.errors import ConfigError
from toxitrace.export import export_model
from toxitrace.saliency import saliency_pass
from toxitrace.settings import ModelSettings

SCRATCH = ScratchConfig(
    layers=2, hidden=16, heads=2, feed_forward=32, max_positions=32, vocab_size=60, min_count=1, ngram_buckets=97
)
TOKENIZER = build_char_tokenizer(["你真是个笨蛋，闭上你的臭嘴", "今天天气不错 hello"], 60, 1)


def classifier() -> Classifier:
    torch.manual_seed(0)
    made, _ = new_classifier(EncoderConfig(max_tokens=16, scratch=SCRATCH), TOKENIZER)
    for parameter in made.parameters():  # large enough for saliencies to differ
        torch.nn.init.normal_(parameter, std=0.3)
    return made.eval()


def table(seed: int = 0) -> NgramTable:
    torch.manual_seed(seed)
    made = NgramTable(97, 8).double()
    torch.nn.init.normal_(made.weight)
    return made


def ids(*rows: list[int]) -> Tensor:
    return torch.tensor(rows)


def test_a_token_gets_the_vectors_of_all_ngrams_it_is_part_of() -> None:
    made = table()

    def of(*tokens: int) -> Tensor:  # the vector of the one n-gram that consists of all these tokens
        alone = made(ids(list(tokens)))[0]
        return alone[0] if len(tokens) == 2 else alone[0] - of(*tokens[:2])

    found = made(ids([5, 6, 7, 8]))[0]
    torch.testing.assert_close(found[0], of(5, 6) + of(5, 6, 7))
    torch.testing.assert_close(found[1], of(5, 6) + of(6, 7) + of(5, 6, 7) + of(6, 7, 8))
    torch.testing.assert_close(found[3], of(7, 8) + of(6, 7, 8))


def test_order_matters() -> None:
    made = table()
    assert not torch.allclose(made(ids([5, 6])), made(ids([6, 5])))


@pytest.mark.parametrize("special", range(N_SPECIAL))
def test_special_tokens_are_part_of_no_ngram(special: int) -> None:
    assert not table()(ids([special, 7, special, 8])).any()


def test_padding_changes_nothing() -> None:
    made = table()
    torch.testing.assert_close(made(ids([2, 9, 8, 7, 3, 0, 0]))[:, :5], made(ids([2, 9, 8, 7, 3])))


def test_a_fresh_table_adds_nothing() -> None:
    assert not NgramTable(97, 8)(ids([5, 6, 7])).any()


def test_a_folder_keeps_the_table(tmp_path: Path) -> None:
    made = classifier()
    save_classifier(made, TOKENIZER, ModelSettings(max_tokens=16), tmp_path / "model")
    loaded = load_classifier(tmp_path / "model")
    assert isinstance(loaded.model, NgramBertForSequenceClassification)
    mask = torch.ones(1, 6, dtype=torch.long)
    torch.testing.assert_close(loaded(ids([2, 7, 8, 9, 10, 3]), mask), made(ids([2, 7, 8, 9, 10, 3]), mask))


def test_a_pretrained_encoder_brings_its_table_into_fine_tuning(tmp_path: Path) -> None:
    model = fresh_masked_lm(scratch_config(SCRATCH, TOKENIZER.get_vocab_size()))
    torch.nn.init.normal_(ngram_tables(model)[0])
    save_encoder_folder(model, TOKENIZER, ModelSettings(max_tokens=16), tmp_path / "encoder")
    made, _ = new_classifier(EncoderConfig(name=str(tmp_path / "encoder"), max_tokens=16))
    torch.testing.assert_close(ngram_tables(made)[0], ngram_tables(model)[0])


def test_the_output_layer_of_the_masked_lm_is_tied_to_single_tokens() -> None:
    model = fresh_masked_lm(scratch_config(SCRATCH, 50))
    assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight


def test_the_exported_graph_is_torchs(tmp_path: Path) -> None:
    made = classifier()
    save_classifier(made, TOKENIZER, ModelSettings(max_tokens=16), tmp_path / "model")
    export_model(tmp_path / "model", tmp_path / "export")  # checks itself against torch in double precision
    session = onnxruntime.InferenceSession(str(tmp_path / "export" / "model.onnx"))
    input_ids, mask = ids([2, 7, 8, 9, 7, 8, 3], [2, 12, 13, 3, 0, 0, 0]), (torch.arange(7) < ids([7], [4])).long()
    wanted = saliency_pass(made, input_ids, mask).saliency.numpy()
    (found,) = session.run(["saliency"], {"input_ids": input_ids.numpy(), "attention_mask": mask.numpy()})
    np.testing.assert_allclose(found, wanted, atol=1e-4 * float(wanted.max()))


def test_without_buckets_the_configuration_is_plain_berts() -> None:
    assert not isinstance(scratch_config(ScratchConfig(), 50), NgramBertConfig)


def test_an_odd_width_cannot_be_halved() -> None:
    with pytest.raises(ConfigError, match="two halves"):
        ScratchConfig(hidden=15, heads=3, ngram_buckets=97)
