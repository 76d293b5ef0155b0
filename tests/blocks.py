"""Random examples in blocks: the first ones belong to `make test`, the others, more of the same, to `make stories`."""

from __future__ import annotations

from typing import Any

import pytest


def blocks(total: int, short: int) -> Any:  # noqa: ANN401 - pytest's decorator
    """Return the mark that runs a test with `block` 0 to `total`, of which the first `short` are in the default run."""
    more = [pytest.param(block, marks=pytest.mark.story) for block in range(short, total)]
    return pytest.mark.parametrize("block", [*range(short), *more])
