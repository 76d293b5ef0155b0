from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from raykg.data.generate import Generator, relation_nouns
from raykg.data.masking import held_out, mask, wordings
from raykg.data.questions import QUESTION_SCHEMA
from raykg.data.shapes import KINDS
from raykg.data.sources.generated import Config
from raykg.kg.build import from_triples
from raykg.kg.logical_form import bind, execute, parse, template, write

PATHS = Config(split="all", kinds={"path": 1.0})
ALL = replace(PATHS, kinds=dict.fromkeys(KINDS, 1.0), wordings="movies")


@pytest.fixture(scope="module")
def rows(films):
    return Generator(films, ALL, seed=1).rows(np.arange(400))


def test_rows_are_complete_and_true(films, rows):
    """Plans are canonical, their answers are the executor's, topics stand in the question, the wording is the masked question's."""
    assert rows.schema == QUESTION_SCHEMA
    assert rows.num_rows > 380
    for row in rows.to_pylist():
        form = parse(row["plan"], films)
        assert write(form) == row["plan"]
        assert template(form) == row["template"]
        result = execute(bind(form, dict(zip(row["topics"], row["topic_ids"], strict=True))), films)
        if row["kind"] == "count":
            assert (row["answers"], row["answer_ids"]) == ([str(result.count)], [])
        else:
            assert (row["answer_ids"], row["answers"]) == (result.answers.tolist(), films.labels(result.answers))
        places = [row["question"].index(topic) for topic in row["topics"]]
        assert films.labels(row["topic_ids"]) == row["topics"]
        assert places == sorted(places) or len({*row["topics"]}) > 1
        assert row["fit"] == "gold"
        assert row["kg_version"] == films.version
    assert {row["kind"] for row in rows.to_pylist()} == {"1-hop", "2-hop", "3-hop", *KINDS[1:]}


def test_a_wording_is_that_of_the_question(films):
    """With topics in brackets masking is exact; a filter's number is no topic and stays."""
    rows = Generator(films, replace(ALL, topics_bracketed=True, kinds={"path": 1, "comparison": 1}), seed=1).rows(np.arange(150))
    assert wordings(mask(rows["question"], rows["topics"])).to_pylist() == rows["wording"].to_pylist()


@pytest.mark.parametrize("size", [1, 7, 150])
def test_a_row_is_a_function_of_its_number(films, rows, size):
    generator = Generator(films, ALL, seed=1)
    parts = [generator.rows(np.arange(begin, min(begin + size, 40))) for begin in range(0, 40, size)]
    whole = Generator(films, ALL, seed=1).rows(np.arange(40))
    assert pa.concat_tables(parts).combine_chunks() == whole
    assert Generator(films, ALL, seed=2).rows(np.arange(40)) != whole


def test_chains_are_in_one_split_and_held_out_wordings_in_none_of_training(films):
    train, test = (Generator(films, replace(ALL, split=split, test_share=0.3), seed=1).rows(np.arange(500)) for split in ("train", "test"))
    assert not set(train["chain"].to_pylist()) & set(test["chain"].to_pylist())
    assert not held_out(train["wording"].combine_chunks(), 0.25).any()
    assert train["wording_seen"].to_pylist() == [True] * train.num_rows
    assert set(test["wording_seen"].to_pylist()) == {True, False}
    other_run = Generator(films, replace(ALL, split="test", test_share=0.3), seed=9).rows(np.arange(300))
    assert not set(train["chain"].to_pylist()) & set(other_run["chain"].to_pylist()), "the run's seed does not deal the splits"


def test_equal_plans_about_equal_topics_have_equal_chains(rows):
    chains = {}
    for row in rows.to_pylist():
        chains.setdefault((row["template"], *row["topic_ids"], row["plan"]), set()).add(row["chain"])
    assert all(len(found) == 1 for found in chains.values())


def test_limits_are_kept(films):
    rows = Generator(films, replace(ALL, max_answers=2, kinds={"path": 1.0}), seed=1).rows(np.arange(200))
    assert max(len(answers) for answers in rows["answers"].to_pylist()) <= 2
    rows = Generator(films, replace(ALL, hops=(0.0, 1.0, 0.0), kinds={"path": 1.0}), seed=1).rows(np.arange(50))
    assert set(rows["kind"].to_pylist()) == {"2-hop"}
    assert not any(
        plan.startswith("~") for plan in Generator(films, replace(ALL, exclude_topic=False), seed=1).rows(np.arange(99))["plan"].to_pylist()
    )


def test_few_wordings_a_plan_are_few(films):
    one = Generator(films, replace(ALL, kinds={"path": 1.0}, hops=(1.0, 0.0, 0.0), wordings_per_plan=2), seed=1).rows(np.arange(600))
    shapes = {}
    for row in one.to_pylist():
        shapes.setdefault(row["template"], set()).add(row["wording"])
    assert max(len(found) for found in shapes.values()) == 2


def test_several_questions_ask_about_one_topic(films):
    settings = Config(split="all", questions_per_topic=8, kinds={"path": 0.8, "count": 0.2})
    table = Generator(films, settings, 3).rows(np.arange(160))
    assert table.num_rows > 140
    topics = [row[0] for row in table["topic_ids"].to_pylist()]
    assert len(set(topics)) < 40, "20 topics, and others where one has nothing apt"
    assert len(set(zip(topics, table["template"].to_pylist(), strict=True))) > 80
    again = Generator(films, settings, 3).rows(np.arange(40, 60))
    assert set(again["id"].to_pylist()) <= set(table["id"].to_pylist())


def test_names_that_need_quotes_get_them(tmp_path):
    graph = from_triples(tmp_path, [('a > b "c"', "r", "x - y"), ("(z)", "r", "x - y"), ("q", "r", "other")])
    rows = Generator(graph, PATHS).rows(np.arange(60))
    for row in rows.to_pylist():
        form = bind(parse(row["plan"], graph), dict(zip(row["topics"], row["topic_ids"], strict=True)))
        assert execute(form, graph).answers.tolist() == row["answer_ids"]


def test_two_topics_of_one_name_are_never_asked_about_together(films):
    """The film graph has two films called Heat."""
    rows = Generator(films, replace(ALL, kinds={"comparison": 1.0}), seed=1).rows(np.arange(300))
    assert all(len(set(topics)) == 2 for topics in rows["topics"].to_pylist())


def test_a_graph_with_nothing_to_ask_gives_no_rows(tmp_path):
    graph = from_triples(tmp_path, [(f"f{number}", "r", "hub") for number in range(30)])
    chosen = replace(PATHS, max_answers=1, hops=(0.0, 1.0, 0.0))
    assert Generator(graph, chosen).rows(np.arange(5)).num_rows == 0
    assert Generator(graph, chosen).rows(np.arange(0)).num_rows == 0


def test_types_name_the_things_of_a_relation(films, film_steps):
    assert relation_nouns(films, film_steps)["directed by"] == (("film", "films"), ("person", "people"))
    assert relation_nouns(films, film_steps)["has genre"] == (("film", "films"), None)
