import pytest

from raykg.config.errors import ConfigErrors
from raykg.config.load import from_dict
from raykg.serve.serve_config import ServeConfig


def config(**settings):
    return from_dict(ServeConfig, {"models": {"m": "runs/m"}, **settings})


def test_what_a_laptop_needs_is_one_line():
    cfg = config()
    assert (cfg.http.host, cfg.http.port, cfg.http.local, cfg.keys, cfg.http.cors) == ("127.0.0.1", 8000, True, None, ())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "films.example.org"])
def test_strangers_need_keys(host):
    with pytest.raises(ConfigErrors, match="lets other machines in, which needs keys: make one with `raykg keys create"):
        config(http={"host": host})
    assert not config(http={"host": host}, keys="keys.json").http.local


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_needs_none(host):
    assert config(http={"host": host}).http.local


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"models": {}}, "must name at least one run"),
        ({"models": {"a/b": "x"}}, "letters, digits, dots"),
        ({"models": {"a#b": "x"}}, "letters, digits, dots"),
        ({"models": {"x" * 65: "x"}}, "at most 64"),
        ({"strategies": [{"name": "read"}]}, r"strategy \('plan_execute'\) must be one of strategies \(read\)"),
        ({"strategies": [{"name": "read"}, {"name": "read"}], "strategy": "read"}, "name each strategy once"),
        ({"strategies": [{"name": "reed"}]}, "did you mean 'read'"),
        ({"http": {"certificate": "c.pem"}}, "private_key .null.: certificate and private_key are given together"),
        ({"http": {"root_path": "films"}}, "must start with /"),
        ({"http": {"root_path": "/films/"}}, "must start with /"),
        ({"http": {"cors": ["*"]}}, "must be an origin"),
        ({"http": {"cors": ["https://a.example/path"]}}, "must be an origin"),
        ({"http": {"port": 0}}, "port"),
        ({"http": {"port": 65536}}, "port"),
        ({"limits": {"bodies": 1}}, "did you mean 'body'"),
        ({"limits": {"depth": 3}}, "depth"),
        ({"replicas": {"count": 0}}, "count"),
    ],
)
def test_mistakes_are_said_before_anything_starts(settings, message):
    with pytest.raises(ConfigErrors, match=message):
        config(**settings)
