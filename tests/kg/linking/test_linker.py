import pickle
import random
import re
import subprocess
import sys

import pyarrow as pa
import pyarrow.csv as pv
import pytest
from rapidfuzz import fuzz

from raykg.kg.build import GraphBuilder, from_triples
from raykg.kg.errors import KgError
from raykg.kg.linking import Linker, LinkingBudget
from tests.graphs import film_graph
from tests.shared_data import shared


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    return film_graph(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def linker(graph):
    return Linker(graph)


def found(linker, mention, **options):
    return [(linker.graph.key(c.node), c.how) for c in linker.link(mention, **options)]


@pytest.mark.parametrize(
    ("mention", "key", "how", "score"),
    [
        ("Alien", "f1", "exact", 1.0),
        ("Terminator", "f8", "alias", 0.97),
        ("alien", "f1", "folded", 0.95),
        ("arnie", "arnold", "folded", 0.92),
        ("AMELIE", "f6", "folded", 0.95),
        ("Jean Pierre Jeunet", "jean_pierre_jeunet", "folded", 0.95),
        ("Signourney Weaver", "sigourney_weaver", "fuzzy", None),
        ("Weaver, Sigourney", "sigourney_weaver", "fuzzy", None),
        ("that replicant film Blade 2019", "f3", "bm25", None),
        ("1979", "1979", "exact", 0.99),
    ],
)
def test_each_rule_finds_its_kind_of_name(linker, mention, key, how, score):
    best = linker.link(mention)[0]
    assert (linker.graph.key(best.node), best.how) == (key, how)
    assert score is None or best.score == score
    assert 0 < best.score <= 1


def test_a_shared_name_has_several_candidates_with_equal_scores_and_more_triples_first(linker):
    heats = linker.link("Heat")
    assert found(linker, "Heat") == [("f4", "exact"), ("f5", "exact")]  # f4 has 7 triples, f5 has 5
    assert heats[0].score == heats[1].score == 1.0
    assert found(linker, "Heat", limit=1) == [("f4", "exact")]


def test_equal_candidates_of_equal_degree_stand_by_id(tmp_path):
    graph = from_triples(tmp_path, [("a", "r", "x"), ("b", "r", "y"), ("c", "r", "z")], labels=dict.fromkeys("cab", "Same"))
    nodes = [candidate.node for candidate in Linker(graph).link("Same")]
    assert nodes == sorted(graph.node(key) for key in "abc")


def test_an_entity_comes_before_the_literal_of_its_name(tmp_path):
    graph = from_triples(tmp_path, [("f", "year", "1984"), ("g", "year", "1984"), ("1984", "by", "Orwell")], literals={"year": "integer"})
    assert [c.node for c in Linker(graph).link("1984")] == [graph.node("1984"), graph.node("1984", "integer")]


def test_nothing_is_found_where_nothing_resembles_it(linker):
    for mention in ("", "   ", "qqqqzzzz", "\x00", "x" * 100_000):
        assert linker.link(mention) == []


def test_among_restricts_the_candidates_and_forgives_more(linker, graph):
    alien, aliens, heat = graph.node("f1"), graph.node("f2"), graph.node("f5")
    assert found(linker, "Alien", among=[aliens, heat]) == [("f2", "fuzzy")]
    assert found(linker, "Heat", among=[heat]) == [("f5", "exact")]
    assert found(linker, "Alien", among=[alien, aliens])[0] == ("f1", "exact")
    assert linker.link("Alien", among=[]) == []
    assert linker.link("zzz", among=[alien]) == []
    assert linker.link("Terminator", among=[graph.node("f8")])[0].how == "alias"
    with pytest.raises(KgError, match="among: node 4000 is not in the graph"):
        linker.link("Alien", among=[4000])
    with pytest.raises(KgError, match=r"limit \(0\) must be at least 1"):
        linker.link("Alien", limit=0)


def test_many_names_are_linked_as_each_alone(linker):
    names = ["Alien", "heat", "Alien", "Tom Hancks"]
    assert linker.link_many(names) == [linker.link(name) for name in names]


def test_the_index_is_built_once_and_mapped_by_every_process(graph, linker, tmp_path):
    folder = linker.index.folder
    assert folder.parent == graph.root
    stamps = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    again = pickle.loads(pickle.dumps(linker))
    assert again.link("Alien") == linker.link("Alien")
    code = "import sys; from raykg.kg.graph import KnowledgeGraph; from raykg.kg.linking import Linker; "
    code += "print(Linker(KnowledgeGraph.open(sys.argv[1])).link('Alien')[0].score)"
    out = subprocess.run([sys.executable, "-c", code, str(graph.root)], capture_output=True, text=True, check=True, timeout=60)
    assert out.stdout.strip() == "1.0"
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == stamps
    other = Linker(graph, cache=tmp_path)
    assert other.index.folder.is_relative_to(tmp_path)
    assert other.link("Alien") == linker.link("Alien")


def test_near_names_are_those_of_a_full_comparison(tmp_path):
    draw = random.Random(0)
    letters = "abcdefghij"
    names = sorted({" ".join("".join(draw.choices(letters, k=draw.randint(3, 7))) for _ in range(2)) for _ in range(400)})
    graph = from_triples(tmp_path, [(name, "r", "x") for name in names])
    linker = Linker(graph)
    for name in draw.sample(names, 60):
        place = draw.randrange(len(name))
        typo = name[:place] + "z" + name[place + 1 :]
        scores = {other: fuzz.ratio(typo, other) for other in [*names, "x"]}
        best = linker.link(typo)
        assert linker.graph.label(best[0].node) == max(scores, key=lambda other: scores[other]) == name


def test_budgets_limit_what_is_read(graph):
    poor = Linker(graph, budget=LinkingBudget(postings=1, compared=1, candidates=1))
    assert len(poor.link("Heat")) == 1
    assert len(poor.link("Signourney Weaver")) <= 1


@pytest.fixture(scope="module")
def metaqa(tmp_path_factory):
    path = shared("kgqa/metaqa/kb.txt")
    table = pv.read_csv(
        path,
        read_options=pv.ReadOptions(column_names=["head", "relation", "tail"]),
        parse_options=pv.ParseOptions(delimiter="|", quote_char=False),
        convert_options=pv.ConvertOptions(column_types={"head": pa.string(), "tail": pa.string()}, strings_can_be_null=False),
    )
    builder = GraphBuilder(tmp_path_factory.mktemp("metaqa"), literals={"release_year": "integer"})
    builder.add_triples(table)
    return Linker(builder.finish())


def test_metaqas_topics_are_linked(metaqa):
    """Of 1,000 dev questions: >= 98 % have their topic among the mentions, >= 99 % of topics link to their node."""
    lines = [line for hop in (1, 2, 3) for line in shared(f"kgqa/metaqa/{hop}-hop/dev.txt").read_text(encoding="utf-8").splitlines()]
    linked = mentioned = first = 0
    for line in random.Random(0).sample(lines, 1000):
        question = line.split("\t")[0]
        topic = re.search(r"\[(.*)\]", question)[1]
        node = metaqa.graph.node(topic)
        linked += metaqa.link(topic)[0].node == node
        mentions = metaqa.mentions(question.replace(f"[{topic}]", topic))
        mentioned += node in {candidate.node for mention in mentions for candidate in mention.candidates}
        first += bool(mentions) and mentions[0].candidates[0].node == node
        assert [mention.text for mention in metaqa.mentions(question)] == [topic]
    assert linked >= 990  # 1000 when written
    assert mentioned >= 980  # 1000
    assert first >= 970  # 1000
