import pyarrow as pa

from raykg.data.paraphrase import REPLANNED, keep_faithful, paraphrase
from raykg.data.questions import question_table


class Rewriter:
    """Writes three paraphrases of each row: a good one, one that loses the topic, and one that asks something else."""

    def __init__(self, word: str) -> None:
        self.word = word

    def __call__(self, rows: pa.Table) -> pa.Table:
        out = []
        for row in rows.to_pylist():
            topic = row["topics"][0]
            made = [
                (row["question"], row["plan"]),
                (f"{self.word} directed {topic}", row["plan"]),
                (f"{self.word} directed it", row["plan"]),
                (f"{self.word} wrote {topic}", f"{topic} > written by"),
            ]
            out += [{**row, "question": question, REPLANNED: plan} for question, plan in made]
        return pa.Table.from_pylist(out, schema=rows.schema.append(pa.field(REPLANNED, pa.string())))


def rows():
    return question_table(
        {
            "question": ["who is the director of Alien", "who is the director of Heat"],
            "topics": [["Alien"], ["Heat"]],
            "plan": ["Alien > directed by", "Heat > directed by"],
            "wording": ["director _", "director _"],
        }
    )


def test_paraphrases_are_kept_when_plan_and_names_survive(ray_session):
    import ray.data

    found = paraphrase(ray.data.from_arrow(rows()), Rewriter, {"word": "someone"}, hold_out_wordings=0.0)
    table = pa.concat_tables(list(found.iter_batches(batch_format="pyarrow", batch_size=None)))
    assert sorted(table["question"].to_pylist()) == [
        "someone directed Alien", "someone directed Heat", "who is the director of Alien", "who is the director of Heat"
    ]  # fmt: skip
    assert set(table["wording"].to_pylist()) == {"director _", "someone directed _"}
    assert len(set(table["id"].to_pylist())) == 4


def test_held_out_wordings_are_dropped_and_the_row_itself_stays():
    written = Rewriter("someone")(rows())
    assert keep_faithful(written, 1.0)["question"].to_pylist() == ["who is the director of Alien", "who is the director of Heat"]


def test_a_writer_that_plans_nothing_is_taken_by_the_names_alone():
    written = Rewriter("someone")(rows()).drop_columns([REPLANNED])
    assert keep_faithful(written, 0.0).num_rows == 6
