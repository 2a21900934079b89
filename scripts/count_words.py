"""Count the words of a pre-training recipe's texts, for spans that end where words end (`toxitrace.text.words`).

    python scripts/count_words.py --config configs/pretrain-small.yaml --output runs/default-wide/words.txt

Words are jieba's, of two to four Chinese characters, folded as the recipe folds its texts; the counts are our own, so
that scoring needs neither jieba nor its dictionary.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from toxitrace.cli.pretrain import build_parser
from toxitrace.cli.settings_parser import build_config
from toxitrace.config import PretrainConfig
from toxitrace.text.fold import fold
from toxitrace.text.segment import segment
from toxitrace.text.words import MAX_WORD_TOKENS, write_word_counts
from toxitrace.training.corpus import corpus_files, read_passages, stem


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, help="recipe of `toxitrace pretrain`")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--most", type=int, default=20_000, help="so many of the most frequent words")
    parser.add_argument("--max-chars", type=int, default=1_500_000, help="read of each file, from its beginning")
    args = parser.parse_args()
    config = build_config(build_parser().parse_args(["--config", args.config]), PretrainConfig)
    counts: Counter[str] = Counter()
    for path in corpus_files(config.texts):
        if config.repeat.get(stem(path), 1):
            before = counts.total()
            for passage in _beginning(read_passages(path), args.max_chars):
                text = fold(passage, config.fold).text
                counts.update(text[start:end] for start, end in segment(text))
            print(f"{path.name}: {counts.total() - before:,} pieces", flush=True)
    written = write_word_counts(counts, args.output, args.most)
    print(f"{written} words of 2 to {MAX_WORD_TOKENS} characters in {args.output}")


def _beginning(passages: Iterator[str], max_chars: int) -> Iterator[str]:
    n_chars = 0
    for passage in passages:
        if n_chars >= max_chars:
            return
        n_chars += len(passage)
        yield passage


if __name__ == "__main__":
    main()
