import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from raykg.kg.linking.folding import fold, fold_array, fold_with_places, symbol_stretches


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Amélie", "amelie"),
        ("AMELIE", "amelie"),
        ("Schindler's List", "schindlers list"),
        ("Schindler’s  List", "schindlers list"),  # noqa: RUF001 - another apostrophe
        ("Law & Order", "law and order"),
        ("Robert Downey, Jr.", "robert downey jr"),
        ("Spider-Man: Homecoming", "spider man homecoming"),
        ("[REC]²", "rec 2"),
        ("Straße", "strasse"),
        ("Łódź", "lodz"),
        ("Æon Flux", "aeon flux"),
        ("  Heat ", "heat"),
        ("!!!", "!!!"),
        ("東京", "東京"),
        ("", ""),
    ],
)
def test_spellings_fold_as_documented(text, folded):
    assert fold(text) == folded


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(alphabet=st.characters(max_codepoint=0x2FFF, exclude_categories=["Cs", "Cn", "Co"]), max_size=12), max_size=6))
@example(["İstanbul", "ΣΑΣ", "ﬁn", "é", "ǅ", "a'b", "&", " & ", "''", "\x00", "½"])
def test_arrow_and_letter_by_letter_folding_agree(texts):
    assert fold_array(pa.array(texts, pa.large_string())).to_pylist() == [fold(text) for text in texts]


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=20))
def test_folding_twice_changes_nothing_more(text):
    assert fold(fold(text)) == fold(text)


def test_places_point_at_the_letters_that_they_come_from():
    text = "Who's in «Amélie & Co»?"
    folded, places = fold_with_places(text)
    assert folded == "whos in amelie and co"
    assert len(places) == len(folded)
    assert text[places[folded.index("amelie")] : places[folded.index("amelie") + 5] + 1] == "Amélie"
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("text", "stretches"),
    [
        ("who is in 🎬?", ["🎬"]),
        ("(🎬🎥) or «⚡»…", ["🎬🎥", "⚡"]),
        ("I ❤️ Alien👩‍🎤!", ["❤️", "👩‍🎤"]),
        ("which films cost €5, 5 €, or $5 + 3?", ["€", "€"]),
        ("Amélie’s café… “quoted” — № 5 and 東京?", []),  # noqa: RUF001 - marks of several scripts
        ("a + b = c $ ^_^ ???", []),
    ],
)
def test_stretches_of_symbols_are_told_from_marks(text, stretches):
    assert [text[start:end] for start, end in symbol_stretches(text)] == stretches
