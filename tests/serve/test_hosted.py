from dataclasses import replace

import pytest

from raykg.answer.question import AnswerError
from raykg.config.load import from_dict
from raykg.serve.followed import FixedGraph
from raykg.serve.hosted import Hosted, strategies
from raykg.serve.refusal import Refused
from raykg.serve.serve_config import ServeConfig
from tests.answer.runs import write_run
from tests.answer.stubs import Writer

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


@pytest.mark.parametrize(
    ("strategy", "why"),
    [
        ({"name": "cogmg", "passages": "texts.csv"}, "texts.csv"),
        ({"name": "auto", "strategies": [{"name": "cogmg", "passages": "none.txt"}]}, "none.txt"),
        ({"name": "cogmg", "second": {"reference": "tiny:nothing"}}, "second.reference .tiny:nothing."),
    ],
)
def test_what_a_strategy_reads_is_opened_before_the_first_question(tmp_path, strategy, why):
    graph = write_run(tmp_path)
    (tmp_path / "texts.csv").write_text("Alien was directed by Ridley Scott\n")
    cfg = from_dict(ServeConfig, {"models": {"m": "x"}, "strategy": strategy["name"], "strategies": [strategy]})
    writer = Writer({})
    writer.model = writer.tokenizer = None  # what is opened here asks no model
    writer.batch = 2
    hosted = Hosted("m", tmp_path / "run", HASHES, None, writer, FixedGraph(graph), strategies(cfg, tmp_path / "run"))
    with pytest.raises(AnswerError, match=why):
        hosted.open()
    plain = replace(cfg, strategies=(), strategy="plan_execute", passages=str(tmp_path / "texts.txt"))
    (tmp_path / "texts.txt").write_text("Alien was directed by Ridley Scott\n")
    hosted = replace(hosted, chosen=strategies(plain, tmp_path / "run"), _made={})
    hosted.open()
    assert set(hosted._made) == {(name, True) for name in hosted.chosen} and len(hosted.chosen) >= 6
