"""What `open_model` gives answers; what it is asked to open and cannot is said (see also tests/cli/test_ask.py)."""

import re

import pytest

from raykg.answer.opening import choose_strategy, open_base, open_model, open_saved
from raykg.answer.question import AnswerError, Question
from raykg.config.choice import ChoiceError
from raykg.config.schema import chosen
from raykg.models.saved import SavedModelError
from tests.answer.runs import write_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("opening")
    write_run(folder)
    return folder


def test_a_run_or_its_model_folder_opens(folder):
    for path in (folder / "run", folder / "run" / "model"):
        opened = open_model(path, batch=3)
        answer = opened.strategy(chosen("raykg.answer.strategies", "closed_book", max_tokens=3)).answer([Question("x")])[0]
        assert answer.version == opened.graph.version
        assert opened.generator.batch == 3


def test_base_and_tuned_have_identities_of_their_own(folder):
    base, tuned = open_base(folder / "run"), open_model(folder / "run")
    assert base.identity != tuned.identity
    assert tuned.identity == open_model(folder / "run").identity
    assert base.graph.version == tuned.graph.version


def test_other_runs_are_named_where_one_is_missing(folder):
    with pytest.raises(AnswerError, match=r"run .*rnu: no such folder \(runs in .*: run\)"):
        open_model(folder / "rnu")


def test_a_base_with_other_weights_is_refused(tmp_path):
    write_run(tmp_path)
    described = tmp_path / "run" / "model" / "model.json"
    described.write_text(re.sub(r'("base_sha256": ")[0-9a-f]{12}', r"\g<1>000000000000", described.read_text()))
    for opener in (open_model, open_base):
        with pytest.raises(SavedModelError, match=r"its base tiny:llama has weights [0-9a-f]{12} here, it was trained on 000000000000"):
            opener(tmp_path / "run")


def test_a_strategy_is_chosen_with_the_models_settings_and_passages(folder, tmp_path):
    saved = open_saved(folder / "run")
    assert choose_strategy("read", saved).config.facts_tokens == 40
    policy = choose_strategy("auto", saved, str(tmp_path / "p.txt"))
    plan, read, cogmg = policy.config.strategies
    assert (plan.name, read.config.facts_tokens, cogmg.config.passages) == ("plan_execute", 40, str(tmp_path / "p.txt"))
    with pytest.raises(AnswerError, match="strategy read reads none: ask with --strategy cogmg or auto"):
        choose_strategy("read", saved, "p.txt")
    with pytest.raises(ChoiceError, match="did you mean 'walk'"):
        choose_strategy("wlak", saved)
