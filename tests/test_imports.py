"""The direction of imports, and what a user who only scores texts has to load."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import toxitrace

PACKAGE = Path(toxitrace.__file__).parent
HEAVY = {"torch", "transformers", "lightning", "sklearn", "scipy", "pandas", "datasets", "captum", "matplotlib"}
HEAVY |= {"trl", "peft", "sentence_transformers", "pymilvus", "bm25s", "jieba"}
HEAVY |= {"openai", "httpx2", "pydantic"}  # both SDKs of the llm room need the last two

# Rooms (folders) and single files of the package.
PURE = {"text", "spans", "losses"}
SETTINGS = {"errors", "types", "settings", "config", "versions"}
SCORE_PATH = ["text", "spans", "detector", "report", "types", "settings", "errors", "__init__", "__main__"]
TORCH_FILE = "detector/torch_backend.py"

COMMANDS = [[], ["--help"], ["train", "--help"], ["predict", "--help"], ["pretrain", "--help"], ["info", "--help"]]
COMMANDS += [
    ["annotate", "--help"],
    ["annotate", "spans", "--help"],
    ["explore", "--help"],
    ["explore", "run", "--help"],
]
COMMANDS += [["expand", "--help"], ["expand", "evaluate", "--help"]]
PROBE = """
import contextlib, io, json, sys
import toxitrace
loaded = {"import toxitrace": sorted({name.partition(".")[0] for name in sys.modules})}
from toxitrace.cli.main import main
for command in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        main(command)
    loaded["toxitrace " + " ".join(command)] = sorted({name.partition(".")[0] for name in sys.modules})
toxitrace.Detector, toxitrace.load, toxitrace.predict_spans
loaded["score path"] = sorted({name.partition(".")[0] for name in sys.modules})
print(json.dumps(loaded))
"""


@pytest.fixture(scope="module")
def loaded() -> dict[str, list[str]]:
    """Top-level modules in memory after each step, one after the other in one fresh process."""
    arguments = [sys.executable, "-c", PROBE, json.dumps(COMMANDS)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True, cwd=PACKAGE.parent)
    steps: dict[str, list[str]] = json.loads(done.stdout)
    return steps


def room_of(path: Path) -> str:
    inside = path.relative_to(PACKAGE)
    return inside.parts[0] if len(inside.parts) > 1 else inside.stem


def sources(*rooms: str) -> list[Path]:
    return [path for path in sorted(PACKAGE.rglob("*.py")) if not rooms or room_of(path) in rooms]


def imports(path: Path, *, module_level: bool = False) -> Iterator[str]:
    """Full names of what a file imports; at module level, without functions and TYPE_CHECKING blocks."""
    queue: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    package = ["toxitrace", *path.relative_to(PACKAGE).parent.parts]
    while queue:
        node = queue.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{origin}.{alias.name}" for alias in node.names)
        if module_level and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        if module_level and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            queue += node.orelse
            continue
        queue += ast.iter_child_nodes(node)


@cache
def rooms_imported_by(path: Path) -> set[str]:
    named = {name.split(".")[1] for name in imports(path) if name.startswith("toxitrace.")}
    return named - {room_of(path)}


def test_importing_the_package_loads_next_to_nothing(loaded: dict[str, list[str]]) -> None:
    extra = HEAVY | {"numpy", "onnxruntime", "tokenizers", "rich", "jsonargparse"}
    assert extra.isdisjoint(loaded["import toxitrace"])


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_loads_no_training_library(loaded: dict[str, list[str]], command: list[str]) -> None:
    assert HEAVY.isdisjoint(loaded["toxitrace " + " ".join(command)])


@pytest.mark.parametrize("room", sorted(PURE))
def test_pure_rooms_import_settings_and_themselves_alone(room: str) -> None:
    assert sources(room)
    for path in sources(room):
        assert rooms_imported_by(path) <= SETTINGS, path


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("saliency", {"training", "detector", "cli", "data", "evaluation"}),
        ("encoder", {"training", "detector", "cli", "data", "evaluation", "saliency"}),
        ("evaluation", {"training", "detector", "cli", "data", "encoder", "saliency"}),
        ("data", {"training", "detector", "cli", "encoder", "saliency", "evaluation"}),
        ("training", {"detector", "cli", "report"}),
        ("detector", {"training", "cli", "data", "losses"}),
        ("report", {"training", "detector", "cli", "data", "encoder"}),
        ("search", {"cli", "training", "detector", "explore", "expand", "annotate", "losses", "saliency"}),
        ("explore", {"cli", "annotate", "expand", "export", "losses", "saliency"}),
        ("expand", {"cli", "annotate", "detector", "export", "losses", "saliency"}),
        ("annotate", {"cli", "export", "encoder", "losses", "saliency"}),
    ],
)
def test_arrows_point_one_way(room: str, forbidden: set[str]) -> None:
    assert sources(room)
    for path in sources(room):
        assert rooms_imported_by(path).isdisjoint(forbidden), path


def test_language_models_know_nothing_of_the_rest_and_load_their_sdks_late() -> None:
    assert sources("llm")
    for path in sources("llm"):
        assert rooms_imported_by(path) <= {"errors", "types", "settings", "versions"}, path
        top = {name.partition(".")[0] for name in imports(path, module_level=True)}
        assert top <= {"toxitrace", *sys.stdlib_module_names}, path


def test_nothing_imports_annotation_but_the_command_line() -> None:
    users = {room_of(path) for path in sources() if "annotate" in rooms_imported_by(path)}
    assert users == {"cli"}


def test_settings_and_errors_are_the_bottom() -> None:
    for name in SETTINGS | {"errors"}:
        for path in sources(name):
            assert rooms_imported_by(path) <= SETTINGS, path


def test_nothing_imports_the_command_line_but_itself() -> None:
    users = {room_of(path) for path in sources() if "cli" in rooms_imported_by(path)}
    assert users <= {"__main__"}


@pytest.mark.parametrize("path", sources(*SCORE_PATH), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_score_path_has_no_heavy_import_at_module_level(path: Path) -> None:
    if path == PACKAGE / TORCH_FILE:
        assert "torch" in set(imports(path))  # lazily, and nowhere else
    top = {name.partition(".")[0] for name in imports(path, module_level=True)}
    allowed = {"toxitrace", "numpy", "tokenizers", "onnxruntime", "rich", *sys.stdlib_module_names}
    assert top <= allowed
    assert "rich" not in top or "report" in path.parts


def test_the_detector_itself_loads_no_training_library(loaded: dict[str, list[str]]) -> None:
    assert HEAVY.isdisjoint(loaded["score path"])
    assert "tokenizers" in loaded["score path"]
