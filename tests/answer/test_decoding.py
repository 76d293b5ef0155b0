"""Lines that come and go at any step are written as `transformers.generate` writes each of them alone."""

from random import Random

import pytest

from raykg.answer import decoding
from raykg.answer.decoding import Decoder, Line
from raykg.answer.prefixes import Prefixes
from raykg.models import tiny
from tests.blocks import blocks

LENGTH = 14


class Until(Line):
    def __init__(self, prompt, length):
        super().__init__(prompt)
        self.length, self.probabilities = length, []

    def wrote(self, token, probability):
        self.tokens.append(token)
        self.probabilities.append(probability)
        return len(self.tokens) == self.length


@pytest.fixture(scope="module", params=sorted(tiny.ARCHITECTURES))
def model(request, tmp_path_factory):
    import torch
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp(request.param)
    tiny.write(request.param, folder)
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(1)
        for weight in loaded.parameters():  # far from uniform logits, so that rounding cannot choose a token
            weight.add_(torch.randn_like(weight) * 0.2)
    return loaded


def reference(model, prompt, length):
    import torch

    inputs = torch.tensor([prompt])
    ends = {"eos_token_id": None, "pad_token_id": 0}
    written = model.generate(inputs, attention_mask=torch.ones_like(inputs), max_new_tokens=length, do_sample=False, **ends)
    return written[0, len(prompt) :].tolist()


def prompts_of(rng, count):
    """Return prompts of 1 to 60 tokens, of which many begin alike."""
    trunks = [[rng.randint(1, 250) for _ in range(40)] for _ in range(3)]
    made = []
    for _ in range(count):
        trunk = rng.choice(trunks)[: rng.choice([0, 10, 20, 40])]
        made.append(trunk + [rng.randint(1, 250) for _ in range(rng.randint(1, 20))])
    return made


@blocks(3, 1)
@pytest.mark.parametrize("keep", [None, False, True])
def test_lines_that_come_and_go_are_written_as_if_alone(model, block, keep):
    rng = Random(block)
    lines = [Until(prompt, rng.randint(1, LENGTH)) for prompt in prompts_of(rng, 25)]
    decoder = Decoder(model, 6, None if keep is None else Prefixes(1 << 20), keep_prompts=bool(keep))
    waiting, ended, most = list(lines), [], 0
    while waiting or decoder.busy:
        if waiting and rng.random() < 0.5:
            some = rng.randint(1, 5)
            decoder.add(waiting[:some])
            waiting = waiting[some:]
        ended += decoder.step()
        most = max(most, len(decoder._lines))
    assert sorted(map(id, ended)) == sorted(map(id, lines)), "each line ends once"
    assert most <= 6
    for line in lines:
        assert line.tokens == reference(model, line.prompt, line.length)
    computed = sum(len(line.prompt) for line in lines)
    if keep is None:
        assert (decoder.read, decoder.reused) == (computed, 0)
    elif keep:
        assert decoder.read < computed and decoder.reused > 0


def test_one_line_more_joins_between_two_steps(model):
    first, second = Until([5, 6, 7], 12), Until([9] * 30, 3)
    decoder = Decoder(model, 2)
    decoder.add([first])
    for _ in range(4):
        decoder.step()
    decoder.add([second])
    ended = [line for _ in range(3) for line in decoder.step()]
    assert ended == [second] and len(first.tokens) == 6, "the second one did not wait for the first"
    while decoder.busy:
        decoder.step()
    assert first.tokens == reference(model, first.prompt, 12) and second.tokens == reference(model, second.prompt, 3)


def test_abandoned_lines_leave_at_the_next_step(model):
    stays, goes, waits = Until([5, 6], 8), Until([7, 8], 8), Until([9], 8)
    decoder = Decoder(model, 2)
    decoder.add([stays, goes, waits])
    decoder.step()
    goes.abandoned = waits.abandoned = True
    assert set(decoder.step()) == {goes, waits} and len(goes.tokens) == 1
    while decoder.busy:
        decoder.step()
    assert stays.tokens == reference(model, stays.prompt, 8)
    decoder.add([Until([1], 5)])
    decoder.clear()
    assert not decoder.busy and decoder.step() == []


def test_a_crowd_is_read_in_groups(model):
    decoder = Decoder(model, 8)
    decoder.add([Until([3, place + 1], 2 + place) for place in range(20)])
    sizes = []
    while decoder.busy:
        waited = len(decoder._waiting)
        decoder.step()
        if len(decoder._waiting) < waited:
            sizes.append(waited - len(decoder._waiting))
    assert sizes[0] == 8 and all(size >= 2 for size in sizes) and sum(sizes) == 20


def test_common_padding_is_cut_off(model):
    long, short = Until([4] * 50, 2), Until([5], 12)
    decoder = Decoder(model, 2)
    decoder.add([long, short])
    while decoder.busy:
        decoder.step()
        if long.length == len(long.tokens) and decoder._rows is not None:
            assert decoder._rows.mask.shape[1] < 20
    assert short.tokens == reference(model, short.prompt, 12)


def test_models_with_other_caches_take_one_batch_after_another(model, monkeypatch):
    monkeypatch.setattr(decoding, "_layer_kinds", lambda _: ["DynamicSlidingWindowLayer"])
    rng = Random(5)
    lines = [Until(prompt, rng.randint(1, LENGTH)) for prompt in prompts_of(rng, 9)]
    decoder = Decoder(model, 4, Prefixes(1 << 20), keep_prompts=True)
    decoder.add(lines)
    while decoder.busy:
        decoder.step()
    assert decoder.reused == 0
    for line in lines:
        assert line.tokens == reference(model, line.prompt, line.length)
