"""Groups, intervals, the majority row and the printed forms."""

import json
import math

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from raykg.eval.majority import Majority
from raykg.eval.suites.kgqa import METRICS, RESULT_SCHEMA, Evaluation
from raykg.eval.tables import MAJORITY, ComparisonTable, majority_table, summarise

NAN = math.nan


def results(rows):
    """rows: (kind, seen, gold, hits, set_match, executable)."""
    columns = {field.name: [None] * len(rows) for field in RESULT_SCHEMA}
    columns |= {metric: [NAN] * len(rows) for metric in METRICS}
    kinds, seen, gold, hits, sets, executable = zip(*rows, strict=True)
    columns |= {"row": range(len(rows)), "kind": kinds, "wording_seen": seen, "gold": gold, "gold_ids": [[]] * len(rows)}
    columns |= {"hits_at_1": hits, "set_match": sets, "executable": executable, "question": [f"q{i}" for i in range(len(rows))]}
    columns |= {"seconds": [0.5] * len(rows), "bad_citations": [0] * len(rows), "answers": [[]] * len(rows)}
    return pa.table([pa.array(columns[field.name], field.type) for field in RESULT_SCHEMA], schema=RESULT_SCHEMA)


ROWS = [
    ("1-hop", True, ["a"], 1.0, 1.0, 1.0),
    ("1-hop", False, ["a", "b"], 1.0, 0.0, 1.0),
    ("2-hop", True, ["c"], 0.0, 0.0, 0.0),
    ("2-hop", True, ["a"], 1.0, 1.0, 1.0),
]
CLOSED = [(*row[:5], NAN) for row in ROWS]


def evaluation(rows):
    return Evaluation(results(rows), "s", "linked", "v1")


@pytest.fixture
def table():
    majority = Majority.of(pa.table({"kind": ["1-hop", "1-hop", "2-hop"], "answers": [["a", "b"], ["a", "b"], ["c"]]}))
    return ComparisonTable.of([("ours, plan", evaluation(ROWS)), ("closed", evaluation(CLOSED))], majority, resamples=200)


def test_numbers_of_hops_are_groups_where_kinds_do_not_say_them():
    rows = results([("actor_to_movie", *row[1:]) if number < 3 else ("movie_to_year", *row[1:]) for number, row in enumerate(ROWS)])
    place = rows.schema.get_field_index("hops")
    hops = rows.set_column(place, rows.schema.field(place), pa.array([1, 2, 2, 1], pa.int32()))
    groups = {group.kind: group for group in summarise(hops, 100) if group.wording == "all"}
    assert list(groups) == ["all", "1-hop", "2-hop", "actor_to_movie", "movie_to_year"]
    assert (groups["1-hop"].questions, groups["1-hop"].means["set_match"]) == (2, 1.0)
    assert (groups["2-hop"].questions, groups["2-hop"].means["hits_at_1"]) == (2, 0.5)


def test_many_kinds_are_for_the_report_not_the_console():
    from rich.console import Console

    rows = results([(f"kind {number}", *ROWS[number % 4][1:]) for number in range(40)])
    table = ComparisonTable.of([("ours", Evaluation(rows, "s", "linked", "v1"))], resamples=10)
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(table.console_table())
    text = console.export_text()
    assert "unseen wordings" in text
    assert "kind 7" not in text
    assert "kind 7" in table.markdown("hits_at_1")


def test_groups_are_all_kinds_and_wordings_with_their_means(table):
    groups = {(g.kind, g.wording): g for g in table.rows[0][1]}
    of_all, of_one = [[(kind, wording) for wording in ("all", "seen", "unseen")] for kind in ("all", "1-hop")]
    assert list(groups) == [*of_all, *of_one, ("2-hop", "all"), ("2-hop", "seen")]
    assert {key: (g.questions, g.means["hits_at_1"], g.means["set_match"]) for key, g in groups.items() if "all" in key} == {
        ("all", "all"): (4, 0.75, 0.5),
        ("all", "seen"): (3, pytest.approx(2 / 3), pytest.approx(2 / 3)),
        ("all", "unseen"): (1, 1.0, 0.0),
        ("1-hop", "all"): (2, 1.0, 0.5),
        ("2-hop", "all"): (2, 0.5, 0.5),
    }
    for group in groups.values():
        low, high = group.intervals["hits_at_1"]
        assert low <= group.means["hits_at_1"] <= high
    assert math.isnan(groups["all", "all"].means["exact_match"])


def test_the_majority_baseline_is_the_last_row(table):
    label, groups = table.rows[-1]
    assert label == MAJORITY
    assert {(g.kind, g.wording): (g.means["hits_at_1"], g.means["set_match"]) for g in groups if g.wording == "all"} == {
        ("all", "all"): (0.75, 0.5),
        ("1-hop", "all"): (1.0, 0.5),
        ("2-hop", "all"): (0.5, 0.5),
    }
    scored = majority_table(results(ROWS), Majority({}, {}))
    assert pc.sum(scored["hits_at_1"]).as_py() == 0
    assert scored.schema.names == RESULT_SCHEMA.names


def test_the_largest_contender_gives_the_majority_its_questions():
    small, large = evaluation(ROWS[:1]), evaluation(ROWS)
    table = ComparisonTable.of([("small", small), ("large", large)], Majority({}, {}), resamples=10)
    assert table.rows[-1][1][0].questions == 4


def test_markdown_has_an_interval_in_each_cell_and_leaves_out_what_does_not_apply(table):
    lines = table.markdown("hits_at_1").splitlines()
    assert lines[0] == "| Hits@1 | questions | all | seen wordings | unseen wordings | 1-hop | 2-hop |"
    assert lines[2].startswith("| ours, plan | 4 | 0.750 [")
    assert len(lines) == 5
    executable = table.markdown("executable").splitlines()
    assert len(executable) == 3, "a contender without plans has no executable-plan rate"
    assert "| 0.750 [" in executable[2]
    by_wording = table.markdown("hits_at_1", table.kinds_by_wording()).splitlines()
    assert by_wording[0].startswith("| Hits@1 | questions | 1-hop, seen | 1-hop, unseen | 2-hop, seen |")


def test_the_console_table_names_everybody(table):
    from rich.console import Console

    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(table.console_table())
    text = console.export_text()
    for word in ("ours", "closed", "majority", "seen wordings", "2-hop", "(4)", "0.75/0.50"):
        assert word in text
    assert max(map(len, text.splitlines())) <= 120


def test_labels_that_come_again_are_numbered():
    table = ComparisonTable.of([("x", evaluation(ROWS)), ("x", evaluation(CLOSED))], resamples=5)
    assert [label for label, _ in table.rows] == ["x", "x (2)"]


def test_numbers_travel_as_json_without_nan(table):
    plain = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    assert plain[0]["groups"][0]["hits_at_1"][0] == 0.75
    assert plain[1]["groups"][0]["executable"] == [None, None, None]


def test_the_seed_decides_and_no_rows_are_a_group_of_nothing():
    first, again = (summarise(results(ROWS), 50, seed=1)[0].intervals["hits_at_1"] for _ in range(2))
    assert first == again
    groups = summarise(RESULT_SCHEMA.empty_table())
    assert [(g.kind, g.questions) for g in groups] == [("all", 0)]
    assert (
        ComparisonTable.of([("nobody", Evaluation(RESULT_SCHEMA.empty_table(), "s", "given", "v"))]).markdown("set_match").count("\n") == 1
    )
