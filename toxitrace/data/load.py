"""Files named in a config -> examples with spans and rationales, and the hashes of what was read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from toxitrace.config import DataConfig
from toxitrace.data.annotations import (
    BUILTINS,
    Rationales,
    attach_spans,
    read_probabilities,
    read_rationales,
    read_spans,
    unknown_ids,
)
from toxitrace.data.clauses import clause_examples
from toxitrace.data.disguises import disguised_examples
from toxitrace.data.formats import read_examples
from toxitrace.data.hashing import sha256_file
from toxitrace.data.records import Example
from toxitrace.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class LabelledData:
    """Training and development examples as a config describes them."""

    train: list[Example]
    dev: list[Example]
    rationales: dict[str, Rationales]
    sha256: dict[str, str]
    """Of every file read, by its path as the config names it."""
    unmatched: int
    """Annotations whose id is not among the training texts."""
    teacher: dict[str, float] = field(default_factory=dict)
    """Probability of toxicity by a teacher, by id."""
    files: dict[str, str] = field(default_factory=dict)
    """The file that a training text comes from, by id."""


def load_labelled(config: DataConfig, seed: int = 1) -> LabelledData:
    """Read every file of ``config`` and join annotations by id.

    Raises:
        ConfigError: no training file is named.
        DataError: a file or row is unusable; two files share an id; no annotation matches.
    """
    if not config.train:
        raise ConfigError("no training texts; name files with --data.train")
    train, files = _read_all(config.train)
    extra, files = _read_all(config.unlabelled, labelled=False, before=files)
    train = [*train, *extra]
    ids = {example.id for example in train}
    rationales: dict[str, Rationales] = {}
    unmatched = 0
    for source in config.spans:
        spans = read_spans(source)
        missing = unknown_ids(train, spans)
        _require_match(source, len(spans), len(missing))
        unmatched += len(missing)
        train = attach_spans(train, spans)
    for source in config.rationales:
        found = read_rationales(source)
        known = {id: row for id, row in found.items() if id in ids}
        _require_match(source, len(found), len(found) - len(known))
        unmatched += len(found) - len(known)
        rationales |= known
    teacher: dict[str, float] = {}
    for source in config.teacher:
        told = read_probabilities(source)
        judged = {id: value for id, value in told.items() if id in ids}
        _require_match(source, len(told), len(told) - len(judged))
        unmatched += len(told) - len(judged)
        teacher |= judged
    for example in extra:
        if example.id not in teacher:
            raise DataError(
                f"{files[example.id]}: no file of --data.teacher judges id {example.id!r}; a text of --data.unlabelled "
                "is learnt with what the teacher says"
            )
    if config.limit is not None and config.limit < len(train):
        chosen = np.random.default_rng([seed, len(train)]).permutation(len(train))[: config.limit]
        train = [train[i] for i in sorted(chosen.tolist())]
    clauses = clause_examples(train, seed) if config.clauses else []
    disguised = disguised_examples(train, config.disguises, seed) if config.disguises else []
    train = [*train, *clauses, *disguised]
    dev, _ = _read_all(config.dev)
    sha256 = hash_sources(
        [*config.train, *config.unlabelled, *config.dev, *config.spans, *config.rationales, *config.teacher]
    )
    return LabelledData(train, dev, rationales, sha256, unmatched, teacher, files)


def hash_sources(sources: Iterable[str]) -> dict[str, str]:
    """SHA-256 of every file by its path as given; shipped annotations are named, their hash is the package's version.

    Raises:
        DataError: a file cannot be read.
    """
    # whole paths: cold/spans.jsonl and swsr/spans.jsonl are two files
    return {source: "shipped" if source in BUILTINS else sha256_file(source) for source in sources}


def _read_all(
    paths: Iterable[str], *, labelled: bool = True, before: Mapping[str, str] | None = None
) -> tuple[list[Example], dict[str, str]]:
    """All examples, and the file of each by id, with those read before.

    Args:
        paths: of files.
        labelled: whether a row without label is an error; if not, no label is read at all.
        before: the file of each text read earlier, whose ids may not come again.
    """
    examples: list[Example] = []
    seen = dict(before or {})
    for path in paths:
        rows = read_examples(path, label_from_spans=True) if labelled else _unlabelled(path)
        for example in rows:
            if example.id in seen:
                raise DataError(
                    f"{path}: id {example.id!r} was already used in {seen[example.id]}; ids must be unique across files"
                )
            seen[example.id] = path
            examples.append(example)
    return examples, seen


def _unlabelled(path: str) -> Iterable[Example]:
    for example in read_examples(path, require_label=False):
        if not example.text.strip():
            raise DataError(f"{path}: id {example.id!r} has a blank text: remove the row")
        yield Example(example.id, example.text, None, example.topic)


def _require_match(source: str, n_rows: int, n_missing: int) -> None:
    if n_rows and n_missing == n_rows:
        raise DataError(f"{source}: none of its {n_rows} ids is among the training texts; does it belong to them?")
