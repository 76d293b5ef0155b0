import math

import pytest

from raykg.config.document import core_tag, key_path, read_file, read_text
from raykg.config.errors import ConfigErrors


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),  # PyYAML reads text
        ("1E5", 1e5),
        ("-2.5e+3", -2500.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("yes", "yes"),  # PyYAML reads true
        ("no", "no"),
        ("On", "On"),
        ("off", "off"),
        ("010", 10),  # PyYAML reads eight
        ("0o10", 8),
        ("0x1F", 31),
        ("1:30", "1:30"),  # PyYAML reads ninety
        ("2024-01-01", "2024-01-01"),  # PyYAML reads a date
        ("1_000", "1_000"),  # PyYAML reads a thousand
        ("=", "="),
        ("<<", "<<"),
        ("true", True),
        ("FALSE", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("-.inf", -math.inf),
        ("+7", 7),
        ("'1e-4'", "1e-4"),
        ('"true"', "true"),
        ("!!str 5", "5"),
        ("!!float 5", 5.0),
        ("!!int '5'", 5),
        ("|\n  a\n  b\n", "a\nb\n"),
        ("[1, [a, null], {b: 2}]", [1, ["a", None], {"b": 2}]),
    ],
)
def test_scalars_follow_yaml_1_2(text, value):
    document = read_text(text, "x.yaml")
    assert document.value == value and type(document.value) is type(value)
    assert document.problems == []


def test_not_a_number_is_read():
    assert math.isnan(read_text(".nan", "x.yaml").value)


def test_keys_are_text_as_written_and_merge_keys_are_nothing_special():
    assert read_text("1990: a\nno: b\n<<: {c: 1}\n1e-4: d", "x.yaml").value == {"1990": "a", "no": "b", "<<": {"c": 1}, "1e-4": "d"}


def test_lines_of_keys_and_items_are_remembered():
    document = read_text("a: 1\nb:\n  - x\n  - c: 2\n\n# comment\nd:\n  e: {f: 3}\n", "x.yaml")
    assert document.lines == {
        (): 1,
        ("a",): 1,
        ("b",): 2,
        ("b", 0): 3,
        ("b", 1): 4,
        ("b", 1, "c"): 4,
        ("d",): 7,
        ("d", "e"): 8,
        ("d", "e", "f"): 8,
    }


def test_a_key_written_twice_is_refused_with_both_lines():
    document = read_text("train:\n  batch: 1\n  steps: 2\n  batch: 3\n", "x.yaml")
    assert [str(problem) for problem in document.problems] == [
        "x.yaml:4: train.batch: written twice, first in line 2: remove one of the two"
    ]
    assert document.value == {"train": {"batch": 1, "steps": 2}}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: !!python/object:os.system x", "x.yaml:1: a (x): the tag tag:yaml.org,2002:python/object:os.system is not allowed here"),
        ("b: 1\na: !mine x", "x.yaml:2: a (x): the tag !mine is not allowed here"),
        ("a: !!int x", "x.yaml:1: a (x): the tag tag:yaml.org,2002:int is not allowed here"),
        ("a: {[1, 2]: x}", "x.yaml:1: a: a key must be plain text"),
        ("? [1]\n: x", "x.yaml:1: the file: a key must be plain text"),
        ("a: &a [*a]", "x.yaml:1: a[0][0]...: more than 50 levels deep"),
    ],
)
def test_what_is_not_plain_is_a_problem(text, problem):
    (found,) = read_text(text, "x.yaml").problems
    assert str(found).startswith(problem)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1", "x.yaml:1: not YAML: while parsing a flow sequence"),
        ("a: 1\n\tb: 2", "x.yaml:2: not YAML: "),
        ("a: 1\n---\nb: 2", "x.yaml:2: not YAML: expected a single document"),
        ("a: \x07", "x.yaml: not YAML: "),
        ("[" * 5000, "x.yaml: not a config: too deeply nested"),
    ],
)
def test_what_is_not_yaml_is_an_error_with_its_line(text, message):
    with pytest.raises(ConfigErrors) as error:
        read_text(text, "x.yaml")
    assert str(error.value).startswith(message)


def test_an_empty_file_is_an_empty_mapping_and_a_byte_order_mark_is_skipped(tmp_path):
    (tmp_path / "x.yaml").write_text("# nothing yet\n")
    assert read_file(tmp_path / "x.yaml").value == {}
    (tmp_path / "x.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_file(tmp_path / "x.yaml").value == {"a": 1}


def test_files_that_cannot_be_read_say_why(tmp_path):
    (tmp_path / "list.yaml").write_text("- a\n")
    (tmp_path / "latin.yaml").write_bytes(b"a: caf\xe9\n")
    for name, message in (
        ("none.yaml", "none.yaml: cannot be read: No such file"),
        ("latin.yaml", "latin.yaml: cannot be read: not UTF-8 text at byte 6"),
        ("list.yaml", "list.yaml:1: the file must be a mapping of keys to values"),
    ):
        with pytest.raises(ConfigErrors, match=message):
            read_file(tmp_path / name)
    with pytest.raises(ConfigErrors, match="cannot be read: Is a directory"):
        read_file(tmp_path)


def test_a_file_that_is_not_there_is_answered_with_what_is(tmp_path):
    def said(path):
        with pytest.raises(ConfigErrors) as error:
            read_file(path)
        return str(error.value).partition("cannot be read: ")[2]

    assert said(tmp_path / "gone" / "x.yaml") == f"No such file or directory: there is no folder {tmp_path / 'gone'}"
    assert said(tmp_path / "x.yaml") == f"No such file or directory: {tmp_path} has no config"
    for name in ("quickstart.yaml", "smoke.yaml", "notes.txt"):
        (tmp_path / name).write_text("a: 1\n")
    assert said(tmp_path / "quikstart.yml") == "No such file or directory, did you mean 'quickstart.yaml'?"
    assert said(tmp_path / "x") == "No such file or directory (configs there: quickstart.yaml, smoke.yaml)"
    for number in range(5):
        (tmp_path / f"more{number}.yaml").write_text("a: 1\n")
    assert said(tmp_path / "x").endswith("more3.yaml, more4.yaml, ...)")


def test_key_paths_read_as_they_are_written_on_the_command_line():
    assert key_path(("questions", "test", 1, "hops")) == "questions.test[1].hops"
    assert key_path(()) == ""


def test_core_tag_names_the_kind_of_a_plain_scalar():
    assert core_tag("1e-4").endswith("float") and core_tag("x").endswith("str")
