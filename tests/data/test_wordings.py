import json
import random
import re

import pytest

from raykg.data.errors import WordingError
from raykg.data.masking import mask_slots, wordings
from raykg.data.phrases import count
from raykg.data.wordings import BUILTIN, Wordings
from raykg.kg.logical_form import parse, slots

MOVIES = ["directed by", "written by", "starred actors", "release year", "in language", "has tags", "has genre", "has imdb votes",
          "has imdb rating", "country", "runtime"]  # fmt: skip
FORMS = [
    "?1 > directed by",
    "?1 < starred actors",
    "~?1 > directed by < directed by",
    "~?1 < starred actors > starred actors",
    "~?1 > written by < written by > has genre",
    "?1 < starred actors > directed by < directed by",
    "?1 < starred actors & ?2 < directed by",
    "?1 < has genre - ?2 < directed by",
    "count(?1 < starred actors)",
    "count(~?1 > directed by < directed by)",
    "?1 < starred actors [release year >= 1990]",
    "~?1 > directed by < directed by [runtime < 90]",
    "?1 < starred actors [max release year]",
    "(?1 | ?2) [max runtime]",
    "(?1 | ?2 | ?3) [min release year]",
    "?1 < directed by | ?1 < written by",
    "(?1 < directed by & ?2 < starred actors) > has genre",
    "?1 < directed by [max runtime] > starred actors",
    "(?1 < directed by & ?2 < starred actors) [min runtime]",
    "?1",
]


@pytest.fixture(scope="module")
def movies():
    return Wordings(MOVIES, "movies")


@pytest.mark.parametrize("text", FORMS)
@pytest.mark.parametrize("authored", ["movies", None])
def test_every_slot_of_a_plan_stands_in_its_question_and_nothing_is_left_open(text, authored):
    form, words = parse(text), Wordings(MOVIES, authored)
    for seed in range(60):
        question = words.question(form, random.Random(seed))
        assert set(re.findall(r"\?\d+", question)) == {f"?{number + 1}" for number in range(len(slots(form)))}, question
        assert not re.search(r"[{}<>|~]|\bthe the\b|  ", question), question


@pytest.mark.parametrize("relation", MOVIES)
@pytest.mark.parametrize("forward", [True, False])
def test_the_author_of_movies_wrote_twelve_wordings_for_each_direction(movies, relation, forward):
    entry = movies.entry(relation, forward)
    phrases = [*entry.modifiers, *entry.phrases, *entry.names, *entry.asks, *entry.terse]
    assert len(phrases) >= 12
    form = parse(f"?1 {'>' if forward else '<'} {relation}")
    asked = [movies.question(form, random.Random(seed)) for seed in range(400)]
    assert len(set(wordings(mask_slots(asked)).to_pylist())) >= 12
    assert sum(count(phrase, movies.words) for phrase in phrases) >= 12


@pytest.mark.parametrize("relation", ["capital", "continent", "currency", "language", "neighbour", "population", "area"])
@pytest.mark.parametrize("sign", [">", "<"])
def test_the_author_of_geography_wrote_eight(relation, sign):
    words = Wordings(["capital", "continent", "currency", "language", "neighbour", "population", "area"], "geography")
    asked = [words.question(parse(f"?1 {sign} {relation}"), random.Random(seed)) for seed in range(300)]
    assert len(set(wordings(mask_slots(asked)).to_pylist())) >= 8


def test_walks_that_return_are_asked_as_people_ask(movies):
    form = parse("~?1 < starred actors > starred actors")
    asked = {movies.question(form, random.Random(seed)) for seed in range(300)}
    assert any("co-star" in question for question in asked)
    form = parse("~?1 > directed by < directed by")
    assert any("same" in movies.question(form, random.Random(seed)) for seed in range(100))


def test_phrases_for_walks_that_never_come_back_are_kept_for_those(movies):
    form = parse("?1 > directed by < directed by")
    assert not any(re.search(r"same|shar|other|else", movies.question(form, random.Random(seed))) for seed in range(200))


def test_the_draw_alone_decides(movies):
    form = parse("~?1 > written by < written by > has genre")
    assert [movies.question(form, random.Random(seed)) for seed in range(9)] == [
        movies.question(form, random.Random(seed)) for seed in range(9)
    ]


def test_relation_names_match_whatever_their_underscores_and_case():
    words = Wordings(["directed_by"], "movies")
    assert words.entry("directed_by", True) == Wordings(["directed by"], "movies").entry("directed by", True)


def test_relations_that_end_in_the_same_words_keep_their_own_nouns():
    nouns = {"/film/name": (("film", "films"), None), "/music/name": (("album", "albums"), None)}
    words = Wordings([*nouns], nouns=nouns)
    assert words.entry("/film/name", False).nouns == {"film": "films"}
    assert words.entry("/music/name", False).nouns == {"album": "albums"}
    assert "film" in words.question(parse("x < /film/name"), random.Random(1))


def test_an_author_words_every_relation_that_is_written_so(tmp_path):
    file = tmp_path / "own.json"
    file.write_text(json.dumps({"steps": {"> name": {"asks": ["how is {x} called"]}}, "literals": {"name": {"max": ["last"]}}}))
    words = Wordings(["/film/name", "/music/name"], str(file))
    for relation in ("/film/name", "/music/name"):
        assert words.entry(relation, True).asks == ("how is {x} called",)
        assert words.literal(relation, "max") == ("last",)


@pytest.mark.parametrize("file", sorted(BUILTIN.glob("*_wordings.json")), ids=lambda file: file.stem)
def test_built_in_files_say_how_they_were_written(file):
    assert "without looking at the questions" in json.loads(file.read_text(encoding="utf-8"))["about"]


def test_a_plan_with_a_foreign_relation_is_refused(movies):
    with pytest.raises(WordingError, match="relation 'painted by': no wordings for it"):
        movies.question(parse("?1 > painted by"), random.Random(0))


def test_lists_that_an_author_leaves_out_come_from_the_label(tmp_path):
    file = tmp_path / "own.json"
    file.write_text(json.dumps({"steps": {"> directed by": {"asks": ["who is to blame for {x}"]}}}))
    entry = Wordings(["directed by"], str(file)).entry("directed by", True)
    assert entry.asks == ("who is to blame for {x}",)
    assert "the director of {x}" in entry.names


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "no wordings file can be read there"),
        ('{"words": {}}', "own.json: steps: missing"),
        ('{"steps": {"> a": ["x"]}}', "own.json: steps.> a: expected an object"),
        ('{"steps": {"> a": {"ask": ["x"]}}}', "own.json: steps.> a.ask: no such list, expected one of asks"),
        ('{"steps": {"> a": {"asks": "x"}}}', "own.json: steps.> a.asks: expected a list of texts"),
        ('{"steps": {"> a": {"asks": ["who"]}}}', "own.json: steps.> a.asks: 'who' has no place"),
        ('{"steps": {"> a [b > 3]": {"asks": ["who {x}"]}}}', "own.json: steps.> a [b > 3]: expected hops alone"),
        ('{"steps": {"directed by": {"asks": ["who {x}"]}}}', "own.json: steps.directed by: "),
        ('{"steps": {}, "words": {"films": "films"}}', "own.json: words.films: expected a list"),
        ('{"steps": {}, "literals": {"year": {"newer": ["x"]}}}', "own.json: literals.year.newer: no such list"),
    ],
)
def test_mistakes_in_a_file_are_named(tmp_path, content, message):
    file = tmp_path / "own.json"
    file.write_text(content)
    with pytest.raises(WordingError) as caught:
        Wordings(["a"], str(file))
    assert message in str(caught.value)


def test_an_unknown_name_lists_the_built_in_ones():
    with pytest.raises(WordingError, match="geography, movies"):
        Wordings(["a"], "moveis")
