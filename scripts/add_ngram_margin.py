"""Give a trained classifier n-grams that judge beside it (`toxitrace.encoder.ngram_margin`), as a new model folder.

    python scripts/add_ngram_margin.py --model runs/default-mean --config configs/default.yaml \
        --words runs/words.txt --output runs/default-wide

The n-grams learn from the recipe's training texts and soft labels, from a share of the texts with a word disguised
(`toxitrace.data.disguises`), which here costs no training of the encoder, and from ``--unlabelled`` texts with the
teacher's word as label. How much they count beside the encoder is the ratio of two logistic weights on the recipe's
development texts, and the encoder learns nothing new: its saliency stays the same to the last bit. What the n-grams say
of each token is added to it when spans are cut, and a word's tokens are lifted to its heaviest one. Threshold and
calibration begin anew, span parameters are the old model's: tune them.
"""

from __future__ import annotations

import argparse
import copy
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression

import toxitrace
from toxitrace.cli.settings_parser import build_config
from toxitrace.cli.train import build_parser
from toxitrace.config import Paths, TrainConfig
from toxitrace.data.load import LabelledData, load_labelled
from toxitrace.data.prepare import label_to_learn
from toxitrace.encoder import Classifier, load_classifier, save_classifier
from toxitrace.encoder.ngram_margin import NgramMargin
from toxitrace.encoder.ngrams import NgramBertForSequenceClassification
from toxitrace.settings import Calibration, load_settings
from toxitrace.text.tokenize import TextTokenizer
from toxitrace.text.words import WORDS_FILE
from toxitrace.training.ngram_margin import fit_ngram_margin, scale_margin
from toxitrace.training.quiet import quiet_libraries

Floats = npt.NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder that `toxitrace train` wrote")
    parser.add_argument("--config", required=True, help="recipe with its training and development texts")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--buckets", type=int, default=262_139, help="a prime; eight bytes each in the export")
    parser.add_argument("--max-ngrams", type=int, default=150_000)
    parser.add_argument("--inverse-l2", type=float, default=2.0, help="C of scikit-learn's LogisticRegression")
    parser.add_argument("--disguises", type=float, default=0.3, help="share of the texts that come again, disguised")
    parser.add_argument("--unlabelled", nargs="+", default=[], help="texts to learn from as the --teacher judges them")
    parser.add_argument("--teacher", nargs="+", default=[], help="what scripts/self_training.py wrote beside them")
    parser.add_argument("--evidence", type=float, default=0.15, help="ngram_evidence of the model's settings")
    parser.add_argument("--words", type=Path, help="what scripts/count_words.py wrote; without, words play no part")
    parser.add_argument("--word-share", type=float, default=0.7, help="word_share of the settings, with --words")
    args = parser.parse_args()
    quiet_libraries()
    classifier, settings = load_classifier(args.model), load_settings(args.model)
    if not isinstance(classifier.model, NgramBertForSequenceClassification):
        raise SystemExit(f"{args.model} is no encoder with n-grams of its own (encoder.scratch.ngram_buckets)")
    if classifier.model.ngram_margin is not None:
        raise SystemExit(f"{args.model} has n-grams that judge already; start from the model before")
    if args.words and not args.words.is_file():
        raise SystemExit(f"--words {args.words} does not exist; make it with scripts/count_words.py")
    config = build_config(build_parser().parse_args(["--config", args.config]), TrainConfig)
    read = replace(
        config.data, clauses=False, disguises=args.disguises,
        unlabelled=Paths(args.unlabelled), teacher=Paths(args.teacher),
    )  # fmt: skip
    data = load_labelled(read, seed=1)
    soft = config.data.doubtful_label if config.data.soften_doubtful else None
    tokenizer = TextTokenizer.load(args.model, settings.fold)
    fitted = fit_ngram_margin(
        _ids(tokenizer, [one.text for one in data.train]),
        [label_to_learn(one, soft, data.teacher.get(one.id)) for one in data.train],
        buckets=args.buckets, max_ngrams=args.max_ngrams, inverse_l2=args.inverse_l2,
    )  # fmt: skip
    texts = [one.text for one in data.dev]
    alone = toxitrace.load(args.model).margins(texts).astype(np.float64)
    weight = _weight(alone, _margins(fitted.margin, _ids(tokenizer, texts), settings.max_tokens), data)
    scale_margin(fitted.margin, weight)
    notes = {
        "ngrams": fitted.n_ngrams, "wanted": fitted.n_wanted, "buckets": args.buckets, "inverse_l2": args.inverse_l2,
        "disguises": args.disguises, "unlabelled": sum(one.label is None for one in data.train),
        "weight": round(weight, 4),
    }  # fmt: skip
    made = replace(
        settings, threshold=0.5, calibration=Calibration(), data_sha256=settings.data_sha256 | data.sha256,
        ngram_evidence=args.evidence, word_share=args.word_share if args.words else 0.0,
        notes=settings.notes | {"ngram_margin": notes},
    )  # fmt: skip
    args.output.mkdir(parents=True, exist_ok=True)
    if args.words:
        shutil.copyfile(args.words, args.output / WORDS_FILE)
    save_classifier(_with_margin(classifier, fitted.margin, args.buckets), tokenizer.raw, made, args.output)
    print(f"{fitted.n_ngrams} of {fitted.n_wanted} n-grams, weight {weight:.3f}; written to {args.output}")


def _ids(tokenizer: TextTokenizer, texts: list[str]) -> list[Any]:
    return [one.token_ids for one in tokenizer.tokenize(texts)]


def _margins(ngrams: NgramMargin, sequences: list[Any], max_tokens: int) -> Floats:
    """What the n-grams say of texts, each cut where the encoder's first window ends."""
    cut = (torch.tensor(sequence[: max_tokens - 2])[None] for sequence in sequences)
    return np.array([float(ngrams(ids)) for ids in cut])


def _with_margin(classifier: Classifier, margin: NgramMargin, buckets: int) -> Classifier:
    """The same weights in a model with a place for the n-grams."""
    config = copy.deepcopy(classifier.model.config)
    config.ngram_margin_buckets = buckets
    made = NgramBertForSequenceClassification(config)
    made.load_state_dict(classifier.model.state_dict(), strict=False)
    made.ngram_margin = margin
    return Classifier(made).eval()


def _weight(encoder: Floats, ngrams: Floats, data: LabelledData) -> float:
    """How much a unit of the n-grams says beside a unit of the encoder."""
    both = LogisticRegression(C=1e6).fit(np.stack([encoder, ngrams], axis=1), [one.label for one in data.dev])
    return float(both.coef_[0, 1] / both.coef_[0, 0])


if __name__ == "__main__":
    main()
