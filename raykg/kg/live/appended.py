"""Two arrays that read as one, without a copy of the first: a version's memory-mapped column and the few rows that edits add to it."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray


def appended(base: NDArray[Any], added: NDArray[Any]) -> NDArray[Any]:
    """Return `base` followed by `added`: the base itself where nothing is added, otherwise something that is read like an array.

    It has a length, a type and a shape, is read at an integer, a slice, integers or a mask, and becomes an array wherever NumPy or Arrow
    needs a whole one.
    """
    if not len(added):
        return base
    return cast("NDArray[Any]", _Appended(base, added))


class _Appended:
    def __init__(self, base: NDArray[Any], added: NDArray[Any]) -> None:
        self.base = base
        self.added = np.asarray(added, dtype=base.dtype)
        self.dtype = base.dtype
        self.shape = (len(base) + len(added),)
        self.ndim = 1

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: ANN401 - NumPy's protocol
        whole = np.concatenate([self.base, self.added])
        return whole if dtype is None else whole.astype(dtype, copy=False)

    def __getitem__(self, place: Any) -> Any:  # noqa: ANN401 - whatever an array is read at
        if isinstance(place, slice):
            return self._slice(place)
        where = np.asarray(place)
        if where.dtype == np.bool_:
            if where.shape != self.shape:
                raise IndexError(f"a mask of shape {where.shape} for an array of shape {self.shape}")
            return np.concatenate([self.base[where[: len(self.base)]], self.added[where[len(self.base) :]]])
        if not where.size and where.dtype == np.float64:  # an empty list
            where = where.astype(np.int64)
        outside = where[(where < -len(self)) | (where >= len(self))]
        if outside.size:
            raise IndexError(f"index {outside.flat[0]} is out of bounds for an array of {len(self)}")
        where = np.where(where < 0, where + len(self), where)
        late = where >= len(self.base)
        if not late.any():
            return self.base[where] if where.ndim else self.base[int(where)]
        if not where.ndim:
            return self.added[int(where) - len(self.base)]
        found = np.empty(where.shape, dtype=self.dtype)
        found[~late] = self.base[where[~late]]
        found[late] = self.added[where[late] - len(self.base)]
        return found

    def __invert__(self) -> NDArray[Any]:
        return ~np.asarray(self)

    def __eq__(self, other: object) -> Any:  # noqa: ANN401 - as of an array
        return np.asarray(self) == other

    __hash__ = None  # type: ignore[assignment]

    def sum(self) -> Any:  # noqa: ANN401 - as of an array
        """Return the sum of all values."""
        return self.base.sum() + self.added.sum()

    def tolist(self) -> list[Any]:
        """Return all values as a list."""
        return [*self.base.tolist(), *self.added.tolist()]

    def astype(self, dtype: Any, copy: bool = True) -> NDArray[Any]:  # noqa: ANN401, ARG002 - as of an array
        """Return all values as an array of another type."""
        return np.asarray(self).astype(dtype)

    def _slice(self, place: slice) -> NDArray[Any]:
        begin, end, step = place.indices(len(self))
        if step == 1 and end <= len(self.base):
            return self.base[begin:end]
        if step == 1 and begin >= len(self.base):
            return self.added[begin - len(self.base) : max(end - len(self.base), 0)]
        found: NDArray[Any] = self[np.arange(begin, end, step, dtype=np.int64)]
        return found
