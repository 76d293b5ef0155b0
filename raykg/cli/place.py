"""Folders on the command line: a path, or the URI of a bucket."""

from __future__ import annotations

from pathlib import Path


def place(text: str) -> Path:
    """Return the folder that is meant; of a bucket, the one of this machine that stands for it.

    Raises:
        KgError: a URI that cannot be opened.
    """
    from raykg.kg.mirror import local

    return local(text) if "://" in text else Path(text)
