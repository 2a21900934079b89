"""The loop's memory as one SQLite file: its tables, and how it is opened by one run at a time."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from toxitrace.errors import DataError

_APPLICATION_ID = 0x5458454C  # "TXEL", in the header of the file
VERSION = 1
_BUSY = "is in use"

# A search is a query in a round; its row and its results come in one transaction, so that it is whole or was not made.
_TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE rounds (number INTEGER PRIMARY KEY, mark TEXT NOT NULL, n_items INTEGER NOT NULL, begun_at REAL NOT NULL);
CREATE TABLE seeds (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, text TEXT NOT NULL, spans TEXT NOT NULL, text_key TEXT NOT NULL
);
CREATE INDEX seeds_by_text ON seeds (text_key, number);
CREATE TABLE replies (
    seed_id TEXT NOT NULL, generator TEXT NOT NULL, outcome TEXT NOT NULL, PRIMARY KEY (seed_id, generator)
) WITHOUT ROWID;
CREATE TABLE queries (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, text TEXT NOT NULL, pattern TEXT NOT NULL
);
CREATE TABLE sources (
    query INTEGER NOT NULL, seed_id TEXT NOT NULL, generator TEXT NOT NULL, PRIMARY KEY (query, seed_id, generator)
) WITHOUT ROWID;
CREATE INDEX sources_by_seed ON sources (seed_id);
CREATE TABLE searches (
    query INTEGER NOT NULL, round INTEGER NOT NULL, n_results INTEGER NOT NULL, searched_at REAL NOT NULL,
    PRIMARY KEY (query, round)
) WITHOUT ROWID;
CREATE TABLE results (
    query INTEGER NOT NULL, round INTEGER NOT NULL, place INTEGER NOT NULL, item_id TEXT NOT NULL, score REAL NOT NULL,
    PRIMARY KEY (query, round, place)
) WITHOUT ROWID;
CREATE INDEX results_by_item ON results (item_id);
CREATE TABLE items (
    id TEXT PRIMARY KEY, text TEXT, text_key TEXT, probability REAL, spans TEXT NOT NULL DEFAULT '[]', label INTEGER
);
CREATE TABLE retired (
    pattern TEXT PRIMARY KEY, round INTEGER NOT NULL, n_trials INTEGER NOT NULL, tihr REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE lists (number INTEGER PRIMARY KEY, round INTEGER NOT NULL, n_searches INTEGER NOT NULL);
CREATE TABLE listed (
    item_id TEXT PRIMARY KEY, list INTEGER NOT NULL, place INTEGER NOT NULL, copy_of TEXT
) WITHOUT ROWID;
CREATE TABLE bad_days (
    kind TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL, n INTEGER NOT NULL,
    first_at REAL NOT NULL, last_at REAL NOT NULL, PRIMARY KEY (kind, subject)
) WITHOUT ROWID;
"""


def open_database(path: str | os.PathLike[str]) -> sqlite3.Connection:
    """Open or make the file and hold it alone until the connection is closed or the process ends, however it ends.

    Raises:
        DataError: another run holds it, it is something else, of another version, damaged, or cannot be written.
    """
    path = Path(path)
    connection: sqlite3.Connection | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=0.5)
        problem = _prepare(connection)
    except (sqlite3.Error, OSError) as error:
        problem = f"cannot be opened ({error})"
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            problem = _BUSY
        elif isinstance(error, (FileExistsError, NotADirectoryError)):
            raise DataError(f"--output {path.parent} is not a folder: name another one") from error
    if problem is None and connection is not None:
        return connection
    if connection is not None:
        connection.close()
    if problem == _BUSY:
        raise DataError(f"{path}: another run uses it; wait until it ends, or name another --output")
    raise DataError(f"{path} {problem}; expected the store of an exploration: name another --output")


def memory_copy(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The same content without a file: what is done to it is forgotten."""
    copy = sqlite3.connect(":memory:")
    connection.backup(copy)
    return copy


def _prepare(connection: sqlite3.Connection) -> str | None:
    """Make the file ready, or say what is wrong with it. A stranger's file is left as it is."""
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # the system lets go of it whatever ends the process
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (n_tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if n_tables and mark != _APPLICATION_ID:
        return f"is an SQLite file of something else (mark {mark:#x})"
    if n_tables and version != VERSION:
        return f"has format {version}, but this toxitrace reads format {VERSION}"
    (health,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if health != "ok":
        return f"is damaged ({' '.join(str(health).split())})"
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # searches and answers are paid for: on disk if the power fails
    connection.executescript("BEGIN EXCLUSIVE;" + ("" if n_tables else _TABLES + _marks()) + "COMMIT;")
    return None


def _marks() -> str:
    return f"PRAGMA application_id = {_APPLICATION_ID}; PRAGMA user_version = {VERSION};"
