"""Hashes of data files, kept beside every model trained on them."""

from __future__ import annotations

import hashlib
import os

from toxitrace.errors import DataError


def sha256_file(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file's bytes as 64 hexadecimal digits.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}; expected a data file: check the path") from error
