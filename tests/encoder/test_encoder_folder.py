"""Encoders from scratch, from folders in the hub's real layout, and what happens to damaged ones."""

from __future__ import annotations

import json
import shutil
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import BertWordPieceTokenizer, Tokenizer
from transformers import AutoModelForSequenceClassification, BertForMaskedLM

from toxitrace.config import EncoderConfig, ScratchConfig
from toxitrace.encoder import Classifier, folder, load_classifier, new_classifier, save_classifier, save_encoder_folder
from toxitrace.encoder.char_tokenizer import build_char_tokenizer
from toxitrace.encoder.scratch import scratch_config
from toxitrace.errors import ModelError
from toxitrace.settings import ModelSettings, load_settings

sys.path.insert(0, str(Path(__file__).parent.parent / "saliency"))  # the tiny models are shared

from tiny_encoder import padded, tiny_config

VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"你真是个笨蛋早上好今天气不错，。", "hello", "##s"]
IDS, MASK = padded([2, 7, 8, 9, 11, 3], [2, 10, 12, 3])
SCRATCH = ScratchConfig(layers=2, hidden=16, heads=2, feed_forward=32, max_positions=32, vocab_size=60, min_count=1)


@pytest.fixture(scope="module")
def hub_layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a download of hfl/chinese-roberta-wwm-ext holds: a masked LM, vocab.txt, no tokenizer.json."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("hfl") / "chinese-roberta-wwm-ext"
    BertForMaskedLM(tiny_config(vocab_size=len(VOCABULARY))).save_pretrained(path)
    (path / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    specials = {"unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]"}
    (path / "special_tokens_map.json").write_text(json.dumps({**specials, "mask_token": "[MASK]"}))
    (path / "tokenizer_config.json").write_text('{"do_lower_case": true, "init_inputs": []}')
    return path


@pytest.fixture
def encoder(hub_layout: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(hub_layout, tmp_path / "encoder"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Classifier, Tokenizer, Path]:
    torch.manual_seed(1)
    tokenizer = build_char_tokenizer(["你真是个笨蛋", "今天天气不错 hello"], 60, 1)
    classifier, tokenizer = new_classifier(EncoderConfig(max_tokens=16, scratch=SCRATCH), tokenizer)
    path = tmp_path_factory.mktemp("models") / "model"
    save_classifier(classifier.eval(), tokenizer, ModelSettings(max_tokens=16, threshold=0.25), path)
    return classifier, tokenizer, path


@pytest.fixture
def model(trained: tuple[Classifier, Tokenizer, Path], tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(trained[2], tmp_path / "model"))


def from_folder(path: Path, max_tokens: int = 16) -> tuple[Classifier, Tokenizer]:
    return new_classifier(EncoderConfig(name=str(path), max_tokens=max_tokens))


def one_line(error: pytest.ExceptionInfo[ModelError], *words: str) -> bool:
    message = str(error.value)
    return "\n" not in message and all(word in message for word in words)


def test_an_encoder_from_scratch_has_the_size_that_was_asked_for() -> None:
    config = scratch_config(SCRATCH, vocab_size=57)
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (2, 16, 2)
    assert (config.intermediate_size, config.max_position_embeddings) == (32, 32)
    assert config.vocab_size == 64  # a multiple of 8


def test_an_encoder_from_scratch_reads_what_its_tokenizer_writes(
    trained: tuple[Classifier, Tokenizer, Path],
) -> None:
    classifier, tokenizer, _ = trained
    ids = torch.tensor([tokenizer.encode("你真是个笨蛋 hello").ids])
    assert classifier(ids, torch.ones_like(ids)).shape == (1, 2)
    assert classifier.model.config.id2label == {0: "non_toxic", 1: "toxic"}
    assert classifier.max_positions == 32
    assert classifier.device == torch.device("cpu")


def test_an_encoder_from_scratch_needs_a_tokenizer() -> None:
    with pytest.raises(ModelError, match="needs a tokenizer"):
        new_classifier(EncoderConfig(max_tokens=16, scratch=SCRATCH))


def test_a_saved_classifier_gives_identical_logits_when_loaded(trained: tuple[Classifier, Tokenizer, Path]) -> None:
    classifier, tokenizer, path = trained
    loaded = load_classifier(path)
    assert not loaded.training
    assert torch.equal(loaded(IDS, MASK), classifier(IDS, MASK))
    assert Tokenizer.from_file(str(path / "tokenizer.json")).to_str() == tokenizer.to_str()
    assert load_settings(path).threshold == 0.25


def test_a_model_folder_holds_the_four_files_readable_for_all_who_may_read_the_settings(
    trained: tuple[Classifier, Tokenizer, Path],
) -> None:
    files = {path.name: path.stat().st_mode for path in trained[2].iterdir()}
    assert set(files) == {"config.json", "model.safetensors", "tokenizer.json", "toxitrace.json"}
    assert files["model.safetensors"] == files["toxitrace.json"]


def test_transformers_loads_the_folder_too(trained: tuple[Classifier, Tokenizer, Path]) -> None:
    classifier, _, path = trained
    model = AutoModelForSequenceClassification.from_pretrained(path).eval()
    assert torch.equal(model(input_ids=IDS, attention_mask=MASK).logits, classifier(IDS, MASK))
    assert model.config.label2id == {"non_toxic": 0, "toxic": 1}


def test_a_folder_in_the_hubs_layout_gives_its_encoder_under_a_new_head(hub_layout: Path) -> None:
    classifier, _ = from_folder(hub_layout)
    masked_lm = BertForMaskedLM.from_pretrained(hub_layout).eval()
    expected = masked_lm.bert(input_ids=IDS, attention_mask=MASK).last_hidden_state[:, 0]
    encoded = classifier.eval().encode(classifier.embed(IDS), MASK)
    torch.testing.assert_close(encoded.pooled, expected, rtol=1e-4, atol=1e-5)
    assert encoded.logits.shape == (2, 2)
    assert encoded.logits.dtype == torch.float32


def test_a_vocabulary_file_alone_gives_berts_tokens_and_offsets(hub_layout: Path) -> None:
    _, tokenizer = from_folder(hub_layout)
    oracle = BertWordPieceTokenizer(str(hub_layout / "vocab.txt"), lowercase=True)
    for text in ("你真是个笨蛋", "Hellos，今天天气不错。", "龘 你\u3000好"):
        found, expected = tokenizer.encode(text), oracle.encode(text)
        assert (found.tokens, found.ids, found.offsets) == (expected.tokens, expected.ids, expected.offsets)


def test_a_classifier_on_a_hub_encoder_makes_the_round_trip(hub_layout: Path, tmp_path: Path) -> None:
    classifier, tokenizer = from_folder(hub_layout)
    save_classifier(classifier.eval(), tokenizer, ModelSettings(max_tokens=16), tmp_path / "model")
    assert torch.equal(load_classifier(tmp_path / "model")(IDS, MASK), classifier(IDS, MASK))
    again, same = from_folder(tmp_path / "model")  # and may be trained on
    assert torch.equal(again.eval()(IDS, MASK), classifier(IDS, MASK))
    assert same.get_vocab() == tokenizer.get_vocab()


@pytest.mark.parametrize("kept", [0, 4, 100, 5000, -1])
def test_truncated_weights_are_one_clear_line(model: Path, encoder: Path, kept: int) -> None:
    for path, load in ((model, load_classifier), (encoder, from_folder)):
        weights = path / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:kept])
        with pytest.raises(ModelError) as error:
            load(path)
        assert one_line(error, str(path), "cut short")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "toxitrace.json"])
def test_a_missing_file_of_a_model_is_one_clear_line(model: Path, name: str) -> None:
    (model / name).unlink()
    with pytest.raises(ModelError) as error:
        load_classifier(model)
    assert one_line(error, str(model))


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocab.txt"])
def test_a_missing_file_of_an_encoder_is_one_clear_line(encoder: Path, name: str) -> None:
    (encoder / name).unlink()
    with pytest.raises(ModelError) as error:
        from_folder(encoder)
    assert one_line(error, str(encoder))


@pytest.mark.parametrize(
    ("name", "content"), [("config.json", "{"), ("config.json", "[]"), ("tokenizer.json", "{}"), ("vocab.txt", "")]
)
def test_a_broken_text_file_of_an_encoder_is_one_clear_line(encoder: Path, name: str, content: str) -> None:
    (encoder / name).write_text(content)
    with pytest.raises(ModelError) as error:
        from_folder(encoder)
    assert one_line(error, str(encoder))


@pytest.mark.parametrize("name", ["/no/such/folder", "./nowhere", "runs/of/mine"])
def test_a_missing_folder_is_named_with_its_flag(name: str) -> None:
    with pytest.raises(ModelError) as error:
        new_classifier(EncoderConfig(name=name))
    assert one_line(error, name, "--encoder.name")


def test_a_missing_model_folder_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no toxitrace model"):
        load_classifier(tmp_path / "nowhere")


def test_a_folder_with_pickled_weights_alone_is_refused(encoder: Path) -> None:
    (encoder / "model.safetensors").unlink()
    torch.save(BertForMaskedLM(tiny_config()).state_dict(), encoder / "pytorch_model.bin")
    with pytest.raises(ModelError) as error:
        from_folder(encoder)
    assert one_line(error, "safetensors", "never from pickles")


def test_an_encoder_without_trained_head_is_no_classifier(hub_layout: Path, tmp_path: Path) -> None:
    _, tokenizer = from_folder(hub_layout)
    masked_lm = BertForMaskedLM.from_pretrained(hub_layout)
    save_encoder_folder(masked_lm, tokenizer, ModelSettings(), tmp_path / "pretrained")
    with pytest.raises(ModelError) as error:
        load_classifier(tmp_path / "pretrained")
    assert one_line(error, "encoder, not a classifier", "toxitrace train")
    from_folder(tmp_path / "pretrained")  # to train on, it is fine


def test_a_tokenizer_larger_than_the_embedding_table_is_another_models(encoder: Path) -> None:
    (encoder / "vocab.txt").write_text("\n".join([*VOCABULARY, *"甲乙丙丁"]) + "\n", encoding="utf-8")
    with pytest.raises(ModelError) as error:
        from_folder(encoder)
    assert one_line(error, f"{len(VOCABULARY) + 4} entries", "mixes two models")


def test_texts_longer_than_the_encoders_positions_are_refused_by_flag(hub_layout: Path) -> None:
    from_folder(hub_layout, max_tokens=32)
    with pytest.raises(ModelError) as error:
        from_folder(hub_layout, max_tokens=33)
    assert one_line(error, "at most 32", "--encoder.max_tokens is 33")


def test_a_hub_name_without_network_is_one_clear_line_without_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[Any] = []

    def no_network(*args: Any, **kwargs: Any) -> Any:
        tries.append(args)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    with pytest.raises(ModelError) as error:
        new_classifier(EncoderConfig(name="toxitrace-tests/no-such-encoder"))
    assert one_line(error, "toxitrace-tests/no-such-encoder", "network", "local folder")
    assert len(tries) <= 3  # the hub client by itself asks a dozen times, for a minute


@pytest.mark.parametrize("name", ["runs//x", "a b/c", "-x"])
def test_an_impossible_hub_name_is_one_clear_line(name: str) -> None:
    with pytest.raises(ModelError) as error:
        new_classifier(EncoderConfig(name=name))
    assert one_line(error, name)


def saved_logits(path: Path) -> torch.Tensor:
    return load_classifier(path)(IDS, MASK).detach()


@pytest.mark.parametrize("step", ["save_settings", "tokenizer"])
def test_dying_while_writing_leaves_the_earlier_model_whole(
    model: Path, trained: tuple[Classifier, Tokenizer, Path], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class Dying:
        def save(self, path: str) -> None:
            raise KeyboardInterrupt

    def die(*args: object) -> None:
        raise KeyboardInterrupt

    before, tokenizer = saved_logits(model), trained[1]
    torch.manual_seed(9)
    other, _ = new_classifier(EncoderConfig(max_tokens=16, scratch=SCRATCH), tokenizer)
    if step == "save_settings":
        monkeypatch.setattr(folder, "save_settings", die)
    with pytest.raises(KeyboardInterrupt):
        save_classifier(other, Dying() if step == "tokenizer" else tokenizer, ModelSettings(max_tokens=16), model)  # type: ignore[arg-type]
    assert torch.equal(saved_logits(model), before)
    assert load_settings(model).threshold == 0.25
    assert sorted(path.name for path in model.iterdir()) == sorted(path.name for path in trained[2].iterdir())


def test_dying_between_two_renames_leaves_no_mixture_of_two_models(
    model: Path, trained: tuple[Classifier, Tokenizer, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    renamed: list[str] = []
    rename = folder.os.replace

    def die_at_the_third(source: Path, target: Path) -> None:
        if Path(source).parent.parent == model:  # not what transformers or the settings rename inside
            renamed.append(target.name)
            if len(renamed) == 3:
                raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(folder.os, "replace", die_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        save_classifier(trained[0], trained[1], ModelSettings(max_tokens=16), model)
    monkeypatch.undo()
    with pytest.raises(ModelError, match=r"has no toxitrace\.json"):
        load_classifier(model)
    save_classifier(trained[0], trained[1], ModelSettings(max_tokens=16), model)
    assert torch.equal(saved_logits(model), trained[0](IDS, MASK).detach())


def test_the_settings_are_written_last(
    tmp_path: Path, trained: tuple[Classifier, Tokenizer, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    rename = folder.os.replace

    def noted(source: Path, target: Path) -> None:
        if Path(target).parent == tmp_path / "new":
            order.append(Path(target).name)
        rename(source, target)

    monkeypatch.setattr(folder.os, "replace", noted)
    save_classifier(trained[0], trained[1], ModelSettings(max_tokens=16), tmp_path / "new")
    assert order[-1] == "toxitrace.json"
    assert len(order) == 4


def test_an_encoder_to_be_trained_has_its_dropout_on(hub_layout: Path) -> None:
    classifier, _ = from_folder(hub_layout)
    assert all(module.training for module in classifier.modules())
