"""The report of a sweep says what every trial was, and its plots can be looked at."""

import json
import random

from PIL import Image

from raykg.config.load import from_dict
from raykg.tune.plots import draw, draw_page
from raykg.tune.report import cost, ranked, write_sweep_report
from raykg.tune.tested import Tested
from raykg.tune.tune_config import SweepConfig
from raykg.tune.winner import stand
from tests.tune.world import SPACE, open_sweep, run

CFG = from_dict(SweepConfig, {"job": "job.yaml", "space": {}, "run": {"name": "one"}, "objectives": ["accuracy", "latency"]})


def swept(tmp_path):
    decisions = run(open_sweep(tmp_path / "journal.jsonl", schedule="halving", reduction=2, first=0.25), random.Random(0))
    (tmp_path / "config.yaml").write_text("job: job.yaml\n")
    curves = {}
    for number in range(8):
        curves[number] = tmp_path / f"{number}.jsonl"
        lines = [{"kind": "step", "step": step, "loss": 3.0 / step} for step in range(1, 20)]
        curves[number].write_text("".join(json.dumps(line) + "\n" for line in lines))
    return decisions, stand(decisions.results, CFG.objectives, ()), curves


def test_everything_is_in_the_report(tmp_path):
    decisions, standing, curves = swept(tmp_path)
    tested = Tested("fine-tuned", 1200, 0.5, 0.53, 0.03, 0.01, 0.05)
    path = write_sweep_report(tmp_path, CFG, SPACE, decisions, standing, curves, tested)
    text = path.read_text()
    for part in (
        "**won**",
        "not among the best 4 of 8",
        "## Pareto front",
        "+0.030 [+0.010, +0.050]",
        "the winner answers better",
        "job: job.yaml",
    ):
        assert part in text, part
    rows = [line for line in text.splitlines() if line.startswith("| ") and line.split()[1].isdigit()]
    assert len(rows) == 8 + len(standing.front) and rows[0].split()[1] == str(standing.winner.trial)
    plain = json.loads((tmp_path / "results.json").read_text())
    assert plain["winner"] == standing.winner.trial and len(plain["results"]) == len(decisions.results) and plain["test"]["winner"] == 0.53
    for name in ("curves", "parallel", "importance"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert len(picture.convert("RGB").getcolors(1 << 20)) > 20
    page = (tmp_path / "sweep.html").read_text()
    assert "parcoords" in page and "trial 7" in page and "<script src" not in page, "it needs no network"


def test_cost_and_ranks(tmp_path):
    decisions, standing, _ = swept(tmp_path)
    assert cost(decisions.results)[standing.winner.trial] == 3.0 and sum(cost(decisions.results).values()) == len(decisions.results)
    order = ranked(decisions, standing, "accuracy")
    assert order[0] == standing.winner.trial and sorted(order) == list(range(8))
    reached = [standing.latest[number].share for number in order]
    assert reached == sorted(reached, reverse=True)


def test_a_sweep_without_results_has_no_plots(tmp_path):
    decisions = open_sweep(tmp_path / "journal.jsonl")
    standing = stand([], CFG.objectives, ())
    assert draw(tmp_path, CFG, SPACE, decisions, standing, {}) == {} and draw_page(tmp_path, CFG, SPACE, decisions, standing) is None
