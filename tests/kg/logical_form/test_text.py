from random import Random
from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from raykg.kg.logical_form import (
    Count,
    Date,
    Entity,
    Exclusion,
    Filter,
    Hop,
    LogicalFormError,
    ParseError,
    Superlative,
    intersection,
    parse,
    path,
    slots,
    template,
    union,
    write,
)
from raykg.kg.wheel import WheelError
from raykg.models.reference import DEFAULT, ModelReferenceError, resolve
from tests.kg.logical_form import metaqa
from tests.kg.logical_form.random_forms import RandomForms

ACTED, DIRECTED = Hop("starred actors", forward=False), Hop("directed by", forward=False)
HANKS = Entity("Tom Hanks")
CANONICAL = {
    "Joel Zwick": Entity("Joel Zwick"),
    "Joel Zwick < directed by > in language": path(Entity("Joel Zwick"), DIRECTED, Hop("in language")),
    "~Woody Allen < directed by > starred actors": path(Entity("Woody Allen"), DIRECTED, Hop("starred actors"), away=True),
    "A < starred actors & B < directed by": intersection(path(Entity("A"), ACTED), path(Entity("B"), DIRECTED)),
    "(X & Y) - Z": Exclusion(intersection(Entity("X"), Entity("Y")), Entity("Z")),
    "X - (Y - Z)": Exclusion(Entity("X"), Exclusion(Entity("Y"), Entity("Z"))),
    "count(Tom Hanks < starred actors)": Count(path(HANKS, ACTED)),
    "count(A | B)": Count(union(Entity("A"), Entity("B"))),
    "Tom Hanks < starred actors [release year >= 1990]": path(HANKS, ACTED, Filter("release year", ">=", 1990)),
    "Tom Hanks < starred actors [max release year]": path(HANKS, ACTED, Superlative("release year", "max")),
    "(Alien | Heat) [max runtime]": path(union(Entity("Alien"), Entity("Heat")), Superlative("runtime", "max")),
    "(Alien (1979) | Heat) [min runtime] > has genre": path(
        union(Entity("Alien (1979)"), Entity("Heat")), Superlative("runtime", "min"), Hop("has genre")
    ),
    "(~A > r) > s": path(path(Entity("A"), Hop("r"), away=True), Hop("s")),
    "~(A > r) > s": path(path(Entity("A"), Hop("r")), Hop("s"), away=True),
    '"(Untitled)" < "a - b"': path(Entity("(Untitled)"), Hop("a - b", forward=False)),
    'A [title = "1984"]': path(Entity("A"), Filter("title", "=", "1984")),
    "A [title != Brave New World]": path(Entity("A"), Filter("title", "!=", "Brave New World")),
    "A [born < 1990-05-01]": path(Entity("A"), Filter("born", "<", Date("1990-05-01"))),
    'A [born = "1990-05-01"]': path(Entity("A"), Filter("born", "=", "1990-05-01")),
    'A ["max y" = -0.5]': path(Entity("A"), Filter("max y", "=", -0.5)),
    'A ["max" = 1e+20]': path(Entity("A"), Filter("max", "=", 1e20)),
    "A [max max y]": path(Entity("A"), Superlative("max y", "max")),
    '"say \\"\\u0007\\\\\\n\\""': Entity('say "\x07\\\n"'),
}


@pytest.mark.parametrize("text", CANONICAL)
def test_canonical_texts_both_ways(text):
    assert parse(text) == CANONICAL[text]
    assert write(CANONICAL[text]) == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("(Tom Hanks < starred actors) > has genre", "Tom Hanks < starred actors > has genre"),
        ("((A))", "A"),
        ("(A | B) | (C)", "A | B | C"),
        ("count((A))", "count(A)"),
        ('"A" > "r"', "A > r"),
        ("A [y >= 1990.00]", "A [y >= 1990]"),
        ("A [y >= 007]", "A [y >= 7]"),
        ("A [y = -0]", "A [y = 0]"),
        ('"\\u0041"', "A"),
    ],
)
def test_needless_marks_are_dropped(text, canonical):
    assert write(parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("", 0, "an entity, ~ or ("),
        (" A", 0, "no space at a name's ends"),
        ("A\n", 1, "no space at a name's ends"),
        ("A  > r", 1, "no space at a name's ends"),
        ("A >  r", 4, "no space at a name's ends"),
        ("A >", 1, "' > '"),
        ("A > ", 4, "a relation"),
        ("A & ", 4, "an entity, ~ or ("),
        ("A & B | C", 5, "mixing it with ' | ' needs parentheses"),
        ("A - B & C", 5, "mixing it with ' & ' needs parentheses"),
        ("A - B - C", 5, "parentheses around one of the exclusions"),
        ("~A", 2, "a hop"),
        ("~(A > r) [max y]", 16, "the walk that ~ begins at position 0 has none"),
        ("(A", 2, "')'"),
        ("A)", 1, "the end"),
        ("~~A > r", 1, "an entity or '('"),
        ("count(A", 7, "')'"),
        ("count(A) > r", 8, "the end"),
        ("A & count(B)", 4, "does not begin with ~, ( or count("),
        ("A > (b)", 4, "does not begin with ~, ( or count("),
        ("A (b > r", 2, "balanced parentheses"),
        ("A > r [", 7, "a relation"),
        ("A > r [max ", 11, "a relation"),
        ("A > r [x", 8, "= != < <= > >="),
        ("A [x ~ 3]", 8, "= != < <= > >="),
        ("A [x >= ", 8, "a number, date or text"),
        ("A [x >= 3", 9, "]"),
        ("A [max x", 8, "]"),
        ("A [x > foo]", 7, "a text knows only = and !="),
        ("A [x > 1e999]", 7, "a finite number"),
        ("A [x > 1990-13-01]", 7, "YYYY-MM-DD"),
        ("A[x > 3]", 1, "' ['"),
        ("A]", 1, "' ['"),
        ('"abc', 4, 'a closing "'),
        ('"a\\q"', 2, "an escape"),
        ('A "b"', 1, "put the name in"),
        ('"A"B', 3, "' > '"),
        ("(" * 33 + "A" + ")" * 33, 32, "at most 32 deep"),
    ],
)
def test_mistakes_have_a_position(text, position, expected):
    with pytest.raises(ParseError) as error:
        parse(text)
    assert (error.value.position, error.value.text) == (position, text)
    assert expected in error.value.expected or expected in str(error.value)
    assert f"position {position}: found" in str(error.value)


def test_a_count_of_a_set_too_deep_is_a_mistake_of_the_text():
    text = "A > r & B"
    for _ in range(15):
        text = f"~({text}) > r & B"
    assert parse(text)
    with pytest.raises(ParseError, match="nested deeper than 32"):
        parse(f"count({text})")


NAMES = st.one_of(
    st.text(min_size=1, max_size=12),
    st.text(alphabet='ab ()[]<>&|-~=!"\\\n1.', min_size=0, max_size=8),
    st.sampled_from(["max x", "min", "count(", "count(a)", "1990", "1990-01-02", "-1e5", "~", "a (b)", ") (", "≥", "\u00a0a"]),
)


@settings(max_examples=400, deadline=None)
@given(st.integers(0, 2**32), st.lists(NAMES, min_size=3, max_size=6), st.floats(allow_nan=False, allow_infinity=False))
def test_any_form_over_any_names_is_read_back(seed, names, number):
    rng = Random(seed)
    form = RandomForms(rng, [Entity(name) for name in names], names, names, names).form()
    assert parse(write(form)) == form
    assert write(parse(write(form))) == write(form)
    assert "\n" not in write(form)  # a newline ends what a language model writes
    filtered = path(Entity(rng.choice(names)), Filter(rng.choice(names), "<=", number))
    assert parse(write(filtered)) == filtered


def test_texts_of_different_forms_differ():
    rng = Random(5)
    forms = {RandomForms(rng, [Entity("a"), Entity("b")], ["r", "s"], ["y"], ["t"]).form(2) for _ in range(3000)}
    assert len({write(form) for form in forms}) == len(forms)


@settings(max_examples=1000, deadline=None)
@given(st.text(alphabet='aAb ()[]<>&|-~=!"\\1.count', max_size=24))
def test_any_text_is_read_or_refused_with_a_position(text):
    try:
        form = parse(text)
    except ParseError as error:
        assert 0 <= error.position <= len(text)
    else:
        assert parse(write(form)) == form


def test_a_broken_plan_is_never_something_else_than_a_parse_error():
    whole = 'count((~(A (x) > r | "B") < s & C [max y]) - D [y >= 19.5] > r)'
    rng = Random(1)
    for _ in range(3000):
        cut = rng.randrange(len(whole))
        text = whole[:cut] + rng.choice(["", "(", ")", " > ", '"', "[", "] ", "~", " - "]) + whole[cut + rng.randint(0, 3) :]
        try:
            parse(text)
        except LogicalFormError as error:
            assert isinstance(error, ParseError)


def test_template_groups_plans_of_one_shape():
    one, two = parse("~Woody Allen < directed by > starred actors"), parse('~"(x)" < directed by > starred actors')
    assert template(one) == template(two) == "~?1 < directed by > starred actors"
    assert slots(two) == ['"(x)"']
    filtered = parse("(A < r [y >= 1990] & B < r) - A > s")
    assert template(filtered) == "(?1 < r [y >= ?2] & ?3 < r) - ?1 > s"
    assert slots(filtered) == ["A", "1990", "B"]
    assert template(parse("A & A")) != template(parse("A & B"))


def test_the_median_plan_of_metaqa_has_at_most_12_tokens_of_smollm2():
    plans = [write(row.plan) for hops in (1, 2, 3) for row in metaqa.rows(hops)]
    try:
        folder = resolve(DEFAULT)
    except (WheelError, ModelReferenceError) as error:
        pytest.skip(f"SmolLM2's tokenizer is not here: {error}")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    lengths = [len(one.ids) for one in tokenizer.encode_batch([f" {plan}" for plan in plans[::5]], add_special_tokens=False)]
    assert median(lengths) <= 12
    assert max(lengths) <= 48
