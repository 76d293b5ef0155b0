import pytest

from raykg.config.load import from_dict
from raykg.serve.launch import ServiceError, address_of, first_words, start_ray
from raykg.serve.serve_config import ServeConfig
from raykg.serve.sharing import Base, Hosting
from tests.conftest import LOGICAL_CPUS


def config(**settings):
    return from_dict(ServeConfig, {"models": {"films": "x"}, **settings})


@pytest.mark.parametrize(
    ("http", "address"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"port": 81, "root_path": "/films"}, "http://127.0.0.1:81/films"),
        ({"host": "0.0.0.0"}, "http://127.0.0.1:8000"),
        ({"host": "::1"}, "http://[::1]:8000"),
        ({"certificate": "c", "private_key": "k"}, "https://127.0.0.1:8000"),
    ],
)
def test_the_address_is_what_this_machine_reaches(http, address):
    assert address_of(config(http=http, keys="k.json")) == address


def test_the_first_words_can_be_run():
    words = first_words(config())
    assert "base_url=http://127.0.0.1:8000/v1" in words and '-d \'{"model": "films"' in words and "Authorization" not in words
    assert "Authorization: Bearer rk_..." in first_words(config(keys="k.json"))


def test_replicas_that_do_not_fit_are_refused_with_the_arithmetic(ray_session, tmp_path):
    cfg = config(replicas={"count": 9, "cpus": 2.0})
    with pytest.raises(
        ServiceError, match=f"1 models x 9 replicas x 2 CPUs = 18, Ray has {LOGICAL_CPUS}: lower replicas.count or replicas.cpus"
    ):
        start_ray(cfg, tmp_path / "logs")
    cfg = config(replicas={"count": 99, "cpus": 0.0, "gpus": 1.0, "adapters": 2})
    with pytest.raises(ServiceError, match="1 groups of models that share replicas x 99 replicas x 1 GPUs = 99, .*replicas.gpus"):
        start_ray(cfg, tmp_path / "logs", [Hosting("models-1234", {"films": "x", "books": "y"}, Base("tiny:llama", "1234"))])
