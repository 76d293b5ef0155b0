"""Where the time of an answer goes: strategies name their phases, and whoever hosts them may watch.

    with phase("execute"):                  # in a strategy; costs well under a microsecond while nobody watches
        result = execute(form, graph)

    with watched(lambda name: timer(name)): # in the service, where a request is traced
        strategy.answer(questions)

A watch belongs to the thread, or the task, that sets it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

Watch = Callable[[str], AbstractContextManager[object]]

_UNWATCHED = nullcontext()
_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


def phase(name: str) -> AbstractContextManager[object]:
    """Return what a phase of an answer runs within: generate, link, execute, prove, retrieve or propose."""
    watch = _watch.get()
    return _UNWATCHED if watch is None else watch(name)


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Have every phase of the block run within what `watch` makes of its name."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)
