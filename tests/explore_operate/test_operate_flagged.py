from __future__ import annotations

from pathlib import Path

import pytest
from operate_doubles import FakeDetector, write

from toxitrace.errors import ConfigError
from toxitrace.explore.operate.flagged import read_flagged
from toxitrace.explore.operate.identity import is_hash_id

NOTES: list[tuple[str, str, str]] = []


def note(*bad_day: str) -> None:
    NOTES.append(bad_day)  # type: ignore[arg-type]


def test_a_number_is_the_platforms_id_only_if_that_item_has_this_text(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", [{"id": 7, "text": "大笨蛋"}, {"id": 8, "text": "大骗子"}])
    one, other = read_flagged([path], FakeDetector(), {"7": "大笨蛋", "8": "天气真好"}, note)
    assert one.id == "7"
    assert is_hash_id(other.id)


def test_confirmed_items_need_no_detector_but_for_their_evidence(tmp_path: Path) -> None:
    content = [
        {"id": "a", "text": "你这个坏蛋", "label": 1, "spans": [[3, 5]]},
        {"id": "b", "text": "大笨蛋", "label": 1},
        {"id": "c", "text": "大骗子", "label": 0, "toxic": True},
    ]
    detector = FakeDetector()
    found = read_flagged([write(tmp_path / "f.jsonl", content)], detector, {}, note)
    assert [(item.id, item.evidence) for item in found] == [("a", ("坏蛋",)), ("b", ("笨蛋",))]
    assert detector.n_texts == 1


def test_lines_of_a_text_file_are_texts(tmp_path: Path) -> None:
    (tmp_path / "f.txt").write_text("大笨蛋\n\n天气真好\n", encoding="utf-8")
    (item,) = read_flagged([tmp_path / "f.txt"], FakeDetector(), {}, note)
    assert item.text == "大笨蛋"


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="let `toxitrace predict` score it"):
        read_flagged([tmp_path / "f.csv"], FakeDetector(), {}, note)
