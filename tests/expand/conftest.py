from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "llm"))  # its local service

from tiny_retrieval import write_encoder, write_lm, write_set


@pytest.fixture(scope="session")
def retrieval_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in BEIR's layout: 12 documents, 24 questions, splits train and dev."""
    return write_set(tmp_path_factory.mktemp("set") / "tiny")


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `toxitrace pretrain` writes, with n-grams; untrained."""
    return write_encoder(tmp_path_factory.mktemp("encoder") / "ngrams", ngram_buckets=31)


@pytest.fixture(scope="session")
def lm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal language model from scratch; untrained."""
    pytest.importorskip("transformers")
    return write_lm(tmp_path_factory.mktemp("lm") / "tiny")
