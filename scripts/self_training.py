"""Texts for self-training: what nobody labelled, as models of the labelled texts judge it.

    python scripts/self_training.py --config configs/default.yaml --texts configs/pretrain-small.yaml \
        --models runs/default-first --output runs/self-training.jsonl --teacher runs/teacher-self-training.jsonl

The plain text of a pre-training recipe is cut into pieces at ends of sentences. Character n-grams, trained on the
recipe's labelled texts, find the most suspicious pieces; others are drawn at random. The mean of the models' margins is
the teacher's word: {"id", "text"} rows for `data.unlabelled`, {"id", "probability"} rows for `data.teacher`. No
development text takes part.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import toxitrace
from toxitrace.cli.pretrain import build_parser as pretrain_parser
from toxitrace.cli.settings_parser import build_config
from toxitrace.cli.train import build_parser
from toxitrace.config import Paths, PretrainConfig, TrainConfig
from toxitrace.data.load import load_labelled
from toxitrace.data.prepare import label_to_learn
from toxitrace.training.corpus import corpus_files, read_passages, stem
from toxitrace.training.ngram_baseline import NgramBaseline
from toxitrace.training.quiet import quiet_libraries

Floats = npt.NDArray[np.float64]
MIN_CHARACTERS, MAX_CHARACTERS = 6, 100
_PIECE = re.compile(f".{{1,{MAX_CHARACTERS - 1}}}(?:[。！？!?；]|$)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, help="recipe of `toxitrace train`: the labelled texts")
    parser.add_argument("--texts", required=True, help="recipe of `toxitrace pretrain`: its plain text is searched")
    parser.add_argument("--models", nargs="+", required=True, help="folders that `toxitrace train` wrote")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--per-file", type=int, default=120_000, help="pieces of each file, drawn at random")
    parser.add_argument("--suspicious", type=int, default=32_000, help="pieces the n-grams find most suspicious")
    parser.add_argument("--ordinary", type=int, default=28_000, help="pieces drawn from the others")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    quiet_libraries()
    data = build_config(build_parser().parse_args(["--config", args.config]), TrainConfig).data
    known = load_labelled(
        replace(data, dev=Paths(), teacher=Paths(), unlabelled=Paths(), clauses=False, disguises=0.0), args.seed
    ).train
    soft = data.doubtful_label if data.soften_doubtful else None
    ngrams = NgramBaseline().fit([one.text for one in known], [label_to_learn(one, soft) for one in known])
    rng = np.random.default_rng(args.seed)
    texts = build_config(pretrain_parser().parse_args(["--config", args.texts]), PretrainConfig)
    seen = {one.text for one in known}
    found: list[dict[str, Any]] = []
    suspicion: list[float] = []
    for path in corpus_files(texts.texts):
        if ".txt" in path.suffixes and texts.repeat.get(stem(path), 1):
            pieces = list(_pieces(path, seen))
            drawn = rng.permutation(len(pieces))[: args.per_file].tolist()
            judged = ngrams.predict([pieces[i] for i in drawn]).tolist() if drawn else []
            found += [{"id": f"plain-{stem(path)}-{i}", "text": pieces[i]} for i in drawn]
            suspicion += judged
            print(f"{path.name}: {len(drawn):,} of {len(pieces):,} pieces", flush=True)
    chosen = _choose(suspicion, args.suspicious, args.ordinary, rng)
    rows = [found[i] for i in chosen]
    margins: list[Floats] = []
    for folder in args.models:
        margins.append(toxitrace.load(folder).margins([one["text"] for one in rows]).astype(np.float64))
        print(f"{folder}: {len(rows):,} pieces judged", flush=True)
    probability = 1 / (1 + np.exp(-np.mean(margins, axis=0)))
    _write(args.output, rows)
    told = zip(rows, probability.tolist(), strict=True)
    _write(args.teacher, [{"id": one["id"], "probability": round(value, 6)} for one, value in told])
    print(f"{len(rows):,} texts, {np.mean(probability >= 0.5):.1%} judged toxic")


def _pieces(path: Path, seen: set[str]) -> Iterator[str]:
    """Pieces of a file, each text once; what is written is added to ``seen``."""
    for passage in read_passages(path):
        for piece in _PIECE.findall(passage) or [passage[:MAX_CHARACTERS]]:
            text = piece.strip()
            if len(text) >= MIN_CHARACTERS and text not in seen:
                seen.add(text)
                yield text


def _choose(suspicion: list[float], n_suspicious: int, n_ordinary: int, rng: np.random.Generator) -> list[int]:
    """Numbers of the most suspicious pieces and of others at random, in the order of the files."""
    order = np.argsort(-np.array(suspicion), kind="stable")
    rest = rng.permutation(order[n_suspicious:])[:n_ordinary]
    return sorted([*order[:n_suspicious].tolist(), *rest.tolist()])


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
