import json

import pytest
from fake_model import SETTINGS, FakeBackend, text_tokenizer

from toxitrace.detector import Detector
from toxitrace.detector.explanation import Explanation


@pytest.fixture
def explanation() -> Explanation:
    return Detector(FakeBackend(), text_tokenizer(), SETTINGS).explain("<你>笨蛋[\x1b[31m")


def test_html_is_escaped(explanation: Explanation) -> None:
    view = explanation.to_html()
    assert "&lt;" in view
    assert "<你>" not in view
    assert "\x1b" not in view
    assert "笨蛋</span></mark>" in view


def test_plain_text_marks_words_in_brackets(explanation: Explanation) -> None:
    assert explanation.to_text(color=False) == "toxic  0.98  <你>【笨蛋】[␛[31m"


def test_coloured_text_has_no_escape_sequence_of_the_text_itself(explanation: Explanation) -> None:
    assert "\x1b[31m" not in explanation.to_text(color=True)


def test_the_row_is_json(explanation: Explanation) -> None:
    row = json.loads(json.dumps(explanation.to_dict()))
    assert len(row["saliency"]) == len(explanation.text)
    assert row["spans"][0]["text"] == "笨蛋"
