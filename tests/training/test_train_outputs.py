import csv
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny_runs import SAMPLES, Killed, mild_data, read_jsonl, tiny_config, watched

from toxitrace.config import DataConfig, Paths
from toxitrace.detector import load
from toxitrace.encoder.folder import load_classifier
from toxitrace.errors import DataError
from toxitrace.saliency import margin_saliency
from toxitrace.settings import load_settings, save_settings
from toxitrace.text.align import spans_to_token_mask
from toxitrace.text.tokenize import TextTokenizer
from toxitrace.training.train import train


def test_logs_are_written_as_csv_and_for_tensorboard(tmp_path: Path, mild: DataConfig) -> None:
    train(tiny_config(tmp_path / "run", mild, tensorboard=True))
    with (tmp_path / "run/logs/metrics.csv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["epoch"] for row in rows if row["dev_macro_f1"]] == ["0", "1", "2"]
    assert list((tmp_path / "run/logs").glob("events.out.tfevents.*"))


def test_a_resumed_run_keeps_the_metrics_of_the_sitting_before(tmp_path: Path, mild: DataConfig) -> None:
    config = tiny_config(tmp_path / "run", mild)
    with watched(kill_at=(2, 0)), pytest.raises(Killed):
        train(config)
    train(replace(config, resume=True))
    epochs = []
    for name in ("metrics-1.csv", "metrics.csv"):
        with (tmp_path / "run/logs" / name).open(encoding="utf-8") as lines:
            epochs.append([row["epoch"] for row in csv.DictReader(lines) if row["dev_macro_f1"]])
    assert epochs == [["0", "1"], ["2"]]


def test_progress_goes_to_stderr_and_nothing_to_stdout(
    tmp_path: Path, mild: DataConfig, capfd: pytest.CaptureFixture[str]
) -> None:
    train(tiny_config(tmp_path / "run", mild))
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "seed 1: 40 training texts, 20 toxic, 20 with spans, " in shown.err
    assert [line.split(":")[0] for line in shown.err.splitlines() if line.startswith("epoch")] == [
        f"epoch {n}/3 step {4 * n}/12" for n in (1, 2, 3)
    ]


def test_the_model_folder_records_what_it_was_made_from(tmp_path: Path, mild: DataConfig) -> None:
    config = tiny_config(tmp_path / "run", mild)
    train(config)
    settings = load_settings(config.output)
    assert settings.training["seed"] == 1
    assert settings.training["optim"]["lr"] == config.optim.lr
    files = [*mild.train, *mild.dev, *mild.spans, *mild.rationales]
    assert settings.data_sha256 == {name: hashlib.sha256(Path(name).read_bytes()).hexdigest() for name in files}
    assert {"python", "torch", "lightning"} <= settings.versions.keys()
    assert settings.max_tokens == config.encoder.max_tokens
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        *("config.json", "model.safetensors", "tokenizer.json", "toxitrace.json", "logs")
    }
    assert not (tmp_path / "run/logs/unfinished").exists()


def test_texts_of_one_class_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    row = {"id": "a", "text": "你真是个笨蛋", "label": 1}
    (tmp_path / "a.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    config = tiny_config(tmp_path / "run", DataConfig(train=Paths([str(tmp_path / "a.jsonl")])))
    with pytest.raises(DataError, match="all 1 training texts are toxic"):
        train(config)
    assert not (tmp_path / "run").exists()


def _evidence_share(folder: str) -> float:
    """Mean share of the saliency that lies on the insults of the development texts."""
    classifier = load_classifier(folder)
    tokenizer = TextTokenizer.load(folder, load_settings(folder).fold)
    marks = {row["id"]: row["spans"] for row in read_jsonl(SAMPLES / "mild-spans.jsonl")}
    shares = []
    for row in read_jsonl(SAMPLES / "mild-dev.jsonl"):
        if row["label"] == 1:
            tokens = tokenizer.tokenize([row["text"]])[0]
            ids = torch.tensor([[tokenizer.cls_id, *tokens.token_ids.tolist(), tokenizer.sep_id]])
            saliency = margin_saliency(classifier, ids, torch.ones_like(ids))[1][0, 1:-1]
            spans = [(start, end) for start, end in marks[row["id"]]]
            inside = torch.from_numpy(spans_to_token_mask(spans, tokens.starts, tokens.ends))
            shares.append(float(saliency[inside].sum() / saliency.sum()))
    return sum(shares) / len(shares)


def test_gradient_losses_move_the_saliency_onto_the_evidence(tmp_path: Path) -> None:
    data = replace(mild_data(tmp_path, n_rows=300, n_dev=40), batch_size=16)
    shares = {}
    for weight in (0.0, 0.5):
        config = tiny_config(
            tmp_path / f"weight-{weight}",
            data,
            loss={"grad_weight": weight, "contrast_weight": 0.0},
            schedule={"warmup_epochs": 2, "joint_epochs": 3, "checkpoint_minutes": 9.0},
        )
        config = replace(
            config, encoder=replace(config.encoder, scratch=replace(config.encoder.scratch, hidden=24, feed_forward=48))
        )
        train(config)
        shares[weight] = _evidence_share(config.output)
    assert shares[0.5] > shares[0.0] + 0.15


def test_what_spans_are_cut_from_is_kept_when_a_training_goes_on_from_a_model(tmp_path: Path, mild: DataConfig) -> None:
    first = train(tiny_config(tmp_path / "first", mild, schedule={"joint_epochs": 0}))[0]
    save_settings(replace(load_settings(first), word_share=0.5), first)
    (Path(first) / "words.txt").write_text("今天\t3\n", encoding="utf-8")
    second = train(tiny_config(tmp_path / "second", mild, encoder={"name": str(first)}, schedule={"joint_epochs": 0}))[
        0
    ]
    assert load_settings(second).word_share == 0.5
    assert load(second).predict("今天天气不错", force_spans=True).spans
