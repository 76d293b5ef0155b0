from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import pytest
from annotated_types import Le, Len, Lt, MaxLen, MinLen

from raykg.config.expected import child, describe, literal_values, locate, section_of, show_value, step
from raykg.config.schema import Choice, Fraction, NonNegativeInt, PositiveFloat, PositiveInt, Text
from tests.config.sample_methods import kformer
from tests.config.sections import Method, Root, Run, Train


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (bool, "true or false"),
        (PositiveInt, "a whole number above 0"),
        (NonNegativeInt, "a whole number 0 or above"),
        (PositiveFloat, "a number above 0"),
        (Fraction, "a number 0 or above and at most 1"),
        (Annotated[int, Lt(5), Le(9)], "a whole number below 5 and at most 9"),
        (Text, "text that is not empty"),
        (Annotated[str, MinLen(2), MaxLen(3)], "text of length 2 or more and of length 3 or less"),
        (Annotated[str, Len(2)], "text"),
        (Path, "a path"),
        (str | None, "text or null"),
        (None | int, "a whole number or null"),
        (PositiveInt | Literal["auto"], "a whole number above 0 or auto"),
        (Literal["a", "b"], "one of a, b"),
        (tuple[int, ...], "a list, each item a whole number"),
        (Annotated[tuple[Text, ...], MinLen(1)], "a list that is not empty, each item text that is not empty"),
        (tuple[float, float], "a list of 2: a number, a number"),
        (Mapping[str, int], "a mapping of text to a whole number"),
        (Run, "a section (keys: name, resume, seed, folder)"),
        (Method | None, "a name, or a section with a name and its settings (names: bare, kformer, missing, named, prefix) or null"),
        (Choice["no.folder"], "a name, or a section with a name and its settings (names: no.folder: no such folder of methods)"),
        (complex, "complex"),
    ],
)
def test_a_type_in_words(annotation, words):
    assert describe(annotation) == words


def test_walking_down_types_needs_the_values_where_they_choose():
    value = {"injection": {"name": "kformer", "facts": 1}, "tests": [{"name": "kformer"}], "stages": {"a": {"batch": 1}}}
    assert locate(Root, value, ("injection", "facts")) == (("injection", "facts"), PositiveInt, 1)
    assert locate(Root, value, ("tests", 0, "layers"))[1] == tuple[int, ...]
    assert locate(Root, value, ("stages", "a", "batch", "int")) == (("stages", "a", "batch"), PositiveInt, 1)
    assert locate(Root, value, ("train", "betas", 1))[1] is float
    assert locate(Root, value, ("train", "betas", 2))[0] == ("train", "betas")
    assert child(Method, {"name": "kformer"}, "name") is str
    assert child(Method, {"name": "nobody"}, "facts") is None
    assert child(int, 3, "x") is None


def test_the_section_of_a_value_is_its_type_or_what_it_chooses():
    assert section_of(Train | None, {}) is Train
    assert section_of(Method, {"name": "kformer"}) is kformer.Config
    assert section_of(Method, {"name": "nobody"}) is None
    assert section_of(int, 1) is None


def test_values_are_shown_as_json_and_shortened():
    assert show_value("a") == '"a"' and show_value(None) == "null" and show_value({"é": 1}) == '{"é": 1}'
    assert show_value("x" * 200) == '"' + "x" * 59 + "..."
    assert step([1], 3) is None and step(3, "a") is None and step([1], 0) == 1


def test_literal_values_are_those_of_all_members():
    assert literal_values(Literal["a", 1] | Literal["b"] | None) == ["a", "b"]
