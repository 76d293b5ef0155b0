import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

from raykg.config.errors import ConfigErrors
from raykg.config.load import from_dict, load, resolve, to_dict
from raykg.config.schema import chosen, config
from tests.config.sections import FOLDER, Root, Run, Train


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Return a function that writes x.yaml in the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> str:
        Path("x.yaml").write_text(text, encoding="utf-8")
        return "x.yaml"

    return write


def messages(path: str | None, *overrides: str) -> list[str]:
    with pytest.raises(ConfigErrors) as error:
        load(Root, path, overrides)
    return [str(problem) for problem in error.value.problems]


def test_defaults_then_file_then_command_line(write):
    path = write("run: {name: first, seed: 1}\ntrain: {batch: 24}\n")
    cfg = load(Root, path, ["run.seed=2", "train.steps=100"])
    assert cfg == Root(run=Run(name="first", seed=2), train=Train(batch=24, steps=100))
    assert cfg.engine == chosen(FOLDER, "kformer", facts=3)


def test_without_a_file_the_defaults_and_the_command_line_hold():
    assert load(Root, None, ["run.name=a"]) == Root(run=Run(name="a"))


def test_seven_mistakes_give_seven_messages_at_once(write):
    path = write("""\
run:
  name: ""
  resume: alway
train:
  batch: many
  learning_rte: 1e-4
  checkpointing: yes
injection: {name: kfromer}
tests:
  - {name: kformer, fact: 5}
""")
    assert messages(path) == [
        'x.yaml:2: run.name (""): must be text that is not empty',
        'x.yaml:3: run.resume ("alway"): must be one of auto, never, must',
        'x.yaml:5: train.batch ("many"): must be a whole number above 0',
        "x.yaml:6: train.learning_rte: no such key, did you mean 'learning_rate'? (keys: batch, micro_batch, learning_rate, dropout, "
        "decay, checkpointing, steps, layers, betas)",
        'x.yaml:7: train.checkpointing ("yes"): must be true or false: write true',
        "x.yaml:8: injection.name (kfromer): no such method in tests.config.sample_methods, did you mean 'kformer'? (names: bare, kformer, "
        "missing, named, prefix)",
        "x.yaml:10: tests[0].fact: no such key, did you mean 'facts'? (keys: facts, layers)",
    ]


def test_a_number_with_an_exponent_needs_no_dot(write):
    path = write("run: {name: a}\ntrain: {learning_rate: 1e-4}\n")
    assert load(Root, path).train.learning_rate == 1e-4
    assert load(Root, path, ["train.learning_rate=3E-5"]).train.learning_rate == 3e-5


def test_a_quoted_number_is_text(write):
    path = write("run: {name: a}\ntrain:\n  learning_rate: '1e-4'\n  batch: '8'\n")
    assert messages(path) == [
        'x.yaml:3: train.learning_rate ("1e-4"): must be a number above 0: remove the quotes',
        'x.yaml:4: train.batch ("8"): must be a whole number above 0: remove the quotes',
    ]


def test_a_key_written_twice_is_refused_beside_the_other_problems(write):
    path = write("run: {name: a}\ntrain:\n  batch: 0\nrun: {name: b}\n")
    assert messages(path) == [
        "x.yaml:3: train.batch (0): must be a whole number above 0",
        "x.yaml:4: run: written twice, first in line 1: remove one of the two",
    ]


def test_strictness_is_that_of_json(write):
    path = write("run: {name: a, folder: b/c}\ntrain: {layers: [-1, -2], betas: [0, 1], dropout: 1}\n")
    cfg = load(Root, path)
    assert cfg.train.layers == (-1, -2) and cfg.train.betas == (0.0, 1.0) and cfg.train.dropout == 1.0
    assert cfg.run.folder == Path("b/c")


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("train.checkpointing=1", "train.checkpointing (1): must be true or false"),
        ("train.checkpointing=off", 'train.checkpointing ("off"): must be true or false: write false'),
        ("train.batch=8.0", "train.batch (8.0): must be a whole number above 0: write 8"),
        ("train.batch=true", "train.batch (true): must be a whole number above 0"),
        ("train.batch=1_000", 'train.batch ("1_000"): must be a whole number above 0: write 1000'),
        ("train.batch=null", "train.batch (null): must be a whole number above 0"),
        ("train.batch=[8]", "train.batch ([8]): must be a whole number above 0"),
        ("train.dropout=1.5", "train.dropout (1.5): must be a number 0 or above and at most 1"),
        ("train.decay=.nan", "train.decay (NaN): must be a number 0 or above"),
        ("train.decay=.inf", "train.decay (Infinity): must be a number 0 or above"),
        ("train.layers=3", "train.layers (3): must be a list, each item a whole number or null: write [3]"),
        ("train.layers=[a]", 'train.layers[0] ("a"): must be a whole number'),
        ("train.betas=[0.9]", "train.betas[1]: missing, must be a number"),
        ("train.betas=[0.9, 1, 2]", "train.betas ([0.9, 1, 2]): must be a list of 2: a number, a number"),
        ("train.steps=some", 'train.steps ("some"): must be a whole number above 0 or all'),
        ("train.steps=0", "train.steps (0): must be a whole number above 0 or all"),
        ("run.resume=Never", "run.resume (\"Never\"): must be one of auto, never, must, did you mean 'never'?"),
        ("train=3", "train (3): must be a section (keys: batch, micro_batch,"),
        ("literals={year: 3}", 'literals.year (3): must be text: put it in quotes, "3"'),
        ("stages.a.batch=x", 'stages.a.batch ("x"): must be a whole number above 0'),
        ("tests=kformer", 'tests ("kformer"): must be a list, each item a name, or a section with a name and its settings'),
        ("tests=[{facts: 3}]", "tests[0] ({"),
        ("injection=3", "injection (3): must be a name, or a section with a name and its settings (names: bare,"),
        ("injection.facts=3", 'injection ({"facts": 3}): must be a name, or a section with a name'),
        ("injection=missing", "injection.name (missing): cannot be imported: No module named 'a_module_that_nobody_has'"),
        ("injection=bare", "injection.name (bare): tests.config.sample_methods.bare is not a method"),
        ("injection=prefix", "injection.text: missing, must be text that is not empty"),
        ("engine.facts=0", "engine.facts (0): must be a whole number above 0"),
        ("trian.batch=3", "trian: no such key, did you mean 'train'? (keys: run, train,"),
        ("nothing like it=3", "nothing like it: no such key (keys: run, train,"),
    ],
)
def test_a_wrong_value_says_what_is_allowed_and_names_the_command_line(override, problem):
    (message,) = messages(None, "run.name=a", override)
    assert message.startswith(f"command line: {problem}")


def test_a_missing_section_or_key_is_named_at_the_section_around_it(write):
    assert messages(write("train: {}\n")) == ["x.yaml:1: run: missing, must be a section (keys: name, resume, seed, folder)"]
    assert messages(write("train: {}\n\nrun:\n  seed: 2\n")) == ["x.yaml:3: run.name: missing, must be text that is not empty"]
    assert messages(None, "run.seed=2") == ["command line: run.name: missing, must be text that is not empty"]


def test_a_rule_over_several_fields_finds_its_key_and_line(write):
    path = write("run: {name: a}\ntrain:\n  micro_batch: 4\n  batch: 9\n")
    assert messages(path) == ["x.yaml:4: train.batch (9) must be a multiple of micro_batch (4)"]
    assert messages(path, "train.batch=6") == ["command line: train.batch (6) must be a multiple of micro_batch (4)"]
    # batch has its default: the nearest place is its section
    assert messages(write("run: {name: a}\ntrain:\n  micro_batch: 5\n")) == [
        "x.yaml:2: train.batch (16) must be a multiple of micro_batch (5)"
    ]


def test_a_rule_of_the_root_of_a_choice_and_in_a_list(write):
    assert messages(write("run:\n  name: a\n  seed: 13\n")) == ["x.yaml:3: run.seed (13) must not be 13"]
    text = "run: {name: a}\ninjection: {name: kformer,\n  facts: 65}\ntests:\n  - kformer\n  - name: kformer\n    facts: 66\n"
    assert messages(write(text)) == [
        "x.yaml:3: injection.facts (65) must be 64 or less: memory grows linearly",
        "x.yaml:7: tests[1].facts (66) must be 64 or less: memory grows linearly",
    ]


def test_a_rule_that_names_no_key_is_placed_at_its_section(write):
    @config
    class Odd:
        a: int = 1

        def __post_init__(self) -> None:
            raise ValueError("Nothing fits")

    @config
    class Top:
        odd: Odd

    with pytest.raises(ConfigErrors, match=r"^x\.yaml:2: odd: Nothing fits$"):
        load(Top, write("\nodd: {a: 2}"))


def test_text_on_the_command_line_stays_text():
    cfg = load(Root, None, ["run.name=007", "literals={a: b}", "literals.year=1e5"])
    assert cfg.run.name == "007" and cfg.literals == {"a": "b", "year": "1e5"}
    assert load(Root, None, ["run.name=true"]).run.name == "true"


def test_an_optional_field_is_emptied_by_null(write):
    path = write("run: {name: a, folder: x}\ninjection: kformer\n")
    cfg = load(Root, path, ["run.folder=null", "injection=null"])
    assert cfg.run.folder is None and cfg.injection is None


def test_an_unquoted_number_in_a_file_is_not_taken_for_text(write):
    assert messages(write("run: {name: 007}")) == ['x.yaml:1: run.name (7): must be text that is not empty: put it in quotes, "7"']


def test_a_choice_by_name_by_section_and_by_dotted_name(write):
    for text in ("kformer", "{name: kformer}", "{name: tests.config.sample_methods.kformer}"):
        cfg = load(Root, write(f"run: {{name: a}}\ninjection: {text}\n"))
        assert cfg.injection.config.facts == 8 and cfg.injection.method().__name__ == "Kformer"


def test_an_optional_choice_a_tuple_of_choices_and_mappings(write):
    cfg = load(Root, write("run: {name: a}\ntests: [kformer, {name: prefix, text: b}]\nstages: {one: {batch: 8}, two: {}}\n"))
    assert cfg.injection is None
    assert [(test.name, type(test.config).__module__) for test in cfg.tests] == [
        ("kformer", "tests.config.sample_methods.kformer"),
        ("prefix", "tests.config.sample_methods.prefix"),
    ]
    assert cfg.stages == {"one": Train(batch=8), "two": Train()}


def test_a_section_given_in_part_keeps_what_its_owner_declared(write):
    path = write("run: {name: a}\ntrain: {micro_batch: 4}\nengine: {layers: [1]}\n")
    cfg = load(Root, path)
    assert cfg.train == Train(batch=16, micro_batch=4)
    assert (cfg.engine.name, cfg.engine.config.facts, cfg.engine.config.layers) == ("kformer", 3, (1,))
    # a method chosen by its name has its own defaults, not those of the owner's choice
    assert load(Root, path, ["engine=kformer"]).engine.config.facts == 8


def test_an_empty_section_is_the_default(write):
    assert load(Root, write("run: {name: a}\ntrain:\n")).train == Train(batch=16)


def test_to_dict_and_back_through_json(write):
    cfg = load(
        Root, write("run: {name: a, folder: b}\ninjection: kformer\ntests: [{name: prefix, text: b}]\nstages: {one: {layers: [1]}}\n")
    )
    plain = json.loads(json.dumps(to_dict(cfg)))
    assert plain["injection"] == {"name": "kformer", "facts": 8, "layers": [-3, -2, -1]}
    assert from_dict(Root, plain) == cfg
    with pytest.raises(ConfigErrors, match=r"^settings: train\.batch \(0\): must be a whole number above 0$"):
        from_dict(Root, {**plain, "train": {"batch": 0}})


def test_from_dict_leaves_what_it_was_given_as_it_was():
    given = {"run": {"name": "a"}, "injection": "kformer"}
    from_dict(Root, given)
    assert given == {"run": {"name": "a"}, "injection": "kformer"}


def test_provenance_tells_where_each_value_came_from(write):
    path = write("run: {name: a}\ntrain:\n  batch: 24\n  layers: [1, 2]\ninjection: kformer\ntests:\n  - {name: prefix, text: b}\n")
    resolved = resolve(Root, path, ["train.betas=[0, 0]", "injection.facts=2", "run.seed=3"])
    assert resolved.provenance == {
        "run.name": "x.yaml:1",
        "run.seed": "command line",
        "train.batch": "x.yaml:3",
        "train.layers": "x.yaml:4",
        "train.betas": "command line",
        "injection.name": "x.yaml:5",
        "injection.facts": "command line",
        "tests[0].name": "x.yaml:7",
        "tests[0].text": "x.yaml:7",
    }


def test_an_overridden_section_has_no_lines_of_the_file(write):
    path = write("run: {name: a}\ntrain:\n  batch: 24\n")
    resolved = resolve(Root, path, ["train={batch: 8}"])
    assert resolved.provenance == {"run.name": "x.yaml:1", "train.batch": "command line"}
    assert messages(path, "train={batch: 0}") == ["command line: train.batch (0): must be a whole number above 0"]


def test_a_mistake_of_the_programme_is_not_swallowed():
    @config
    class Broken:
        a: int = 1

        def __post_init__(self) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        load(Broken, None)


def test_infinite_defaults_survive():
    @config
    class Wide:
        limit: int | None = None
        share: float = 0.5

    assert from_dict(Wide, to_dict(Wide())) == Wide()
    assert not math.isinf(Wide().share)


def test_loading_needs_neither_torch_nor_ray_nor_numpy():
    code = (
        "import sys; from tests.config.sections import Root; from raykg.config.load import load; load(Root, None, ['run.name=a']); "
        "print([name for name in ('torch', 'ray', 'numpy') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_every_field_of_the_sections_here_is_a_dataclass_field():
    assert [field.name for field in dataclasses.fields(Root)] == ["run", "train", "injection", "engine", "tests", "literals", "stages"]
