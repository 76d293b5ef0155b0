"""MetaQA: questions about films over one, two and three hops, as they are published.

Paper: Variational Reasoning for Question Answering with Knowledge Graph, AAAI 2018, arXiv 1709.04071.

    train: {name: metaqa, folder: ../shared/data/kgqa/metaqa, split: dev, count: 1500, recover: true}
    test: [{name: metaqa, folder: ../shared/data/kgqa/metaqa, split: test, count: 500}]

A line of `<n>-hop/<split>.txt` is the question with its topic in [brackets], answers joined by `|`, and the question's type
("movie_to_director_to_movie"), separated by tabs. Answers leave the topic out after every hop. With `recover` plans come from the answers
alone: the type is kept in the column `kind`, it scores what was recovered, and nothing else sees it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from raykg.config.schema import PositiveInt, Text, config

if TYPE_CHECKING:
    import pyarrow as pa
    from ray.data import Dataset

    from raykg.data.question_set import QuestionSet

SEARCH: dict[str, list[object]] = {"count": [500, 1500, 3000]}

_RELATIONS = {
    "director": "directed_by",
    "writer": "written_by",
    "actor": "starred_actors",
    "year": "release_year",
    "genre": "has_genre",
    "language": "in_language",
    "tags": "has_tags",
    "tag": "has_tags",
    "imdbrating": "has_imdb_rating",
    "imdbvotes": "has_imdb_votes",
}


@config
class Config:
    """Which of the published questions."""

    folder: Text
    """Folder with `1-hop`, `2-hop` and `3-hop`."""
    split: Literal["train", "dev", "test"] = "dev"
    hops: tuple[Literal[1, 2, 3], ...] = (1, 2, 3)
    count: PositiveInt | None = None
    """Rows drawn of each number of hops; all by default."""
    recover: bool = False
    """Find plans from the answers; otherwise they are made from the type column."""
    max_hops: PositiveInt = 3
    """Longest paths tried where plans are recovered; the file that a question stands in does not tell."""

    def __post_init__(self) -> None:
        """Refuse a source without questions."""
        if not self.hops:
            raise ValueError("hops must name at least one of 1, 2, 3")


class MetaQA:
    """Reads published questions with Ray Data. Topics stay in brackets; names are those of the graph made from `kb.txt`."""

    def __init__(self, cfg: Config) -> None:
        """Keep the settings."""
        self.config = cfg

    def dataset(self, graph_root: Path, graph_version: str, seed: int) -> Dataset:
        """Return the rows, with `recover` with plans that were searched for.

        Raises:
            QuestionFileError: a file is missing, or has a line without three columns or a topic in brackets, or an unknown type.
            UnknownRelation: the graph was not made from MetaQA's `kb.txt`.
        """
        import ray.data

        where = {"root": str(graph_root), "version": graph_version}
        files = self.files()
        _check(files, **where)
        items = [{"file": str(file.resolve()), "hops": hops} for file, hops in zip(files, self.config.hops, strict=True)]
        drawn = where | {"seed": seed, "count": self.config.count, "gold": not self.config.recover}
        listed = ray.data.from_items(items, override_num_blocks=len(items))
        rows: Dataset = listed.map_batches(cast("Callable[..., Any]", _read), fn_kwargs=drawn, batch_format="pyarrow", batch_size=1)
        if not self.config.recover:
            return rows
        from raykg.data.recover import recover

        return recover(rows, graph_root, graph_version, self.config.max_hops)

    def files(self) -> list[Path]:
        """Return the file of each number of hops."""
        return [Path(self.config.folder) / f"{hops}-hop" / f"{self.config.split}.txt" for hops in self.config.hops]

    def findings(self, rows: QuestionSet, graph_root: Path, graph_version: str) -> list[str]:
        """Return how many plans were recovered, and how many of them are what the type column means."""
        if not self.config.recover:
            return []
        from raykg.data.recover import recovery_finding

        table = rows.to_table(["kind", "template", "fit"])
        summary = accuracy(table, graph_root, graph_version)
        shares = ", ".join(f"{found['accuracy']:.4f} of {name} rows" for name, found in summary.items())
        return [recovery_finding(table), f"recovered plans agree with MetaQA's type column for {shares}"]


def accuracy(rows: pa.Table, root: Path, version: str) -> dict[str, Any]:
    """Compare recovered plans with the type column: rows, none, one, several and the share of right ones, by hops and in all."""
    return summarise(_score(rows, str(root), version).to_pylist())


def summarise(scores: list[dict[str, Any]]) -> dict[str, Any]:
    """Add up counts of hops, fit, rows and right ones."""
    summary: dict[str, Any] = {}
    for name in (*sorted({f"{row['hops']}-hop" for row in scores}), "all"):
        here = [row for row in scores if name in ("all", f"{row['hops']}-hop")]
        rows = sum(row["rows"] for row in here)
        fits = {fit: sum(row["rows"] for row in here if row["fit"] == fit) for fit in ("none", "one", "several")}
        summary[name] = {"rows": rows, **fits, "accuracy": round(sum(row["right"] for row in here) / max(rows, 1), 4)}
    return summary


def _check(files: list[Path], root: str, version: str) -> None:
    """Look for what is wrong with the files before tasks read them, so that it is said in one line."""
    from raykg.data.errors import QuestionFileError

    kinds: dict[str, str] = {}
    for file in files:
        if not file.is_file():
            raise QuestionFileError(
                f"{file}: no such file, expected MetaQA's questions: set folder to the one that holds 1-hop, 2-hop, 3-hop"
            )
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                columns = line.rstrip("\n").split("\t")
                if len(columns) != 3 or not 0 <= columns[0].find("[") < columns[0].rfind("]"):
                    raise QuestionFileError(
                        f"{file}:{number}: expected a question with its topic in [brackets], answers and type, separated by tabs"
                    )
                kinds.setdefault(columns[2], f"{file}:{number}")
    for kind, place in kinds.items():
        gold_steps(kind, root, version, place)


def _read(items: pa.Table, root: str, version: str, seed: int, count: int | None, gold: bool) -> pa.Table:
    """Read the drawn lines of one file into question rows."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from raykg.data.masking import mask, wordings
    from raykg.data.node_names import node_names
    from raykg.data.questions import list_array, question_table

    file, hops = items["file"][0].as_py(), items["hops"][0].as_py()
    lines = Path(file).read_text(encoding="utf-8").removesuffix("\n").split("\n")
    drawn = np.sort(np.random.default_rng([seed, hops]).permutation(len(lines))[: count or len(lines)])
    columns = pc.split_pattern(pa.array(lines, pa.string()).take(pa.array(drawn)), "\t")
    question, joined, kind = (pc.list_element(columns, place) for place in range(3))
    answers = pc.split_pattern(joined, "|")
    topics = pc.struct_field(pc.extract_regex(question, r"^[^\[]*\[(?P<topic>.*)\][^\]]*$"), "topic")
    names = node_names(root, version)
    topic_ids = names.find(topics)
    each = np.arange(len(drawn) + 1)
    sizes = pc.list_value_length(answers).to_numpy()
    topic_lists = list_array(each, topics)
    wording = wordings(mask(question, topic_lists))
    table = {
        "question": question,
        "topics": topic_lists,
        "topic_ids": list_array(each, topic_ids),
        "answers": answers,
        "answer_ids": list_array(np.concatenate([[0], np.cumsum(sizes)]), names.find(answers.flatten())),
        "kind": kind,
        "wording": wording,
    }
    plans = _gold(kind, topics, topic_ids, root, version) if gold else {}
    return question_table(table | plans, hops=hops if gold else 0, fit="gold" if gold else "none", kg_version=version, source="metaqa")


def gold_steps(kind: str, root: str, version: str, place: str = "kind") -> list[int]:
    """Return the steps that a type means: "movie_to_actor_to_movie" goes to the cast and back.

    Raises:
        QuestionFileError: a type that MetaQA does not have.
        UnknownRelation: the graph was not made from MetaQA's `kb.txt`.
    """
    from raykg.data.errors import QuestionFileError
    from raykg.data.steps import step_table

    table, stops = step_table(root, version), kind.split("_to_")
    try:
        return [
            table.number(_RELATIONS[to if start == "movie" else start], forward=start == "movie")
            for start, to in zip(stops, stops[1:], strict=False)
        ]
    except KeyError as error:
        if error.args and error.args[0] in stops:
            raise QuestionFileError(f"{place}: type {kind!r}: {error.args[0]!r} is none of MetaQA's ({', '.join(_RELATIONS)})") from None
        raise


def _gold(kind: pa.Array, topics: pa.Array, topic_ids: Any, root: str, version: str) -> dict[str, Any]:  # noqa: ANN401 - a NumPy array
    """Return plan, template and chain from the types; walks of several hops leave the topic out, as MetaQA does."""
    import numpy as np
    import pyarrow as pa

    from raykg.data.generate import quoted
    from raykg.data.recover import form_of
    from raykg.data.rendering import Patterns
    from raykg.data.steps import step_table
    from raykg.data.walks import chains, walk
    from raykg.kg.logical_form import template

    table, encoded = step_table(root, version), kind.dictionary_encode()
    steps = np.full((len(encoded.dictionary), 3), -1, dtype=np.int64)
    for row, name in enumerate(encoded.dictionary.to_pylist()):
        found = gold_steps(name, root, version)
        steps[row, : len(found)] = found
    away = (steps >= 0).sum(axis=1) > 1
    texts = [template(form_of(table, one, bool(tilde))) for one, tilde in zip(steps, away, strict=True)]
    row = encoded.indices.to_numpy().astype(np.int64)
    walked = walk(table, topic_ids, steps[row], away[row], limit=10**9)
    return {
        "plan": Patterns(texts).render(row, [quoted(topics)]),
        "template": pa.array(texts).take(pa.array(row)),
        "chain": np.where(topic_ids >= 0, chains(len(row), walked), 0),
    }


def _score(rows: pa.Table, root: str, version: str) -> pa.Table:
    """Return how many recovered plans have the steps that the type means, by hops and fit."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from raykg.data.recover import form_of
    from raykg.data.steps import step_table
    from raykg.kg.logical_form import template

    table, kinds = step_table(root, version), rows["kind"].combine_chunks().dictionary_encode()
    import numpy as np

    golds = [np.array(gold_steps(name, root, version), dtype=np.int64) for name in kinds.dictionary.to_pylist()]
    meant = pa.array([template(form_of(table, steps, False)) for steps in golds], pa.string()).take(kinds.indices)
    right = pc.equal(pc.utf8_ltrim(rows["template"], "~"), meant)
    scores = pa.table(
        {"hops": pa.array([len(steps) for steps in golds]).take(kinds.indices), "fit": rows["fit"], "right": right.cast(pa.int64())}
    )
    counted = scores.group_by(["hops", "fit"]).aggregate([("right", "sum"), ("right", "count")])
    return pa.table({"hops": counted["hops"], "fit": counted["fit"], "right": counted["right_sum"], "rows": counted["right_count"]})
