from pathlib import Path

import pytest

from raykg.models.reference import resolve


@pytest.fixture(scope="session")
def tiny_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder that all tests of this room share."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="session", params=["llama", "qwen2", "gpt2"])
def tiny_folder(request: pytest.FixtureRequest, tiny_cache: Path) -> Path:
    """The folder of each tiny model in turn."""
    return resolve(f"tiny:{request.param}", tiny_cache)
