"""Our step of continual construction beside the published code's way of making one, at equal model size.

    python benchmarks/mkgc_speed.py                              # MiniLM, made-up posts; a minute on two cores
    python benchmarks/mkgc_speed.py --posts ../shared/data/mkgc/mnre

The reference is a plain torch port of the published step's structure: two rows a step, each padded to 80 tokens, all layers computed in
each pass, a teacher that reads every row again from the start, the memory in a phase of its own after the task's rows. Ours has what
the layers below make of each post from the features that are computed once, pads to the longest row of a step, lets remembered rows join
the step, reads only what the head needs in the last layer, and has the teacher begin where the features end. Both train the same upper
layers and head, with attention distillation, in float32, with AdamW; both see the same task rows and as many remembered ones.

Printed are rows a second (task rows and remembered rows, each counted once where it is learnt), our ratio to the reference, and to the
reference with our batch size and padding. First the gradients of one batch are compared: they are the same loss.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy, normalize, pad

from raykg.config.choice import chosen
from raykg.config.load import from_dict, to_dict
from raykg.continual.batches import Batches
from raykg.continual.building import build
from raykg.continual.continual_config import ContinualConfig
from raykg.continual.features import Features, _Encode, write_features
from raykg.continual.labels import Labels
from raykg.continual.memory import MemoryConfig
from raykg.continual.strategies import Course, Pass
from raykg.continual.strategies.lmc import Config, Lmc
from raykg.continual.supervised import row_losses
from raykg.models.dual_stream import DualStream, means
from raykg.models.encoders.text import text_encoder
from raykg.train.ranks import Ranks

_PADDED = 80  # tokens of a row in the published code
_TINY = 2  # rows of a step there
_REMEMBERED = 0.25  # remembered rows for each row of the task


def main() -> None:
    """Compare gradients, then time three ways to learn the same rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--posts", help="a copy of MNRE; made-up posts of the same length without it")
    parser.add_argument("--text", default=None, help="reference of a text encoder (default: MiniLM)")
    parser.add_argument("--top", type=int, default=2)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=15.0, help="that each way is timed for (default: 15)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory(prefix="mkgc-speed-") as folder:
        bench = Bench(given, Path(folder))
        print(
            f"{given.threads} threads, {bench.parameters / 1e6:.1f} million trained weights, rows of {bench.tokens:.0f} tokens on average"
        )
        print(f"gradients of one batch: largest difference {bench.apart():.1e} of a largest gradient of {bench.largest:.1e}")
        ours = bench.timed("ours", bench.our_steps)
        theirs = bench.timed("reference, batch 2", lambda: bench.their_steps(_TINY, _PADDED))
        same = bench.timed(f"reference, batch {given.batch}, padded as ours", lambda: bench.their_steps(given.batch, None))
    print(f"ratio to the reference: {ours / theirs:.1f}; with our batch size and padding: {ours / same:.2f}")


class Bench:
    """One stream, one model, two ways to train it."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        """Make the stream's features, the model and its teacher."""
        posts = {"name": "mnre", "folder": given.posts, "tasks": "sep5"} if given.posts else {"name": "scenes", "train": 200}
        model = {"top": given.top, "dropout": 0.0} | ({"text": given.text} if given.text else {})
        self.cfg = from_dict(ContinualConfig, {"posts": posts, "model": model, "learn": {"batch": given.batch}})
        stream = self.cfg.posts.method()(self.cfg.posts.config).stream(0)
        self.batch, self.seconds = given.batch, given.seconds
        self.features = _features(stream.posts, self.cfg, folder)
        self.labels = Labels(stream)
        batches = Batches(self.labels, self.features, self.cfg.model)
        self.course = Course(stream, self.labels, batches, 0, given.batch, Ranks())
        self.strategy = Lmc(Config(memory=MemoryConfig(share=_REMEMBERED)), self.course)
        self.strategy.keeps_teacher = True
        of = self.labels.names, stream.kind, chosen("raykg.continual.strategies", "lmc")
        self.model = build(self.cfg.model, *of, 0)
        self.teacher = build(self.cfg.model, *of, 1).eval().requires_grad_(False)
        self.lower = text_encoder(self.cfg.model.text, self.cfg.model.top).lower.eval().requires_grad_(False)
        self.strategy.end(self.model.eval())
        self.strategy.task = 1
        self.model.train()
        self.rows = batches.usable(stream.tasks[1].train)
        self.parameters = sum(p.numel() for p in self.model.parameters())
        self.tokens = float(batches.weights(self.rows).mean())
        self.largest = 0.0
        self._adamw = torch.optim.AdamW(self.model.parameters(), lr=1e-6)

    def our_steps(self) -> Iterator[int]:
        """Learn with rows and remembered ones in one pass; yield how many were learnt."""
        for number in range(1_000_000):
            fresh = self.rows[np.arange(number * self.batch, (number + 1) * self.batch) % len(self.rows)]
            kept = self.strategy.remembered(number)
            rows = np.concatenate([fresh, kept])
            (self._our_loss(rows) / len(rows)).backward()
            self._update()
            yield len(rows)

    def their_steps(self, batch: int, padded: int | None) -> Iterator[int]:
        """Learn rows, and in a phase of their own as many remembered ones as ours has; every pass from token ids to the head."""
        memory = self.strategy.memory.rows
        share = self.strategy.joining / self.batch
        owed = 0.0
        for number in range(1_000_000):
            rows = self.rows[np.arange(number * batch, (number + 1) * batch) % len(self.rows)]
            (self._their_loss(rows, padded, distil=True) / len(rows)).backward()
            self._update()
            yield len(rows)
            owed += share * len(rows)
            while owed >= batch:
                owed -= batch
                kept = memory[np.arange(number * batch, (number + 1) * batch) % len(memory)]
                (self._their_loss(kept, padded, distil=False) / len(kept)).backward()
                self._update()
                yield len(kept)

    def apart(self) -> float:
        """Return by how much the gradients of one batch differ."""
        rows, found = self.rows[: self.batch], []
        for loss in (lambda: self._our_loss(rows), lambda: self._their_loss(rows, _PADDED, distil=True)):
            self.model.zero_grad(set_to_none=True)
            loss().backward()
            found.append({name: p.grad.clone() for name, p in self.model.named_parameters() if p.grad is not None})
        self.model.zero_grad(set_to_none=True)
        self.largest = max(float(gradient.abs().max()) for gradient in found[0].values())
        return max(float((found[0][name] - found[1][name]).abs().max()) for name in found[0])

    def timed(self, name: str, steps: Callable[[], Iterator[int]]) -> float:
        """Return the rows a second of one way, and print them."""
        done, work = 0, steps()
        for _ in range(3):
            next(work)
        started = time.perf_counter()
        while time.perf_counter() - started < self.seconds:
            done += next(work)
        speed = done / (time.perf_counter() - started)
        print(f"{name}: {speed:.1f} rows a second")
        return speed

    def _our_loss(self, rows: np.ndarray) -> torch.Tensor:
        batch = self.course.batches.batch(rows, self.labels.open(1), self.strategy.types_of(rows))
        with torch.no_grad():
            taught = self.teacher({**batch, "open": torch.from_numpy(self.labels.open(0))})
        seen, scores = self.model(batch)
        added = self.strategy.loss(self.model, Pass(batch, seen, scores, taught))
        return row_losses(self.model.head, scores, batch).sum() + added["distillation"]

    def _their_loss(self, rows: np.ndarray, padded: int | None, *, distil: bool) -> torch.Tensor:
        """Return the same loss, computed layer by layer over all tokens, from the token ids."""
        ids, mask = self._ids(rows, padded)
        open_ = torch.from_numpy(self.labels.open(1))
        starts, stops = (self._places(rows, column) for column in ("read", "stops"))
        text, maps = self._through(self.model, ids, mask)
        vectors = means(text, starts, stops).flatten(1)
        scores = (self.model.head.text(vectors) + self.model.head.bias).masked_fill(~open_, -1e4)
        loss = cross_entropy(scores, torch.from_numpy(self.labels.relation_of[rows]), reduction="sum")
        if not distil:
            return loss
        with torch.no_grad():
            _, before = self._through(self.teacher, ids, mask)
        for old, new in zip(before, maps, strict=True):
            pooled = [normalize((one * mask[:, None, :, None]).sum(2), dim=-1) for one in (old, new)]
            loss = loss + torch.relu(pooled[0] - pooled[1]).flatten(1).norm(dim=1).sum() / len(maps)
        return loss

    def _through(self, model: DualStream, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        with torch.no_grad():
            text = self.lower(ids, mask)
        maps = []
        for layer, bank in zip(model.streams.text, model.streams.banks, strict=True):
            text, attention = layer(text, mask, scores=lambda query, key, bank=bank: bank.scores(0, query, key))
            maps.append(attention)
        return text, maps

    def _places(self, rows: np.ndarray, column: str) -> torch.Tensor:
        found = [self.features.tokens[column][int(row)].values.to_numpy() for row in rows]
        return torch.from_numpy(np.stack(found).astype(np.int64))

    def _ids(self, rows: np.ndarray, padded: int | None) -> tuple[torch.Tensor, torch.Tensor]:
        found = [torch.from_numpy(self.features.ids(int(row)).astype(np.int64)) for row in rows]
        longest = max(map(len, found)) if padded is None else max(padded, max(map(len, found)))
        ids = torch.stack([pad(one, (0, longest - len(one))) for one in found])
        mask = torch.stack([torch.arange(longest) < len(one) for one in found])
        return ids, mask

    def _update(self) -> None:
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._adamw.step()
        self._adamw.zero_grad(set_to_none=True)


def _features(posts: object, cfg: ContinualConfig, folder: Path) -> Features:
    """Write features in this process: Ray is not what is timed."""
    write_features(posts, from_dict(type(cfg.model), to_dict(cfg.model) | {"frozen": False}), folder, workers=1)
    tokens = int(Features.open(folder).starts[-1])
    width = text_encoder(cfg.model.text, cfg.model.top).width
    np.lib.format.open_memmap(folder / "text.npy", mode="w+", dtype=np.float32, shape=(tokens, width)).flush()
    _Encode(str(folder), to_dict(cfg.model))({"id": np.arange(posts.num_rows)})
    return Features.open(folder)


if __name__ == "__main__":
    main()
