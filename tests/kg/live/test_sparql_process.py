import os
import signal
import time

import pytest

from raykg.kg.live.errors import QueryStopped
from raykg.kg.live.sparql_process import SparqlProcess


@pytest.fixture
def process(tmp_path):
    made = SparqlProcess(tmp_path / "store", 0)
    yield made
    made.kill()


def test_a_process_answers_until_it_is_killed(tmp_path, process):
    (tmp_path / "all.nt").write_text("<urn:a> <urn:r> <urn:b> .\n")
    assert process.ask({"op": "load", "path": str(tmp_path / "all.nt")}, 20) == {"done": True}
    query = {"op": "query", "sparql": "ASK { ?s ?p ?o }", "rows": 1, "bytes": 100}
    assert process.ask(query, 20)["boolean"] and process.alive
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(QueryStopped, match="ended, most likely for want of memory|is gone"):
        process.ask(query, 20)
    assert not process.alive
    with pytest.raises(QueryStopped):
        process.ask(query, 20)


def test_a_slow_answer_is_not_waited_for(process):
    os.kill(process.pid, signal.SIGSTOP)
    begin = time.monotonic()
    with pytest.raises(QueryStopped, match=r"took longer than 0.5 seconds and was stopped"):
        process.ask({"op": "query", "sparql": "ASK {}", "rows": 1, "bytes": 1}, 0.5)
    assert time.monotonic() - begin < 5 and not process.alive
