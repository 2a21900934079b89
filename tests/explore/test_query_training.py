"""SFT lowers the loss, DPO raises the margin, with and without adapters; trl's loss is our formula."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from made_up import seeds, tiny_size

from toxitrace.errors import DataError
from toxitrace.explore import (
    Demonstration,
    DPOSettings,
    GenerateSettings,
    LoraSettings,
    Preference,
    QueryRecord,
    SFTSettings,
    demonstrations,
    render,
)
from toxitrace.explore.config import FitSettings
from toxitrace.explore.dpo import dpo_trainer, train_dpo
from toxitrace.explore.dpo_loss import dpo_loss
from toxitrace.explore.fitting import training_options
from toxitrace.explore.generate import LocalGenerator
from toxitrace.explore.language_model import LanguageModel, load_language_model, merge, sequence_log_probs
from toxitrace.explore.sft import train_sft
from toxitrace.explore.small_lm import new_small_lm
from toxitrace.explore.training_rows import trl_rows

COMMON = {"precision": "32-true", "cpu": True, "batch_size": 8, "max_tokens": 64, "log_steps": 5, "warmup_share": 0.0}
CHAT_TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}\ue001{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def fresh(seed: int = 1) -> LanguageModel:
    return new_small_lm([seed.text for seed in seeds()], tiny_size(max_positions=4096), seed=seed)


@cache
def demos() -> tuple[Demonstration, ...]:
    records = [QueryRecord(item.id, item.evidence[0], 0) for item in seeds()]
    return tuple(demonstrations([(item,) for item in seeds()], records, style="compact"))


@cache
def pairs() -> tuple[Preference, ...]:
    return tuple(
        Preference(render([item], "compact"), item.evidence[0], "天气" if i % 2 else "公园", 0.9, 0.0, (item.id,))
        for i, item in enumerate(seeds())
    )


def test_bf16_trains_on_a_processor_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    options = training_options(FitSettings(precision="bf16-mixed"), tmp_path)
    assert options["bf16"]
    assert options["use_cpu"]  # transformers refuses the one without the other
    assert not training_options(FitSettings(precision="32-true"), tmp_path)["use_cpu"]  # mps stays possible


def test_sft_of_all_weights_lowers_the_loss_and_the_model_then_writes_the_span(tmp_path: Path) -> None:
    settings = SFTSettings(lora=None, lr=1e-2, max_steps=45, **COMMON)  # type: ignore[arg-type]
    report = train_sft(demos(), fresh(), tmp_path / "sft", settings)
    assert report.losses[-1] < report.losses[0] / 4
    assert (report.n_rows, report.n_too_long, report.n_steps) == (24, 0, 45)
    maker = LocalGenerator(load_language_model(tmp_path / "sft"), GenerateSettings(max_new_tokens=8))
    found = maker.queries(seeds())
    assert sum(queries == [item.evidence[0]] for queries, item in zip(found, seeds(), strict=True)) >= 18


def test_the_same_seed_trains_the_same_weights(tmp_path: Path) -> None:
    settings = SFTSettings(lr=1e-2, max_steps=3, **COMMON)  # type: ignore[arg-type]
    for name in ("one", "two"):
        train_sft(demos(), fresh(), tmp_path / name, settings)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]


def test_adapters_train_and_merge_into_the_model_that_was_written(tmp_path: Path) -> None:
    start = fresh()
    start.model.save_pretrained(tmp_path / "base")
    start.tokenizer.save_pretrained(tmp_path / "base")
    base = load_language_model(tmp_path / "base")
    before = {name: weight.clone() for name, weight in base.model.state_dict().items()}
    settings = SFTSettings(lora=LoraSettings(r=4), lr=1e-2, max_steps=20, **COMMON)  # type: ignore[arg-type]
    report = train_sft(demos(), base, tmp_path / "sft", settings)
    assert report.losses[-1] < report.losses[0]
    written = load_language_model(tmp_path / "sft").model.state_dict()
    changed = {name for name, weight in written.items() if not torch.equal(weight, before[name])}
    assert changed
    assert all(any(target in name for target in LoraSettings().targets) for name in changed)
    merge(tmp_path / "sft" / "adapter", tmp_path / "merged")
    merged = load_language_model(tmp_path / "merged").model.state_dict()
    for name, weight in written.items():
        torch.testing.assert_close(merged[name], weight)


@pytest.mark.parametrize("lora", [None, LoraSettings(r=4)], ids=["all weights", "adapters"])
def test_dpo_raises_the_margin_of_chosen_over_rejected(tmp_path: Path, lora: LoraSettings | None) -> None:
    settings = DPOSettings(lora=lora, lr=2e-2 if lora else 5e-3, max_steps=12, **COMMON)  # type: ignore[arg-type]
    start = fresh()
    report = train_dpo(pairs(), start, tmp_path / "dpo", settings)
    margins = [log["rewards/margins"] for log in report.logs if "rewards/margins" in log]
    assert report.losses[0] == pytest.approx(0.6931, abs=1e-3)  # the model is its reference
    assert margins[0] == pytest.approx(0.0, abs=1e-4)
    assert margins[-1] > 0.05
    assert report.losses[-1] < report.losses[0] - 0.02
    ours = [_margin(model) for model in (fresh(), load_language_model(tmp_path / "dpo"))]
    assert ours[1] > ours[0] + 0.5


def test_the_reference_is_computed_in_the_precision_of_the_training(tmp_path: Path) -> None:
    settings = DPOSettings(lora=None, max_steps=1, **{**COMMON, "precision": "bf16-mixed"})  # type: ignore[arg-type]
    report = train_dpo(pairs()[:8], fresh(), tmp_path / "dpo", settings)
    assert report.logs[0]["rewards/margins"] == pytest.approx(0.0, abs=1e-3)


def test_an_sft_term_holds_the_chosen_replies_up(tmp_path: Path) -> None:
    without, with_term = (
        train_dpo(
            pairs(),
            fresh(),
            tmp_path / str(weight),
            DPOSettings(lora=None, lr=5e-3, max_steps=8, sft_weight=weight, **COMMON),
        )  # type: ignore[arg-type]
        for weight in (0.0, 1.0)
    )
    assert with_term.logs[-2]["logps/chosen"] > without.logs[-2]["logps/chosen"]


@pytest.mark.parametrize("beta", [0.1, 0.5])
def test_trls_loss_is_the_published_formula(tmp_path: Path, beta: float) -> None:
    start = fresh()
    settings = DPOSettings(lora=None, beta=beta, **COMMON)  # type: ignore[arg-type]
    trainer = dpo_trainer(trl_rows(pairs()[:8], "compact"), start, tmp_path, settings)
    torch.manual_seed(0)
    with torch.no_grad():  # away from the reference, which trl has looked at by now
        for weight in trainer.model.parameters():
            weight.add_(torch.randn_like(weight) * 0.05)
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.eval()
    with torch.no_grad():
        theirs = trainer.compute_loss(trainer.model, dict(batch))
        inputs = (batch["input_ids"], batch["attention_mask"], batch["completion_mask"])
        trainer.model.__dict__.pop("forward", None)  # trl's own head computes no logits
        chosen, rejected = sequence_log_probs(trainer.model, *inputs).chunk(2)
        ref_chosen, ref_rejected = sequence_log_probs(fresh().model, *inputs).chunk(2)
    ours = dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta)
    assert abs(float(ours) - 0.6931) > 1e-3
    torch.testing.assert_close(theirs.detach(), ours, rtol=1e-4, atol=1e-5)


def test_a_chat_model_is_trained_through_its_template(tmp_path: Path) -> None:
    start = fresh()
    start.tokenizer.chat_template = CHAT_TEMPLATE
    assert start.style == "chat"
    records = [QueryRecord(item.id, item.evidence[0], 0) for item in seeds()]
    rows = demonstrations([(item,) for item in seeds()[:2]], records, style="chat")
    settings = SFTSettings(lora=None, lr=1e-2, max_steps=3, **{**COMMON, "max_tokens": 4096, "log_steps": 1})  # type: ignore[arg-type]
    report = train_sft(rows, start, tmp_path / "chat", settings)
    assert report.losses[-1] < report.losses[0]
    assert load_language_model(tmp_path / "chat").style == "chat"


def test_rows_that_are_too_long_are_left_out_and_counted(tmp_path: Path) -> None:
    longer = Demonstration("笨" * 100, "蛋", ("x",))
    settings = SFTSettings(lora=None, max_steps=1, **COMMON)  # type: ignore[arg-type]
    assert train_sft([*demos(), longer], fresh(), tmp_path / "sft", settings).n_too_long == 1
    with pytest.raises(DataError, match="none of 1 rows"):
        train_sft([longer], fresh(), tmp_path / "none", settings)


def test_generation_repeats_itself_by_seed_and_counts_what_is_no_query() -> None:
    items = seeds()[:5]
    settings = GenerateSettings(mode="sample", n_replies=3, max_new_tokens=8, batch_size=2, seed=5)
    one, two = (LocalGenerator(fresh(), settings).replies([(item,) for item in items]) for _ in range(2))
    assert one == two
    assert [len(replies) for replies in one] == [3] * 5
    other = LocalGenerator(fresh(), GenerateSettings(mode="sample", n_replies=3, max_new_tokens=8, seed=6))
    assert other.replies([(item,) for item in items]) != one
    assert other.counts.n_replies == 15
    beams = LocalGenerator(fresh(), GenerateSettings(mode="beam", n_replies=2, max_new_tokens=4))
    assert all(len(replies) == 2 for replies in beams.replies([items[:2], items[2:4]]))


def test_padding_changes_no_greedy_reply() -> None:
    items = [seeds()[0], seeds()[2]]
    together = LocalGenerator(fresh(), GenerateSettings(max_new_tokens=6)).replies([(item,) for item in items])
    alone = [LocalGenerator(fresh(), GenerateSettings(max_new_tokens=6)).replies([(item,)])[0] for item in items]
    assert together == alone


def _margin(language_model: LanguageModel) -> float:
    """Mean log-probability of the chosen queries less that of the rejected ones."""
    totals = []
    for pair in pairs():
        prompt = language_model.prompt_ids(pair.prompt)
        values = []
        for reply in (pair.chosen, pair.rejected):
            ids = [*prompt, *language_model.tokenizer(reply)["input_ids"], language_model.tokenizer.eos_token_id]
            mask = torch.tensor([[0] * len(prompt) + [1] * (len(ids) - len(prompt))])
            batch = torch.tensor([ids])
            with torch.no_grad():
                values.append(float(sequence_log_probs(language_model.model, batch, torch.ones_like(batch), mask)))
        totals.append(values[0] - values[1])
    return sum(totals) / len(totals)
