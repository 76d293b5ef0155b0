"""One service for all tests that only ask it; started when the first of them runs."""

from __future__ import annotations

import pytest

from tests.answer.runs import write_run


@pytest.fixture(scope="session")
def service(ray_session, tmp_path_factory):
    """A service without keys, as on a laptop."""
    from tests.serve.services import running

    folder = tmp_path_factory.mktemp("service")
    write_run(folder)
    with running(folder) as found:
        yield found
