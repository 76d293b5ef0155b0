import pytest

from raykg.config.document import Document, read_text
from raykg.config.overrides import apply_overrides


def over(text: str, *overrides: str) -> Document:
    document = read_text(text, "x.yaml")
    apply_overrides(document, overrides)
    return document


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("a.b=2", {"a": {"b": 2, "c": 3}, "list": [{"d": 1}, 5]}),
        ("a={b: 7}", {"a": {"b": 7}, "list": [{"d": 1}, 5]}),
        ("new.section.key=1e-4", {"a": {"b": 1, "c": 3}, "list": [{"d": 1}, 5], "new": {"section": {"key": 1e-4}}}),
        ("list[0].d=[1, 2]", {"a": {"b": 1, "c": 3}, "list": [{"d": [1, 2]}, 5]}),
        ("list[1]=null", {"a": {"b": 1, "c": 3}, "list": [{"d": 1}, None]}),
        ("a.b=", {"a": {"b": None, "c": 3}, "list": [{"d": 1}, 5]}),
        ("a.b=x=y", {"a": {"b": "x=y", "c": 3}, "list": [{"d": 1}, 5]}),
        ("a.two words=x", {"a": {"b": 1, "c": 3, "two words": "x"}, "list": [{"d": 1}, 5]}),
    ],
)
def test_an_override_replaces_one_value(override, value):
    document = over("a: {b: 1, c: 3}\nlist: [{d: 1}, 5]\n", override)
    assert document.value == value and document.problems == []


def test_the_last_override_of_a_key_wins_and_a_later_section_replaces_earlier_keys():
    document = read_text("a: {b: 1}", "x.yaml")
    raw = apply_overrides(document, ["a.b=2", "a.b=3", "a={c: 4}"])
    assert document.value == {"a": {"c": 4}}
    assert raw == {("a",): "{c: 4}"}
    assert ("a", "b") not in document.lines


def test_a_setting_of_a_choice_that_was_given_by_name():
    assert over("injection: kformer", "injection.facts=4").value == {"injection": {"name": "kformer", "facts": 4}}


def test_a_section_left_empty_in_the_file_is_filled():
    assert over("train:\n", "train.batch=4").value == {"train": {"batch": 4}}


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("batch", "command line: 'batch': must be key.path=value, such as train.batch=8"),
        ("=3", "command line: '=3': must be key.path=value, such as train.batch=8"),
        ("a..b=3", "command line: 'a..b=3': must be key.path=value, such as train.batch=8"),
        ("a[x]=3", "command line: 'a[x]=3': must be key.path=value, such as train.batch=8"),
        ("a.b=[1", "command line: a.b ([1): not YAML: "),
        ("a={b: 1, b: 2}", "command line: a: b: written twice"),
        ("list[2]=3", "command line: list[2]: no such item, the file has 2 items"),
        ("a[0]=3", "command line: a[0]: no such item, the file has no list here"),
        ("none[0].x=3", "command line: none[0]: no such item, the file has no list here"),
        ("list.x=3", "command line: list.x: list is not a section in the file"),
        ("number.x=3", "command line: number.x: number is not a section in the file"),
    ],
)
def test_a_wrong_override_is_a_problem(override, problem):
    document = over("a: {b: 1}\nlist: [1, 2]\nnumber: 4\n", override)
    assert len(document.problems) == 1
    assert str(document.problems[0]).startswith(problem)
