import importlib.util
import subprocess
import sys
import types

import pytest

from toxitrace.cli import main as cli
from toxitrace.errors import ConfigError, DataError


def command(monkeypatch: pytest.MonkeyPatch, error: BaseException | None = None) -> list[list[str]]:
    """A command ``fake`` that notes its arguments and raises ``error``."""
    seen: list[list[str]] = []
    module = types.ModuleType("fake_command")

    class Parser:
        def parse_args(self, arguments: list[str]) -> list[str]:
            return arguments

    def run(config: list[str]) -> int:
        seen.append(config)
        if error:
            raise error
        return 0

    module.build_parser, module.run = Parser, run
    monkeypatch.setitem(sys.modules, "fake_command", module)
    monkeypatch.setitem(cli.COMMANDS, "fake", ("fake_command", "for the test"))
    return seen


def test_every_command_of_the_table_exists() -> None:
    assert all(importlib.util.find_spec(module) for module, _ in cli.COMMANDS.values())


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in cli.COMMANDS)


def test_no_command_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert capsys.readouterr().err.startswith("usage:")


def test_a_misspelt_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predct"]) == 2
    assert capsys.readouterr().err == "toxitrace: error: unknown command 'predct'; did you mean 'predict'?\n"
    assert cli.main(["zzz"]) == 2
    assert "expected one of: predict, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DataError("rows.csv:3: no text"), 1, "rows.csv:3: no text"),
        (ConfigError("bad\nvalue"), 2, "bad value"),
        (FileNotFoundError(2, "No such file or directory", "x.txt"), 1, "No such file or directory: x.txt"),
        (ZeroDivisionError("oops"), 1, "unexpected ZeroDivisionError: oops (run with --debug to see where)"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_errors_become_one_line_and_an_exit_code(
    error: BaseException, code: int, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, error)
    assert cli.main(["fake"]) == code
    assert capsys.readouterr().err == f"toxitrace: error: {line}\n"


@pytest.mark.parametrize("arguments", [["--debug", "fake", "x"], ["fake", "x", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = command(monkeypatch, DataError("bad"))
    with pytest.raises(DataError):
        cli.main(arguments)
    assert seen == [["x"]]


def test_debug_behind_two_dashes_is_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = command(monkeypatch)
    assert cli.main(["fake", "--", "--debug"]) == 0
    assert seen == [["--", "--debug"]]


def fresh(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_import_and_help_load_nothing_heavy() -> None:
    heavy = "[m for m in ('torch', 'onnxruntime', 'numpy', 'jsonargparse', 'rich', 'transformers') if m in sys.modules]"
    assert fresh(f"import sys, toxitrace; print({heavy})") == "[]"
    assert fresh(f"import sys\nfrom toxitrace.cli.main import main\nmain(['--help'])\nprint({heavy})").endswith("[]")


def test_the_score_path_loads_no_torch() -> None:
    rooms = "toxitrace.detector, toxitrace.detector.default, toxitrace.cli.predict, toxitrace.report.formats"
    assert fresh(f"import sys, {rooms}; print('torch' in sys.modules, 'rich' in sys.modules)") == "False False"


def test_every_public_name_is_there() -> None:
    import toxitrace

    assert all(getattr(toxitrace, name) is not None for name in toxitrace.__all__)
    assert set(toxitrace.__all__) <= set(dir(toxitrace))
    with pytest.raises(AttributeError, match="nonsense"):
        toxitrace.nonsense  # noqa: B018


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("toxitrace ")
