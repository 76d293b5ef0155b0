"""How sure a model must be for its extractions to be as right as is wanted, found on posts that it was not trained on.

    calibration.threshold(0.9)         # the lowest confidence at and above which 90 % of the extractions from those posts are right
    calibration.precision(0.73)        # how right those of the test posts are that are at least so sure

The threshold comes from validation posts alone; the precision on test posts then tells whether it holds on others.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raykg.config.errors import RaykgError

LEAST = 10  # extractions that a threshold must rest on


class CalibrationError(RaykgError):
    """No confidence reaches the precision that is wanted."""


class Precision(NamedTuple):
    """A share of extractions that are right, with Wilson's 95 % interval (Wilson, JASA 1927)."""

    right: int
    all: int

    @property
    def share(self) -> float:
        """Return the share, NaN of none."""
        return self.right / self.all if self.all else float("nan")

    def interval(self) -> tuple[float, float]:
        """Return the ends of the interval."""
        from scipy.stats import binomtest

        if not self.all:
            return 0.0, 1.0
        found = binomtest(self.right, self.all).proportion_ci(0.95, method="wilson")
        return float(found.low), float(found.high)


@dataclass(frozen=True)
class Calibration:
    """Extractions from posts whose truth is known.

    Attributes:
        table: `split` (validation or test), `kind`, `confidence`, `right`, a row for each extraction.
    """

    table: pa.Table

    def threshold(self, precision: float) -> float:
        """Return the lowest confidence at and above which extractions from validation posts are right often enough.

        Raises:
            CalibrationError: there is none that rests on at least ten extractions.
        """
        confidence, right = self._of("validation")
        order = np.argsort(-confidence, kind="stable")
        confidence, number = confidence[order], np.arange(1, len(order) + 1)
        shares = np.cumsum(right[order]) / number
        last = np.append(confidence[1:] < confidence[:-1], np.ones(min(1, len(order)), dtype=np.bool_))  # equal ones belong together
        enough = last & (number >= LEAST)
        good = np.flatnonzero(enough & (shares >= precision))
        if len(good):
            return float(confidence[good[-1]])
        if not enough.any():
            raise CalibrationError(
                f"precision ({precision}): the validation posts gave {len(order)} extractions, at least {LEAST} are needed"
            )
        best = int(np.argmax(np.where(enough, shares, -1.0)))
        raise CalibrationError(
            f"precision ({precision}): no confidence reaches it on the validation posts; the best is {shares[best]:.3f} "
            f"({best + 1} extractions, confidence {confidence[best]:.3f} and above): ask for less"
        )

    def precision(self, threshold: float, split: str = "test") -> Precision:
        """Return how right extractions are that are at least so sure."""
        confidence, right = self._of(split)
        kept = right[confidence >= threshold]
        return Precision(int(kept.sum()), len(kept))

    def write(self, file: Path) -> None:
        """Write the table."""
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, self.table.schema) as writer:
            writer.write_table(self.table)

    @classmethod
    def read(cls, file: Path) -> Calibration:
        """Read what `write` wrote."""
        with pa.memory_map(str(file)) as source:
            return cls(pa.ipc.open_file(source).read_all())

    def _of(self, split: str) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        mine = self.table.filter(pc.equal(self.table["split"], split))
        return mine["confidence"].to_numpy(), mine["right"].to_numpy(zero_copy_only=False)
