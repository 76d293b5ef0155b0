"""Coverage, precision of what is proved and abstention, on rows counted by hand."""

import math

import pyarrow as pa
import pytest

from raykg.eval.reliability import reliability_markdown, reliability_of
from raykg.eval.suites.kgqa import METRICS, RESULT_SCHEMA, Evaluation

#       status      proved  supported  gold         precision  unverified
ROWS = [
    ("answered",    True,   True,      ["a"],       1.0,       []),
    ("answered",    True,   True,      ["a", "b"],  0.5,       []),  # proved, and half of it wrong
    ("answered",    False,  True,      ["a"],       0.0,       []),  # cited
    ("answered",    False,  False,     ["a"],       1.0,       []),  # nothing supports it
    ("empty",       False,  False,     ["a"],       0.0,       ["A."]),
    ("empty",       False,  False,     ["a"],       0.0,       ["b"]),
    ("empty",       False,  False,     [],          1.0,       ["x"]),
    ("answered",    True,   True,      [],          0.0,       []),  # proves what has no answer
    ("answered",    False,  False,     [],          0.0,       []),
    ("unparsable",  False,  False,     [],          1.0,       []),
]  # fmt: skip


def table(rows):
    columns = {field.name: [None] * len(rows) for field in RESULT_SCHEMA}
    columns |= {metric: [math.nan] * len(rows) for metric in METRICS}
    if rows:
        names = ("status", "proved", "supported", "gold", "set_precision", "unverified")
        columns |= dict(zip(names, zip(*rows, strict=True), strict=True))
    return pa.table([pa.array(columns[field.name], field.type) for field in RESULT_SCHEMA], schema=RESULT_SCHEMA)


def test_every_number_is_what_its_definition_says():
    found = reliability_of(table(ROWS))
    assert (found.questions, found.answerable) == (10, 6)
    assert found.coverage == pytest.approx(3 / 6)
    assert found.proved == pytest.approx(2 / 6)
    assert found.precision_of_supported == pytest.approx((1 + 0.5 + 0 + 0) / 4)
    assert found.precision_of_proved == pytest.approx((1 + 0.5 + 0) / 3)
    assert found.proved_wrong == 2
    assert found.abstention == pytest.approx(3 / 4)
    assert (found.unverified, found.unverified_right) == (3, 1)


def test_shares_of_nothing_are_not_numbers():
    found = reliability_of(table([]))
    assert math.isnan(found.coverage) and math.isnan(found.abstention) and math.isnan(found.precision_of_proved)
    assert found.to_dict()["coverage"] is None and found.to_dict()["questions"] == 0
    assert math.isnan(reliability_of(table(ROWS[:1])).abstention)


def test_the_section_has_a_row_for_each_contender():
    text = reliability_markdown(
        [("ours", Evaluation(table(ROWS), "s", "linked", "v")), ("none", Evaluation(table([]), "s", "linked", "v"))]
    )
    assert "| ours | 10 | 6 | 0.500 | 0.375 | 0.333 | 0.500 | 2 | 0.750 | 3 (1) |" in text
    assert "| none | 0 | 0 | - | - | - | - | 0 | - | 0 (0) |" in text
    assert "Abstention: share of unanswerable questions" in text
    assert reliability_markdown([]) == ""
