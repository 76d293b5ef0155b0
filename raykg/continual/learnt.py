"""A learnt model as a folder of its own, and posts read by it.

    model = LearntModel.open(Path("runs/mnre5/courses/lmc-1a2b3c4d/seed-0/model"))
    for one in model.tell(posts): ...                     # what stands in new posts, and how sure the model is

    model/
      model.json           settings, labels in the order of their arrival, hashes
      model.safetensors    trained weights; the layers below come from the encoder that model.json names
      calibration.arrow    what it told of validation and test posts, how sure, and whether that was right
      README.md            the card: what it knows, what it was trained on, how good it is

Weights are taken only where their hash, and that of the encoder below them, are those that the folder was written with.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from raykg.config.choice import chosen
from raykg.config.load import from_dict, to_dict
from raykg.continual.batches import Batches
from raykg.continual.building import build, encoder_of_images, encoder_of_text
from raykg.continual.calibration import Calibration
from raykg.continual.continual_config import STRATEGIES
from raykg.continual.features import Features
from raykg.continual.labels import Labels
from raykg.continual.picture_features import encode, places, shown
from raykg.continual.picture_stream import PictureStream, unreadable
from raykg.continual.telling import Told, told
from raykg.data.post_table import PostStream, StreamTask
from raykg.data.post_tokens import tokenise
from raykg.kg.store import sha256, write_atomically
from raykg.models.dual_stream_config import DualStreamConfig
from raykg.models.errors import EncoderError
from raykg.models.reference import base_sha256, resolve, verified

if TYPE_CHECKING:
    import torch

    from raykg.config.choice import Chosen
    from raykg.continual.strategies import Course
    from raykg.data.post_table import Kind
    from raykg.models.dual_stream import DualStream

FORMAT = 1
DESCRIPTION, WEIGHTS, CALIBRATION, CARD = "model.json", "model.safetensors", "calibration.arrow", "README.md"


class LearntModelError(EncoderError):
    """A folder holds no model that posts can be read with."""


@dataclass(frozen=True)
class LearntModel:
    """A model that has learnt a stream of posts.

    Attributes:
        folder: where it lies.
        about: what model.json says.
    """

    folder: Path
    about: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> LearntModel:
        """Read what a folder says of its model.

        Raises:
            LearntModelError: it holds none, or one of another format.
        """
        file = folder / DESCRIPTION
        if not file.exists():
            found = ", ".join(str(one.parent) for one in sorted(folder.rglob(DESCRIPTION))[:3]) if folder.is_dir() else ""
            raise LearntModelError(f"{folder}: holds no {DESCRIPTION}; " + (f"there is one in {found}" if found else "a study leaves one"))
        about = json.loads(file.read_text(encoding="utf-8"))
        if about.get("format") != FORMAT:
            raise LearntModelError(f"{file}: format {about.get('format')}, expected {FORMAT}: train it again with this raykg")
        return cls(folder, about)

    @property
    def name(self) -> str:
        """What it is called where its extractions are cited."""
        return f"{self.about['strategy']['name']} {self.about['weights'][:12]}"

    @property
    def kind(self) -> Kind:
        """What it looks for."""
        found: Kind = self.about["kind"]
        return found

    @property
    def calibration(self) -> Calibration:
        """What it told of posts whose truth is known."""
        return Calibration.read(self.folder / CALIBRATION)

    @property
    def settings(self) -> DualStreamConfig:
        """The model's settings; one that learnt with other posts' pictures reads each post with its own."""
        cfg = from_dict(DualStreamConfig, self.about["model"])
        return replace(cfg, modality="both") if cfg.modality == "shuffled" else cfg

    @property
    def pictures(self) -> bool:
        """Whether it looks at pictures."""
        return self.settings.image is not None and self.settings.modality != "text"

    def check(self) -> None:
        """Compare the weights with what they were when the model was written.

        Raises:
            LearntModelError: the model's own have been changed.
            OtherWeightsError: an encoder has other ones.
        """
        file, expected = self.folder / WEIGHTS, self.about["weights"]
        if (found := sha256(file)) != expected:
            raise LearntModelError(f"{file}: sha256 {found[:12]}, expected {expected[:12]}: it has been changed")
        for reference, known in self.about["encoders"].items():
            verified(reference, known, wheel=self.settings.wheel)

    def stream(self, posts: pa.Table) -> PostStream:
        """Return posts as a stream of the types that the model has seen."""
        none = np.zeros(0, dtype=np.int64)
        tasks = [StreamTask(tuple(types), none, none, none) for types in self.about["tasks"]]
        return PostStream(posts, tasks, self.kind, self.about["none"])

    def reader(self) -> Reader:
        """Load the weights.

        Raises:
            LearntModelError, OtherWeightsError: as `check`.
        """
        self.check()
        about, cfg, file = self.about, self.settings, self.folder / WEIGHTS
        settings = {key: value for key, value in about["strategy"].items() if key != "name"}
        strategy = chosen(STRATEGIES, about["strategy"]["name"], **settings)
        model = build(cfg, Labels(self.stream(pa.table({}))).names, self.kind, strategy, 0)
        if model.lower_text is None:
            model.lower_text = encoder_of_text(cfg).lower
        _load(model, file)
        return Reader(self, cfg, model.eval())


class Reader:
    """Reads posts with a loaded model.

    Abilities: texts, and pictures where the model has an encoder of them; a post without a picture is read from its text.
    Not supported: raw text in which words and, for relations, the two mentions are not marked.
    """

    def __init__(self, learnt: LearntModel, cfg: DualStreamConfig, model: DualStream) -> None:
        self.learnt, self.cfg, self.model = learnt, cfg, model
        self.tokenizer = resolve(cfg.text, wheel=cfg.wheel) / "tokenizer.json"
        self.encoder = encoder_of_images(cfg) if cfg.modality != "text" else None
        if self.encoder is not None:
            self.encoder.lower.eval()

    def tell(self, posts: pa.Table, images: Path | None = None) -> tuple[list[Told], np.ndarray, np.ndarray]:
        """Return what the model tells of posts, which of them can be read, and which have a picture that was read, both `[posts]`.

        Args:
            posts: rows of `raykg.data.post_table.POSTS`; what they say of relations and tags is not looked at.
            images: folder of their pictures; None: they are read from their text.
        """
        labels = Labels(self.learnt.stream(posts))
        tokens = tokenise(posts, self.tokenizer, self.cfg.readout, self.cfg.positions).combine_chunks()
        pictures, picture_of, crops_of = self._pictures(posts, images)
        features = Features.of_tokens(tokens, pictures, picture_of, crops_of)
        batches = Batches(labels, features, self.cfg)
        found = list(told(self.model, batches, np.arange(posts.num_rows), labels.open(len(labels.stream.tasks) - 1)))
        return found, batches.readable, picture_of >= 0

    def _pictures(self, posts: pa.Table, images: Path | None) -> tuple[np.ndarray | PictureStream | None, np.ndarray, np.ndarray]:
        """Return the states of the pictures that could be read, or what reads them, and each post's place and its crops' among them."""
        crops = self.cfg.crops
        names = shown(posts, crops)
        reasons = ["no folder is given"] * len(names)
        found: np.ndarray | PictureStream | None = None
        if self.encoder is not None and self.model.lower_image is not None:
            found = PictureStream(images or self.learnt.folder, names, self.encoder.pixels)
            reasons = reasons if images is None else unreadable(images, self.encoder.pixels, names.to_pylist())
        elif self.encoder is not None:
            found = states = np.zeros((max(1, len(names)), self.encoder.tokens, self.encoder.width), dtype=np.float32)
            reasons = reasons if images is None else encode(self.encoder, images, names.to_pylist(), states.__setitem__)
        good = np.array([not reason for reason in reasons], dtype=np.bool_)
        return found, *places(posts, crops, names, good)


def write_learnt(folder: Path, model: DualStream, course: Course, cfg: DualStreamConfig, strategy: Chosen, tested: dict[str, Any]) -> None:
    """Write a model that has learnt a stream: complete, or without its model.json.

    Args:
        folder: where to write.
        model: in evaluation mode, after the last task.
        course: what it has learnt.
        cfg: its settings.
        strategy: how it learnt.
        tested: numbers for the card, such as F1 on the test.
    """
    from raykg.continual.learnt_card import card
    from raykg.continual.task import save_weights

    if (folder / DESCRIPTION).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(model, folder / WEIGHTS)
    calibration = _calibration(model, course)
    calibration.write(folder / CALIBRATION)
    stream = course.stream
    references = [cfg.text, *([cfg.image] if cfg.image not in (None, "efficientnet_lite0") and cfg.modality != "text" else [])]
    about = {
        "format": FORMAT,
        "kind": stream.kind,
        "none": stream.none,
        "tasks": [list(task.types) for task in stream.tasks],
        "model": to_dict(cfg),
        "strategy": {"name": strategy.name, **to_dict(strategy.config)},
        "seed": course.seed,
        "weights": sha256(folder / WEIGHTS),
        "encoders": {str(one): base_sha256(resolve(str(one), wheel=cfg.wheel, tokenizer=one == cfg.text)) for one in references},
        "tested": tested,
    }
    write_atomically(folder / CARD, card(about, calibration, [len(task.train) for task in stream.tasks]))
    write_atomically(folder / DESCRIPTION, json.dumps(about, indent=1) + "\n")


def _calibration(model: DualStream, course: Course) -> Calibration:
    """Return what a model tells of validation and test posts; of types that a post was not looked through for nothing is known."""
    labels, stream = course.labels, course.stream
    open_ = labels.open(len(stream.tasks) - 1)
    rows: list[tuple[str, str, float, bool]] = []
    last = len(stream.tasks) - 1
    parts = [("validation", task.validation, task.types) for task in stream.tasks] + [("test", stream.tasks[last].test, stream.seen(last))]
    for split, posts, types in parts:
        for one in told(model, course.batches, posts, open_):
            if labels.relations or one.kind in types:
                rows.append((split, one.kind, one.confidence, _right(labels, one, types)))
    schema = pa.schema([("split", pa.string()), ("kind", pa.string()), ("confidence", pa.float64()), ("right", pa.bool_())])
    columns = zip(*rows, strict=True) if rows else [()] * 4
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return Calibration(pa.Table.from_arrays(arrays, schema=schema))


def _right(labels: Labels, one: Told, types: tuple[str, ...]) -> bool:
    if labels.relations:
        return bool(labels.names[labels.relation_of[one.row]] == one.kind)
    from raykg.eval.extraction import mentions

    return (one.start, one.end, one.kind) in set(mentions([labels.names[tag] for tag in labels.tags(one.row, types)]))


def _load(model: DualStream, file: Path) -> None:
    from safetensors.torch import load_file

    stored: dict[str, torch.Tensor] = load_file(file)
    found = model.load_state_dict(stored, strict=False)
    differing = [*found.unexpected_keys, *(name for name in found.missing_keys if not name.startswith("lower_text."))]
    if differing:
        raise LearntModelError(f"{file}: {differing[0]} is only in the file or only in the model that its settings make")
