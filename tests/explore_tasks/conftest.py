"""The command line as a function."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture
def explore(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """``explore("index", "--engine", ...)`` -> exit code."""
    from toxitrace.cli import main

    monkeypatch.setitem(main.COMMANDS, "explore", ("toxitrace.cli.explore", "find more"))
    return lambda *arguments: main.main(["explore", *map(str, arguments)])
