"""The command line and the shipped recipes."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from toxitrace.cli.expand import build_parser
from toxitrace.cli.expand import run as expand
from toxitrace.cli.settings_parser import build_config
from toxitrace.errors import ConfigError, DataError
from toxitrace.expand.config import DPOTraining, EvaluateConfig, RunConfig, TrainRetrieverConfig

CONFIGS = Path(__file__).parent.parent.parent / "configs"
RECIPES = {
    "expand-cmrc.yaml": ("run", RunConfig),
    "expand-beir.yaml": ("evaluate", EvaluateConfig),
    "expand-retriever.yaml": ("train-retriever", TrainRetrieverConfig),
}


def names(value: Any) -> Any:
    return {key: names(inner) for key, inner in value.items()} if isinstance(value, dict) else None


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_names_every_setting_and_is_read_as_it_stands(recipe: str) -> None:
    task, kind = RECIPES[recipe]
    path = CONFIGS / recipe
    namespace = build_parser().parse_args([task, "--config", str(path)])
    config = build_config(namespace[task], kind)
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    resolved = dataclasses.asdict(config)  # type: ignore[call-overload]
    assert names(written) == names(resolved)


def test_the_papers_values_are_the_defaults() -> None:
    settings = DPOTraining().settings()
    assert (settings.lr, settings.beta, settings.epochs, settings.batch_size) == (2e-5, 0.1, 2.0, 16)
    assert settings.lora is not None
    assert (settings.lora.r, settings.lora.alpha, settings.lora.dropout) == (8, 32, 0.1)
    assert DPOTraining(lora_r=0).settings().lora is None
    run = RunConfig(data="d", output="o", encoder="e")
    assert len(run.sampling.draws()) == 32
    assert (run.training.temperature, run.training.lr, run.gate) == (0.02, 3e-5, 0.6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected one of candidates"),
        (["candidates", "--output", "x"], "--data is missing"),
        (["candidates", "--dta", "x"], "see toxitrace expand candidates --help"),
        (["evaluate", "--data", "x", "--systems", "[dense]"], "expected --retriever"),
        (["evaluate", "--data", "x", "--systems", "[bm52]"], "expected some of bm25"),
        (["evaluate", "--data", "x", "--systems", "[bm25,bm25]"], "names bm25 more than once; expected each once"),
        (["evaluate", "--data", "x", "--systems", "[]"], "--systems is empty"),
        (["evaluate", "--data", "x", "--depth", "10"], "--depth is 10; expected 100 or more"),
        (
            ["train-retriever", "--data", "x", "--encoder", "e", "--output", "o", "--training.query", "mean"],
            "--expansions",
        ),
        (["candidates", "--data", "x", "--output", "o", "--sampling.temperatures", "[1.0,1.0]"], "each once"),
    ],
)
def test_a_wrong_call_says_what_was_expected(arguments: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        expand(build_parser().parse_args(arguments))


def test_nobody_to_ask_is_an_error_before_anything_is_written(retrieval_set: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.jsonl"
    arguments = ["candidates", "--data", str(retrieval_set), "--output", str(output)]
    with pytest.raises(ConfigError, match="no language model is named"):
        expand(build_parser().parse_args(arguments))
    assert not output.exists()


def test_an_evaluation_prints_its_table_to_stdout(retrieval_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert expand(build_parser().parse_args(["evaluate", "--data", str(retrieval_set), "--split", "dev"])) == 0
    out = capsys.readouterr().out
    assert "tiny/dev, 8 queries" in out
    assert "bm25" in out


# in a fresh process: what the calls of this one loaded would hide it
KEYWORDS_ALONE = """
import json, sys
from toxitrace.cli.main import main
codes = [main(["expand", "evaluate", "--data", data, "--split", "dev"]) for data in sys.argv[1:]]
heavy = {"torch", "transformers", "lightning", "sentence_transformers", "datasets", "trl", "peft", "pymilvus"}
print(json.dumps([codes, sorted(heavy & set(sys.modules))]))
"""


def test_a_missing_folder_and_keywords_alone_load_no_training_library(retrieval_set: Path) -> None:
    pytest.importorskip("bm25s", reason="the explore extra is not installed")
    arguments = [sys.executable, "-c", KEYWORDS_ALONE, "none", str(retrieval_set)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    assert "none is not a folder" in done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == [[1, 0], []]


@pytest.mark.parametrize(
    "arguments",
    [
        ["rewards", "--candidates", "c", "--answers", "a", "--retriever", "r", "--output", "o"],
        ["train-retriever", "--encoder", "e", "--output", "o"],
        ["evaluate", "--systems", "[dense]", "--retriever", "r"],
        ["run", "--encoder", "e", "--output", "o"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_inputs_are_looked_for_before_libraries_are_loaded(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loads() -> None:
        raise AssertionError("libraries were loaded first")

    monkeypatch.setattr("toxitrace.cli.expand.quiet_training", loads)
    with pytest.raises(DataError, match="is not a folder"):
        expand(build_parser().parse_args([*arguments, "--data", str(tmp_path / "none")]))


def test_an_earlier_report_that_is_not_there_is_named_at_once(retrieval_set: Path) -> None:
    arguments = ["evaluate", "--data", str(retrieval_set), "--split", "dev", "--against", "none.json"]
    with pytest.raises(DataError, match=r"--against none.json does not exist"):
        expand(build_parser().parse_args(arguments))


def test_judged_documents_that_the_corpus_lacks_are_told_with_an_example(
    retrieval_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Path(shutil.copytree(retrieval_set, tmp_path / "own"))
    lines = (own / "corpus.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    (own / "corpus.jsonl").write_text("".join(lines[2:]), encoding="utf-8")
    arguments = ["evaluate", "--split", "dev", "--data"]
    assert expand(build_parser().parse_args([*arguments, str(own)])) == 0
    assert "lacks 2 documents that qrels/dev.tsv names (first 'd0')" in capsys.readouterr().err
    assert expand(build_parser().parse_args([*arguments, str(retrieval_set)])) == 0
    assert "lacks" not in capsys.readouterr().err


def test_queries_without_a_result_count_zero_and_are_told_under_the_table(
    retrieval_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Path(shutil.copytree(retrieval_set, tmp_path / "own"))
    rows = [json.loads(line) for line in (own / "queries.jsonl").read_text(encoding="utf-8").splitlines()]
    for n_blank, told in ((1, "bm25 found nothing for 1 of 8 queries, which counts 0"), (len(rows), "for 8 of 8")):
        asked = [{**row, "text": "zzz"} if place < n_blank else row for place, row in enumerate(rows)]
        (own / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in asked), encoding="utf-8")
        assert expand(build_parser().parse_args(["evaluate", "--data", str(own), "--split", "dev"])) == 0
        assert told in capsys.readouterr().out.splitlines()[-1]
    assert expand(build_parser().parse_args(["evaluate", "--data", str(retrieval_set), "--split", "dev"])) == 0
    assert "found nothing" not in capsys.readouterr().out


def test_a_document_under_the_querys_own_id_is_no_result_and_is_told(
    retrieval_set: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Path(shutil.copytree(retrieval_set, tmp_path / "own"))
    with (own / "corpus.jsonl").open("a", encoding="utf-8") as corpus:  # a query is a document, as in ArguAna
        corpus.write('{"_id": "q0-0", "text": "什么是猫？"}\n')
    output = tmp_path / "report.json"
    arguments = ["evaluate", "--data", str(own), "--split", "dev", "--output", str(output)]
    assert expand(build_parser().parse_args(arguments)) == 0
    report = json.loads(output.read_text(encoding="utf-8"))
    assert report["settings"]["n_own_documents"] == 1
    assert report["systems"]["bm25"]["per_query"]["mrr@10"]["q0-0"] == 1.0
    told = capsys.readouterr().err
    assert "own/dev: 1 query has the id of a document (first 'q0-0'); that document is left out" in told
    assert "judged relevant" not in told
    with (own / "qrels" / "dev.tsv").open("a", encoding="utf-8") as qrels:
        qrels.write("q0-0\tq0-0\t1\n")
    assert expand(build_parser().parse_args(arguments)) == 0
    assert "1 of them is judged relevant" in capsys.readouterr().err
