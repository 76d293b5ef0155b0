"""Asking by hand: the words printed, the JSON, and what is said when there is nothing to ask."""

import json
import shutil
from dataclasses import replace

import pytest

from raykg.answer.generation import Generator
from raykg.answer.strategies.plan_execute import PlanExecute
from raykg.cli.main import main
from tests.answer.engines import engine
from tests.answer.runs import write_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ask")
    write_run(folder)
    return folder


@pytest.fixture
def said(folder, monkeypatch, capsys):
    """Run `raykg ask` with a model that writes what the test says; returns the output, or the error where it exits with 2."""

    def run(*arguments, writes=" Alien > directed by"):
        monkeypatch.setattr(Generator, "generate", lambda self, prompts, *rest, **more: [writes for _ in prompts])
        with pytest.raises(SystemExit) as exit_:
            main(["ask", *arguments])
        printed = capsys.readouterr()
        return printed.err if exit_.value.code else printed.out

    monkeypatch.chdir(folder)
    return run


def test_answer_plan_proof_and_version_are_shown(said):
    text = said("who directed Alien?", "--model", "run")
    assert text.splitlines()[0] == "Ridley Scott"
    assert "plan   Alien > directed by" in text
    assert "1 triple, checked" in text
    assert "       Alien -> directed by -> Ridley Scott" in text
    assert "graph  version " in text


def test_long_proofs_are_cut_unless_asked_for(said):
    films = " english < in language"
    assert "more lines: --show-proof" in said("films?", "--model", "run", writes=films)
    assert "more lines" not in said("films?", "--model", "run", "--show-proof", writes=films)


def test_json_is_the_answer_record(said):
    plain = json.loads(said("who directed [Alien]?", "--model", "run", "--json", writes=" Aline > directed by"))
    assert plain["format"] == "raykg.answer/1"
    assert [row["text"] for row in plain["answers"]] == ["Ridley Scott"], "bracketed topics repair a slip"
    assert plain["status"] == "answered"
    assert plain["proof"]["triples"]
    assert plain["model"]["name"] == "run"
    assert plain["model"]["identity"].startswith("base ")
    assert set(plain["timings"]) == {"total", "answer"}
    assert json.loads(said("Alien > directed by", "--plan", "--model", "run", "--json"))["model"] is None
    assert json.loads(said("q", "--model", "run/model", "--json"))["model"]["name"] == "run"


def test_what_is_missing_and_unverified_is_shown_and_marked(said, tmp_path):
    file = tmp_path / "films.txt"
    file.write_text("Ridley Scott was directed by James Cameron.\n")
    plan = " Ridley Scott > directed by"
    text = said("who directed Ridley Scott?", "--model", "run", "--strategy", "cogmg", "--passages", str(file), writes=plan)
    assert text.startswith("no answer: the graph gives no answer")
    assert "missing     Ridley Scott -> directed by -> ?" in text
    assert "unverified  Ridley Scott -> directed by -> " in text
    closed = said("who directed Alien?", "--model", "run", "--strategy", "closed_book", writes=" Bob")
    assert closed.startswith("no answer: ") and "unverified  Bob" in closed


def test_the_policy_reads_passages_and_the_models_settings(said, tmp_path):
    file = tmp_path / "films.txt"
    file.write_text("x\n")
    text = said("who directed Alien?", "--model", "run", "--strategy", "auto", "--passages", str(file))
    assert text.startswith("Ridley Scott")


def test_no_answer_says_why(said):
    assert said("x", "--model", "run", writes=" Alien > > x").startswith("no answer: what the model wrote is no plan (")
    assert said("x", "--model", "run", writes=" Zzyzx Qwrt > directed by").startswith("no answer: a name is not in the graph")


def test_a_plan_needs_no_model(said, monkeypatch):
    monkeypatch.setattr("raykg.models.saved.load_for_answering", None)
    assert said("Aliens > directed by", "--plan", "--model", "run").startswith("James Cameron")


def test_a_name_that_no_node_has_is_shown_with_what_was_taken_instead(said):
    assert "read   'Sigourney Weever' as Sigourney Weaver" in said("x", "--model", "run", writes=" Sigourney Weever < starred actors")
    assert "read   " not in said("x", "--model", "run", writes=" sigourney weaver < starred actors")


def test_a_plan_that_is_none_is_the_users_mistake(said):
    text = said("Alien > directed bye", "--plan", "--model", "run")
    assert text.startswith("raykg: plan 'Alien > directed bye', position 8") and "did you mean 'directed by'" in text


def test_a_proof_of_some_answers_says_how_many(said, monkeypatch):
    assert " answers, checked" not in said("films?", "--model", "run", writes=" english < in language")
    whole = PlanExecute.__init__
    monkeypatch.setattr(PlanExecute, "__init__", lambda self, config, *rest: whole(self, replace(config, proved=1), *rest))
    assert "for 1 of " in said("films?", "--model", "run", writes=" english < in language")


def test_read_shows_what_it_cites(said):
    text = said("who directed [Alien]?", "--model", "run", "--strategy", "read", writes=" Ridley Scott [1]")
    assert text.startswith("Ridley Scott\n")
    assert "read in\n       Alien -> " in text


def test_the_newest_finished_run_is_the_default(said, folder, tmp_path, monkeypatch):
    shutil.copytree(folder / "run", tmp_path / "runs" / "only")
    monkeypatch.chdir(tmp_path)
    assert said("who directed Alien?").startswith("Ridley Scott")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nowhere"], "run nowhere: no such folder"),
        (["--model", "run", "--strategy", "plan_exekute"], "did you mean 'plan_execute'"),
        (["--model", "run", "--strategy", "plan_exekute"], "--strategy (plan_exekute): no such method"),
        (
            ["--model", "run", "--passages", "x.txt"],
            "passages (x.txt): strategy plan_execute reads none: ask with --strategy cogmg or auto",
        ),
        (["--model", "run", "--strategy", "cogmg", "--passages", "x.txt"], "passages (x.txt): cannot be read"),
        ([], "model: no finished run in runs/"),
        (["--model", "unfinished"], "run unfinished: is not finished, it has no model yet"),
        (["--model", "lost"], "cannot be opened"),
        (["--model", "empty"], "no model.json there"),
    ],
)
def test_mistakes_are_said_in_a_line(said, folder, arguments, message):
    (folder / "unfinished").mkdir(exist_ok=True)
    (folder / "empty").mkdir(exist_ok=True)
    (folder / "unfinished" / "config.yaml").write_text("")
    if not (folder / "lost").exists():
        shutil.copytree(folder / "run", folder / "lost")
        description = folder / "lost" / "model" / "model.json"
        content = json.loads(description.read_text())
        description.write_text(json.dumps(content | {"graph": {"store": str(folder / "store"), "version": "gone"}}))
    text = said("who?", *arguments)
    assert text.startswith("raykg: ")
    assert message in text
    assert text.count("\n") == 1


def test_help_shows_examples(said):
    text = said("--help")
    assert 'raykg ask "who directed Alien?"' in text


def test_an_engine_elsewhere_is_asked(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)

    def run(*arguments):
        with pytest.raises(SystemExit) as exit_:
            main(["ask", "who directed Alien?", "--model", "run", *arguments])
        printed = capsys.readouterr()
        return printed.err if exit_.value.code else printed.out

    with engine(said=[(200, {}, {"choices": [{"text": " Alien > directed by"}]})]) as found:
        plain = json.loads(run("--endpoint", found.url, "--engine", "model=films", "--engine", "grammar=llama_cpp", "--json"))
        assert plain["answers"][0]["text"] == "Ridley Scott" and plain["model"]["identity"] == f"engine films at {found.url}"
        assert found.asked[0]["model"] == "films" and found.asked[0]["grammar"].startswith("root ::= ")
        assert "has no model 'run' (it has: films): set engine.model" in run("--endpoint", found.url)
    assert "engine http://127.0.0.1:9/v1: cannot be reached" in run("--endpoint", "http://127.0.0.1:9/v1", "--engine", "tries=1")
    assert "--engine (model=films): says more about an engine: give its address with --endpoint" in run("--engine", "model=films")
    assert "did you mean 'grammar'" in run("--endpoint", "http://127.0.0.1:9/v1", "--engine", "gramar=none")
    assert "endpoint ('127.0.0.1') must be an address" in run("--endpoint", "127.0.0.1")
