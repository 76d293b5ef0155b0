from dataclasses import replace

import pytest

from raykg.config.load import from_dict
from raykg.serve.serve_config import ServeConfig
from raykg.serve.sharing import Base, Hosting
from raykg.serve.versions import gateway_reads, replica_settings, replicas_read, version_of
from tests.answer.runs import write_run

BASE = Base("tiny:llama", "ab" * 32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("versions")
    write_run(made)
    (made / "texts.txt").write_text("a passage\n")
    return made


def config(folder, **settings):
    return from_dict(ServeConfig, {"models": {"films": str(folder / "run")}, "passages": str(folder / "texts.txt")} | settings)


def versions(cfg, hosting=None):
    """Return the versions of a gateway and of a replica."""
    hosting = hosting or Hosting("model-films", dict(cfg.models))
    return version_of("gateway", gateway_reads(cfg, [hosting])), version_of(hosting.name, replicas_read(cfg, hosting))


@pytest.mark.parametrize(
    ("settings", "replicas"),
    [
        ({"limits": {"per_minute": 5}}, False),
        ({"keys": "k.json"}, False),
        ({"http": {"cors": ["https://example.org"]}}, False),
        ({"replicas": {"count": 3, "gateways": 2, "drain": 5.0}}, False),
        ({"embeddings": {"serve": True}}, False),
        ({"replicas": {"batch": 3}}, True),
        ({"strategy": "read"}, True),
        ({"strategies": [{"name": "plan_execute"}, {"name": "read", "mentions": 2}]}, True),
        ({"graph": {"storage": "edits"}}, True),
        ({"tracing": {"endpoint": "http://127.0.0.1:4318"}}, True),
    ],
)
def test_what_only_gateways_read_exchanges_no_replica(folder, settings, replicas):
    before, after = versions(config(folder)), versions(config(folder, **settings))
    assert before[0] != after[0] and (before[1] != after[1]) == replicas
    assert versions(config(folder)) == before


def test_files_that_were_written_anew_are_others(folder):
    seen = [versions(config(folder))]
    (folder / "texts.txt").write_text("another passage\n")
    seen.append(versions(config(folder)))
    assert seen[0][0] == seen[1][0] and seen[0][1] != seen[1][1]
    write_run(folder)
    seen.append(versions(config(folder)))
    assert seen[1][0] != seen[2][0] and seen[1][1] != seen[2][1]


def test_runs_of_a_shared_base_exchange_nothing(folder):
    cfg = config(folder)
    shared = Hosting("models-abab", {"films": "/runs/films@1234abcd"}, BASE)
    other = replace(shared, models={"films": "/runs/films-2@5678abcd"})
    assert versions(cfg, shared) == versions(replace(cfg, models={"films": "/runs/films-2"}), other)
    more = replace(shared, models={**shared.models, "books": "/runs/books@abcd1234"})
    gateway, replica = versions(replace(cfg, models={**cfg.models, "books": "/runs/books"}), more)
    assert gateway != versions(cfg, shared)[0] and replica == versions(cfg, shared)[1], "a further name is the gateways' business"


def test_settings_for_replicas_are_a_config(folder):
    cfg = config(folder, replicas={"batch": 3, "count": 4}, limits={"seconds": 5.0}, http={"host": "0.0.0.0"}, keys="k.json")
    for hosting in (Hosting("model-films", dict(cfg.models)), Hosting("models-abab", {"films": "x@1234abcd"}, BASE)):
        read = from_dict(ServeConfig, replica_settings(cfg, hosting))
        assert (read.replicas.batch, read.replicas.count, read.limits.seconds, read.passages) == (3, 1, 60.0, cfg.passages)
