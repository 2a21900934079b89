import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from toxitrace.annotate import runs
from toxitrace.annotate.rows import SpanRow
from toxitrace.annotate.span_rows import recorded_span_rows
from toxitrace.cli.main import main

ROWS = [
    {"id": "a", "text": "你真是个笨蛋", "label": 1},
    {"id": "b", "text": "闭上你的臭嘴，滚", "label": 1},
    {"id": "c", "text": "今天天气不错", "label": 0},
]
SPANS = [{"id": "a", "spans": [[3, 6]]}, {"id": "b", "spans": []}, {"id": "c", "spans": []}]


def write(path: Path, rows: list[dict[str, object]]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def texts(tmp_path: Path) -> str:
    return write(tmp_path / "texts.jsonl", ROWS)  # type: ignore[arg-type]


@pytest.fixture
def spans(tmp_path: Path) -> str:
    return write(tmp_path / "recorded.jsonl", SPANS)  # type: ignore[arg-type]


def test_recorded_annotations_are_written_for_the_texts_labelled_toxic(
    export: Path, texts: str, spans: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.jsonl"
    flags = ["--texts", texts, "--model", str(export), "--output", str(output)]
    assert main(["annotate", "spans", *flags, "--llm", f"recorded:{spans}"]) == 0
    found = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    assert [(row["id"], row["spans"], row["source"]) for row in found] == [
        ("a", [[3, 6]], "recorded"),
        ("b", [], "recorded"),
    ]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"{output}: 2 rows, 2 ok, 2 from recorded, 1 without evidence\n"


def test_two_files_are_compared_on_the_screen_and_as_a_page(
    export: Path, texts: str, spans: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write(tmp_path / "other.jsonl", [{"id": "a", "spans": [[4, 6]]}, {"id": "b", "spans": [[7, 8]]}])
    page, figures = tmp_path / "page.html", tmp_path / "figures.json"
    files = ["--html", str(page), "--json", str(figures), "--resamples", "20"]
    assert main(["annotate", "compare", spans, other, "--texts", texts, "--names", "left", "right", *files]) == 0
    shown = capsys.readouterr().out
    assert "kappa of evidence or none" in shown
    assert "  left: 你真是【个笨蛋】\n  right: 你真是个【笨蛋】\n" in shown
    assert "你真是<mark>个笨蛋</mark>" in page.read_text(encoding="utf-8")
    assert json.loads(figures.read_text(encoding="utf-8"))["n_texts"] == 2


def test_no_more_texts_are_shown_than_asked_for(
    texts: str, spans: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = write(tmp_path / "other.jsonl", [{"id": "a", "spans": []}])
    assert main(["annotate", "compare", spans, other, "--texts", texts, "--examples", "0", "--strings", "0"]) == 0
    assert "笨蛋" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "expected one of spans, rationales, compare, loop"),
        (["spans"], 2, "--output"),
        (["spans", "--output", "x.jsonl"], 2, "nobody is named"),
        (["spans", "--output", "x.jsonl", "--refiner", "offline"], 2, "--texts"),
        (["spans", "--output", "x.jsonl", "--llm", "gemini:m", "--refiner", "offline"], 2, "leave --llm out"),
        (["spans", "--output", "/nodir/x.jsonl", "--llm", "gemini:m"], 2, "does not exist"),
        (["spans", "--output", "x.jsonl", "--concurrency", "0", "--llm", "gemini:m"], 2, "concurrency"),
        (["spans", "--output", "x.jsonl", "--llm", "recorded:builtin:cold-spans", "--dry-run"], 2, "--dry-run"),
        (["spans", "--output", "x.jsonl", "--llm", "foo:bar"], 2, "openai:MODEL, recorded:FILE or replay:FILE"),
        (["spans", "--output", "x.jsonl", "--llm", "recorded:"], 2, "recorded:FILE"),
        (
            ["spans", "--output", "x.jsonl", "--llm", "gemini:m", "--thinking-tokens", "-1"],
            2,
            "--thinking-tokens is -1",
        ),
        (["spans", "--bogus"], 2, "see toxitrace annotate spans --help"),
        (["loop", "--data.limit", "600"], 2, "did you mean --train.data.limit? see toxitrace annotate loop --help"),
        (["rationales", "--otput", "x"], 2, "did you mean --output?"),
        (["rationales", "--output", "x.jsonl", "--llm", "gemini:m", "--texts", "none.jsonl"], 1, "none.jsonl"),
        (["compare", "a.jsonl"], 2, "right"),
        (["compare", "none.jsonl", "none.jsonl", "--examples", "-1"], 2, "--examples"),
        (["compare", "none.jsonl", "none.jsonl"], 1, "none.jsonl"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["annotate", *arguments]) == code
    err = capsys.readouterr().err
    assert err.startswith("toxitrace: error: ")
    assert err.count("\n") == 1
    assert message in err
    assert not list(tmp_path.iterdir())


def test_the_output_may_not_be_one_of_the_texts(texts: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = Path(texts).read_bytes()
    assert main(["annotate", "spans", "--texts", texts, "--output", texts, "--refiner", "offline"]) == 2
    assert "one of the texts" in capsys.readouterr().err
    assert Path(texts).read_bytes() == before


def test_a_missing_key_leaves_an_earlier_output_untouched(
    export: Path, texts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("google.genai", reason="the llm extra is not installed")
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    output = tmp_path / "out.jsonl"
    output.write_text("earlier\n", encoding="utf-8")
    Path(f"{output}.meta.json").write_text('{"settings": {}}', encoding="utf-8")
    before = sorted(path.name for path in tmp_path.iterdir())
    flags = ["--texts", texts, "--model", str(export), "--output", str(output)]
    assert main(["annotate", "spans", *flags, "--llm", "gemini:m"]) == 2
    assert "GEMINI_API_KEY" in capsys.readouterr().err
    assert output.read_text(encoding="utf-8") == "earlier\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_an_output_that_no_run_has_made_is_left_alone(
    export: Path, texts: str, spans: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "thesis.txt"
    output.write_text("precious\n", encoding="utf-8")
    flags = ["--texts", texts, "--model", str(export), "--output", str(output), "--llm", f"recorded:{spans}"]
    assert main(["annotate", "spans", *flags]) == 2
    assert "name another --output" in capsys.readouterr().err
    assert output.read_text(encoding="utf-8") == "precious\n"


def test_a_recording_of_other_texts_is_an_error_and_writes_nothing(
    export: Path, texts: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.jsonl"
    other = write(tmp_path / "other.jsonl", [{"id": "z", "spans": []}])
    flags = ["--texts", texts, "--model", str(export), "--output", str(output), "--llm", f"recorded:{other}"]
    assert main(["annotate", "spans", *flags]) == 1
    assert "none of its 1 ids is among the texts" in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))


def test_texts_that_a_recording_lacks_are_counted_and_are_no_agreement(
    export: Path, texts: str, spans: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.jsonl"
    part = write(tmp_path / "part.jsonl", [SPANS[0]])  # type: ignore[list-item]
    flags = ["--texts", texts, "--model", str(export), "--output", str(output), "--llm", f"recorded:{part}"]
    assert main(["annotate", "spans", *flags]) == 0
    assert "1 of 2 texts are not in the recording: their clues stand in" in capsys.readouterr().err
    page = tmp_path / "page.html"
    compared = ["compare", str(output), spans, "--texts", texts, "--html", str(page), "--resamples", "5"]
    assert main(["annotate", *compared]) == 0
    assert "rows not judged, out.jsonl (left out)" in capsys.readouterr().out
    shown = page.read_text(encoding="utf-8")
    assert "<td>rows not judged, out.jsonl (left out)</td><td>1</td>" in shown
    assert "<td>texts in both</td><td>1</td>" in shown


def test_a_run_without_a_service_that_is_interrupted_says_how_to_go_on(
    export: Path,
    texts: str,
    spans: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*arguments: Any) -> Iterator[SpanRow]:
        yield next(recorded_span_rows(*arguments))
        raise KeyboardInterrupt

    output = tmp_path / "out.jsonl"
    flags = ["--texts", texts, "--model", str(export), "--output", str(output), "--llm", f"recorded:{spans}"]
    with monkeypatch.context() as patch:
        patch.setattr(runs, "recorded_span_rows", interrupted)
        assert main(["annotate", "spans", *flags]) == 130
    assert "interrupted: 1 texts are left: go on with --resume\n" in capsys.readouterr().err
    assert main(["annotate", "spans", *flags, "--resume"]) == 0
    assert [json.loads(line)["id"] for line in output.read_text(encoding="utf-8").splitlines()] == ["a", "b"]


def test_texts_without_any_to_annotate_are_named_as_the_reason(
    export: Path, spans: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    harmless = write(tmp_path / "harmless.jsonl", [ROWS[2]])  # type: ignore[list-item]
    flags = ["--texts", harmless, "--model", str(export), "--output", str(tmp_path / "out.jsonl")]
    assert main(["annotate", "spans", *flags, "--llm", f"recorded:{spans}"]) == 0
    assert "no text is labelled toxic" in capsys.readouterr().err


def test_a_cache_in_a_folder_that_does_not_exist_is_refused(
    export: Path, texts: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--texts", texts, "--model", str(export), "--output", str(tmp_path / "out.jsonl"), "--llm", "gemini:m"]
    assert main(["annotate", "spans", *flags, "--cache", str(tmp_path / "none" / "cache.sqlite")]) == 2
    assert "--cache" in capsys.readouterr().err
    assert not list(tmp_path.glob("out*"))


def test_help_needs_no_torch_and_no_sdk() -> None:
    code = (
        "import sys; from toxitrace.cli.main import main; code = main(['annotate', '--help'])\n"
        "assert code == 0 and not {'torch', 'lightning', 'google.genai', 'openai', 'jieba'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
