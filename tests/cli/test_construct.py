import json
import re

import pytest

from raykg.cli.main import main
from raykg.kg.graph import KnowledgeGraph
from raykg.kg.live.graph import LiveGraph
from tests.continual.learnt_models import learnt, unseen_posts, written
from tests.graphs import film_graph


def run(captured, *arguments):
    with pytest.raises(SystemExit) as exit_:
        main(["construct", *map(str, arguments)])
    out, err = captured.readouterr()
    return exit_.value.code or 0, out, err


@pytest.mark.story
def test_posts_become_proposals_once_and_a_version_where_they_are_accepted(ray_session, tmp_path, capfd):
    model = learnt(tmp_path)
    posts = written([*unseen_posts(tmp_path), "no post"], tmp_path / "posts.jsonl")
    film_graph(tmp_path / "films")
    (tmp_path / "map.json").write_text(json.dumps({"r1": "starred actors"}))
    given = [model, posts, "--out", tmp_path / "out", "--threshold", 0.3, "--workers", 1]
    graph = ["--live", tmp_path / "live", "--store", tmp_path / "films", "--relations", tmp_path / "map.json"]
    code, out, err = run(capfd, *given, *graph)
    assert re.fullmatch(r"posts\n  parts 1/1\n  \d+ s, 25 rows\n", err), "Ray's own talk is in the log"
    live = LiveGraph.open(tmp_path / "live", KnowledgeGraph.open(tmp_path / "films"), owner=False)
    waiting = live.proposals("pending")
    assert code == 0 and waiting and f"proposed: {len(waiting)} new" in out and "24 posts, 1 dead letters" in out
    assert {one.fact.relation for one in waiting} <= {"starred_actors", "r2", "r3", "r4"}
    code, out, _ = run(capfd, *given, *graph, "--accept")
    assert code == 0 and "proposed: 0 new" in out and f"accepted: {len(waiting)}" in out
    made = KnowledgeGraph.open(tmp_path / "films")
    assert made.num_triples == film_triples(tmp_path) + len(waiting)


def film_triples(folder):
    return film_graph(folder / "again").num_triples


def test_what_is_wrong_is_said_before_anything_is_read(tmp_path, capsys):
    model = learnt(tmp_path)
    posts = written(unseen_posts(tmp_path), tmp_path / "posts.jsonl")
    code, _, err = run(capsys, model.parent, posts)
    assert code == 2 and "holds no model.json; there is one in" in err
    code, _, err = run(capsys, model, posts, "--live", tmp_path / "live")
    assert code == 2 and "--live and --store go together" in err
    code, _, err = run(capsys, model, posts, "--accept")
    assert code == 2 and "--accept needs --live" in err
    code, _, err = run(capsys, model, posts, "--live", tmp_path / "live", "--store", tmp_path / "nope", "--threshold", 0.5)
    assert code == 2 and "nope" in err and not (tmp_path / "live").exists()
    (tmp_path / "map.json").write_text("[1]")
    code, _, err = run(capsys, model, posts, "--relations", tmp_path / "map.json")
    assert code == 2 and 'expected an object such as {"/per/per/peer": "knows"}' in err
