import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from toxitrace.cli.main import main


def predict(*arguments: object) -> int:
    return main(["predict", *map(str, arguments), "--threads", "1"])


def rows(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.split("\n")[:-1]]


def start(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "toxitrace", "predict", *map(str, arguments), "--threads", "1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def test_texts_on_the_command_line_follow_the_contract(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("你真是个笨蛋", "早上好", "", "--model", export) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    toxic, clean, empty = rows(captured.out)
    assert toxic == {
        "id": 0,
        "text": "你真是个笨蛋",
        "toxic": True,
        "probability": 0.982014,
        "spans": [{"start": 4, "end": 6, "text": "笨蛋", "score": 1.0}],
    }
    assert (clean["id"], clean["toxic"], clean["spans"]) == (1, False, [])
    assert (empty["text"], empty["toxic"], empty["probability"]) == ("", False, 0.0)


def test_threshold_and_forced_spans_are_obeyed(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict("滚", "早上好", "--model", export, "--threshold", "0.99", "--force-spans") == 0
    found = rows(capsys.readouterr().out)
    assert [row["toxic"] for row in found] == [False, False]
    assert [row["spans"][0]["text"] for row in found] == ["滚", "早上好"]


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("in.txt", "滚\n早上好\n", []),
        ("in.jsonl", '{"text": "滚"}\n{"text": "早上好"}\n', []),
        ("in.csv", "TEXT\n滚\n早上好\n", ["--text-column", "TEXT"]),
        ("in.data", "滚\n早上好\n", ["--input-format", "txt"]),
    ],
)
def test_every_kind_of_input_file_is_read(
    name: str, content: str, options: list[str], export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert predict("--input", tmp_path / name, "--model", export, *options) == 0
    captured = capsys.readouterr()
    assert [(row["id"], row["text"], row["toxic"]) for row in rows(captured.out)] == [
        (0, "滚", True),
        (1, "早上好", False),
    ]
    assert re.fullmatch(r"2 texts, 1 toxic; 0:\d\d, [\d,]+ texts/s\n", captured.err)


def test_standard_input_is_read(
    export: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("滚\n".encode())))
    assert predict("--input", "-", "--model", export) == 0
    assert [row["text"] for row in rows(capsys.readouterr().out)] == ["滚"]


def test_standard_input_that_looks_like_json_is_not_taken_for_text(
    export: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = '{"text": "滚"}\n'.encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line)))
    assert predict("--input", "-", "--model", export) == 2
    assert "--input-format jsonl" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(line)))
    assert predict("--input", "-", "--input-format", "jsonl", "--model", export) == 0
    assert [row["text"] for row in rows(capsys.readouterr().out)] == ["滚"]


def test_bad_lines_are_reported_kept_and_do_not_stop_the_run(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, rejected = tmp_path / "in.jsonl", tmp_path / "in.jsonl.rejected"
    source.write_bytes('{"text": "滚"}\n{"text": 7}\n{"text": "\\ud800好"}\n'.encode() + b"\xff\xfe")
    rejected.write_text("left over")
    assert predict("--input", source, "--output", tmp_path / "out.jsonl", "--model", export) == 1
    assert rejected.read_bytes() == b'{"text": 7}\n\xff\xfe\n'
    err = capsys.readouterr().err
    assert f"{source}:2: 'text' is int" in err
    assert f"{source}:4: no valid UTF-8" in err
    assert f"2 bad lines (kept in {rejected})" in err
    assert [row["text"] for row in rows((tmp_path / "out.jsonl").read_text())] == ["滚", "\ud800好"]

    source.write_text('{"text": "滚"}\n', encoding="utf-8")
    assert predict("--input", source, "--output", tmp_path / "out.jsonl", "--model", export) == 0
    assert not rejected.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_hostile_texts_are_scored_and_come_back_untouched(export: Path, tmp_path: Path) -> None:
    texts = [
        "<script>滚</script>",
        "\x00滚\x1b[2J",
        "👨‍👩‍👧‍👦" * 50 + "滚",
        "\ud800滚",
        "\u202e滚\u2028",
        "好" * 30_000 + "滚",
    ]
    source, output = tmp_path / "in.jsonl", tmp_path / "out"
    source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    assert predict("--input", source, "--output", output, "--model", export, "--force-spans") == 0
    found = rows(output.read_text(encoding="utf-8"))
    assert [row["text"] for row in found] == texts
    for row in found:
        assert all(row["text"][span["start"] : span["end"]] == span["text"] for span in row["spans"])
    assert [row.get("truncated", False) for row in found] == [False] * 5 + [True]
    assert all("滚" in row["spans"][0]["text"] for row in found[:5])
    for form in ("html", "text"):
        assert predict("--input", source, "--output", output, "--model", export, "--format", form) == 0
        shown = output.read_text(encoding="utf-8")
        assert "\x1b" not in shown
        assert "\x00" not in shown
        assert form == "text" or "<script" not in shown


def test_html_is_a_whole_page_and_text_marks_words(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("你真是个笨蛋", "--model", export, "--format", "html", "--output", tmp_path / "out.html") == 0
    shown = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert shown.startswith("<!DOCTYPE html>")
    assert "1 texts, 1 toxic" in shown
    assert ">笨蛋</mark>" in shown
    assert predict("你真是个笨蛋", "--model", export, "--format", "text") == 0
    assert capsys.readouterr().out == "toxic  0.98  你真是个【笨蛋】\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "give texts, or a file"),
        (["a", "--input", "in.txt"], 2, "not both"),
        (["--input", "in.xlsx"], 2, "--input-format"),
        (["--input", "absent.txt"], 1, "absent.txt cannot be read"),
        (["--input", "in.csv"], 1, "in.csv:1: the header has no column 'text'"),
        (["--input", "in.txt", "--output", "in.txt"], 2, "is the input"),
        (["--input", "in.txt", "--output", "in.txt.rejected"], 2, "is the input"),
        (["--input", "in.txt", "--output", "absent/out"], 2, "does not exist"),
        (["--input", "in.txt", "--resume"], 2, "--output FILE"),
        (["--input", "in.txt", "--output", "o", "--resume", "--format", "html"], 2, "jsonl only"),
        (["a", "--threshold", "7"], 2, "expected a probability"),
        (["a", "--threshold", "nan"], 2, "Got value: nan; see toxitrace predict --help"),
        (["a", "--nope"], 2, "unrecognized arguments: --nope"),
        (["a", "--format", "xml"], 2, "choose from 'jsonl', 'text', 'html'"),
        (["a", "--threads", "0"], 2, "threads is 0"),
        (["--input", "in.txt", "--workers", "0"], 2, "--workers is 0"),
        (["a", "--workers", "2"], 2, "--input FILE"),
        (["--input", "in.jsonl"], 1, "in.jsonl:1: the only row has no 'text', the keys are 'id', 'body'"),
        (["a", "--model", "absent/model/folder"], 1, "does not exist"),
    ],
)
def test_wrong_use_is_one_clear_line_and_leaves_nothing_behind(
    arguments: list[str],
    code: int,
    message: str,
    export: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("in.txt", "in.csv", "in.xlsx"):
        Path(name).write_text("x,y\n")
    Path("in.jsonl").write_text('{"id": 1, "body": "x"}\n')
    assert main(["predict", "--model", str(export), *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert sorted(os.listdir()) == ["in.csv", "in.jsonl", "in.txt", "in.xlsx"]


def test_a_broken_model_or_header_leaves_an_older_output_alone(export: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a\n")
    (tmp_path / "in.csv").write_text("a\n")
    (tmp_path / "out").write_text("precious")
    assert predict("--input", tmp_path / "in.txt", "--output", tmp_path / "out", "--model", tmp_path) == 1
    assert predict("--input", tmp_path / "in.csv", "--output", tmp_path / "out", "--model", export) == 1
    assert (tmp_path / "out").read_text() == "precious"


def test_a_line_of_a_megabyte_is_scored(export: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("滚" + "早" * 350_000, encoding="utf-8")
    assert predict("--input", tmp_path / "in.txt", "--output", tmp_path / "out", "--model", export) == 0
    (row,) = rows((tmp_path / "out").read_text(encoding="utf-8"))
    assert len(row["text"]) == 350_001
    assert [span["start"] for span in row["spans"]] == [0]


@pytest.fixture
def long_input(tmp_path: Path) -> Path:
    texts = ["早上好", "你真是个笨蛋", "滚", "今天吃了吗"]
    lines = [json.dumps({"id": f"n{i}", "text": f"{texts[i % 4]}{i}"}, ensure_ascii=False) for i in range(6_000)]
    lines[100] = lines[4_500] = "{broken"
    source = tmp_path / "in.jsonl"
    source.write_text("\n".join(lines), encoding="utf-8")
    return source


def test_a_killed_run_goes_on_to_the_same_bytes(export: Path, long_input: Path, tmp_path: Path) -> None:
    whole, output = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    rejected, note = tmp_path / "in.jsonl.rejected", tmp_path / "out.jsonl.progress"
    options = ["--input", long_input, "--model", export, "--output"]
    assert predict(*options, whole) == 1
    rejected_whole = rejected.read_bytes()
    for more in ([], ["--resume"]):
        before = output.stat().st_size if output.exists() else 0
        process = start(*options, output, *more)
        while process.poll() is None and (not output.exists() or output.stat().st_size <= before):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert note.exists()
    with output.open("ab") as file:  # a line that was half written when the power went
        file.write(whole.read_bytes()[output.stat().st_size :][:37])
    assert 0 < output.stat().st_size < whole.stat().st_size
    assert predict(*options, output, "--resume", "--threshold", "0.9") == 2
    assert predict(*options, output, "--resume") == 1
    assert output.read_bytes() == whole.read_bytes()
    assert rejected.read_bytes() == rejected_whole
    assert not note.exists()


def test_a_finished_run_has_nothing_left_to_do(
    export: Path, long_input: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.jsonl"
    options = ["--input", long_input, "--model", export, "--output", output]
    assert predict(*options) == 1
    before, kept = output.stat(), (tmp_path / "in.jsonl.rejected").read_bytes()
    capsys.readouterr()
    assert predict(*options, "--resume") == 1  # its bad lines are as bad as before
    err = capsys.readouterr().err
    assert f"{output} answers every text of {long_input} already: nothing to do\n" in err
    assert "5,998 texts" in err
    assert "texts/s" not in err
    assert (output.stat().st_mtime_ns, output.stat().st_size) == (before.st_mtime_ns, before.st_size)
    assert (tmp_path / "in.jsonl.rejected").read_bytes() == kept
    assert not (tmp_path / "out.jsonl.progress").exists()


def test_an_input_that_grew_is_gone_on_with_and_that_is_said(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    options = ["--input", source, "--model", export, "--output", output]
    source.write_text("早上好\n" * 300, encoding="utf-8")
    assert predict(*options) == 0
    source.write_text("早上好\n" * 300 + "滚\n", encoding="utf-8")
    capsys.readouterr()
    assert predict(*options, "--resume") == 0
    err = capsys.readouterr().err
    assert "going on with the model and settings given now" in err
    assert "301 texts, 1 toxic; 45 of them now" in err
    assert len(rows(output.read_text(encoding="utf-8"))) == 301


def test_a_resumed_run_refuses_another_input(
    export: Path, long_input: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, output = tmp_path / "other.txt", tmp_path / "out.jsonl"
    other.write_text("晚安\n", encoding="utf-8")
    assert predict("--input", other, "--model", export, "--output", output) == 0
    capsys.readouterr()
    assert predict("--input", long_input, "--model", export, "--output", output, "--resume") == 1
    assert "does not answer the input's next text" in capsys.readouterr().err
    assert len(rows(output.read_text())) == 1


def test_a_reader_that_leaves_is_no_error_message(export: Path, long_input: Path) -> None:
    process = start("--input", long_input, "--model", export)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    messages = process.stderr.read().decode()
    process.stderr.close()
    process.wait()
    assert process.returncode == 1
    assert "rror" not in messages.replace("broken", "")


def test_an_interrupted_run_says_so_in_one_line(export: Path, long_input: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    process = start("--input", long_input, "--model", export, "--output", output)
    while not output.exists() or not output.stat().st_size:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, messages = process.communicate()
    assert process.returncode == 130
    assert messages.decode().splitlines()[-1] == "toxitrace: error: interrupted"
    assert (tmp_path / "out.jsonl.progress").exists()
