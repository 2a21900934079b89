"""Examples -> training rows: tokens, soft labels, token masks from weak spans, rationales. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from toxitrace.data.annotations import Rationales
from toxitrace.data.records import Example
from toxitrace.errors import DataError
from toxitrace.text.align import spans_to_token_mask
from toxitrace.text.tokenize import TextTokenizer

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRow:
    """One text ready for batching; T tokens, [CLS] and [SEP] included.

    Attributes:
        input_ids: (T,) token ids.
        label: 0 or 1 as published, or the nearer one of the teacher's probability.
        toxic_prob: the label to train on, soft for doubtful rows and where a teacher was asked.
        toxic_mask: (T,) bool, tokens that carry evidence; all False without usable spans.
        supervised: whether the gradient losses use this row: toxic, with a toxic and another token.
        supporting_ids: (R,) the rationale for the label, empty if there is none.
        opposing_ids: (R',) the rationale against it.
    """

    input_ids: Ids
    label: int
    toxic_prob: float
    toxic_mask: npt.NDArray[np.bool_]
    supervised: bool
    supporting_ids: Ids
    opposing_ids: Ids


@dataclass(frozen=True, slots=True)
class Preparation:
    """What became of the rows, for the user to read."""

    rows: int
    positive: int
    truncated: int
    doubtful: int
    supervised: int
    with_rationales: int


def is_doubtful(example: Example) -> bool:
    """Whether somebody looked for evidence and found the opposite of the label.

    >>> is_doubtful(Example("a", "今天天气不错", 1, spans=())), is_doubtful(Example("b", "今天天气不错", 1))
    (True, False)
    """
    return example.spans is not None and bool(example.spans) != bool(example.label)


def label_to_learn(example: Example, doubtful_label: float | None, told: float | None = None) -> float:
    """The probability of toxicity that a text is learnt with, before a teacher has a say in what is labelled.

    Args:
        example: with a label, or judged by a teacher.
        doubtful_label: for texts whose label and evidence disagree; None keeps the published label.
        told: the teacher's probability, which stands in where there is no label.

    Raises:
        DataError: neither label nor teacher.

    >>> label_to_learn(Example("a", "今天天气不错", 1, spans=()), 0.4)
    0.4
    >>> label_to_learn(Example("b", "今天天气不错", 1), 0.4)
    1.0
    >>> label_to_learn(Example("c", "今天天气不错", None), 0.4, told=0.3)
    0.3
    """
    if example.label is None:
        if told is None:
            raise DataError(f"id {example.id!r} has no label; expected 0 or 1: label the text or leave it out")
        return told
    return doubtful_label if doubtful_label is not None and is_doubtful(example) else float(example.label)


def prepare_rows(
    examples: Sequence[Example],
    tokenizer: TextTokenizer,
    *,
    max_tokens: int,
    doubtful_label: float | None = None,
    rationales: Mapping[str, Rationales] | None = None,
    teacher: Mapping[str, float] | None = None,
    teacher_weight: float = 0.5,
) -> tuple[list[TrainingRow], Preparation]:
    """Tokenise labelled examples and align their spans and rationales.

    Args:
        examples: every one has a label, or a probability by the teacher.
        tokenizer: folds and tokenises.
        max_tokens: longer texts and rationales are cut here, [CLS] and [SEP] included.
        doubtful_label: soft label of rows whose label and evidence disagree; None keeps the published label.
        rationales: by example id.
        teacher: probability of toxicity by a teacher, by example id (distillation, Hinton et al. 2015).
        teacher_weight: its share in the label to train on; where there is no label, the teacher's word is the label.

    Raises:
        DataError: an example has neither label nor teacher, or nothing but blank and invisible characters.
    """
    content = max_tokens - 2
    tokens = tokenizer.tokenize([example.text for example in examples])
    paired = [(index, rationales[e.id]) for index, e in enumerate(examples) if rationales and e.id in rationales]
    argued = tokenizer.tokenize([side for _, pair in paired for side in (pair.toxic, pair.non_toxic)])
    sides: dict[int, tuple[Ids, Ids]] = {
        index: (
            _framed(argued[2 * n].token_ids[:content], tokenizer),
            _framed(argued[2 * n + 1].token_ids[:content], tokenizer),
        )
        for n, (index, _) in enumerate(paired)
    }
    none = np.zeros(0, np.int64)
    rows: list[TrainingRow] = []
    truncated = doubtful = 0
    for index, (example, text) in enumerate(zip(examples, tokens, strict=True)):
        told = teacher.get(example.id) if teacher else None
        target = label_to_learn(example, doubtful_label, told)
        if not len(text.token_ids):
            raise DataError(f"id {example.id!r} shows no character to learn from: remove the row")
        label = int(target >= 0.5) if example.label is None else example.label
        doubtful += example.label is not None and is_doubtful(example)
        if told is not None:  # without a label the target is what was told
            target += teacher_weight * (told - target)
        truncated += len(text.token_ids) > content
        inner = spans_to_token_mask(example.spans or (), text.starts, text.ends)[:content]
        pro, con = sides.get(index, (none, none))
        rows.append(
            TrainingRow(
                input_ids=_framed(text.token_ids[:content], tokenizer),
                label=label,
                toxic_prob=target,
                toxic_mask=np.pad(inner, 1),
                supervised=bool(label == 1 and inner.any() and not inner.all()),
                supporting_ids=pro if label else con,
                opposing_ids=con if label else pro,
            )
        )
    return rows, Preparation(
        rows=len(rows),
        positive=sum(row.label for row in rows),
        truncated=truncated,
        doubtful=doubtful,
        supervised=sum(row.supervised for row in rows),
        with_rationales=len(paired),
    )


def _framed(token_ids: Ids, tokenizer: TextTokenizer) -> Ids:
    return np.concatenate([[tokenizer.cls_id], token_ids, [tokenizer.sep_id]])
