import numpy as np
import pytest

from raykg.data.steps import StepTable, mix, step_table
from raykg.kg.errors import UnknownRelation
from tests.data.random_graphs import random_graph, walked


@pytest.mark.parametrize("seed", range(5))
def test_groups_and_edges_are_those_of_the_graph(tmp_path, seed):
    graph = random_graph(tmp_path, seed)
    table = StepTable(graph)
    nodes, steps = (axis.ravel() for axis in np.meshgrid(np.arange(graph.num_entities), np.arange(table.num_steps), indexing="ij"))
    group = table.find(nodes, steps)
    owner, neighbour = table.expand(group[group >= 0])
    pairs = np.flatnonzero(group >= 0)
    for place in range(len(nodes)):
        found = set(neighbour[pairs[owner] == place].tolist())
        assert found == walked(graph, int(nodes[place]), [int(steps[place])], away=False)


def test_a_nodes_groups_are_its_steps(films, film_steps):
    film = films.node("f1")
    _, group = film_steps.groups_of(np.array([film]))
    assert {film_steps.hop(int(step)).relation for step in film_steps.step[group]} == {
        "directed by", "starred actors", "has genre", "in language", "release year", "runtime"
    }  # fmt: skip


def test_sources_are_sorted_and_turn_with_the_step(films, film_steps):
    step = film_steps.number("directed by", forward=True)
    assert films.keys(film_steps.sources(step)) == [f"f{number}" for number in range(1, 9)]
    assert set(films.keys(film_steps.sources(step ^ 1))) == {
        "ridley_scott",
        "james_cameron",
        "michael_mann",
        "dick_richards",
        "jean_pierre_jeunet",
    }
    assert np.all(np.diff(film_steps.sources(step)) > 0)


def test_unknown_nodes_and_steps_have_no_group(film_steps):
    assert film_steps.find(np.array([-1, 0]), np.array([0, -1])).tolist() == [-1, -1]


def test_an_unknown_relation_is_refused(film_steps):
    with pytest.raises(UnknownRelation, match="directed by"):
        film_steps.number("directed bye", forward=True)


def test_a_triple_has_one_hash_from_both_ends(film_steps):
    there = film_steps.triple_hashes(np.array([3]), np.array([4]), np.array([9]))
    back = film_steps.triple_hashes(np.array([9]), np.array([5]), np.array([3]))
    other = film_steps.triple_hashes(np.array([9]), np.array([4]), np.array([3]))
    assert there == back != other


def test_pick_takes_the_neighbour_that_the_number_says(films, film_steps):
    group = film_steps.find(np.array([films.node("f1")] * 3), np.array([film_steps.number("starred actors", True)] * 3))
    everyone = film_steps.expand(group[:1])[1]
    assert film_steps.pick(group, np.array([0.0, 0.5, 0.999])).tolist() == everyone.tolist()


def test_a_process_opens_a_version_once(films):
    assert step_table(str(films.root), films.version) is step_table(str(films.root), films.version)


def test_mix_spreads_neighbours_apart():
    assert len(np.unique(mix(np.arange(1000, dtype=np.uint64)) >> np.uint64(52))) > 800
