"""Jobs of several adapters write what each writes alone, in fewer passes of the model."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from raykg.answer.generation import Generator
from raykg.answer.question import AnswerError
from raykg.answer.together import Together
from raykg.models.reference import load_tokenizer
from tests.answer.adapted import Family

PROMPTS = ["who directed Alien", "films of Ridley Scott, the oldest first", "x", "which year was it, do you know"]
NAMES = ["films", "books", "games"]


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    return Family("llama", tmp_path_factory.mktemp("together"))


def opened(family):
    return family.model, load_tokenizer(family.folder)


def test_each_adapter_writes_what_it_writes_alone(family):
    """Jobs of different length, of which one asks three times and one not at all."""
    model, tokenizer = opened(family)
    prompts = {name: [PROMPTS[:3], PROMPTS[1:], PROMPTS[:1]][: 1 + number] for number, name in enumerate(NAMES)}
    alone = {name: [Generator(model.bound(name), tokenizer, 8).generate(some, 12) for some in prompts[name]] for name in NAMES}
    together = Together(model, batch=32)
    generators = {name: together.generator(name, tokenizer) for name in NAMES}
    jobs = {name: partial(lambda name: [generators[name].generate(some, 12) for some in prompts[name]], name) for name in NAMES}
    found = together.run({**jobs, NAMES[0]: list})
    assert found == {**alone, NAMES[0]: []}
    assert len({str(texts[0]) for name, texts in found.items() if texts}) > 1, "the adapters write different texts"
    assert generators[NAMES[1]].new_tokens > 0


def test_a_step_of_all_is_one_pass_of_the_model(family):
    model, tokenizer = opened(family)
    steps = []
    for count in (1, len(NAMES)):
        together = Together(model, batch=32)
        names = NAMES[:count]
        together.run({name: partial(together.generator(name, tokenizer).generate, PROMPTS[:1], 12) for name in names})
        steps.append(together.steps)
    assert steps[1] <= steps[0] + 12, "as many passes as the longest of the texts takes"
    assert steps[1] < 12 * len(NAMES)


def test_texts_are_written_when_every_job_wants_some_or_has_ended(family, monkeypatch):
    model, tokenizer = opened(family)
    together = Together(model, batch=32)
    written = []
    monkeypatch.setattr(together, "_write", lambda lines, write=together._write: (written.append(len(lines)), write(lines)))

    def job(name, times):
        for _ in range(times):
            together.generator(name, tokenizer).generate(PROMPTS[:2], 4)

    together.run({name: partial(job, name, times) for name, times in zip(NAMES, (3, 1, 2), strict=True)})
    assert written[:3] == [6, 4, 2] and not any(written[3:])


def test_beams_are_each_adapters_own(family):
    model, tokenizer = opened(family)
    together = Together(model, batch=8)
    found = together.run({name: partial(together.generator(name, tokenizer).generate_beams, PROMPTS[:2], 6, None, 2) for name in NAMES})
    for name in NAMES:
        assert found[name] == Generator(model.bound(name), tokenizer, 8).generate_beams(PROMPTS[:2], 6, None, 2)


def test_one_job_at_a_time_and_an_error_stops_its_own_alone(family):
    model, tokenizer = opened(family)
    together = Together(model, batch=8)
    busy = threading.Lock()
    seen = []

    def job(name):
        for _ in range(3):
            assert busy.acquire(blocking=False), "two jobs work at a time"
            seen.append(name)
            busy.release()
            together.generator(name, tokenizer).generate(PROMPTS[:1], 4)
        if name == NAMES[0]:
            raise ValueError("its own mistake")
        return name

    with pytest.raises(ValueError, match="its own mistake"):
        together.run({name: partial(job, name) for name in NAMES})
    assert sorted(seen) == sorted([*NAMES] * 3), "the others went on"
    assert together.run({NAMES[1]: lambda: 7}) == {NAMES[1]: 7}, "and it may be used again"


def test_what_the_model_raises_reaches_those_who_wait(family, monkeypatch):
    model, tokenizer = opened(family)
    together = Together(model, batch=8)
    monkeypatch.setattr("raykg.answer.together.Decoder.step", lambda self: (_ for _ in ()).throw(RuntimeError("out of memory")))
    with pytest.raises(RuntimeError, match="out of memory"):
        together.run({name: partial(together.generator(name, tokenizer).generate, PROMPTS, 4) for name in NAMES})


def test_outside_of_a_job_nothing_is_generated(family):
    model, tokenizer = opened(family)
    with pytest.raises(AnswerError, match=r"outside of a job: pass its work to `Together\.run`"):
        Together(model, batch=8).generator(NAMES[0], tokenizer).generate(PROMPTS[:1], 4)
