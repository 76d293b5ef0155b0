"""The first steps tell how long a training will take, and leave nothing behind."""

import pytest

from raykg.config.load import from_dict, to_dict
from raykg.train.calibration import Calibration, calibrate
from raykg.train.finetune_config import FinetuneConfig
from raykg.train.story import LogListener
from tests.graphs import film_graph


@pytest.mark.usefixtures("ray_session")
def test_twelve_steps_of_forty(tmp_path):
    film_graph(tmp_path / "films")
    plain = {
        "run": {"name": "first", "storage": str(tmp_path / "runs")},
        "graph": {"source": str(tmp_path / "films")},
        "questions": {
            "train": {"name": "generated", "split": "train", "count": 60},
            "test": [{"name": "generated", "split": "test", "count": 20, "test_share": 0.4}],
            "validation": 6,
        },
        "model": {"reference": "tiny:llama"},
        "train": {"steps": 40, "batch": 6, "micro_batch": 3},
        "resources": {"workers": 1, "data_cpus": 1},
    }
    cfg = from_dict(FinetuneConfig, plain)
    before = to_dict(cfg)
    found = calibrate(cfg, 12, LogListener())
    assert found.steps == 40 and 40 < found.rows <= 60 and 20 < found.tokens < 192 and found.graph > 1000
    assert 0 < found.step_seconds < 5 and found.tokens_per_second > 10 and 10_000_000 < found.memory < 1 << 33
    assert found.seconds == pytest.approx(found.start_seconds + 40 * found.step_seconds) and found.start_seconds > 0
    assert not (tmp_path / "runs" / "first").exists() and not (tmp_path / "runs" / ".plan-first").exists()
    assert to_dict(cfg) == before


def test_seconds():
    assert Calibration(100, 10, 0.5, 7.0, 20.0, 40.0, 1, 1).seconds == 57.0
