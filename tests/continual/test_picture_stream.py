from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from raykg.config.load import from_dict, to_dict
from raykg.continual import picture_stream
from raykg.continual.batches import Batches
from raykg.continual.building import encoder_of_images
from raykg.continual.course import CourseRun, run_course
from raykg.continual.features import Features, write_features
from raykg.continual.labels import Labels
from raykg.continual.picture_features import encode
from raykg.continual.picture_stream import PictureStream, unreadable
from raykg.continual.stream import write_stream
from raykg.continual.task import ContinualTask
from raykg.data.errors import PictureError
from raykg.models.dual_stream import PictureBelow
from raykg.models.dual_stream_config import DualStreamConfig
from raykg.train.ranks import Ranks
from tests.continual.small_streams import config, relation_stream
from tests.continual.test_course import Enough, _end, state, weights

MODEL = {"text": "tiny:bert", "image": "tiny:clip", "top": 1, "positions": 64, "frozen": False, "dropout": 0.1}
LEARN = {"epochs": 1, "batch": 8, "learning_rate": 1e-3, "checkpoint_every": 3}


@pytest.fixture
def folder(tmp_path):
    for number in range(6):
        drawn = np.random.default_rng(number).integers(0, 255, (20 + number, 30, 3), dtype=np.uint8)
        Image.fromarray(drawn).save(tmp_path / f"{number}.png")
    return tmp_path


def names(count=6):
    return pa.array([f"{number}.png" for number in range(count)])


def arguments(folder: Path, strategy="replay", *, words=False):
    """What a course with pictures is called with, none of which is computed beforehand; every fourth post has none, one is broken."""
    stream = relation_stream()
    count = stream.posts.num_rows
    shown = [None if row % 4 == 3 else f"{row % 6}.png" for row in range(count)]
    shown[0] = "broken.png"
    (folder / "broken.png").write_bytes(b"no picture")
    posts = stream.posts.set_column(3, "image", pa.array(shown, pa.string()))
    if words:
        longer = [tokens + ["x"] * (row % 5) for row, tokens in enumerate(posts["tokens"].to_pylist())]
        posts = posts.set_column(2, "tokens", pa.array(longer, pa.list_(pa.string())))
    stream = stream.__class__(posts, stream.tasks, stream.kind)
    cfg = config(model=MODEL, learn=LEARN, strategies=[strategy])
    told = write_stream(stream, folder / "stream")
    sizes = write_features(stream.posts, cfg.model, folder / "features", 1, folder)
    assert (sizes["pictures"], sizes["left_out"]) == (7, 1)
    where = {"stream": str(folder / "stream"), "features": str(folder / "features"), "identity": told["sha256"]}
    return {"config": to_dict(cfg), "strategy": 0, "seed": 3, "folder": str(folder / "course")} | where


def test_pictures_come_in_order_and_are_what_is_read_here(ray_session, folder, monkeypatch):
    monkeypatch.setattr(picture_stream, "FEW", 0)
    pictures = PictureStream(folder, names(), 16)
    groups = [np.random.default_rng(number).integers(-1, 6, number % 4 + 1) for number in range(11)]
    ahead = list(pictures.ahead(iter(groups)))
    assert len(ahead) == len(groups)
    for found, places in zip(ahead, groups, strict=True):
        assert found.shape == (len(places), 16, 16, 3) and found.dtype == np.uint8
        assert np.array_equal(found, pictures.take(places))
        assert not found[places < 0].any()


def test_what_is_written_is_opened_again(folder):
    PictureStream(folder, names(), 16).write(folder)
    opened = PictureStream.open(folder)
    assert opened.names.equals(names()) and opened.size == 16 and opened.folder == folder.absolute()
    assert PictureStream.open(folder / "none") is None


def test_a_picture_that_has_gone_is_named_wherever_it_is_read(ray_session, folder, monkeypatch):
    monkeypatch.setattr(picture_stream, "FEW", 0)
    pictures = PictureStream(folder, names(7), 16)
    with pytest.raises(PictureError, match=r"6.png: is missing, but could be read before: restore it"):
        pictures.take(np.array([6]))
    with pytest.raises(PictureError, match=r"6.png: is missing"):
        list(pictures.ahead([np.array([0]), np.array([6])]))
    assert unreadable(folder, 16, ["0.png", "6.png", "../x.png"]) == ["", "is missing", "its name leads out of the folder of pictures"]


@pytest.mark.parametrize("image", ["tiny:clip", "tiny:vit"])
def test_the_layers_below_make_of_bytes_what_is_computed_beforehand(folder, image):
    encoder = encoder_of_images(from_dict(DualStreamConfig, {**MODEL, "image": image}))
    encoder.lower.eval()
    expected = {}
    assert encode(encoder, folder, names().to_pylist(), expected.__setitem__) == [""] * 6
    below = PictureBelow(encoder).eval()
    with torch.no_grad():
        found = below(torch.from_numpy(PictureStream(folder, names(), encoder.pixels).take(np.arange(6)))[:, None])
    assert np.allclose(found.numpy(), np.stack([expected[place] for place in range(6)]), atol=1e-5)


def test_batch_normalisation_stays_as_it_was_pretrained():
    encoder = encoder_of_images(from_dict(DualStreamConfig, MODEL))
    encoder.lower.add_module("more", torch.nn.BatchNorm2d(3))
    below = PictureBelow(encoder).train()
    assert not encoder.lower.more.training and encoder.lower.training and below.training


def test_the_first_layer_of_a_picture_encoder_learns_and_a_broken_picture_is_none(ray_session, folder):
    given = arguments(folder)
    run = CourseRun(given, Ranks())
    before = {name: value.clone() for name, value in run.model.state_dict().items() if name.startswith("lower_image.")}
    labels = Labels(relation_stream())
    batch = Batches(labels, Features.open(folder / "features"), config(model=MODEL).model).batch(np.arange(5), labels.open(1), [()] * 5)
    assert batch["present"].tolist() == [False, True, True, False, True] and batch["image"].dtype == torch.uint8
    run.run()
    after = weights(folder / "course")
    learnt = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert any("patch_embedding" in name for name in learnt), sorted(learnt)


def test_a_killed_course_with_streamed_pictures_ends_in_the_same_bytes(ray_session, folder, monkeypatch):
    monkeypatch.setattr(picture_stream, "FEW", 40)  # a task's rows come through Ray Data, the few of a test or memory do not
    given = arguments(folder, {"name": "lmc", "memory": {"share": 0.5}})
    whole = given | {"folder": str(folder / "whole")}
    run_course(whole)
    count, loss = [0], ContinualTask.loss

    def counted(self, model, batch):
        count[0] += 1
        return _end() if count[0] == 12 else loss(self, model, batch)

    with monkeypatch.context() as patched, pytest.raises(Enough):
        patched.setattr(ContinualTask, "loss", counted)
        run_course(given)
    run_course(given)
    assert state(folder / "course") == state(folder / "whole")
    assert all(torch.equal(value, weights(folder / "whole")[name]) for name, value in weights(folder / "course").items())


def test_a_steps_rows_keep_their_pictures_however_they_are_dealt(ray_session, folder, monkeypatch):
    """Rows of a step are ordered by length, and cut into micro-batches."""
    monkeypatch.setattr(picture_stream, "FEW", 0)
    given = arguments(folder, words=True)
    run = CourseRun(given, Ranks())
    features = Features.open(folder / "features")
    task = ContinualTask(run.model, run.strategy, None, 3)
    steps = list(task.batches(0, 4))
    for number, step in enumerate(steps):
        rows, _ = task._rows_of(number)
        alone = [run.course.batches.batch(rows[part], run.labels.open(0), [()] * len(part)) for part in task._parts(lengths(run, rows))]
        assert len(step.micro_batches) == len(alone) == 3
        for found, expected in zip(step.micro_batches, alone, strict=True):
            assert torch.equal(found["image"], expected["image"]) and torch.equal(found["present"], expected["present"])
    assert features.picture_of[rows].min() == -1


def lengths(run, rows):
    return run.course.batches.weights(rows)
