"""A local language model: each draw by its own seed, nucleus sampling by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from toxitrace.errors import LLMError, ModelError
from toxitrace.expand.asking import LocalAsker
from toxitrace.expand.local_lm import LocalLM, draw_tokens
from toxitrace.expand.prompts import expansion_request
from toxitrace.llm import LLMRequest


def requests(n: int, temperature: float = 1.0, query: str = "什么是猫？") -> list[LLMRequest]:
    return [expansion_request(query, temperature=temperature, seed=seed, max_new_tokens=12) for seed in range(n)]


def test_a_draw_is_the_same_alone_and_among_others(lm: Path) -> None:
    model = LocalLM(lm)
    together = model.sample(requests(4))
    assert [model.complete(request).text for request in requests(4)] == [reply.text for reply in together]
    assert len({reply.text for reply in together}) > 1
    assert [reply.text for reply in LocalLM(lm).sample(requests(4))] == [reply.text for reply in together]


def test_temperature_zero_takes_the_likeliest_whatever_the_seed(lm: Path) -> None:
    assert len({reply.text for reply in LocalLM(lm).sample(requests(3, temperature=0.0))}) == 1


def test_draws_are_batched_by_question_and_every_one_is_answered(lm: Path) -> None:
    asked = [*requests(2), *requests(2, query="什么是狗？")]
    outcomes = dict(LocalAsker(LocalLM(lm)).answers((str(n), request) for n, request in enumerate(asked)))
    assert sorted(outcomes) == ["0", "1", "2", "3"]
    assert all(outcome.reply is not None for outcome in outcomes.values())


def test_a_prompt_that_leaves_no_room_is_refused_not_cut(lm: Path) -> None:
    with pytest.raises(LLMError, match="leaves no room"):
        LocalLM(lm).sample(requests(1, query="什么" * 100))


def test_tokens_outside_the_nucleus_are_never_drawn() -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log().repeat(400, 1)
    generators = [torch.Generator().manual_seed(seed) for seed in range(400)]
    drawn = draw_tokens(logits, torch.ones(400, 1), 0.7, generators)
    assert set(drawn.tolist()) == {0, 1}  # 0.5 alone does not reach 0.7, with 0.3 it does
    assert (drawn == 0).float().mean().item() == pytest.approx(0.5 / 0.8, abs=0.07)


def test_temperature_flattens_the_distribution() -> None:
    logits = torch.tensor([[0.8, 0.2]]).log().repeat(600, 1)
    generators = [torch.Generator().manual_seed(seed) for seed in range(600)]
    drawn = draw_tokens(logits, torch.full((600, 1), 2.0), 1.0, generators)
    assert (drawn == 0).float().mean().item() == pytest.approx(2 / 3, abs=0.06)  # sqrt(0.8) : sqrt(0.2)


def test_the_name_of_a_model_changes_with_its_weights(lm: Path, tmp_path: Path) -> None:
    import shutil

    changed = Path(shutil.copytree(lm, tmp_path / "tiny"))
    before = LocalLM(changed).model
    weights = changed / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert LocalLM(changed).model != before


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="does not exist"):
        LocalLM(tmp_path / "none")
