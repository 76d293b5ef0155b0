"""What tests of imports share: write a file, import it, look at triples as texts."""

import json

from raykg.config.choice import chosen
from raykg.kg.importing import import_graph


def fmt(name, **settings):
    return chosen("raykg.kg.formats", name, **settings)


def texts(graph):
    keys, types, relations = graph.entities["key"].to_pylist(), graph.entities["datatype"].to_pylist(), graph.relations["key"].to_pylist()
    rows = zip(graph.heads.tolist(), graph.relation_ids.tolist(), graph.tails.tolist(), strict=False)
    return {(keys[h], relations[r], keys[t], types[t]) for h, r, t in rows}


def run(tmp_path, name, content, **settings):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    graph, summary = import_graph(tmp_path / "store", [str(path)], **settings)
    letters = [json.loads(line) for line in summary.bad_rows.read_text().splitlines()] if summary.bad_rows else []
    for letter in letters:  # the place is where the excerpt stands
        if letter["byte_offset"] is not None and letter["kind"] not in ("utf-8", "nul"):
            raw = path.read_bytes()
            assert raw[: letter["byte_offset"]].count(b"\n") + 1 == letter["line"]
    return graph, summary, letters
