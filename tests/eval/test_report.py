"""The report says what a reader needs to judge and repeat a run, and breaks on nothing that a run leaves out."""

import json
import subprocess

import pyarrow as pa

from raykg.eval.report import ReportFacts, failure_examples, git_revision, machine, plot, write_report
from raykg.eval.suites.kgqa import RESULT_SCHEMA
from raykg.eval.tables import ComparisonTable
from tests.eval.test_tables import CLOSED, ROWS, evaluation, results

RECORDS = [{"kind": "step", "step": step, "loss": 3 / step} for step in range(1, 30)] + [
    {"kind": "evaluation", "step": 10, "held_out_loss": 0.7, "hits_at_1": 0.4, "note": "x"},
    {"kind": "evaluation", "step": 20, "held_out_loss": 0.5, "hits_at_1": 0.8},
    {"kind": "checkpoint", "step": 20},
]


def written(tmp_path, **changes):
    pairs = [("ours", evaluation(ROWS)), ("closed", evaluation(CLOSED))]
    settings = {
        "title": "first run", "config": "train:\n  batch: 8\n", "graph": {"version": "abc123"}, "seeds": {"seed": 7}, "records": RECORDS,
        "training": {"tokens a row": 31.5}, "notes": ["3 rows were cut"], "prompts": {"base": "Q: x\n```\nA:"},
    }  # fmt: skip
    path = write_report(tmp_path / "run", ReportFacts(**(settings | changes)), ComparisonTable.of(pairs, resamples=20), pairs)
    return path, path.read_text()


def test_everything_a_reader_needs_is_there(tmp_path):
    path, text = written(tmp_path)
    for needed in (
        "# first run",
        "3 rows were cut",
        "plot.png",
        "Hits@1",
        "0.750 [",
        "version: abc123",
        "seed: 7",
        "batch: 8",
        "tokens a row: 31.5",
    ):
        assert needed in text
    for needed in (
        "git revision",
        "logical cores",
        "processor",
        "torch ",
        "1 - 3/n",
        "Executable plans",
        "seconds a question",
        "## Prompt: base",
    ):
        assert needed in text
    assert (path.parent / "plot.png").read_bytes().startswith(b"\x89PNG")
    numbers = json.loads((path.parent / "results.json").read_text())
    assert numbers["table"][0]["contender"] == "ours"
    assert sorted(file.name for file in path.parent.iterdir()) == ["plot.png", "report.md", "results.json"]


def test_what_a_run_does_not_have_is_left_out(tmp_path):
    path = write_report(tmp_path, ReportFacts(title="bare"), ComparisonTable(()), ())
    text = path.read_text()
    assert "plot.png" not in text
    assert "## Results" not in text
    assert "## Machine" in text


def test_the_same_run_draws_the_same_picture(tmp_path):
    assert plot(RECORDS, tmp_path / "a.png")
    assert plot(RECORDS, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert not plot([], tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
    assert plot(RECORDS[:1], tmp_path / "one.png")


def test_failures_show_question_plans_answers_and_cause():
    table = results(ROWS)
    row = {"question": "who | <b>?", "gold_plan": "a > b", "plan": "a > c", "answers": list("uvwxyz"), "error": "no `x`", "status": "empty"}
    for name, value in row.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, RESULT_SCHEMA.field(name), pa.array([value] * 4, RESULT_SCHEMA.field(name).type))
    text = failure_examples("ours", table, 1)
    assert "2 of 4 answer sets are wrong; the first 1:" in text
    assert "who \\| &lt;b>? (1-hop, unseen wording)" in text
    assert "plan `a > c`, gold `a > b`" in text
    assert "said u; v; w; x; y and 1 more, gold a; b" in text
    assert "empty: no \\`x\\`" in text
    assert failure_examples("ours", table, 0) == failure_examples("ours", results(ROWS[:1]), 5) == ""


def test_the_git_revision_is_the_commit_or_unknown(tmp_path):
    assert git_revision(tmp_path) == "unknown" or len(git_revision(tmp_path)) >= 12
    for command in (["init", "-q"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    revision = git_revision(tmp_path)
    assert len(revision) == 12
    (tmp_path / "f").write_text("1")
    subprocess.run(["git", "add", "f"], cwd=tmp_path, check=True)
    assert git_revision(tmp_path) == f"{revision}-dirty"


def test_the_machine_is_described():
    assert {"processor", "logical cores", "memory", "GPU", "versions", "git revision"} <= machine().keys()
