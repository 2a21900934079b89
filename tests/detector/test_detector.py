import dataclasses
import math

import numpy as np
import pytest
from fake_model import SETTINGS, SPECIALS, TOXIC, VOCAB, WEIGHT, FakeBackend, text_tokenizer
from hypothesis import given
from hypothesis import strategies as st

from toxitrace.detector import Detector
from toxitrace.detector.backend import TokenBatch
from toxitrace.errors import ConfigError, DataError, ModelError
from toxitrace.settings import Calibration
from toxitrace.types import Prediction

P_TOXIC, P_CLEAN = (round(1 / (1 + math.exp(-margin)), 6) for margin in (4.0, -2.0))


def detector(**changes: object) -> Detector:
    options = {name: changes.pop(name) for name in ("threshold", "max_windows") if name in changes}
    return Detector(FakeBackend(), text_tokenizer(), dataclasses.replace(SETTINGS, **changes), **options)


def test_a_toxic_text_has_its_words_marked_and_a_clean_one_none() -> None:
    toxic, clean = detector().predict(["你是笨蛋。滚！", "早上好"])
    assert (toxic.toxic, toxic.probability) == (True, P_TOXIC)
    assert [(span.start, span.end, span.text) for span in toxic.spans] == [(2, 4, "笨蛋"), (5, 6, "滚")]
    assert clean == Prediction("早上好", False, P_CLEAN, ())


def test_the_weight_of_special_tokens_does_not_count() -> None:
    # [CLS] weighs 9, the toxic words 2: scaled by [CLS] they would stay below the seed of 0.5.
    assert WEIGHT[VOCAB["[CLS]"]] > 4 * WEIGHT[VOCAB["笨"]]
    assert detector().explain("你是笨蛋").saliency.max() == 1.0


def test_one_text_gives_one_prediction_and_a_list_a_list_in_order() -> None:
    model = detector()
    assert isinstance(model.predict("滚"), Prediction)
    assert model.predict([]) == []
    assert model.predict_spans([]) == []
    texts = ["滚", "早上好", "你真是个笨蛋", "滚", "吃了吗"]
    assert [row.text for row in model.predict(text for text in texts)] == texts
    assert [span.text for span in model.predict_spans("滚")] == ["滚"]
    assert [len(spans) for spans in model.predict_spans(texts)] == [1, 0, 1, 1, 0]


def test_equal_texts_are_scored_once() -> None:
    model = detector()
    model.predict(["滚", "早上好"] * 50)
    assert sum(len(batch.input_ids) for batch in model.backend.margin_batches) == 2


def test_saliency_runs_only_for_toxic_texts() -> None:
    model = detector()
    model.predict(["滚", "早上好", "吃了吗"])
    assert sum(len(batch.input_ids) for batch in model.backend.saliency_batches) == 1


def test_forced_spans_mark_clean_texts_but_leave_the_verdict() -> None:
    row = detector().predict("早上好。", force_spans=True)
    assert not row.toxic
    assert [span.text for span in row.spans] == ["早上好"]


@pytest.mark.parametrize("text", ["", "  \n", "\u200b\ufeff"])
@pytest.mark.parametrize("threshold", [0.0, 0.5])
def test_a_text_without_tokens_is_clean(text: str, threshold: float) -> None:
    expected = Prediction(text, False, 0.0, ())
    assert detector(threshold=threshold).predict(text, force_spans=True) == expected
    assert detector(threshold=threshold).explain(text).saliency.shape == (len(text),)


@pytest.mark.parametrize("bad", [7, None, b"x", ["x"]])
def test_an_item_that_is_no_string_is_named_by_its_index(bad: object) -> None:
    with pytest.raises(DataError, match=r"texts\[1\] is of type"):
        detector().predict(["早", bad])


@pytest.mark.parametrize("bad", [7, None, "早".encode(), {"id": 1, "text": "早"}])
def test_texts_that_are_no_texts_are_refused(bad: object) -> None:
    with pytest.raises(DataError, match="expected a str or an iterable"):
        detector().predict(bad)


def test_calibration_and_threshold_decide() -> None:
    calibrated = detector(calibration=Calibration(scale=0.5, offset=-1.0)).predict("滚")
    assert calibrated.probability == round(1 / (1 + math.exp(-(0.5 * 4 - 1))), 6)
    assert not detector(threshold=0.99).predict("滚").toxic
    assert detector(threshold=P_CLEAN).predict("早上好").toxic
    for threshold in (1.5, -0.1, math.nan):
        with pytest.raises(ConfigError, match="expected a probability"):
            detector(threshold=threshold)


def test_a_long_text_is_as_toxic_as_its_worst_window_and_marked_there_only() -> None:
    text = "早上好" * 10 + "笨蛋" + "今天好" * 10
    row = detector().predict(text)
    assert row.probability == P_TOXIC
    assert not row.truncated
    assert [(span.start, span.end) for span in row.spans] == [(30, 32)]


def test_a_word_in_the_overlap_of_two_windows_is_marked_once() -> None:
    # Windows of 8 tokens that share 2: [0, 8) and [6, 14).
    row = detector().predict("早上好早上好笨蛋早上好早上好")
    assert [(span.start, span.end) for span in row.spans] == [(6, 8)]


def test_forced_spans_of_a_long_clean_text_come_from_one_window() -> None:
    row = detector().predict("早上好今天吃了吗的不" * 3, force_spans=True)
    assert [(span.start, span.end) for span in row.spans] == [(0, 8)]


def test_what_lies_behind_the_last_window_is_reported_as_unread() -> None:
    row = detector(max_windows=2).predict("早上好" * 10 + "笨蛋")
    assert row.truncated
    assert not row.toxic
    assert detector(max_windows=2).predict("早上好").truncated is False


@given(
    st.lists(
        st.text(alphabet=st.sampled_from([*"你真笨蛋滚好，。 ", "\u200b", "😀", "\x00", "\ud800", "𠀀"]), max_size=30)
    )
)
def test_every_text_is_read_as_if_it_were_alone(texts: list[str]) -> None:
    model = detector()
    together = model.predict(texts, force_spans=True)
    for text, row in zip(texts, together, strict=True):
        assert row == model.predict(text, force_spans=True)
        assert row.text == text
        assert row.toxic == any(char in text for char in TOXIC)
        assert all(text[span.start : span.end] == span.text for span in row.spans)


def test_padding_and_special_tokens_reach_the_backend_as_they_should() -> None:
    model = detector()
    model.predict(["好", "早上好"])
    (batch,) = model.backend.margin_batches
    assert batch.input_ids[:, 0].tolist() == [VOCAB["[CLS]"]] * 2
    assert batch.input_ids[0].tolist()[1:] == [VOCAB["好"], VOCAB["[SEP]"], 0, 0]
    assert batch.attention_mask.sum(axis=1).tolist() == [3, 5]
    assert SPECIALS[0] == "[PAD]"


def test_explain_weighs_every_character_and_keeps_clean_texts_clean() -> None:
    found = detector().explain("早上好")
    assert found.spans == ()
    assert found.saliency.tolist() == [1.0, 1.0, 1.0]
    assert [span.text for span in detector().explain("早上好", force_spans=True).spans] == ["早上好"]
    mixed = detector().explain("你笨蛋")
    np.testing.assert_allclose(mixed.saliency, [0.05, 1.0, 1.0], rtol=1e-6)
    assert [one.text for one in detector().explain(["你笨蛋", "早上好"])] == ["你笨蛋", "早上好"]
    with pytest.raises(DataError, match=r"texts\[1\]"):
        detector().explain(["你笨蛋", 3])  # type: ignore[list-item]


def test_margins_are_one_number_per_text_and_lowest_where_nothing_can_be_read() -> None:
    found = detector().margins(["你笨蛋", "早上好", ""])
    assert found[0] > found[1] > found[2] == -np.inf
    assert detector().margins([]).shape == (0,)


def test_a_model_that_answers_nan_is_an_error_and_no_verdict() -> None:
    class Broken(FakeBackend):
        def _margin(self, batch: TokenBatch) -> np.ndarray:
            return np.full(len(batch.input_ids), np.nan)

    with pytest.raises(ModelError, match="no finite number"):
        Detector(Broken(), text_tokenizer(), SETTINGS).predict("好")


def test_a_very_long_line_is_read() -> None:
    text = "早上好" * 20_000 + "笨蛋"
    row = detector(max_tokens=128).predict(text)
    assert not row.truncated
    assert [span.start for span in row.spans] == [60_000]


def test_a_span_ends_with_what_shows() -> None:
    assert [span.text for span in detector().predict_spans("你笨蛋\u200b\u200b，早")] == ["笨蛋"]


def test_where_every_text_is_weighed_one_pass_gives_both() -> None:
    model = detector()
    model.predict(["你是笨蛋", "早上好"], force_spans=True)
    model.explain("早上好")
    assert not model.backend.margin_batches
    assert [len(batch.input_ids) for batch in model.backend.saliency_batches] == [2, 1]


def test_a_quantised_first_stage_keeps_its_say_where_every_text_is_weighed() -> None:
    model = Detector(FakeBackend(margins_agree=False), text_tokenizer(), SETTINGS)
    model.predict(["你是笨蛋", "早上好"], force_spans=True)
    assert [len(batch.input_ids) for batch in model.backend.margin_batches] == [2]


def test_of_a_long_text_only_the_windows_that_count_are_weighed() -> None:
    model = detector()
    model.predict("早上好今天吃了吗的不" * 3, force_spans=True)
    assert sum(len(batch.input_ids) for batch in model.backend.margin_batches) > 1
    assert [len(batch.input_ids) for batch in model.backend.saliency_batches] == [1]
