"""A hand-written film graph that tests of every room share: small enough to check by eye, with the traps that real graphs have."""

from pathlib import Path

from raykg.kg.build import from_triples
from raykg.kg.graph import KnowledgeGraph

_FILMS = {
    # key: title, year, runtime, directors, actors, genres, language
    "f1": (
        "Alien",
        "1979",
        "117",
        ["ridley_scott"],
        ["sigourney_weaver", "john_hurt", "yaphet_kotto"],
        ["horror", "science_fiction"],
        "english",
    ),
    "f2": ("Aliens", "1986", "137", ["james_cameron"], ["sigourney_weaver", "michael_biehn"], ["science_fiction", "action"], "english"),
    "f3": ("Blade Runner", "1982", "117", ["ridley_scott"], ["harrison_ford", "rutger_hauer"], ["science_fiction"], "english"),
    "f4": ("Heat", "1995", "170", ["michael_mann"], ["al_pacino", "robert_de_niro"], ["action", "drama"], "english"),
    "f5": ("Heat", "1986", "101", ["dick_richards"], ["burt_reynolds"], ["action"], "english"),  # shares its title
    "f6": ("Amélie", "2001", "122", ["jean_pierre_jeunet"], ["audrey_tautou"], ["romance"], "french"),
    "f7": ("Alien Resurrection", "1997", "109", ["jean_pierre_jeunet"], ["sigourney_weaver"], ["horror", "science_fiction"], "english"),
    "f8": ("The Terminator", "1984", "107", ["james_cameron"], ["michael_biehn", "arnold"], ["science_fiction", "action"], "english"),
}
_NAMES = {
    "ridley_scott": "Ridley Scott",
    "sigourney_weaver": "Sigourney Weaver",
    "john_hurt": "John Hurt",
    "yaphet_kotto": "Yaphet Kotto",
    "james_cameron": "James Cameron",
    "michael_biehn": "Michael Biehn",
    "harrison_ford": "Harrison Ford",
    "rutger_hauer": "Rutger Hauer",
    "michael_mann": "Michael Mann",
    "al_pacino": "Al Pacino",
    "robert_de_niro": "Robert De Niro",
    "dick_richards": "Dick Richards",
    "burt_reynolds": "Burt Reynolds",
    "jean_pierre_jeunet": "Jean-Pierre Jeunet",
    "audrey_tautou": "Audrey Tautou",
    "arnold": "Arnold Schwarzenegger",
    "science_fiction": "science fiction",
}
_ALIASES = {
    "f1": ["Alien - Das unheimliche Wesen"],
    "f8": ["Terminator"],
    "arnold": ["Arnie", "Arnold S."],
    "f6": ["Le Fabuleux Destin d'Amélie Poulain"],
}


def film_triples() -> list[tuple[str, str, str]]:
    """Return the film graph's triples as keys; year and runtime are literals."""
    triples = [("james_cameron", "influenced_by", "james_cameron")]  # a self loop
    for key, (_, year, runtime, directors, actors, genres, language) in _FILMS.items():
        triples += [(key, "directed_by", person) for person in directors]
        triples += [(key, "starred_actors", person) for person in actors]
        triples += [(key, "has_genre", genre) for genre in genres]
        triples += [(key, "in_language", language), (key, "release_year", year), (key, "runtime", runtime)]  # english is a hub
    return triples


def film_graph(folder: Path) -> KnowledgeGraph:
    """Build the film graph in a store at `folder`: two films called Heat, a self loop, a hub, typed literals, aliases, types."""
    people = {key: "person" for film in _FILMS.values() for key in (*film[3], *film[4])}
    return from_triples(
        folder,
        film_triples(),
        literals={"release_year": "integer", "runtime": "integer"},
        labels={key: film[0] for key, film in _FILMS.items()} | _NAMES,
        aliases=_ALIASES,
        types=dict.fromkeys(_FILMS, "film") | people,
        provenance="tests/graphs.py",
    )
