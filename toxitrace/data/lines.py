"""Text files as numbered lines: UTF-8, plain, ``.gz`` or ``.xz``, with errors that name the place."""

from __future__ import annotations

import gzip
import lzma
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from toxitrace.errors import DataError

_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


def plain_suffix(path: str | os.PathLike[str]) -> str:
    """The lower-case suffix below any compression.

    >>> plain_suffix("cold/train.CSV.xz")
    '.csv'
    """
    name = Path(path).name.lower()
    for packed in (".gz", ".xz"):
        name = name.removesuffix(packed)
    return Path(name).suffix


def iter_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    r"""Yield ``(line number from 1, line with its end)``; lines end at ``\n`` only, a leading BOM is dropped.

    Raises:
        DataError: the file is missing, unreadable, a broken archive, or not UTF-8 (with the line).
    """
    number = 0
    try:
        with _open(path) as stream:
            for number, raw in enumerate(stream, start=1):
                if number == 1:
                    if raw.startswith(_UTF16_BOMS):
                        raise DataError(f"{path}:1: the file is UTF-16; expected UTF-8: save or convert it as UTF-8")
                    raw = raw.removeprefix(_UTF8_BOM)
                yield number, _decode(raw, f"{path}:{number}")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; expected a data file: check the path") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder; expected a data file: name the file inside it") from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be read after line {number}: {error}; expected a readable, complete file: "
            "check its permissions, or fetch it again"
        ) from error


def read_text(path: str | os.PathLike[str]) -> str:
    """The whole file as one string; raises like `iter_lines`."""
    return "".join(line for _, line in iter_lines(path))


def _open(path: str | os.PathLike[str]) -> BinaryIO:
    suffix = Path(path).suffix.lower()
    if suffix == ".xz":
        return cast(BinaryIO, lzma.open(path, "rb"))
    if suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    return open(path, "rb")


def _decode(raw: bytes, place: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{place}: byte {error.start} of the line (0x{raw[error.start]:02x}) is not UTF-8; expected UTF-8 text: "
            "convert the file, for example with `iconv -f GB18030 -t UTF-8`"
        ) from None
