"""`toxitrace explore run` as a user meets it: flags, exit codes, files."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from operate_doubles import POSTS, rows, write

from toxitrace.cli import explore_run, main
from toxitrace.cli.settings_parser import build_config
from toxitrace.explore.operate import OperateConfig
from toxitrace.search import BM25Engine, Item

pytest.importorskip("bm25s", reason="the explore extra is not installed")

ROOT = Path(__file__).parent.parent.parent
RECIPE = ROOT / "configs" / "explore-run.yaml"
# The command alone, as `toxitrace explore` mounts it; says when a search was made.
CHILD = """
import sys
from toxitrace.cli import main
from toxitrace.search import bm25
search = bm25.BM25Engine.search
def told(*arguments):
    print("searched", flush=True)
    return search(*arguments)
bm25.BM25Engine.search = told
main.COMMANDS["explore-run"] = ("toxitrace.cli.explore_run", "")
sys.exit(main.main(["explore-run", *sys.argv[1:]]))
"""


@pytest.fixture
def flags(tmp_path: Path, export: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A platform, its index, flagged texts and a detector."""
    monkeypatch.setitem(main.COMMANDS, "explore-run", ("toxitrace.cli.explore_run", ""))
    engine = BM25Engine()
    engine.index(Item(id, text) for id, text in POSTS.items())
    engine.save(tmp_path / "index")
    items = write(tmp_path / "items.jsonl", ({"id": id, "text": text} for id, text in POSTS.items()))
    seeds = write(tmp_path / "f.jsonl", [{"id": "p0", "text": POSTS["p0"]}, {"id": "s1", "text": "你真滚"}])
    given = {"flagged": seeds, "items": items, "engine": f"bm25:{tmp_path / 'index'}", "model": str(export)}
    given |= {"output": str(tmp_path / "out"), "queries_per_second": "null"}
    return [part for name, value in given.items() for part in (f"--{name}", value)]


def run(*arguments: str) -> int:
    return main.main(["explore-run", *arguments])


def test_a_run_leaves_a_review_list_a_log_preferences_and_a_report(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*flags) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "2 posts to review in" in said.err
    assert [row["id"] for row in rows(tmp_path / "out" / "review-0001.jsonl")] == ["p1", "p3"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "store.sqlite", "report.html", "queries.jsonl", "preferences.jsonl", "review-0001.jsonl"
    }  # fmt: skip
    assert run(*flags) == 0
    assert "2 queries searched so far" in capsys.readouterr().err


def test_a_dry_run_says_what_would_be_done_and_leaves_nothing(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*flags, "--dry_run", "true", "--queries_per_second", "5") == 0
    said = capsys.readouterr().out
    assert said == "round 1: 2 queries for 2 flagged items by spans, 2 searches at most 5 a second\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        (["--engine", ""], 2, "expected --engine"),
        (["--items", "[]"], 2, "expected --items"),
        (["--flagged", "[]"], 2, "expected --flagged"),
        (["--generator", "magic"], 2, "--generator is 'magic'; expected spans, keywords, keywords-joined, whole"),
        (["--retire.n_trials", "0"], 2, "--retire.n_trials is 0; expected 1 or more"),
        (["--engine", "bm25:/nowhere"], 1, "/nowhere holds no index"),
        (["--generator", "replay:/nowhere"], 1, "/nowhere cannot be read"),
        (["--dry_run", "true", "--llm_url", "http://bob:hidden@127.0.0.1/v1"], 2, "--llm_url holds a user"),
    ],
)
def test_what_is_wrong_is_one_line_and_an_exit_code(
    flags: list[str], changes: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*flags, *changes) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_an_item_without_a_reply_makes_the_exit_code_one(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.jsonl").write_text("")
    assert run(*flags, "--generator", f"replay:{tmp_path / 'r.jsonl'}") == 1
    assert (
        "2 flagged items without queries and 0 searches are left: the same command goes on" in capsys.readouterr().err
    )


def test_the_wrong_file_of_items_makes_the_exit_code_one(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write(tmp_path / "other.jsonl", [{"id": "x", "text": "早上好"}])
    assert run(*flags, "--items", other) == 1
    assert "ended early: --items is not the file that was indexed" in (said := capsys.readouterr().err)
    assert "the command with the right --items goes on" in said


def test_ctrl_c_says_what_is_left_and_ends_with_130(flags: list[str]) -> None:
    command = [sys.executable, "-c", CHILD, *flags, "--queries_per_second", "0.01"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "searched\n"
        child.send_signal(signal.SIGINT)
        _, error = child.communicate(timeout=60)
    assert child.returncode == 130
    assert error.splitlines()[-2:] == [
        "interrupted: 0 flagged items without queries and 1 searches are left: the same command goes on",
        "toxitrace: error: interrupted",
    ]


def test_the_recipe_names_every_setting_and_holds_their_defaults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import yaml

    def keys(value: Any) -> Any:
        return {name: keys(inner) for name, inner in value.items()} if isinstance(value, dict) else None

    parser = explore_run.build_parser()
    config = build_config(parser.parse_args(["--config", str(RECIPE)]), OperateConfig)
    with pytest.raises(SystemExit):
        parser.parse_args(["--config", str(RECIPE), "--print_config"])
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(capsys.readouterr().out, encoding="utf-8")
    assert build_config(parser.parse_args(["--config", str(resolved)]), OperateConfig) == config
    assert keys(yaml.safe_load(RECIPE.read_text())) == keys(yaml.safe_load(resolved.read_text()))
    plain = OperateConfig(flagged=config.flagged, engine=config.engine, items=config.items)
    assert plain == config


def test_help_loads_no_heavy_library() -> None:
    probe = (
        "import sys\nfrom toxitrace.cli import explore_run\nexplore_run.build_parser()\n"
        "print({'torch', 'transformers', 'jieba', 'bm25s', 'pymilvus', 'sklearn', 'openai'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", probe], check=True, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "set()\n"
