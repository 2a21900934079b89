"""scripts/self_training.py, run as a process, and a training on what it writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("lightning")

ROOT = Path(__file__).parent.parent
PLAIN = ["你这个笨蛋又来了。今天天气真不错！", "真是个大笨蛋，闭嘴吧", "我们去公园散步了", "短", "他今天没有来上班。"]


def run(*command: object, cwd: Path = ROOT) -> str:
    done = subprocess.run([sys.executable, *map(str, command)], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_plain_text_is_cut_judged_and_learnt_from(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("\n".join(PLAIN), "utf-8")
    (tmp_path / "left_out.txt").write_text("这个文件不读\n", "utf-8")
    recipe = {"texts": [str(tmp_path)], "repeat": {"left_out": 0}, "max_steps": 1}
    (tmp_path / "texts.yaml").write_text(yaml.safe_dump(recipe), "utf-8")
    model, found, told = tmp_path / "model", tmp_path / "found.jsonl", tmp_path / "told.jsonl"
    size = ["--schedule.warmup_epochs", 1, "--schedule.joint_epochs", 0, "--encoder.scratch.ngram_buckets", 101]
    run("-m", "toxitrace", "train", "--config", "configs/smoke.yaml", "--output", model, *size)
    judge = ["--config", "configs/smoke.yaml", "--texts", tmp_path / "texts.yaml", "--models", model]
    files = ["--output", found, "--teacher", told]
    run("scripts/self_training.py", *judge, *files, "--suspicious", 3, "--ordinary", 1)
    texts = {row["id"]: row["text"] for row in rows(found)}
    probability = {row["id"]: row["probability"] for row in rows(told)}
    assert texts.keys() == probability.keys()
    assert len(texts) == 4  # of five pieces: one line is two sentences, one too short, one file left out
    assert "真是个大笨蛋，闭嘴吧" in texts.values()
    assert "这个文件不读" not in texts.values()
    by_text = {texts[id]: value for id, value in probability.items()}
    assert by_text["真是个大笨蛋，闭嘴吧"] > max(by_text.get("我们去公园散步了", 0), by_text.get("今天天气真不错！", 0))
    recipe = yaml.safe_load((ROOT / "configs/smoke.yaml").read_text("utf-8"))
    recipe["data"] |= {"unlabelled": [str(found)], "teacher": [str(told)]}
    (tmp_path / "learn.yaml").write_text(yaml.safe_dump(recipe), "utf-8")
    run("-m", "toxitrace", "train", "--config", tmp_path / "learn.yaml", *size, "--output", tmp_path / "learnt")
    before, after = (
        json.loads((tmp_path / name / "toxitrace.json").read_text("utf-8")) for name in ("model", "learnt")
    )
    assert after["notes"]["rows"]["rows"] == before["notes"]["rows"]["rows"] + 4
    assert after["training"]["data"]["unlabelled"] == [str(found)]
    ngrams = [
        json.loads((with_ngrams(tmp_path, name, *more) / "toxitrace.json").read_text("utf-8"))["notes"]["ngram_margin"]
        for name, more in (("first", []), ("second", ["--unlabelled", found, "--teacher", told]))
    ]
    assert [one["unlabelled"] for one in ngrams] == [0, 4]
    assert ngrams[0]["wanted"] < ngrams[1]["wanted"]


def with_ngrams(folder: Path, name: str, *more: object) -> Path:
    output = folder / name
    base = ["--model", folder / "model", "--config", "configs/smoke.yaml", "--output", output]
    run("scripts/add_ngram_margin.py", *base, *more)
    return output
