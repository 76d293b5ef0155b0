import pytest

from raykg.kg.linking.words import STOP_WORDS, likeness


@pytest.mark.parametrize(
    ("word", "other", "alike"),
    [
        ("directed", "director", 0.75),
        ("written", "writer", 4 / 7),
        ("cat", "car", 0),
        ("a", "a", 1),
        ("act", "actors", 0.5),
        ("content", "conduct", 0),
        ("comparison", "compliance", 0),
    ],
)
def test_words_of_one_stem_are_alike(word, other, alike):
    assert likeness(word, other) == pytest.approx(alike)
    assert likeness(other, word) == pytest.approx(alike)


def test_stop_words_are_folded_words():
    assert {"who", "the", "of"} <= STOP_WORDS
    assert all(word.isalpha() and word.islower() for word in STOP_WORDS)
