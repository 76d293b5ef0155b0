"""Beams under a constraint: only plans, those that a search over all allowed tokens finds, with the confidence of plain passes."""

import math

import pytest

from raykg.answer.constrained import PlanConstraint
from raykg.answer.constrained_beams import BeamWatch
from raykg.answer.constrained_grammar import PlanGrammar
from raykg.answer.constrained_vocabulary import Vocabulary
from raykg.answer.generation import Generator
from raykg.data.prompts import STOP
from raykg.kg.logical_form import parse
from raykg.models import tiny
from tests.answer.random_models import merged_tokenizer, nasty_graph, random_model
from tests.blocks import blocks

PROMPTS = ["who? =>", "a much longer question =>", "b =>"]


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return nasty_graph(tmp_path_factory.mktemp("nasty"), 1)


@pytest.fixture(scope="module", params=["bytes", "merged"])
def tokenizer(request):
    return tiny.tokenizer() if request.param == "bytes" else merged_tokenizer()


class Everything:
    """What `BeamWatch` must amount to: a mask over the whole vocabulary."""

    def __init__(self, constraint, limit, prompt_tokens):
        self.constraint, self.limit, self.prompt_tokens = constraint, limit, prompt_tokens

    def __call__(self, input_ids, scores):
        import torch

        kept = torch.full_like(scores, float("-inf"))
        for number, history in enumerate(input_ids[:, self.prompt_tokens :].tolist()):
            row, left = self.constraint.start(self.limit), self.limit
            for token in history:
                row = None if row is None or row.done else self.constraint.follow(row, token, left)
                left -= 1
            if row is None or row.done:
                kept[number, self.constraint.ends[0]] = 0.0
            else:
                allowed = self.constraint.allowed(row, left)
                kept[number, allowed] = scores[number, allowed]
        return kept


@pytest.mark.parametrize("limit", [6, 14])
def test_beams_are_those_of_a_search_with_a_mask(graph, tokenizer, limit):
    import torch
    from transformers import LogitsProcessorList

    model = random_model(tokenizer, 2, 1.5)
    constraint = PlanConstraint(PlanGrammar.of(graph), Vocabulary(tokenizer), {tokenizer.eos_token_id}, STOP)
    inputs = torch.tensor([tokenizer(PROMPTS[0])["input_ids"]])
    found = []
    for kind in ("mask", "watch"):
        tokens = inputs.shape[1]
        watch = Everything(constraint, limit, tokens) if kind == "mask" else BeamWatch([constraint], 3, constraint.ends, limit, tokens)
        settings = {"num_beams": 3, "num_return_sequences": 3, "do_sample": False, "early_stopping": True, "max_new_tokens": limit}
        with torch.inference_mode():
            found.append(model.generate(input_ids=inputs, logits_processor=LogitsProcessorList([watch]), **settings).tolist())
    assert found[0] == found[1]


@blocks(2, 1)
@pytest.mark.parametrize("limit", [1, 3, 7, 20])
@pytest.mark.parametrize("beams", [1, 2, 5])
def test_every_beam_is_a_plan(graph, tokenizer, limit, beams, block):
    generator = Generator(random_model(tokenizer, block, 1.0 + block), tokenizer, batch=5)
    grammars = [PlanGrammar.of(graph), PlanGrammar.of(graph).copying(["b", "who"]), PlanGrammar.of(graph)]
    free = generator.generate_beams(PROMPTS, limit, STOP, beams, [grammars[0]] * 3)
    texts = [*free, *([] if limit < 3 else generator.generate_beams(PROMPTS, limit, STOP, beams, grammars))]
    assert all(free)
    for found in texts:
        assert 1 <= len(found) <= beams and len(set(found)) == len(found)
        for text in found:
            parse(text.strip(), graph)


def test_a_grammar_with_one_plan_gives_one(tmp_path, tokenizer):
    from raykg.kg.build import from_triples

    graph = from_triples(tmp_path, [("a", "r", "b")])
    generator = Generator(random_model(tokenizer), tokenizer)
    found = generator.generate_beams(["q =>"], 1, STOP, 4, [PlanGrammar.of(graph).copying(["b"])])[0]
    assert {text.strip().lower() for text in found} == {"b"}


def test_the_best_of_one_beam_is_what_greedy_writes(graph, tokenizer):
    generator = Generator(random_model(tokenizer, 5, 2.0), tokenizer)
    grammars = [PlanGrammar.of(graph)] * 3
    greedy = generator.generate(PROMPTS, 16, STOP, grammars)
    beams = generator.generate_beams(PROMPTS, 16, STOP, 1, grammars)
    assert [found[0] for found in beams] == greedy
    assert [found[0].confidence for found in beams] == pytest.approx([text.confidence for text in greedy], abs=1e-5)


@pytest.mark.parametrize("constrained", [True, False])
def test_the_confidence_is_the_mean_probability_of_plain_forward_passes(graph, tokenizer, constrained):
    import torch

    class Kept(Generator):
        def _written(self, tokens, stop, confidence):
            kept[tuple(tokens)] = confidence
            return super()._written(tokens, stop, confidence)

    model = random_model(tokenizer, 3, 1.0)
    grammars = [PlanGrammar.of(graph)] if constrained else None
    for prompt in PROMPTS:
        kept = {}
        assert Kept(model, tokenizer).generate_beams([prompt], 9, STOP, 3, grammars)
        assert kept
        asked = tokenizer(prompt)["input_ids"]
        for tokens, confidence in kept.items():
            probabilities = []
            for place, token in enumerate(tokens):
                with torch.inference_mode():
                    logits = model(input_ids=torch.tensor([[*asked, *tokens[:place]]])).logits[0, -1]
                probabilities.append(math.exp(logits[token] - logits.logsumexp(-1)))
            assert confidence == pytest.approx(sum(probabilities) / len(probabilities), abs=1e-5)


def test_a_sequence_that_the_search_never_held_has_no_confidence():
    assert BeamWatch(None, 2, {1}, 5, 3).confidence(0, [4, 5]) == 0.0
