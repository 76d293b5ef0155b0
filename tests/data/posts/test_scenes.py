from collections import defaultdict

import numpy as np
import pytest

from raykg.data.posts.scenes import FAMILIES, WAYS, Config, Scenes, draw

SMALL = Config(train=4, validation=2, test=3, none=5)


def test_each_task_brings_one_family_and_tests_are_cumulative():
    stream = Scenes(SMALL).stream(0)
    assert len(stream.tasks) == len(FAMILIES) and len(stream.types) == 16
    assert [len(task.train) for task in stream.tasks] == [4 * 4 + 5] * 4
    assert [len(task.test) for task in stream.tasks] == [15, 30, 45, 60]
    assert Scenes(SMALL).files() == []


def test_words_tell_the_family_and_nothing_of_how_things_stand():
    stream = Scenes(Config(train=40)).stream(1)
    ways, families = defaultdict(set), defaultdict(set)
    for post in stream.posts.to_pylist():
        kind, _, way = post["relation"].rpartition("/")
        head = post["tokens"][post["head"]["start"]]
        ways[head].add(way)
        families[head].add(kind)
    assert all(set(WAYS) <= found for found in ways.values())
    assert all(len(found - {""}) == 1 for found in families.values())


def test_a_seed_gives_the_same_scenes_and_another_one_others(tmp_path):
    one, other = Scenes(SMALL).stream(0), Scenes(SMALL).stream(0)
    assert one.posts.equals(other.posts) and not one.posts["tokens"].equals(Scenes(SMALL).stream(1).posts["tokens"])
    folders = [Scenes(SMALL).images(one, tmp_path / name, 0) for name in ("a", "b")]
    names = one.posts["image"].to_pylist()
    assert all((folders[0] / name).read_bytes() == (folders[1] / name).read_bytes() for name in names[:20])
    assert len({(folders[0] / name).read_bytes() for name in names}) == len(names)
    assert not any(word in name for name in names for word in ("inside", "animal"))  # file names tell nothing


def extent(way, seed):
    """Height and width of what is drawn on the background."""
    picture = np.asarray(draw(np.random.default_rng((seed, 5)), way, 0)).astype(np.int64)
    coded = (picture * [1 << 16, 1 << 8, 1]).sum(-1)
    colours, counts = np.unique(coded, return_counts=True)
    drawn = coded != colours[counts.argmax()]
    return [np.flatnonzero(drawn.any(axis)) for axis in (1, 0)]


@pytest.mark.parametrize("way", [*WAYS, "None"])
def test_how_things_stand_is_drawn(way):
    for seed in range(20):
        high, wide = (places.max() - places.min() for places in extent(way, seed))
        assert {"inside": high == wide, "above": high > wide + 15, "beside": wide > high + 15}.get(way, True)
        if way == "overlapping":
            assert 5 < wide - high < 20
        if way == "None":
            assert min(high, wide) > 100
