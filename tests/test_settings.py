from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from toxitrace.errors import ConfigError, ModelError
from toxitrace.settings import (
    FORMAT_VERSION,
    SETTINGS_FILE,
    BiCSEParams,
    Calibration,
    FoldOptions,
    ModelSettings,
    load_settings,
    save_settings,
)

SHARE = st.floats(0, 1)
SETTINGS = st.builds(
    ModelSettings,
    threshold=SHARE,
    max_tokens=st.integers(4, 4096),
    saliency=st.sampled_from(["gradient", "grad_x_input"]),
    labels=st.tuples(st.text(max_size=5), st.text(max_size=5)),
    bicse=st.builds(
        BiCSEParams, seed=SHARE, cliff=SHARE, floor=SHARE, gap=st.integers(0, 9), min_chars=st.integers(1, 9)
    ),
    calibration=st.builds(
        Calibration, scale=st.floats(1e-6, 1e6), offset=st.floats(allow_nan=False, allow_infinity=False)
    ),
    fold=st.builds(FoldOptions, *[st.booleans()] * 4),
    training=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.none(), max_size=3),
    data_sha256=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    notes=st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False), max_size=3),
)


def written(folder: Path, **changes: Any) -> Path:
    """A settings file with some values replaced."""
    save_settings(ModelSettings(), folder)
    row = json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8")) | changes
    (folder / SETTINGS_FILE).write_text(json.dumps(row), encoding="utf-8")
    return folder


@settings(max_examples=40, deadline=None)
@given(SETTINGS)
def test_settings_survive_their_json_form(before: ModelSettings) -> None:
    assert ModelSettings.from_dict(json.loads(json.dumps(before.to_dict()))) == before


def test_settings_survive_their_file_which_people_can_read(tmp_path: Path) -> None:
    before = ModelSettings(threshold=0.3, labels=("正常", "有毒"), bicse=BiCSEParams(gap=2), training={"seed": 1})
    save_settings(before, tmp_path)
    assert load_settings(tmp_path) == before
    assert "有毒" in (tmp_path / SETTINGS_FILE).read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == [SETTINGS_FILE]


def test_dying_while_writing_leaves_the_earlier_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_settings(ModelSettings(threshold=0.3), tmp_path)

    def die(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        save_settings(ModelSettings(threshold=0.7), tmp_path)
    assert load_settings(tmp_path).threshold == 0.3


def test_unknown_fields_are_left_aside(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path, shoe_size=43)) == ModelSettings()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format_version": FORMAT_VERSION + 1}, "upgrade toxitrace"),
        ({"format_version": None}, "format version None"),
        ({"format_version": "1"}, "format version '1'"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"threshold": "high"}, "unusable settings"),
        ({"threshold": None}, "unusable settings"),
        ({"max_tokens": 3}, "max_tokens is 3"),
        ({"saliency": "lime"}, "saliency is 'lime'"),
        ({"labels": ["a", "b", "c"]}, "labels"),
        ({"labels": 2}, "unusable settings"),
        ({"bicse": {"seed": 2}}, "bicse.seed is 2"),
        ({"bicse": {"colour": 2}}, "colour"),
        ({"bicse": None}, "unusable settings"),
        ({"calibration": {"scale": 0}}, "calibration"),
        ({"fold": 3}, "unusable settings"),
    ],
    ids=str,
)
def test_an_unusable_file_is_one_clear_line(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError) as error:
        load_settings(written(tmp_path, **changes))
    assert words in str(error.value)
    assert SETTINGS_FILE in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff\xfe\x00"])
def test_a_file_that_is_no_json_object_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / SETTINGS_FILE).write_bytes(content)
    with pytest.raises(ModelError) as error:
        load_settings(tmp_path)
    assert SETTINGS_FILE in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("folder", ["nowhere", "."])
def test_a_folder_without_settings_is_no_model(tmp_path: Path, folder: str) -> None:
    with pytest.raises(ModelError, match="is no toxitrace model"):
        load_settings(tmp_path / folder)


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        (BiCSEParams, {"seed": -0.1}, "bicse.seed"),
        (BiCSEParams, {"cliff": 1.1}, "bicse.cliff"),
        (BiCSEParams, {"floor": float("nan")}, "bicse.floor"),
        (BiCSEParams, {"gap": -1}, "bicse.gap"),
        (BiCSEParams, {"min_chars": 0}, "bicse.min_chars"),
        (Calibration, {"scale": -1.0}, "scale -1.0"),
        (Calibration, {"scale": float("inf")}, "scale inf"),
        (Calibration, {"offset": float("nan")}, "offset nan"),
        (ModelSettings, {"threshold": -0.1}, "threshold"),
        (ModelSettings, {"max_tokens": 0}, "max_tokens"),
        (ModelSettings, {"saliency": "lime"}, "expected one of gradient, grad_x_input"),
    ],
    ids=str,
)
def test_impossible_values_are_named(kind: type[Any], values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        kind(**values)
    assert words in str(error.value)
