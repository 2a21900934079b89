import json
from pathlib import Path
from typing import Any

import pytest

from toxitrace.annotate.journal import Journal, begin_meta, read_meta, write_meta
from toxitrace.errors import ConfigError, DataError

ORDER = ["a", "b", "c"]


def row(id: str, outcome: str = "ok", **more: Any) -> dict[str, Any]:
    return {"id": id, "outcome": outcome, **more}


def read(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "rows.jsonl"


def test_rows_end_in_the_order_of_the_texts(output: Path) -> None:
    with Journal(output, ORDER, resume=False) as journal:
        for id in "cab":
            journal.add(row(id))
        assert not output.exists()
        journal.publish()
        journal.finish()
    assert read(output) == ORDER
    assert [path.name for path in output.parent.iterdir()] == ["rows.jsonl"]


def test_what_was_added_survives_an_end_without_warning(output: Path) -> None:
    with Journal(output, ORDER, resume=False) as journal:
        journal.add(row("b"))
    with Journal(output, ORDER, resume=True) as journal:
        assert journal.done == {"b"}
        journal.add(row("a"))
        journal.publish()
        journal.finish()
    assert read(output) == ["a", "b"]


@pytest.mark.parametrize("tail", [b'{"id": "c", "outc', '{"id": "c", "outcome": "笨'.encode()[:-1], b"{"])
def test_a_torn_tail_is_cut_off(output: Path, tail: bytes) -> None:
    with Journal(output, ORDER, resume=False) as journal:
        journal.add(row("b"))
    with open(f"{output}.journal", "ab") as file:
        file.write(tail)
    with Journal(output, ORDER, resume=True) as journal:
        assert journal.done == {"b"}
        journal.add(row("c"))
        journal.publish()
        journal.finish()
    assert read(output) == ["b", "c"]


def test_a_stopped_run_goes_on_from_its_output(output: Path) -> None:
    with Journal(output, ORDER, resume=False) as journal:
        journal.add(row("c"))
        journal.publish()
        journal.finish()
    with Journal(output, ORDER, resume=True) as journal:
        assert journal.done == {"c"}
        journal.add(row("a"))
        journal.publish()
        journal.finish()
    assert read(output) == ["a", "c"]


def test_a_failed_row_is_not_done_and_is_replaced(output: Path) -> None:
    with Journal(output, ORDER, resume=False) as journal:
        journal.add(row("a", "failed"))
        journal.add(row("b", "blocked"))
        assert journal.done == {"b"}
        journal.publish()
        journal.finish()
    assert read(output) == ["a", "b"]
    with Journal(output, ORDER, resume=True) as journal:
        journal.add(row("a", new=True))
        assert journal.outcomes == {"ok": 1, "blocked": 1}
        journal.publish()
        journal.finish()
    assert [json.loads(line).get("new") for line in output.read_text().splitlines()] == [True, None]


def test_unusable_rows_can_be_kept_apart_and_are_done_all_the_same(output: Path) -> None:
    with Journal(output, ORDER, resume=False, rejects=True) as journal:
        for id, outcome in (("b", "ok"), ("a", "invalid"), ("c", "failed")):
            journal.add(row(id, outcome))
        journal.publish()
        journal.finish()
    assert read(output) == ["b"]
    assert read(output.with_name("rows.jsonl.rejected")) == ["a", "c"]
    with Journal(output, ORDER, resume=True, rejects=True) as journal:
        assert journal.done == {"a", "b"}
        journal.add(row("c"))
        journal.publish()
        journal.finish()
    assert read(output) == ["b", "c"]


def test_without_resume_what_was_left_is_forgotten(output: Path) -> None:
    with Journal(output, ORDER, resume=False) as journal:
        journal.add(row("b"))
    with Journal(output, ORDER, resume=False) as journal:
        assert journal.done == set()


def test_rows_of_other_texts_are_refused_before_any_work(output: Path) -> None:
    output.write_text(json.dumps(row("stranger")) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match="stranger"):
        Journal(output, ORDER, resume=True)
    assert [path.name for path in output.parent.iterdir()] == ["rows.jsonl"]


@pytest.mark.parametrize("line", ["no json\n", '{"id": "a"}\n', "[1]\n", "7\n", '{"id": "a", "outcome": "ok"}'])
def test_a_file_of_something_else_is_refused(output: Path, line: str) -> None:
    output.write_text(line, encoding="utf-8")
    with pytest.raises(DataError, match="line 1"):
        Journal(output, ORDER, resume=True)


def test_a_run_goes_on_with_its_own_settings_only(output: Path) -> None:
    begin_meta(output, {"refiner": "gemini:a", "rows": "toxic"}, resume=False)
    begin_meta(output, {"refiner": "gemini:a", "rows": "toxic"}, resume=True)
    with pytest.raises(ConfigError, match=r'other settings .refiner was "gemini:a" and is "gemini:b".'):
        begin_meta(output, {"refiner": "gemini:b", "rows": "toxic"}, resume=True)
    begin_meta(output, {"refiner": "gemini:b", "rows": "toxic"}, resume=False)


def test_what_was_spent_before_is_kept_over_a_resume(output: Path) -> None:
    write_meta(output, {"settings": {"a": 1}, "llm": {"requests": 3}})
    begin_meta(output, {"a": 1}, resume=True)
    assert read_meta(output)["llm"] == {"requests": 3}


def test_a_broken_output_that_is_put_right_can_be_gone_on_with(output: Path) -> None:
    good = json.dumps(row("a")) + "\n"
    output.write_text(good + "garbage\n", encoding="utf-8")
    with pytest.raises(DataError, match="line 2"):
        Journal(output, ORDER, resume=True)
    output.write_text(good, encoding="utf-8")
    with Journal(output, ORDER, resume=True) as journal:
        assert journal.done == {"a"}


def test_a_row_of_a_text_that_has_changed_is_as_if_it_were_not_there(output: Path) -> None:
    with Journal(output, ORDER, resume=False, hashes={"a": "1", "b": "2"}) as journal:
        for id in "abc":
            journal.add(row(id))
        journal.publish()
        journal.finish()
    with Journal(output, ORDER, resume=True, hashes={"a": "1", "b": "3"}) as journal:
        assert (journal.done, journal.stale) == ({"a", "c"}, {"b"})
        journal.publish()
        assert read(output) == ["a", "c"]
        journal.add(row("b"))
        assert (journal.done, journal.stale) == ({"a", "b", "c"}, set())


def test_an_output_that_no_run_has_made_is_left_alone(output: Path) -> None:
    output.write_text("precious\n", encoding="utf-8")
    for resume in (False, True):
        with pytest.raises(ConfigError, match="no run of toxitrace annotate has made it"):
            begin_meta(output, {"refiner": "gemini:a"}, resume=resume)
    assert [path.name for path in output.parent.iterdir()] == ["rows.jsonl"]
