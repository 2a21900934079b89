"""``toxitrace explore`` on the command line: wrong usage, help, and what the small tasks say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from toxitrace.cli import main as command_line

TASKS = ("index", "split", "queries", "rewards", "pretrain", "sft", "preferences", "dpo", "merge", "evaluate", "run")
ITEMS = [
    {"id": "a", "text": "你真是个笨蛋", "toxic": 1, "spans": [[4, 6]]},
    {"id": "b", "text": "他也是笨蛋", "toxic": 1, "spans": [[3, 5]]},
    {"id": "c", "text": "今天天气不错", "toxic": 0},
]


@pytest.fixture(autouse=True)
def mounted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(command_line.COMMANDS, "explore", ("toxitrace.cli.explore", "find more"))


@pytest.fixture
def items(tmp_path: Path) -> str:
    path = tmp_path / "items.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ITEMS), encoding="utf-8")
    return str(path)


def explore(*arguments: Any) -> int:
    return command_line.main(["explore", *map(str, arguments)])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "expected one of index, split, queries"),
        (["bogus"], 2, "see toxitrace explore --help"),
        (["queries", "--generater", "whole"], 2, "did you mean --generator? see toxitrace explore queries --help"),
        (["sft", "--lr", "1"], 2, "did you mean --fit.lr?"),
        (["index"], 2, "--platform FILE"),
        (["index", "--platform", "none.jsonl", "--engine", "foo:bar"], 2, "--engine is 'foo:bar'"),
        (["index", "--platform", "none.jsonl", "--engine", "bm25:i", "--b", "2"], 2, "--b 2.0"),
        (["index", "--platform", "none.jsonl", "--engine", "bm25:i"], 1, "none.jsonl"),
        (["index", "--platform", "none.jsonl", "--engine", "milvus:m.db"], 1, "none.jsonl"),
        (["split", "--items", "none.jsonl"], 2, "--output DIR"),
        (["queries", "--output", "q"], 2, "--generator is None"),
        (["queries", "--generator", "whole"], 2, "--output FILE"),
        (["queries", "--generator", "whole", "--output", "q"], 2, "--items FILE"),
        (["queries", "--generator", "whole", "--output", "no/q", "--items", "i"], 2, "does not exist"),
        (["queries", "--generator", "whole", "--output", "q", "--items", "i", "--grounded"], 2, "need a local model"),
        (
            ["queries", "--generator", "lm:x", "--output", "q", "--samples", "2", "--beams", "2"],
            2,
            "exclude each other",
        ),
        (["queries", "--generator", "lm:x", "--output", "q", "--temperature", "0"], 2, "temperature is 0"),
        (["queries", "--generator", "whole", "--output", "q", "--items", "none.jsonl"], 1, "none.jsonl"),
        (
            ["queries", "--generator", "gemini:m", "--output", "q", "--items", "i", "--concurrency", "0"],
            2,
            "concurrency",
        ),
        (["queries", "--generator", "gemini:m", "--output", "q", "--items", "i", "--cache", "no/c"], 2, "--cache no/c"),
        (["rewards", "--output", "r"], 2, "--queries FILE"),
        (["rewards", "--output", "r", "--queries", "q", "--min-hits", "-1"], 2, "--min-hits is -1"),
        (["preferences", "--output", "p"], 2, "--sampled FILE"),
        (["preferences", "--output", "p", "--queries", "q", "--share", "2"], 2, "--share is 2.0"),
        (["sft"], 2, "--items is missing"),
        (["dpo"], 2, "--preferences is missing"),
        (["pretrain"], 2, "--texts is missing"),
        (["merge", "x"], 2, "--output DIR"),
        (["merge", "x", "--output", "y"], 1, "adapter_config.json"),
        (["evaluate"], 2, "--sets with one or more files of queries"),
        (["evaluate", "--platform", "p.jsonl", "a=x"], 2, "--sets with one or more files of queries"),
        (["evaluate", "b=x", "--sets", "a=x", "a=y"], 2, "two sets are called 'a'"),
        (["evaluate", "a=x", "a=y"], 2, "two sets are called 'a'"),
        (["evaluate", "a=x", "--baseline", "b"], 2, "expected one of a"),
        (["evaluate", "a=x", "--json", "no/x.json"], 2, "--json"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert explore(*arguments) == code
    err = capsys.readouterr().err
    assert err.startswith("toxitrace: error: ")
    assert err.count("\n") == 1
    assert message in err
    assert not list(tmp_path.iterdir())


def test_help_names_every_task_and_needs_no_heavy_library() -> None:
    code = (
        "import sys; from toxitrace.cli import main\n"
        "main.COMMANDS['explore'] = ('toxitrace.cli.explore', 'find more')\n"
        "codes = [main.main(['explore', *task, '--help']) for task in ([], ['queries'], ['sft'])]\n"
        "heavy = {'torch', 'transformers', 'trl', 'peft', 'datasets', 'sklearn', 'bm25s', 'pymilvus', 'jieba'}\n"
        "assert codes == [0, 0, 0] and not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(task in done.stdout for task in TASKS)


def test_queries_by_a_rule_are_written_and_go_on(
    items: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "q.jsonl"
    flags = ["queries", "--items", items, "--generator", "spans", "--output", output]
    assert explore(*flags) == 0
    assert [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()] == [
        {"id": "a", "queries": ["笨蛋"]},
        {"id": "b", "queries": ["笨蛋"]},
    ]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"{output}: 2 items, 2 queries, 0 items without one\n"
    assert explore(*flags) == 2
    assert "go on with --resume" in capsys.readouterr().err
    assert explore(*flags, "--resume") == 0
    assert explore(*flags[:3], "--generator", "whole", "--output", output, "--resume") == 2
    assert "generator was 'spans' and is 'whole'" in capsys.readouterr().err


def test_items_are_parted_and_those_without_queries_left_out(
    items: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn", reason="the train extra is not installed")
    queries = tmp_path / "q.jsonl"
    queries.write_text('{"id": "a", "queries": ["x"]}\n{"id": "b", "queries": []}\n')
    flags = ["split", "--items", items, "--output", tmp_path / "parts", "--shares", 1, 0, 0]
    assert explore(*flags, "--queries", queries) == 0
    assert "1 train, 0 dev, 0 test" in capsys.readouterr().err
    row = json.loads((tmp_path / "parts" / "train.jsonl").read_text(encoding="utf-8"))
    assert row == {"id": "a", "text": "你真是个笨蛋", "label": 1, "spans": [[4, 6]]}


def test_after_ctrl_c_one_line_says_how_to_go_on(
    items: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from toxitrace.explore import WholeText

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    output = tmp_path / "q.jsonl"
    flags = ["queries", "--items", items, "--generator", "whole", "--output", output]
    with monkeypatch.context() as patch:
        patch.setattr(WholeText, "queries", interrupted)
        assert explore(*flags) == 130
    assert "what was done is kept; go on with --resume" in capsys.readouterr().err
    assert explore(*flags, "--resume") == 0


def test_a_recording_of_other_items_is_no_success(
    items: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text('{"id": "z", "queries": ["x"]}\n')
    flags = ["queries", "--items", items, "--generator", f"recorded:{other}", "--output", tmp_path / "q.jsonl"]
    assert explore(*flags) == 1
    assert "no item has a query" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--items", "--platform", "--known", "--thresholds"])
def test_sets_are_named_by_a_flag_that_no_other_list_can_swallow(flag: str) -> None:
    from toxitrace.cli.explore_evaluate import build_parser

    value = "0.1" if flag == "--thresholds" else "posts.jsonl"
    config = build_parser().parse_args(["early=e.jsonl", flag, value, "--sets", "a=a.jsonl", "b.jsonl"])
    assert (config.files, config.sets) == (["early=e.jsonl"], ["a=a.jsonl", "b.jsonl"])
    assert [str(one) for one in config[flag[2:]]] == [value]


def test_the_output_may_not_be_one_of_the_inputs(items: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = Path(items).read_bytes()
    assert explore("queries", "--items", items, "--generator", "whole", "--output", items) == 2
    assert "one of the files that are read" in capsys.readouterr().err
    assert Path(items).read_bytes() == before


def test_a_detector_judges_a_platform_without_labels(
    export: Path, items: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("bm25s", reason="the explore extra is not installed")
    pytest.importorskip("jieba", reason="the train extra is not installed")
    bare = tmp_path / "bare.jsonl"
    bare.write_text("".join(json.dumps({"id": row["id"], "text": row["text"]}) + "\n" for row in ITEMS))
    queries = tmp_path / "q.jsonl"
    queries.write_text(json.dumps({"id": "a", "queries": ["笨蛋", "天气"]}) + "\n")
    search = ["--engine", f"bm25:{tmp_path / 'index'}", "--platform", bare]
    assert explore("index", *search) == 0
    flags = ["rewards", "--queries", queries, *search, "--output", tmp_path / "r.jsonl"]
    assert explore(*flags) == 1
    assert "has a label" in capsys.readouterr().err
    assert explore(*flags, "--detector", export) == 0
    shown = capsys.readouterr().out
    assert "posts judged by the detector" in shown
    rows = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["query"], row["n_results"], row["hit"]) for row in rows] == [("笨蛋", 1, 1), ("天气", 1, 0)]


def test_an_index_that_is_not_there_is_one_line(items: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("bm25s", reason="the explore extra is not installed")
    search = ["--engine", f"bm25:{tmp_path / 'index'}", "--platform", items]
    assert explore("rewards", "--queries", "builtin:cold-queries", *search, "--output", tmp_path / "r.jsonl") == 1
    assert "holds no index" in capsys.readouterr().err
    assert not (tmp_path / "r.jsonl").exists()
