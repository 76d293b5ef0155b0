"""Evaluating a finished run: the table, the report, several processes, continuing, and mistakes."""

import json
import subprocess
import sys

import pytest

from raykg.answer.generation import Generator
from raykg.cli.main import main
from tests.answer.engines import engine
from tests.answer.runs import PLANS, write_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluate")
    write_run(folder)
    return folder


def command(capsys, *arguments):
    """Run `raykg evaluate`; return the output, or the error where it exits with 2."""
    with pytest.raises(SystemExit) as exit_:
        main(["evaluate", *map(str, arguments)])
    printed = capsys.readouterr()
    return printed.err if exit_.value.code else printed.out


@pytest.fixture
def evaluate(monkeypatch, capsys):
    """Run the command in one process, with a model that plans every question right but the last; also returns what was asked."""
    plans = {row[0]: f" {row[3]}" for row in PLANS[:3]}
    asked = []

    def generate(self, prompts, *rest, **more):
        asked.extend(prompts)
        return [next((plan for text, plan in plans.items() if text in prompt), " nothing") for prompt in prompts]

    def run(*arguments):
        monkeypatch.setattr(Generator, "generate", generate)
        asked.clear()
        return command(capsys, *arguments), list(asked)

    return run


def test_the_runs_own_contenders_and_test_sets_are_the_default(folder, evaluate):
    run = folder / "run"
    text, asked = evaluate(run, "--processes", 1)
    assert len(asked) == 8
    assert "fine-tuned" in text
    assert "majority" in text
    report = run / "evaluation" / "report"
    numbers = {row["contender"]: row["groups"][0] for row in json.loads((report / "results.json").read_text())["table"]}
    assert numbers["fine-tuned, plan_execute, topics linked"]["hits_at_1"][0] == 0.75
    assert numbers["base, closed_book"]["hits_at_1"][0] == 0
    assert "## Prompt: base, closed_book" in (report / "report.md").read_text()
    again, asked = evaluate(run, "--processes", 1)
    assert asked == []
    assert again == text


def test_strategy_topics_rows_and_questions_can_be_chosen(folder, evaluate, tmp_path):
    run = folder / "run"
    options = ("--strategy", "plan_execute", "--topics", "given", "--rows", 2, "--processes", 1, "--output", tmp_path / "report")
    text, asked = evaluate(run, "--questions", run / "questions" / "train", *options)
    assert len(asked) == 2
    assert "given" in text
    assert (tmp_path / "report" / "report.md").exists()
    _, asked = evaluate(run, "--strategy", "closed_book", "--base", "--processes", 1)
    assert len(asked) == 4


def test_a_jobs_file_names_the_run_and_what_is_compared(folder, evaluate, tmp_path):
    job = tmp_path / "job.yaml"
    job.write_text(
        f"run: {{name: run, storage: {folder}}}\n"
        "evaluation: {contenders: [{strategy: plan_execute, topics: given, questions: 3}, {strategy: read, questions: 3}]}\n"
    )
    text, _ = evaluate(job, "--processes", 1, "--output", tmp_path / "report")
    rows = json.loads((tmp_path / "report" / "results.json").read_text())["table"]
    assert [row["contender"] for row in rows][:2] == ["fine-tuned, plan_execute, topics given", "fine-tuned, read, topics linked"], text
    text, _ = evaluate(job, "evaluation.contenders=[]")
    assert "evaluation.contenders: the run's config has none" in text
    text, _ = evaluate(folder / "run", "evaluation.seed=1")
    assert "evaluation.seed=1: overrides are of a YAML file" in text


def test_facts_are_deleted_and_nothing_wrong_is_proved(folder, evaluate, tmp_path):
    run = folder / "run"
    options = ("--strategy", "plan_execute", "--strategy", "cogmg", "--delete-facts", 3, "--processes", 1, "--output", tmp_path)
    evaluate(run, *options)
    text = (tmp_path / "report.md").read_text()
    assert "## Reliability" in text
    assert "| fine-tuned, plan_execute, topics given | 3 | 3 | 0 | 0 | 0 | 0 | 0 |" in text
    assert "| fine-tuned, cogmg, topics given | 3 | 3 | 0 | 0 | 0 | 3 | 0 |" in text
    numbers = json.loads((tmp_path / "results.json").read_text())["reliability"]
    assert numbers["fine-tuned, plan_execute, topics linked"]["coverage"] == 0.75
    assert numbers["fine-tuned, plan_execute, topics linked"]["proved_wrong"] == 0
    text, _ = evaluate(run, "--strategy", "plan_execute", "--delete-facts", 9, "--processes", 1)
    assert text.startswith("raykg: count (9): only 3 of 4 questions hang on one fact")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--topics", "guessed"], "--topics (guessed) must be given or linked"),
        (["--base"], "--base: needs --strategy closed_book or read"),
        (["--base", "--strategy", "plan_execute"], "does not know the language of plans"),
        (["--strategy", "raed"], "did you mean 'read'"),
        (["--questions", "/nowhere/at/all"], "--questions (/nowhere/at/all): no such file or folder"),
    ],
)
def test_mistakes_are_said_in_a_line(folder, evaluate, arguments, message):
    text, _ = evaluate(folder / "run", *arguments)
    assert text.startswith("raykg: ")
    assert message in text
    assert text.count("\n") == 1


def test_help_shows_examples(capsys):
    text = command(capsys, "--help")
    assert "raykg evaluate runs/quickstart --strategy plan_execute --topics given --rows 300" in text


@pytest.mark.story
def test_a_question_file_is_read_without_rays_talk(tmp_path):
    write_run(tmp_path)
    (tmp_path / "mine.csv").write_text("question,answers\nwho directed Alien?,Ridley Scott\n")
    code = (
        "from pathlib import Path; from raykg.answer.opening import open_saved; from raykg.cli import evaluate;"
        "print(evaluate.question_sets(Path('run'), [Path('mine.csv')], open_saved(Path('run')))['mine.csv'].num_rows)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=240, check=True)
    assert (process.stdout, process.stderr) == ("1\n", "")
    assert "ray" in (tmp_path / "run" / "logs" / "driver.log").read_text()


def test_an_engine_elsewhere_is_asked_in_place_of_the_tuned_model(tmp_path, capsys):
    write_run(tmp_path)
    plans = {row[0]: f" {row[3]}" for row in PLANS[:3]}
    with engine() as found:
        found.complete = lambda body: {"choices": [{"text": next((plan for asked, plan in plans.items() if asked in body["prompt"]), "")}]}
        about = ("--endpoint", found.url, "--engine", "model=films", "--engine", "prompts=text", "--delete-facts", 2)
        text = command(capsys, tmp_path / "run", "--strategy", "plan_execute", *about)
        assert "fine-tuned" in text and len(found.asked) == 4 + 2
    numbers = json.loads((tmp_path / "run" / "evaluation" / "report" / "results.json").read_text())["table"]
    assert next(row for row in numbers if row["contender"].startswith("fine-tuned"))["groups"][0]["hits_at_1"][0] == 0.75
