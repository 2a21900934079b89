"""Sets and models of a few hundred weights, made in code."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from toxitrace.config import ScratchConfig
from toxitrace.encoder import save_encoder_folder
from toxitrace.encoder.char_tokenizer import build_char_tokenizer
from toxitrace.encoder.scratch import fresh_masked_lm, scratch_config
from toxitrace.explore.config import SmallLMSize
from toxitrace.explore.language_model import save_language_model
from toxitrace.explore.small_lm import new_small_lm
from toxitrace.settings import ModelSettings

SUBJECTS = ("猫", "狗", "茶", "雨", "山", "河", "书", "米", "灯", "鱼", "花", "雪")
DOCUMENTS = {f"d{n}": (f"{name}的介绍", f"{name}是常见的东西，人们喜欢{name}。") for n, name in enumerate(SUBJECTS)}
QUERIES = {
    f"q{n}-{m}": (question.format(SUBJECTS[n]), f"d{n}", f"人们喜欢{SUBJECTS[n]}")
    for n in range(len(SUBJECTS))
    for m, question in enumerate(("什么是{}？", "人们喜欢{}吗？"))
}
N_DEV = 4  # subjects whose questions are the dev split
TEXTS = [part for document in DOCUMENTS.values() for part in document] + ["什么吗？问题短文答案文章：\n"] * 2


def write_lines(path: Path, rows: list[dict[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_set(folder: Path, *, answers: bool = True) -> Path:
    write_lines(folder / "corpus.jsonl", [{"_id": i, "title": t, "text": x} for i, (t, x) in DOCUMENTS.items()])
    rows: list[dict[str, object]] = [{"_id": id, "text": text} for id, (text, _, _) in QUERIES.items()]
    if answers:
        rows = [{**row, "metadata": {"answer": QUERIES[str(row["_id"])][2]}} for row in rows]
    write_lines(folder / "queries.jsonl", rows)
    (folder / "qrels").mkdir()
    for split, of_split in (("train", range(N_DEV, len(SUBJECTS))), ("dev", range(N_DEV))):
        lines = [f"{id}\t{gold}\t1" for id, (_, gold, _) in QUERIES.items() if int(gold[1:]) in of_split]
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "\n".join(lines) + "\n")
    return folder


def write_encoder(folder: Path, *, ngram_buckets: int = 0) -> Path:
    size = ScratchConfig(
        layers=1,
        hidden=16,
        heads=2,
        feed_forward=32,
        max_positions=64,
        vocab_size=120,
        min_count=1,
        ngram_buckets=ngram_buckets,
    )
    tokenizer = build_char_tokenizer(TEXTS, 120, 1)
    torch.manual_seed(0)
    model = fresh_masked_lm(scratch_config(size, tokenizer.get_vocab_size()))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    save_encoder_folder(model, tokenizer, ModelSettings(max_tokens=64), folder)
    return folder


def write_lm(folder: Path) -> Path:
    size = SmallLMSize(layers=1, hidden=16, heads=2, feed_forward=32, max_positions=128, vocab_size=420, min_count=1)
    made = new_small_lm(TEXTS, size, seed=3)
    save_language_model(made, folder)
    return folder
