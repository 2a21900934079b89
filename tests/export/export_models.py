"""Model folders of a few thousand weights, large enough for their answers to differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertForSequenceClassification, PreTrainedModel

from toxitrace.encoder import Classifier, save_classifier
from toxitrace.encoder.char_tokenizer import build_char_tokenizer
from toxitrace.settings import Calibration, ModelSettings

SAMPLES = Path(__file__).parent.parent / "samples" / "mild.jsonl"
TEXTS = [json.loads(line)["text"] for line in SAMPLES.read_text(encoding="utf-8").splitlines()[:60]]
SETTINGS = ModelSettings(max_tokens=24, calibration=Calibration(scale=0.7, offset=-0.4), notes={"steps": 3})


def scatter(model: PreTrainedModel, seed: int = 0) -> Classifier:
    """Weights unlike a fresh model's: no norm is the identity, no bias is zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            weight.copy_(1 + 0.2 * noise if name.endswith("LayerNorm.weight") else 0.25 * noise)
    return Classifier(model).eval()


def bert(vocab_size: int = 40, layers: int = 2, seed: int = 0, **options: Any) -> Classifier:
    config = BertConfig(
        vocab_size=vocab_size,
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=32,
        num_labels=2,
        **options,
    )
    return scatter(BertForSequenceClassification(config), seed)


def tokenizer() -> Tokenizer:
    return build_char_tokenizer(TEXTS, vocab_size=500, min_count=1)


def write_model(folder: Path, settings: ModelSettings = SETTINGS, **options: Any) -> Path:
    made = tokenizer()
    save_classifier(bert(made.get_vocab_size(), **options), made, settings, folder)
    return folder
