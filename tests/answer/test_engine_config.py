import pytest

from raykg.answer.engine_config import EngineConfig
from raykg.config.errors import ConfigErrors
from raykg.config.load import from_dict, load


def test_an_address_is_enough():
    found = load(EngineConfig, None, ["endpoint=http://127.0.0.1:8001/v1"])
    assert (found.endpoint, found.grammar, found.prompts, found.model) == ("http://127.0.0.1:8001/v1", "xgrammar", "tokens", None)


@pytest.mark.parametrize(
    "endpoint", ["127.0.0.1:8001", "http://", "http://x/v1/", "http://x/v1?key=1", "http://me:secret@x/v1", "ftp://x", "http://x/a b"]
)
def test_what_is_no_address_is_refused(endpoint):
    with pytest.raises(ConfigErrors, match=r"endpoint \(.*\) must be an address such as http://127.0.0.1:8001/v1"):
        from_dict(EngineConfig, {"endpoint": endpoint})


def test_a_key_in_the_place_of_its_variable_is_refused_and_not_repeated():
    with pytest.raises(ConfigErrors, match="key_variable must be the name of an environment variable") as error:
        from_dict(EngineConfig, {"endpoint": "http://x/v1", "key_variable": "sk-very-secret"})
    assert "secret" not in str(error.value)


def test_a_grammar_that_nobody_reads_is_refused():
    with pytest.raises(ConfigErrors, match="grammar"):
        load(EngineConfig, None, ["endpoint=http://x/v1", "grammar=lark"])
