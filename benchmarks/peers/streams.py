"""Shuffled rows of tokens, or triples, out of Parquet files by plain Ray Data or HF datasets, for `data_speed.py` to measure beside ours.

    PEERS benchmarks/peers/streams.py TOLD.json       # HF datasets

PEERS is the Python of an environment with datasets, torch and transformers; plain Ray Data is run by `data_speed.py` itself. raykg is not
imported: prompts are written and tokenised here as anybody would, and `data_speed.py` checks that the tokens are raykg's. The settings are
in the peers' favour where they have a choice: only the needed columns are read, batches of about a thousand rows are tokenised at once by
the fast tokenizer, which is opened once in a process, and rows are padded without a loop over them.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

IGNORE = -100
AT_ONCE = 1000  # rows that are tokenised at once
WARM_FILES, WARM_BATCHES = 4, 64  # of the epoch that is not measured: of Ray Data, of HF datasets
TRIPLE = ["head", "relation", "tail"]

Tensors = dict[str, Any]  # of a micro-batch
Epochs = Iterator[Iterable[Sequence[Tensors]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a contender is told; travels as JSON."""

    how: str
    triples: bool  # and not rows of tokens
    files: Sequence[str]  # Parquet
    source: str  # raykg's question set, or the store of its graph
    tokenizer: str
    count: int  # rows or triples of an epoch
    batch: int  # of all workers together
    workers: int
    buffer: int  # rows that a peer's shuffle buffer holds
    seconds: float | None  # how long to measure; None: one epoch
    pause: float  # seconds that a step takes after its batch has come
    out: str  # folder of the results
    seed: int = 0

    @property
    def each(self) -> int:
        """Rows of a batch that one worker gets."""
        return self.batch // self.workers


@dataclass(slots=True)
class Found:
    """What was measured of a contender: sums over its workers, their mean time, and the most of memory."""

    rows: float = 0.0
    tokens: float = 0.0
    steps: float = 0.0
    speed: float = 0.0  # rows a second
    waited: float = 0.0
    openings: float = 0.0
    seconds: float = 0.0
    cpu: float = 0.0
    own: float = 0.0
    mapped: float = 0.0
    together: float = 0.0

    @classmethod
    def of(cls, told: Told, looks: Sequence[tuple[float, float]], together: float) -> Found:
        """Put together what the workers wrote, the CPU seconds of all processes at some times, and the most that they held together."""
        workers = [json.loads((Path(told.out) / f"{rank}.json").read_text(encoding="utf-8")) for rank in range(told.workers)]
        found = cls(together=together)
        for one in workers:
            for name in ("rows", "tokens", "steps", "waited", "openings"):
                setattr(found, name, getattr(found, name) + one[name])
            found.seconds += (one["ended"] - one["began"]) / len(workers)
            found.own, found.mapped = max(found.own, one["own"]), max(found.mapped, one["mapped"])
        found.speed = found.rows / (found.seconds - (found.openings if told.seconds else 0.0))  # part of an epoch: its start is left out
        times, cpu = zip(*looks, strict=True)
        began, ended = min(one["began"] for one in workers), max(one["ended"] for one in workers)
        found.cpu = float(np.interp(ended, times, cpu) - np.interp(began, times, cpu))
        return found


def work(epochs: Epochs, rank: int, told: Told) -> None:
    """Consume a worker's batches, write what was measured, and go on until all workers have: none is measured with the others idle."""
    out = Path(told.out)
    for found in consume(epochs, told):
        if not (out / f"{rank}.json").exists():
            (out / f"{rank}.partial").write_text(json.dumps(found), encoding="utf-8")
            (out / f"{rank}.partial").rename(out / f"{rank}.json")
        if done(told):
            return


def done(told: Told) -> bool:
    """Tell whether all workers have written what they measured."""
    return all((Path(told.out) / f"{rank}.json").exists() for rank in range(told.workers))


def consume(epochs: Epochs, told: Told) -> Iterator[dict[str, float]]:
    """Yield what was measured when the time is up, again at every batch after that, and at the end.

    The first epoch is not measured. The clock starts when the second one is asked for and stops at the arrival of its last batch, or,
    where `seconds` are told, so long after its first one. `waited` is the time from the end of a step to the arrival of the next batch;
    `openings` the part of it that was spent on epochs' first batches.
    """
    found = dict.fromkeys(("rows", "tokens", "steps", "waited", "openings"), 0.0)
    for _ in next(epochs):
        found |= memory()
    found["began"] = looked = time.monotonic()
    up = False
    for epoch in epochs:
        mark, opening = time.monotonic(), True
        for micro_batches in epoch:
            now = time.monotonic()
            if not up:
                rows, tokens = counted(micro_batches)
                added = {"rows": rows, "tokens": tokens, "steps": 1, "waited": now - mark, "openings": (now - mark) * opening}
                found |= {name: found[name] + value for name, value in added.items()} | {"ended": now}
            if now - looked > 0.25:
                looked = now
                found |= {name: max(value, found[name]) for name, value in memory().items()}
            up = up or (told.seconds is not None and now - found["began"] - found["openings"] >= told.seconds)
            if up:
                yield found
            time.sleep(told.pause)
            mark, opening = time.monotonic(), False
    yield found


def counted(micro_batches: Sequence[Tensors]) -> tuple[int, int]:
    """Return the rows, or triples, and the tokens of a batch."""
    rows = sum(len(next(iter(tensors.values()))) for tensors in micro_batches)
    return rows, sum(int(tensors["attention_mask"].sum()) for tensors in micro_batches if "attention_mask" in tensors)


def memory() -> dict[str, float]:
    """Return this process's resident bytes: its own, pages of mapped files, and shared memory."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    kinds = {"own": "RssAnon", "mapped": "RssFile", "shared": "RssShmem"}
    return {name: 1024.0 * int(lines[kind].split()[0]) for name, kind in kinds.items()}


@lru_cache(maxsize=1)
def tokenizer(folder: str) -> Any:  # noqa: ANN401 - transformers' class
    """Return the tokenizer, opened once in a process."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


def tokenise(questions: Sequence[str], plans: Sequence[str], folder: str) -> tuple[list[list[int]], list[int]]:
    """Return the tokens of prompt, completion and end token of each row, and how many are the prompt's."""
    fast = tokenizer(folder)
    settings = {"add_special_tokens": False, "return_attention_mask": False, "return_token_type_ids": False}
    asked = fast(["\n" + " ".join(question.split()) + " =>" for question in questions], **settings)["input_ids"]
    answered = fast([" " + " ".join(plan.split()) for plan in plans], **settings)["input_ids"]
    return [[*a, *b, fast.eos_token_id] for a, b in zip(asked, answered, strict=True)], [len(a) for a in asked]


def padded(tokens: np.ndarray, lengths: np.ndarray, prompts: np.ndarray, end: int) -> list[Tensors]:
    """Return rows that lie flat, one behind another, as one micro-batch of int64 tensors."""
    import torch

    column = np.arange(int(lengths.max()))
    real = column < lengths[:, None]
    ids = np.full(real.shape, end, dtype=np.int64)
    ids[real] = tokens
    labels = np.where(real & (column >= prompts[:, None]), ids, IGNORE)
    return [{name: torch.from_numpy(a) for name, a in (("input_ids", ids), ("attention_mask", real.astype(np.int64)), ("labels", labels))}]


# Plain Ray Data


def run_ray(told: Told) -> None:
    """Deal Ray Data pipelines to the workers by `streaming_split`, as its documentation says for training: a warm one, then all files."""
    import ray

    task = ray.remote(num_cpus=1, max_retries=0)(work_ray)
    pipelines = [dataset_ray(files, told).streaming_split(told.workers, equal=True) for files in (told.files[:WARM_FILES], told.files)]
    await_workers([task.remote(list(shards), rank, told) for rank, shards in enumerate(zip(*pipelines, strict=True))], told)


def dataset_ray(files: Sequence[str], told: Told) -> Any:  # noqa: ANN401 - Ray's class
    """Return the pipeline over some files."""
    import ray

    data = ray.data.read_parquet(list(files), columns=TRIPLE if told.triples else ["question", "plan"], shuffle="files")
    if told.triples:
        return data
    return data.map_batches(tokenised_table, fn_kwargs={"folder": told.tokenizer}, batch_size=AT_ONCE, batch_format="pyarrow")


def await_workers(tasks: Sequence[Any], told: Told) -> None:
    """Wait until all workers have written what they measured; raise what one of them raises."""
    import ray

    while not done(told):
        ended, _ = ray.wait(list(tasks), num_returns=len(tasks), timeout=0.2)
        ray.get(ended)


def work_ray(shards: Sequence[Any], rank: int, told: Told) -> None:
    """Consume one worker's share of the warm pipeline, then of the other."""
    from ray.data.collate_fn import ArrowBatchCollateFn

    class Collate(ArrowBatchCollateFn):
        def __call__(self, batch: Any) -> list[Tensors]:  # noqa: ANN401 - an Arrow table
            return triples_of(batch) if told.triples else collated(batch, tokenizer(told.tokenizer).eos_token_id)

    def epoch(number: int) -> Iterable[list[Tensors]]:
        found: Iterable[list[Tensors]] = shards[number > 0].iter_torch_batches(
            batch_size=told.each, local_shuffle_buffer_size=told.buffer, local_shuffle_seed=told.seed + number, collate_fn=Collate()
        )
        return found

    work((epoch(number) for number in numbers(told)), rank, told)


def numbers(told: Told) -> Iterable[int]:
    """Return the numbers of the epochs: the warm one, and one more, or more than anybody's time allows."""
    return range(2 if told.seconds is None else 1_000_000)


def tokenised_table(table: Any, folder: str) -> Any:  # noqa: ANN401 - Arrow tables
    """Tokenise a block's batch."""
    import pyarrow as pa

    tokens, prompts = tokenise(table["question"].to_pylist(), table["plan"].to_pylist(), folder)
    return pa.table({"input_ids": pa.array(tokens, pa.list_(pa.int32())), "prompt": pa.array(prompts, pa.int64())})


def collated(table: Any, end: int) -> list[Tensors]:  # noqa: ANN401 - an Arrow table
    """Pad a batch of `tokenised_table`."""
    import pyarrow.compute as pc

    ids = table["input_ids"].combine_chunks()
    return padded(ids.flatten().to_numpy(), pc.list_value_length(ids).to_numpy(), table["prompt"].to_numpy(), end)


def triples_of(table: Any) -> list[Tensors]:  # noqa: ANN401 - an Arrow table
    """Return a batch of triples."""
    import torch

    return [{"triples": torch.from_numpy(np.stack([table[name].to_numpy() for name in TRIPLE], axis=1).astype(np.int64))}]


# HF datasets


def run_datasets(told: Told) -> None:
    """Give every worker a process, which reads its share of the files through a DataLoader."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(told.workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(work_datasets, range(told.workers), [told] * told.workers))


def work_datasets(rank: int, told: Told) -> None:
    """Consume one worker's share: some batches to get warm, then whole epochs."""
    loader = loader_datasets(rank, told)

    def epoch(number: int) -> Iterable[list[Tensors]]:
        loader.dataset.set_epoch(number)
        return loader if number else islice(loader, WARM_BATCHES)

    work((epoch(number) for number in numbers(told)), rank, told)


def loader_datasets(rank: int, told: Told) -> Any:  # noqa: ANN401 - torch's class
    """Return a worker's loader; two processes in all read, shuffle and tokenise, as the machine measured has two cores.

    They are spawned, not forked: Arrow's threads, with which the set was opened, do not survive a fork and may leave their locks behind.
    """
    from datasets import load_dataset
    from datasets.distributed import split_dataset_by_node
    from torch.utils.data import DataLoader

    data = load_dataset("parquet", data_files=list(told.files), split="train", streaming=True)
    data = split_dataset_by_node(data.select_columns(TRIPLE if told.triples else ["question", "plan"]), rank, told.workers)
    data = data.shuffle(seed=told.seed, buffer_size=told.buffer)
    settings: dict[str, Any] = {"num_workers": max(1, 2 // told.workers), "persistent_workers": True, "multiprocessing_context": "spawn"}
    if told.triples:
        return DataLoader(data.batch(told.each), batch_size=None, collate_fn=stacked, **settings)
    tokenised = {"fn_kwargs": {"folder": told.tokenizer}, "remove_columns": ["question", "plan"]}
    data = data.map(tokenised_rows, batched=True, batch_size=AT_ONCE, **tokenised)
    end = tokenizer(told.tokenizer).eos_token_id
    return DataLoader(data, batch_size=told.each, collate_fn=partial(padded_rows, end=end), **settings)


def tokenised_rows(rows: Mapping[str, Any], folder: str) -> dict[str, Any]:
    """Tokenise a batch of rows."""
    tokens, prompts = tokenise(rows["question"], rows["plan"], folder)
    return {"input_ids": tokens, "prompt": prompts}


def padded_rows(rows: Sequence[Mapping[str, Any]], end: int) -> list[Tensors]:
    """Pad a batch of rows."""
    lengths = np.array([len(row["input_ids"]) for row in rows])
    tokens = np.fromiter((token for row in rows for token in row["input_ids"]), dtype=np.int64)
    return padded(tokens, lengths, np.array([row["prompt"] for row in rows]), end)


def stacked(batch: Mapping[str, Any]) -> list[Tensors]:
    """Return a batch of triples."""
    import torch

    return [{"triples": torch.from_numpy(np.stack([np.asarray(batch[name], dtype=np.int64) for name in TRIPLE], axis=1))}]


if __name__ == "__main__":
    run_datasets(Told(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
