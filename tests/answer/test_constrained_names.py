"""Names by letters, and the stretches of a question."""

from hypothesis import given
from hypothesis import strategies as st

from raykg.answer.constrained_names import STRETCH_CHARACTERS, STRETCH_WORDS, NameList, lower, stretches

words = st.lists(st.text("abcB É(", max_size=4), max_size=8)


@given(words, st.booleans())
def test_a_list_is_walked_as_a_search_through_all_texts_says(texts, any_case):
    names = NameList(texts, any_case)
    fold = lower if any_case else str
    known = {fold(text) for text in texts}
    reached = {"": names.root} if known else {}
    while reached:
        prefix, place = reached.popitem()
        rests = sorted((text[len(prefix) :] for text in known if text.startswith(prefix)), key=len)
        assert names.ends(place) == (prefix in known)
        assert names.rest(place) in rests and len(names.rest(place)) == len(rests[0])
        assert {fold(letter) for letter in names.letters(place)} == {rest[0] for rest in rests if rest}
        for letter in "abcB É(":
            child = names.child(place, letter)
            assert (child is not None) == any(rest.startswith(fold(letter)) for rest in rests)
            if child is not None and prefix + fold(letter) not in reached:
                reached[prefix + fold(letter)] = child


def test_an_empty_list_has_nothing():
    names = NameList([])
    assert names.child(names.root, "a") is None
    assert not names.ends(names.root)
    assert names.letters(names.root) == set()
    assert NameList([""]).ends(NameList([""]).root)


def test_letters_that_become_two_stay():
    assert lower("ÄB\u0130ẞ") == "äb\u0130ß"
    assert len(lower("\u0130stanbul")) == 8
    assert lower("ΟΔΟΣ") == "".join(map(lower, "ΟΔΟΣ"))  # no final sigma: a letter does not know what follows


def test_only_keeps_what_is_wanted():
    assert NameList(["a", "é"]).only(str.isascii).texts == ["a"]


def test_the_stretches_of_a_question():
    assert stretches("who is Q?") == ["who", "who is", "who is Q", "who is Q?", "is", "is Q", "is Q?", "Q", "Q?", "?"]
    found = stretches("is [Gaslight (1944)] or Brave's star from '$5 a Day'?")
    for name in ("Gaslight (1944)", "Gaslight", "[Gaslight (1944)]", "Brave", "Brave's star", "$5 a Day", "'$5 a Day'"):
        assert name in found, name
    assert not {"aslight", "Gas", "(194", " or", "or "} & set(found)
    assert stretches("") == stretches("  ") == []


@given(st.text("ab é.'([  ", max_size=30))
def test_stretches_are_all_that_begin_and_end_at_a_words_edge(text):
    def edge(place):
        return not (0 < place < len(text) and text[place - 1].isalnum() and text[place].isalnum())

    expected = {
        text[begin:end]
        for begin in range(len(text))
        for end in range(begin + 1, len(text) + 1)
        if edge(begin) and edge(end) and not text[begin].isspace() and not text[end - 1].isspace()
    }
    found = stretches(text)
    assert len(found) == len(set(found))
    assert set(found) <= expected
    assert {one for one in expected if len(one) <= 2 * STRETCH_WORDS and len(one.split()) <= STRETCH_WORDS} <= set(found)


def test_a_long_text_has_few_stretches_per_word():
    text = "word " * 400
    found = stretches(text)
    assert found == ["word" + " word" * more for more in range(STRETCH_WORDS)]
    assert max(map(len, stretches("x" * 50 + " y" * 200))) <= STRETCH_CHARACTERS
    assert stretches("x" * (STRETCH_CHARACTERS + 1)) == []
