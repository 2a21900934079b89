import io
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toxitrace.detector import bulk
from toxitrace.detector.bulk import Counts, cut_chunks, score_chunk
from toxitrace.detector.records import BadLine, Record, read_jsonl
from toxitrace.detector.resume import check_note, note_path, skip_done, write_note
from toxitrace.errors import ConfigError, DataError
from toxitrace.report.formats import prediction_row
from toxitrace.types import Prediction


def predict(texts: Sequence[str]) -> list[Prediction]:
    """A verdict that depends on the chunk, so that other chunks give other bytes."""
    return [Prediction(text, "滚" in text, len(texts) / 1000) for text in texts]


def run(lines: bytes, start: bytes | None, path: Path) -> tuple[bytes, Counts, list[int]]:
    """Score ``lines`` as the command does; ``start`` is what an interrupted run left."""
    counts, bad = Counts(), list[int]()
    items = read_jsonl(io.BytesIO(lines), "text")
    path.write_bytes(start or b"")
    if start is not None:
        items = skip_done(path, items, counts, lambda line: bad.append(line.line))
    with path.open("ab") as sink:
        for chunk in cut_chunks(items, counts, lambda line: bad.append(line.line)):
            scored = score_chunk(chunk, predict, prediction_row)
            sink.write(scored.rows)
            scored.count_into(counts)
    return path.read_bytes(), counts, bad


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "MAX_CHUNK_TEXTS", 4)
    monkeypatch.setattr(bulk, "MAX_CHUNK_CHARS", 40)


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("resume") / "out.jsonl"


LINES = st.lists(
    st.one_of(
        st.text(st.sampled_from("早上好滚\ud800\u2028"), max_size=20).map(lambda text: json.dumps({"text": text})),
        st.sampled_from(["{", "", '{"text": 1}']),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(lines=LINES, cut=st.floats(0, 1))
def test_a_run_cut_anywhere_goes_on_to_the_same_bytes_and_counts(lines: list[str], cut: float, target: Path) -> None:
    content = "\n".join(lines).encode()
    whole = run(content, None, target)
    assert run(content, whole[0][: int(cut * len(whole[0]))], target) == whole


def test_chunks_end_by_number_and_by_size() -> None:
    items = [Record(i, "好", i) for i in range(5)] + [Record(5, "好" * 50, 5), Record(6, "好", 6)]
    sizes = [len(chunk) for chunk in cut_chunks(items, Counts(), lambda line: None)]
    assert sizes == [4, 2, 1]


def test_records_are_read_no_faster_than_chunks_are_taken() -> None:
    taken = []
    chunks = cut_chunks((taken.append(i) or Record(i, "好", i) for i in range(100)), Counts(), print)
    next(chunks)
    assert len(taken) == 4


def test_bad_lines_are_counted_and_handed_on_in_their_turn() -> None:
    counts, bad = Counts(), list[BadLine]()
    items = [BadLine(1, b"x", "bad"), Record(1, "滚", 2), BadLine(3, b"y", "bad")]
    (chunk,) = cut_chunks(items, counts, bad.append)
    assert [line.line for line in bad] == [1, 3]
    score_chunk(chunk, predict, prediction_row).count_into(counts)
    assert (len(chunk), counts.n_texts, counts.n_toxic, counts.n_bad) == (1, 1, 1, 2)


def test_an_output_that_answers_everything_is_left_alone_and_nothing_is_to_do(tmp_path: Path) -> None:
    output, counts, bad = tmp_path / "out.jsonl", Counts(), list[BadLine]()
    answers = "".join(prediction_row(i, Prediction("滚", True, 0.9)) for i in range(6)).encode()
    output.write_bytes(answers)
    items = [*(Record(i, "滚", i) for i in range(6)), BadLine(7, b"{", "bad")]
    assert list(skip_done(output, iter(items), counts, bad.append)) == []
    assert output.read_bytes() == answers
    assert (counts.n_texts, counts.n_toxic, counts.n_bad, len(bad)) == (6, 6, 1, 1)


def test_an_input_that_grew_is_gone_on_with_at_its_last_whole_chunk(tmp_path: Path) -> None:
    output, counts = tmp_path / "out.jsonl", Counts()
    lines = [prediction_row(i, Prediction("早", False, 0.1)) for i in range(6)]
    output.write_text("".join(lines), encoding="utf-8")
    left = skip_done(output, (Record(i, "早", i) for i in range(8)), counts, print)
    assert [item.id for item in left if isinstance(item, Record)] == [4, 5, 6, 7]
    assert output.read_text(encoding="utf-8") == "".join(lines[:4])
    assert counts.n_texts == 4


def test_an_output_of_another_input_is_refused_and_left_alone(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    before = prediction_row(0, Prediction("早", False, 0.1)) * 1
    output.write_text(before, encoding="utf-8")
    with pytest.raises(DataError, match=r"out\.jsonl:1 does not answer"):
        skip_done(output, read_jsonl(io.BytesIO('{"text":"晚"}'.encode()), "text"), Counts(), print)
    with pytest.raises(DataError, match="does not answer"):
        skip_done(output, iter([]), Counts(), print)
    assert output.read_text(encoding="utf-8") == before


def test_a_file_that_toxitrace_did_not_write_is_refused(tmp_path: Path) -> None:
    output = tmp_path / "notes.txt"
    output.write_text("shopping\nlist\n")
    with pytest.raises(DataError, match="no answer of toxitrace"):
        skip_done(output, iter([Record(0, "早", 1)]), Counts(), print)
    assert output.read_text() == "shopping\nlist\n"


def test_a_run_with_another_model_is_refused(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    assert not check_note(output, {"model": "a"})
    write_note(output, {"model": "a", "threshold": 0.5})
    assert check_note(output, {"model": "a", "threshold": 0.5})
    with pytest.raises(ConfigError, match="another threshold;"):
        check_note(output, {"model": "a", "threshold": 0.6})
    note_path(output).write_text("{")
    with pytest.raises(ConfigError, match="another model"):
        check_note(output, {"model": "a"})
