"""CogMG's story with a really trained model: a film's director is lost, missed, proposed, checked, accepted, proved, and learnt again.

    python benchmarks/serve_story.py runs/quickstart

A copy of the run and its graph is served by `raykg serve` with two replicas and a file of passages. Each step is printed with what came
back, and the script ends with an error where a step does not hold. tests/serve/test_story.py tells the same story with a tiny model.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from served import get, post, served

if TYPE_CHECKING:
    from raykg.config.choice import Chosen
    from raykg.kg.graph import KnowledgeGraph
    from raykg.models.saved import SavedModel

RELATION = "directed by"
CANDIDATES = 20  # films that passages are written about; the story is that of the first one whose plan the model writes right
ASKED = 20  # times after the review: that one of two replicas answers them all is as likely as 1 in 500,000


class Film(NamedTuple):
    """A film of the training set with its one director, by key and by label."""

    key: str
    label: str
    director_key: str
    director: str
    plan: str


def main() -> None:
    """Tell the story."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="serve-story-") as scratch:
        tell(given.run, Path(scratch))


def tell(run: Path, folder: Path) -> None:
    """Serve a copy of the run and walk through the story."""
    from raykg.answer.opening import open_graph
    from raykg.serve.keys import SCOPES, KeyFile

    saved = copied(run, folder)
    graph = open_graph(saved)
    source, seed = training_source(saved)
    films = candidates(graph, source, seed)
    passages = folder / "passages.txt"
    passages.write_text("".join(f"{film.label} is a film that was directed by {film.director}.\n" for film in films), encoding="utf-8")
    _, key = KeyFile(folder / "keys.json").create("reviewer", SCOPES)
    settings = {
        "models": {"m": str(folder / "run")},
        "strategy": "cogmg",
        "passages": str(passages),
        "keys": str(folder / "keys.json"),
        "graph": {"storage": str(folder / "edits")},
        "replicas": {"count": 2},
    }
    with served(settings, folder / "service") as url:
        film, version = reviewed(url, {"Authorization": f"Bearer {key}"}, films, folder, graph)
    learnt_again(graph, version, film, source, seed)


def reviewed(url: str, allowed: Mapping[str, str], films: list[Film], folder: Path, graph: KnowledgeGraph) -> tuple[Film, str]:
    """Lose a fact and get it back; return the film and the version of the snapshot."""

    def ask(film: Film, version: str | None = None) -> dict[str, Any]:
        headers = {**allowed} if version is None else {**allowed, "X-KG-Version": version}
        return dict(post(url, "/v1/answers", {"question": f"who directed {film.label}?"}, headers))

    film = next((film for film in films if is_right(ask(film), film)), films[0])
    must(is_right(ask(film), film), "begins with a right answer", films)
    step("before", f"who directed {film.label}? -> {film.director}, proved")
    fact = {"head": film.key, "relation": RELATION, "tail": film.director_key}
    gone = post(url, "/v1/kg/triples", {"retract": [fact], "why": "the story begins"}, allowed)["kg"]["version"]
    step("retracted", f"{film.label} - {RELATION} - {film.director}, now {gone}")

    missed = ask(film, gone)
    pattern = {"head": film.label, "relation": RELATION, "tail": "?"}
    must(
        missed["missing"] == [pattern] and missed["proof"] == "unproven" and not missed["answers"], "names exactly the missing fact", missed
    )
    step("missed", missed["text"])
    proposed = [one for one in missed["proposals"] if one["verified"] and one["tail"] == film.director]
    must(len(proposed) == 1, "proposes the director, supported by a passage", missed)
    step("proposed", f"by {proposed[0]['how']}: {proposed[0]['evidence']!r} ({proposed[0]['source']})")

    queued = waiting(url, allowed, film)
    must(not ask(film, gone)["answers"], "answers nothing while the proposal waits", queued)
    accepted = post(url, f"/v1/kg/proposals/{queued['id']}/accept", {"reason": "the passage says so"}, allowed)
    step("accepted", f"{queued['id']} by {accepted['reviewer']}, now {accepted['kg']['version']}")

    records = [ask(film, accepted["kg"]["version"]) for _ in range(ASKED)]
    for record in records:
        must(is_right(record, film), "is answered by every replica", record)
        verify(record, folder, graph)
    step("proved", f"{ASKED} times, by both replicas but for 1 chance in 500,000; each record checked by `raykg verify` offline")
    made = post(url, "/v1/kg/snapshots", {}, allowed)["snapshot"]
    must(made["parent"] == graph.version, "has the old version as its parent", made)
    step("snapshot", f"{made['version']}, {made['counts']['triples']:,} triples")
    return film, str(made["version"])


def learnt_again(graph: KnowledgeGraph, version: str, film: Film, source: Chosen, seed: int) -> None:
    """Make the run's training set from the snapshot and find the fact in it."""
    from raykg.kg.graph import KnowledgeGraph

    snapshot = KnowledgeGraph.open(graph.root.parent.parent, version)
    rows = [row for row in drawn(snapshot, source, seed) if row["plan"] == film.plan]
    must(bool(rows) and all(row["answers"] == [film.director] for row in rows), "is in the next training set", rows)
    step("learnt", f"training on {version} reads: {rows[0]['question']} => {rows[0]['plan']} = {film.director}")


def copied(run: Path, folder: Path) -> SavedModel:
    """Copy what a run's model needs, graph store included, so that the snapshot goes into the copy."""
    from raykg.answer.opening import open_graph, open_saved
    from raykg.models.saved import DESCRIPTION, SavedModel

    saved = open_saved(run)
    shutil.copytree(open_graph(saved).root.parent.parent, folder / "store")
    shutil.copytree(saved.folder, folder / "run" / "model")
    described = folder / "run" / "model" / DESCRIPTION
    content = json.loads(described.read_text(encoding="utf-8"))
    content["graph"]["store"] = str(folder / "store")
    described.write_text(json.dumps(content), encoding="utf-8")
    return SavedModel.open(folder / "run")


def training_source(saved: SavedModel) -> tuple[Chosen, int]:
    """Return what the run drew its training questions from, and its seed."""
    from raykg.config.load import from_dict
    from raykg.train.finetune_config import FinetuneConfig

    cfg = from_dict(FinetuneConfig, saved.config)
    if cfg.questions.train.name != "generated":
        raise SystemExit(
            f"questions.train ({cfg.questions.train.name}): this story needs a run on generated questions, as the quickstart's"
        )
    return cfg.questions.train, cfg.run.seed


def drawn(graph: KnowledgeGraph, source: Chosen, seed: int) -> list[dict[str, Any]]:
    """Return the training questions that a source draws from a graph."""
    import numpy as np

    from raykg.data.generate import Generator

    rows: list[dict[str, Any]] = Generator(graph, source.config, seed).rows(np.arange(source.config.count)).to_pylist()
    return rows


def candidates(graph: KnowledgeGraph, source: Chosen, seed: int) -> list[Film]:
    """Return films that the training set asks the director of, and that have one."""
    found = []
    for row in drawn(graph, source, seed):
        label = row["topics"][0]
        if row["plan"] == f"{label} > {RELATION}" and len(row["answers"]) == 1 and "(" not in label:
            keys = [graph.key(node) for node in (row["topic_ids"][0], row["answer_ids"][0])]
            found.append(Film(keys[0], label, keys[1], row["answers"][0], row["plan"]))
    if not found:
        raise SystemExit("the training set asks for no director")
    return found[:CANDIDATES]


def is_right(record: Mapping[str, Any], film: Film) -> bool:
    """Tell whether a record answers with the director and a proof."""
    return [one["key"] for one in record["answers"]] == [film.director_key] and record["proof"] != "unproven"


def waiting(url: str, allowed: Mapping[str, str], film: Film) -> dict[str, Any]:
    """Return the proposal of the film's director, as soon as its owner has it."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        for one in get(url, "/v1/kg/proposals?status=pending", allowed)["proposals"]:
            if (one["fact"]["head"]["key"], one["fact"]["tail"]["key"]) == (film.key, film.director_key):
                return dict(one)
        time.sleep(0.1)
    raise SystemExit("the proposal never reached /v1/kg/proposals")


def verify(record: Mapping[str, Any], folder: Path, graph: KnowledgeGraph) -> None:
    """Check a record as `raykg verify` does: by the graph's files and the log alone."""
    from raykg.answer.record_check import problems
    from raykg.cli.verify import open_version

    version = open_version(record["kg"]["version"], graph.root.parent.parent, None, str(folder / "edits"))
    wrong = problems(record, version)
    must(not wrong, "holds offline", wrong)


def step(name: str, what: str) -> None:
    """Print what a step came to."""
    print(f"{name:10}{what}", flush=True)


def must(holds: bool, what: str, found: object) -> None:
    """End the script where something does not hold."""
    if not holds:
        raise SystemExit(
            f"it does not hold that the story {what}; found: {json.dumps(found, ensure_ascii=False, indent=1, default=str)[:3000]}"
        )


if __name__ == "__main__":
    main()
