import re
import sqlite3
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from raykg.kg.builtin import movies
from raykg.kg.errors import KgError
from raykg.kg.wheel import WheelError, default_cache, fetch_wheel_file

COLUMNS = ("ID", "imdbID", "Title", "Year", "Runtime", "Cast", "Director", "Writer", "Genre", "Language", "Country")
ROWS = [
    (1, "tt1", "Heat", 1995, 170.0, "Al Pacino, Max Baer, Jr., Robert De Niro", "Michael Mann", None, "Drama", "English", "United States"),
    (2, "tt2", "HEAT", 1986, 101.0, "Burt Reynolds, Hugh Graham, 1st Baron Atholstan", "Dick Richards", "", "Drama, Action", "English", ""),
    (
        3,
        "tt3",
        "Drama",
        2012,
        None,
        "Earth, Wind & Fire, Frankie Howerd, art director",
        "",
        "Tim Bentinck, 12th Earl of Portland",
        "",
        None,
        "N/A",
    ),
    (4, "tt4", "Twin", 2000, 90.0, "Ann, III, Jr.", "A One", "N/A", "Drama", "English", "Italy"),
    (5, "tt5", "Twin", 2000, 91.0, "", "B Two", "Meghan, Duchess of Sussex", "Drama", "English", "Italy"),
    (6, "tt6", "Twin", 2000, 92.0, "list of cats", "B Two", "", "Drama", "English", "Italy"),
    (7, "tt1", "Heat (1995)", 2001, 180.0, "Jr., Al Pacino", "Michael Mann", "", "Drama", "English", "United States"),
]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    table = pa.table({name: list(values) for name, values in zip(COLUMNS, zip(*ROWS, strict=True), strict=True)})
    return movies.build_from_films(tmp_path_factory.mktemp("movies"), table)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    try:
        return movies.build(tmp_path_factory.mktemp("movies"))
    except WheelError as error:
        pytest.skip(f"the movies wheel cannot be had here: {error}")


def tails(graph, film: str, relation: str) -> set[str]:
    return set(graph.labels(graph.forward.hop([graph.node(film)], graph.relation(relation)).neighbour))


def test_suffixes_titles_and_torn_names_are_given_back_to_their_person(small):
    assert tails(small, "tt1", "starred actors") == {"Al Pacino", "Max Baer, Jr.", "Robert De Niro"}
    assert tails(small, "tt2", "starred actors") == {"Burt Reynolds", "Hugh Graham, 1st Baron Atholstan"}
    assert tails(small, "tt3", "starred actors") == {"Earth, Wind & Fire", "Frankie Howerd"}
    assert tails(small, "tt4", "starred actors") == {"Ann, III, Jr."}
    assert tails(small, "tt3", "written by") == {"Tim Bentinck, 12th Earl of Portland"}
    assert tails(small, "tt5", "written by") == {"Meghan, Duchess of Sussex"}
    assert small.entities["aliases"][small.node("person/Max Baer, Jr.")].as_py() == ["Max Baer Jr."]


def test_a_list_that_begins_with_a_suffix_keeps_it_rather_than_taking_another_films_actor(small):
    assert tails(small, "tt1#7", "starred actors") == {"Jr.", "Al Pacino"}  # nothing before it to belong to; the real data has none


def test_empty_values_and_pieces_that_are_no_people_are_skipped_and_counted(small):
    skipped = small.manifest.about["skipped"]
    assert skipped == {
        "Cast: empty": 1, "Cast: not a person": 2, "Country: empty": 2, "Director: empty": 1,
        "Genre: empty": 1, "Language: empty": 1, "Runtime: empty": 1, "Writer: empty": 5,
    }  # fmt: skip
    assert tails(small, "tt6", "starred actors") == set()


def test_films_that_share_a_title_get_distinct_labels_and_keep_it_as_alias(small):
    labels = {key: small.label(small.node(key)) for key in ("tt1", "tt2", "tt3", "tt4", "tt5", "tt6", "tt1#7")}
    assert labels == {
        "tt1": "Heat (1995, Michael Mann)",  # "Heat (1995)" is another film's title
        "tt2": "HEAT (1986)",
        "tt3": "Drama",
        "tt4": "Twin (2000, A One)",
        "tt5": "Twin (2000, tt5)",
        "tt6": "Twin (2000, tt6)",
        "tt1#7": "Heat (1995) (2001, Michael Mann)",
    }
    assert small.entities["aliases"][small.node("tt2")].as_py() == ["HEAT"]
    assert small.entities["aliases"][small.node("tt3")].as_py() == []


def test_a_doubled_id_is_two_films_and_counted(small):
    assert small.manifest.about["doubled_ids"] == ["tt1"]
    assert tails(small, "tt1#7", "release year") == {"2001"}
    assert tails(small, "tt1", "release year") == {"1995"}


def test_one_name_may_be_a_film_and_a_genre(small):
    film, genre = small.node("tt3"), small.node("genre/Drama")
    assert film != genre
    assert small.label(film) == small.label(genre) == "Drama"
    assert small.entities["type"].take([film, genre]).to_pylist() == ["film", "genre"]


def test_year_and_runtime_are_typed_and_every_triple_says_where_it_is_from(small):
    assert small.values[small.node("1995", "integer")] == 1995
    assert small.values[small.node("170", "integer")] == 170
    assert all(
        re.fullmatch(r"bokeh-sampledata==2026\.1 movies\.db omdb row [1-7]", text) for text in small.provenance(range(small.num_triples))
    )
    assert small.manifest.about["licence"] == "CC0-1.0"
    assert small.relation_names == sorted(small.relation_names, key=small.relation)  # names are unique and known
    assert set(small.relation_names) == {label for label, _ in movies._RELATIONS.values()}


def test_a_database_of_something_else_is_refused(tmp_path):
    path = tmp_path / "movies.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE omdb (ID INTEGER)")
    with pytest.raises(KgError, match=r"not the film database .*imdbID"):
        movies._read(path)
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE omdb")
        database.execute(f"CREATE TABLE omdb ({', '.join(f'[{column}]' for column in COLUMNS)})")
    with pytest.raises(KgError, match=r"not the film database .*table omdb is empty"):
        movies._read(path)


def test_another_releases_file_is_refused(tmp_path):
    (tmp_path / "bokeh_sampledata" / "_data").mkdir(parents=True)
    (tmp_path / movies.FILE).write_bytes(b"newer")
    with pytest.raises(WheelError, match="sha256"):
        movies.build(tmp_path / "store", wheel=str(tmp_path))


def test_the_real_graph_has_the_films_people_and_triples_of_the_source(real):
    kinds = {entry["values"]: entry["counts"] for entry in real.entities["type"].value_counts().to_pylist()}
    assert kinds["film"] == 17_472
    assert kinds["genre"] == 21
    assert real.num_triples == 346_049  # 329,876 without runtime
    assert real.num_relations == 8
    assert real.manifest.about["rows"] == 17_472
    assert real.manifest.about["doubled_ids"] == ["tt0078788", "tt0850669"]
    assert None not in real.provenance(range(0, real.num_triples, 97))


def test_no_real_entity_is_a_bare_suffix_or_a_role(real):
    keys = real.entities.filter(pc.equal(real.entities["type"], "person"))["label"].to_pylist()
    titles = r"\d+(st|nd|rd|th) .*|(Duke|Earl|Prince|Princess|Countess|Duchess) of .*|list of .*|.* director"
    bare = re.compile(rf"(Jr|Sr|II+|IV|VI*|M\.?D|Ph\.?D|Esq|Ltd|Inc)\.?|{titles}")
    assert [key for key in keys if bare.fullmatch(key)] == []
    assert {"Lou Salvador, Jr.", "Joaquin Garay, III", "Diana, Princess of Wales", "Earth, Wind & Fire", "Tyler, the Creator"} <= set(keys)


def test_mended_casts_stand_in_the_order_that_the_source_sorts_them_in(real):
    path = fetch_wheel_file(movies.WHEEL, movies.FILE, sha256=movies.SHA256, cache=default_cache())
    casts = movies._read(Path(path))["Cast"]
    split = pc.split_pattern(casts.combine_chunks(), ", ")
    rows = pc.list_parent_indices(split).to_numpy(zero_copy_only=False)
    pieces, whole = movies._mend(pc.list_flatten(split), rows)
    kept = np.flatnonzero(whole)
    texts, film = pieces.take(pa.array(kept)).to_pylist(), rows[kept]
    assert [(a, b) for a, b, same in zip(texts, texts[1:], film[1:] == film[:-1], strict=False) if same and b < a] == []


def test_no_two_real_films_share_a_label_and_shared_titles_are_aliases(real):
    films = real.entities.filter(pc.equal(real.entities["type"], "film"))
    labels = [label.casefold() for label in films["label"].to_pylist()]
    assert len(set(labels)) == len(labels)
    renamed = [aliases for aliases in films["aliases"].to_pylist() if aliases]
    assert len(renamed) >= 1_180
    assert real.label(real.node("tt0078788")) == "Apocalypse Now"


def test_building_again_gives_the_same_version(real, tmp_path):
    assert movies.build(tmp_path).version == real.version
