"""What a run reads is looked for before it begins, and all that is missing is named at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from toxitrace.cli.expand import build_parser
from toxitrace.cli.expand import run as expand
from toxitrace.errors import ConfigError, DataError
from toxitrace.expand import inputs
from toxitrace.expand.asking import AskConfig
from toxitrace.expand.config import RunConfig
from toxitrace.expand.inputs import check_inputs, check_run_inputs


@pytest.fixture
def config(retrieval_set: Path, encoder: Path, lm: Path, tmp_path: Path) -> RunConfig:
    """A run that lacks nothing."""
    ask = AskConfig(llm=f"local:{lm}")
    return RunConfig(data=str(retrieval_set), encoder=str(encoder), output=str(tmp_path / "run"), ask=ask)


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names that the hub was asked for; it has none of them, and nothing leaves this machine."""
    hub = pytest.importorskip("huggingface_hub")
    asked: list[str] = []

    def nothing(url: str) -> None:
        asked.append(url)
        raise OSError("404 Not Found")

    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda name, file: None)
    monkeypatch.setattr(hub, "get_hf_file_metadata", nothing)
    return asked


def test_a_run_that_lacks_nothing_passes_without_a_question_to_the_hub(config: RunConfig, hub: list[str]) -> None:
    check_run_inputs(config)
    assert hub == []


def test_all_that_a_run_lacks_is_named_in_one_line_with_what_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hub: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("toxitrace.cli.expand.quiet_training", lambda: pytest.fail("libraries were loaded first"))
    flags = [
        "--data",
        "none",
        "--encoder",
        "runs/enc",
        "--output",
        "out",
        "--ask.llm",
        "local:runs/lm",
        "--lm",
        "runs/b",
    ]
    with pytest.raises(DataError) as raised:
        expand(build_parser().parse_args(["run", *flags]))
    message = str(raised.value)
    assert message.startswith("4 inputs are missing, nothing was begun: (1) --data: none is not a folder;")
    assert "(2) --encoder runs/enc: no such folder; `toxitrace pretrain --config configs/pretrain-small.yaml" in message
    assert "--repeat '{}' --output runs/enc` makes one" in message
    assert (
        "--ask.llm runs/lm: no such folder; `toxitrace explore pretrain --texts FILE.jsonl --output runs/lm`" in message
    )
    assert "--lm runs/b" in message
    assert not (tmp_path / "out").exists()
    assert hub == []  # not before what is missing here is there


def test_the_training_of_a_retriever_names_the_encoder_that_is_missing(retrieval_set: Path) -> None:
    flags = ["--data", str(retrieval_set), "--encoder", "runs/none", "--output", "o"]
    with pytest.raises(DataError, match="1 input is missing, nothing was begun: --encoder runs/none: no such folder"):
        expand(build_parser().parse_args(["train-retriever", *flags]))


def test_a_folder_of_an_unfinished_model_is_missing_too(config: RunConfig, tmp_path: Path) -> None:
    (tmp_path / "begun" / "checkpoints").mkdir(parents=True)
    unfinished = dataclasses.replace(config, encoder=str(tmp_path / "begun"))
    with pytest.raises(DataError, match="holds no finished model"):
        check_run_inputs(unfinished)


def test_a_name_that_may_be_the_hubs_is_asked_for_once(config: RunConfig, hub: list[str]) -> None:
    with pytest.raises(DataError, match=r"--encoder owner/name: .* nor does the hub .*404 Not Found"):
        check_run_inputs(dataclasses.replace(config, encoder="owner/name"))
    assert len(hub) == 1


def test_a_model_of_the_hub_passes(
    config: RunConfig, retrieval_set: Path, monkeypatch: pytest.MonkeyPatch, hub: list[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", lambda url: None)
    check_run_inputs(dataclasses.replace(config, encoder="owner/name"))
    check_inputs(str(retrieval_set), "dev", "--retriever", "name")


def test_a_recording_that_is_not_there_is_named(config: RunConfig) -> None:
    with pytest.raises(DataError, match=r"--ask.llm replay:none.jsonl: no such file"):
        check_run_inputs(dataclasses.replace(config, ask=AskConfig(llm="replay:none.jsonl")))


def test_nobody_to_ask_is_said_before_anything_is_written(config: RunConfig, lm: Path) -> None:
    with pytest.raises(ConfigError, match="no language model is named"):
        check_run_inputs(dataclasses.replace(config, ask=AskConfig(), lm=str(lm)))


def test_what_only_finished_stages_read_may_be_gone(config: RunConfig) -> None:
    output = Path(config.output)
    gone = dataclasses.replace(config, encoder="runs/none", ask=AskConfig(llm="local:runs/none"))
    for file in ("lm-dpo/explore.json", "retriever/retriever.json"):
        with pytest.raises(DataError, match="runs/none"):
            check_run_inputs(gone)
        (output / file).parent.mkdir(parents=True)
        (output / file).write_text("{}")
    assert inputs.lm_is_trained(output)
    assert inputs.retriever_is_trained(output)
    check_run_inputs(gone)
