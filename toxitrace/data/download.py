"""Data sets from their official places, checked and cached.

Every address is pinned to a commit, so its content cannot change. The checksums of these files are not published and
were not at hand when this table was written: where ``sha256`` is None, the first download (or the first file placed by
hand) is trusted, its sum is recorded beside it in ``NAME.sha256``, and any later difference is an error. To be sure of
a first download, compare the recorded sum with a colleague's.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from toxitrace.data.hashing import sha256_file
from toxitrace.errors import ConfigError, DataError

_RAW = "https://raw.githubusercontent.com/"
_COLD = _RAW + "thu-coai/COLDataset/0dfbf0884aaf105cd806ff5fa127087f09b21cb6/COLDataset/"
_CNTP = _RAW + "thomasyyyoung/ToxiBenchCN/0638fc4b355840edad468f5036a30720e88a1f6e/CNTP_dataset/"
_STATE = _RAW + "shenmeyemeifashengguo/STATE-ToxiCN/2762cca982c7832a50cac76cb1d9269b54206ba0/data/"
_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Source:
    """A file on the web: where it is, what it is called in the cache, its SHA-256 if known, its licence."""

    url: str
    file_name: str
    licence: str
    sha256: str | None = None


SOURCES: dict[str, Source] = {
    "cold-train": Source(_COLD + "train.csv", "cold/train.csv", "Apache-2.0"),
    "cold-dev": Source(_COLD + "dev.csv", "cold/dev.csv", "Apache-2.0"),
    "cold-test": Source(_COLD + "test.csv", "cold/test.csv", "Apache-2.0"),
    "swsr": Source(
        _RAW + "aggiejiang/SWSR/636f33040486feb38d7474b9f27e2ee8a4a58661/SexComment.csv", "swsr/SexComment.csv", "MIT"
    ),
    "cntp-toxic": Source(_CNTP + "toxic_base.json", "cntp/toxic_base.json", "MIT"),
    "cntp-clean": Source(_CNTP + "non_toxic_base.json", "cntp/non_toxic_base.json", "MIT"),
    "toxicn": Source(
        _RAW + "DUT-lujunyu/ToxiCN/c498b37cb1b69feedd2b5377e4d2eace73543033/ToxiCN_1.0.csv",
        "toxicn/ToxiCN_1.0.csv",
        "CC BY-NC-ND 4.0",
    ),
    "state-toxicn-train": Source(_STATE + "train.json", "state-toxicn/train.json", "research only"),
    "state-toxicn-test": Source(_STATE + "test.json", "state-toxicn/test.json", "research only"),
}


def default_cache_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder that ``TOXITRACE_CACHE`` names, else ``~/.cache/toxitrace``.

    >>> default_cache_dir({"TOXITRACE_CACHE": "/data/cache"}).name
    'cache'
    """
    named = environ.get("TOXITRACE_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "toxitrace"


def fetch(source_name: str, cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """The local copy of a published file, downloaded on the first call.

    Args:
        source_name: a name in `SOURCES`.
        cache_dir: None = `default_cache_dir`.

    Raises:
        ConfigError: no source has that name.
        DataError: the download failed, or the file is not the one that was expected.
    """
    if source_name not in SOURCES:
        raise ConfigError(f"source is {source_name!r}; expected one of {', '.join(SOURCES)}")
    return fetch_source(SOURCES[source_name], default_cache_dir() if cache_dir is None else cache_dir)


def fetch_source(source: Source, cache_dir: str | os.PathLike[str], *, timeout_seconds: float = 30.0) -> Path:
    """`fetch` for any source; ``timeout_seconds`` bounds each wait for the network, not the whole download.

    Raises:
        DataError: the download failed, or the file is not the one that was expected.
    """
    path = Path(cache_dir) / source.file_name
    record = path.with_name(path.name + ".sha256")
    expected = source.sha256 or _recorded(record)
    if path.exists():
        _check(sha256_file(path), expected, path, f"delete it (and {record.name} if it is new on purpose) and retry")
    else:
        _download(source, path, expected, timeout_seconds)
    if expected is None:
        _write_atomically(record, f"{sha256_file(path)}  {path.name}\n".encode())
    return path


def _download(source: Source, path: Path, expected: str | None, timeout_seconds: float) -> None:
    by_hand = f"check the network, or put the file by hand at {path}"
    try:
        request = urllib.request.Request(source.url, headers={"User-Agent": "toxitrace"})
        with urllib.request.urlopen(request, timeout=timeout_seconds) as response:
            announced = response.headers.get("Content-Length")
            content = bytearray()
            while chunk := response.read(_CHUNK_BYTES):
                content += chunk
    except urllib.error.HTTPError as error:
        error.close()
        raise DataError(f"{source.url} answered {error.code} {error.reason}; expected the file: {by_hand}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise DataError(f"{source.url} cannot be reached ({reason}); expected the file: {by_hand}") from error
    # http.client reports a connection closed early only to a read() without a size
    if announced is not None and announced.isdigit() and len(content) != int(announced):
        raise DataError(f"{source.url} sent {len(content)} of {announced} bytes; expected all of them: {by_hand}")
    _check(hashlib.sha256(content).hexdigest(), expected, source.url, by_hand)
    _write_atomically(path, content)


def _check(found: str, expected: str | None, what: object, remedy: str) -> None:
    if expected is not None and found != expected:
        raise DataError(f"{what} has the SHA-256 {found}; expected {expected}: {remedy}")


def _recorded(record: Path) -> str | None:
    try:
        words = record.read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise DataError(f"{record} cannot be read: {error}; expected a SHA-256: delete it and retry") from error
    if not words or len(words[0]) != 64:
        raise DataError(f"{record} holds no SHA-256; expected 64 hexadecimal digits: delete it and retry")
    return words[0]


def _write_atomically(path: Path, content: bytes | bytearray) -> None:
    """Either the whole file or none: a run that is killed leaves nothing that looks complete."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
            os.replace(draft, path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error}; choose another folder with TOXITRACE_CACHE") from error
