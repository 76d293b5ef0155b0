"""One service for all tests that only ask it: started when the first of them runs, ended with the last: an idle one costs time too."""

from __future__ import annotations

import pytest

from tests.answer.runs import write_run


@pytest.fixture(scope="package")
def service(ray_session, tmp_path_factory):
    """A service without keys, as on a laptop."""
    from ray import serve

    from tests.serve.services import running

    folder = tmp_path_factory.mktemp("service")
    write_run(folder)
    with running(folder) as found:
        yield found
    serve.shutdown()


@pytest.fixture(scope="package")
def keyed(service, tmp_path_factory):
    """A gateway with keys and a live graph of its own, before the service's replicas; what takes long in a service takes seconds here."""
    from raykg.kg.graph import KnowledgeGraph
    from tests.serve.gateways import gateway, replicas

    limits = {"body_seconds": 0.5, "tokens": 4, "n": 2, "questions": 3}
    base = KnowledgeGraph.open(service.folder / "store")
    with gateway(tmp_path_factory.mktemp("keyed"), replicas(), base, graph={"query_seconds": 1.5}, limits=limits) as found:
        yield found
