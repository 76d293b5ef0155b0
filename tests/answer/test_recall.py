"""What a model is asked about a missing fact, and which names are read in its text."""

import pytest

from raykg.answer.question import Missing
from raykg.answer.recall import Recall, prompt_words
from tests.answer.stubs import Writer

PATTERN = Missing("Alien", "directed by", "?")


def recalled(text, pattern=PATTERN, **settings):
    writer = Writer({"": text})
    writer.tokenizer = None
    return Recall(writer, **settings).names([pattern])[0]


def test_names_are_read_one_by_one():
    assert recalled(" Ridley Scott; James Cameron; Ridley Scott.") == ["Ridley Scott", "James Cameron"]
    assert recalled(" Aa; Bb; Cc; Dd", most=2) == ["Aa", "Bb"]
    assert recalled(' "a; b"; c') == ["a; b", "c"]


@pytest.mark.parametrize("text", ["", "?", " Unknown", " I don't know.", " Alien", " [1]", " " + "x" * 300, " a\x07b", " ; ;"])
def test_what_is_no_name_is_not_read(text):
    assert recalled(text) == []


def test_a_prompt_that_is_too_long_gives_nothing():
    assert recalled(" x", Missing("y" * 6000, "directed by", "?")) == []


def test_each_pattern_is_asked_once_and_none_asks_nobody():
    writer = Writer({"Alien directed by ?": " Ridley Scott", "? directed by": " Heat"})
    writer.tokenizer = None
    patterns = [PATTERN, Missing("?", "directed by", "Michael Mann")]
    assert Recall(writer).names(patterns) == [["Ridley Scott"], ["Heat"]]
    assert len(writer.asked) == 2
    assert Recall(writer).names([]) == [] and len(writer.asked) == 2


def test_the_prompt_shows_the_fact_after_examples():
    assert prompt_words("few_shot", "Alien directed by ?").endswith("Q: Alien directed by ?\nA:")
    assert "France capital ?" in prompt_words("few_shot", "x")
    assert prompt_words("bare", "x") == "Q: x\nA:"
