"""Rehearsal memory: a few rows of each class that has been learnt, which later tasks see again.

    memory = RehearsalMemory(budget)
    memory.keep({3: rows_of_class_3_best_first, 7: ...})
    memory.rows                                  # numbers of posts, each a sample of its own
    memory.draw(8, seed=0, task=2, step=17)      # rows that join a step: the same wherever and whenever it runs

What is kept are numbers of posts, not batches and not copies, so the memory is exact to the sample, small in a checkpoint, and its
features are read from where they lie.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from raykg.config.schema import Fraction, NonNegativeFloat, PositiveInt, config
from raykg.data.order import Order

if TYPE_CHECKING:
    from torch import Tensor

Rows = NDArray[np.int64]
_DAMPING = 1e-3  # of the Fisher matrix, relative to its mean eigenvalue


@config
class MemoryConfig:
    """How much is kept, what, and how often it is seen again."""

    per_class: PositiveInt | None = 6
    """Rows of each class; LMC's published setting is 6."""
    rows: PositiveInt | None = None
    """Rows in all, shared equally by the classes so far; instead of per_class."""
    kilobytes: PositiveInt | None = None
    """Size of the kept rows' features in all, shared equally; instead of per_class."""
    choose: Literal["random", "herding", "kmeans", "loss", "influence"] = "random"
    """Which rows of a class: drawn; nearest to its mean together; nearest to the centres of k-means; of the greatest loss; that the class's
    loss depends on most."""

    share: Fraction = 0.0
    """Remembered rows that join each step, as a share of learn.batch; docs/construct.md says what that costs where they are few."""
    rehearse: NonNegativeFloat = 10.0
    """Epochs over the whole memory after each task, as published: there all classes are equally frequent; 0: none."""
    layers: bool = False
    """Whether these epochs train the streams' layers too, as published, or the head alone, as Kang et al. (ICLR 2020, arXiv 1910.09217)
    retrain a classifier on balanced rows."""

    def __post_init__(self) -> None:
        """Refuse a budget in two measures, or in none."""
        given = [name for name in ("per_class", "rows", "kilobytes") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"per_class, rows and kilobytes: give exactly one of them, found {' and '.join(given) or 'none'}")


class RehearsalMemory:
    """The kept rows of each class, best first."""

    def __init__(self, cfg: MemoryConfig, row_bytes: int = 0) -> None:
        """Make an empty memory.

        Args:
            cfg: the budget.
            row_bytes: mean size of a row's features, for a budget in kilobytes.
        """
        self.cfg = cfg
        self._row_bytes = max(1, row_bytes)
        self._kept: dict[int, list[Rows]] = {}  # of each class, one part for each task that it came with

    @property
    def classes(self) -> dict[int, Rows]:
        """The kept rows of each class."""
        return {one: np.concatenate(parts) for one, parts in self._kept.items()}

    @property
    def rows(self) -> Rows:
        """Every kept row, by class."""
        kept = [part for one in sorted(self._kept) for part in self._kept[one]]
        return np.concatenate(kept) if kept else np.zeros(0, dtype=np.int64)

    def keep(self, found: Mapping[int, Rows]) -> None:
        """Take classes in, best rows first; with a budget for all, older classes give up their last rows.

        A class that comes again, as "none" does with every task, keeps as many rows of each time.
        """
        for one, rows in found.items():
            self._kept.setdefault(one, []).append(np.asarray(rows, dtype=np.int64))
        quota = self.quota(sum(map(len, self._kept.values())))
        self._kept = {one: [part[:quota] for part in parts] for one, parts in self._kept.items()}

    def quota(self, classes: int) -> int:
        """Return how many rows each of so many classes may have; one that came with several tasks counts for each."""
        if self.cfg.per_class is not None:
            return self.cfg.per_class
        rows = self.cfg.rows if self.cfg.rows is not None else (self.cfg.kilobytes or 0) * 1000 // self._row_bytes
        return max(1, rows // max(1, classes))

    def draw(self, count: int, seed: int, task: int, step: int) -> Rows:
        """Return the rows that join a step; each comes once before any comes again."""
        rows = self.rows
        if not len(rows) or not count:
            return rows[:0]
        order = Order(len(rows), min(count, len(rows)), seed * 1009 + task)
        return rows[order.row_ids(step)]

    def state(self) -> dict[str, list[list[int]]]:
        """Return what a checkpoint holds, JSON-like."""
        return {str(one): [part.tolist() for part in parts] for one, parts in self._kept.items()}

    def load(self, state: Mapping[str, list[list[int]]]) -> None:
        """Take back what `state` returned."""
        self._kept = {int(one): [np.array(part, dtype=np.int64) for part in parts] for one, parts in state.items()}


def herding(vectors: Tensor, count: int) -> list[int]:
    """Return the places of rows whose running mean stays nearest to the mean of all, in the order they are taken (iCaRL, arXiv 1611.07725).

    Args:
        vectors: of the candidates, `[rows, width]`.
        count: how many.
    """
    import torch

    mean, total = vectors.mean(0), torch.zeros_like(vectors[0])
    left = torch.ones(len(vectors), dtype=torch.bool)
    taken: list[int] = []
    for number in range(1, min(count, len(vectors)) + 1):
        distance = (mean - (total + vectors) / number).norm(dim=1).masked_fill(~left, torch.inf)
        best = int(distance.argmin())
        taken.append(best)
        left[best] = False
        total = total + vectors[best]
    return taken


def central(vectors: Tensor, count: int, seed: int) -> list[int]:
    """Return the places of the rows nearest to the centres of k-means, one each, those of larger clusters first; then the other rows.

    Args:
        vectors: of the candidates, `[rows, width]`.
        count: clusters.
        seed: of the first centres.
    """
    from scipy.cluster.vq import kmeans2

    points = vectors.double().numpy()
    centres, cluster = kmeans2(points, min(count, len(points)), minit="++", seed=seed)
    distance = np.linalg.norm(points - centres[cluster], axis=1)
    sizes = np.bincount(cluster, minlength=len(centres))
    nearest = [
        int(np.flatnonzero(cluster == one)[distance[cluster == one].argmin()]) for one in np.argsort(-sizes, kind="stable") if sizes[one]
    ]
    rest = np.setdiff1d(np.arange(len(points)), nearest)
    return [*nearest, *rest[np.argsort(distance[rest], kind="stable")].tolist()]


def influence(gradients: Tensor) -> Tensor:
    """Return how much the class's mean loss depends on each row, `[rows]`: g_mean' H^-1 g_row (Koh and Liang, ICML 2017, arXiv 1703.04730).

    H = G'G / rows + damping is the Fisher matrix of the same rows, G their gradients. By the push-through identity G H^-1 g_mean =
    (GG' / rows + damping)^-1 G g_mean: what is solved is `[rows, rows]`, exactly, however many parameters there are.

    Args:
        gradients: of each row's loss by the head's weights, `[rows, parameters]`.
    """
    import torch

    rows = len(gradients)
    exact = gradients.double()
    products = exact @ exact.T  # [rows, rows]
    damping = _DAMPING * float(products.diagonal().mean()) / rows + 1e-12
    mean = products.mean(0)  # g_mean . g_row
    found: Tensor = torch.linalg.solve(products / rows + damping * torch.eye(rows, dtype=exact.dtype), mean).to(gradients.dtype)
    return found
