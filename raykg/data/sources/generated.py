"""Generated: questions from the graph itself, without a single question written by hand.

Paper: Physics of Language Models: Part 3.1, Knowledge Storage and Extraction, ICML 2024, arXiv 2309.14316 (why many wordings).

    train: {name: generated, count: 20000, split: train, wordings: movies}
    test: [{name: generated, count: 400, split: test, wordings: movies}]

Questions are numbered, and each is a pure function of the graph, these settings, the seed and its number: a larger set contains a smaller
one. A chain of facts (the set of triples that answering walks over) is in the test split or in the training split, by a hash of itself:
training never asks anything that walks over exactly the triples of a test question, though it may walk over some of them, as one hop of a
longer walk. A quarter of all wordings never goes to training either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from raykg.config.schema import Fraction, NonNegativeFloat, NonNegativeInt, PositiveInt, Text, config, field

if TYPE_CHECKING:
    from ray.data import Dataset

    from raykg.data.generate import Generator
    from raykg.data.question_set import QuestionSet

SEARCH: dict[str, list[object]] = {"count": [2_000, 8_000, 32_000], "wordings_per_plan": [16, 64, None]}

_BLOCK = 2000  # questions in one Ray Data block: about a second of work

_KINDS = {"path": 0.7, "intersection": 0.08, "exclusion": 0.04, "count": 0.05, "filter": 0.04, "superlative": 0.05, "comparison": 0.04}


@config
class Config:
    """How many questions of which kinds, and how they are worded."""

    count: PositiveInt = 4000
    """Question numbers to draw; a number for which the graph has nothing apt gives no row (rare, and logged)."""
    split: Literal["train", "test", "all"] = "train"
    test_share: Fraction = 0.1
    """Share of the chains of facts that belong to the test split; the same in training and test, or they would overlap."""
    split_seed: NonNegativeInt = 0
    """Deals chains to the splits; not the run's seed, so that another run may train on the same split."""
    kinds: Mapping[str, NonNegativeFloat] = field(default_factory=lambda: dict(_KINDS))
    """Weights of path, intersection, exclusion, count, filter, superlative and comparison; the last three need numeric literals."""
    hops: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = (1.0, 1.0, 1.0)
    """Weights of paths of one, two and three hops."""
    max_answers: PositiveInt = 50
    """A question with more answers is left out: nobody reads a thousand films."""
    max_edges: PositiveInt = 1000
    """A question that visits more edges in a hop is left out: its topic is a hub."""
    exclude_topic: bool = True
    """Where a walk may come back to its topic, leave the topic out (`~`), as people do: "who acted with X" does not mean X."""
    value_joins: bool = False
    """Also ask along equal values, as "who wrote films as long as X": possible over any literal, seldom what anybody wants to know."""
    value_relations: tuple[Text, ...] = ()
    """Relations whose tails are values though the graph has them as entities, often years: no questions along equal ones either."""
    topics_bracketed: bool = False
    """Write topics as [name], as MetaQA publishes them."""
    questions_per_topic: PositiveInt = 1
    """Numbers in a row that ask about one topic, as contexts that questions share want them; not intersections, exclusions, comparisons."""
    wordings: Text | None = None
    """`movies`, `geography` or the path of an author's wordings; without it they are made from the relations' labels."""
    wordings_per_plan: PositiveInt | None = None
    """How many wordings each shape of plan may have; unlimited by default. Few are learnt quickly, many carry over to others' words."""
    hold_out_wordings: Fraction = 0.25
    """Share of all wordings that `train` never uses."""

    def __post_init__(self) -> None:
        """Refuse weights that choose nothing."""
        if unknown := sorted(self.kinds.keys() - _KINDS.keys()):
            raise ValueError(f"kinds ({unknown[0]!r}) must be among {', '.join(_KINDS)}")
        if not any(self.kinds.values()):
            raise ValueError("kinds must have at least one weight above 0")
        if not any(self.hops):
            raise ValueError(f"hops ({list(self.hops)}) must have at least one weight above 0")


class Generated:
    """Draws questions from the graph with Ray Data; see `raykg.data.generate.Generator` for what it can and cannot ask."""

    def __init__(self, cfg: Config) -> None:
        """Keep the settings."""
        self.config = cfg

    def dataset(self, graph_root: Path, graph_version: str, seed: int) -> Dataset:
        """Return the rows as a Ray Data pipeline; tasks open the graph themselves.

        Raises:
            WordingError: the wordings file cannot be read or says something that no phrase may say.
        """
        import ray.data

        from raykg.config.load import to_dict
        from raykg.data.wordings import Wordings

        Wordings([], self.config.wordings)  # a mistake in the file is said here, not in a task

        plain = {"root": str(graph_root), "version": graph_version, "seed": seed, "config": to_dict(self.config)}
        blocks = max(1, -(-self.config.count // _BLOCK))
        numbers = ray.data.range(self.config.count, override_num_blocks=blocks)
        return numbers.map_batches(cast("Callable[..., Any]", _rows), fn_kwargs={"plain": plain}, batch_format="pyarrow", batch_size=None)

    def files(self) -> list[Path]:
        """Return the author's wordings, where they are a file of one's own."""
        own = Path(self.config.wordings) if self.config.wordings is not None else None
        return [own] if own is not None and own.is_file() else []

    def findings(self, rows: QuestionSet, graph_root: Path, graph_version: str) -> list[str]:
        """Return nothing: each row was made from its plan."""
        return []


def _rows(batch: Any, plain: dict[str, Any]) -> Any:  # noqa: ANN401 - Arrow tables, which Ray's signature calls Any
    import json
    import logging

    index = batch["id"].to_numpy()
    rows = _generator(json.dumps(plain, sort_keys=True)).rows(index)
    if missing := len(index) - rows.num_rows:
        logging.getLogger(__name__).warning("%d of %d question numbers gave nothing apt to ask", missing, len(index))
    return rows


@lru_cache(maxsize=2)
def _generator(plain: str) -> Generator:
    import json

    from raykg.config.load import from_dict
    from raykg.data.generate import Generator
    from raykg.kg.graph import KnowledgeGraph

    content = json.loads(plain)
    graph = KnowledgeGraph.open(content["root"], content["version"], verify=False)
    return Generator(graph, from_dict(Config, content["config"]), content["seed"])
