import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from raykg.data.verbalise import verbalise


def test_one_line_for_each_triple(films):
    ids = films.find_triples([films.node("f1")] * 2, [films.relation("directed by"), films.relation("runtime")],
                             [films.node("ridley_scott"), films.node("117", "integer")])  # fmt: skip
    assert verbalise(films, ids, merge=False).texts == ["Alien directed by Ridley Scott", "Alien runtime 117"]


def test_tails_of_one_head_and_relation_share_a_line(films):
    ids = np.flatnonzero(films.heads == films.node("f1"))
    lines = verbalise(films, ids[::-1])
    assert "Alien has genre science fiction, horror" in lines.texts or "Alien has genre horror, science fiction" in lines.texts
    assert sorted(lines.triple_ids.tolist()) == sorted(ids.tolist())
    for number, text in enumerate(lines.texts):
        for triple in lines.triples_of(number):
            head, relation, tail = films.triple(int(triple))
            assert text.startswith(f"{films.label(head)} {films.relation_names[relation]} ")
            assert films.label(tail) in text


def test_lines_stand_in_the_order_of_their_first_triples_and_are_bounded(films):
    ids = np.arange(films.num_triples)
    lines = verbalise(films, ids, most=1)
    assert lines.triple_ids.tolist() == ids.tolist()
    assert len(lines.texts) == len(ids)
    assert verbalise(films, ids[:0]).texts == []


def test_films_of_one_name_keep_their_own_lines(films):
    mann, richards = (films.find_triple(films.node(film), films.relation("directed by"), films.node(person))
                      for film, person in (("f4", "michael_mann"), ("f5", "dick_richards")))  # fmt: skip
    assert verbalise(films, np.array([richards, mann])).texts == ["Heat directed by Dick Richards", "Heat directed by Michael Mann"]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_every_triple_is_said_once_by_the_line_that_claims_it(films, data):
    ids = data.draw(st.lists(st.integers(0, films.num_triples - 1), unique=True, max_size=30))
    merge, most = data.draw(st.booleans()), data.draw(st.integers(1, 4))
    lines = verbalise(films, np.array(ids, dtype=np.int64), merge=merge, most=most)
    assert sorted(lines.triple_ids.tolist()) == sorted(ids)
    assert len(lines.texts) == len(lines.offsets) - 1
    groups = [films.triple(triple)[:2] for triple in ids]
    begun = []
    for line, text in enumerate(lines.texts):
        behind = [films.triple(int(triple)) for triple in lines.triples_of(line)]
        head, relation, _ = behind[0]
        assert len({(one, other) for one, other, _ in behind}) == 1
        assert text == f"{films.label(head)} {films.relation_names[relation]} {', '.join(films.label(tail) for _, _, tail in behind)}"
        places = [ids.index(triple) for triple in lines.triples_of(line)]
        assert places == sorted(places), "tails in the order given"
        begun.append(groups.index((head, relation)) if merge else places[0])
    assert begun == sorted(begun), "lines in the order of their first triples"
    assert len(lines.texts) == (sum(-(-groups.count(group) // most) for group in set(groups)) if merge else len(ids))
