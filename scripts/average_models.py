"""The mean of the weights of several trainings of one encoder (model soup, Wortsman et al. 2022) as a model folder.

    python scripts/average_models.py runs/default runs/default/warm-up runs/default-direct --output runs/default-mean

The trainings must have begun with the same encoder and read with the same tokenizer: the mean of others is noise.
Thresholds are not averaged: tune the result.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.torch import load_file, save_file

from toxitrace.data.hashing import sha256_file
from toxitrace.encoder.folder import TOKENIZER_FILE, WEIGHTS_FILE
from toxitrace.settings import BiCSEParams, Calibration, ModelSettings, load_settings, save_settings

CONFIG_FILE = "config.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, help="folders that `toxitrace train` wrote")
    parser.add_argument("--weights", nargs="+", type=float, help="of each in the mean; all alike if not given")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    shares = np.array(args.weights or [1.0] * len(args.models))
    if len(shares) != len(args.models) or not (shares > 0).all():
        parser.error(f"--weights has {len(shares)} numbers; expected one above 0 for each of {len(args.models)} models")
    shares /= shares.sum()
    settings = [load_settings(folder) for folder in args.models]
    _require_same_reading(args.models, settings)
    weights = [load_file(folder / WEIGHTS_FILE) for folder in args.models]
    if any(name.startswith("ngram_margin.") for one in weights for name in one):
        raise SystemExit("a model has n-grams that judge beside it; average encoders, then scripts/add_ngram_margin.py")
    shapes = [{name: tuple(tensor.shape) for name, tensor in one.items()} for one in weights]
    if any(shape != shapes[0] for shape in shapes):
        raise SystemExit("the models are of different sizes; average trainings of one encoder")
    mean = {
        name: sum(share * one[name].float() for share, one in zip(shares.tolist(), weights, strict=True)).to(
            tensor.dtype
        )
        for name, tensor in weights[0].items()
    }
    args.output.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG_FILE, TOKENIZER_FILE):
        shutil.copy(args.models[0] / name, args.output / name)
    save_file(mean, args.output / WEIGHTS_FILE, metadata={"format": "pt"})
    parts = [
        {
            "sha256": sha256_file(folder / WEIGHTS_FILE),
            "share": round(share, 4),
            "training": one.training,
            "notes": one.notes,
        }
        for share, folder, one in zip(shares.tolist(), args.models, settings, strict=True)
    ]
    made = replace(
        settings[0],
        threshold=0.5,
        ngram_evidence=0.0,
        word_share=0.0,
        bicse=BiCSEParams(),
        calibration=Calibration(),
        training={},
        data_sha256={name: value for one in settings for name, value in one.data_sha256.items()},
        notes={"mean_of": parts},
    )
    save_settings(made, args.output)
    print(f"mean of {len(weights)} models written to {args.output}")


def _require_same_reading(folders: list[Path], settings: list[ModelSettings]) -> None:
    first = (settings[0].fold, settings[0].max_tokens, settings[0].saliency, sha256_file(folders[0] / TOKENIZER_FILE))
    for folder, one in zip(folders, settings, strict=True):
        if (one.fold, one.max_tokens, one.saliency, sha256_file(folder / TOKENIZER_FILE)) != first:
            raise SystemExit(f"{folder} reads texts in another way than {folders[0]}; average trainings of one encoder")


if __name__ == "__main__":
    main()
