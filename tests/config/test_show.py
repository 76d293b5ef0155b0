import json
from collections.abc import Mapping

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.config.document import read_text
from raykg.config.load import from_dict, load, resolve, to_dict
from raykg.config.schema import config, field
from raykg.config.show import to_yaml
from tests.config.sections import Root

OVERRIDES = ["run.name=a", "injection=kformer", "tests=[{name: prefix, text: 'x: y'}, kformer]", "train.learning_rate=1e-05"]


@config
class Any:
    text: str = ""
    words: tuple[str, ...] = ()
    table: Mapping[str, str] = field(default_factory=dict)
    number: float = 0.0
    whole: int = 0
    nothing: str | None = None
    nested: tuple[Mapping[str, str], ...] = ()


def test_what_is_written_loads_to_an_equal_config(tmp_path):
    cfg = load(Root, None, OVERRIDES)
    (tmp_path / "x.yaml").write_text(to_yaml(cfg))
    assert load(Root, tmp_path / "x.yaml") == cfg


def test_the_form_is_one_a_person_would_write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text("run:\n  name: 'yes'\n")
    resolved = resolve(Root, "x.yaml", ["train.layers=[1, 2]", *OVERRIDES[1:3]])
    text = to_yaml(resolved.config, resolved.provenance)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[:2] == ["run:", 'name: "yes" # x.yaml:2']
    assert "layers: [1, 2] # command line" in lines and "batch: 16 # default" in lines and "folder: null # default" in lines
    assert "- name: prefix # command line" in lines
    assert 'text: "x: y" # command line' in lines and "literals: {} # default" in lines
    assert len({line.index("  # ") + len(line) - len(line.rstrip()) for line in text.splitlines() if "default" in line}) >= 1
    assert load(Root, None, ["run.name=yes", "train.layers=[1, 2]", *OVERRIDES[1:3]]) == from_dict(Root, read_text(text, "y").value)


text = st.text(max_size=12) | st.sampled_from(
    [
        "1e-4",
        "yes",
        "null",
        "~",
        "-",
        "a: b",
        "a:b",
        "#x",
        "a #b",
        " a",
        "a ",
        "[x",
        "&a",
        "*a",
        "!x",
        "%",
        "@",
        "`",
        "1:30",
        "é",
        "\u2028",
        "\x85",
        "=",
        ".5",
        "a\nb",
    ]
)


@settings(max_examples=300, deadline=None)
@given(
    st.builds(
        Any,
        text=text,
        words=st.lists(text, max_size=3).map(tuple),
        table=st.dictionaries(text, text, max_size=3),
        number=st.floats(allow_nan=False, allow_infinity=False),
        whole=st.integers(),
        nothing=st.none() | text,
        nested=st.lists(st.dictionaries(text, text, max_size=2), max_size=2).map(tuple),
    )
)
def test_any_text_and_number_survives_and_other_readers_agree(cfg):
    written = to_yaml(cfg)
    assert from_dict(Any, read_text(written, "x.yaml").value) == cfg
    other = yaml.safe_load(written)
    plain = to_dict(cfg)
    assert other == plain
    assert json.loads(json.dumps(plain)) == plain


def test_a_config_without_fields_is_an_empty_mapping():
    @config
    class Empty:
        pass

    assert to_yaml(Empty()) == "{}\n"
