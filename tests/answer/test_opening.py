"""What `open_model` gives answers; what it is asked to open and cannot is said (see also tests/cli/test_ask.py)."""

import pytest

from raykg.answer.opening import open_base, open_model
from raykg.answer.question import AnswerError, Question
from raykg.config.schema import chosen
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
