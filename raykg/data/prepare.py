"""Prepares the question sets of a job: tests first, then training without anything that a test asks, then who has seen which wording.

    sets = prepare_questions(cfg.questions, graph, seed=0, folder=Path("runs/a/questions"))
    sets.train.num_rows, sets.tests["generated"].num_rows

What leaves training, each counted in the set's manifest: rows that walk the same triples as a test question, rows in a held-out wording,
rows without a plan: neither target could be learnt from them, since the facts that a `read` row cites come from executing its plan. All of
it streams through Ray Data; only a few columns (chain, wording, id, plan) and the tests come to the driver.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raykg.config.load import to_dict
from raykg.data.errors import DataError
from raykg.data.masking import held_out
from raykg.data.paraphrase import Writer, paraphrase
from raykg.data.question_set import QuestionSet, existing, write_questions, write_table
from raykg.data.questions_config import ParaphraseConfig, QuestionsConfig
from raykg.kg.store import sha256

if TYPE_CHECKING:
    from ray.data import Dataset

    from raykg.config.schema import Chosen
    from raykg.kg.graph import KnowledgeGraph

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class QuestionSets:
    """The sets of a job.

    Attributes:
        train: rows to train on.
        validation: rows kept from training for evaluation meanwhile; None where the config asks for none.
        tests: rows to be tested on, by the source's name (with a number where a name comes twice).
    """

    train: QuestionSet
    validation: QuestionSet | None
    tests: Mapping[str, QuestionSet]


def prepare_questions(
    cfg: QuestionsConfig, graph: KnowledgeGraph, seed: int, folder: Path, paraphraser: type[Writer] | None = None
) -> QuestionSets:
    """Make the sets of a config, or open those that are there already.

    Args:
        cfg: which sources.
        graph: what the questions are about.
        seed: of everything drawn.
        folder: gets a folder for each set.
        paraphraser: writes what `cfg.paraphrase` asks for; made with `reference`, `wordings` and `planner`.

    Raises:
        DataError: a source gives no rows, or training has none left.
        QuestionFileError: a user's file cannot be read.
    """
    about = {"config": to_dict(cfg), "kg_version": graph.version, "seed": seed, "files": file_hashes([cfg.train, *cfg.test])}
    names = _names([source.name for source in cfg.test])
    raw = {}
    for name, source in zip(names, cfg.test, strict=True):
        note = about | {"set": f"test-{name}", "source": source.name}
        raw[name] = make_questions(source, graph, seed, folder / "raw" / f"test-{name}", note)
    train, validation = _train(cfg, graph, seed, folder, about, raw)
    if cfg.paraphrase is not None:
        if paraphraser is None:
            raise DataError(
                "questions.paraphrase: nothing here can write paraphrases: prepare the questions with `raykg train` or leave it out"
            )
        train = _paraphrased(train, cfg, cfg.paraphrase, paraphraser, folder / "paraphrased")
    seen = pc.unique(train.to_table(["wording"])["wording"])
    tests = {name: _mark_seen(test, seen, folder / f"test-{name}", about) for name, test in raw.items()}
    return QuestionSets(train, validation, tests)


def make_questions(source: Chosen, graph: KnowledgeGraph, seed: int, folder: Path, about: Mapping[str, Any]) -> QuestionSet:
    """Return what a source gives as a set; a set that was written with the same `about` is opened, and the source not asked at all."""
    if (found := existing(folder, about)) is not None:
        return found
    return write_questions(source.method()(source.config).dataset(graph.root, graph.version, seed), folder, about)


def file_hashes(sources: Iterable[Chosen]) -> dict[str, str]:
    """Return the SHA-256 of the local files that sources read, by path: a file that has changed is another source."""
    hashes = {}
    for source in sources:
        for file in source.method()(source.config).files():
            if file.is_file():
                hashes[str(file)] = sha256(file)
    return hashes


def _train(
    cfg: QuestionsConfig, graph: KnowledgeGraph, seed: int, folder: Path, about: dict[str, Any], tests: Mapping[str, QuestionSet]
) -> tuple[QuestionSet, QuestionSet | None]:
    whole = folder / "raw" / "train"
    chains = np.unique(np.concatenate([test.to_table(["chain"])["chain"].to_numpy() for test in tests.values()]))
    source = cfg.train
    pool = make_questions(source, graph, seed, whole, about | {"set": "train pool"})
    columns = pool.to_table(["id", "chain", "wording", "plan", *(["topic_ids"] if cfg.by_topic else [])])
    reasons = _reasons(columns, chains, cfg.hold_out_wordings)
    counts = {name: int(np.sum(rows)) for name, rows in reasons.items()}
    kept = np.flatnonzero(~np.logical_or.reduce(list(reasons.values())))
    if cfg.by_topic:
        kept = kept[np.argsort(_first(columns["topic_ids"])[kept], kind="stable")]
    log.info("training questions: %d kept of %d; left out: %s", len(kept), pool.num_rows, counts)
    if len(kept) <= cfg.validation:
        raise DataError(
            f"questions.train: {len(kept)} of {pool.num_rows} rows are left ({', '.join(f'{n} {name}' for name, n in counts.items())}), "
            f"questions.validation takes {cfg.validation}: ask for more questions or a smaller validation"
        )
    order = np.argsort(columns["id"].take(pa.array(kept)).to_numpy(zero_copy_only=False).astype(str), kind="stable")
    chosen = np.zeros(len(kept), dtype=np.bool_)
    chosen[order[: cfg.validation]] = True  # ids are hashes, so the smallest are as good as drawn
    findings = source.method()(source.config).findings(pool, graph.root, graph.version)
    note = about | {"left_out": counts, "findings": findings}
    train = _select(pool, kept[~chosen], folder / "train", note | {"set": "train"})
    return train, _select(pool, kept[chosen], folder / "validation", note | {"set": "validation"}) if cfg.validation else None


def _paraphrased(train: QuestionSet, cfg: QuestionsConfig, asked: ParaphraseConfig, paraphraser: type[Writer], folder: Path) -> QuestionSet:
    """Return the training set with the paraphrases that keep plan and names."""
    note = {**train.about, "set": "train with paraphrases", "planner": _weights(Path(asked.planner))}
    if (found := existing(folder, note)) is not None:
        return found
    arguments = {"reference": asked.model, "wordings": asked.wordings, "planner": str(Path(asked.planner).absolute())}
    rows = _rows_of(train, np.arange(train.num_rows))
    more = paraphrase(rows, paraphraser, arguments, hold_out_wordings=cfg.hold_out_wordings)
    written = write_questions(more, folder, note)
    log.info("paraphrases: %d rows became %d", train.num_rows, written.num_rows)
    return written


def _weights(run: Path) -> dict[str, str]:
    """Return the hashes of the weights that a finished run left, by file: another planner keeps other paraphrases."""
    model = run / "model" if (run / "model").is_dir() else run
    return {str(file.relative_to(model)): sha256(file) for file in sorted(model.rglob("*.safetensors"))}


def _first(lists: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """Return the first element of each list, -1 of an empty one."""
    whole = lists.combine_chunks()
    flat, starts = whole.flatten().to_numpy(), np.cumsum([0, *pc.list_value_length(whole).to_numpy()])
    return np.where(starts[1:] > starts[:-1], np.append(flat, -1)[starts[:-1]], -1)


def _reasons(rows: pa.Table, tested_chains: np.ndarray[Any, Any], share: float) -> dict[str, np.ndarray[Any, Any]]:
    """Tell for each reason which rows may not be trained on; a row is counted once, by its first reason."""
    chain = rows["chain"].to_numpy()
    tested = np.isin(chain, tested_chains) & (chain != 0)
    held = held_out(rows["wording"].combine_chunks(), share) & ~tested
    unplanned = pc.equal(rows["plan"], "").to_numpy(zero_copy_only=False) & ~tested & ~held
    return {"with the facts of a test question": tested, "in held-out wordings": held, "without a plan": unplanned}


def _select(pool: QuestionSet, rows: np.ndarray[Any, Any], folder: Path, about: dict[str, Any]) -> QuestionSet:
    """Keep some rows of a set as a set, block by block through Ray Data."""
    if (found := existing(folder, about)) is not None:
        return found
    return write_questions(_rows_of(pool, rows), folder, about)


def _rows_of(pool: QuestionSet, rows: np.ndarray[Any, Any]) -> Dataset:
    """Return some rows of a set for training, their wording marked as seen; tasks read them."""
    import ray.data

    numbers = ray.data.from_arrow([pa.table({"row": block}) for block in np.array_split(rows, max(1, len(rows) // 20_000))])

    def take(batch: Any) -> Any:  # noqa: ANN401 - Arrow tables, which Ray's signature calls Any
        table = QuestionSet.open(pool_folder).take(batch["row"].to_numpy())
        return table.set_column(
            table.schema.get_field_index("wording_seen"), table.schema.field("wording_seen"), pa.repeat(True, len(table))
        )

    pool_folder = str(pool.folder.resolve())
    taken: Dataset = numbers.map_batches(take, batch_format="pyarrow", batch_size=None)
    return taken


def _mark_seen(test: QuestionSet, seen: pa.Array, folder: Path, about: dict[str, Any]) -> QuestionSet:
    """Keep a test set with `wording_seen` saying whether training really has the wording."""
    table = test.to_table()
    place = table.schema.get_field_index("wording_seen")
    marked = pc.is_in(table["wording"], value_set=seen)
    return write_table(table.set_column(place, table.schema.field(place), marked), folder, about | {"set": folder.name})


def _names(sources: list[str]) -> list[str]:
    """Return the sources' names, the second of a name as `name-2`."""
    return [name if sources.index(name) == place else f"{name}-{sources[: place + 1].count(name)}" for place, name in enumerate(sources)]
