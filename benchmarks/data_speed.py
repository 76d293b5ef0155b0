"""Rows and triples a second from disk to tensors: raykg's stream, plain Ray Data and HF datasets streaming; memory, position, waiting.

    python benchmarks/data_speed.py --peers PYTHON          # of an environment with datasets; fifteen minutes on 2 cores
    python benchmarks/data_speed.py rows --rows 20000 --seconds 10
    python benchmarks/data_speed.py triples position        # some of it

Rows. A set of 200,000 generated questions lies on disk as raykg writes it, in Parquet parts, which all read. Prompts and plans are written,
tokenised with SmolLM2's tokenizer and padded to int64 tensors, in global batches of 32 rows for one worker and for two; no row asks for
facts. raykg's side is `TokenStream` as a training opens it, with its cut into micro-batches by length. Plain Ray Data is `read_parquet`
with shuffled files, `map_batches`, `streaming_split` and `iter_torch_batches` with a local shuffle buffer; HF datasets is a streamed
`load_dataset` with `shuffle` and `map` in a DataLoader of two processes. What they promise is not the same: raykg's order is one
permutation of the whole set (in windows of 65,536 rows), the same for any number of workers, and it can be entered at any step; the peers'
order is that of shuffled files and a buffer, another for other workers or timing, and Ray Data's cannot be entered in the middle.

Triples. raykg's `TripleStream` takes those of a graph of ten million, in batches of 8,192, from its memory-mapped arrays in the process
that trains, as ids and as words (`verbalise`); no Ray takes part. The peers read the same triples, as ids, from Parquet.

Every contender is a process of its own, with what it starts; Ray has 4 logical CPUs and a store of 1 GiB, its workers the niceness of
everybody else. A short epoch that nobody measures comes first, for all alike: starting Ray and opening tokenizers is not counted. Then
the clock runs from the moment when an epoch is asked for to the arrival of its last batch; in the middle of one, a peer that works ahead
would be measured by what it made before. What it waits for its first batch is shown, and dominates small sets; raykg's epochs follow each
other without it. Waiting is measured with steps that sleep 50 ms, as a stand-in for a GPU's; the real thing is `data_wait` in a run's
metrics.jsonl and what `benchmarks/finetune_speed.py` prints. Memory is read from Linux's /proc.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
from import_speed import write  # noqa: E402 - the same triples
from peers import streams  # noqa: E402
from peers.streams import Found, Told  # noqa: E402

BATCH, TRIPLES_BATCH = 32, 8192
BUFFER, TRIPLES_BUFFER = 10_000, 65_536
STEP = 0.05  # seconds of a step, where waiting is measured
DISTINCT = 10_000  # generated questions; more rows repeat them
PART = 2_000  # rows of a part, as raykg's own generation writes them
NAMES = {"raykg": "raykg", "raykg-words": "raykg, as words", "ray": "plain Ray Data", "datasets": "HF datasets streaming"}
WARM_STEPS = 64  # of the epoch that is not measured
LIMIT = 900  # seconds of a contender


def main() -> None:
    """Measure what is asked for, and print."""
    parts = {"rows": rows, "waiting": waiting, "triples": triples, "position": position}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*parts, []], help="what to measure (default: all)")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--triples", type=int, default=10_000_000)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement of waiting, and of HF datasets' triples")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="that rows are dealt to (default: 1 2)")
    parser.add_argument("--peers", type=Path, default=None, help="Python with datasets (default: HF datasets is left out)")
    parser.add_argument(
        "--folder", type=Path, default=None, help="where questions and graphs are made, and kept (default: a temporary one)"
    )
    parser.add_argument("--contender", type=Path, default=None, help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks"), os.environ.get("PYTHONPATH", "")])
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's default lets its workers wait for everybody else
    if given.contender:
        contend(Told(**json.loads(given.contender.read_text(encoding="utf-8"))))
        return
    with tempfile.TemporaryDirectory(prefix="data-speed-") as name:
        folder = given.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        ratios = [ratio for part in given.parts or parts for ratio in parts[part](folder, given)]
    print("".join(f"\nratio: {ratio}" for ratio in ratios))


def rows(folder: Path, given: argparse.Namespace) -> list[str]:
    """Compare rows a second, memory and CPU time, for one worker and for two."""
    told, ratios = told_of_questions(folder, given), []
    print(f"\n{told.count:,} rows, {BATCH} a batch\n\n| | workers | rows/s | tokens/s | first batch after, s | ", end="")
    print("CPU s for 1,000 rows | a worker's memory, MiB | all processes, MiB |\n|---|---:|---:|---:|---:|---:|---:|---:|")
    for workers in given.workers:
        speeds = {}
        for how in contenders(given):
            found = measured(replace(told, how=how, workers=workers), folder, given)
            speeds[how] = found.speed
            print(f"| {NAMES[how]} | {workers} | {found.speed:,.0f} | {found.tokens / found.seconds:,.0f} | ", end="")
            print(f"{found.openings / workers:.2f} | {1000 * found.cpu / found.rows:.2f} | ", end="")
            print(f"{found.own / 2**20:,.0f} | {found.together / 2**20:,.0f} |", flush=True)
        ratios += [
            f"{speeds['raykg'] / speeds[how]:.2f} times {NAMES[how]}, {workers} worker{'s' * (workers > 1)}"
            for how in speeds
            if how != "raykg"
        ]
    return ratios


def waiting(folder: Path, given: argparse.Namespace) -> list[str]:
    """Compare how long a step of 50 ms waits for its batch."""
    told = replace(told_of_questions(folder, given), pause=STEP, seconds=given.seconds)
    print(f"\n| steps of {1000 * STEP:.0f} ms, 1 worker | steps | waited for data, % of the time | first batches after, s |")
    print("|---|---:|---:|---:|")
    for how in contenders(given):
        found = measured(replace(told, how=how), folder, given)
        waited = (found.waited - found.openings) / (found.seconds - found.openings)
        print(f"| {NAMES[how]} | {found.steps:,.0f} | {100 * waited:.2f} | {found.openings:.2f} |", flush=True)
    return []


def triples(folder: Path, given: argparse.Namespace) -> list[str]:
    """Compare triples a second, and show the memory of a whole epoch of them."""
    told, speeds = told_of_graph(folder, given), {}
    print(f"\n{told.count:,} triples, {TRIPLES_BATCH:,} a batch")
    print("\n| | triples | triples/s | own memory, MiB | mapped pages, MiB | all processes, MiB |\n|---|---:|---:|---:|---:|---:|")
    for how in ("raykg", "raykg-words", *contenders(given)[1:]):
        found = measured(replace(told, how=how, seconds=given.seconds if how == "datasets" else None), folder, given)
        speeds[how] = found.speed
        print(f"| {NAMES[how]} | {found.rows:,.0f} | {found.speed:,.0f} | {found.own / 2**20:,.0f} | ", end="")
        print(f"{found.mapped / 2**20:,.0f} | {found.together / 2**20:,.0f} |", flush=True)
    return [f"{speeds['raykg'] / speeds[how]:.2f} times {NAMES[how]}, triples" for how in speeds if not how.startswith("raykg")]


def position(folder: Path, given: argparse.Namespace) -> list[str]:
    """Show how large a position is, and how long it takes to go there."""
    from raykg.data.order import Order

    told = told_of_questions(folder, given)
    order = Order(10_000_000, BATCH, told.seed)
    last = (order.rows - 1) // BATCH
    state = json.dumps({"seed": told.seed, "step": last})
    print(f"\nposition: {state}, {len(state)} bytes; what a Ray Data task is told: {len(pickle.dumps(stream_of(told, 0, 1).slicer))} bytes")
    for epoch in (0, 1000):
        times = []
        for turn in range(200):
            began = time.perf_counter()
            order.row_ids(epoch * order.steps_per_epoch + last - turn)
            times.append(1000 * (time.perf_counter() - began))
        print(f"seek to row 10,000,000 of epoch {epoch}: median {np.median(times):.2f} ms, longest {max(times):.2f} ms")
    return []


def contenders(given: argparse.Namespace) -> tuple[str, ...]:
    """Return whom to compare; ours first."""
    return ("raykg", "ray", "datasets") if given.peers else ("raykg", "ray")


def told_of_questions(folder: Path, given: argparse.Namespace) -> Told:
    """Return what contenders are told about the rows; the set is made where it is not there yet."""
    from raykg.data.question_set import QuestionSet
    from raykg.models.reference import DEFAULT, resolve

    tokenizer, source = str(resolve(DEFAULT)), folder / f"questions-{given.rows}"
    apart(make_questions, folder, source, given.rows)
    made = QuestionSet.open(source)
    same_tokens(made, tokenizer)
    return Told(
        how="raykg", triples=False, files=[str(file) for file in made.files()], source=str(source), tokenizer=tokenizer,
        count=made.num_rows, batch=BATCH, workers=1, buffer=min(BUFFER, made.num_rows // 4), seconds=None, pause=0.0, out="",
    )  # fmt: skip


def told_of_graph(folder: Path, given: argparse.Namespace) -> Told:
    """Return what contenders are told about the triples; the graph is made where it is not there yet."""
    from raykg.kg.graph import KnowledgeGraph

    source = folder / f"graph-{given.triples}"
    if not (source / "triples").is_dir():
        apart(make_graph, source, given.triples)
    return Told(
        how="raykg", triples=True, files=sorted(str(file) for file in (source / "triples").iterdir()), source=str(source), tokenizer="",
        count=KnowledgeGraph.open(source, verify=False).num_triples, batch=TRIPLES_BATCH, workers=1, buffer=TRIPLES_BUFFER,
        seconds=None, pause=0.0, out="",
    )  # fmt: skip


def apart(function: Any, *arguments: object) -> None:  # noqa: ANN401 - of any arguments
    """Run a function in a process of its own, so that nothing of it stays in this one."""
    process = get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{function.__name__} failed")


def make_questions(folder: Path, place: Path, count: int) -> None:
    """Write generated questions about the built-in films as raykg writes a set, in parts of `PART` rows."""
    from raykg.data.generate import Generator
    from raykg.data.question_set import existing, write_questions
    from raykg.data.sources.generated import Config
    from raykg.kg.source import GraphConfig, open_graph

    if existing(place, {"rows": count}):
        return
    graph = open_graph(GraphConfig(source="builtin:movies"), storage=folder)
    generator = Generator(graph, Config(wordings="movies", split="all"), seed=0)
    distinct = [generator.rows(np.arange(first, first + PART)) for first in range(0, min(count, DISTINCT), PART)]
    start_ray()
    import ray.data

    parts = [distinct[number % len(distinct)] for number in range(-(-count // PART))]
    write_questions(ray.data.from_arrow([*parts[:-1], parts[-1].slice(0, count - PART * (len(parts) - 1))]), place, {"rows": count})


def make_graph(place: Path, count: int) -> None:
    """Import random triples, and write those of the graph as Parquet, in 16 files."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from raykg.kg.importing import import_graph

    with tempfile.TemporaryDirectory(prefix="data-speed-") as name:
        write(Path(name) / "all", count)
        graph, _ = import_graph(place, [str(Path(name) / "all.tsv")])
    made = place / "made"
    made.mkdir()
    for number, rows in enumerate(np.array_split(np.arange(graph.num_triples), 16)):
        columns = [np.asarray(column[rows[0] : rows[-1] + 1]) for column in (graph.heads, graph.relation_ids, graph.tails)]
        pq.write_table(pa.table(columns, names=streams.TRIPLE), made / f"{number:02d}.parquet")
    made.rename(place / "triples")


def same_tokens(made: Any, tokenizer: str) -> None:  # noqa: ANN401 - raykg's QuestionSet
    """Refuse a comparison in which the peers' tokens are not ours."""
    from raykg.data.prompts import plan_prompt
    from raykg.data.tokenise import Tokeniser

    table = made.take(np.arange(min(1000, made.num_rows)))
    questions, plans = table["question"].to_pylist(), table["plan"].to_pylist()
    ours = Tokeniser(tokenizer).encode([plan_prompt(question) for question in questions], plans)
    tokens, prompts = streams.tokenise(questions, plans, tokenizer)
    if [token for row in tokens for token in row] != ours.tokens.tolist() or prompts != ours.prompts.tolist():
        raise SystemExit("the peers' rows are not ours: benchmarks/peers/streams.py writes other prompts than raykg.data.prompts")


@dataclass(slots=True)
class Watch:
    """Looks at a process and all that it has started, once a second."""

    process: psutil.Process
    looks: list[tuple[float, float]] = field(default_factory=list)  # time, CPU seconds so far
    together: float = 0.0  # the most bytes of their own, with the shared memory once; what forked processes share counts in each
    _cpu: dict[int, float] = field(default_factory=dict)

    def until(self, ended: threading.Event) -> None:
        """Look until the event is set."""
        while not ended.wait(1.0):
            own = shared = 0
            for one in self.all():
                try:
                    lines = Path(f"/proc/{one.pid}/status").read_text(encoding="utf-8")
                    kinds = dict(line.split(":", 1) for line in lines.splitlines())
                    own += int(kinds["RssAnon"].split()[0]) * 1024
                    shared = max(shared, int(kinds["RssShmem"].split()[0]) * 1024)
                    self._cpu[one.pid] = sum(one.cpu_times()[:2])
                except (OSError, KeyError, psutil.Error):  # it has just ended
                    continue
            self.looks.append((time.monotonic(), sum(self._cpu.values())))
            self.together = max(self.together, float(own + shared))

    def all(self) -> list[psutil.Process]:
        """Return the process and all that it has started, as far as they live."""
        try:
            return [self.process, *self.process.children(recursive=True)]
        except psutil.Error:
            return []


def measured(told: Told, folder: Path, given: argparse.Namespace) -> Found:
    """Run a contender in a process of its own and return what it and its watch have found."""
    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    told = replace(told, out=str(out))
    (out / "told").write_text(json.dumps(asdict(told)), encoding="utf-8")
    command, environment = [sys.executable, __file__, "--contender", str(out / "told")], dict(os.environ)
    if told.how == "datasets":
        command = [str(given.peers), streams.__file__, str(out / "told")]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf")}
    with (out / "log").open("w") as log, subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=ROOT) as process:
        watch, ended = Watch(psutil.Process(process.pid)), threading.Event()
        watching = threading.Thread(target=watch.until, args=(ended,))
        watching.start()
        try:
            until = time.monotonic() + LIMIT
            while process.poll() is None and not streams.done(told) and time.monotonic() < until:
                time.sleep(0.2)
            with suppress(subprocess.TimeoutExpired):
                process.wait(20 if streams.done(told) else 0)
        finally:
            ended.set()
            watching.join()
            for one in watch.all():  # none where all went well
                with suppress(psutil.Error):
                    one.kill()
    if not streams.done(told):  # what DataLoader's processes say when they are ended does not count
        raise SystemExit(f"{told.how} failed: {(out / 'log').read_text(encoding='utf-8')[-3000:]}")
    return Found.of(told, watch.looks, watch.together)


def contend(told: Told) -> None:
    """Be a contender: this process is its own."""
    if told.triples and told.how != "ray":
        streams.work(iter([raykg_triples(told, 2), raykg_triples(told, -(-told.count // told.batch))]), 0, told)
        return
    start_ray()
    if told.how == "ray":
        streams.run_ray(told)
        return
    import ray

    task = ray.remote(num_cpus=1, max_retries=0)(work_raykg)
    streams.await_workers([task.remote(rank, told) for rank in range(told.workers)], told)


def start_ray() -> None:
    """Start a Ray of this process's own, with token authentication as Ray sets it up."""
    import ray

    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level="ERROR", object_store_memory=1 << 30)
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False


def work_raykg(rank: int, told: Told) -> None:
    """Consume one worker's share of raykg's stream, whose pipeline this process opens, as in a training."""
    steps = -(-told.count // told.batch) if told.seconds is None else WARM_STEPS + int(told.seconds / told.pause)
    streams.work(iter([raykg_rows(rank, told, WARM_STEPS), raykg_rows(rank, told, steps)]), rank, told)


def raykg_rows(rank: int, told: Told, steps: int) -> Iterator[list[streams.Tensors]]:
    """Yield the tensors of some steps."""
    from raykg.data.collate import to_tensors

    for step in stream_of(told, rank, steps):
        yield [to_tensors(micro) for micro in step.micro_batches]


def stream_of(told: Told, rank: int, steps: int) -> Any:  # noqa: ANN401 - raykg's TokenStream
    """Return a worker's stream of some steps."""
    from raykg.data.order import Order
    from raykg.data.stream import TokenStream
    from raykg.data.targets import TargetsConfig

    return TokenStream(
        questions=Path(told.source),
        tokenizer=Path(told.tokenizer),
        order=Order(told.count, told.batch, told.seed),
        targets=TargetsConfig(plan=1.0, read=0.0),
        rank=rank,
        world=told.workers,
        micro_batch=told.each,
        stop_step=steps,
    )


def raykg_triples(told: Told, steps: int) -> Iterator[list[dict[str, Any]]]:
    """Yield some steps of triples in the order of the stream, as tensors of ids or as words, from the graph's mapped arrays."""
    import torch

    from raykg.data.order import Order
    from raykg.data.triple_stream import TripleStream
    from raykg.data.verbalise import verbalise
    from raykg.kg.graph import KnowledgeGraph

    graph = KnowledgeGraph.open(told.source, verify=False)
    for step in TripleStream(graph=graph, order=Order(told.count, told.batch, told.seed), stop_step=steps):
        if told.how == "raykg-words":
            yield [{"texts": verbalise(graph, step.triple_ids, merge=False).texts}]
        else:
            yield [{"triples": torch.from_numpy(step.triples)}]


if __name__ == "__main__":
    main()
