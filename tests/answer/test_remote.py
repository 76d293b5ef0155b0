"""Another engine writes, over real HTTP: the same texts and the same answers as the same weights give here."""

import threading
import time
from dataclasses import replace

import pytest

from raykg.answer.constrained_grammar import PlanGrammar
from raykg.answer.continuous import AbandonedError, Work
from raykg.answer.endpoint import EngineError
from raykg.answer.engine_config import EngineConfig
from raykg.answer.generation import Generator, TooLong
from raykg.answer.opening import choose_strategy, open_engine, open_model, open_saved
from raykg.answer.question import AnswerError, Question
from raykg.answer.remote import RemoteGenerator, refuse_weights
from raykg.config.choice import chosen
from raykg.data.prompts import STOP, plan_prompt
from raykg.kg.logical_form import parse
from tests.answer.engines import NO_XGRAMMAR, engine
from tests.answer.learnt import write_learnt_run
from tests.answer.random_models import merged_tokenizer, nasty_graph, random_model, sentence_piece_tokenizer
from tests.graphs import film_graph

STRATEGIES = "raykg.answer.strategies"
PLANS = {"who directed Alien?": "Alien > directed by", "how many films star Arnold?": "count(Arnold Schwarzenegger < starred actors)"}
PROMPTS = ["Q: who?\nA:", "who directed Alien? =>", "é", "films of 1984 =>", "a b c " * 20]


@pytest.fixture(scope="module", params=[merged_tokenizer, sentence_piece_tokenizer], ids=["bytes", "sentence pieces"])
def random(request):
    tokenizer = request.param()
    return random_model(tokenizer, seed=3), tokenizer


def remote(found, tokenizer, **settings):
    return RemoteGenerator(EngineConfig(endpoint=found.url, **settings), "films", tokenizer)


@pytest.mark.parametrize("prompts", ["tokens", "text"])
def test_greedy_texts_are_those_of_the_weights_token_for_token(random, prompts):
    model, tokenizer = random
    here = Generator(model, tokenizer)
    with engine(model, tokenizer) as found:
        there = remote(found, tokenizer, prompts=prompts)
        for stop in (None, "e"):
            mine, theirs = (one.generate(PROMPTS, 12, stop) for one in (here, there))
            assert [str(text) for text in theirs] == [str(text) for text in mine]
            assert [text.confidence for text in theirs] == pytest.approx([text.confidence for text in mine], abs=1e-5)
        assert (there.rows, there.prompt_tokens, there.new_tokens) == (here.rows, here.prompt_tokens, here.new_tokens)
        assert isinstance(found.asked[0]["prompt"], list if prompts == "tokens" else str) and there.steps == 2 * len(PROMPTS)
        there.close()


def test_under_a_grammar_only_plans_are_written(random, tmp_path):
    pytest.importorskip("xgrammar", reason=NO_XGRAMMAR)
    model, tokenizer = random
    graph = nasty_graph(tmp_path, 1)
    grammar = PlanGrammar.of(graph, asking=True)
    names = grammar.copying(["Heat", "A"])
    with engine(model, tokenizer) as found:
        there = remote(found, tokenizer, concurrent=1)
        texts = there.generate(PROMPTS, 60, STOP, [grammar, names, grammar, names, grammar])
        whole = [text for text, finish in zip(texts, found.finishes, strict=True) if finish == "stop"]
        for text in whole:
            parse(text.strip(), graph)
        assert whole and len({body["structured_outputs"]["grammar"] for body in found.asked}) == 2
        there.close()


def test_llama_cpp_is_told_in_its_own_field_and_others_nothing(random):
    model, tokenizer = random
    with engine(model, tokenizer) as found:
        for kind in ("llama_cpp", "none"):
            there = remote(found, tokenizer, grammar=kind)
            there.generate(["a"], 2, STOP, [PlanGrammar.of(_Graph())])
            there.close()
    assert found.asked[0]["grammar"].startswith("root ::= ") and "structured_outputs" not in found.asked[0]
    assert set(found.asked[1]) == {"model", "prompt", "max_tokens", "temperature", "logprobs", "stop"}


def test_what_does_not_fit_is_not_sent(random):
    model, tokenizer = random
    with engine(model, tokenizer) as found:
        found.card["max_model_len"] = 40
        texts = RemoteGenerator(EngineConfig(endpoint=found.url), "films", tokenizer, positions=100).generate(["a", "b c" * 40], 8)
        assert remote(found, tokenizer, positions=20).positions == 20
        assert str(texts[0]) and isinstance(texts[1], TooLong) and texts[1].allowed == 32 and len(found.asked) == 1
        del found.card["max_model_len"]
        there = RemoteGenerator(EngineConfig(endpoint=found.url), "films", tokenizer, positions=64)
        assert there.generate([], 8) == [] and there.positions == 64
        with pytest.raises(AnswerError, match="max_new_tokens .64. must be below the model's 64 positions"):
            there.generate(["a"], 64)


def test_an_engine_that_tells_no_probabilities_has_no_confidence(random):
    _, tokenizer = random
    with engine(said=[(200, {}, {"choices": [{"text": " x\ny"}]})]) as found:
        (text,) = remote(found, tokenizer).generate(["a"], 4, STOP)
    assert (str(text), text.confidence) == (" x", None)


def test_beams_and_scores_are_refused(random):
    _, tokenizer = random
    with engine() as found:
        there = remote(found, tokenizer)
        with pytest.raises(AnswerError, match=r"beams \(4\): engine films at http.* writes one text for each prompt"):
            there.generate_beams(["a"], 4, None, 4)
        with pytest.raises(AnswerError, match="'config' of the model is asked for, but its weights are not here"):
            _ = there.model.config
    assert not found.asked


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("walk", {}, "strategy walk: looks at the model's scores"),
        ("plan_execute", {"beams": 4}, r"strategy plan_execute: beams \(4\) must be 1"),
        ("cogmg", {"plan": {"beams": 2}}, r"strategy cogmg: beams \(2\) must be 1"),
        (
            "cogmg",
            {"second": {"reference": "tiny:llama"}},
            r"strategy cogmg: second \(tiny:llama\) is compared with the weights of the first",
        ),
        ("auto", {"strategies": [{"name": "plan_execute"}, {"name": "walk"}]}, "strategy walk"),
    ],
)
def test_strategies_that_need_the_weights_are_refused_by_their_names(name, settings, message):
    with pytest.raises(AnswerError, match=message):
        refuse_weights(chosen(STRATEGIES, name, **settings))
    for one in ("plan_execute", "read", "cogmg", "auto", "closed_book"):
        refuse_weights(chosen(STRATEGIES, one))


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    folder = tmp_path_factory.mktemp("learnt")
    write_learnt_run(folder, film_graph(folder / "store"), PLANS)
    return folder / "run", open_model(folder / "run")


def plain(answer):
    return {name: value for name, value in answer.to_dict().items() if name not in ("seconds", "confidence")}


@pytest.mark.parametrize("name", ["plan_execute", "cogmg", "auto", "read", "closed_book"])
def test_strategies_answer_as_they_do_here(learnt, name):
    run, here = learnt
    way = choose_strategy(name, open_saved(run))
    if name == "plan_execute":
        way = replace(way, config=replace(way.config, constrained=False))
    questions = [Question(text) for text in (*PLANS, "who directed Heat?")]
    with engine(here.model, here.tokenizer) as found:
        there = open_engine(run, EngineConfig(endpoint=found.url, grammar="none"), "films")
        mine, theirs = here.strategy(way).answer(questions), there.strategy(way).answer(questions)
        there.remote.close()
    if name in ("plan_execute", "auto"):
        assert theirs[0].answers == ("Ridley Scott",) and theirs[0].proof is not None and theirs[1].count == 1
        assert theirs[0].confidence == pytest.approx(mine[0].confidence, abs=1e-5)
    known = 3 if name in ("plan_execute", "read", "closed_book") else 2  # of the third a constraint makes something else than nothing
    assert [plain(answer) for answer in theirs[:known]] == [plain(answer) for answer in mine[:known]]


def test_with_a_grammar_the_plans_are_those_that_are_written_here(learnt):
    pytest.importorskip("xgrammar", reason=NO_XGRAMMAR)
    run, here = learnt
    way = choose_strategy("plan_execute", open_saved(run))
    with engine(here.model, here.tokenizer) as found:
        there = open_engine(run, EngineConfig(endpoint=found.url), "films")
        questions = [Question(text) for text in PLANS]
        assert list(map(plain, there.strategy(way).answer(questions))) == list(map(plain, here.strategy(way).answer(questions)))
        assert all("structured_outputs" in body for body in found.asked)
        there.remote.close()


def test_what_is_no_plan_is_an_answers_status_and_nothing_more(learnt):
    run, here = learnt
    hostile = [" Alien > directed by > ", " Alien > eats", ' "; DROP', "", " Alien"]
    said = [(200, {}, {"choices": [{"text": text}]}) for text in hostile]
    with engine(here.model, here.tokenizer, said) as found:
        there = open_engine(run, EngineConfig(endpoint=found.url, concurrent=1), "films")
        answers = there.strategy(chosen(STRATEGIES, "plan_execute")).answer([Question("who directed Alien?")] * len(hostile))
        there.remote.close()
    assert [answer.status for answer in answers] == ["unparsable"] * len(hostile)
    assert all(answer.proof is None and not answer.answers for answer in answers)


def test_an_engine_elsewhere_is_opened_without_weights_and_says_who_it_is(learnt, monkeypatch, tmp_path):
    run, here = learnt

    def refuse(*_, **__):
        raise AssertionError("weights are loaded")

    for place in ("raykg.models.saved.load_model", "raykg.models.reference.load_model", "raykg.models.saved.load_for_answering"):
        monkeypatch.setattr(place, refuse)
    there = open_engine(run, EngineConfig(endpoint="http://127.0.0.1:9/v1", model="movies"), "films")
    assert there.identity == "engine movies at http://127.0.0.1:9/v1" and there.generator is there.remote
    assert there.remote._positions == here.model.config.max_position_embeddings
    with pytest.raises(AnswerError, match="strategy walk"):
        there.strategy(chosen(STRATEGIES, "walk"))
    here.tokenizer.save_pretrained(tmp_path)
    assert open_engine(run, EngineConfig(endpoint="http://127.0.0.1:9/v1", tokenizer=str(tmp_path)), "films").remote._positions is None
    with pytest.raises(AnswerError, match=r"engine.tokenizer \(nowhere\): no tokenizer.json there"):
        open_engine(run, EngineConfig(endpoint="http://127.0.0.1:9/v1", tokenizer="nowhere"), "films")


def test_threads_wait_side_by_side_and_one_that_is_abandoned_is_broken_off(learnt):
    run, here = learnt
    with engine(here.model, here.tokenizer, said=[0.4] * 4) as found:
        there = open_engine(run, EngineConfig(endpoint=found.url, grammar="none"), "films").remote
        there.generate([], 1)
        works, ends = [Work() for _ in range(4)], []

        def ask(work):
            try:
                with there.turn(work):
                    ends.append(str(there.generate([plan_prompt("who directed Alien?")], 32, STOP)[0]))
            except AbandonedError:
                ends.append("abandoned")

        threads = [threading.Thread(target=ask, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 5
        while len(found.asked) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        works[0].abandon()
        for thread in threads:
            thread.join()
        assert found.most_at_once == 4 and sorted(ends) == [" Alien > directed by"] * 3 + ["abandoned"]
        with pytest.raises(AbandonedError), there.turn(works[0]):
            pass
        there.close()


def test_an_engine_that_is_down_is_an_error_and_no_answer(learnt):
    run, _ = learnt
    there = open_engine(run, EngineConfig(endpoint="http://127.0.0.1:9/v1", tries=1), "films")
    with pytest.raises(EngineError, match="cannot be reached"):
        there.strategy(chosen(STRATEGIES, "plan_execute")).answer([Question("who directed Alien?")])


class _Graph:
    relation_names = ("directed by",)

    @property
    def relations(self):
        import pyarrow as pa

        return {"key": pa.array(["directed_by"])}
