import itertools

import numpy as np
import pytest
import torch

from raykg.answer.prefixes import SHORTEST, Prefixes, shared_by_several

SIZE = 2 * 4 * 3 * 5  # bytes of a token's states: keys and values, float32, 3 heads of 5


def states(tokens):
    """Return states of one layer in which every token has its own number."""
    values = torch.tensor(tokens, dtype=torch.float32)[None, :, None].expand(3, len(tokens), 5)
    return [(values.clone(), -values)]


def brute_force(prompt, kept):
    """Return the longest first part that a prompt shares with what is kept."""
    same = [sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(prompt[:-1], one, strict=False))) for one in kept]
    longest = max(same, default=0)
    return longest if longest >= SHORTEST else 0


@pytest.mark.parametrize("seed", range(10))
def test_the_longest_known_part_is_found(seed):
    rng = np.random.default_rng(seed)
    trunk = rng.integers(0, 3, 60).tolist()
    prompts = [trunk[: int(rng.integers(1, 60))] + rng.integers(0, 3, int(rng.integers(0, 30))).tolist() for _ in range(30)]
    prompts = [prompt for prompt in prompts if prompt]
    prefixes, kept = Prefixes(1 << 20), []
    for prompt in prompts:
        length = brute_force(prompt, kept)
        assert prefixes.known(prompt) == length
        found = prefixes.find(prompt)
        assert (found is None) == (length == 0)
        if found is not None:
            assert found[0] == length
            assert found[1][0][0][0, :length, 0].tolist() == prompt[:length]
        prefixes.keep(prompt, states(prompt))
        kept.append(prompt)


def test_the_last_token_is_always_computed():
    prefixes = Prefixes(1 << 20)
    tokens = list(range(20))
    prefixes.keep(tokens, states(tokens))
    assert prefixes.known(tokens) == 19 and prefixes.known([*tokens, 1]) == 20 and prefixes.known(tokens[:16]) == 0


def test_the_least_recently_used_goes_first():
    prefixes = Prefixes(2 * 20 * SIZE)
    first, second, third = ([number] * 20 for number in (1, 2, 3))
    prefixes.keep(first, states(first))
    prefixes.keep(second, states(second))
    prefixes.find(first)
    prefixes.keep(third, states(third))
    assert [prefixes.known(one) for one in (first, second, third)] == [19, 0, 19] and prefixes.bytes == 2 * 20 * SIZE
    prefixes.keep([4] * 99, states([4] * 99))
    assert prefixes.known([4] * 99) == 0 and prefixes.known(first) == 19, "what is too big drops nothing"
    prefixes.clear()
    assert prefixes.known(first) == 0 and prefixes.bytes == 0


def test_owners_do_not_know_what_others_do():
    prefixes, tokens = Prefixes(1 << 20), list(range(20))
    prefixes.keep(tokens, states(tokens))
    assert prefixes.known(tokens, "films") == 0 and prefixes.find(tokens, "films") is None
    prefixes.keep(tokens, states([-1] * 20), "films")
    prefixes.keep(tokens, states([-2] * 20), "books")
    found = [prefixes.find([*tokens, 1], owner)[1][0][0][0, 0, 0] for owner in (None, "films", "books")]
    assert found == [0, -1, -2] and prefixes.bytes == 3 * 20 * SIZE


def test_what_several_prompts_share():
    few_shot, facts = tuple(range(30)), tuple(range(30)) + tuple(range(50, 80))
    prompts = [(*few_shot, 1), (*few_shot, 2), (*facts, 1), (*facts, 2), (*facts, 3), (7,), (7, 8)]
    assert shared_by_several(prompts) == [few_shot, facts]
    assert shared_by_several([few_shot, few_shot]) == [few_shot[:-1]]
    assert shared_by_several([(1,) * SHORTEST, (1,) * SHORTEST]) == [] and shared_by_several([]) == []
