import io

import numpy as np
import pytest
from rich.console import Console

from raykg.eval.courses import Comparison
from raykg.eval.forgetting import Course


def course(first, end):
    """Two tasks of one type; `end` of four are still right for the first one at the end."""
    zero = [0, 0, 0]
    return Course([[0], [1]], [np.array([[first, 0, 4 - first], zero]), np.array([[end, 0, 4 - end], [4, 0, 0]])])


@pytest.fixture
def comparison():
    return Comparison({"vanilla": {0: course(4, 0), 1: course(4, 1)}, "replay": {0: course(4, 3), 1: course(4, 2)}})


def test_means_spreads_and_pairs(comparison):
    mean, deviation = comparison.spread("vanilla", "forgetting")
    assert mean == pytest.approx((1.0 + 0.6) / 2) and deviation == pytest.approx(np.std([1.0, 0.6], ddof=1))
    found = comparison.paired("replay", "vanilla")
    assert found.seeds == 2 and found.mean > 0.1 and 0 < found.p < 1
    assert np.isnan(comparison.paired("replay", "replay").p)


def test_tables_hold_every_number_and_the_plot_is_drawn(comparison, tmp_path):
    text = comparison.markdown()
    assert "| strategy | seeds | final F1 | final macro F1 |" in text and "| vanilla | 2 |" in text and "| replay | vanilla | +" in text
    out = io.StringIO()
    Console(file=out, width=80).print(comparison.console_table())
    shown = out.getvalue()
    assert "…" not in shown and all(title in shown for title in ("seeds", "final F1", "average F1", "forgetting", "replay"))
    assert comparison.to_dict()["replay"]["1"]["final"] == pytest.approx(comparison.metrics["replay"][1]["final"])
    comparison.plot(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"


def test_modalities_are_crossed_with_strategies(tmp_path):
    crossed = {f"{one}, {modality}": (modality, one) for modality in ("text", "both") for one in ("vanilla", "lmc")}
    found = Comparison({label: {0: course(4, 0), 1: course(4, 2)} for label in crossed}, crossed)
    pairs = [line.split(" | ")[:2] for line in found.markdown().split("\n\n")[1].splitlines()[2:]]
    assert len(pairs) == 4 and ["| lmc, both", "vanilla, text"] not in pairs and ["| lmc, both", "lmc, text"] in pairs
    found.plot(tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"


def test_one_seed_has_no_spread(tmp_path):
    alone = Comparison({"vanilla": {0: course(4, 0)}})
    assert "±" not in alone.markdown() and "mean difference" not in alone.markdown()
    alone.plot(tmp_path / "plot.png")
