"""An export back into a model folder, to go on training from it, average it with others or export it again.

    python scripts/restore_export.py --export exports/default --output runs/shipped
    toxitrace train --config configs/cold-scratch-small.yaml --encoder.name runs/shipped     # from the shipped model

What an export cannot tell is checked by its answers: a model that comes out otherwise is refused.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

from toxitrace.encoder import save_classifier
from toxitrace.export.restore import restore_classifier
from toxitrace.settings import load_settings
from toxitrace.text import TextTokenizer
from toxitrace.text.words import WORDS_FILE
from toxitrace.training.quiet import quiet_libraries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--export", type=Path, required=True, help="folder that `toxitrace export` wrote")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument(
        "--without-ngrams", action="store_true", help="leave out those that judge beside it, as averaging needs"
    )
    parser.add_argument("--heads", type=int, default=4, help="attention heads, which an export does not tell")
    args = parser.parse_args()
    if args.output.resolve() == args.export.resolve():
        parser.error(f"--output {args.output} is the export itself; name another folder")
    quiet_libraries()
    settings = load_settings(args.export)
    tokenizer = TextTokenizer.load(args.export, settings.fold)
    classifier = restore_classifier(args.export, args.heads, ngram_margin=not args.without_ngrams)
    notes = {name: note for name, note in settings.notes.items() if name != "export"}  # of files that are not here
    settings = replace(settings, notes=notes, ngram_evidence=0.0 if args.without_ngrams else settings.ngram_evidence)
    args.output.mkdir(parents=True, exist_ok=True)
    if settings.word_share:
        shutil.copyfile(args.export / WORDS_FILE, args.output / WORDS_FILE)
    save_classifier(classifier, tokenizer.raw, settings, args.output)
    print(f"written to {args.output}")


if __name__ == "__main__":
    main()
