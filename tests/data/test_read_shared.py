"""The real files of ../shared/data, where they are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from toxitrace.data import attach_spans, read_cntp, read_jsonl, read_queries, read_rationales, read_spans, unknown_ids
from toxitrace.data.cntp import follow_perturbation

SHARED = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not there")


@pytest.mark.parametrize(
    ("texts", "spans", "shipped", "n_evidence"),
    [
        ("cold/train.jsonl", "cold/spans.jsonl", "builtin:cold-spans", 8030),
        ("swsr/comments.jsonl", "swsr/spans.jsonl", "builtin:swsr-spans", 2207),
    ],
)
def test_every_shipped_span_joins_a_text_and_lies_inside_it(
    texts: str, spans: str, shipped: str, n_evidence: int
) -> None:
    examples = read_jsonl(SHARED / texts)
    notes = read_spans(shipped)
    joined = attach_spans(examples, notes)
    assert unknown_ids(examples, notes) == ()
    assert {id: note.spans for id, note in notes.items()} == {
        id: note.spans for id, note in read_spans(SHARED / spans).items()
    }
    assert sum(bool(example.spans) for example in joined) == n_evidence


def test_rationales_and_queries_belong_to_training_texts() -> None:
    examples = read_jsonl(SHARED / "cold/train.jsonl")
    assert unknown_ids(examples, read_rationales("builtin:cold-rationales")) == ()
    assert unknown_ids(examples, read_queries("builtin:cold-queries")) == ()


def test_cold_development_parts_read_whole() -> None:
    assert len(read_jsonl(SHARED / "cold/dev.jsonl")) == 6414
    expert = read_jsonl(SHARED / "cold/dev_expert.jsonl")
    assert {example.fine for example in expert} == {
        "attack_individual", "attack_group", "anti_bias", "other_non_offensive",
    }  # fmt: skip
    gold = read_spans(SHARED / "cold/dev_gold.jsonl")
    assert unknown_ids(read_jsonl(SHARED / "cold/dev.jsonl"), gold) == ()


def test_cntp_reads_whole_and_spans_are_inside_their_texts() -> None:
    toxic, clean = read_cntp(SHARED / "cntp/toxic.jsonl"), read_cntp(SHARED / "cntp/clean.jsonl")
    assert (len(toxic), len(clean)) == (850, 906)
    assert all(example.spans for example in toxic)
    assert all(example.spans == () for example in clean)


@pytest.mark.parametrize("kind", ["vsim", "split", "py_init", "py_full", "homo", "emoji", "trad", "shuffle"])
def test_following_a_perturbation_agrees_with_the_published_offsets_wherever_it_answers(kind: str) -> None:
    originals = {example.id: example for example in read_cntp(SHARED / "cntp/toxic.jsonl")}
    n_answers = 0
    for example in read_cntp(SHARED / f"cntp/perturbed_{kind}.jsonl"):
        original = originals.get(example.id)
        if original is not None and original.spans is not None:
            found = follow_perturbation(original.text, original.spans, example.text)
            assert found in (None, example.spans)
            n_answers += found is not None
    assert n_answers > 200


def test_forum_rows_take_their_label_from_their_spans() -> None:
    examples = read_jsonl(SHARED / "forum/rows.jsonl", label_from_spans=True)
    rows = [json.loads(line) for line in (SHARED / "forum/rows.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [example.label for example in examples] == [int(bool(row["spans"])) for row in rows]
