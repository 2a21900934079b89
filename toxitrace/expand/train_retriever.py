"""Contrastive training of a retriever: one positive, one hard negative, the batch's other documents (methods.md 3)."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toxitrace.errors import ConfigError, DataError, MissingExtraError
from toxitrace.expand.counted import counted
from toxitrace.expand.represent import QueryMode
from toxitrace.expand.retriever import Retriever, open_retriever
from toxitrace.expand.retriever_settings import Pooling, RetrieverSettings, save_retriever_settings


@dataclass(frozen=True)
class RetrieverTraining:
    """How a retriever is trained."""

    query: QueryMode = "query"
    """What stands for a query, in training and ever after: mean of query and expansion, expansion, or query."""
    pooling: Pooling = "mean"
    """How token vectors become one."""
    max_tokens: int = 256
    """Texts are cut to this many tokens."""
    temperature: float = 0.02
    """Cosines are divided by it."""
    lr: float = 3e-5
    """Peak learning rate; linear decay after the warm-up. A small encoder from scratch wants more: 2e-4."""
    epochs: float = 3.0
    """Passes over the rows."""
    warmup_share: float = 0.1
    """Share of the steps in which the rate rises."""
    batch_size: int = 64
    """Rows per step; their documents are each other's negatives. LLM-QE's effective batch is 1,024."""
    mini_batch_size: int | None = None
    """Rows per forward pass, with cached gradients; none: the whole batch at once."""
    weight_decay: float = 0.01
    """Decay of the weights."""
    seed: int = 1
    """Of the order of rows and of dropout."""
    device: str = "cpu"
    """cpu, or cuda."""

    def __post_init__(self) -> None:
        RetrieverSettings(self.query, self.pooling, self.max_tokens)
        for name in ("temperature", "lr", "epochs"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"--{name} is {getattr(self, name)}; expected more than 0")
        if self.batch_size < 2:
            raise ConfigError(
                f"--batch_size is {self.batch_size}; expected 2 or more: a batch's rows are its negatives"
            )
        if self.mini_batch_size is not None and self.mini_batch_size < 1:
            raise ConfigError(f"--mini_batch_size is {self.mini_batch_size}; expected 1 or more, or none")


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """Texts of one (query, relevant document) pair; ``expansion`` is empty where the mode needs none."""

    id: str
    query: str
    positive: str
    negative: str
    expansion: str = ""


def training_rows(
    queries: Mapping[str, str],
    documents: Mapping[str, str],
    qrels: Mapping[str, Mapping[str, int]],
    negatives: Mapping[str, Sequence[str]],
    mode: QueryMode,
    expansions: Mapping[str, str] | None = None,
) -> list[TrainingRow]:
    """Rows of every relevant pair, joined by id throughout, in the order of the queries.

    Queries without a negative are left out, and in the modes that need one those without an expansion.

    Raises:
        DataError: no row is left.

    >>> training_rows({"q": "猫？"}, {"a": "猫", "b": "狗"}, {"q": {"a": 1}}, {"q": ["b"]}, "query")
    [TrainingRow(id='q', query='猫？', positive='猫', negative='狗', expansion='')]
    """
    rows = []
    for id, query in queries.items():
        expansion = "" if mode == "query" else (expansions or {}).get(id, "").strip()
        if not negatives.get(id) or (mode != "query" and not expansion):
            continue
        for document_id, grade in sorted(qrels.get(id, {}).items()):
            if grade > 0 and document_id in documents:
                rows.append(TrainingRow(id, query, documents[document_id], documents[negatives[id][0]], expansion))
    if not rows:
        needs = " and a hard negative" if mode == "query" else ", a hard negative and an expansion"
        raise DataError(
            f"not one of {counted(len(queries), 'query', 'queries')} has a relevant document{needs}; expected training "
            "queries"
        )
    return rows


def train_retriever(
    base: str,
    rows: Sequence[TrainingRow],
    output: str | Path,
    training: RetrieverTraining,
    *,
    record: Mapping[str, Any] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Retriever:
    """Train ``base`` on the rows and write the retriever's folder, its settings last.

    Args:
        base: folder or hub name of an encoder.
        record: data hashes and versions, kept with the settings.

    Raises:
        ConfigError: the output holds a retriever already.
        ModelError, MissingExtraError: as `open_retriever`.
    """
    folder = Path(output)
    if folder.is_dir() and any(folder.iterdir()):
        raise ConfigError(f"{folder} is not empty: name another --output, or move it away")
    try:
        from datasets import Dataset
        from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments
        from sentence_transformers.base.sampler import BatchSamplers
        from transformers import PrinterCallback, set_seed
    except ImportError as error:
        raise MissingExtraError(str(error.name), "explore") from None
    set_seed(training.seed)  # before loading: weights that the folder lacks are drawn
    settings = RetrieverSettings(training.query, training.pooling, training.max_tokens)
    retriever = open_retriever(base, settings, device=training.device)
    if retriever.settings.query != training.query:
        raise ConfigError(
            f"{base} is a retriever that represents a query by {retriever.settings.query!r}, but --query is "
            f"{training.query!r}: go on with its own, or begin with its encoder"
        )
    from toxitrace.expand.contrastive_loss import contrastive_loss

    retriever.model.model_card_data.widget = [{"text": ""}]  # else it draws training texts to quote, and shows a bar
    with tempfile.TemporaryDirectory(prefix="toxitrace-") as scratch:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=scratch,
            num_train_epochs=training.epochs,
            per_device_train_batch_size=training.batch_size,
            learning_rate=training.lr,
            weight_decay=training.weight_decay,
            warmup_steps=training.warmup_share,
            lr_scheduler_type="linear",
            # a text twice in a batch would be a negative of itself
            batch_sampler=BatchSamplers.NO_DUPLICATES,
            seed=training.seed,
            data_seed=training.seed,
            use_cpu=training.device == "cpu",
            save_strategy="no",
            logging_strategy="epoch",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = SentenceTransformerTrainer(
            model=retriever.model,
            args=arguments,
            train_dataset=Dataset.from_dict(columns(rows, retriever)),
            loss=contrastive_loss(retriever.model, training.query, training.temperature, training.mini_batch_size),
        )
        trainer.remove_callback(PrinterCallback)  # prints to stdout
        trainer.train()
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    say(f"trained on {counted(len(rows), 'row')}, loss by epoch: {', '.join(f'{loss:.3f}' for loss in losses)}")
    folder.mkdir(parents=True, exist_ok=True)
    retriever.model.save(str(folder), create_model_card=False)
    noted = {"base": base, **dataclasses.asdict(training), "n_rows": len(rows), "losses": losses, **(record or {})}
    save_retriever_settings(dataclasses.replace(retriever.settings, training=noted), folder)
    return open_retriever(folder, device=training.device)


def columns(rows: Sequence[TrainingRow], retriever: Retriever) -> dict[str, list[str]]:
    """The rows as the loss's columns, folded as the retriever folds."""
    shown = retriever.prepared
    table = {
        "query": [shown(row.query) for row in rows],
        "expansion": [shown(row.expansion) for row in rows],
        "document": [shown(row.positive) for row in rows],
        "hard": [shown(row.negative) for row in rows],
    }
    unused = {"query": "expansion", "expansion": "query"}.get(retriever.settings.query)
    return {name: column for name, column in table.items() if name != unused}
