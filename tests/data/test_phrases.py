import random

import pytest

from raykg.data.errors import WordingError
from raykg.data.phrases import Noun, check, count, expand, fill, takes, tidy

WORDS = {"films": ["films", "movies"]}


def test_all_alternatives_are_drawn_and_counted():
    phrase = "(which|what) <films> (|really )star {x}"
    texts = {expand(phrase, WORDS, random.Random(seed)) for seed in range(200)}
    assert len(texts) == count(phrase, WORDS) == 8
    assert "what movies star {x}" in texts


def test_number_agrees_with_what_stands_in_the_place():
    phrase = "when {was/were} {x} made, director{/s}"
    assert fill(phrase, Noun("?1", topic=True)) == "when was ?1 made, director"
    assert fill(phrase, Noun("the films of ?1", plural=True)) == "when were the films of ?1 made, directors"


def test_only_a_topic_may_stand_where_a_topic_must():
    assert takes("{e}'s director", Noun("?1", topic=True))
    assert not takes("{e}'s director", Noun("the films of ?1", plural=True))
    assert takes("the director of {x}", Noun("the films of ?1", plural=True))


def test_tidying_leaves_slots_alone():
    assert tidy("  which  of ?1 , ?2 ") == "which of ?1, ?2"


@pytest.mark.parametrize(
    ("phrase", "message"),
    [
        ("of <filmss> {x}", "<filmss> is not a list under 'words' (there are: films)"),
        ("of {y}", "{y} in 'of {y}' is not a hole"),
        ("of nothing", "has no place for what it is about, add {x}"),
        ("(a|(b|c)) {x}", "unmatched or nested bracket"),
        ("a|b {x}", "unmatched or nested bracket"),
        ("what [x] {x}", "unmatched or nested bracket"),
    ],
)
def test_mistakes_are_named(phrase, message):
    with pytest.raises(WordingError) as caught:
        check(phrase, WORDS, "file: steps.x")
    assert message in str(caught.value)
    assert str(caught.value).startswith("file: steps.x")


def test_good_phrases_pass():
    check("(which|what) <films> {is/are} {x} in", WORDS, "here")
    check("more than {v}", WORDS, "here", ("v",))
