import copy
import json
from random import Random

import pytest

from raykg.kg.build import from_triples
from raykg.kg.logical_form import (
    Budget,
    Count,
    Entity,
    Hop,
    LogicalFormError,
    Proof,
    ProofError,
    bind,
    entities,
    execute,
    fault,
    is_monotone,
    parse,
    path,
    proof,
    prove,
    verify,
    with_entities,
    write,
)
from tests.blocks import blocks
from tests.graphs import film_graph
from tests.kg.logical_form.reference import Reference, random_graph

JUNK = [None, True, -1, 0, 1, 10**30, 1.5, float("nan"), "", "x", "a > b", [], {}, [[]], [None], {"node": 0}, "\ud800", b"x", object()]


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return film_graph(tmp_path_factory.mktemp("films"))


def bound(text, graph):
    form = parse(text, graph)
    return bind(form, {entity.name: graph.find_node(entity.name) for entity in entities(form)})


def sealed(data):
    """Return changed proof data with the seal that fits, as a forger would write it."""
    try:
        return data | {"seal": Proof.from_dict(data).digest()}
    except LogicalFormError:
        return data


def true(data, reference):
    """Judge proof data without `verify`: the triples are facts, and the plan gives the answers, over these facts alone if monotone."""
    form = parse(data["plan"])
    form = with_entities(form, [Entity(one.name, term["node"]) for one, term in zip(entities(form), data["entities"], strict=True)])
    listed = {(one["head"]["node"], one["relation"]["name"], one["tail"]["node"]) for one in data["triples"]}
    answers = {one["node"] for one in data["answers"]}
    if not listed <= reference.triples or not answers <= reference.members(form.of if isinstance(form, Count) else form):
        return False
    if isinstance(form, Count):
        return data["count"] == reference.answer(form)
    return not is_monotone(form) or answers <= Reference(listed, reference.texts, reference.numbers).answer(form)


def proofs(folder, seed, forms):
    """Yield (graph, reference, form, its answers, a proof of all) for random plans that have answers."""
    graph, reference, source = random_graph(folder / str(seed), seed)
    for number in range(forms):
        form = source.form(depth=2 + (number % 4 == 0))
        result = execute(form, graph)
        if not result.empty:
            yield graph, reference, form, result, prove(form, graph, result)


@blocks(4, 1)
def test_every_answer_has_a_proof_that_holds(tmp_path, block):
    proved = single = 0
    for seed in range(block * 4, block * 4 + 4):
        for graph, reference, form, result, made in proofs(tmp_path, seed, 50):
            proved += 1
            assert fault(made, graph) is None, write(form)
            data = json.loads(json.dumps(made.to_dict()))
            assert Proof.from_dict(data) == made
            assert verify(data, graph)
            assert true(data, reference)
            assert bool(data["claims"]) == (not is_monotone(form))
            assert made.count == result.count
            assert result.count is not None or [term.node for term in made.answers] == result.answers.tolist()
            for answer in result.answers[:3]:
                single += 1
                one = prove(form, graph, int(answer))
                assert fault(one, graph) is None
                assert {triple.id for triple in one.triples} <= {triple.id for triple in made.triples}
    assert proved >= 80
    assert single >= 100


def mutations(data, graph, rng):
    """Yield (what, changed data): one change each, that keeps the form of a proof."""

    def changed(edit):
        fresh = copy.deepcopy(data)
        edit(fresh)
        return fresh

    def term(node):
        return {"node": node, "key": graph.key(node), "datatype": graph.entities["datatype"][node].as_py()}

    def triple(row):
        head, relation, tail = graph.triple(row)
        name = {"id": relation, "key": graph.relations["key"][relation].as_py(), "name": graph.relation_names[relation]}
        return {"id": row, "head": term(head), "relation": name, "tail": term(tail)}

    other, row = rng.randrange(graph.num_entities), rng.randrange(graph.num_triples)
    yield "version", changed(lambda d: d.update(version="0" * 16))
    for field in ("answers", "entities"):
        if data[field]:
            place = rng.randrange(len(data[field]))
            yield field, changed(lambda d, field=field, place=place: d[field].__setitem__(place, term(other)))
            yield "key", changed(lambda d, field=field, place=place: d[field][place].update(key="else"))
            yield "key", changed(lambda d, field=field, place=place: d[field][place].update(datatype="else"))
            yield "double", changed(lambda d, field=field, place=place: d[field].append(d[field][place]))
    if data["triples"]:
        place = rng.randrange(len(data["triples"]))
        yield "triples", changed(lambda d: d["triples"].pop(place))
        yield "triples", changed(lambda d: (d["triples"].__setitem__(place, triple(row)), d["triples"].sort(key=lambda t: t["id"])))
        yield "key", changed(lambda d: d["triples"][place].update(head=term(other)))
        yield "key", changed(lambda d: d["triples"][place]["tail"].update(key="else"))
        yield "key", changed(lambda d: d["triples"][place]["relation"].update(name="else"))
        yield "key", changed(lambda d: d["triples"][place].update(id=row))
    yield "triples", changed(lambda d: (d["triples"].append(triple(row)), d["triples"].sort(key=lambda t: t["id"])))
    yield "triples", changed(lambda d: d.update(triples=[]))
    yield "count", changed(lambda d: d.update(count=(d["count"] or 0) + 1))
    yield "count", changed(lambda d: d.update(count=None if d["count"] is not None else 0))
    if data["claims"]:
        yield "claims", changed(lambda d: d["claims"].pop())
        yield "claims", changed(lambda d: d["claims"][0].update(nodes=d["claims"][0]["nodes"] + 1))
        yield "claims", changed(lambda d: d["claims"][0].update(best=17.0))
    yield "claims", changed(lambda d: d["claims"].append({"kind": "count", "plan": "x", "nodes": 0, "best": None}))
    swaps = [(" > ", " < "), (" & ", " | "), (" = ", " != "), ("[max ", "[min "), (" >= ", " < "), (" <= ", " > ")]
    signs = [*swaps, *((new, old) for old, new in swaps), ("~", ""), (" - ", " & "), ("r one", "loops"), ("1]", "2]")]
    for old, new in signs:
        if old in data["plan"]:
            yield "plan", changed(lambda d, old=old, new=new: d.update(plan=d["plan"].replace(old, new, 1)))


@blocks(4, 1)
def test_no_changed_proof_is_accepted_unless_it_is_true(tmp_path, block):
    """Any change breaks the seal; sealed anew, only what is true gets through, never a wrong key, version or claim."""
    rng = Random(block)
    tried, forged, still_true = 0, 0, 0
    for seed in range(block * 2, block * 2 + 2):
        for graph, reference, _, _, made in proofs(tmp_path, seed, 40):
            data = made.to_dict()
            for what, changed in mutations(data, graph, rng):
                if changed == data:
                    continue
                tried += 1
                assert not verify(changed, graph), what
                forgery = sealed(changed)
                reason = fault(forgery, graph)
                if reason is None:
                    forged += 1
                    assert what not in ("version", "key", "double", "count", "claims"), (what, forgery["plan"])
                    assert true(forgery, reference), (what, forgery["plan"])
                still_true += reason is None
    assert tried >= 700
    assert still_true <= tried // 10


def test_no_malformed_proof_raises(tmp_path):
    rng = Random(3)
    for graph, _, _, _, made in proofs(tmp_path, 5, 25):
        for _ in range(60):
            data = made.to_dict()
            place = data
            while True:
                key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
                if not isinstance(place[key], dict | list) or not place[key] or rng.random() < 0.3:
                    break
                place = place[key]
            before = copy.deepcopy(place[key])
            roll = rng.random()
            if roll < 0.7:
                place[key] = rng.choice(JUNK)
            elif isinstance(place, dict) and roll < 0.8:
                place["further"] = 1
            else:
                del place[key]
            unchanged = key in place if isinstance(place, dict) else key < len(place)
            if unchanged and type(place[key]) is type(before) and place[key] == before and "further" not in place:
                continue
            assert not verify(data, graph)
            assert isinstance(fault(sealed(data), graph), str | None)
    for junk in [*JUNK, (), {"format": 1}]:
        assert not verify(junk, graph)
        assert not verify(Proof(junk, junk, junk, junk, junk, junk, junk, junk), graph)


def test_a_stranger_checks_a_path_with_the_lines_of_the_docstring(films):
    lines = proof.__doc__.split("with `proof` the dictionary:\n")[1].split("\n\nMore triples")[0]
    lines = lines.replace('("in language", True)', '("starred actors", True)')
    code = "\n".join(line[4:] for line in lines.splitlines())
    form = bound("ridley_scott < directed by > starred actors", films)
    data = prove(form, films).to_dict()
    assert len(data["answers"]) == 5
    exec(code, {"proof": data})
    data["triples"].pop()
    with pytest.raises(AssertionError):
        exec(code, {"proof": data})


def test_a_proof_is_one_way_through_the_lowest_triple_ids(films):
    form = bound("science_fiction < has genre > directed by", films)
    ridley = films.node("ridley_scott")
    made = prove(form, films, ridley)
    assert [(triple.head.key, triple.relation.name, triple.tail.key) for triple in made.triples] == [
        ("f1", "directed by", "ridley_scott"),
        ("f1", "has genre", "science_fiction"),
    ]  # not by way of f3, which would do as well
    assert prove(form, films, [ridley]) == made


def test_claims_say_what_was_left_out(films):
    form = bound("~(f1 | f2) > starred actors < starred actors [max release year] - michael_biehn < starred actors", films)
    assert [(claim.kind, claim.plan, claim.nodes, claim.best) for claim in prove(form, films).claims] == [
        ("away", "f1 | f2", 2, None),
        ("max", "~(f1 | f2) > starred actors < starred actors [max release year]", 1, 1997.0),
        ("exclusion", "michael_biehn < starred actors", 2, None),
    ]
    count = prove(bound("count(english < in language)", films), films)
    assert [(claim.kind, claim.plan, claim.nodes) for claim in count.claims] == [("count", "english < in language", 7)]


def test_a_count_of_nothing_is_proved(films):
    made = prove(bound("count(michael_mann < directed by [release year < 1900])", films), films)
    assert (made.count, made.answers, made.triples) == (0, (), ())
    assert verify(made, films)


def test_the_size_of_a_proof_is_bounded(films):
    form = bound("count(english < in language > starred actors)", films)
    made = prove(form, films, limit=2)
    assert (len(made.answers), made.count) == (2, 10)
    assert len(made.triples) <= 4
    assert verify(made, films)


def test_relations_by_their_keys_are_proved_by_their_names(films):
    made = prove(path(Entity("f1", films.node("f1")), Hop("directed_by")), films)
    assert made.plan == "f1 > directed by"
    assert verify(made, films)


def test_what_cannot_be_proved(films):
    form = bound("f1 > directed by", films)
    with pytest.raises(ProofError, match=r"answer \d+: is no answer of the plan 'f1 > directed by' in version"):
        prove(form, films, films.node("f2"))
    with pytest.raises(ProofError, match="has no answers in version .*, so there is nothing to prove"):
        prove(bound("f1 < directed by", films), films)
    with pytest.raises(ProofError, match="format: expected a proof of format 1"):
        Proof.from_dict({"format": 2})
    data = prove(form, films).to_dict()
    with pytest.raises(ProofError, match=r"proof.triples\[0\].id: expected int, found str"):
        Proof.from_dict(data | {"triples": [data["triples"][0] | {"id": "1"}]})
    with pytest.raises(ProofError, match=r"proof: expected the keys version, plan"):
        Proof.from_dict(data | {"more": 1})
    with pytest.raises(ProofError, match=r"proof.answers: expected a list"):
        Proof.from_dict(data | {"answers": {}})


def test_the_reason_is_told(films, tmp_path):
    data = prove(bound("count(f1 > directed by)", films), films).to_dict()
    assert fault(data | {"count": 2}, films) == "seal: the proof was changed after it was made"
    assert fault(sealed(data | {"count": 2}), films) == "count 2: the plan counts 1"
    assert fault(sealed(data | {"plan": "count(f1 > directed_by)"}), films).startswith("plan 'count(f1 > directed_by)': is not written")
    assert "budget.triples (0)" in fault(data, films, Budget(triples=0))
    other = from_triples(tmp_path, [("f1", "directed_by", "x")])
    assert fault(data, other) == f"version {films.version!r}: the graph is {other.version!r}"
