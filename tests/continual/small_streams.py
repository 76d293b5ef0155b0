"""Small streams of made-up posts, with features of a tiny encoder: what the tests of this room learn."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from raykg.config.choice import Chosen
from raykg.config.load import from_dict, to_dict
from raykg.continual.batches import Batches
from raykg.continual.building import build
from raykg.continual.continual_config import ContinualConfig
from raykg.continual.features import Features, write_features
from raykg.continual.labels import Labels
from raykg.continual.strategies import Course
from raykg.data.post_table import PostStream, StreamTask, post_table
from raykg.train.ranks import Ranks

WORDS = {"None": "saw", "r1": "loves", "r2": "beats", "r3": "sells", "r4": "hears"}
MODEL = {"text": "tiny:bert", "top": 1, "positions": 64, "fusion": "hand_in_hand", "dropout": 0.1}

_computed: dict[str, tempfile.TemporaryDirectory] = {}  # kept until this process ends


def relation_stream(rows: int = 12) -> PostStream:
    """Two tasks of two relations, told by their verb, and "None" in both."""
    generator = np.random.default_rng(0)
    columns: dict[str, list] = {name: [] for name in ("id", "split", "tokens", "head", "tail", "relation")}
    places: dict[tuple[int, str], list[int]] = {}
    for task, kinds in enumerate((("None", "r1", "r2"), ("None", "r3", "r4"))):
        for split, count in (("train", rows), ("validation", 3), ("test", 4)):
            for kind in kinds:
                for _ in range(count):
                    first, other = generator.choice(list("abcdefgh"), 2, replace=False)
                    places.setdefault((task, split), []).append(len(columns["id"]))
                    columns["id"].append(f"{split}:{len(columns['id'])}")
                    columns["split"].append(split)
                    columns["tokens"].append([str(first), WORDS[kind], str(other)])
                    columns["head"].append({"start": 0, "end": 1})
                    columns["tail"].append({"start": 2, "end": 3})
                    columns["relation"].append(kind)
    test = np.array(places[0, "test"] + places[1, "test"], dtype=np.int64)
    tasks = [
        StreamTask(types, *(np.array(places[task, split], dtype=np.int64) for split in ("train", "validation")), test[: len(test) // (2 -
        task)]) for task, types in enumerate((("r1", "r2"), ("r3", "r4")))
    ]  # fmt: skip
    return PostStream(post_table(columns), tasks, "relations").checked()


def entity_stream(rows: int = 14) -> PostStream:
    """Persons begin with a capital, places with `at`; each task looks for one of them, in sentences that have both."""
    generator = np.random.default_rng(1)
    columns: dict[str, list] = {name: [] for name in ("id", "split", "tokens", "tags")}
    places: dict[tuple[int, str], list[int]] = {}
    for task in range(2):
        for split, count in (("train", rows), ("validation", 3), ("test", 6 * (1 - task))):
            for number in range(count):
                person, place = (str(generator.choice(list("abcdefgh"))) for _ in range(2))
                places.setdefault((task, split), []).append(len(columns["id"]))
                columns["id"].append(f"{split}:{task}:{number}")
                columns["split"].append(split)
                columns["tokens"].append([person.upper(), "x", "at", place])
                columns["tags"].append(["B-PER", "O", "O", "B-LOC"])
    test = np.array(places[0, "test"], dtype=np.int64)
    tasks = [
        StreamTask((kind,), *(np.array(places[task, split], dtype=np.int64) for split in ("train", "validation")), test)
        for task, kind in enumerate(("PER", "LOC"))
    ]
    return PostStream(post_table(columns), tasks, "entities").checked()


def config(**more) -> ContinualConfig:
    """A short course on the tiny encoder."""
    posts = {"name": "mnre", "folder": "nowhere"}
    settings = {
        "posts": posts,
        "model": MODEL,
        "learn": {"epochs": 2, "batch": 8, "learning_rate": 1e-3},
        "strategies": ["vanilla"],
        "seeds": [0],
    }
    return from_dict(ContinualConfig, settings | more)


def course(stream: PostStream, folder: Path, cfg: ContinualConfig | None = None, ranks: Ranks | None = None) -> Course:
    """What strategies are made with."""
    cfg = cfg or config()
    features(stream, folder, cfg)
    labels = Labels(stream)
    return Course(stream, labels, Batches(labels, Features.open(folder), cfg.model), 0, cfg.learn.batch, ranks or Ranks())


def features(stream: PostStream, folder: Path, cfg: ContinualConfig) -> None:
    """Write a stream's features without Ray; those of a stream and a model are computed once."""
    if (folder / "tokens.arrow").exists():
        return
    key = json.dumps([to_dict(cfg.model), stream.posts.to_pylist()])
    if key not in _computed:
        made = tempfile.TemporaryDirectory(prefix="features-")
        _compute(stream, Path(made.name), cfg)
        _computed[key] = made
    shutil.copytree(_computed[key].name, folder, dirs_exist_ok=True)


def _compute(stream: PostStream, folder: Path, cfg: ContinualConfig) -> None:
    from raykg.continual.features import _Encode
    from raykg.models.encoders.text import text_encoder

    of_texts = to_dict(cfg.model) | {"frozen": False, "image": None, "modality": "both"}
    write_features(stream.posts, from_dict(type(cfg.model), of_texts), folder, workers=1)
    (folder / "features.json").unlink()
    if cfg.model.image is not None:
        _pictures(stream.posts.num_rows, folder, cfg)
    if cfg.model.frozen:
        opened = Features.open(folder)
        width = text_encoder(cfg.model.text, cfg.model.top).width
        np.lib.format.open_memmap(folder / "text.npy", mode="w+", dtype=np.float32, shape=(int(opened.starts[-1]), width)).flush()
        _Encode(str(folder), to_dict(cfg.model))({"id": np.arange(stream.posts.num_rows)})


def _pictures(posts: int, folder: Path, cfg: ContinualConfig) -> None:
    """Write the states of made-up pictures; every fourth post has none."""
    from raykg.continual.building import encoder_of_images

    encoder = encoder_of_images(cfg.model)
    states = np.random.default_rng(2).normal(size=(posts, encoder.tokens, encoder.width)).astype(np.float32)
    np.save(folder / "image.npy", states)
    rows = np.where(np.arange(posts) % 4 == 3, -1, np.arange(posts))
    count = cfg.model.crops
    crops = np.random.default_rng(3).integers(-1, posts, (posts, count))
    listing = pa.FixedSizeListArray.from_arrays(crops.ravel(), count) if count else pa.nulls(posts, pa.list_(pa.int64(), 0))
    table = pa.table({"row": rows, "crops": listing})
    with pa.OSFile(str(folder / "pictures.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def model_of(strategy, cfg: ContinualConfig | None = None, *, wild: bool = False) -> torch.nn.Module:
    """A model for a strategy's course; `wild`: key banks that are not zero."""
    labels, name = strategy.course.labels, type(strategy).__module__.rpartition(".")[2]
    chosen = Chosen("raykg.continual.strategies", name, strategy.config)
    model = build((cfg or config()).model, labels.names, labels.stream.kind, chosen, 0)
    if wild:
        torch.manual_seed(5)
        for bank in model.streams.banks:
            torch.nn.init.normal_(bank.bank)
    return model.eval()


def same(one: pa.Table, other: pa.Table) -> bool:
    """Whether two tables hold the same rows."""
    return one.to_pylist() == other.to_pylist()
