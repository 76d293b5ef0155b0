import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from raykg.config.choice import chosen
from raykg.config.load import from_dict
from raykg.continual.batches import Batches
from raykg.continual.building import build
from raykg.continual.features import Features, write_features
from raykg.continual.labels import Labels
from raykg.continual.picture_features import write_pictures
from raykg.data.errors import PostError
from raykg.data.pictures import picture, scaled
from raykg.models.dual_stream_config import DualStreamConfig
from raykg.models.encoders.vision_transformer import vision_transformer
from tests.continual.small_streams import MODEL, relation_stream


def test_each_picture_is_computed_once_and_what_is_missing_is_masked_and_counted(ray_session, tmp_path):
    stream = relation_stream()
    names = [None, "a.png", "b.png", "a.png", "gone.png", "broken.png", "../outside.png"]
    names += [None] * (stream.posts.num_rows - len(names))
    stream = stream.__class__(stream.posts.set_column(3, "image", pa.array(names, pa.string())), stream.tasks, stream.kind)
    images = tmp_path / "images"
    images.mkdir()
    for seed, name in enumerate(("a.png", "b.png")):
        Image.fromarray(np.random.default_rng(seed).integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(images / name)
    (images / "broken.png").write_bytes(b"no picture")
    Image.new("RGB", (4, 4)).save(tmp_path / "outside.png")
    cfg = from_dict(DualStreamConfig, MODEL | {"image": "tiny:clip"})
    folder = tmp_path / "features"
    write_features(stream.posts, from_dict(DualStreamConfig, MODEL | {"frozen": False}), folder, workers=1)
    told = write_pictures(stream.posts, cfg, folder, 1, images)
    assert told == {"pictures": 5, "left_out": 3}
    left = {row["picture"]: row["reason"] for row in map(json.loads, (tmp_path / "features" / "left-out.jsonl").read_text().splitlines())}
    assert left["gone.png"] == "is missing" and left["broken.png"] == "is no picture" and "leads out" in left["../outside.png"]
    features = Features.open(tmp_path / "features")
    found = [None if place < 0 else features.pictures[place] for place in features.picture_of.tolist()]
    assert found[0] is found[4] is found[5] is found[6] is None
    assert np.array_equal(found[1], found[3]) and not np.array_equal(found[1], found[2])
    encoder = vision_transformer("tiny:clip", 1)
    given = scaled(picture(images / "a.png", encoder.pixels)[None], encoder.mean, encoder.deviation)
    with torch.no_grad():
        assert np.allclose(found[1], encoder.lower(torch.from_numpy(given))[0].numpy(), atol=1e-5)
    labels = Labels(stream)
    batch = Batches(labels, features, cfg).batch(np.arange(5), labels.open(1), [()] * 5)
    assert batch["present"].tolist() == [False, True, True, True, False] and batch["image"].shape == (5, 17, 32)
    for number in (1, 2, 3):
        assert np.array_equal(batch["image"][number], found[number])
    alone = Batches(labels, features, replace(cfg, modality="text")).batch(np.arange(5), labels.open(1), [()] * 5)
    assert "image" not in alone and "present" not in alone
    others = Batches(labels, features, replace(cfg, modality="shuffled")).batch(np.arange(5), labels.open(1), [()] * 5)
    assert torch.equal(others["present"], batch["present"]) and not torch.equal(others["image"], batch["image"])


def test_a_model_of_pictures_without_any_is_refused(tmp_path):
    cfg = from_dict(DualStreamConfig, MODEL | {"image": "tiny:vit"})
    with pytest.raises(PostError, match="model.image is set and posts.images is not"):
        write_pictures(pa.table({"image": pa.chunked_array([["0.png", None]])}), cfg, tmp_path, 1, None)
    with pytest.raises(PostError, match="no post names a picture"):
        write_pictures(pa.table({"image": pa.chunked_array([[None]], pa.string())}), cfg, tmp_path, 1, tmp_path)


@pytest.mark.story
def test_crops_are_shown_beside_their_picture_a_token_each(ray_session, tmp_path):
    stream = relation_stream()
    count = stream.posts.num_rows
    for number in range(4):
        drawn = np.random.default_rng(number).integers(0, 255, (30, 30, 3), dtype=np.uint8)
        Image.fromarray(drawn).save(tmp_path / f"{number}.png")
    cut = [["1.png", "2.png", "3.png"], ["gone.png", "2.png"], None, []]
    posts = stream.posts.set_column(3, "image", pa.array(["0.png"] * 3 + [None] * (count - 3), pa.string()))
    posts = posts.set_column(4, "crops", pa.array(cut + [None] * (count - 4), pa.list_(pa.string())))
    stream = stream.__class__(posts, stream.tasks, stream.kind)
    labels, rows = Labels(stream), np.arange(4)
    made = {}
    for frozen in (True, False):
        cfg = from_dict(DualStreamConfig, MODEL | {"image": "tiny:clip", "crops": 2, "frozen": frozen, "dropout": 0.0})
        folder = tmp_path / str(frozen)
        told = write_features(stream.posts, cfg, folder, 1, tmp_path)
        assert (told["pictures"], told["left_out"]) == (4, 1)  # the third crop of a post is not looked at
        features = Features.open(folder)
        model = build(cfg, labels.names, "relations", chosen("raykg.continual.strategies", "vanilla"), 0).eval()
        batches = Batches(labels, features, cfg)
        batch = batches.batch(rows, labels.open(1), [()] * 4)
        assert batch["crops"].tolist() == [[True, True], [False, True], [False, False], [False, False]]
        shown = next(iter(batches.ahead([rows])))
        again = batches.batch(rows, labels.open(1), [()] * 4, shown=shown)
        assert torch.equal(batch["image"], again["image"])
        with torch.no_grad():
            made[frozen] = model(batch)[1].total
            image = batch["image"].clone()
            if frozen:
                image[1, 17] = 9.0  # where the crop is missing
                image[:, -1] = torch.where(batch["crops"][:, 1:], image[:, -1], torch.tensor(7.0))
                assert torch.equal(model({**batch, "image": image})[1].total, made[frozen])
                image[0, 17] = 9.0
                assert not torch.equal(model({**batch, "image": image})[1].total[0], made[frozen][0])
    assert torch.allclose(made[True], made[False], atol=1e-4)
    assert features.crops_of.shape == (count, 2) and features.picture_of[:4].tolist() == [0, 0, 0, -1]
