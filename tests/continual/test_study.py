import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from raykg.config.choice import chosen
from raykg.config.load import from_dict, to_dict
from raykg.continual.continual_config import ContinualConfig
from raykg.continual.course import run_course
from raykg.continual.study import ContinualStudy, labels_of, results
from raykg.data.errors import PostError
from raykg.train.errors import StageChanged, TrainError
from tests.continual.mnre_files import write_mnre


class Told:
    """Notes what a study says."""

    def __init__(self):
        self.ran, self.counted, self.notes = {}, [], {}

    def stage(self, name, minutes):
        pass

    def done(self, name, seconds, note, ran):
        self.ran[name], self.notes[name] = ran, note

    def record(self, record):
        pass

    def progress(self, name, done, total):
        self.counted.append((done, total))

    def note(self, text):
        pass


def study(folder, told, **more):
    settings = {
        "run": {"name": "small", "storage": str(folder / "runs")},
        "posts": {"name": "mnre", "folder": str(folder / "mnre"), "tasks": "sep2"},
        "model": {"text": "tiny:bert", "top": 1, "positions": 64},
        "learn": {"epochs": 1, "batch": 16},
        "strategies": ["vanilla", "replay"],
        "seeds": [0],
    }
    cfg = from_dict(ContinualConfig, settings | more)
    return ContinualStudy(cfg, told, "text: of the config\n")


def test_a_study_compares_goes_on_and_takes_more_seeds(ray_session, tmp_path):
    write_mnre(tmp_path / "mnre")
    told = Told()
    outcome = study(tmp_path, told).run()
    assert told.ran == {"stream": True, "features": True, "courses": True} and told.counted[-1] == (4, 4)
    text = outcome.report.read_text()
    assert re.search(r"posts, [\d,]+ tokens, 0 texts cut, 0 left out with a mention cut off\.", text)
    assert re.search(r"The most frequent type for every row: final F1 0\.\d{3}\.", text)
    assert "| vanilla | 1 |" in text and "| 1 | r1, r2 | 36 | 9 | 12 |" in text and "text: of the config" in text
    assert (outcome.folder / "plot.png").exists()
    numbers = json.loads((outcome.folder / "results.json").read_text())
    assert set(numbers) == {"vanilla", "replay"} and set(numbers["replay"]) == {"0"}
    again = Told()
    assert study(tmp_path, again).run().comparison.to_dict() == numbers
    assert not any(again.ran.values())
    model = next(outcome.folder.glob("courses/vanilla*/seed-0/model"))
    written = (model / "model.safetensors").read_bytes()
    shutil.rmtree(model)  # killed after the last task, before its model was written
    third = Told()
    study(tmp_path, third).run()
    assert third.ran["courses"] and (model / "model.json").exists() and (model / "model.safetensors").read_bytes() == written
    more = study(tmp_path, Told(), seeds=[0, 1]).run().comparison.to_dict()
    assert more["vanilla"]["0"] == numbers["vanilla"]["0"] and "1" in more["vanilla"]
    with pytest.raises(StageChanged, match="learn.epochs was 1"):
        study(tmp_path, Told(), learn={"epochs": 2, "batch": 16})
    (tmp_path / "mnre" / "test.txt").write_text("")
    with pytest.raises(StageChanged, match="test.txt: has changed"):
        study(tmp_path, Told()).run()


def test_every_modality_is_a_row_and_a_folder_of_its_own(tmp_path):
    model = {"text": "tiny:bert", "image": "tiny:vit", "top": 1, "positions": 64}
    job = study(tmp_path, Told(), model=model, modalities=["text", "both"], strategies=["vanilla", "lmc"])
    assert [entry.title for entry in job.entries] == ["vanilla, text", "lmc, text", "vanilla, both", "lmc, both"]
    given = [job._arguments(entry, 1, {"sha256": "x"}) for entry in job.entries]
    assert [(one["modality"], one["strategy"]) for one in given] == [("text", 0), ("text", 1), ("both", 0), ("both", 1)]
    assert "/courses/both/lmc-" in given[3]["folder"] and len({one["folder"] for one in given}) == 4


@pytest.mark.story
def test_each_course_may_run_under_ray_train_with_deepspeed(ray_session, tmp_path):
    write_mnre(tmp_path / "mnre")
    more = {
        "seeds": [0],
        "strategies": ["replay"],
        "model": {"text": "tiny:bert", "top": 1, "positions": 64, "dropout": 0.0, "frozen": False},
    }
    job = study(tmp_path, Told(), engine={"name": "deepspeed", "zero": 2}, resources={"workers": 2}, **more)
    found = job.run().comparison.courses["replay"][0]
    alone = dict(job._arguments(job.entries[0], 0, {"sha256": "x"}), folder=str(tmp_path / "alone"))
    plain = from_dict(ContinualConfig, alone["config"] | {"engine": "torch", "resources": {"workers": 1}})
    expected = [np.array(one["counts"]) for one in run_course(alone | {"config": to_dict(plain)})]
    apart = [np.abs(ours - theirs).sum() for ours, theirs in zip(found.counts, expected, strict=True)]
    assert max(apart) <= 4  # a near-tie or two: two workers add up in another order


def test_strategies_are_called_by_what_sets_them_apart(tmp_path):
    def one(name, **settings):
        return chosen("raykg.continual.strategies", name, **settings)

    assert labels_of((one("lmc"), one("replay"))) == ["lmc", "replay"]
    assert labels_of((one("lmc"), one("lmc", distil=0.0), one("lmc", memory={"per_class": 20}))) == [
        "lmc",
        "lmc (distil 0.0)",
        "lmc (memory.per_class 20)",
    ]
    with pytest.raises(TrainError, match="has left no task"):
        results(tmp_path)


def own_posts(folder, **more):
    """A user's file of three relations, of which nothing is said but what it must have."""
    span, rows = {"head": {"start": 0, "end": 1}, "tail": {"start": 2, "end": 3}}, []
    for number in range(30):
        row = {"tokens": ["a", "bcd"[number % 3], "e"], "relation": f"r{number % 3}", "image": f"{number}.png", **span, **more}
        rows.append(json.dumps(row))
    (folder / "mine.jsonl").write_text("\n".join(rows) + "\n")
    return {"name": "file", "path": str(folder / "mine.jsonl"), "tasks": 3}


def test_posts_that_cannot_be_learnt_or_tested_are_refused_with_what_to_do(ray_session, tmp_path):
    with pytest.raises(PostError, match=r"task 1 \(r0\) has no post with the split test: give some, or let `folds`"):
        study(tmp_path, Told(), posts=own_posts(tmp_path)).run()
    model = {"text": "tiny:bert", "image": "tiny:vit", "top": 1, "positions": 64, "frozen": False}
    settings = {"posts": own_posts(tmp_path) | {"images": str(tmp_path / "drawn")}, "model": model, "folds": 3, "strategies": ["vanilla"]}
    (tmp_path / "drawn").mkdir()
    with pytest.raises(PostError, match=r"posts.images \(.*drawn\): none of 30 pictures can be read; first: 0.png is missing"):
        study(tmp_path, Told(), run={"name": "b", "storage": str(tmp_path)}, **settings).run()
    for number in range(1, 30):
        Image.new("RGB", (8, 8), (8 * number, 0, 0)).save(tmp_path / "drawn" / f"{number}.png")
    told = Told()
    job = study(tmp_path, told, run={"name": "b", "storage": str(tmp_path)}, **settings)
    job.setup_features(job.setup_stream())  # they are there now, and the same command goes on
    assert told.notes["features"].endswith("30 pictures, 1 left out") and told.ran == {"stream": False, "features": True}


def test_with_folds_the_report_shows_what_the_first_seed_has(ray_session, tmp_path):
    model = {"text": "tiny:bert", "top": 1, "positions": 64, "frozen": False}
    job = study(tmp_path, Told(), posts=own_posts(tmp_path), model=model, folds=5, strategies=["vanilla"], seeds=[1])
    text = job.run().report.read_text()
    assert "| 1 | r0 | 7 | 1 | 2 |" in text and "| 3 | r2 | 7 | 1 | 6 |" in text
