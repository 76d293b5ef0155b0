"""Which rows a training step sees: a pure function of (seed, epoch, step), computed without a list of rows.

An epoch is a permutation of the rows. It is never stored: a keyed bijection maps the n-th place of the epoch to a row, so that any step of
any epoch costs the same and a resumed run starts where it stopped without replaying anything. The global batch does not depend on how many
workers share it; its rows are dealt so that each has as much to do (`dealt`).

    >>> order = Order(rows=10, batch=4, seed=0)
    >>> order.steps_per_epoch, order.position(5)
    (3, (1, 2))
    >>> [len(order.row_ids(step)) for step in range(3)]
    [4, 4, 2]
    >>> sorted(int(row) for step in range(3) for row in order.row_ids(step))
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]

Rows that lie near each other in a file are read together, so sets of more than `CHUNK * WINDOW` rows are shuffled on two levels: chunks of
neighbours among each other, and the rows of every `WINDOW` chunks in a row among each other. A reader then holds one window, however large
the set is. Rows may also stay beside each other in groups (`together`), as questions about the same facts do that are packed as one.

The bijection is a balanced Feistel network over the next power of four, walked along its cycle until it lands below the number of rows.
Papers: Black and Rogaway, Ciphers with Arbitrary Finite Domains, CT-RSA 2002 (cycle walking); Luby and Rackoff, 1988 (Feistel). The round
function is the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): statistical mixing, no secrecy.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Words = NDArray[np.uint64]

CHUNK = 2048
"""Neighbouring rows that are shuffled as one among the others."""

WINDOW = 32
"""Chunks whose rows are shuffled among each other."""

CHECKSUM = 1 << 40
"""What checksums are taken modulo: thousands of them still add up exactly as float64."""

_WORD = (1 << 64) - 1
_ROUNDS = 8  # 4 are enough for large domains; small ones, of a few bits a half, need more


@dataclass(frozen=True, slots=True)
class Order:
    """The order of `rows` rows in global batches of `batch`; every row once per epoch, the last batch of an epoch may be short.

    Attributes:
        rows: of the set.
        batch: rows of a global batch.
        seed: of the run.
        together: neighbours that stay together and in their order, from row 0 on; of what is left over in a window, there are fewer.
        chunk: neighbouring rows that are shuffled as one; made a multiple of `together`.
        window: chunks whose rows are shuffled among each other.
    """

    rows: int
    batch: int
    seed: int
    together: int = 1
    chunk: int = CHUNK
    window: int = WINDOW

    def __post_init__(self) -> None:
        """Refuse an order of nothing."""
        if self.rows < 1 or self.batch < 1:
            raise ValueError(f"rows ({self.rows}) and batch ({self.batch}) must be at least 1")
        object.__setattr__(self, "chunk", max(self.chunk - self.chunk % self.together, self.together))  # groups are not cut

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps that visit every row once."""
        return -(-self.rows // self.batch)

    def position(self, step: int) -> tuple[int, int]:
        """Return (epoch, step within the epoch) of a global step."""
        return divmod(step, self.steps_per_epoch)

    def row_ids(self, step: int) -> Rows:
        """Return the rows of a global step, in order; constant cost whatever the step."""
        return self.rows_between(step, step + 1)[0]

    def rows_between(self, first: int, beyond: int) -> list[Rows]:
        """Return the rows of each of the global steps [first, beyond), which costs less than one step after the other."""
        if first < 0:
            raise ValueError(f"step ({first}) must not be negative")
        found: list[Rows] = []
        while first < beyond:
            epoch, within = self.position(first)
            steps = min(beyond - first, self.steps_per_epoch - within)
            places = np.arange(within * self.batch, min((within + steps) * self.batch, self.rows), dtype=np.int64)
            if self.rows <= self.chunk * self.window:
                rows = self._shuffled(places, self.rows, self.seed, epoch)
            else:  # windows of whole groups; what is left over beside them comes last
                whole = self.rows - self.rows % self.together
                rows = np.append(self._windowed(places[places < whole], whole, epoch), places[places >= whole])
            found += np.split(rows, np.arange(self.batch, len(rows), self.batch))
            first += steps
        return found

    def _windowed(self, places: Rows, total: int, epoch: int) -> Rows:
        """Return the rows at some places of an epoch of so many rows, all of them in whole groups, in several windows."""
        chunks = -(-total // self.chunk)
        missing = chunks * self.chunk - total  # rows that the last chunk lacks
        short = int(unpermute(np.array([chunks - 1]), chunks, self.seed, epoch)[0])  # where that one stands among the shuffled chunks
        size = self.chunk * self.window
        rows = np.empty_like(places)
        before = min((short // self.window + 1) * size, chunks * self.chunk) - missing  # places up to the end of its window
        windows = np.where(places < before, places, places + missing) // size
        for window in np.unique(windows).tolist():
            here = windows == window
            start = window * size - (missing if window > short // self.window else 0)
            stop = min((window + 1) * size, chunks * self.chunk) - (missing if window >= short // self.window else 0)
            inside = self._shuffled(places[here] - start, stop - start, _mix_int(self.seed ^ _mix_int(window)), epoch)
            if window == short // self.window:  # places behind the short chunk are as many further as it lacks
                inside = np.where(inside < (short % self.window + 1) * self.chunk - missing, inside, inside + missing)
            chunk, row = np.divmod(inside, self.chunk)
            shuffled = np.arange(window * self.window, min((window + 1) * self.window, chunks), dtype=np.int64)
            rows[here] = permute(shuffled, chunks, self.seed, epoch)[chunk] * self.chunk + row
        return rows

    def _shuffled(self, places: Rows, size: int, seed: int, epoch: int) -> Rows:
        """Shuffle places 0 .. size-1, groups of neighbours as one; what is left over beside whole groups comes last."""
        if self.together == 1:
            return permute(places, size, seed, epoch)
        groups = size // self.together
        whole = places < groups * self.together
        found = places.copy()
        group, within = np.divmod(places[whole], self.together)
        if groups:
            found[whole] = permute(group, groups, seed, epoch) * self.together + within
        return found


def dealt(weights: NDArray[np.int64], rank: int, world: int) -> Rows:
    """Return the places of the rows that worker `rank` of `world` computes, ascending; maybe none of a short batch.

    Every place is dealt to one worker. The heaviest rows go round the workers, the next ones back, and so on, so that all get as many rows
    as each other, or one more, and about the same weight: a step lasts as long as its slowest worker.

    Args:
        weights: about what each row of a global batch costs, `[rows]`; equal ones keep their order.
        rank: the worker.
        world: number of workers.

    Raises:
        ValueError: there is no such worker.
    """
    if not 0 <= rank < world:
        raise ValueError(f"rank ({rank}) must be one of 0 to {world - 1}")
    round_, seat = np.divmod(np.arange(len(weights)), world)
    taker = np.where(round_ % 2 == 0, seat, world - 1 - seat)
    return np.sort(np.argsort(-weights, kind="stable")[taker == rank])


def permute(places: Rows, size: int, seed: int, epoch: int) -> Rows:
    """Map places 0 .. size-1 one-to-one onto 0 .. size-1, differently for each (seed, epoch)."""
    return _walk(places, size, seed, epoch, _feistel)


def unpermute(rows: Rows, size: int, seed: int, epoch: int) -> Rows:
    """Return the places that `permute` maps onto some rows."""
    return _walk(rows, size, seed, epoch, _unfeistel)


def _walk(places: Rows, size: int, seed: int, epoch: int, network: Callable[[Words, int, list[np.uint64]], Words]) -> Rows:
    half_bits = max(1, (max(size - 1, 1).bit_length() + 1) // 2)
    keys = [np.uint64(_mix_int(_mix_int(_mix_int(seed) ^ epoch) + number)) for number in range(_ROUNDS)]
    values = network(places.astype(np.uint64), half_bits, keys)
    outside = np.flatnonzero(values >= size)
    while len(outside):  # the domain is below 4 * size, so that at least every fourth value lands inside
        values[outside] = network(values[outside], half_bits, keys)
        outside = outside[values[outside] >= size]
    return values.astype(np.int64)


def draws(row_ids: Rows, seed: int, epoch: int, purpose: str) -> NDArray[np.float64]:
    """Return one number in [0, 1) per row, a pure function of (seed, epoch, row, purpose); different purposes are independent."""
    key = _mix_int(_mix_int(seed) ^ epoch)
    for letter in purpose.encode():
        key = _mix_int(key ^ letter)
    mixed = _mix(_mix(row_ids.astype(np.uint64) ^ np.uint64(key)) + np.uint64(key))
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def checksum(row_ids: Rows) -> int:
    """Return a number of 40 bits that tells sets of rows apart; sums of it, over workers or steps, do so modulo 2**40."""
    return int((_mix(_mix(row_ids.astype(np.uint64)) + np.uint64(1)) & np.uint64(CHECKSUM - 1)).sum()) % CHECKSUM


def _feistel(values: Words, half_bits: int, keys: list[np.uint64]) -> Words:
    shift, mask = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = values >> shift, values & mask
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << shift) | right


def _unfeistel(values: Words, half_bits: int, keys: list[np.uint64]) -> Words:
    shift, mask = np.uint64(half_bits), np.uint64((1 << half_bits) - 1)
    left, right = values >> shift, values & mask
    for key in reversed(keys):
        left, right = right ^ (_mix(left ^ key) & mask), left
    return (left << shift) | right


def _mix(values: Words) -> Words:
    """SplitMix64's finaliser; arithmetic modulo 2**64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _mix_int(value: int) -> int:
    """Return SplitMix64's next output after the state `value`, for keys."""
    value = (value + 0x9E3779B97F4A7C15) & _WORD
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _WORD
    return value ^ (value >> 31)
