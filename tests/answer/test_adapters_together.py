"""Texts of several adapters are written in one batch, each token for token as by the adapter merged alone."""

from concurrent.futures import ThreadPoolExecutor
from random import Random

import numpy as np
import pytest

from raykg.answer.choosing import ModelChooser, continuation_scores
from raykg.answer.continuous import ContinuousGenerator, Engine
from raykg.answer.decoding import Decoder
from raykg.answer.generation import Generator
from raykg.answer.prefixes import Prefixes
from raykg.models import tiny
from raykg.models.lora import LoraError
from raykg.models.reference import load_tokenizer
from tests.answer.adapted import Family
from tests.answer.test_decoding import Until, prompts_of, reference

NAMES = ["films", None, "books", "games"]


@pytest.fixture(scope="module", params=sorted(tiny.ARCHITECTURES))
def family(request, tmp_path_factory):
    return Family(request.param, tmp_path_factory.mktemp(request.param))


def decode(decoder, lines, rng):
    waiting, mixed = list(lines), 0
    while waiting or decoder.busy:
        if waiting and rng.random() < 0.6:
            some = rng.randint(1, 5)
            decoder.add(waiting[:some])
            waiting = waiting[some:]
        decoder.step()
        mixed = max(mixed, len({line.adapter for line in decoder._lines}))
    return mixed


@pytest.mark.parametrize("keep", [pytest.param(None, marks=pytest.mark.story), False, True])
def test_a_mixed_batch_writes_what_each_adapter_writes_alone(family, keep):
    rng = Random(4)
    lines = []
    for prompt in prompts_of(rng, 8):  # each prompt for all of them: what one knows of it must not reach another
        for name in NAMES:
            lines.append(Until(prompt, rng.randint(3, 10)))
            lines[-1].adapter = name
    decoder = Decoder(family.model, 6, None if keep is None else Prefixes(4 << 20), keep_prompts=bool(keep))
    assert decode(decoder, lines, rng) >= 3, "adapters were never in one batch"
    texts = {}
    for line in lines:
        assert line.tokens == reference(family.alone[line.adapter], line.prompt, line.length), line.adapter
        texts.setdefault(line.prompt, set()).add(tuple(line.tokens[:3]))
    assert sum(map(len, texts.values())) > 3 * len(texts), "the adapters do not differ, so nothing is tested"
    assert (decoder.reused > 0) == bool(keep) or keep is False


def test_generators_of_one_engine_write_for_their_adapters(family):
    tokenizer, rng = load_tokenizer(family.folder), Random(2)
    engine = Engine(family.model, 6)
    made = {name: ContinuousGenerator(family.model.bound(name), tokenizer, engine=engine, adapter=name) for name in NAMES if name}
    facts = "1 Alien directed by Ridley Scott\n2 Aliens directed by James Cameron\n"
    asked = [(name, [facts * rng.randint(0, 1) + f"{rng.randint(1, 99)} who =>" for _ in range(rng.randint(1, 3))]) for name in [*made] * 4]

    def ask(job):
        name, prompts = job
        with made[name].turn():
            greedy = made[name].generate(prompts, 8)
            beams = made[name].generate_beams(prompts[:1], 5, None, 2)
            scores = continuation_scores(made[name].model, [5, 6, 7], [[8, 9], [10]])
            return greedy, beams, scores

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(ask, asked))
    for (name, prompts), (greedy, beams, scores) in zip(asked, found, strict=True):
        alone = Generator(family.alone[name], tokenizer)
        assert greedy == alone.generate(prompts, 8)
        assert beams == alone.generate_beams(prompts[:1], 5, None, 2)
        np.testing.assert_allclose(scores, continuation_scores(family.alone[name], [5, 6, 7], [[8, 9], [10]]), atol=1e-4)
    assert engine.prompt_reads[1] > 0 and ModelChooser(made["films"]).model is made["films"].model
    assert sum(one.new_tokens for one in made.values()) > 0
    engine.close()


def test_an_adapter_that_is_not_there_is_an_error_and_never_the_base(family):
    engine = Engine(family.model, 2)
    generator = ContinuousGenerator(family.model.bound("plays"), load_tokenizer(family.folder), engine=engine, adapter="plays")
    with pytest.raises(LoraError, match="plays: is not in memory"):
        generator.generate(["who"], 3)
    with pytest.raises(LoraError, match="plays: is not in memory"), generator.turn():
        generator.generate_beams(["who"], 3, None, 2)
    engine.close()
