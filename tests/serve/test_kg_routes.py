import pytest
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.testclient import TestClient

from raykg.kg.graph import KnowledgeGraph
from raykg.kg.live.sparql_pool import QueryBudget, SparqlPool
from raykg.serve.callers import Caller
from raykg.serve.gateway import _invalid, _refused
from raykg.serve.keys import SCOPES
from raykg.serve.kg_routes import kg_routes
from raykg.serve.refusal import Refused
from tests.graphs import film_graph
from tests.serve.live_graphs import Fixed, LocalGraph


class Service:
    """The routes alone, with a caller that the test chooses."""

    def __init__(self, graph, queries):
        app = FastAPI()
        self.scopes, self.name, self.graph = frozenset(SCOPES), "ann", graph

        @app.middleware("http")
        async def caller(request, go_on):
            request.state.caller = Caller(self.name, self.name, self.scopes, 0, 0)
            response = await go_on(request)
            response.headers["X-KG-Version"] = str(getattr(request.state, "kg_version", None))
            return response

        app.include_router(kg_routes(graph, queries))
        app.add_exception_handler(Refused, _refused)
        app.add_exception_handler(RequestValidationError, _invalid)
        self.http = TestClient(app, raise_server_exceptions=True)

    def get(self, path, status=200, **options):
        return self._checked(self.http.get(f"/v1/kg/{path}", **options), status)

    def post(self, path, body, status=200, **options):
        return self._checked(self.http.post(f"/v1/kg/{path}", json=body, **options), status)

    def _checked(self, response, status):
        assert response.status_code == status, response.text
        found = response.json()
        if status == 200:
            assert response.headers["X-KG-Version"] == found["kg"]["version"]
            assert found["kg"]["version"] == found["kg"]["base"] + (f"+{found['kg']['sequence']}" if found["kg"]["sequence"] else "")
            return found
        assert set(found["error"]) == {"message", "type", "param", "code"}
        return found["error"]


@pytest.fixture
def films(tmp_path):
    return film_graph(tmp_path / "films")


@pytest.fixture
def service(tmp_path, films):
    queries = SparqlPool(tmp_path / "cache", budget=QueryBudget(seconds=3.0))
    yield Service(LocalGraph(tmp_path / "live", films, ["release year"]), queries)
    queries.close()


def test_nodes_are_found_by_name_beginning_and_misspelling(service):
    first = service.get("entities?q=Alien")["entities"][0]
    assert (first["label"], first["key"], first["type"], first["degree"]) == ("Alien", "f1", "film", 9)
    assert {"node", "description", "datatype"} <= set(first)
    assert [one["label"] for one in service.get("entities?q=alien&limit=3")["entities"]][0] == "Alien"
    assert {"Ridley Scott"} == {one["label"] for one in service.get("entities?q=ridl")["entities"]}
    assert service.get("entities?q=Sigurney Weaver")["entities"][0]["label"] == "Sigourney Weaver"
    assert service.get("entities?q=zzzzzzzz")["entities"] == []
    for query in ("q=", "q=a&limit=0", "q=a&limit=1000", ""):
        assert service.get(f"entities?{query}", 400)["code"]


def test_what_stands_around_a_node(service, films):
    node = films.node("f1")
    found = service.get(f"subgraph?node={node}&hops=1&limit=50")
    assert len(found["edges"]) == 9 and {edge["relation"] for edge in found["edges"]} >= {"directed by", "release year"}
    ends = {one["node"] for one in found["nodes"]}
    assert node in ends and all({edge["head"], edge["tail"]} <= ends for edge in found["edges"])
    assert len(service.get(f"subgraph?node={node}&hops=2&limit=12")["edges"]) == 12
    assert service.get("subgraph?node=99999", 404)["code"] == "unknown_node"
    for query in ("node=-1", "node=x", "node=1&hops=9", "node=1&limit=99999", "node=99999999999999999999"):
        assert service.get(f"subgraph?{query}", 404 if "99999999999" in query else 400)


def test_a_proposal_from_the_first_word_to_the_proof(service):
    made = service.post("proposals", {"head": "Alien", "relation": "directed by", "tail": "Dan O'Bannon", "evidence": "a passage"})
    assert made["status"] == "pending" and made["fact"]["head"]["label"] == "Alien" and made["fact"]["tail"]["node"] is None
    assert [piece["what"] for piece in made["evidence"]] == ["a passage"] and made["proposer"] == "ann"
    assert [one["id"] for one in service.get("proposals?status=pending")["proposals"]] == [made["id"]]
    service.name = "bea"
    done = service.post(f"proposals/{made['id']}/accept", {"reason": "credits"})
    assert (done["status"], done["reviewer"], done["outcome"]) == ("accepted", "bea", "edited")
    service.name = "cid"
    refused = service.post(f"proposals/{made['id']}/reject", {}, 409)
    assert refused["code"] == "review_conflict" and "bea has accepted it already" in refused["message"]
    found = service.get("entities?q=Dan O'Bannon", headers={"X-KG-Version": done["kg"]["version"]})
    assert found["entities"][0]["label"] == "Dan O'Bannon" and service.graph.reached[-1] == done["kg"]["version"]
    assert service.post("proposals/p99/accept", {}, 404)["code"] == "unknown_proposal"
    assert service.http.post(f"/v1/kg/proposals/{made['id']}/reject").status_code == 409, "a body may be left out"
    assert service.get("proposals?status=odd", 400)["code"] == "invalid_edit"


def test_contradictions_and_open_sides(service):
    made = service.post("proposals", {"head": "Alien", "relation": "release year", "tail": "1980"})
    assert made["contradicts"][0]["tail"]["label"] == "1979" and made["contradicts"][0]["relation"] == "release year"
    assert service.post(f"proposals/{made['id']}/accept", {}, 409)["code"] == "contradiction"
    assert service.post(f"proposals/{made['id']}/accept", {"replace": True})["outcome"] == "edited"
    open_ = service.post("proposals", {"head": "?", "relation": "directed by", "tail": "Ridley Scott"})
    assert open_["fact"]["head"]["label"] == "?"
    assert service.post(f"proposals/{open_['id']}/accept", {}, 400)["code"] == "invalid_edit"
    assert service.post(f"proposals/{open_['id']}/accept", {"head": "f9"})["fact"]["head"]["key"] == "f9"


def test_edits_are_whole_and_idempotent(service):
    body = {"add": [{"head": "Alien", "relation": "has genre", "tail": "classic"}], "why": "a test"}
    first = service.post("triples", body, headers={"Idempotency-Key": "k"})
    assert first["outcome"] == "edited" and first["kg"]["sequence"] == 1 and first["duplicates"] == []
    again = service.post("triples", body, headers={"Idempotency-Key": "k"})
    assert again == first
    assert service.post("triples", body | {"why": "else"}, 409, headers={"Idempotency-Key": "k"})["code"] == "idempotency_conflict"
    service.name = "bea"
    assert service.post("triples", body, headers={"Idempotency-Key": "k"})["outcome"] == "duplicate", "keys belong to their caller"
    gone = {"retract": [{"head": "Alien", "relation": "has genre", "tail": "classic"}]}
    assert len(service.post("triples", gone)["retracted"]) == 1
    assert service.post("triples", gone, 409)["code"] == "missing_fact"
    assert service.post("triples", {"add": []}, 400)["code"] == "invalid_edit"
    odd = {"add": [{"head": "Alien", "relation": "odd", "tail": "x"}]}
    assert service.post("triples", odd, 400)["code"] == "unknown_relation"
    assert service.post("triples", odd | {"allow_new": True, "names": {"odd": {"label": "strangely"}}})["outcome"] == "edited"
    assert service.post("triples", {"add": [{"head": "Heat", "relation": "runtime", "tail": "1"}]}, 400)["code"] == "ambiguous_name"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("triples", {"add": [{"head": "a"}]}),
        ("triples", {"add": [{"head": "a", "relation": "r", "tail": 3}]}),
        ("triples", {"plus": []}),
        ("triples", {"add": [{"head": "x" * 1001, "relation": "r", "tail": "t"}]}),
        ("proposals", {"head": "Alien", "relation": "directed by"}),
        ("proposals", {"head": "Alien", "relation": "directed by", "tail": "x", "evidence": [["deep"]]}),
        ("proposals/p1/accept", {"who": "me"}),
        ("query", {"sparql": 3}),
        ("query", {"sparql": "x" * 10_001}),
    ],
)
def test_bodies_that_are_none_are_refused(service, path, body):
    assert service.post(path, body, 400)["type"] == "invalid_request_error"
    assert service.graph.version == service.graph.current()[0].base.version, "nothing changed"


def test_sparql_sees_edits_and_refuses_the_rest(service):
    service.post("triples", {"add": [{"head": "Alien", "relation": "has genre", "tail": "classic"}]})
    query = {"sparql": "SELECT ?g { <urn:raykg:f1> <urn:raykg:has_genre> ?g }"}
    found = service.post("query", query, headers={"X-KG-Version": "x+1"})
    assert {"g": {"type": "uri", "value": "urn:raykg:classic"}} in found["rows"] and found["kg"]["sequence"] == 1
    for text in ("SELECT * { SERVICE <http://x/> {} }", "INSERT DATA { <a:a> <a:b> 1 }", "nonsense"):
        assert service.post("query", {"sparql": text}, 400)["code"] == "query_refused"
    slow = {"sparql": "SELECT (COUNT(*) AS ?n) { ?a ?b ?c . ?d ?e ?f . ?g ?h ?i . ?j ?k ?l . ?m ?o ?p }"}
    assert service.post("query", slow, 504)["code"] == "query_stopped"


def test_snapshots_are_made_and_listed(service, films):
    service.post("triples", {"add": [{"head": "Alien", "relation": "has genre", "tail": "classic"}]})
    made = service.post("snapshots", {})
    store = films.root.parent.parent
    assert KnowledgeGraph.open(store).version == made["snapshot"]["version"] == made["kg"]["base"]
    listed = service.get("snapshots", headers={"X-KG-Version": made["kg"]["version"]})["snapshots"]
    assert [one["version"] for one in listed] == [made["snapshot"]["version"], films.version] and listed[0]["current"]
    assert listed[0]["counts"]["triples"] == films.num_triples + 1


@pytest.mark.parametrize(
    ("scope", "calls"),
    [
        ("read", [("get", "entities?q=a"), ("get", "subgraph?node=0"), ("get", "snapshots"), ("post", "query")]),
        ("propose", [("post", "proposals")]),
        ("review", [("post", "proposals/p1/accept"), ("post", "proposals/p1/reject"), ("post", "triples")]),
        ("admin", [("post", "snapshots")]),
    ],
)
def test_each_route_needs_its_scope(service, scope, calls):
    service.scopes = frozenset(SCOPES) - {scope}
    bodies = {"query": {"sparql": "ASK {}"}, "proposals": {"head": "Alien", "relation": "directed by", "tail": "x"}, "triples": {}}
    for method, path in calls:
        refused = service.get(path, 403) if method == "get" else service.post(path, bodies.get(path, {}), 403)
        assert refused["code"] == "forbidden" and repr(scope) in refused["message"]


def test_proposals_are_listed_for_those_who_make_and_those_who_review_them(service):
    for scopes, status in ((["propose"], 200), (["review"], 200), (["read", "ask", "admin"], 403)):
        service.scopes = frozenset(scopes)
        service.get("proposals", status)


def test_a_fixed_version_can_be_read_and_not_changed(tmp_path, films):
    queries = SparqlPool(tmp_path / "cache")
    service = Service(Fixed(films), queries)
    assert service.get("entities?q=Alien")["kg"]["version"] == films.version
    assert service.get("snapshots")["snapshots"][0]["version"] == films.version
    for path in ("triples", "snapshots", "proposals/p1/accept"):
        assert service.post(path, {}, 409)["code"] == "no_live_graph"
    queries.close()


def test_an_older_state_is_looked_at_exactly(service, films):
    node = films.node("f1")
    first = service.post("triples", {"add": [{"head": "Alien", "relation": "has genre", "tail": "first"}]})["kg"]["version"]
    service.post("triples", {"add": [{"head": "Alien", "relation": "has genre", "tail": "second"}]})
    then = {"X-KG-Version-Exact": first}

    def genres(headers):
        return {edge["tail"] for edge in service.get(f"subgraph?node={node}", headers=headers)["edges"]}

    def asked(headers):
        query = 'SELECT ?name WHERE { ?film rdfs:label "Alien" ; <urn:raykg:has_genre> ?genre . ?genre rdfs:label ?name }'
        return {row["name"]["value"] for row in service.post("query", {"sparql": query}, headers=headers)["rows"]}

    for look in (genres, asked):
        assert len(look({}) - look(then)) == 1 and look(then) < look({}), look
    assert asked({}) - asked(then) == {"second"}
    assert service.get("entities?q=second", headers=then)["entities"] == [] and service.get("entities?q=second")["entities"]
    assert service.get("entities?q=first", headers=then)["kg"]["version"] == first
