import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raykg.continual.calibration import LEAST, Calibration, CalibrationError, Precision


def calibration(rows, split="validation"):
    columns = list(zip(*rows, strict=True)) or [(), ()]
    table = {"split": pa.array([split] * len(rows), pa.string()), "kind": pa.array(["r"] * len(rows), pa.string())}
    return Calibration(pa.table(table | {"confidence": pa.array(columns[0], pa.float64()), "right": pa.array(columns[1], pa.bool_())}))


@given(rows=st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.6, 0.9]), st.booleans()), max_size=40), wanted=st.floats(0.0, 1.0))
def test_the_threshold_is_the_lowest_that_is_right_often_enough(rows, wanted):
    good = []
    for candidate in {confidence for confidence, _ in rows}:
        kept = [right for confidence, right in rows if confidence >= candidate]
        if len(kept) >= LEAST and np.mean(kept) >= wanted:
            good.append(candidate)
    if good:
        found = calibration(rows).threshold(wanted)
        assert found == min(good)
        assert calibration(rows).precision(found, "validation").share >= wanted
    else:
        with pytest.raises(CalibrationError, match=r"at least 10 are needed|no confidence reaches it"):
            calibration(rows).threshold(wanted)


def test_validation_posts_alone_decide_and_the_file_comes_back(tmp_path):
    rows = [(0.9, True)] * 12 + [(0.4, False)] * 12
    mixed = Calibration(pa.concat_tables([calibration(rows).table, calibration([(0.95, False)] * 50, "test").table]))
    assert mixed.threshold(0.9) == 0.9 and mixed.precision(0.9) == Precision(0, 50)
    mixed.write(tmp_path / "calibration.arrow")
    assert Calibration.read(tmp_path / "calibration.arrow").table.equals(mixed.table)
    with pytest.raises(CalibrationError, match=r"the best is 0.500 \(24 extractions, confidence 0.400 and above\)"):
        calibration([(0.4, number % 2 == 0) for number in range(24)]).threshold(0.6)


def test_wilsons_interval_holds_the_share():
    low, high = Precision(9, 10).interval()
    assert low == pytest.approx(0.5958, abs=1e-3) and high == pytest.approx(0.9821, abs=1e-3)
    assert Precision(0, 0).interval() == (0.0, 1.0) and np.isnan(Precision(0, 0).share)
