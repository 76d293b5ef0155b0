"""Recovers plans from answers only: searches the graph for paths whose results equal the answers, and lets rows worded alike vote.

    rows = recover(dataset, graph.root, graph.version)     # the same rows with plan, template, hops, chain and fit
    recovered_counts(rows)                                  # {"none": 3, "one": 2596, "several": 1879}

Passes over the rows, all in Ray Data tasks on large batches: search (`raykg.data.path_search`), count votes, count conventions, choose
(`raykg.data.votes`). Only the counted votes come to the driver: a few numbers for each distinct wording and path. A row's `fit` says what
the search found for it alone: `one` sequence of steps, `several` (the vote chose), or `none` (no plan). Rows with several topics, or with
an answer that the graph does not know, are `none`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raykg.data.generate import quoted
from raykg.data.masking import mask
from raykg.data.masking import wordings as wordings_of
from raykg.data.path_search import PathSearch
from raykg.data.questions import QUESTION_SCHEMA
from raykg.data.rendering import Patterns
from raykg.data.steps import Ints, StepTable, step_table
from raykg.data.votes import Ballot, count_conventions, count_votes, elect, from_table, settle, to_table
from raykg.data.walks import chains, walk
from raykg.kg.logical_form import Entity, LogicalForm, path, template

if TYPE_CHECKING:
    from ray.data import Dataset

log = logging.getLogger(__name__)

_BATCH = 2048  # rows searched at once
_FITS = "fits"
_MOST_EDGES = 1_000_000  # of one hop, for the chain of a plan that fits: answers are few, so it is never near this


def recover(dataset: Dataset, graph_root: Path, graph_version: str, max_hops: int = 3) -> Dataset:
    """Return the rows with the plans that their answers and their wording tell; the search runs now, the choice when rows are read.

    Args:
        dataset: rows of `QUESTION_SCHEMA` with topics, answers and the nodes of both.
        graph_root: the graph's folder.
        graph_version: its version.
        max_hops: the longest paths to try.
    """
    where = {"root": str(graph_root), "version": graph_version, "max_hops": max_hops}
    searched = _over(dataset, _search_batch, where).materialize()
    ballot = to_table(_tally(_over(searched, _vote_batch, {})))
    conventions = to_table(_tally(_over(searched, _convention_batch, {"ballot": ballot})))
    return _over(searched, _elect_batch, where | {"ballot": ballot, "conventions": conventions})


def recovered_counts(table: pa.Table) -> dict[str, int]:
    """Count rows by their fit."""
    return {row["values"]: row["counts"] for row in pc.value_counts(table["fit"]).to_pylist()}


def recovery_finding(table: pa.Table) -> str:
    """Return the counts of `recovered_counts` as a sentence for a report."""
    counts = recovered_counts(table)
    return (
        f"plans recovered from answers: one plan fits {counts.get('one', 0):,} rows, several fit {counts.get('several', 0):,} "
        f"(rows worded alike decided), none fits {counts.get('none', 0):,}"
    )


def find_fits(rows: pa.Table, search: PathSearch) -> tuple[Ints, Ints]:
    """Return every path that fits a row's answers: row and code, as `PathSearch.fits` does."""
    topics, answers = rows["topic_ids"].combine_chunks(), rows["answer_ids"].combine_chunks()
    single = pc.equal(pc.list_value_length(topics), 1).to_numpy(zero_copy_only=False)
    topic = np.full(rows.num_rows, -1, dtype=np.int64)
    topic[single] = pc.list_element(topics.filter(pa.array(single)), 0).to_numpy(zero_copy_only=False)
    sizes = pc.list_value_length(answers).to_numpy(zero_copy_only=False)
    return search.fits(topic, np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), answers.flatten().to_numpy().astype(np.int64))


def choose_plans(rows: pa.Table, fits: tuple[Ints, Ints], ballot: Ballot, conventions: Ballot, search: PathSearch) -> pa.Table:
    """Return the rows with the plans that the votes choose."""
    election = elect(ballot, rows.num_rows, *_hashes(rows), *fits)
    settled = settle(conventions, election, *fits)
    chosen = settled >= 0
    codes = np.maximum(settled, 0)
    steps, away = search.steps(codes), search.away(codes)
    topics = pc.list_element(_padded(rows["topics"].combine_chunks()), 0)
    shapes, shape = np.unique(codes, return_inverse=True)
    texts = [
        template(form_of(search.table, one, bool(tilde))) for one, tilde in zip(search.steps(shapes), search.away(shapes), strict=True)
    ]
    plans = Patterns(texts).render(shape.astype(np.int64), [quoted(topics)])
    node = np.where(chosen, pc.list_element(_padded(rows["topic_ids"].combine_chunks()), 0).to_numpy(zero_copy_only=False), -1)
    walked = walk(search.table, node.astype(np.int64), np.where(chosen[:, None], steps, -1), away, _MOST_EDGES)
    fit = np.where(~chosen, "none", np.where(election.several, "several", "one"))
    hops = (steps >= 0).sum(axis=1)
    named = pc.binary_join_element_wise(pa.array(hops).cast(pa.string()), "hop", "-")
    filled = {
        "kind": pc.if_else(pc.and_(pc.equal(rows["kind"], ""), pa.array(chosen)), named, rows["kind"]),
        "plan": pc.if_else(pa.array(chosen), plans, ""),
        "template": pc.if_else(pa.array(chosen), pa.array(texts).take(pa.array(shape)), ""),
        "hops": pa.array(np.where(chosen, hops, rows["hops"].to_numpy()).astype(np.int32)),
        "fit": pa.array(fit),
        "chain": pa.array(np.where(chosen, chains(rows.num_rows, walked), 0)),
    }
    return pa.table([filled.get(field.name, rows[field.name]) for field in QUESTION_SCHEMA], schema=QUESTION_SCHEMA)


def form_of(table: StepTable, steps: Ints, away: bool) -> LogicalForm:
    """Return a path from `?1` as a logical form; without steps the entity itself."""
    return path(Entity("?1"), *(table.hop(int(step)) for step in steps if step >= 0), away=away and bool((steps >= 0).any()))


def _over(dataset: Dataset, batch: Callable[..., Any], kwargs: dict[str, Any]) -> Dataset:
    return dataset.map_batches(batch, fn_kwargs=kwargs, batch_format="pyarrow", batch_size=_BATCH)


def _search_batch(rows: pa.Table, root: str, version: str, max_hops: int) -> pa.Table:
    row, code = find_fits(rows, PathSearch(step_table(root, version), max_hops))
    offsets = np.searchsorted(row, np.arange(rows.num_rows + 1)).astype(np.int32)
    return rows.append_column(_FITS, pa.ListArray.from_arrays(pa.array(offsets), pa.array(code)))


def _vote_batch(rows: pa.Table) -> pa.Table:
    return to_table(count_votes(rows.num_rows, *_hashes(rows), *_fits(rows)))


def _convention_batch(rows: pa.Table, ballot: pa.Table) -> pa.Table:
    fits = _fits(rows)
    return to_table(count_conventions(elect(from_table(ballot), rows.num_rows, *_hashes(rows), *fits), *fits))


def _elect_batch(rows: pa.Table, root: str, version: str, max_hops: int, ballot: pa.Table, conventions: pa.Table) -> pa.Table:
    search = PathSearch(step_table(root, version), max_hops)
    return choose_plans(rows, _fits(rows), from_table(ballot), from_table(conventions), search)


def _tally(ballots: Dataset) -> Ballot:
    """Add up the ballots of all blocks."""
    none = to_table(Ballot(np.zeros((0, 3), dtype=np.int64), np.zeros((0, 4), dtype=np.int64)))
    return from_table(pa.concat_tables([none, *ballots.iter_batches(batch_format="pyarrow", batch_size=None)]))


def _fits(rows: pa.Table) -> tuple[Ints, Ints]:
    lists = rows[_FITS].combine_chunks()
    sizes = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    return np.repeat(np.arange(rows.num_rows), sizes), lists.flatten().to_numpy().astype(np.int64)


def _hashes(rows: pa.Table) -> tuple[Ints, Ints]:
    """Return a hash of each row's masked question and of its wording."""
    masked = mask(rows["question"].combine_chunks(), rows["topics"].combine_chunks())
    return _hash(masked), _hash(wordings_of(masked))


def _hash(texts: pa.Array) -> Ints:
    encoded = texts.dictionary_encode()
    codes = [int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big") for text in encoded.dictionary.to_pylist()]
    return np.asarray(np.array(codes, dtype=np.int64)[encoded.indices.to_numpy()])


def _padded(lists: pa.ListArray) -> pa.ListArray:
    """Return the lists with one null appended to empty ones, so that the first element can be taken."""
    empty = pc.equal(pc.list_value_length(lists), 0)
    return pc.if_else(empty, pa.scalar([None], lists.type), lists)
