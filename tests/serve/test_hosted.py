import pytest

from raykg.config.load import from_dict
from raykg.serve.hosted import Hosted, strategies
from raykg.serve.refusal import Refused
from raykg.serve.serve_config import ServeConfig
from tests.answer.runs import write_run

HASHES = "base 11112222aaaa trained 33334444bbbb"


@pytest.mark.parametrize("weights", [None, "11112222", "33334444bbbb"])
def test_its_own_weights_and_strategies_are_taken(weights):
    Hosted("films", None, HASHES, None, None, None, {"read": None}).check(weights, "read")


@pytest.mark.parametrize(
    ("weights", "strategy", "status"), [("1111222", "read", 409), ("2222aaaa", "read", 409), ("base", "read", 409), (None, "guess", 400)]
)
def test_others_are_refused(weights, strategy, status):
    with pytest.raises(Refused) as refused:
        Hosted("films", None, HASHES, None, None, None, {"read": None}).check(weights, strategy)
    assert refused.value.status == status


def test_settings_left_out_are_those_of_the_training(tmp_path):
    write_run(tmp_path)
    run = tmp_path / "run"
    plain = {"models": {"m": str(run)}}
    found = strategies(from_dict(ServeConfig, plain), run)
    assert {"plan_execute", "read", "closed_book"} <= set(found) and found["read"].config.facts_tokens == 40
    chosen = [{"name": "read", "mentions": 7}, {"name": "plan_execute"}]
    found = strategies(from_dict(ServeConfig, plain | {"strategies": chosen}), run)
    assert (found["read"].config.mentions, found["read"].config.facts_tokens) == (7, 40) and set(found) == {"read", "plan_execute"}
    found = strategies(from_dict(ServeConfig, plain | {"strategies": [{"name": "read", "facts_tokens": 99}], "strategy": "read"}), run)
    assert found["read"].config.facts_tokens == 99


def test_passages_go_to_those_who_read_them(tmp_path):
    write_run(tmp_path)
    found = strategies(from_dict(ServeConfig, {"models": {"m": "x"}, "passages": "texts.txt"}), tmp_path / "run")
    assert found["cogmg"].config.passages == "texts.txt"
    assert next(one for one in found["auto"].config.strategies if one.name == "cogmg").config.passages == "texts.txt"
