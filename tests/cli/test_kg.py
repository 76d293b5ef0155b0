import pytest

from raykg.cli.main import main
from raykg.kg.graph import KnowledgeGraph
from tests.cli.run_raykg import raykg
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


def test_a_jobs_file_says_everything(tmp_path, capsys):
    (tmp_path / "kb.txt").write_text("Alien|directed_by|Ridley Scott\nAlien|release_year|1979\n")
    job = tmp_path / "job.yaml"
    job.write_text(
        f"run: {{storage: {tmp_path}}}\n"
        f"graph: {{source: {tmp_path}/kb.txt, format: {{name: tsv, delimiter: '|'}}, literals: {{release_year: integer}}}}\n"
    )
    code, out, _ = run(capsys, "import", job)
    assert code == 0 and "triples" in out
    assert "release year" in run(capsys, "info", tmp_path / "graphs" / "kb")[1]
    code, _, _ = run(capsys, "import", job, f"graph.store={tmp_path}/other")
    assert code == 0 and (tmp_path / "other" / "latest").read_text() == (tmp_path / "graphs" / "kb" / "latest").read_text()
    code, _, err = run(capsys, "import", job, "--store", tmp_path)
    assert code == 2 and "says everything itself: change its settings with KEY=VALUE" in err
    code, _, err = run(capsys, "import", job, "graph.sorce=x")
    assert code == 2 and "graph.sorce: no such key, did you mean 'source'?" in err
    code, _, err = run(capsys, "import", tmp_path / "kb.txt")
    assert code == 2 and "--store: is missing" in err


def test_query_prints_answers_proof_and_sparql(films, capsys):
    code, out, _ = run(capsys, "query", films, "Ridley Scott < directed by > release year", "--sparql")
    assert code == 0 and "1979" in out and "1982" in out and "directed_by" in out and "SELECT" in out
    code, out, _ = run(capsys, "query", films, "count(Sigourney Weaver < starred actors)")
    assert code == 0 and out.splitlines()[0] == "3"
    code, out, _ = run(capsys, "query", films, "Heat > directed by")
    assert code == 0 and ("Michael Mann" in out or "Dick Richards" in out)
    code, out, _ = run(capsys, "query", films, "Ridley Scott > directed by")
    assert code == 0 and "no answer" in out


def test_a_proof_says_what_its_triples_cannot_show(films, capsys):
    _, out, _ = run(capsys, "query", films, "count(Ridley Scott < release year)")
    assert out.splitlines()[0] == "0" and "head" not in out, "no empty table"
    assert "checked by executing: there are 0 nodes in: Ridley Scott < release year" in out
    _, out, _ = run(capsys, "query", films, "Alien > directed by")
    assert "1 triple" in out and "1 triples" not in out


def test_an_operator_without_spaces_is_pointed_out(films, capsys):
    _, out, _ = run(capsys, "query", films, "Ridley Scott <directed by")
    assert "operators need a space on either side" in out
    assert "operators" not in run(capsys, "query", films, "ridley scot < directed by")[1]


def test_a_built_in_graph_is_imported_by_its_name(films, tmp_path, capsys, monkeypatch):
    seen = []
    monkeypatch.setattr("raykg.kg.source.open_graph", lambda cfg, storage: seen.append(cfg) or KnowledgeGraph.open(films))
    code, out, _ = run(capsys, "import", "builtin:movies", "--store", tmp_path / "s", "--wheel", "w.whl")
    assert (
        code == 0
        and "imported" in out
        and (seen[0].source, seen[0].store, seen[0].wheel) == ("builtin:movies", str(tmp_path / "s"), "w.whl")
    )
    for more in (["x.tsv"], ["--format", "tsv"], ["--onto-latest"]):
        code, _, err = run(capsys, "import", "builtin:movies", *more, "--store", tmp_path / "s")
        assert code == 2 and "a built-in graph is imported alone" in err


def test_nothing_is_drawn_where_no_terminal_is(tmp_path):
    (tmp_path / "x.tsv").write_text("broken\n")
    process = raykg("kg", "import", "x.tsv", "--store", "s", cwd=tmp_path)
    assert process.stderr.startswith("raykg: ") and process.stderr.count("\n") == 1


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
