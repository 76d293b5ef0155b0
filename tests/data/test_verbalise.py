import numpy as np

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
