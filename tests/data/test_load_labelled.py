from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from toxitrace.config import DataConfig, Paths
from toxitrace.data.load import LabelledData, hash_sources, load_labelled
from toxitrace.errors import ConfigError, DataError

TRAIN: list[dict[str, Any]] = [
    {"id": "a", "text": "你真是个笨蛋", "label": 1},
    {"id": "b", "text": "今天天气不错", "label": 0},
    {"id": "c", "text": "早上好", "label": 0},
]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def load(
    train: Sequence[str],
    dev: Sequence[str] = (),
    spans: Sequence[str] = (),
    rationales: Sequence[str] = (),
    **options: Any,
) -> LabelledData:
    seed = options.pop("seed", 1)
    config = DataConfig(Paths(train), Paths(dev), Paths(spans), Paths(rationales), **options)
    return load_labelled(config, seed)


def test_spans_and_rationales_are_joined_by_id_and_strangers_counted(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", TRAIN)
    spans = write(
        tmp_path / "spans.jsonl", [{"id": "x", "spans": []}, {"id": "c", "spans": []}, {"id": "a", "spans": [[4, 6]]}]
    )
    arguments = {"toxic": "骂人", "non_toxic": "玩笑"}
    rationales = write(tmp_path / "rationales.jsonl", [{"id": i, **arguments} for i in ("y", "b", "z")])
    data = load([train], spans=[spans], rationales=[rationales])
    assert [example.spans for example in data.train] == [((4, 6),), None, ()]
    assert list(data.rationales) == ["b"]
    assert data.rationales["b"].toxic == "骂人"
    assert data.unmatched == 3


def test_several_files_of_each_kind_are_joined(tmp_path: Path) -> None:
    train = [write(tmp_path / "one.jsonl", TRAIN[:1]), write(tmp_path / "two.jsonl", TRAIN[1:])]
    spans = [
        write(tmp_path / "one-spans.jsonl", [{"id": "a", "spans": [[4, 6]]}]),
        write(tmp_path / "two-spans.jsonl", [{"id": "b", "spans": []}]),
    ]
    data = load(train, spans=spans, dev=[write(tmp_path / "dev.jsonl", TRAIN)])
    assert [example.id for example in data.train] == ["a", "b", "c"]
    assert [example.spans for example in data.train] == [((4, 6),), (), None]
    assert len(data.dev) == 3


def test_annotations_of_other_texts_are_an_error(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", TRAIN)
    spans = write(tmp_path / "spans.jsonl", [{"id": "x", "spans": []}, {"id": "y", "spans": []}])
    rationales = write(tmp_path / "why.jsonl", [{"id": "x", "toxic": "骂人", "non_toxic": "玩笑"}])
    with pytest.raises(DataError, match=r"spans\.jsonl: none of its 2 ids"):
        load([train], spans=[spans])
    with pytest.raises(DataError, match=r"why\.jsonl: none of its 1 ids"):
        load([train], rationales=[rationales])
    with pytest.raises(DataError, match="none of its"):
        load([train], rationales=["builtin:cold-rationales"])


def test_an_id_used_in_two_files_is_an_error_that_names_both(tmp_path: Path) -> None:
    first, second = write(tmp_path / "one.jsonl", TRAIN), write(tmp_path / "two.jsonl", TRAIN[2:])
    with pytest.raises(DataError, match=r"two\.jsonl: id 'c' was already used in .*one\.jsonl"):
        load([first, second])
    with pytest.raises(DataError, match="already used"):
        load([first, first])
    load([first], dev=[second])  # another split may count its rows anew


def test_the_same_seed_draws_the_same_rows_in_file_order(tmp_path: Path) -> None:
    rows = [{"id": f"r{n}", "text": f"第{n}句", "label": n % 2} for n in range(40)]
    train = write(tmp_path / "train.jsonl", rows)
    drawn = [[example.id for example in load([train], limit=10, seed=seed).train] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 10
    assert drawn[0] == sorted(drawn[0], key=lambda id: int(id[1:]))
    assert len(load([train], limit=100).train) == 40


def test_a_limit_does_not_make_annotations_strangers(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", TRAIN)
    spans = write(tmp_path / "spans.jsonl", [{"id": row["id"], "spans": []} for row in TRAIN])
    assert load([train], spans=[spans], limit=1).unmatched == 0


def test_every_file_is_hashed_under_the_path_it_was_named_by(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", TRAIN)
    one = write(tmp_path / "cold" / "spans.jsonl", [{"id": "a", "spans": [[4, 6]]}])
    two = write(tmp_path / "swsr" / "spans.jsonl", [{"id": "b", "spans": []}])
    hashes = load([train], spans=[one, two]).sha256
    assert hashes == {path: hashlib.sha256(Path(path).read_bytes()).hexdigest() for path in (train, one, two)}
    assert hash_sources(["builtin:cold-spans"]) == {"builtin:cold-spans": "shipped"}


def test_no_training_file_is_a_config_error_that_names_the_flag() -> None:
    with pytest.raises(ConfigError, match=r"--data\.train"):
        load([])


@pytest.mark.parametrize("kind", ["train", "dev", "spans", "rationales"])
def test_a_missing_file_is_one_clear_line(tmp_path: Path, kind: str) -> None:
    files = {"train": [write(tmp_path / "train.jsonl", TRAIN)]}
    files[kind] = [str(tmp_path / "nowhere.jsonl")]
    with pytest.raises(DataError) as error:
        load(**files)
    assert "nowhere.jsonl" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"id": "d", "text": "你好", "label": 7}, "label is 7"),
        ({"id": "d", "text": "你好"}, "label"),
        ({"id": "d", "label": 1}, "text"),
        ({"id": "d", "text": " ", "label": 0}, "blank"),
        ({"id": "a", "text": "你好", "label": 0}, "'a'"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path, row: dict[str, Any], words: str) -> None:
    train = write(tmp_path / "train.jsonl", [*TRAIN, row])
    with pytest.raises(DataError, match=r"train\.jsonl:4") as error:
        load([train])
    assert words in str(error.value)


@pytest.mark.parametrize("spans", [[[4, 7]], [[5, 4]], [[-1, 2]], [[1]], "4-6"])
def test_a_span_outside_its_text_is_named_by_file_and_line(tmp_path: Path, spans: object) -> None:
    train = write(tmp_path / "train.jsonl", TRAIN)
    notes = write(tmp_path / "spans.jsonl", [{"id": "b", "spans": []}, {"id": "a", "spans": spans}])
    with pytest.raises(DataError, match=r"spans\.jsonl:2"):
        load([train], spans=[notes])


def test_a_teachers_probabilities_are_joined_by_id(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", TRAIN)
    told = write(
        tmp_path / "told.jsonl", [{"id": "c", "probability": 0.25, "toxic": False}, {"id": "x", "probability": 1}]
    )
    data = load([train], teacher=Paths([told]))
    assert (data.teacher, data.unmatched) == ({"c": 0.25}, 1)
    assert data.sha256.keys() == {train, told}


@pytest.mark.parametrize("value", [1.5, -0.1, True, "0.5", None])
def test_a_teacher_tells_probabilities(tmp_path: Path, value: object) -> None:
    told = write(tmp_path / "told.jsonl", [{"id": "a", "probability": value}])
    with pytest.raises(DataError, match=r"told.jsonl:1: probability is .*; expected a number from 0 to 1"):
        load([write(tmp_path / "train.jsonl", TRAIN)], teacher=Paths([told]))


def test_training_rows_without_label_are_labelled_by_their_evidence(tmp_path: Path) -> None:
    rows = [{"id": "a", "text": "你真是个笨蛋", "spans": [[4, 6]]}, {"id": "b", "text": "天气不错", "spans": []}]
    assert [example.label for example in load([write(tmp_path / "forum.jsonl", rows)]).train] == [1, 0]


UNLABELLED: list[dict[str, Any]] = [{"id": "u", "text": "他又来了"}, {"id": "v", "text": "真烦人", "label": 1}]


def test_unlabelled_texts_join_the_training_texts_without_any_label(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", TRAIN)
    unlabelled = write(tmp_path / "found.jsonl", UNLABELLED)
    told = [{"id": id, "probability": p} for id, p in (("a", 0.9), ("u", 0.3), ("v", 0.8))]
    teacher = write(tmp_path / "told.jsonl", told)
    data = load([train], unlabelled=Paths([unlabelled]), teacher=Paths([teacher]), clauses=True)
    assert [(one.id, one.label) for one in data.train] == [("a", 1), ("b", 0), ("c", 0), ("u", None), ("v", None)]
    assert data.teacher == {"a": 0.9, "u": 0.3, "v": 0.8}
    assert data.files["u"] == unlabelled
    assert data.sha256[unlabelled] == hashlib.sha256(Path(unlabelled).read_bytes()).hexdigest()


def test_an_unlabelled_text_that_no_teacher_judges_is_refused(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", TRAIN)
    unlabelled = write(tmp_path / "found.jsonl", UNLABELLED)
    teacher = write(tmp_path / "told.jsonl", [{"id": "u", "probability": 0.3}])
    with pytest.raises(DataError, match=r"found.jsonl: no file of --data.teacher judges id 'v'"):
        load([train], unlabelled=Paths([unlabelled]), teacher=Paths([teacher]))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "a", "text": "真烦人"}, "id 'a' was already used in .*train.jsonl"),
        ({"id": "w", "text": "  "}, "id 'w' has a blank text"),
    ],
)
def test_unlabelled_texts_with_a_known_id_or_nothing_to_read_are_refused(
    tmp_path: Path, row: dict[str, Any], message: str
) -> None:
    train = write(tmp_path / "train.jsonl", TRAIN)
    teacher = write(tmp_path / "told.jsonl", [{"id": row["id"], "probability": 0.3}])
    with pytest.raises(DataError, match=message):
        load([train], unlabelled=Paths([write(tmp_path / "found.jsonl", [row])]), teacher=Paths([teacher]))
