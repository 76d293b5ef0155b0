import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from raykg.continual.course import CourseRun
from raykg.continual.learnt import LearntModel, LearntModelError
from raykg.continual.looking import predictions
from raykg.data.new_posts import new_posts
from raykg.data.post_rows import parts
from raykg.eval.extraction import mentions
from raykg.models.reference import OtherWeightsError
from raykg.train.ranks import Ranks
from tests.continual.learnt_models import QUICK, learnt, unseen_posts, written
from tests.continual.test_course import arguments


@pytest.mark.parametrize(("kind", "strategy"), [("relations", "replay"), ("relations", "rp_cre"), ("entities", "joint")])
def test_a_folder_reads_new_posts_as_the_course_did(tmp_path, kind, strategy):
    folder = learnt(tmp_path, kind, strategy)
    model = LearntModel.open(folder)
    assert model.kind == kind and model.about["strategy"]["name"] == strategy
    (part,) = parts(written(unseen_posts(tmp_path, kind), tmp_path / "posts.jsonl"), 100)
    posts, _, bad = new_posts(part, kind)
    found, readable, pictured = model.reader().tell(posts)
    assert not bad and readable.all() and not pictured.any() and found

    run = CourseRun(arguments(tmp_path, strategy, kind, learn=QUICK), Ranks())
    run.run()  # nothing is left: it takes the weights back
    task = run.course.stream.tasks[-1]
    expected = predictions(run.model.eval(), run.course, task.test, run.labels.open(1))
    for number, labels in enumerate(expected):
        mine = {(one.start, one.end, one.kind) for one in found if one.row == number}
        names = [run.labels.names[label] for label in labels]
        assert mine == ({(0, 0, names[0])} - {(0, 0, "None")} if kind == "relations" else set(mentions(names)))


def test_layers_that_were_all_trained_are_all_read(tmp_path):
    model = {"text": "tiny:bert", "top": 1, "positions": 64, "frozen": False, "dropout": 0.0}
    folder = learnt(tmp_path, model=model)
    stored = load_file(folder / "model.safetensors")
    reader = LearntModel.open(folder).reader()
    state = reader.model.state_dict()
    assert any(name.startswith("lower_text.") for name in stored) and all((state[name] == value).all() for name, value in stored.items())


def test_what_it_told_of_posts_whose_truth_is_known_is_kept(tmp_path):
    table = LearntModel.open(learnt(tmp_path)).calibration.table
    assert set(table["split"].to_pylist()) == {"validation", "test"} and table.num_rows > 10
    assert np.isin(table["kind"].to_pylist(), ["r1", "r2", "r3", "r4"]).all()


def test_what_has_been_changed_is_not_read(tmp_path):
    folder = learnt(tmp_path)
    with pytest.raises(LearntModelError, match=r"holds no model.json; there is one in .*/course/model"):
        LearntModel.open(tmp_path)
    with pytest.raises(LearntModelError, match="a study leaves one"):
        LearntModel.open(tmp_path / "nowhere")
    about = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(about | {"encoders": {"tiny:bert": "0" * 64}}))
    with pytest.raises(OtherWeightsError):
        LearntModel.open(folder).reader()
    (folder / "model.json").write_text(json.dumps(about | {"format": 0}))
    with pytest.raises(LearntModelError, match="format 0, expected 1"):
        LearntModel.open(folder)
    (folder / "model.json").write_text(json.dumps(about | {"tasks": [["r1"]]}))
    with pytest.raises(RuntimeError, match="size mismatch"):
        LearntModel.open(folder).reader()
    (folder / "model.json").write_text(json.dumps(about))
    stored = load_file(folder / "model.safetensors")
    save_file({name: value + 1 for name, value in stored.items()}, folder / "model.safetensors")
    with pytest.raises(LearntModelError, match="it has been changed"):
        LearntModel.open(folder).reader()


def test_a_course_that_ended_before_its_model_was_written_writes_it(tmp_path):
    folder = learnt(tmp_path)
    (folder / "model.json").unlink()
    CourseRun(arguments(tmp_path, "replay", learn=QUICK), Ranks()).run()
    assert Path(folder / "model.json").exists()
