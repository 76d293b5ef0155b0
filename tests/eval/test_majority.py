import pyarrow as pa

from raykg.eval.answers import Said
from raykg.eval.majority import Majority

ROWS = [("1-hop", ["b", "a"]), ("1-hop", ["a"]), ("1-hop", ["b", "a"]), ("count", ["2"]), ("count", ["3"]), ("count", ["3"]), ("none", [])]


def table(rows):
    kinds, answers = zip(*rows, strict=True)
    return pa.table({"kind": pa.array(kinds, pa.string()), "answers": pa.array(answers, pa.list_(pa.string()))})


def test_the_most_frequent_answer_and_set_of_each_kind():
    majority = Majority.of(table(ROWS))
    assert majority.says("1-hop") == Said(("a",))
    assert majority.says_set("1-hop") == Said(("b", "a"))
    assert majority.says("count") == majority.says_set("count") == Said(("3",))
    assert majority.says_set("none") == Said(())
    assert majority.says("unheard of") == Said(("a",)), "a kind that training lacks gets the most frequent of all"


def test_ties_go_to_the_first_by_name_and_row_order_does_not_matter():
    rows = [("k", ["z"]), ("k", ["y"]), ("k", ["x", "y"]), ("k", ["z"]), ("k", ["y"])]
    majority = Majority.of(table(rows))
    assert majority == Majority.of(table(rows[::-1]))
    assert majority.says("k") == Said(("y",))
    assert majority.says_set("k") == Said(("y",))


def test_no_training_rows_say_nothing():
    majority = Majority.of(table([("k", ["a"])]).slice(0, 0))
    assert majority.says("k") == majority.says_set("k") == Said(())


def test_chunked_tables_count_as_one():
    rows = table(ROWS)
    assert Majority.of(pa.concat_tables([rows.slice(0, 3), rows.slice(3)])) == Majority.of(rows)
