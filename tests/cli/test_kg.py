import pytest

from raykg.cli.main import main
from tests.graphs import film_graph


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main(["kg", *map(str, arguments)])
    out, err = capsys.readouterr()
    return exit_.value.code or 0, out, err


@pytest.fixture
def films(tmp_path):
    return film_graph(tmp_path / "films").root.parent.parent


def test_import_then_info_then_export(tmp_path, capsys):
    (tmp_path / "kb.txt").write_text("Alien|directed_by|Ridley Scott\nAlien|release_year|1979\nbroken\nAlien|release_year|1979\n")
    store = tmp_path / "store"
    common = ["--store", store, "--format", "tsv", "--delimiter", "|", "--literal", "release_year=integer"]
    code, out, err = run(capsys, "import", tmp_path / "kb.txt", *common)
    assert code == 2 and "kb.txt:3: 1 column, expected 3" in err and "--max-bad-rows" in err and "Traceback" not in err
    code, out, err = run(capsys, "import", tmp_path / "kb.txt", *common, "--max-bad-rows", 1)
    assert code == 0 and "duplicates" in out and "bad: columns" in out
    code, out, _ = run(capsys, "info", store)
    assert code == 0 and "directed by" in out and "release year" in out and "literals" in out and "kb.txt" in out
    code, out, _ = run(capsys, "export", store, "--to", tmp_path / "out.nt", "--entities", tmp_path / "names.tsv")
    assert code == 0 and "2 triples of version" in out and "names" in out
    (tmp_path / "more.tsv").write_text("Alien\tin_language\tEnglish\n")
    code, out, _ = run(capsys, "import", tmp_path / "more.tsv", "--store", store, "--onto-latest")
    assert code == 0 and "release year" in run(capsys, "info", store)[1]


def test_query_prints_answers_proof_and_sparql(films, capsys):
    code, out, _ = run(capsys, "query", films, "Ridley Scott < directed by > release year", "--sparql")
    assert code == 0 and "1979" in out and "1982" in out and "directed_by" in out and "SELECT" in out
    code, out, _ = run(capsys, "query", films, "count(Sigourney Weaver < starred actors)")
    assert code == 0 and out.splitlines()[0] == "3"
    code, out, _ = run(capsys, "query", films, "Heat > directed by")
    assert code == 0 and ("Michael Mann" in out or "Dick Richards" in out)
    code, out, _ = run(capsys, "query", films, "Ridley Scott > directed by")
    assert code == 0 and "no answer" in out


def test_mistakes_are_one_line_and_exit_two(films, tmp_path, capsys):
    for arguments, message in (
        (["query", films, "Ridley Scott < directed_bye"], "did you mean"),
        (["info", tmp_path / "nothing"], "no graph store here"),
        (["import", tmp_path / "x.tsv", "--store", tmp_path / "s"], "no such file"),
        (["import", "x", "--store", tmp_path / "s", "--delimiter", "|"], "add --format tsv"),
        (["import", "x", "--store", tmp_path / "s", "--format", "parquet", "--delimiter", "|"], "parquet has neither"),
        (["import", "x", "--store", tmp_path / "s", "--literal", "year"], "expected RELATION=DATATYPE"),
        (["import", "x", "--store", tmp_path / "s", "--format", "tvs"], "did you mean 'tsv'"),
        (["export", films, "--to", tmp_path / "x.xlsx"], "no export format"),
    ):
        code, _, err = run(capsys, *arguments)
        assert code == 2 and message in err and "Traceback" not in err


@pytest.mark.parametrize("command", ["import", "info", "query", "export"])
def test_help_has_examples(command, capsys):
    code, out, _ = run(capsys, command, "--help")
    assert code == 0 and f"raykg kg {command} " in out
