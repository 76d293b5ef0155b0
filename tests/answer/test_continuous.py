import threading
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from raykg.answer.continuous import AbandonedError, ContinuousGenerator, Engine, Turns, Work
from raykg.answer.decoding import Line
from raykg.answer.generation import Generator, TooLong
from raykg.models.reference import load_model, load_tokenizer, resolve


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    import torch

    folder = resolve("tiny:llama", cache=tmp_path_factory.mktemp("tiny"))
    model = load_model(folder, "float32")
    with torch.no_grad(), torch.random.fork_rng():
        torch.manual_seed(1)
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.2)
    return model, load_tokenizer(folder)


@pytest.fixture
def generator(tiny):
    made = ContinuousGenerator(*tiny, batch=4)
    yield made
    made.close()


def prompts_of(rng, count):
    facts = ["1 Alien directed by Ridley Scott\n", "1 Aliens directed by James Cameron\n2 Aliens release year 1986\n", ""]
    return [rng.choice(facts) + "".join(rng.choice("abcdefgh ") for _ in range(rng.randint(1, 30))) + " =>" for _ in range(count)]


def test_many_threads_get_what_each_would_get_alone(tiny, generator):
    rng = Random(2)
    asked = [prompts_of(rng, rng.randint(1, 5)) for _ in range(24)]
    alone = [Generator(*tiny).generate(prompts, 10) for prompts in asked]

    def ask(prompts):
        with generator.turn():
            return generator.generate(prompts, 10)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, asked)) == alone
    _, known = generator.engine.prompt_reads
    assert known > 0, "prompts that begin alike are not read twice"
    assert generator.engine.steps < sum(map(len, asked)) * 10 / 2, "they were written together"


def test_only_one_thread_works_at_a_time_and_others_do_while_it_waits(generator):
    working, most, seen = 0, 0, []

    def ask(number):
        nonlocal working, most
        for _ in range(3):
            with generator.turn():
                working += 1
                most = max(most, working)
                time.sleep(0.001)
                working -= 1
                before = len(seen)
                generator.generate([f"{number}"], 12)
                seen.append(len(seen) > before)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1 and any(seen)


def test_who_is_abandoned_is_told_and_the_others_are_not(generator):
    work, other = Work(), Work()
    result = []

    def ask():
        with generator.turn(other):
            result.append(generator.generate(["b"], 12)[0])

    with generator.turn(work):
        thread = threading.Thread(target=ask)
        thread.start()
        work.abandon()
        with pytest.raises(AbandonedError, match="nobody waits"):
            generator.generate(["a" * 50], 900)
    with pytest.raises(AbandonedError), generator.turn(work):
        pytest.fail("an abandoned work gets no turn")
    assert isinstance(generator.generate(["c"], 2)[0], str), "the next text of the same thread is not the abandoned work's"
    thread.join()
    assert len(result) == 1 and generator.engine.steps < 100


def test_an_error_of_a_step_reaches_who_waits_and_the_next_are_served(generator):
    class Broken(Line):
        def wrote(self, token, probability):
            raise ValueError("cannot write")

    with pytest.raises(ValueError, match="cannot write"):
        generator.submit([Broken([1, 2])]).result(10)
    assert isinstance(generator.generate(["a"], 3)[0], str)
    assert generator.submit([]).result(1) is None
    assert isinstance(generator.generate(["a" * 2000], 3)[0], TooLong)


def test_beams_take_a_turn_of_their_own(tiny, generator):
    with generator.turn():
        assert generator.generate_beams(["a", "b"], 6, None, 2) == Generator(*tiny).generate_beams(["a", "b"], 6, None, 2)


def test_a_closed_model_says_so(tiny):
    generator = ContinuousGenerator(*tiny, engine=Engine(tiny[0], batch=2, wait=0.001))
    generator.generate(["a"], 2)
    generator.close()
    with pytest.raises(AbandonedError, match="closed"):
        generator.generate(["a"], 2)


def test_turns_are_given_in_the_order_of_asking():
    turns, order = Turns(), []

    def work(number):
        with turns:
            order.append(number)

    threads = []
    with turns:
        for number in range(8):
            threads.append(threading.Thread(target=work, args=(number,)))
            threads[-1].start()
            while len(turns._queue) <= number:
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == list(range(8))
    with turns.lent():
        pass
    with turns, turns.lent(), ThreadPoolExecutor(1) as pool:
        pool.submit(work, 9).result(5)
    assert order[-1] == 9
