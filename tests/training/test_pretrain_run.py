import json
import lzma
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_runs import EVERY_STEP, SAMPLES, Killed, notes, read_jsonl, weights
from torch import Tensor

from toxitrace.config import DeviceConfig, EncoderConfig, Paths, PretrainConfig, ScratchConfig
from toxitrace.encoder.folder import new_classifier
from toxitrace.errors import ConfigError, DataError, ModelError
from toxitrace.settings import load_settings
from toxitrace.training.pretrain import MaskedLM, pretrain

Step = tuple[int, int, float]


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of three kinds of file."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = [row["text"] for row in read_jsonl(SAMPLES / "mild.jsonl")]
    (folder / "plain.txt").write_text("\n".join(rows[:200]), encoding="utf-8")
    with lzma.open(folder / "packed.txt.xz", "wt", encoding="utf-8") as stream:
        stream.write("\n".join(rows[200:300]))
    lines = "".join(json.dumps({"text": text}) + "\n" for text in rows[300:400])
    (folder / "fields.jsonl").write_text(lines, encoding="utf-8")
    return folder


def _config(output: Path, texts: Path, **changes: Any) -> PretrainConfig:
    size = ScratchConfig(layers=1, hidden=32, heads=2, feed_forward=64, max_positions=64, vocab_size=600, min_count=1)
    config = PretrainConfig(
        output=str(output),
        texts=Paths([str(texts)]),
        encoder=size,
        sequence_tokens=34,
        batch_size=8,
        lr=5e-3,
        warmup_steps=3,
        max_steps=20,
        checkpoint_minutes=EVERY_STEP,
        device=DeviceConfig(accelerator="cpu", precision="32-true"),
    )
    return replace(config, **changes)


def _run(config: PretrainConfig, kill_at: int | None = None) -> list[Step]:
    """Pre-train; dies before step ``kill_at``.

    Returns:
        Step, sum of token ids, and loss of every batch.
    """
    seen: list[Step] = []
    original = MaskedLM.training_step

    def step(self: MaskedLM, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        if self.global_step == kill_at:
            raise Killed
        loss = original(self, batch, batch_idx)
        seen.append((self.global_step, int(batch["input_ids"].sum()), loss.item()))
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MaskedLM, "training_step", step)
        if kill_at is None:
            pretrain(config)
        else:
            with pytest.raises(Killed):
                pretrain(config)
    return seen


def test_the_loss_falls_and_the_folder_loads_as_an_encoder(tmp_path: Path, texts: Path) -> None:
    config = _config(tmp_path / "run", texts, max_steps=40, checkpoint_minutes=5.0)
    losses = [loss for _, _, loss in _run(config)]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.4
    classifier, tokenizer = new_classifier(EncoderConfig(name=config.output, max_tokens=64))
    bert = classifier.model.base_model
    assert bert.config.hidden_dropout_prob == 0.1  # of fine-tuning; pre-training has none
    written = torch.load(tmp_path / "run/logs/last.ckpt", weights_only=True)["state_dict"]
    key = "embeddings.word_embeddings.weight"
    torch.testing.assert_close(bert.state_dict()[key], written[f"model.bert.{key}"])
    assert tokenizer.encode("今天").tokens == ["[CLS]", "今", "天", "[SEP]"]
    settings = load_settings(config.output)
    assert len(settings.data_sha256) == 3
    assert notes(config.output)["pretraining"]["steps"] == 40


@pytest.mark.parametrize(("kill_at", "dropout", "precision"), [(1, 0.0, "32-true"), (13, 0.2, "bf16-mixed")])
def test_a_killed_and_resumed_run_ends_with_the_bytes_of_an_uninterrupted_one(
    tmp_path: Path, texts: Path, kill_at: int, dropout: float, precision: Any
) -> None:
    device = DeviceConfig(accelerator="cpu", precision=precision)
    config = _config(tmp_path / "whole", texts, dropout=dropout, device=device)
    whole = _run(config)
    assert len(whole) == 20
    cut = replace(config, output=str(tmp_path / "cut"))
    seen = _run(cut, kill_at) + _run(replace(cut, resume=True))
    assert seen == whole
    assert weights(cut.output) == weights(config.output)


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path, texts: Path) -> None:
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        _run(_config(tmp_path / name, texts, seed=seed, max_steps=4))
    assert weights(tmp_path / "one") == weights(tmp_path / "again")
    assert weights(tmp_path / "one") != weights(tmp_path / "other")


def test_a_finished_run_goes_on_when_it_may_take_more_steps(tmp_path: Path, texts: Path) -> None:
    config = _config(tmp_path / "run", texts, max_steps=5)
    _run(config)
    before = weights(config.output)
    assert _run(replace(config, resume=True)) == []
    assert weights(config.output) == before
    assert [step for step, _, _ in _run(replace(config, resume=True, max_steps=8))] == [5, 6, 7]


def test_the_rate_rises_stays_and_falls_over_the_last_steps(
    tmp_path: Path, texts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    monkeypatch.setattr(MaskedLM, "on_train_batch_end", lambda self, *_: rates.append(self.learning_rate()))
    _run(_config(tmp_path / "run", texts, lr=1.0, warmup_steps=4, max_steps=10, cooldown_share=0.4))
    # after step n the rate of step n + 1
    assert rates == pytest.approx([0.5, 0.75, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25, 0.0])


def test_max_time_ends_a_run_without_a_step_limit(tmp_path: Path, texts: Path) -> None:
    started = time.monotonic()
    _run(_config(tmp_path / "run", texts, max_steps=None, max_time="00:00:00:01", checkpoint_minutes=5.0))
    assert time.monotonic() - started < 60
    assert notes(tmp_path / "run")["pretraining"]["steps"] > 0
    assert (tmp_path / "run/logs/last.ckpt").exists()


def test_repeat_zero_leaves_a_file_out(tmp_path: Path, texts: Path) -> None:
    config = _config(tmp_path / "run", texts, repeat={"plain": 0, "fields": 2}, max_steps=1)
    _run(config)
    assert {Path(name).name for name in load_settings(config.output).data_sha256} == {"packed.txt.xz", "fields.jsonl"}


def test_unusable_texts_are_refused_with_nothing_written(tmp_path: Path, texts: Path) -> None:
    config = _config(tmp_path / "run", texts)
    with pytest.raises(ConfigError, match=r"--repeat names \['poems'\]"):
        pretrain(replace(config, repeat={"poems": 2}))
    with pytest.raises(DataError, match="does not exist"):
        pretrain(replace(config, texts=Paths([str(tmp_path / "nowhere.txt")])))
    with pytest.raises(DataError, match="leaves every text out"):
        pretrain(replace(config, repeat={"plain": 0, "packed": 0, "fields": 0}))
    assert not (tmp_path / "run").exists()


def test_a_corpus_shorter_than_a_batch_is_a_data_error(tmp_path: Path, texts: Path) -> None:
    with pytest.raises(DataError, match="a batch needs 999"):
        pretrain(_config(tmp_path / "run", texts, batch_size=999))
    assert not (tmp_path / "run/toxitrace.json").exists()


def test_a_checkpoint_that_is_cut_short_or_of_other_settings_is_refused(tmp_path: Path, texts: Path) -> None:
    config = _config(tmp_path / "run", texts)
    _run(config, kill_at=2)
    with pytest.raises(ConfigError, match=r"other settings or data \(lr\)"):
        pretrain(replace(config, resume=True, lr=1e-4))
    checkpoint = tmp_path / "run/logs/last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-500])
    with pytest.raises(ModelError, match="cannot be read"):
        pretrain(replace(config, resume=True))


def test_a_later_training_starts_from_an_encoder_in_half_precision(tmp_path: Path, texts: Path) -> None:
    first = _run(_config(tmp_path / "first", texts, max_steps=40))
    state = load_file(tmp_path / "first" / "model.safetensors")
    save_file({name: tensor.half() for name, tensor in state.items()}, tmp_path / "first" / "model.safetensors")
    second = _run(_config(tmp_path / "second", texts, start=str(tmp_path / "first"), max_steps=5))
    assert second[0][2] < first[0][2] - 0.5  # it knows what the first has learnt
    assert load_settings(tmp_path / "second").notes["pretraining"]["tokens"] == (40 + 5) * 8 * 34


def test_a_start_of_another_size_is_refused(tmp_path: Path, texts: Path) -> None:
    _run(_config(tmp_path / "first", texts, max_steps=1))
    larger = replace(_config(tmp_path, texts).encoder, hidden=64)
    with pytest.raises(ModelError, match="another size"):
        pretrain(_config(tmp_path / "second", texts, start=str(tmp_path / "first"), encoder=larger))
