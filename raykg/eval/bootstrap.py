"""95 % intervals by the bootstrap: resample the rows, take the mean, look at the spread.

Percentile bootstrap (Efron, The Annals of Statistics 1979), seeded, all resamples at once as multinomial row counts. Where every row has
the same score the interval has no width although the truth may lie elsewhere; for n rows all right, 1 - 3/n is a fair lower end (the
rule of three), which the report says below its tables.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_CELLS = 4_000_000  # row counts held at once: 32 MB


def bootstrap_intervals(
    values: NDArray[np.float64], resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return means [metrics] and intervals [metrics, 2] of the scores `values` [rows, metrics].

    NaN scores do not take part; a metric without any score has NaN for mean and interval. The same rows, seed and settings give the same
    interval, to the last bit.

    Raises:
        ValueError: `values` is not a matrix, or `level` is not between 0 and 1.
    """
    if values.ndim != 2 or not 0 < level < 1:
        raise ValueError(f"values {values.shape} must be [rows, metrics] and level ({level}) between 0 and 1")
    rows, metrics = values.shape
    if rows == 0:
        return np.full(metrics, np.nan), np.full((metrics, 2), np.nan)
    valid = ~np.isnan(values)
    scores = np.where(valid, values, 0.0)
    random = np.random.default_rng(seed)
    at_once = max(1, _CELLS // rows)
    means = np.empty((resamples, metrics))
    with np.errstate(invalid="ignore"):
        for start in range(0, resamples, at_once):
            counts = random.multinomial(rows, np.full(rows, 1 / rows), size=min(at_once, resamples - start))  # [resamples, rows]
            means[start : start + len(counts)] = (counts @ scores) / (counts @ valid)
        mean = scores.sum(0) / valid.sum(0)
    intervals = np.full((metrics, 2), np.nan)
    known = valid.any(0)
    tail = (1 - level) / 2
    intervals[known] = np.nanquantile(means[:, known], [tail, 1 - tail], axis=0).T
    return mean, intervals
