"""The first steps tell how long a training will take, and leave nothing behind."""

import pytest

from raykg.config.load import to_dict
from raykg.train.calibration import Calibration, calibrate
from raykg.train.story import LogListener
from tests.graphs import film_graph
from tests.train.small_job import small_job


@pytest.mark.story
@pytest.mark.usefixtures("ray_session")
def test_twelve_steps_of_forty(tmp_path):
    film_graph(tmp_path / "films")
    cfg = small_job(tmp_path, "first", train={"steps": 40, "batch": 6, "micro_batch": 3})
    (tmp_path / "runs" / ".plan-first" / "stages").mkdir(parents=True)
    (tmp_path / "runs" / ".plan-first" / "stages" / "train.json").write_text("what a calibration left that was broken off")
    before = to_dict(cfg)
    found = calibrate(cfg, 12, LogListener())
    assert found.steps == 40 and 40 < found.rows <= 60 and 20 < found.tokens < 192 and found.graph > 1000
    assert 0 < found.step_seconds < 5 and found.tokens_per_second > 10 and 10_000_000 < found.memory < 1 << 33
    assert found.seconds == pytest.approx(found.start_seconds + 40 * found.step_seconds) and found.start_seconds > 0
    left = {path.name for path in (tmp_path / "runs").iterdir()}
    assert not any(name == "first" or name.startswith(".plan-first") for name in left), left
    assert to_dict(cfg) == before


def test_seconds():
    assert Calibration(100, 10, 0.5, 7.0, 20.0, 40.0, 1, 1).seconds == 57.0
