import json

import pytest

from raykg.cli.main import main
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.live.graph import LiveGraph
from tests.graphs import film_graph


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main(["kg", *map(str, arguments)])
    out, err = capsys.readouterr()
    return exit_.value.code or 0, out, err


@pytest.fixture
def place(tmp_path):
    live = LiveGraph.open(tmp_path / "live", film_graph(tmp_path / "films"))
    live.add("Alien", "has genre", "classic", who="ann", why="everybody says so")
    live.retract("Alien", "has genre", "horror", who="bea")
    live.propose("Alien", "directed by", "Dan O'Bannon", who="model", evidence=["a passage"])
    live.reject("p3", "ann", "he wrote it")
    return tmp_path


def test_log_shows_who_changed_what_and_checks_it(place, capsys):
    code, out, _ = run(capsys, "log", place / "live")
    assert code == 0 and "+ f1 > has_genre > classic" in out and "- f1 > has_genre > horror" in out and '"everybody says so"' in out
    assert "? f1 > directed_by > Dan O'Bannon" in out and "p3" in out and "4 records, none missing or altered" in out
    code, out, _ = run(capsys, "log", place / "live", "--after", 1, "--limit", 2, "--json")
    assert code == 0 and [json.loads(line)["sequence"] for line in out.splitlines()] == [3, 4]
    assert "0 records" in run(capsys, "log", place / "nothing")[1]
    file = sorted((place / "live" / "log").iterdir())[1]
    file.write_text(file.read_text().replace("bea", "eve"))
    code, _, err = run(capsys, "log", place / "live")
    assert code == 2 and file.name in err and "altered" in err and "Traceback" not in err


def test_snapshot_backup_and_restore(place, capsys):
    code, out, _ = run(capsys, "snapshot", place / "live", "--store", place / "films")
    version = KnowledgeGraph.open(place / "films").version
    assert code == 0 and version in out and "1 triples added, 1 retracted" in out
    assert "holds everything already" in run(capsys, "snapshot", place / "live", "--store", place / "films")[1]
    code, out, _ = run(capsys, "backup", place / "live", "--store", place / "films", "--to", place / "b.tar")
    assert code == 0 and f"version {version} with 5 log records" in out
    code, out, _ = run(capsys, "restore", place / "b.tar", "--store", place / "films2", "--storage", place / "live2")
    assert code == 0 and f"version {version}+5" in out and KnowledgeGraph.open(place / "films2").version == version
    code, _, err = run(capsys, "restore", place / "b.tar", "--store", place / "films2", "--storage", place / "live2")
    assert code == 2 and "has a log already" in err
    code, _, err = run(capsys, "backup", place / "live", "--store", place / "nowhere", "--to", place / "c.tar")
    assert code == 2 and "no graph store here" in err and not (place / "c.tar").exists()


@pytest.mark.parametrize("command", ["log", "snapshot", "backup", "restore"])
def test_help_has_examples(command, capsys):
    code, out, _ = run(capsys, command, "--help")
    assert code == 0 and f"raykg kg {command} " in out and "Examples:" in out
