import numpy as np
import pyarrow as pa
import pytest

from raykg.kg.literals import long_datatype, numbers, short_datatype, unparsable


@pytest.mark.parametrize(
    "datatype, good, bad",
    [
        ("integer", {"0": 0, "-7": -7, "+12": 12, "007": 7}, ["", "1.0", "1e3", "x", "１２", " 1"]),
        ("decimal", {"1.5": 1.5, "-.5": -0.5, "3.": 3, "2e3": 2000, "+4": 4}, ["", ".", "e3", "1,5", "nan", "inf"]),
        ("double", {"1e-3": 0.001}, ["NaN", "INF"]),
        ("boolean", {"true": 1, "0": 0, "false": 0, "1": 1}, ["yes", "True", ""]),
        (
            "date",
            {"1999-01-01": 1999, "1999-07-01": 1999.5, "-0044-03-15": -44 + 76 / 372, "2000-12-31Z": 2000 + 371 / 372},
            ["1999", "1999-13-01", "1999-1-1"],
        ),
        ("gYear", {"1979": 1979, "-0044": -44, "1979Z": 1979}, ["79", "1979-01"]),
    ],
)
def test_values_of_datatypes(datatype, good, bad):
    texts = pa.array([*good, *bad])
    found = numbers(texts, datatype)
    assert np.allclose(found[: len(good)], list(good.values())) and np.isnan(found[len(good) :]).all()
    assert unparsable(pa.chunked_array([texts]), pa.array([datatype] * len(texts))).tolist() == list(range(len(good), len(texts)))


def test_dates_keep_their_order():
    days = [str(day) for day in np.arange("1999-01-01", "2001-01-01", dtype="datetime64[D]")]
    assert (np.diff(numbers(pa.array(days), "date")) > 0).all()


def test_any_text_is_a_string_and_datatypes_turn_back():
    assert unparsable(pa.chunked_array([["x", "y"]]), pa.array(["string", "@en"])).tolist() == []
    for name in ("integer", "gYear", "http://example.org/mine"):
        assert short_datatype(long_datatype(name)) == name
