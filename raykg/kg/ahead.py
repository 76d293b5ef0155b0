"""One item ahead: what an iterator makes next is made in a thread while the caller works on what it made last.

    for piece in ahead(pieces):     # reading and parsing go on meanwhile
        store(piece)

It pays where both sides spend their time in NumPy, Arrow or the disk, which let other threads run.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

Item = TypeVar("Item")
_END = object()


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield what `items` yields, in its order, and hold one item more than the caller has; an error is raised in its item's place."""
    iterator = iter(items)
    try:
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="ahead") as thread:
            coming = thread.submit(next, iterator, _END)
            while (item := coming.result()) is not _END:
                coming = thread.submit(next, iterator, _END)
                yield item  # type: ignore[misc]
    finally:
        if isinstance(iterator, Generator):
            with suppress(ValueError):  # it is at work still: who interrupts twice does not wait for it
                iterator.close()  # of a caller who stops early: files are closed now
