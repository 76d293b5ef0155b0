import numpy as np
import pyarrow as pa
import pytest

from raykg.data.generate import Generator
from raykg.data.questions import QUESTION_SCHEMA, question_table
from raykg.data.recover import recover, recovered_counts
from raykg.data.sources.generated import Config
from raykg.kg.logical_form import bind, execute, parse

PATHS = Config(split="all", kinds={"path": 1.0}, wordings="movies", wordings_per_plan=3, topics_bracketed=True)


@pytest.fixture(scope="module")
def answered(films):
    """Generated questions with their plans taken away, and the plans."""
    rows = Generator(films, PATHS, seed=3).rows(np.arange(300))
    gold = rows["plan"].to_pylist()
    bare = {name: rows[name] for name in ("id", "question", "topics", "topic_ids", "answers", "answer_ids", "wording")}
    return question_table(bare, fit="none", kg_version=films.version), gold


def recovered(films, rows, blocks):
    import ray.data

    size = -(-rows.num_rows // blocks)
    dataset = ray.data.from_arrow([rows.slice(begin, size) for begin in range(0, rows.num_rows, size)])
    found = recover(dataset, films.root, films.version)
    table = pa.concat_tables(list(found.iter_batches(batch_format="pyarrow", batch_size=None)))
    return table.sort_by("id").combine_chunks()


def test_recovered_plans_give_the_answers_whatever_the_blocks(films, answered, ray_session):
    rows, gold = answered
    found = recovered(films, rows, 1)
    assert found.schema == QUESTION_SCHEMA
    assert recovered(films, rows, 3) == found, "neither order nor blocks decide"
    plans = dict(zip(rows["id"].to_pylist(), gold, strict=True))
    for row in found.to_pylist():
        form = bind(parse(row["plan"], films), dict(zip(row["topics"], row["topic_ids"], strict=True)))
        assert sorted(execute(form, films).answers.tolist()) == sorted(row["answer_ids"])
        assert row["hops"] == int(row["kind"][0]) == len(form.steps)
        assert row["chain"] != 0
        if row["fit"] == "one":
            assert row["plan"].removeprefix("~") == plans[row["id"]].removeprefix("~")
    assert recovered_counts(found).keys() == {"one", "several"}
    same = np.mean([row["plan"] == plans[row["id"]] for row in found.to_pylist()])
    assert same > 0.6, "eight films, so many paths fit; the vote finds most all the same"


def test_rows_that_no_path_fits_stay_without_a_plan(films, ray_session):
    alien, scott, heat = (films.node(key) for key in ("f1", "ridley_scott", "f4"))
    rows = question_table(
        {
            "id": ["a", "b", "c", "d", "e"],
            "question": ["who directed [Alien]", "x [Alien]", "y [Alien] [Heat]", "z", "u [Alien]"],
            "topics": [["Alien"], ["Alien"], ["Alien", "Heat"], [], ["Alien"]],
            "topic_ids": [[alien], [alien], [alien, heat], [], [alien]],
            "answers": [["Ridley Scott"], ["?"], ["Ridley Scott"], ["Ridley Scott"], ["Ridley Scott", "Heat"]],
            "answer_ids": [[scott], [-1], [scott], [scott], [scott, heat]],
        }
    )
    found = recovered(films, rows, 1)
    assert found["plan"].to_pylist() == ["Alien > directed by", "", "", "", ""]
    assert found["fit"].to_pylist()[1:] == ["none"] * 4
    assert found["chain"].to_pylist()[1:] == [0] * 4


def test_no_rows_are_no_plans(films, ray_session):
    import ray.data

    rows = question_table({"question": ["x"]})
    dataset = ray.data.from_arrow(rows).filter(lambda row: row["question"] == "y")
    assert recover(dataset, films.root, films.version).count() == 0
