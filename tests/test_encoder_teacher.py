"""scripts/encoder_teacher.py, run as a process: nobody is asked about a text that they learnt from."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("lightning")

ROOT = Path(__file__).parent.parent


def test_every_text_is_judged_by_a_model_of_the_other_folds(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (ROOT / "tests/samples/mild.jsonl").read_text("utf-8").splitlines()]
    earlier = {row["id"]: 0.9 if row["label"] else 0.2 for row in rows}
    (tmp_path / "earlier.jsonl").write_text(
        "".join(json.dumps({"id": id, "probability": p}) + "\n" for id, p in earlier.items()), "utf-8"
    )
    command = [sys.executable, ROOT / "scripts/encoder_teacher.py", "--config", "configs/smoke.yaml", "--folds", "2"]
    command += ["--with", tmp_path / "earlier.jsonl", "--output", tmp_path / "told.jsonl", "--work", tmp_path / "work"]
    subprocess.run([*map(str, command)], check=True, cwd=ROOT, capture_output=True)
    told = {
        row["id"]: row["probability"] for row in map(json.loads, (tmp_path / "told.jsonl").read_text().splitlines())
    }
    assert told.keys() == earlier.keys()
    # one epoch teaches next to nothing: half of the earlier teacher's margin is what is left
    assert all((told[id] > 0.5) == (p > 0.5) and abs(told[id] - 0.5) < abs(p - 0.5) for id, p in earlier.items())
    learnt = [
        json.loads((tmp_path / f"work/fold-{fold}/toxitrace.json").read_text("utf-8"))["notes"]["rows"]["rows"]
        for fold in (0, 1)
    ]
    assert sum(learnt) == len(rows)
    assert min(learnt) > 0
