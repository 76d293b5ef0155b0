import types

import pytest

from raykg.config.choice import chosen
from raykg.config.errors import ConfigErrors
from raykg.config.load import from_dict, to_dict
from raykg.kg import importing, source
from raykg.kg.errors import DamagedVersion, KgError
from raykg.kg.source import GraphConfig, graph_name, open_graph
from tests.graphs import film_graph


def test_files_are_imported_once_and_again_when_they_change(tmp_path, monkeypatch):
    (tmp_path / "kb.tsv").write_text("a\tyear\t1999\n")
    cfg = GraphConfig(source=str(tmp_path / "kb.tsv"), literals={"year": "integer"})
    first = open_graph(cfg, tmp_path / "runs")
    assert first.root.parent.parent == tmp_path / "runs" / "graphs" / "kb" and first.is_literal.sum() == 1
    with monkeypatch.context() as patch:
        patch.setattr(importing, "import_graph", lambda *_, **__: pytest.fail("imported again"))
        assert open_graph(cfg, tmp_path / "runs").version == first.version
    other = open_graph(GraphConfig(source=cfg.source), tmp_path / "runs")
    assert other.version != first.version
    assert open_graph(cfg, tmp_path / "runs").version == first.version  # what the source gives, whatever `latest` is
    assert open_graph(GraphConfig(source=cfg.source, version=other.version), tmp_path / "runs").version == other.version
    (tmp_path / "kb.tsv").write_text("a\tyear\t2000\n")
    assert open_graph(cfg, tmp_path / "runs").version not in (first.version, other.version)


def test_a_removed_version_is_imported_again_and_a_damaged_one_refused(tmp_path):
    (tmp_path / "kb.tsv").write_text("a\tr\tb\n")
    cfg = GraphConfig(source=str(tmp_path / "kb.tsv"), store=str(tmp_path / "store"))
    graph = open_graph(cfg, tmp_path)
    (graph.root / "tails.npy").write_bytes(b"x")
    with pytest.raises(DamagedVersion, match=r"tails.npy.*remove .* and import the graph again"):
        open_graph(cfg, tmp_path)
    __import__("shutil").rmtree(graph.root)
    assert open_graph(cfg, tmp_path).version == graph.version


def test_a_store_or_a_version_is_opened(tmp_path):
    graph = film_graph(tmp_path / "films")
    for path in (tmp_path / "films", graph.root):
        assert open_graph(GraphConfig(source=str(path)), tmp_path / "runs").version == graph.version


def test_built_in_graphs_are_built_once(tmp_path, monkeypatch):
    built = []
    module = types.SimpleNamespace(build=lambda store, wheel: built.append(wheel) or film_graph(store), __file__=__file__)
    monkeypatch.setattr("raykg.config.choice.names", lambda folder: ["films", "geography"])
    monkeypatch.setattr(source.importlib, "import_module", lambda name: module)
    cfg = GraphConfig(source="builtin:films", wheel="folder")
    assert open_graph(cfg, tmp_path).version == open_graph(cfg, tmp_path).version and built == ["folder"]
    assert (tmp_path / "graphs" / "films" / "latest").is_file()
    with pytest.raises(KgError, match=r"no such built-in graph, did you mean 'films'\? \(built in: films, geography\)"):
        open_graph(GraphConfig(source="builtin:film"), tmp_path)


def test_cross_field_rules():
    with pytest.raises(ValueError, match=r"literals.year \('int'\) must be one of boolean"):
        GraphConfig(source="x.tsv", literals={"year": "int"})
    with pytest.raises(ValueError, match="is built in: format, literals"):
        GraphConfig(source="builtin:movies", format=chosen("raykg.kg.formats", "tsv"))
    with pytest.raises(ConfigErrors, match="delimiter"):
        chosen("raykg.kg.formats", "csv", delimiter="||")


def test_the_config_travels_as_a_plain_dict():
    cfg = GraphConfig(source="kb.txt", format=chosen("raykg.kg.formats", "tsv", delimiter="|"), literals={"year": "integer"})
    assert from_dict(GraphConfig, to_dict(cfg)) == cfg


def test_store_names():
    names = {"builtin:movies": "movies", "data/kb.txt": "kb", "s3://b/x/*.nt.gz": "graph", "s3://b/a b.nt.gz": "a-b", "dir/": "dir"}
    assert {text: graph_name(text) for text in names} == names
