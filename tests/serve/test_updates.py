"""What an update of a running service refuses, and the way back; tests/cli/test_serve.py updates a service as users do."""

from pathlib import Path

import pytest

from raykg.config.load import from_dict, to_dict
from raykg.serve.app import application
from raykg.serve.keys import KeyFile
from raykg.serve.launch import APPLICATION
from raykg.serve.paths import absolute
from raykg.serve.serve_config import ServeConfig
from raykg.serve.sharing import hostings
from raykg.serve.updates import Change, Deployed, UpdateError, changes, check_fixed, update
from tests.serve.steady import ANSWER, Steady


def config(**settings):
    return from_dict(ServeConfig, {"models": {"films": "/runs/films"}, **settings})


def test_changes_are_told_by_their_keys():
    before = config(limits={"per_minute": 5}, keys="/keys.json")
    after = config(limits={"per_minute": 60}, models={"films": "/runs/films", "books": "/runs/books"})
    assert {str(one) for one in changes(before, after)} == {
        "keys: /keys.json -> null",
        "limits.per_minute: 5 -> 60",
        "models.books: null -> /runs/books",
    }
    assert changes(before, before) == []


def test_what_only_a_new_service_could_change_is_refused_with_both_values():
    before = config(graph={"storage": "/edits", "functional": ["year"]})
    after = config(http={"port": 8001, "cors": ["https://a.org"]}, storage="/other", graph={"storage": "/edits-2"})
    with pytest.raises(UpdateError) as refused:
        check_fixed(changes(before, after))
    lines = str(refused.value).splitlines()
    assert set(lines[:-1]) == {
        "storage (/other): is " + str(Path("serving").absolute()) + " while this service runs, records of answered requests are there",
        "graph.storage (/edits-2): is /edits while this service runs, the edits are there",
        'graph.functional ([]): is ["year"] while this service runs, the owner of the edits goes by it',
        "http.port (8001): is 8000 while this service runs, Serve listens there",
    }
    assert lines[-1].startswith("nothing was changed")
    check_fixed([Change("limits.per_minute", 1, 2), Change("models.films", "a", "b"), Change("keys", None, "k")])


@pytest.fixture
def deployed(service):
    """The tests' service, which every test here leaves as it is."""
    cfg = absolute(service.cfg)
    return Deployed(cfg, application(cfg, hostings(cfg)))


def with_settings(cfg, settings):
    plain = to_dict(cfg)
    merged = {key: plain[key] | value if isinstance(value, dict) and key != "models" else value for key, value in settings.items()}
    return from_dict(ServeConfig, plain | merged)


@pytest.mark.parametrize(
    ("settings", "why"), [({"replicas": {"count": 99}}, "lower replicas.count"), ({"models": {"films": "/nowhere"}}, "no such folder")]
)
def test_what_cannot_be_had_is_refused_before_anything_happens(deployed, settings, why):
    with pytest.raises(UpdateError, match=f"(?s){why}.*nothing was changed"):
        update(deployed, with_settings(deployed.cfg, settings))


def test_what_fails_when_it_starts_is_taken_back(service, deployed, tmp_path, monkeypatch):
    """A file of keys, damaged after it was looked at here, stands for whatever a new process dies of; damaged weights only take longer."""
    monkeypatch.setattr("raykg.serve.app._CONSTRUCTIONS", 1)
    monkeypatch.setattr(KeyFile, "refresh", lambda file: False)
    (tmp_path / "keys.json").write_text("{")
    wanted = with_settings(deployed.cfg, {"keys": str(tmp_path / "keys.json"), "limits": {"question": 25}})
    clients = Steady(service.url)

    def fail():
        with pytest.raises(UpdateError, match="the update was taken back: the service runs as before, details are in .*logs"):
            update(deployed, wanted, name=APPLICATION)

    clients.during(fail)
    assert set(clients.answers) == {(200, ANSWER)} and clients.streams
    assert clients.answer("who directed Alien, if anybody did?").status_code == 200, "the limit is the old one"
