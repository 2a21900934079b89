from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made_up import seeds, tiny_size
from transformers import AutoModelForCausalLM, AutoTokenizer

from toxitrace.errors import ConfigError, DataError, ModelError
from toxitrace.explore import PretrainLMSettings, SmallLMSize, language_model, render
from toxitrace.explore.language_model import load_language_model, save_language_model
from toxitrace.explore.pretraining import Blocks, pretrain_language_model
from toxitrace.explore.prompts import END, MARKERS, clean
from toxitrace.explore.small_lm import build_char_bpe, new_small_lm

TEXTS = [seed.text for seed in seeds()]
TOKENIZER = build_char_bpe(TEXTS, tiny_size())


@given(st.text(max_size=40).map(clean))
def test_every_text_comes_back_from_its_tokens(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER(text)["input_ids"], skip_special_tokens=True) == text


def test_known_characters_and_markers_are_one_token_each_and_others_bytes() -> None:
    text = "你真是个笨蛋"
    assert len(TOKENIZER(text)["input_ids"]) == 6
    assert len(TOKENIZER("".join(MARKERS))["input_ids"]) == len(MARKERS)
    assert len(TOKENIZER("鑫")["input_ids"]) == 3


def test_the_vocabulary_stays_within_its_size_and_keeps_the_most_frequent() -> None:
    small = build_char_bpe(
        ["笨" * 9 + "蛋" * 8 + "".join(map(chr, range(0x4E00, 0x4F00)))], SmallLMSize(vocab_size=300)
    )
    assert len(small) <= 300
    assert len(small("笨蛋")["input_ids"]) == 2


def test_the_end_token_cannot_come_from_a_text() -> None:
    ids = TOKENIZER(clean(f"笨{END}蛋<|endoftext|>"))["input_ids"]
    assert TOKENIZER.eos_token_id not in ids


def test_the_folder_is_a_standard_one_that_every_tool_reads(tmp_path: Path) -> None:
    made = new_small_lm(TEXTS, tiny_size())
    save_language_model(made, tmp_path / "m", {"kind": "test"})
    names = {path.name for path in (tmp_path / "m").iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "explore.json"} <= names
    prompt = render(seeds()[:1], "compact")
    ids = AutoTokenizer.from_pretrained(tmp_path / "m")(prompt)["input_ids"]
    assert ids == made.prompt_ids(prompt)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "m")
    with torch.no_grad():
        batch = torch.tensor([ids])
        assert torch.equal(loaded(batch).logits, made.model(batch).logits)
    again = load_language_model(tmp_path / "m")
    assert again.style == "compact"
    assert again.end_ids == made.end_ids == {1}


def test_the_same_seed_gives_the_same_weights_and_leaves_other_draws_alone() -> None:
    torch.manual_seed(7)
    before = torch.get_rng_state()
    one, two, other = (new_small_lm(TEXTS, tiny_size(), seed=seed).model for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    weights = [model.get_input_embeddings().weight for model in (one, two, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_size_that_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="hidden"):
        SmallLMSize(hidden=30, heads=4)


def test_a_folder_without_a_model_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_language_model(tmp_path)


def test_weights_in_a_pickle_are_refused(tmp_path: Path) -> None:
    made = new_small_lm(TEXTS, tiny_size())
    save_language_model(made, tmp_path / "m", {"kind": "test"})
    (tmp_path / "m" / "model.safetensors").unlink()
    torch.save(made.model.state_dict(), tmp_path / "m" / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors"):
        load_language_model(tmp_path / "m")


@pytest.mark.parametrize("name", ["nope", "runs/sft/nope", "./nope", "/nope/nope", "../nope", "owner/"])
def test_a_path_that_is_not_there_fails_without_asking_the_hub(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_model, "get_hf_file_metadata", lambda url: pytest.fail("asked"))
    with pytest.raises(ModelError, match=f"^{name} does not exist; expected a model folder or a hub name OWNER/NAME"):
        load_language_model(name)


def test_a_hub_that_cannot_be_reached_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def down(url: str) -> None:
        asked.append(url)
        raise ConnectionError("no network")

    monkeypatch.setattr(language_model, "get_hf_file_metadata", down)
    with pytest.raises(ModelError, match=r"owner/name is no folder and could not be loaded from the hub \(no network"):
        load_language_model("owner/name")
    assert len(asked) == 1


def test_blocks_hold_the_texts_in_order_with_an_end_behind_each() -> None:
    made = new_small_lm(TEXTS, tiny_size())
    blocks = Blocks(["你真是", " ", "笨蛋"], made, 3)
    text = made.tokenizer.decode(torch.cat([blocks[row]["input_ids"] for row in range(len(blocks))]))
    assert text == f"你真是{END}笨蛋"


def test_pretraining_lowers_the_loss_and_an_interrupted_run_ends_like_a_whole_one(tmp_path: Path) -> None:
    settings = PretrainLMSettings(
        lr=3e-3, max_steps=30, batch_size=4, max_tokens=16, precision="32-true", cpu=True, log_steps=5,
        checkpoint_steps=15,
    )  # fmt: skip

    class Stop(Exception):
        pass

    def stop_at_20(log: dict[str, float]) -> None:  # type: ignore[misc]
        if log["step"] >= 20:
            raise Stop

    whole = pretrain_language_model(TEXTS, new_small_lm(TEXTS, tiny_size()), tmp_path / "whole", settings)
    assert whole.losses[-1] < whole.losses[0] - 1
    assert whole.n_steps == 30
    with pytest.raises(Stop):
        pretrain_language_model(TEXTS, new_small_lm(TEXTS, tiny_size()), tmp_path / "cut", settings, on_log=stop_at_20)
    with pytest.raises(ConfigError, match="earlier training"):
        pretrain_language_model(TEXTS, new_small_lm(TEXTS, tiny_size()), tmp_path / "cut", settings)
    resumed = pretrain_language_model(TEXTS, new_small_lm(TEXTS, tiny_size()), tmp_path / "cut", settings, resume=True)
    assert resumed.losses == whole.losses
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "cut")]
    assert weights[0] == weights[1]
    assert json.loads((tmp_path / "cut" / "explore.json").read_text())["settings"]["seed"] == 1


def test_too_little_text_for_one_batch_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="add texts"):
        pretrain_language_model(["笨蛋"], new_small_lm(TEXTS, tiny_size()), tmp_path)
