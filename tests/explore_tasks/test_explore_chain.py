"""Everything through the command line: index -> queries -> rewards -> sft -> preferences -> dpo -> evaluate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from made_platform import flagged_rows, platform_rows, query_rows, read, write

from toxitrace.data.rowfile import write_json

pytest.importorskip("trl", reason="the explore extra is not installed")

FIT = {"precision": "32-true", "cpu": "true", "batch_size": 8, "max_tokens": 96}
SIZE = {"layers": 1, "hidden": 32, "heads": 2, "feed_forward": 48, "max_positions": 256, "vocab_size": 600}


def flags(prefix: str, values: dict[str, Any]) -> list[str]:
    return [word for name, value in values.items() for word in (f"--{prefix}.{name}", str(value))]


def test_the_whole_chain_runs_and_the_trained_model_finds_more_than_the_annotator(
    explore: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], one_thread: None
) -> None:
    platform = write(tmp_path / "platform.jsonl", platform_rows())
    items = write(tmp_path / "flagged.jsonl", flagged_rows())
    notes = write(tmp_path / "notes.jsonl", query_rows())
    index = f"bm25:{tmp_path / 'index'}"
    search = ["--engine", index, "--platform", platform]

    def out(name: str) -> Path:
        return tmp_path / name

    assert explore("index", *search) == 0
    assert explore("queries", "--items", items, "--generator", f"recorded:{notes}", "--output", out("noted")) == 0
    assert explore("rewards", "--queries", out("noted"), *search, "--max-chars", 1, "--output", out("judged")) == 0
    judged = read(out("judged"))
    assert [(row["query"], row["kept"], row["hit"]) for row in judged[:2]] == [("笨蛋", True, 5), ("公园", False, 0)]
    small = [
        *flags("small.size", {**SIZE, "min_count": 1}),
        *flags("small.fit", {**FIT, "max_steps": 2, "batch_size": 2}),
    ]
    fit = flags("fit", {**FIT, "lr": 1e-2, "max_steps": 30})
    trained = ["--items", items, "--queries", out("judged"), "--output", out("sft"), "--adapters", "false"]
    assert explore("sft", *trained, *fit, *small) == 0
    written = ["--items", items, "--max-new-tokens", 8]
    sampled = [*written, "--generator", f"lm:{out('sft')}", "--samples", 3, "--output", out("sampled")]
    assert explore("queries", *sampled) == 0
    paired = ["--items", items, "--queries", out("noted"), "--sampled", out("sampled"), "--output", out("pairs")]
    assert explore("preferences", *paired, *search) == 0
    pairs = read(out("pairs"))
    assert {"prompt", "chosen", "rejected", "reward_chosen", "reward_rejected"} <= pairs[0].keys()
    assert any(len(pair["item_ids"]) > 1 for pair in pairs)
    assert all(pair["chosen"].count("\n") == pair["rejected"].count("\n") for pair in pairs)
    fit = flags("fit", {**FIT, "lr": 1e-3, "max_steps": 4})
    preferred = ["--preferences", out("pairs"), "--model", out("sft"), "--output", out("dpo"), "--adapters", "false"]
    assert explore("dpo", *preferred, *fit) == 0
    made = (out("dpo") / "model.safetensors").stat().st_mtime_ns
    assert explore("dpo", *preferred, *fit) == 2
    assert explore("dpo", *preferred, *fit, "--beta", 0.5, "--resume", "true") == 2
    assert "begun with another beta" in capsys.readouterr().err
    assert explore("dpo", *preferred, *fit, "--resume", "true") == 0
    assert (out("dpo") / "model.safetensors").stat().st_mtime_ns == made
    best = [*preferred[:4], "--output", out("best"), *preferred[6:]]
    assert explore("sft", *best, *flags("fit", {**FIT, "lr": 1e-2, "max_steps": 30})) == 0
    assert explore("queries", *written, "--generator", f"lm:{out('best')}", "--output", out("imitated")) == 0
    assert explore("queries", *written, "--generator", f"lm:{out('dpo')}", "--grounded", "--output", out("own")) == 0
    texts = {row["id"]: row["text"] for row in flagged_rows()}
    pieces = [(row["id"], piece) for row in read(out("own")) for query in row["queries"] for piece in query.split()]
    assert all(piece in texts[id] for id, piece in pieces)
    capsys.readouterr()
    sets = ["--sets", f"own={out('own')}", f"best={out('imitated')}", f"annotator={out('noted')}"]
    compared = ["--items", items, *search, *sets, "--resamples", 20, "--baseline", "annotator"]
    assert explore("evaluate", *compared, "--json", out("report.json")) == 0
    shown = capsys.readouterr().out
    assert "36 items in" in shown
    assert "less annotator" in shown
    report = json.loads(out("report.json").read_text(encoding="utf-8"))
    assert report["sets"]["annotator"]["metrics"]["qhr"] == 0.5
    for trained_set in ("own", "best"):
        assert report["differences"][trained_set]["mean_tihr"]["value"] > 0.1


def test_a_folder_of_an_earlier_version_goes_on_with_settings_it_did_not_know(
    explore: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], one_thread: None
) -> None:
    posts = write(tmp_path / "posts.jsonl", platform_rows())
    sizes = [*flags("size", {**SIZE, "min_count": 1}), *flags("fit", {**FIT, "max_steps": 2, "batch_size": 2})]
    run = ["--texts", posts, "--output", tmp_path / "base", *sizes]
    assert explore("pretrain", *run) == 0
    noted = json.loads((tmp_path / "base" / "task.json").read_text(encoding="utf-8"))
    del noted["limit"]
    write_json(tmp_path / "base" / "task.json", noted)
    assert explore("pretrain", *run, "--limit", 3, "--resume", "true") == 2
    assert "begun with another limit" in capsys.readouterr().err
    assert explore("pretrain", *run, "--resume", "true") == 0
    assert "is finished" in capsys.readouterr().err
