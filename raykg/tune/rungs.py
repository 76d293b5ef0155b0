"""The rungs at which trials are compared, as halving and ASHA have them."""

from __future__ import annotations

from raykg.config.schema import Fraction, PositiveInt, config


@config
class RungsConfig:
    """Where trials are compared."""

    reduction: PositiveInt = 3
    """About one of so many goes on, and so many times further."""
    first: Fraction = 0.1
    """Share of the whole training that every trial gets at least; the first rung is the lowest one not below it."""
    last: Fraction = 1.0
    """Share of the whole training that the best ones get."""

    def __post_init__(self) -> None:
        """Refuse a ladder without rungs."""
        if self.reduction < 2:
            raise ValueError(f"reduction ({self.reduction}) must be at least 2: with 1 nobody is ever stopped")
        if not 0 < self.first <= self.last:
            raise ValueError(f"first ({self.first:g}) must be above 0 and at most last ({self.last:g})")

    def shares(self) -> list[float]:
        """Return the shares of a training at which trials are compared, each `reduction` times the one before, the end included."""
        shares = [self.last]
        while (share := shares[-1] / self.reduction) >= self.first * (1 - 1e-9):
            shares.append(share)
        return shares[::-1]
