from raykg.config.document import read_text
from raykg.config.explain import Explainer
from raykg.config.overrides import apply_overrides
from tests.config.sections import Root


def explainer(text: str, *overrides: str) -> Explainer:
    document = read_text(text, "x.yaml")
    raw = apply_overrides(document, overrides)
    return Explainer(Root, document.value, document, raw)


def test_a_key_is_placed_where_it_was_written_or_at_the_nearest_section_around_it():
    found = explainer("run:\n  name: a\ntrain: {}\n", "train.batch=3", "stages.one.batch=4")
    assert found.place(("run", "name")) == ("x.yaml", 2)
    assert found.place(("run", "seed")) == ("x.yaml", 1)
    assert found.place(("train", "batch")) == ("command line", None)
    assert found.place(("train", "steps")) == ("x.yaml", 3)
    assert found.place(("stages", "one", "steps")) == ("command line", None)
    assert found.place(("injection",)) == ("x.yaml", 1)


def test_a_problem_reads_as_file_line_text():
    assert str(explainer("run:\n  name: a\n").problem(("run", "name"), "run.name: odd")) == "x.yaml:2: run.name: odd"
