"""`kill -9` wherever it hurts: the next sitting repeats no search and ends like one that nobody disturbed."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from operate_doubles import POSTS

from toxitrace.search import BM25Engine, Item

pytest.importorskip("bm25s", reason="the explore extra is not installed")

HERE = Path(__file__).parent
FILES = ("review-0001.jsonl", "queries.jsonl", "preferences.jsonl", "report.html")


def start(folder: Path, where: str, number: int) -> int:
    command = [sys.executable, str(HERE / "sitting_to_kill.py"), str(folder), where, str(number)]
    return subprocess.run(command, check=False, cwd=HERE.parent.parent, timeout=120).returncode


def prepare(folder: Path) -> Path:
    folder.mkdir()
    engine = BM25Engine()
    engine.index(Item(id, text) for id, text in POSTS.items())
    engine.save(folder / "index")
    return folder


def content(folder: Path) -> dict[str, object]:
    """Everything that a sitting leaves, but times."""
    found: dict[str, object] = {name: (folder / "out" / name).read_bytes() for name in FILES}
    found["report.html"] = str(found["report.html"]).replace(str(folder), "")
    with closing(sqlite3.connect(folder / "out" / "store.sqlite")) as db:
        for table, columns in {
            "queries": "*",
            "sources": "*",
            "replies": "*",
            "searches": "query, round, n_results",
            "results": "*",
            "items": "*",
            "listed": "*",
            "lists": "*",
            "bad_days": "kind, subject, detail, n",
            "rounds": "number, mark",
        }.items():
            found[table] = db.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2").fetchall()
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = prepare(tmp_path_factory.mktemp("undisturbed") / "run")
    assert start(folder, "never", 1) == 0
    return folder


@pytest.mark.parametrize(
    "kills", [[("search", 2), ("search", 1), ("score", 1)], [("write", 2), ("files", 1)]], ids=["search", "write"]
)
def test_a_killed_sitting_goes_on_without_repeating_a_search(
    tmp_path: Path, undisturbed: Path, kills: list[tuple[str, int]]
) -> None:
    folder = prepare(tmp_path / "run")
    for where, number in kills:
        assert start(folder, where, number) == -signal.SIGKILL
    assert start(folder, "never", 1) == 0
    searched = (folder / "searches.log").read_text(encoding="utf-8").splitlines()
    assert len(searched) == len(set(searched)) == 4
    assert searched == (undisturbed / "searches.log").read_text(encoding="utf-8").splitlines()
    assert content(folder) == content(undisturbed)
