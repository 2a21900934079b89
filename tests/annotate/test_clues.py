import pytest
from fake_model import SETTINGS, FakeBackend, text_tokenizer

from toxitrace.annotate import clues as clues_file
from toxitrace.annotate.clues import Clue, find_clues
from toxitrace.data import Example
from toxitrace.detector import Detector
from toxitrace.errors import ConfigError

ROWS = [
    Example("insult", "你真是个笨蛋", 1),
    Example("mild", "早上好", 1),
    Example("clean", "今天吃了吗", 0),
    Example("doubtful", "滚", 0),
    Example("unknown toxic", "滚", None),
    Example("unknown clean", "早上好", None),
]


@pytest.fixture
def detector() -> Detector:
    return Detector(FakeBackend(), text_tokenizer(), SETTINGS)


def ids(detector: Detector, which: str) -> list[str]:
    return [example.id for example, _ in find_clues(detector, ROWS, which)]  # type: ignore[arg-type]


def test_clues_are_the_salient_stretches_with_rounded_saliency(detector: Detector) -> None:
    assert next(find_clues(detector, ROWS)) == (ROWS[0], (Clue(4, 6, 1.0),))


def test_texts_labelled_toxic_have_clues_whatever_the_detector_says(detector: Detector) -> None:
    found = {example.id: clues for example, clues in find_clues(detector, ROWS)}
    assert found["mild"]


def test_the_choice_of_rows_follows_label_and_verdict(detector: Detector) -> None:
    assert ids(detector, "toxic") == ["insult", "mild", "unknown toxic"]
    assert ids(detector, "flagged") == ["insult", "mild", "doubtful", "unknown toxic"]
    assert ids(detector, "all") == [example.id for example in ROWS]


def test_clean_texts_without_toxic_label_have_no_clues(detector: Detector) -> None:
    assert [clues for example, clues in find_clues(detector, ROWS, "all") if "clean" in example.id] == [(), ()]


def test_an_unknown_choice_is_refused(detector: Detector) -> None:
    with pytest.raises(ConfigError, match="rows"):
        next(find_clues(detector, ROWS, "some"))  # type: ignore[arg-type]


def test_texts_are_read_only_as_they_are_needed(detector: Detector) -> None:
    n_read = 0

    def endless():  # type: ignore[no-untyped-def]
        nonlocal n_read
        while True:
            n_read += 1
            yield Example(str(n_read), "滚", 1)

    clued = find_clues(detector, endless())
    assert [next(clued)[0].id for _ in range(3)] == ["1", "2", "3"]
    assert n_read == clues_file._CHUNK


def test_a_resumed_run_pads_the_same_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clues_file, "_CHUNK", 2)
    rows = [Example(str(i), "滚" + "好" * i, 1) for i in range(6)]
    whole, resumed = FakeBackend(), FakeBackend()
    list(find_clues(Detector(whole, text_tokenizer(), SETTINGS), rows))
    left = list(find_clues(Detector(resumed, text_tokenizer(), SETTINGS), rows, done={"0", "1", "2"}))
    assert [example.id for example, _ in left] == ["3", "4", "5"]
    shapes = [batch.input_ids.shape for batch in whole.saliency_batches]
    assert [batch.input_ids.shape for batch in resumed.saliency_batches] == shapes[1:]
