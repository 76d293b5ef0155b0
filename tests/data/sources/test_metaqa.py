import pyarrow as pa
import pytest

from raykg.config.load import from_dict
from raykg.data.errors import QuestionFileError
from raykg.data.question_set import write_table
from raykg.data.sources.metaqa import Config, MetaQA, accuracy, gold_steps
from raykg.data.steps import step_table
from raykg.kg.build import from_triples
from raykg.kg.logical_form import bind, execute, parse
from tests.shared_data import shared

TRIPLES = [
    ("Ann's Film", "directed_by", "Ann"), ("Other Film", "directed_by", "Ann"), ("Ann's Film", "written_by", "Bob"),
    ("Ann's Film", "starred_actors", "Cy"), ("Other Film", "starred_actors", "Cy"), ("Other Film", "starred_actors", "Di"),
    ("Ann's Film", "has_genre", "Drama"), ("Other Film", "has_genre", "Comedy"), ("Other Film", "release_year", "1999"),
    ("Third Film", "starred_actors", "Di"), ("Third Film", "directed_by", "Eve"), ("Third Film", "written_by", "Ann"),
]  # fmt: skip
ONE = [
    ("who made [Ann's Film]", "Ann", "movie_to_director"),
    ("who made [Other Film]", "Ann", "movie_to_director"),
    ("who made [Third Film]", "Eve", "movie_to_director"),
    ("what has [Cy] played in", "Ann's Film|Other Film", "actor_to_movie"),
]
TWO = [
    ("what else is by whoever made [Ann's Film]", "Other Film", "movie_to_director_to_movie"),
    ("who played beside [Cy]", "Di", "actor_to_movie_to_actor"),
    ("who played beside [Di]", "Cy", "actor_to_movie_to_actor"),
]


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    labels = {relation: relation.replace("_", " ") for _, relation, _ in TRIPLES}
    return from_triples(tmp_path_factory.mktemp("kb"), TRIPLES, labels=labels)


@pytest.fixture
def folder(tmp_path):
    for hops, rows in ((1, ONE), (2, TWO)):
        (tmp_path / f"{hops}-hop").mkdir()
        (tmp_path / f"{hops}-hop" / "dev.txt").write_text("".join("\t".join(row) + "\n" for row in rows))
    return tmp_path


def read(graph, folder, **settings):
    cfg = from_dict(Config, {"folder": str(folder), "hops": [1, 2], **settings})
    dataset = MetaQA(cfg).dataset(graph.root, graph.version, 0)
    return pa.concat_tables(list(dataset.iter_batches(batch_format="pyarrow", batch_size=None))).combine_chunks()


def test_gold_plans_come_from_the_type_and_give_the_answers(graph, folder, ray_session):
    found = read(graph, folder)
    assert found["kind"].to_pylist() == [row[2] for row in ONE + TWO]
    assert found["hops"].to_pylist() == [1] * 4 + [2] * 3
    for row in found.to_pylist():
        form = bind(parse(row["plan"], graph), dict(zip(row["topics"], row["topic_ids"], strict=True)))
        assert set(execute(form, graph).answers.tolist()) == set(row["answer_ids"])
        assert row["plan"].startswith("~") == (row["hops"] > 1)
        assert f"[{row['topics'][0]}]" in row["question"]
        assert (row["fit"], row["source"]) == ("gold", "metaqa")
    assert found["wording"].to_pylist()[:3] == ["made _"] * 3


def test_recovered_plans_see_answers_and_wordings_alone(graph, folder, ray_session):
    found = read(graph, folder, recover=True)
    gold = {row["question"]: row["plan"] for row in read(graph, folder).to_pylist()}
    assert {row["question"]: row["plan"].lstrip("~") for row in found.to_pylist()} == {
        text: plan.lstrip("~") for text, plan in gold.items()
    }
    summary = accuracy(found, graph.root, graph.version)
    assert summary["all"] == {"rows": 7, "none": 0, "one": summary["all"]["one"], "several": 7 - summary["all"]["one"], "accuracy": 1.0}
    file = folder / "1-hop" / "dev.txt"
    file.write_text(file.read_text().replace("movie_to_director", "movie_to_writer"))
    swapped = read(graph, folder, recover=True)
    assert sorted(swapped["plan"].to_pylist()) == sorted(found["plan"].to_pylist()), "the type has no part in it"
    assert accuracy(swapped, graph.root, graph.version)["1-hop"]["accuracy"] == 0.25


def test_a_report_is_told_how_recovery_went(graph, folder, ray_session, tmp_path):
    source = MetaQA(from_dict(Config, {"folder": str(folder), "hops": [1, 2], "recover": True}))
    rows = write_table(read(graph, folder, recover=True), tmp_path / "set", {})
    counts, agreement = source.findings(rows, graph.root, graph.version)
    one = sum(fit == "one" for fit in rows.to_table(["fit"])["fit"].to_pylist())
    assert f"one plan fits {one:,} rows, several fit {7 - one:,}" in counts
    assert "1.0000 of all rows" in agreement
    published = MetaQA(from_dict(Config, {"folder": str(folder), "hops": [1, 2]}))
    assert published.findings(rows, graph.root, graph.version) == []


def test_rows_are_drawn_by_the_seed(graph, folder, ray_session):
    assert read(graph, folder, count=2).num_rows == 4
    cfg = from_dict(Config, {"folder": str(folder), "hops": [1], "count": 2})
    drawn = {tuple(row["id"] for row in MetaQA(cfg).dataset(graph.root, graph.version, seed).take_all()) for seed in range(6)}
    assert len(drawn) > 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("who made [X]\tAnn", "dev.txt:5: expected a question"),
        ("who made X\tAnn\tmovie_to_director", "dev.txt:5: expected a question with its topic in"),
        ("who made [X]\tAnn\tmovie_to_budget", "dev.txt:5: type 'movie_to_budget': 'budget' is none of MetaQA's"),
    ],
)
def test_lines_that_are_not_metaqas_are_refused(graph, folder, ray_session, line, message):
    with (folder / "1-hop" / "dev.txt").open("a") as out:
        out.write(line + "\n")
    with pytest.raises(QuestionFileError, match=message):
        read(graph, folder)


def test_a_missing_file_is_refused(graph, folder, ray_session):
    with pytest.raises(QuestionFileError, match="3-hop"):
        read(graph, folder, hops=[3])


def test_plans_of_the_published_dev_questions_are_recovered(tmp_path, ray_session):
    """At least 97 of 100 by the type column; 2,100 questions, a few seconds."""
    from raykg.kg.source import GraphConfig, open_graph

    kb = shared("kgqa/metaqa/kb.txt")
    cfg = from_dict(GraphConfig, {"source": str(kb), "format": {"name": "csv", "delimiter": "|", "header": False}})
    graph = open_graph(cfg, tmp_path)
    found = read(graph, kb.parent, hops=[1, 2, 3], count=700, recover=True)
    summary = accuracy(found, graph.root, graph.version)
    assert summary["all"]["rows"] == 2100
    assert summary["all"]["none"] <= 3
    assert summary["all"]["accuracy"] >= 0.97


def test_types_are_steps(graph):
    table = step_table(str(graph.root), graph.version)
    steps = gold_steps("writer_to_movie_to_actor", str(graph.root), graph.version)
    assert [(table.hop(step).relation, table.hop(step).forward) for step in steps] == [("written by", False), ("starred actors", True)]
