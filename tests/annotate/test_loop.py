"""The whole loop on mild sentences: real training, recorded annotations, no network."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

pytest.importorskip("lightning", reason="the train extra is not installed")

import yaml
from tiny_runs import SAMPLES, mild_data, notes, read_jsonl, tiny_config, weights

import toxitrace
from toxitrace.annotate import loop
from toxitrace.annotate.asking import LLMOptions
from toxitrace.annotate.loop import run_loop
from toxitrace.annotate.loop_config import LoopConfig
from toxitrace.annotate.running import RunReport
from toxitrace.cli.main import main
from toxitrace.config import Paths
from toxitrace.data import read_spans
from toxitrace.data.load import load_labelled
from toxitrace.errors import ConfigError, LLMError

# what quiet_libraries() hides from users
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:.*{text}")
    for text in ("exists and is not empty", "does not have many workers", "smaller than the logging interval")
]


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """Every test here."""


@pytest.fixture
def config(tmp_path: Path) -> LoopConfig:
    data = mild_data(tmp_path, n_rows=40, n_dev=8)
    spans, rationales = data.spans[0], data.rationales[0]
    train = tiny_config(tmp_path / "unused", replace(data, spans=Paths(), rationales=Paths()))
    train = replace(train, schedule=replace(train.schedule, warmup_epochs=1, joint_epochs=1))
    return LoopConfig(
        output=str(tmp_path / "loop"),
        train=train,
        spans=LLMOptions(llm=f"recorded:{spans}"),
        rationales=LLMOptions(llm=f"recorded:{rationales}"),
    )


def quiet(line: str) -> None:
    pass


def test_the_loop_ends_with_a_model_trained_on_the_refined_spans(config: LoopConfig, tmp_path: Path) -> None:
    said: list[str] = []
    folder = run_loop(config, said.append)
    assert folder == tmp_path / "loop" / "model"
    recorded = {row["id"]: row["spans"] for row in read_jsonl(SAMPLES / "mild-spans.jsonl")}
    rows = read_jsonl(tmp_path / "loop" / "spans.jsonl")
    assert rows
    assert all(row["source"] == "recorded" and row["spans"] == recorded[row["id"]] for row in rows)
    counts = notes(folder)["rows"]
    assert counts["supervised"] == sum(bool(row["spans"]) for row in rows)
    assert counts["with_rationales"] == len(read_jsonl(tmp_path / "loop" / "rationales.jsonl"))
    assert notes(tmp_path / "loop" / "warmup")["rows"]["supervised"] == 0
    assert toxitrace.load(folder).predict("你真是个笨蛋").probability > 0
    assert [line.partition(" ")[0] for line in said if "/3" in line] == ["1/3", "2/3", "3/3"]


def test_a_loop_that_was_stopped_goes_on_with_the_stage_that_was_under_way(
    config: LoopConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = run_loop(replace(config, output=str(tmp_path / "whole")), quiet)

    def broken(*_: object, **__: object) -> None:
        raise LLMError("the service went away")

    with monkeypatch.context() as patch:
        patch.setattr(loop, "annotate_spans", broken)
        with pytest.raises(LLMError):
            run_loop(config, quiet)
    warmup = weights(tmp_path / "loop" / "warmup")
    capsys.readouterr()
    folder = run_loop(replace(config, resume=True), quiet)
    assert "warmup is complete; nothing to do" in capsys.readouterr().err
    assert weights(tmp_path / "loop" / "warmup") == warmup
    assert weights(folder) == weights(whole)

    before = (folder / "model.safetensors").stat().st_mtime_ns
    run_loop(replace(config, resume=True), quiet)  # everything is finished
    assert (folder / "model.safetensors").stat().st_mtime_ns == before


def test_a_loop_goes_on_with_its_own_settings_only(config: LoopConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toxitrace.training.train.train", lambda config: pytest.fail("nothing may be trained"))
    Path(config.output).mkdir()
    loop.begin_meta(Path(config.output) / "loop", loop._flat(asdict(config)), resume=False)
    with pytest.raises(ConfigError, match='rows was "toxic" and is "all"'):
        run_loop(replace(config, rows="all", resume=True), quiet)


def test_a_folder_that_holds_a_loop_is_not_trained_over(config: LoopConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toxitrace.training.train.train", lambda config: pytest.fail("nothing may be trained"))
    folder = Path(config.output)
    (folder / "warmup").mkdir(parents=True)
    with pytest.raises(ConfigError, match="which is not complete: --resume true goes on"):
        run_loop(config, quiet)
    (folder / "model").mkdir()
    (folder / "model" / "toxitrace.json").touch()
    with pytest.raises(ConfigError, match=r"which is complete .*to start over"):
        run_loop(config, quiet)


def test_the_shipped_recipe_needs_no_model_of_an_earlier_run() -> None:
    recipe = Path(__file__).parents[2] / "configs" / "cusa-loop.yaml"
    assert yaml.safe_load(recipe.read_text(encoding="utf-8"))["train"]["encoder"]["name"] is None


def test_an_annotation_that_ended_early_ends_the_loop(
    config: LoopConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spent = RunReport(tmp_path / "loop" / "spans.jsonl", {"rows": 1}, n_left=2, reason="--max-requests 1 is reached")
    trained: list[str] = []
    monkeypatch.setattr("toxitrace.training.train.train", lambda config: trained.append(config.output))
    monkeypatch.setattr(loop, "annotate_spans", lambda *_, **__: spent)
    with pytest.raises(LLMError, match="--max-requests 1 is reached"):
        run_loop(config, quiet)
    assert trained == [str(tmp_path / "loop" / "warmup")]


def test_the_command_runs_the_loop_of_a_recipe(
    config: LoopConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("jieba")
    offline = replace(config, refiner="offline", spans=LLMOptions(), rationales=LLMOptions())
    recipe = tmp_path / "loop.yaml"
    recipe.write_text(yaml.safe_dump(json.loads(json.dumps(asdict(offline)))), encoding="utf-8")
    assert main(["annotate", "loop", "--config", str(recipe)]) == 0
    assert "model written to" in capsys.readouterr().err
    assert read_spans(tmp_path / "loop" / "spans.jsonl")
    assert {row["source"] for row in read_jsonl(tmp_path / "loop" / "spans.jsonl")} == {"offline"}


def test_only_the_texts_that_are_drawn_for_training_are_annotated(
    config: LoopConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[set[str]] = []

    def note(*_: object, only: set[str], **__: object) -> RunReport:
        asked.append(only)
        return RunReport(tmp_path / "spans.jsonl", {})

    monkeypatch.setattr("toxitrace.training.train.train", lambda config: None)
    monkeypatch.setattr(loop, "annotate_spans", note)
    monkeypatch.setattr(loop, "annotate_rationales", note)
    data = replace(config.train.data, limit=7)
    run_loop(replace(config, train=replace(config.train, data=data)), quiet)
    drawn = {example.id for example in load_labelled(data, seed=1).train}
    assert asked == [drawn, drawn]
    assert len(drawn) == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spans": LLMOptions()}, "nobody is named"),
        ({"train": {"data": {"spans": Paths(["s.jsonl"])}}}, "makes them itself"),
        ({"train": {"data": {"rationales": Paths(["r.jsonl"])}}}, "both given"),
        ({"train": {"schedule": {"warmup_epochs": 0}}}, "warm-up"),
    ],
)
def test_settings_that_cannot_work_are_refused_at_once(
    config: LoopConfig, changes: dict[str, object], message: str
) -> None:
    train = changes.pop("train", None)
    if isinstance(train, dict):
        for section, fields in train.items():
            changes["train"] = replace(config.train, **{section: replace(getattr(config.train, section), **fields)})
    with pytest.raises(ConfigError, match=message):
        replace(config, **changes)  # type: ignore[arg-type]
