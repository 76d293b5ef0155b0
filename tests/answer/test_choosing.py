"""Choosing: the scores are the model's own likelihoods, whatever the options, and only options are picked."""

import numpy as np
import pytest
import torch

from raykg.answer import choosing
from raykg.answer.choosing import Crossroads, ModelChooser, Option, bare_prompt, continuation_scores, prompt
from raykg.answer.generation import Generator, TooLong
from raykg.answer.question import Question
from raykg.data.prompts import plan_prompt
from raykg.models.reference import load_model, load_tokenizer, resolve

NOWHERE = np.zeros(0, np.int64)


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    folder = resolve("tiny:llama", cache=tmp_path_factory.mktemp("cache"))
    return Generator(load_model(folder, "float32"), load_tokenizer(folder))


def crossroads(count, question="who directed Alien?", stop=True):
    options = tuple(Option(0, f"r{number}", True, NOWHERE, f"Alien r{number} x", "Alien", f" > r{number}") for number in range(count))
    return Crossroads(Question(question), "Alien", NOWHERE, ((None,) if stop else ()) + options)


def slow_score(model, asked, end):
    """The same by one plain pass over the whole text."""
    with torch.inference_mode():
        logits = model(input_ids=torch.tensor([asked + end])).logits[0].double().log_softmax(-1)
    return sum(float(logits[len(asked) + place - 1, token]) for place, token in enumerate(end))


def test_scores_are_those_of_a_plain_pass(generator):
    ends = [[5, 6], [5], [7, 8, 9], [9]]
    asked = [11, 12, 13, 14, 15]
    found = continuation_scores(generator.model, asked, ends)
    assert found == pytest.approx([slow_score(generator.model, asked, end) for end in ends], abs=1e-4)
    assert continuation_scores(generator.model, asked, [[5], [9]]) == pytest.approx(found[[1, 3]], rel=10, abs=50)


@pytest.mark.parametrize("count", [1, 3, 9, 30])
def test_the_likeliest_number_is_picked(generator, count):
    one = crossroads(count)
    picked = ModelChooser(generator).choose([one, one])
    numbers = generator.tokenizer([f" {number}\n" for number in range(count + 1)], add_special_tokens=False)["input_ids"]
    asked = generator.tokenizer(prompt(one), add_special_tokens=False)["input_ids"]
    scores = [slow_score(generator.model, asked, end) for end in numbers]
    assert picked[0] == picked[1]
    assert scores[picked[0].place] == pytest.approx(max(scores), abs=1e-4)
    assert 1 / (count + 1) - 1e-9 <= picked[0].probability <= 1


def tokens(generator, text):
    return generator.tokenizer(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("count", [1, 3, 12])
def test_the_words_with_the_likeliest_tokens_are_picked(generator, count):
    one = crossroads(count)
    ends = [tokens(generator, f" {words}\n") for words in ("stop here", *(option.words for option in one.options[1:]))]
    scores = [slow_score(generator.model, tokens(generator, bare_prompt(one)), end) / len(end) for end in ends]
    picked = ModelChooser(generator, "words").choose([one])[0]
    assert scores[picked.place] == pytest.approx(max(scores), abs=1e-4)
    likely = np.exp(np.array(scores) - max(scores))
    assert picked.probability == pytest.approx(likely.max() / likely.sum(), abs=1e-4)


@pytest.mark.parametrize("count", [1, 3, 12])
def test_the_likeliest_plan_is_picked_written_either_way(generator, count):
    one = crossroads(count)
    asked, end = tokens(generator, plan_prompt("who directed Alien?")), generator.tokenizer.eos_token_id
    texts = [(" Alien", [end])] + [(f" Alien{option.step}", []) for option in one.options[1:]]

    def both(text, more):
        marked = tokens(generator, text.replace(" ", " ~", 1))
        return np.logaddexp(*(slow_score(generator.model, asked, plan + more) for plan in (tokens(generator, text), marked)))

    scores = [both(*text) for text in texts]
    picked = ModelChooser(generator, "plan").choose([one])[0]
    assert scores[picked.place] == pytest.approx(max(scores), abs=1e-4)
    likely = np.exp(np.array(scores) - max(scores))
    assert picked.probability == pytest.approx(likely.max() / likely.sum(), abs=1e-4)


def test_a_plan_that_leaves_its_topic_out_has_votes_too(generator, monkeypatch):
    def sure(model, asked, ends):
        """Find what is written with ~ a thousand times likelier than anything else."""
        texts = [generator.tokenizer.decode([*asked, *end]) for end in ends]
        return np.array([-1.0 if "~Alien > r2" in text else -8.0 for text in texts])

    monkeypatch.setattr(choosing, "continuation_scores", sure)
    assert ModelChooser(generator, "plan").choose([crossroads(4, stop=False)])[0].place == 2


def test_plans_of_several_topics_are_compared_with_their_names(generator):
    options = [Option(0, "r", True, NOWHERE, "", name, step) for name in ("Alien", "A film") for step in (" > r0", " < r0")]
    asked = tokens(generator, plan_prompt("who?"))
    scores = [
        np.logaddexp(*(slow_score(generator.model, asked, tokens(generator, f" {mark}{one.lead}{one.step}")) for mark in ("", "~")))
        for one in options
    ]
    picked = ModelChooser(generator, "plan").choose([Crossroads(Question("who?"), "", NOWHERE, tuple(options))])[0]
    assert scores[picked.place] == pytest.approx(max(scores), abs=1e-4)


def test_a_relation_whose_name_goes_on_is_no_obstacle(generator):
    options = tuple(Option(0, name, True, NOWHERE, "", "Alien", f" > {name}") for name in ("country", "country of origin"))
    picked = ModelChooser(generator, "plan").choose([Crossroads(Question("who?"), "", NOWHERE, options)])[0]
    assert picked.place == 0, "the votes of the longer name are the shorter one's too, as the docstring says"


def test_a_single_option_is_sure(generator):
    assert ModelChooser(generator).choose([crossroads(1, stop=False)])[0].probability == 1


def test_training_mode_is_left_as_it_was(generator):
    generator.model.train()
    ModelChooser(generator).choose([crossroads(2)])
    assert generator.model.training
    generator.model.eval()
    ModelChooser(generator).choose([crossroads(2)])
    assert not generator.model.training


def test_a_prompt_that_does_not_fit_is_told(generator):
    for by in ("number", "words", "plan"):
        assert isinstance(ModelChooser(generator, by).choose([crossroads(2, "x " * 5000)])[0], TooLong)
    assert ModelChooser(generator).choose([]) == []


def test_the_prompt_numbers_its_options_one_a_line():
    assert prompt(crossroads(2, "who\ndirected Alien?")).splitlines() == [
        "Q: who directed Alien?", "Way: Alien", "0 stop here", "1 Alien r0 x", "2 Alien r1 x", "Next:",
    ]  # fmt: skip
