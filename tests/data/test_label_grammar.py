import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.data.label_grammar import entries_from_label, is_plural, literal_phrases, plain_label, plural
from raykg.data.phrases import check, count
from raykg.data.wordings import Wordings
from raykg.kg.logical_form import Entity, Hop, Path, parse

LABELS = [
    "directed by", "has_genre", "release year", "in_language", "starred_actors", "capital", "place of birth", "parents", "located in",
    "member of", "borders", "birthPlace", "__people__ethnicity__languages_spoken", "/film/film/directed_by", "works for", "is part of",
    "spouse", "r0", "has imdb votes", "owned by", "odd (label|with) {signs}", "http://example.org/onto#headquarters",
]  # fmt: skip

PARTS = [
    "directed", "written", "by", "has", "in", "is", "of", "for", "borders", "born", "place", "actors", "member", "speaks", "ISO", "e-mail",
    "(x)", "{y}", "<z>", "[w]", "a|b", "what's", "言語", "?1", "is_a", "rdf#type", "a/b",
]  # fmt: skip


@pytest.mark.parametrize("label", LABELS)
def test_every_label_has_eight_wordings_in_both_directions_and_all_are_well_formed(label):
    for entry in entries_from_label(label):
        phrases = [*entry.modifiers, *entry.phrases, *entry.names, *entry.asks, *entry.terse]
        for phrase in phrases:
            check(phrase, {}, label)
        assert sum(count(phrase, {}) for phrase in phrases) >= 8
    for forward in (True, False):
        wordings = Wordings([label])
        form = parse("?1 > r" if forward else "?1 < r")
        steps = type(form.steps[0])(label, forward)
        asked = {wordings.question(type(form)(form.source, (steps,)), random.Random(seed)) for seed in range(150)}
        assert len(asked) >= 8
        assert all(text.count("?1") == 1 for text in asked)


@given(st.one_of(st.text(min_size=1, max_size=12), st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map(" ".join)))
@settings(max_examples=150, deadline=None)
def test_whatever_a_label_says_its_phrases_are_well_formed_and_ask_about_the_topic_once(label):
    for entry in entries_from_label(label):
        phrases = [*entry.modifiers, *entry.phrases, *entry.names, *entry.asks, *entry.terse]
        for phrase in phrases:
            check(phrase, {}, label)
        assert sum(count(phrase, {}) for phrase in phrases) >= 8
    wordings = Wordings([label])
    for forward in (True, False):
        asked = [wordings.question(Path(Entity("?1"), (Hop(label, forward),)), random.Random(seed)) for seed in range(12)]
        assert all(text.count("?1") == 1 for text in asked), asked


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("/people/ethnicity/languages_spoken", "languages spoken"),
        ("birthPlace", "birth place"),
        ("has_genre", "has genre"),
        ("http://example.org/onto#headOffice", "head office"),
        ("Directed By", "directed by"),
        ("made in (year) ?1", "made in year 1"),
        ("<{|}>", "relation"),
        ("/", "relation"),
    ],
)
def test_labels_become_words(label, words):
    assert plain_label(label) == words


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("city", "cities"),
        ("place of birth", "places of birth"),
        ("box", "boxes"),
        ("person", "people"),
        ("day", "days"),
        ("parents", "parents"),
    ],
)
def test_plurals(one, many):
    assert plural(one) == many
    assert is_plural(many)


@pytest.mark.parametrize(
    ("label", "direction", "expected"),
    [
        ("directed by", 0, "who directed {x}"),
        ("written by", 0, "who wrote {x}"),
        ("written by", 1, "(which|what) things did {x} write"),
        ("in language", 0, "in (what|which) language {is/are} {x}"),
        ("has genre", 0, "what (is|was) the genre of {x}"),
        ("located in", 0, "what {is/are} {x} located in"),
        ("works for", 0, "what {does/do} {x} work for"),
        ("borders", 1, "(which|what) things border {x}"),
        ("capital", 1, "{x} {is/are} the capital of (which|what) things"),
        ("parents", 0, "what (are|were) the parents of {x}"),
    ],
)
def test_labels_are_read_for_their_shape(label, direction, expected):
    assert expected in entries_from_label(label)[direction].asks


def test_types_name_heads_and_tails():
    forward, backward = entries_from_label("directed by", ("film", "films"), ("person", "people"))
    assert "films directed by {x}" in backward.phrases
    assert "people who directed {x}" in forward.phrases


def test_values_are_compared_in_words():
    phrases = literal_phrases("has imdb rating")
    assert set(phrases) >= {"=", "!=", "<", "<=", ">", ">=", "most", "least", "ask max", "ask min"}
    for which, texts in phrases.items():
        assert all("imdb rating" in text for text in texts)
        assert all(("{v}" in text) == (which in ("=", "!=", "<", "<=", ">", ">=")) for text in texts)
