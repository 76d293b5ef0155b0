"""The own loop writes what `transformers.generate` writes, whatever else is in the batch."""

import itertools

import pytest

from raykg.answer.constrained_grammar import PlanGrammar
from raykg.answer.generation import Generator, TooLong, Written
from raykg.answer.question import AnswerError
from raykg.data.prompts import STOP
from raykg.kg.logical_form import parse
from raykg.models import tiny
from tests.answer.random_models import nasty_graph

PROMPTS = ["a", "who directed [Alien]? =>", "bb", "a much longer prompt than the other ones, with words =>", "cd", "Ümläut – ☃ =>", "e f g"]


@pytest.fixture(scope="module", params=sorted(tiny.ARCHITECTURES))
def loaded(request, tmp_path_factory):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp(request.param)
    tiny.write(request.param, folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(1)
        for weight in model.parameters():  # far from uniform logits, so that rounding cannot choose a token
            weight.add_(torch.randn_like(weight) * 0.2)
    return model, AutoTokenizer.from_pretrained(folder)


def reference(model, tokenizer, prompt, limit):
    """Return the ids that transformers continues one prompt with."""
    inputs = tokenizer([prompt], return_tensors="pt", add_special_tokens=False)
    written = model.eval().generate(**inputs, max_new_tokens=limit, do_sample=False, pad_token_id=tokenizer.pad_token_id)
    return tokenizer.decode(written[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True, clean_up_tokenization_spaces=False)


def test_the_loop_writes_what_generate_writes(loaded):
    model, tokenizer = loaded
    expected = [reference(model, tokenizer, prompt, 24) for prompt in PROMPTS]
    assert len(set(expected)) > 2, "the random model must say different things for this test to mean anything"
    for batch in (1, 3, 32):
        assert Generator(model, tokenizer, batch=batch).generate(PROMPTS, 24) == expected


def test_a_row_does_not_depend_on_its_neighbours_or_their_order(loaded):
    generator = Generator(*loaded, batch=4)
    alone = {prompt: generator.generate([prompt], 16)[0] for prompt in PROMPTS}
    for some in itertools.islice(itertools.permutations(PROMPTS, 4), 0, 840, 60):
        assert generator.generate(some, 16) == [alone[prompt] for prompt in some]


def test_a_shared_prefix_is_computed_once_and_changes_nothing(loaded):
    prefix = "Q: what is the capital of France?\nA: Paris\n\nQ: "
    prompts = [prefix + prompt for prompt in PROMPTS]
    generator = Generator(*loaded, batch=3)
    assert generator.generate(prompts, 16) == [generator.generate([prompt], 16)[0] for prompt in prompts]


class Ids(Generator):
    """Returns token ids instead of text: a random model's bytes are not valid UTF-8."""

    def _written(self, tokens, stop, confidence):
        return tuple(tokens)


def test_rows_end_at_the_end_token_and_leave_the_batch(loaded):
    free = Ids(*loaded).generate(PROMPTS, 24)
    ends = {row[len(row) // 2] for row in free}
    generator = Ids(*loaded, batch=4)
    generator._ends = frozenset(ends)
    first_end = [next((place + 1 for place, token in enumerate(row) if token in ends), 24) for row in free]
    assert generator.generate(PROMPTS, 24) == [row[:end] for row, end in zip(free, first_end, strict=True)]
    assert generator.new_tokens == sum(first_end) < 24 * len(PROMPTS)


def test_a_stop_string_ends_a_row_and_is_cut_off(loaded):
    model, tokenizer = loaded
    free = Generator(model, tokenizer).generate(PROMPTS, 24)
    stop = free[0][5:7]
    generator = Generator(model, tokenizer)
    assert generator.generate(PROMPTS, 24, stop=stop) == [text.partition(stop)[0] for text in free]
    assert generator.new_tokens < 24 * len(PROMPTS)


def test_beams_are_distinct_and_begin_with_the_best(loaded):
    generator = Generator(*loaded, batch=4)
    found = generator.generate_beams(PROMPTS, 8, None, beams=3)
    assert [len(texts) for texts in found] == [len(set(texts)) for texts in found]
    assert found == generator.generate_beams(PROMPTS, 8, None, beams=3)
    assert generator.generate_beams(PROMPTS, 8, None, beams=1) == [[text] for text in generator.generate(PROMPTS, 8)]


@pytest.mark.parametrize("training", [True, False])
def test_the_training_mode_is_left_as_found(loaded, training):
    model, tokenizer = loaded
    model.train(training)
    Generator(model, tokenizer).generate(["a"], 2)
    assert model.training is training


def test_prompts_that_are_too_long_stand_back_and_the_others_are_answered(loaded):
    generator = Generator(*loaded, batch=2)
    expected = generator.generate(PROMPTS, 8)
    tokens = generator.prompt_tokens
    found = generator.generate([*PROMPTS[:2], "a" * 1017, *PROMPTS[2:], "b" * 2000], 8)
    refused = [found.pop(2), found.pop()]
    assert found == expected
    assert refused == [TooLong(1017, 1016), TooLong(2000, 1016)]
    assert str(refused[0]) == "the question is too long: its prompt has 1017 tokens, at most 1016 fit: shorten it"
    assert (generator.rows, generator.prompt_tokens) == (2 * len(PROMPTS), 2 * tokens)
    beams = generator.generate_beams(["a" * 1017, "a"], 8, None, beams=2)
    assert beams == [[], *generator.generate_beams(["a"], 8, None, beams=2)]
    assert isinstance(generator.generate(["a" * 1016], 8)[0], str)
    assert generator.generate(["a" * 1017], 8) == [TooLong(1017, 1016)]


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return nasty_graph(tmp_path_factory.mktemp("nasty"))


def plain_confidence(model, tokenizer, prompt, tokens):
    """Return the mean probability of tokens, each by a forward pass of its own."""
    import torch

    asked, probabilities = tokenizer(prompt)["input_ids"], []
    for place, token in enumerate(tokens):
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([[*asked, *tokens[:place]]])).logits[0, -1].double()
        probabilities.append(logits.softmax(-1)[token].item())
    return sum(probabilities) / len(probabilities)


@pytest.mark.parametrize("constrained", [False, True])
def test_the_confidence_is_the_mean_probability_of_what_was_written(loaded, graph, constrained):
    model, tokenizer = loaded

    class Kept(Generator):
        def _written(self, tokens, stop, confidence):
            return (tuple(tokens), confidence)

    grammars = [PlanGrammar.of(graph)] * len(PROMPTS) if constrained else None
    prompts = ["the same words before =>" + prompt for prompt in PROMPTS]  # a shared prefix
    for prompt, (tokens, confidence) in zip(prompts, Kept(model, tokenizer, 3).generate(prompts, 12, STOP, grammars), strict=True):
        assert confidence == pytest.approx(plain_confidence(model.eval(), tokenizer, prompt, tokens), abs=1e-5)


def test_a_constrained_row_does_not_depend_on_its_neighbours(loaded, graph):
    grammar = PlanGrammar.of(graph)
    copying = [grammar.copying(["Alien", "c"]), grammar, grammar.copying(["bb"])]
    grammars = [copying[place % 3] for place in range(len(PROMPTS))]
    generator = Generator(*loaded, batch=4)
    together = generator.generate(PROMPTS, 18, STOP, grammars)
    assert together == [generator.generate([prompt], 18, STOP, [one])[0] for prompt, one in zip(PROMPTS, grammars, strict=True)]
    assert len({len(text) for text in together}) > 1, "rows must leave the batch at different times for this test to mean anything"
    for text in together:
        parse(text.strip(), graph)


def test_prompts_that_are_too_long_do_not_shift_the_grammars(loaded, graph):
    generator = Generator(*loaded, batch=2)
    grammars = [PlanGrammar.of(graph).copying([name]) for name in ("aa", "bb", "cc")]
    first, refused, last = generator.generate(["x", "a" * 1017, "y"], 8, STOP, grammars)
    assert isinstance(refused, TooLong)
    assert "aa" in first.lower() and "cc" in last.lower()
    beams = generator.generate_beams(["x", "a" * 1017, "y"], 8, STOP, 2, grammars)
    assert [len(found) > 0 for found in beams] == [True, False, True]
    assert all("cc" in text.lower() for text in beams[2])


class Steered:
    """A model that wants to write one text, whatever it was asked."""

    def __init__(self, model, tokenizer, text):
        self.model, self.wanted = model, [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
        self.config, self.generation_config, self.training = model.config, model.generation_config, False
        self.steps = 0

    def __call__(self, **inputs):
        found = self.model(**inputs)
        found.logits[:, -1, self.wanted[min(self.steps, len(self.wanted) - 1)]] += 1000
        self.steps += 1
        return found

    def __getattr__(self, name):
        return getattr(self.model, name)


def test_a_plan_that_the_model_writes_anyway_stays_the_same(loaded, graph):
    model, tokenizer = loaded
    relation = next(name for name in graph.relation_names if name.isalpha())
    for text in (
        f" Alien > {relation}",
        f' count(~"Q: x" < {relation} & (東京 | b (1999)) [max {relation}])',
        f" A [{relation} >= 1990-01-01]",
    ):
        free = Generator(Steered(model, tokenizer, text), tokenizer).generate(["x"], 200, STOP)
        bound = Generator(Steered(model, tokenizer, text), tokenizer).generate(["x"], 200, STOP, [PlanGrammar.of(graph)])
        assert free == bound == [text]
        assert bound[0].confidence == free[0].confidence == pytest.approx(1.0)


def test_what_is_remembered_of_grammars_stays_small(loaded, graph, monkeypatch):
    generator = Generator(*loaded)
    grammar = PlanGrammar.of(graph)
    generator.generate(["x"], 8, STOP, [grammar])
    kept = generator._constraints[grammar, STOP]
    generator.generate(["x"], 8, STOP, [grammar])
    assert generator._constraints[grammar, STOP] is kept
    monkeypatch.setattr("raykg.answer.generation._GRAMMARS", 5)
    for _ in range(9):
        generator.generate(["x"], 4, STOP, [grammar.copying(["a"])])
    assert len(generator._constraints) <= 6
    monkeypatch.setattr("raykg.answer.generation._STEPS", 0)
    generator.generate(["x"], 8, STOP, [grammar])
    generator.generate(["x"], 8, STOP, [grammar])
    assert len(generator._constraints) == 1


def test_a_written_text_is_a_text_that_travels():
    import pickle

    text = pickle.loads(pickle.dumps(Written("A > b", 0.25)))
    assert (text, text.confidence) == ("A > b", 0.25)
    assert Written() == "" and Written().confidence == 0.0


def test_mistakes_are_named(loaded):
    generator = Generator(*loaded)
    with pytest.raises(AnswerError, match=r"prompt 1 is empty: give a text"):
        generator.generate(["a", ""])
    with pytest.raises(AnswerError, match=r"max_new_tokens \(1024\) must be below the model's 1024 positions"):
        generator.generate(["a"], 1024)
    with pytest.raises(AnswerError, match=r"batch \(0\) must be at least 1"):
        Generator(*loaded, batch=0)
    assert generator.generate([]) == []
