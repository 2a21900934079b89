import json
import subprocess
import sys
from pathlib import Path

import pytest

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
        (["spans", "--bogus"], 2, "unrecognized"),
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
    before = sorted(path.name for path in tmp_path.iterdir())
    flags = ["--texts", texts, "--model", str(export), "--output", str(output)]
    assert main(["annotate", "spans", *flags, "--llm", "gemini:m"]) == 2
    assert "GEMINI_API_KEY" in capsys.readouterr().err
    assert output.read_text(encoding="utf-8") == "earlier\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_help_needs_no_torch_and_no_sdk() -> None:
    code = (
        "import sys; from toxitrace.cli.main import main; code = main(['annotate', '--help'])\n"
        "assert code == 0 and not {'torch', 'lightning', 'google.genai', 'openai', 'jieba'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
