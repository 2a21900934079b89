"""Every reply is kept in an SQLite file, so that nothing that was answered is asked, or paid, again."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path

from toxitrace.errors import ConfigError, LLMError
from toxitrace.llm.protocol import LLMClient, LLMReply, LLMRequest

_APPLICATION_ID = 0x54584C43  # "TXLC", in the header of the file
_FORMAT = 1
_TABLE = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, model TEXT NOT NULL, prompt_version TEXT NOT NULL,
    reply TEXT NOT NULL, stored_at REAL NOT NULL
) WITHOUT ROWID
"""


def cache_key(model: str, request: LLMRequest, server: str | None = None) -> str:
    """SHA-256 of everything that shapes a reply: the model, every field of the request, and the server if it is one's
    own: two of those may mean different models by one name.

    >>> request = LLMRequest("cusa/1", "mark", "{}")
    >>> cache_key("m", request) == cache_key("m", LLMRequest("cusa/1", "mark", "{}", temperature=0.5))
    False
    """
    parts = {"model": model, **asdict(request), **({} if server is None else {"server": server})}
    # ASCII with sorted names: the same bytes for the same request, lone surrogates included
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("ascii")).hexdigest()


class CachedClient:
    """Answers from the file what was asked before, and asks equal requests that run at the same time once.

    Cut and blocked replies are kept too; errors are not. A reply is on disk before it is handed on. Threads share one
    client; processes may share the file, but two that ask the same at the same moment both ask. The file holds replies,
    which may quote the texts, and hashes of requests; never a key.

    If the process is killed, the requests that it had sent and not yet stored are lost and asked again, at most as many
    as ran at once. All others are never asked again: n rows take at least n and at most n + concurrency requests for
    each kill. No record written beforehand could do better, as nobody but the service knows whether it answered.

    Raises:
        ConfigError: the file is damaged, is no cache, or cannot be written.
    """

    def __init__(self, inner: LLMClient, path: str | os.PathLike[str], server: str | None = None) -> None:
        self._inner, self._server = inner, server
        self._path = Path(path)
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[LLMReply]] = {}
        self._n_hits = 0
        self._connection = _open(self._path)

    @property
    def model(self) -> str:
        return self._inner.model

    @property
    def n_hits(self) -> int:
        """Requests that were answered without asking the model."""
        return self._n_hits

    def close(self) -> None:
        """Close the file; the client is of no use afterwards."""
        with self._lock:
            self._connection.close()

    def __contains__(self, request: LLMRequest) -> bool:
        """Whether the reply is on file already."""
        with self._lock:
            return self._find(cache_key(self.model, request, self._server)) is not None

    def complete(self, request: LLMRequest) -> LLMReply:
        """Answer from the file, else ask; see `LLMClient.complete`."""
        key = cache_key(self.model, request, self._server)
        with self._lock:
            known = self._find(key)
            if known is not None:
                self._n_hits += 1
                return known
            running = self._under_way.get(key)
            if running is None:
                mine = self._under_way[key] = Future()
            else:
                self._n_hits += 1
        if running is not None:
            return running.result()  # or raises what the one who asked met
        try:
            reply = self._inner.complete(request)
            with self._lock:
                self._store(key, request, reply)
                del self._under_way[key]
        except BaseException as error:
            with self._lock:
                self._under_way.pop(key, None)
            mine.set_exception(error)
            raise
        mine.set_result(reply)
        return reply

    def _find(self, key: str) -> LLMReply | None:
        try:
            row = self._connection.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
            return None if row is None else LLMReply.from_dict(json.loads(row[0]))
        except (sqlite3.Error, ValueError) as error:
            found = error
        raise self._broken("read", found)

    def _store(self, key: str, request: LLMRequest, reply: LLMReply) -> None:
        row = (key, self.model, request.prompt_version, json.dumps(reply.to_dict()), time.time())
        try:
            with self._connection:
                self._connection.execute("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?)", row)
            return
        except sqlite3.Error as error:
            found = error
        raise self._broken("write", found)

    def _broken(self, what: str, error: Exception) -> LLMError:
        return LLMError(
            f"the reply cache {self._path} could not {what} a reply ({error}); nothing more is asked, as it could not "
            "be kept: check the disk, or move the file away and start a new one",
            every_request=True,
        )


def _open(path: Path) -> sqlite3.Connection:
    advice = "expected a reply cache: check the path, or move the file away (its replies will be asked and paid again)"
    connection: sqlite3.Connection | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=30.0, check_same_thread=False)
        problem = _prepare(connection)
    except (sqlite3.Error, OSError) as error:
        problem = f"cannot be opened ({error})"
    if problem is None and connection is not None:
        return connection
    if connection is not None:
        connection.close()
    raise ConfigError(f"{path} {problem}; {advice}")


def _prepare(connection: sqlite3.Connection) -> str | None:
    """Make the file ready, or say what is wrong with it. A stranger's file is left as it is."""
    (mark,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (n_tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if n_tables and (mark, version) != (_APPLICATION_ID, _FORMAT):
        return f"is an SQLite file of something else (mark {mark:#x}, format {version})"
    (health,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if health != "ok":
        return f"is damaged ({' '.join(str(health).split())})"
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # a reply is paid for: on disk also if the power fails
    with connection:
        connection.execute("BEGIN IMMEDIATE")  # of several processes that start together, one makes the table
        connection.execute(_TABLE)
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {_FORMAT}")
    return None
