from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from toxitrace.data import SOURCES, default_cache_dir, fetch, sha256_file
from toxitrace.data.download import Source, fetch_source
from toxitrace.errors import ConfigError, DataError

BODY = ",split,topic,label,TEXT\n0,train,race,0,你好\n".encode()
SUM = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path == "/slow":
            release.wait(5)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY) + (10 if self.path == "/short" else 0)))
        self.end_headers()
        self.wfile.write(BODY[::-1] if self.path == "/other" else BODY)

    def log_message(self, format: str, *args: object) -> None:
        pass


release = threading.Event()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    release.clear()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    release.set()
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_first_download_records_its_sum(server: str, tmp_path: Path) -> None:
    path = fetch_source(Source(f"{server}/ok", "cold/train.csv", "x"), tmp_path)
    assert path.read_bytes() == BODY
    assert (tmp_path / "cold/train.csv.sha256").read_text().split() == [SUM, "train.csv"]
    assert names(tmp_path) == ["train.csv", "train.csv.sha256"]


def test_a_cached_file_needs_no_network(server: str, tmp_path: Path) -> None:
    fetch_source(Source(f"{server}/ok", "a.csv", "x"), tmp_path)
    assert fetch_source(Source(f"{server}/missing", "a.csv", "x"), tmp_path).read_bytes() == BODY


def test_a_known_sum_is_checked_before_anything_is_written(server: str, tmp_path: Path) -> None:
    assert fetch_source(Source(f"{server}/ok", "a.csv", "x", SUM), tmp_path).exists()
    with pytest.raises(DataError, match=f"expected {SUM}"):
        fetch_source(Source(f"{server}/other", "b.csv", "x", SUM), tmp_path)
    assert names(tmp_path) == ["a.csv"]


def test_a_cached_file_that_changed_is_refused(server: str, tmp_path: Path) -> None:
    source = Source(f"{server}/ok", "a.csv", "x")
    fetch_source(source, tmp_path).write_bytes(b"changed")
    with pytest.raises(DataError, match=f"a.csv has the SHA-256 .*; expected {SUM}: delete it"):
        fetch_source(source, tmp_path)


def test_a_later_download_must_match_the_recorded_sum(server: str, tmp_path: Path) -> None:
    fetch_source(Source(f"{server}/ok", "a.csv", "x"), tmp_path).unlink()
    with pytest.raises(DataError, match=f"expected {SUM}"):
        fetch_source(Source(f"{server}/other", "a.csv", "x"), tmp_path)


def test_a_file_placed_by_hand_is_taken_and_recorded(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(BODY)
    fetch_source(Source("http://127.0.0.1:9/never", "a.csv", "x"), tmp_path)
    assert (tmp_path / "a.csv.sha256").read_text().split()[0] == SUM


def test_a_missing_page_names_its_address_and_where_to_put_the_file(server: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="answered 404") as caught:
        fetch_source(Source(f"{server}/missing", "a.csv", "x"), tmp_path)
    assert f"{server}/missing" in str(caught.value)
    assert str(tmp_path / "a.csv") in str(caught.value)
    assert names(tmp_path) == []


def test_a_truncated_body_is_refused(server: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"sent {len(BODY)} of {len(BODY) + 10} bytes"):
        fetch_source(Source(f"{server}/short", "a.csv", "x"), tmp_path)
    assert names(tmp_path) == []


def test_a_server_that_does_not_answer_runs_into_the_time_limit(server: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be reached .*timed out"):
        fetch_source(Source(f"{server}/slow", "a.csv", "x"), tmp_path, timeout_seconds=0.1)


def test_a_refused_connection_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(DataError, match=r"cannot be reached .*put the file by hand at .*a\.csv"):
        fetch_source(Source(f"http://127.0.0.1:{port}/x", "a.csv", "x"), tmp_path)


def test_a_broken_record_of_a_sum_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv.sha256").write_text("oops")
    with pytest.raises(DataError, match="holds no SHA-256"):
        fetch_source(Source("http://127.0.0.1:9/x", "a.csv", "x"), tmp_path)


def test_an_unknown_source_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="source is 'x'; expected one of cold-train"):
        fetch("x", tmp_path)


def test_every_source_is_pinned_to_a_commit_and_has_its_own_place() -> None:
    assert len({source.file_name for source in SOURCES.values()}) == len(SOURCES)
    assert all(any(len(part) == 40 for part in source.url.split("/")) for source in SOURCES.values())


def test_the_cache_folder_follows_the_environment() -> None:
    assert default_cache_dir({"TOXITRACE_CACHE": "/x"}) == Path("/x")
    assert default_cache_dir({}) == Path.home() / ".cache" / "toxitrace"


def test_a_hash_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(BODY)
    assert sha256_file(tmp_path / "a") == SUM
    with pytest.raises(DataError, match="cannot be read"):
        sha256_file(tmp_path / "b")
