"""`raykg verify`: what `raykg ask --json` printed holds, anything changed in it does not, and the exit code says so."""

import io
import json
import shutil
from dataclasses import replace

import pytest

from raykg.answer.generation import Generator
from raykg.answer.record import record_of
from raykg.answer.strategies.plan_execute import Config, PlanExecute
from raykg.cli.main import main
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.live.graph import LiveGraph
from tests.answer.gaps import film_graph_without
from tests.answer.runs import write_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verify")
    write_run(folder)
    return folder


@pytest.fixture
def run(folder, monkeypatch, capsys):
    """Run a command in the folder; returns exit code, output and error."""

    def run(*arguments, writes=" Alien > directed by"):
        monkeypatch.setattr(Generator, "generate", lambda self, prompts, *rest, **more: [writes for _ in prompts])
        with pytest.raises(SystemExit) as exit_:
            main([str(one) for one in arguments])
        printed = capsys.readouterr()
        return exit_.value.code, printed.out, printed.err

    monkeypatch.chdir(folder)
    return run


def asked(run, tmp_path, *arguments, **settings):
    code, out, err = run("ask", "who directed Alien?", "--model", "run", "--json", *arguments, **settings)
    assert code == 0, err
    (tmp_path / "answer.json").write_text(out)
    return tmp_path / "answer.json", json.loads(out)


def test_an_answer_holds(run, tmp_path, folder):
    file, record = asked(run, tmp_path)
    code, out, err = run("verify", file, "--graph", "store")
    assert (code, err) == (0, "")
    assert out == f"holds: Ridley Scott (1 proving triple), graph version {record['kg']['version']}\n"
    assert run("verify", file, "--model", "run")[0] == 0
    assert run("verify", file, "--graph", KnowledgeGraph.open(folder / "store").root)[0] == 0


def test_the_newest_run_is_the_default(run, tmp_path, folder, monkeypatch):
    file, _ = asked(run, tmp_path)
    shutil.copytree(folder / "run", tmp_path / "runs" / "only")
    monkeypatch.chdir(tmp_path)
    assert run("verify", file)[0] == 0


def test_a_record_may_come_by_standard_input(run, tmp_path, monkeypatch):
    file, _ = asked(run, tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO(file.read_text()))
    assert run("verify", "-", "--graph", "store")[0] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r["answers"][0].update(text="James Cameron"), "answers[0].text"),
        (lambda r: r["proof"]["triples"].clear(), "proof: seal"),
        (lambda r: r.update(text="James Cameron"), "text ('James Cameron')"),
        (lambda r: r.update(format="x"), "format ('x')"),
        (lambda r: r.pop("kg"), "kg.version: expected a text"),
    ],
)
def test_a_changed_record_does_not_hold(run, tmp_path, change, message):
    file, record = asked(run, tmp_path)
    change(record)
    file.write_text(json.dumps(record))
    code, out, err = run("verify", file, "--graph", "store")
    assert (code, out) == (1, "")
    assert message in err
    assert err.endswith("DOES NOT HOLD\n")


def test_what_claims_nothing_holds(run, tmp_path):
    file, record = asked(run, tmp_path, writes=" Alien > influenced by")
    assert record["text"] == "I do not know"
    assert "nothing is claimed (empty)" in run("verify", file, "--graph", "store")[1]


def test_cited_facts_hold_without_a_proof(run, tmp_path):
    file, record = asked(run, tmp_path, "--strategy", "read", writes=" Ridley Scott [1]")
    assert record["proof"] == "unproven"
    code, out, _ = run("verify", file, "--graph", "store")
    assert code == 0
    assert out.startswith("holds, unproven: 1 cited facts are in graph version") or record["status"] == "empty"


def test_a_proof_of_some_answers_says_how_many(run, tmp_path, monkeypatch):
    whole = PlanExecute.__init__
    monkeypatch.setattr(PlanExecute, "__init__", lambda self, config, *rest: whole(self, replace(config, proved=2), *rest))
    code, out, _ = run("ask", "english < in language", "--plan", "--model", "run", "--json")
    (tmp_path / "answer.json").write_text(out)
    code, out, _ = run("verify", tmp_path / "answer.json", "--graph", "store")
    assert code == 0
    assert "(2 proving triples, the proof covers 2), graph" in out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.json", None, "record (none.json): cannot be read"),
        ("text.json", "not json", "record (text.json): is not JSON"),
        ("deep.json", "[" * 200_000, "record (deep.json): is not JSON"),
    ],
)
def test_nothing_to_check_is_the_users_mistake(run, tmp_path, monkeypatch, name, content, message):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / name).write_text(content)
    code, _, err = run("verify", name, "--graph", "store")
    assert code == 2
    assert err.startswith("raykg: ") and message in err and err.count("\n") == 1


def test_a_store_or_version_that_is_not_there_is_said(run, tmp_path):
    file, record = asked(run, tmp_path)
    assert run("verify", file, "--graph", "nowhere")[0] == 2
    film_graph_without(tmp_path / "other", ("f1", "directed by", "ridley_scott"))
    record["kg"] |= {"version": "gone", "base": "gone"}
    file.write_text(json.dumps(record))
    code, _, err = run("verify", file, "--graph", "store")
    assert code == 2 and "no version 'gone' in this store" in err


def test_an_answer_of_a_live_graph_is_checked_against_that_state(run, tmp_path):
    base = film_graph_without(tmp_path / "store", ("f1", "directed by", "ridley_scott"))
    live = LiveGraph.open(tmp_path / "live", base)
    live.add("f1", "directed_by", "ridley_scott", who="ann")
    then = live.view()
    answer = PlanExecute(Config(), then, live.linker(then), None).run("Alien > directed by")
    assert answer.answers == ("Ridley Scott",)
    file = tmp_path / "live.json"
    file.write_text(json.dumps(record_of("q", answer, then)))
    live.retract("f1", "directed_by", "ridley_scott", who="ann")
    options = ("--graph", tmp_path / "store", "--live", tmp_path / "live")
    code, out, err = run("verify", file, *options)
    assert (code, err) == (0, "")
    assert out.endswith(f"graph version {base.version}+1\n")
    after = json.loads(json.dumps(record_of("q", answer, then)).replace(f"{base.version}+1", f"{base.version}+2"))
    after["kg"]["sequence"] = 2
    file.write_text(json.dumps(after))
    assert run("verify", file, *options)[0] == 1, "the fact is gone by then"
    code, _, err = run("verify", file, "--graph", tmp_path / "store")
    assert code == 2 and "name its log with --live FOLDER" in err
    after["kg"] |= {"version": f"{base.version}+9", "sequence": 9}
    file.write_text(json.dumps(after))
    code, _, err = run("verify", file, *options)
    assert code == 2 and "the log ends at record 2" in err
    after["kg"]["version"] = f"{base.version}+x"
    file.write_text(json.dumps(after))
    assert run("verify", file, *options)[0] == 2


def test_help_shows_examples(run):
    assert "raykg verify answer.json --graph runs/graphs/movies" in run("verify", "--help")[1]
