import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from raykg.models import shelf as shelf_module
from raykg.models.adapters import Announced
from raykg.models.lora import LoraError
from raykg.models.shelf import Shelf


class Model:
    """Takes note of what is added and removed, and that nobody runs it meanwhile."""

    def __init__(self):
        self.names, self.lock, self.changes = set(), threading.Lock(), 0

    def add(self, name, _):
        assert self.lock.locked() and name not in self.names
        self.names.add(name)
        self.changes += 1

    def remove(self, name):
        assert self.lock.locked()
        self.names.remove(name)


@pytest.fixture
def read(monkeypatch):
    """The names of what was read; "bad" cannot be."""
    names = []

    def read_adapter(said):
        if said.weights == "bad":
            raise LoraError("adapter bad: has changed")
        time.sleep(0.001)
        names.append(said.weights)

    monkeypatch.setattr(shelf_module, "read_adapter", read_adapter)
    return names


def made(most):
    model = Model()
    return model, Shelf(model, most, model.lock)


def said(name):
    return Announced(Path(name), name, "c" * 64)


def used(shelf, *names):
    for name in names:
        shelf.take(said(name))
        if shelf.give_back(said(name)):
            shelf.trim()


def there(shelf):
    return [name.partition("-")[0] for name in shelf.names]


def test_the_least_recently_used_leaves(read):
    model, shelf = made(2)
    used(shelf, "a", "b", "a", "c")
    assert there(shelf) == ["a", "c"] and read == ["a", "b", "c"] and shelf.full
    used(shelf, "a", "b")
    assert there(shelf) == ["a", "b"] and read[-1] == "b" and shelf.loads == 4
    assert {name.partition("-")[0] for name in model.names} == {"a", "b"}


def test_one_in_use_is_never_dropped(read):
    model, shelf = made(1)
    shelf.take(said("a"))
    shelf.take(said("a"))
    used(shelf, "b")
    assert "a" in there(shelf), "b was given back, and only b could leave"
    assert not shelf.give_back(said("a"))
    used(shelf, "b")
    assert there(shelf) == ["a"]
    assert not shelf.give_back(said("a"))
    used(shelf, "b")
    assert there(shelf) == ["b"] and len(model.names) == 1


def test_more_than_there_is_room_for_stay_while_all_are_used(read):
    _, shelf = made(1)
    for name in "abc":
        shelf.take(said(name))
    assert there(shelf) == ["a", "b", "c"]
    assert shelf.give_back(said("b"))
    shelf.trim()
    assert there(shelf) == ["a", "c"]


def test_what_cannot_be_read_changes_nothing(read):
    model, shelf = made(1)
    used(shelf, "a")
    with pytest.raises(LoraError, match="has changed"):
        shelf.take(said("bad"))
    assert there(shelf) == ["a"] and not shelf.taken(said("bad")) and model.changes == 1


def test_many_threads_take_and_give_back(read):
    model, shelf = made(3)

    def work(seed):
        rng = Random(seed)
        for _ in range(30):
            one = said(rng.choice("abcdef"))
            shelf.take(one)
            for _ in range(3):
                assert one.name in model.names
                time.sleep(0)
            if shelf.give_back(one):
                shelf.trim()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    shelf.trim()
    assert len(shelf.names) == 3 == len(model.names) and shelf.loads < 8 * 30


def test_what_many_ask_for_at_once_is_loaded_once(read):
    _, shelf = made(2)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: shelf.take(said("a")), range(8)))
    assert read == ["a"]
