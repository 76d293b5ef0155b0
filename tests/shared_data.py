"""Finds the real data sets that some tests measure on; they are never part of the project."""

import os
from pathlib import Path

import pytest

ROOT = Path(os.environ.get("RAYKG_TEST_DATA", Path(__file__).resolve().parent.parent.parent / "shared" / "data"))


def shared(path: str) -> Path:
    """Return the file or folder `path` below the data folder, or skip the calling test with the reason."""
    found = ROOT / path
    if not found.exists():
        pytest.skip(f"real data set {path} is not here (set RAYKG_TEST_DATA to the folder that holds it)")
    return found
