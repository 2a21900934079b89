"""What spans are cut from: the gradient, the evidence of n-grams, and words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_model import SETTINGS, VOCAB, FakeBackend, text_tokenizer, write_export

from toxitrace.detector import Detector, load
from toxitrace.detector.scoring import TokenWeights
from toxitrace.detector.windowed import char_saliency, windowed
from toxitrace.errors import ConfigError, ModelError
from toxitrace.settings import ModelSettings
from toxitrace.text import WordList, separator_mask
from toxitrace.text.words import WORDS_FILE

TEXT = "今天你真是个笨蛋，早上好"
EVIDENCE = np.zeros(len(VOCAB), dtype=np.float32)
EVIDENCE[[VOCAB["早"], VOCAB["上"]]] = 2.0
EVIDENCE[[VOCAB["笨"], VOCAB["，"]]] = -9.0
WORDS = WordList({"今天": 9, "早上好": 9, "是个": 3}, VOCAB)
WIDE = replace(SETTINGS, max_tokens=20)


def weights(text: str, settings: ModelSettings, evidence: np.ndarray | None = EVIDENCE) -> dict[str, float]:
    detector = Detector(FakeBackend(evidence=evidence), text_tokenizer(), settings, words=WORDS)
    return dict(zip(text, detector.explain(text, force_spans=True).saliency.tolist(), strict=True))


def test_without_the_setting_evidence_changes_nothing() -> None:
    assert weights(TEXT, WIDE) == weights(TEXT, WIDE, evidence=None)


def test_evidence_is_added_to_the_scaled_saliency_and_the_sum_scaled() -> None:
    found = weights(TEXT, replace(WIDE, ngram_evidence=1.0))
    # 早 has 0.1 / 2 of the largest gradient and 2 of evidence, 笨 all of the gradient; what speaks against is left out
    assert found["早"] == found["上"] == 1.0
    assert found["笨"] == found["蛋"] == pytest.approx(1 / 2.05)
    assert found["今"] == pytest.approx(0.05 / 2.05)


def test_evidence_makes_spans() -> None:
    detector = Detector(FakeBackend(evidence=EVIDENCE), text_tokenizer(), replace(WIDE, ngram_evidence=0.5))
    assert [span.text for span in detector.predict(TEXT).spans] == ["笨蛋", "早上"]


def test_evidence_that_is_wanted_and_missing_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"ngram_evidence is 1.0, but its graph gives none"):
        weights(TEXT, replace(WIDE, ngram_evidence=1.0), evidence=None)


def test_a_words_tokens_are_lifted_to_its_heaviest() -> None:
    half = weights(TEXT, replace(WIDE, ngram_evidence=1.0, word_share=0.5))
    plain = weights(TEXT, replace(WIDE, ngram_evidence=1.0))
    assert half["好"] == pytest.approx((plain["好"] + plain["早"]) / 2)
    assert {char: half[char] for char in TEXT if char not in "早上好"} == {
        char: plain[char] for char in TEXT if char not in "早上好"
    }
    whole = weights(TEXT, replace(WIDE, ngram_evidence=1.0, word_share=1.0))
    assert whole["早"] == whole["上"] == whole["好"] == 1.0


def test_spans_end_where_words_do() -> None:
    settings = replace(WIDE, ngram_evidence=0.5, word_share=1.0)
    detector = Detector(FakeBackend(evidence=EVIDENCE), text_tokenizer(), settings, words=WORDS)
    assert [span.text for span in detector.predict(TEXT).spans] == ["笨蛋", "早上好"]


def test_an_invisible_character_does_not_part_a_word() -> None:
    settings = replace(WIDE, ngram_evidence=0.5, word_share=1.0)
    detector = Detector(FakeBackend(evidence=EVIDENCE), text_tokenizer(), settings, words=WORDS)
    assert "早上\u200b好" in [span.text for span in detector.predict("笨蛋，早上\u200b好").spans]


def test_a_word_across_two_windows_is_one_word() -> None:
    text = "今天吃了吗，早上好"
    cut = windowed(text_tokenizer().tokenize([text])[0], 9, 10)  # windows of 7 tokens
    assert len(cut.bounds) == 2
    by_window = [
        (i, TokenWeights(np.where(np.arange(start, end) == 6, 1.0, 0.1))) for i, (start, end) in enumerate(cut.bounds)
    ]
    found = char_saliency(cut, by_window, separator_mask(text), words=WORDS, word_share=1.0)
    assert found[6:].tolist() == [1.0, 1.0, 1.0]
    assert found[:5].max() < 1


def test_what_no_window_covers_is_not_lifted() -> None:
    text = "今天吃了早上好今天吃了早"
    cut = windowed(text_tokenizer().tokenize([text])[0], 7, 10)
    (start, end) = cut.bounds[0]
    assert text[:end].endswith("早")
    found = char_saliency(
        cut, [(0, TokenWeights(np.ones(end - start)))], separator_mask(text), words=WORDS, word_share=1.0
    )
    assert found[:end].tolist() == [1.0] * end
    assert not found[end:].any()


def test_a_text_without_weights_has_no_words_to_lift() -> None:
    detector = Detector(FakeBackend(evidence=EVIDENCE), text_tokenizer(), replace(WIDE, word_share=1.0), words=WORDS)
    assert detector.predict("，，", force_spans=True).spans == ()
    assert detector.explain("").saliency.tolist() == []


@pytest.mark.parametrize(("name", "value"), [("ngram_evidence", -0.1), ("ngram_evidence", float("nan")),
                                             ("word_share", 1.1), ("word_share", -0.1)])  # fmt: skip
def test_settings_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=name):
        replace(SETTINGS, **{name: value})


def test_a_missing_list_of_words_is_named(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    folder = write_export(tmp_path / "model", replace(SETTINGS, word_share=0.5))
    with pytest.raises(ModelError, match=r"no words.txt, which its word_share of 0.5 needs"):
        load(folder)
    (folder / WORDS_FILE).write_text("笨蛋\t3\n", encoding="utf-8")
    assert load(folder).predict("你真是个笨蛋").spans[0].text == "笨蛋"


def test_a_backend_of_ones_own_runs_a_folders_model(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    folder = write_export(tmp_path / "model")
    own = FakeBackend()
    assert load(folder, backend=own).predict(TEXT[:9]) == load(folder).predict(TEXT[:9])
    assert own.margin_batches
