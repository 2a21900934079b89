import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from toxitrace.cli import main as cli

sys.path.insert(0, str(Path(__file__).parent.parent / "training"))

from tiny_runs import mild_data, tiny_config, write_jsonl

GOOD = [{"id": "a", "text": "你真是个笨蛋", "label": 1}, {"id": "b", "text": "今天天气不错", "label": 0}]
TINY = ["--encoder.scratch.layers", "1", "--encoder.scratch.hidden", "16", "--encoder.scratch.min_count", "1"]
Case = Callable[[Path], list[str]]


def _train_on(*rows: dict[str, object]) -> Case:
    return lambda folder: ["--data.train", write_jsonl(folder / "rows.jsonl", list(rows))]


def _yaml(text: str) -> Case:
    def write(folder: Path) -> list[str]:
        (folder / "recipe.yaml").write_text(text, encoding="utf-8")
        return ["--config", str(folder / "recipe.yaml")]

    return write


def _with(*flags: str) -> Case:
    return lambda folder: [*_train_on(*GOOD)(folder), *flags]


def _csv(folder: Path) -> list[str]:
    (folder / "rows.csv").write_text("id,body,label\n1,今天天气不错,0\n", encoding="utf-8")
    return ["--data.train", str(folder / "rows.csv")]


def _span_outside(folder: Path) -> list[str]:
    spans = write_jsonl(folder / "spans.jsonl", [{"id": "a", "spans": [[4, 60]]}])
    return [*_train_on(*GOOD)(folder), "--data.spans", spans]


def _truncated_encoder(folder: Path) -> list[str]:
    from toxitrace.encoder.char_tokenizer import build_char_tokenizer
    from toxitrace.encoder.folder import new_classifier, save_classifier
    from toxitrace.settings import ModelSettings

    tokenizer = build_char_tokenizer([row["text"] for row in GOOD], 100, 1)
    encoder = folder / "encoder"
    save_classifier(
        *new_classifier(tiny_config(folder, mild_data(folder)).encoder, tokenizer), ModelSettings(), encoder
    )
    weights = encoder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    return _with("--encoder.name", str(encoder))(folder)


CASES: dict[str, tuple[Case, int, str]] = {
    "missing file": (lambda folder: ["--data.train", str(folder / "no.jsonl")], 1, "no.jsonl does not exist"),
    "wrong field": (_train_on({"id": "a", "words": "你好", "label": 1}), 1, "rows.jsonl:1: there is no field 'text'"),
    "wrong column": (_csv, 1, "rows.csv:1: column 'text' is not there"),
    "label 7": (_train_on(*GOOD, {"id": "c", "text": "你好", "label": 7}), 1, "rows.jsonl:3: label is 7"),
    "span outside": (_span_outside, 1, "span [4, 60) does not fit its text of 6 characters"),
    "blank text": (_train_on(*GOOD, {"id": "c", "text": " ", "label": 0}), 1, "rows.jsonl:3: text is empty or blank"),
    "empty text": (_train_on(*GOOD, {"id": "c", "text": "", "label": 0}), 1, "rows.jsonl:3: text is empty or blank"),
    "one class": (_train_on(GOOD[0], {**GOOD[0], "id": "c"}), 1, "all 2 training texts are toxic"),
    "no texts": (lambda folder: [], 2, "--data.train"),
    "unknown flag": (_with("--optim.speed", "3"), 2, "--optim.speed"),
    "wrong type": (_with("--data.batch_size", "many"), 2, "data.batch_size"),
    "out of range": (_with("--optim.lr", "-1"), 2, "--optim.lr is -1.0; expected a number above 0"),
    "no such precision": (_with("--device.precision", "fp8"), 2, "device.precision"),
    "no such accelerator": (_with("--device.accelerator", "quantum"), 2, "quantum"),
    "no duration": (_with("--schedule.max_time", "soon"), 2, "DD:HH:MM:SS"),
    "unknown key": (_yaml("optim:\n  speed: 3\n"), 2, "speed"),
    "broken recipe": (_yaml("optim: [\n"), 2, "config"),
    "missing recipe": (lambda folder: ["--config", str(folder / "no.yaml")], 2, "no.yaml"),
    "missing encoder": (_with("--encoder.name", "./no-such-folder"), 1, "no-such-folder does not exist"),
    "truncated encoder": (_truncated_encoder, 1, "is a file missing or cut short?"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_gives_one_clear_line_and_writes_nothing(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments, code, message = CASES[name]
    output = tmp_path / "run"
    flags = arguments(tmp_path)
    capfd.readouterr()
    assert cli.main(["train", "--output", str(output), *TINY, *flags]) == code
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("toxitrace: error: ")
    assert shown.err.count("\n") == 1
    assert message in shown.err
    assert not output.exists()


def _command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "toxitrace", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


def test_a_hub_name_without_network_is_one_line_for_the_shell_too(tmp_path: Path) -> None:
    rows = write_jsonl(tmp_path / "rows.jsonl", GOOD)
    output = tmp_path / "run"
    flags = ("--output", str(output), "--data.train", rows, "--encoder.name", "hfl/chinese-roberta-wwm-ext")
    done = _command("train", *flags, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "cache"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("toxitrace: error: hfl/chinese-roberta-wwm-ext is no local folder and could not be")
    assert done.stderr.count("\n") == 1
    assert not output.exists()


def test_wrong_usage_is_one_line_for_the_shell_too() -> None:
    done = _command("train", "--optim.speed", "3")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("toxitrace: error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--texts", "no-such-folder", "--max_steps", "3"], 1, "no-such-folder does not exist"),
        (["--texts", "no-such-folder"], 2, "--max_steps"),
        (["--texts", "{rows}", "--max_steps", "3", "--repeat", '{"poems": 2}'], 2, "poems"),
        (["--texts", "{rows}", "--max_steps", "3", "--sequence_tokens", "999"], 2, "sequence_tokens"),
    ],
)
def test_pretrain_gives_one_clear_line_and_writes_nothing(
    flags: list[str], code: int, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"text": "今天天气不错"}) + "\n", encoding="utf-8")
    output = tmp_path / "run"
    filled = [flag.replace("{rows}", str(rows)) for flag in flags]
    assert cli.main(["pretrain", "--output", str(output), *filled]) == code
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("toxitrace: error: ")
    assert shown.err.count("\n") == 1
    assert message in shown.err
    assert not output.exists()
