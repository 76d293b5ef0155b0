"""Paraphrases through Ray Data: more wordings for rows, kept when plan and names survive.

    more = paraphrase(dataset, Paraphraser, {"reference": "wheel:..."}, hold_out_wordings=0.25)

Who writes the paraphrases is handed in from an upper floor, as a class that Ray Data calls with tables: it returns the rows and, behind
each, the paraphrases as rows of their own, optionally with a column `replanned`: the plan that a planner read out of the words alone. A
paraphrase is kept when that plan is the row's own, all topics stand in it, and its wording is not held out.

Source: round-trip consistency, Alberti et al.: Synthetic QA Corpora Generation with Roundtrip Consistency, ACL 2019, arXiv 1906.05416.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raykg.data.masking import SLOT, held_out, mask, wordings
from raykg.data.questions import QUESTION_SCHEMA, row_ids

if TYPE_CHECKING:
    from ray.data import Dataset

REPLANNED = "replanned"


class Writer(Protocol):
    """Writes paraphrases; made once in a Ray actor, called with one table after another."""

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Return the rows, each followed by its paraphrases (same columns, other `question`), optionally with `replanned`."""
        ...


def paraphrase(
    dataset: Dataset,
    writer: type[Writer],
    arguments: Mapping[str, Any],
    *,
    hold_out_wordings: float = 0.25,
    batch: int = 64,
    actors: int = 1,
    gpus: float = 0,
) -> Dataset:
    """Return the rows with the paraphrases that hold.

    Args:
        dataset: rows of `QUESTION_SCHEMA`.
        writer: class that writes paraphrases.
        arguments: what it is made with.
        hold_out_wordings: share of wordings that never go to training; 0 for test rows.
        batch: rows that the writer gets at once.
        actors: how many writers, one CPU each.
        gpus: GPUs of each.
    """
    import ray.data

    written = dataset.map_batches(
        writer,
        fn_constructor_kwargs=dict(arguments),
        batch_format="pyarrow",
        batch_size=batch,
        compute=ray.data.ActorPoolStrategy(size=actors),
        num_cpus=1,
        num_gpus=gpus,
    )
    keep = cast("Callable[..., Any]", keep_faithful)
    kept: Dataset = written.map_batches(keep, fn_kwargs={"hold_out_wordings": hold_out_wordings}, batch_format="pyarrow")
    return kept


def keep_faithful(rows: pa.Table, hold_out_wordings: float) -> pa.Table:
    """Return the rows whose plan and topics survived, with wording and id of their new words."""
    question, topics = rows["question"].combine_chunks(), rows["topics"].combine_chunks()
    masked = mask(question, topics)
    named = pc.count_substring_regex(masked, rf"\b{SLOT}\b").to_numpy(zero_copy_only=False)
    faithful = named >= pc.list_value_length(topics).to_numpy(zero_copy_only=False)
    if REPLANNED in rows.column_names:
        faithful &= pc.fill_null(pc.equal(rows[REPLANNED], rows["plan"]), False).to_numpy(zero_copy_only=False)
    wording = wordings(masked)
    faithful &= ~held_out(wording, hold_out_wordings) | np.asarray(pc.equal(wording, rows["wording"].combine_chunks()))
    changed = {"wording": wording, "id": row_ids(rows["source"], question, rows["plan"], rows["answers"])}
    table = pa.table([changed.get(field.name, rows[field.name]) for field in QUESTION_SCHEMA], schema=QUESTION_SCHEMA)
    return table.filter(pa.array(faithful))
