"""Whether the libraries of the ``explore`` extra are there, said before anything long begins."""

from __future__ import annotations

from importlib.util import find_spec

from toxitrace.errors import MissingExtraError


def require(*packages: str) -> None:
    """Check that packages can be imported, without importing them.

    Raises:
        MissingExtraError: one is not installed.
    """
    for package in packages:
        if find_spec(package) is None:
            raise MissingExtraError(package, "explore")
