"""`raykg questions` over the film graph, in this process."""

import pytest

from raykg.cli import main as command_line
from raykg.data.question_set import QuestionSet
from tests.graphs import film_graph


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    film_graph(folder)
    return folder


@pytest.fixture
def run(ray_session, run_without_ray, monkeypatch):
    """Run the command; return its exit code, output and errors."""
    monkeypatch.setattr("raykg.train.launch.quieten", lambda logs: None)  # other tests want their logs
    return run_without_ray


@pytest.fixture
def run_without_ray(capsys):
    """Run the command where it must end before Ray starts; the same returned."""

    def command(*arguments):
        with pytest.raises(SystemExit) as left:
            command_line.main(["questions", *map(str, arguments)])
        out, err = capsys.readouterr()
        return left.value.code, out, err

    return command


def test_sets_statistics_and_examples(run, store, tmp_path):
    code, out, err = run(store, "--out", tmp_path / "q", "--count", 60, "--test", 20, "--show", 3, "wordings=movies", "max_answers=5")
    assert code == 0, err
    train, test = QuestionSet.open(tmp_path / "q" / "train"), QuestionSet.open(tmp_path / "q" / "test")
    assert not set(train.to_table()["chain"].to_pylist()) & set(test.to_table()["chain"].to_pylist())
    assert max(map(len, train.to_table()["answers"].to_pylist())) <= 5
    assert "rows in unseen wordings" in out
    assert out.count("\n    = ") == 3
    assert f"{train.num_rows + test.num_rows:,} questions in" in out
    again, out, _ = run(store, "--out", tmp_path / "q", "--count", 60, "--show", 0, "wordings=movies")
    assert again == 0
    assert "\n    = " not in out


def test_a_question_file(run, store, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("question,answers\nwho directed Alien,Ridley Scott\n")
    code, out, err = run(store, "--out", tmp_path / "q", "--source", "file", f"path={file}")
    assert code == 0, err
    assert "Alien > directed by\n    = Ridley Scott" in out


def test_a_jobs_file(run, store, tmp_path):
    job = tmp_path / "job.yaml"
    job.write_text(
        f"graph: {{source: {store}}}\n"
        "questions:\n"
        "  train: {name: generated, count: 150, split: all, kinds: {path: 1}}\n"
        "  test: [{name: generated, count: 30, split: test}]\n"
        "  validation: 5\n"
        "train: {steps: 1}\n"
    )
    code, out, err = run(job, "--out", tmp_path / "q", "questions.test[0].count=20")
    assert code == 0, err
    assert "left out of training:" in out
    assert QuestionSet.open(tmp_path / "q" / "validation").num_rows == 5
    assert "test: generated" in out


def test_the_questions_of_a_run_are_where_its_training_finds_them(run, store, tmp_path):
    job = tmp_path / "job.yaml"
    job.write_text(
        f"run: {{name: mine, storage: {tmp_path}}}\n"
        f"graph: {{source: {store}}}\n"
        "questions: {train: {name: generated, count: 60, split: all}, test: [{name: generated, count: 20, split: test}], validation: 2}\n"
    )
    code, out, err = run(job, "--show", 0)
    assert code == 0, err
    assert f"questions in {tmp_path}/mine/questions" in out
    assert QuestionSet.open(tmp_path / "mine" / "questions" / "validation").num_rows == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cuont=3"], "cuont: no such key, did you mean 'count'?"),
        (["--test", 3, "cuont=3"], "cuont: no such key, did you mean 'count'?"),
        (["--source", "file", "--test", 3, "path=mine.csv"], "split"),
        (["--source", "metaqua"], "--source (metaqua): no such method in raykg.data.sources, did you mean 'metaqa'?"),
    ],
)
def test_mistakes_are_said_before_the_graph_is_opened_and_ray_started(run_without_ray, tmp_path, monkeypatch, arguments, message):
    monkeypatch.setattr("raykg.cli.questions.start_ray", lambda *_: pytest.fail("Ray was started"))
    monkeypatch.setattr("raykg.kg.source.open_graph", lambda *_: pytest.fail("the graph was opened"))
    code, out, err = run_without_ray(tmp_path / "graph", "--out", tmp_path / "q", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "q").exists()


def test_a_mistake_in_the_wordings_is_said_in_one_line(run, store, tmp_path):
    code, out, err = run(store, "--out", tmp_path / "q", "wordings=moveis")
    assert (code, out) == (2, "")
    assert "moveis: no wordings file" in err
    assert "Traceback" not in err
