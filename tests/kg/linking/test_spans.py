import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.kg.build import from_triples
from raykg.kg.linking import Linker
from tests.graphs import film_graph


@pytest.fixture(scope="module")
def linker(tmp_path_factory):
    return Linker(film_graph(tmp_path_factory.mktemp("films")))


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Return names that questions are full of."""
    films = [
        "It",
        "Who",
        "What",
        "Films",
        "The Way",
        "The Way of War",
        "War",
        "M.D.",
        "Captain Newman, M.D.",
        "[REC]",
        "Director",
        "7",
        "1917",
    ]
    triples = [(film, "directed_by", f"person {i}") for i, film in enumerate(films)]
    return Linker(from_triples(tmp_path_factory.mktemp("odd"), triples))


def texts(linker, question, **options):
    return [mention.text for mention in linker.mentions(question, **options)]


def test_names_are_found_with_their_places_and_candidates(linker):
    question = "Did Sigourney Weaver star in Blade Runner or in amélie?"
    mentions = linker.mentions(question)
    assert [mention.text for mention in mentions] == ["Sigourney Weaver", "Blade Runner", "amélie"]
    for mention in mentions:
        assert question[mention.start : mention.end] == mention.text
        assert mention.candidates
        assert 0 < mention.score <= 1
    assert linker.graph.key(mentions[2].candidates[0].node) == "f6"


def test_the_longest_name_wins_and_those_inside_it_come_after(odd):
    mentions = odd.mentions("which people are in The Way of War")
    assert mentions[0].text == "The Way of War"
    assert {mention.text for mention in mentions[1:]} == {"The Way", "War"}
    assert all(mention.score <= 0.5 for mention in mentions[1:])


def test_names_made_of_question_words_come_last_with_low_scores(odd):
    mentions = odd.mentions("who is the director of The Way and what films did it inspire")
    assert mentions[0].text == "The Way"
    assert {mention.text.lower() for mention in mentions[1:]} == {"who", "what", "films", "it", "director"}
    assert all(mention.score <= 0.2 for mention in mentions[1:])
    assert texts(odd, "who was born in it?")[:1] in (["it"], ["who"]), "they are still found when nothing else is there"


def test_marks_that_belong_to_a_name_are_part_of_it(odd):
    assert texts(odd, "who directed Captain Newman, M.D.?")[0] == "Captain Newman, M.D."
    assert texts(odd, "who directed [REC]?") == ["[REC]"]  # a topic in brackets, and a name with brackets
    assert odd.mentions("who directed [REC]?")[0].candidates[0].how == "exact"


def test_an_owner_is_found_without_its_ending(odd):
    for question in ("who is The Way of War's director", "who directed the way of war’s sequel"):
        mention = odd.mentions(question)[0]
        assert mention.text.lower() == "the way of war"
        assert question[mention.start : mention.end] == mention.text


def test_bracketed_topics_are_taken_as_they_stand(linker, odd):
    assert texts(linker, "what films did [James Cameron] direct with Sigourney Weaver") == ["James Cameron"]
    assert texts(linker, "who is in [Aliens] and [Heat]") == ["Aliens", "Heat"]
    assert [c.how for c in linker.mentions("who is in [Alienss]")[0].candidates][0] == "fuzzy"
    assert texts(odd, "who directed [[REC]]") == ["[REC]"]
    assert texts(linker, "an odd ] and [ in Aliens") == ["Aliens"]
    assert texts(linker, "nothing in [] but Aliens") == ["Aliens"]


def test_misspelt_names_are_found_where_no_name_is(linker):
    assert texts(linker, "who directed Blade Runer?") == ["Blade Runer"]
    assert texts(linker, 'who directed "blade runer"')[0] == "blade runer"
    assert texts(linker, "which films did Ridley Scot make?") == ["Ridley Scot"]
    assert "Runner Blade" not in texts(linker, "who directed Heat or alieen")


def test_short_numbers_are_weak_and_years_are_not(odd):
    mentions = {mention.text: mention.score for mention in odd.mentions("7 people saw 1917")}
    assert mentions["1917"] > 0.9 > 0.25 > mentions["7"]


def test_a_limit_keeps_the_most_telling(odd):
    assert texts(odd, "who directed The Way of War or [ it", limit=1) == ["The Way of War"]
    assert odd.mentions("") == []
    assert odd.mentions("?!") == []


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet="AlienHeatwho of[]\"'.é ß&\t1979", max_size=40))
def test_any_text_gives_mentions_that_stand_where_they_say(linker, question):
    for mention in linker.mentions(question):
        assert question[mention.start : mention.end] == mention.text
        assert mention.candidates
        assert linker.mentions(question) == linker.mentions(question)


@pytest.fixture(scope="module")
def signs(tmp_path_factory):
    """Return names of symbols alone, beside ordinary ones."""
    triples = [(film, "directed_by", f"person {i}") for i, film in enumerate(["🎬", "👩‍🎤", "❤", "!!!", "$", "Alien"])]
    return Linker(from_triples(tmp_path_factory.mktemp("signs"), triples))


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("who directed 🎬?", ["🎬"]),
        ("is ❤️ older than Alien", ["❤️", "Alien"]),
        ("who directed 👩‍🎤 and 👩?", ["👩‍🎤"]),
        ("which film is 🎥?", []),
        ("who directed Alien?! it cost $ 5!!!", ["Alien"]),
    ],
)
def test_names_of_symbols_alone_are_found(signs, question, found):
    mentions = signs.mentions(question)
    assert sorted(mention.text for mention in mentions) == sorted(found)
    assert all(question[mention.start : mention.end] == mention.text and mention.candidates[0].score >= 0.92 for mention in mentions)
