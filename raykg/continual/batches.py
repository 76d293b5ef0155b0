"""Rows of posts as what the dual-stream model takes (`raykg.models.dual_stream`), and what is known of each row.

| key        | shape                      |                                                                                       |
|------------|----------------------------|---------------------------------------------------------------------------------------|
| `labels`   | `[batch]`                  | each row's relation; or `[batch, words]`, each word's tag                             |
| `known`    | `[batch, labels]`          | for which labels a row was looked through; where it is false, their absence says nothing |
| `remembered` | `[batch]`                | which rows come from the memory                                                       |
| `classes`  | `[batch]`                  | the class that each row is remembered for; -1: none, or it is no such row              |

Rows that cannot be read (a mention was cut off) are left out of every batch; the run counts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from raykg.continual.features import Features
from raykg.continual.labels import Flags, Labels
from raykg.continual.picture_stream import PictureStream
from raykg.data.order import permute
from raykg.data.post_table import Rows

if TYPE_CHECKING:
    from raykg.models.dual_stream_config import DualStreamConfig

Batch = dict[str, Tensor]
Shown = NDArray[np.uint8] | None


class Batches:
    """Makes batches of a stream's posts from their features."""

    def __init__(self, labels: Labels, features: Features, model: DualStreamConfig) -> None:
        """Hold what batches are made of."""
        self.labels, self.features = labels, features
        readout = model.readout
        self.reads_text = model.reads_text
        self._pictures = features.pictures if model.image is not None and model.modality != "text" else None
        whose = shuffled(features.picture_of) if model.modality == "shuffled" else np.arange(len(features.picture_of))
        self._picture_of, self._crops_of = features.picture_of[whose], features.crops_of[whose]
        self._places = 1 if readout == "cls" else 3
        self._means = readout == "means" and labels.relations
        self.readable: Flags = features.tokens["readable"].to_numpy(zero_copy_only=False)
        read = features.tokens["read"].combine_chunks()
        self._read, self._read_starts = read.flatten().to_numpy(), read.offsets.to_numpy()
        self._stops = features.tokens["stops"].combine_chunks().flatten().to_numpy()

    @property
    def row_bytes(self) -> int:
        """Mean size of a row's features."""
        width = 1 if self.features.states is None else self.features.states.shape[1]
        return int(4 * width * self.features.starts[-1] / max(1, len(self.features.starts) - 1))

    def weights(self, rows: Rows) -> np.ndarray:
        """Return how many tokens each row has, which is about what it costs, `[rows]`."""
        return self.features.starts[rows + 1] - self.features.starts[rows]

    def usable(self, rows: Rows) -> Rows:
        """Return the rows that can be read."""
        return rows[self.readable[rows]]

    def ahead(self, groups: Iterable[Rows]) -> Iterator[Shown]:
        """Yield what is shown of one group of rows after another, for `batch`: decoded ahead of time, or None where nothing has to be."""
        if not isinstance(self._pictures, PictureStream):
            yield from (None for _ in groups)
            return
        yield from self._pictures.ahead(self._shown(rows) for rows in groups)

    def batch(
        self, rows: Rows, open_: Flags, types: Sequence[Sequence[str]], remembered: Flags | None = None, shown: Shown = None
    ) -> Batch:
        """Return a batch.

        Args:
            rows: numbers of posts, at least one.
            open_: which labels have arrived, `[labels]`.
            types: of each row, the types it was looked through for.
            remembered: which rows come from the memory; none by default.
            shown: the rows' pictures, where `ahead` has decoded them already.
        """
        sizes = self.weights(rows)
        longest = int(sizes.max())
        mask = np.arange(longest)[None, :] < sizes[:, None]
        features = self.features
        if features.states is None:
            text = np.zeros((len(rows), longest), dtype=np.int64)
            for place, row in enumerate(rows.tolist()):
                text[place, : sizes[place]] = features.ids(row)
            given = torch.from_numpy(text)
        else:
            states = np.zeros((len(rows), longest, features.states.shape[1]), dtype=np.float32)
            for place, row in enumerate(rows.tolist()):
                states[place, : sizes[place]] = features.text(row)
            given = torch.from_numpy(states)
        read, words = self._reads(rows, self._read)
        pictures = self._images(rows, shown)
        known = np.stack([self.labels.of(some) for some in types])
        from_memory = np.zeros(len(rows), dtype=np.bool_) if remembered is None else remembered
        classes = np.full(len(rows), -1, dtype=np.int64)
        for place in np.flatnonzero(from_memory).tolist():
            classes[place] = self.labels.classes(rows[place : place + 1], types[place])[0]
        return {
            "text": given,
            "mask": torch.from_numpy(mask),
            "read": torch.from_numpy(read),
            "words": torch.from_numpy(words),
            **({"stops": torch.from_numpy(self._reads(rows, self._stops)[0])} if self._means else {}),
            "open": torch.from_numpy(open_),
            "labels": torch.from_numpy(self._labels(rows, types, words)),
            "known": torch.from_numpy(known),
            "remembered": torch.from_numpy(from_memory),
            "classes": torch.from_numpy(classes),
        } | pictures

    @property
    def pictures(self) -> bool:
        """Whether batches have pictures."""
        return self._pictures is not None

    def _images(self, rows: Rows, shown: Shown) -> Batch:
        """Return the states of the rows' pictures, or their pixels, and which rows have one; nothing in a stream without pictures."""
        if self._pictures is None:
            return {}
        places, crops = self._picture_of[rows], self._crops_of[rows]
        present = places >= 0
        there = {"present": torch.from_numpy(present)} | ({"crops": torch.from_numpy(crops >= 0)} if crops.shape[1] else {})
        if isinstance(self._pictures, PictureStream):
            pixels = self._pictures.take(self._shown(rows)) if shown is None else shown
            return {"image": torch.from_numpy(pixels.reshape(len(rows), 1 + crops.shape[1], *pixels.shape[1:]).copy())} | there
        patches, width = self._pictures.shape[1:]
        states = np.zeros((len(rows), patches + crops.shape[1], width), dtype=np.float32)
        states[present, :patches] = self._pictures[places[present]]
        if crops.shape[1]:
            states[:, patches:][crops >= 0] = self._pictures[crops[crops >= 0]].mean(1)
        return {"image": torch.from_numpy(states)} | there

    def _shown(self, rows: Rows) -> Rows:
        """Return the places of what rows show, each row's picture and then its crops, `[rows x (1 + crops)]`."""
        return np.concatenate([self._picture_of[rows, None], self._crops_of[rows]], axis=1).ravel()

    def _reads(self, rows: Rows, column: np.ndarray) -> tuple[np.ndarray, Flags]:
        """Return the places that are read, or where they end, `[rows, places]`, and which of them are real."""
        found = [column[self._read_starts[row] : self._read_starts[row + 1]] for row in rows.tolist()]
        if self.labels.relations:
            found = [one[: self._places] for one in found]
        most = max(map(len, found))
        read, real = np.zeros((len(rows), most), dtype=np.int64), np.zeros((len(rows), most), dtype=np.bool_)
        for place, one in enumerate(found):
            read[place, : len(one)], real[place, : len(one)] = one, True
        return read, real

    def _labels(self, rows: Rows, types: Sequence[Sequence[str]], words: Flags) -> np.ndarray:
        if self.labels.relations:
            return self.labels.relation_of[rows]
        found = np.zeros(words.shape, dtype=np.int64)
        for place, (row, some) in enumerate(zip(rows.tolist(), types, strict=True)):
            tags = self.labels.tags(row, some)[: words[place].sum()]
            found[place, : len(tags)] = tags
        return found


def shuffled(picture_of: Rows) -> Rows:
    """Return of each post whose picture it shows: another's among those that have one, its own where it has none; the same each time."""
    whose, having = np.arange(len(picture_of)), np.flatnonzero(picture_of >= 0)
    whose[having] = having[permute(np.arange(len(having), dtype=np.int64), len(having), 0, 0)]
    return whose


def moved(batch: Batch, device: torch.device) -> Batch:
    """Return a batch on a device."""
    return {name: tensor.to(device) for name, tensor in batch.items()} if device.type != "cpu" else batch
