"""Ten million triples into a graph: raykg, PyKEEN's TriplesFactory, pyoxigraph's bulk load and RDFLib.

    python benchmarks/import_speed.py --peers PYTHON              # of an environment with pykeen and rdflib; five minutes on 2 cores
    python benchmarks/import_speed.py --triples 1000000

The triples are random, with 50 relations and entities drawn with the probability of their rank, written as TSV and as N-Triples. raykg
imports all of them, checked, with its indexes both ways, sorted, without duplicates and on disk. So do the peers, but for RDFLib, which
would need ten minutes and as many gigabytes: it gets as many as `--rdflib-triples` says. Each is a process of its own; memory is the most
that one held.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
RELATIONS = 50

PEERS = {
    "pykeen": "from pykeen.triples import TriplesFactory\nprint(TriplesFactory.from_path({file!r}).num_triples)",
    "oxigraph": (
        "import pyoxigraph\nstore = pyoxigraph.Store({place!r})\n"
        "store.bulk_load(path={file!r}, format=pyoxigraph.RdfFormat.N_TRIPLES)\nstore.flush()\nprint(len(store))"
    ),
    "rdflib": "import rdflib\ngraph = rdflib.Graph()\ngraph.parse({file!r}, format='nt')\nprint(len(graph))",
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--triples", type=int, default=10_000_000)
    parser.add_argument("--rdflib-triples", type=int, default=1_000_000, help="at most (default: a million)")
    parser.add_argument("--peers", type=Path, default=Path(sys.executable), help="Python with pykeen and rdflib (default: this one)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="import-speed-") as name:
        folder = Path(name)
        few = min(given.triples, given.rdflib_triples)
        write(folder / "all", given.triples)
        write(folder / "few", few)
        print("| | triples | seconds | triples/s | memory, GiB |\n|---|---:|---:|---:|---:|")
        ours = {}
        for kind in ("tsv", "nt"):
            command = ["kg", "import", str(folder / f"all.{kind}"), "--store", str(folder / f"graph-{kind}")]
            code = f"from raykg.cli.main import main\nmain({command!r})"
            ours[kind] = show(f"raykg, {kind}", given.triples, *measured([sys.executable, "-c", code]))
        theirs = {}
        for peer, file, count in (("pykeen", "all.tsv", given.triples), ("oxigraph", "all.nt", given.triples), ("rdflib", "few.nt", few)):
            code = PEERS[peer].format(file=str(folder / file), place=str(folder / "store"))
            theirs[peer] = show(peer, count, *measured([str(given.peers), "-c", code]))
        for peer, kind in (("pykeen", "tsv"), ("oxigraph", "nt"), ("rdflib", "nt")):
            print(f"ratio: {ours[kind] / theirs[peer]:.1f} times {peer}")


def write(path: Path, count: int) -> None:
    """Write random triples, duplicates among them, as `path`.tsv and `path`.nt; the same for the same count."""
    random = np.random.default_rng(count)
    nodes = max(2, count // 5)
    with path.with_suffix(".tsv").open("w") as tsv, path.with_suffix(".nt").open("w") as nt:
        for begin in range(0, count, 500_000):
            size = min(500_000, count - begin)
            ends = (nodes * random.random((2, size)) ** 3).astype(np.int64)  # low ranks are drawn most often
            relations = random.integers(0, RELATIONS, size)
            for head, relation, tail in zip(ends[0].tolist(), relations.tolist(), ends[1].tolist(), strict=True):
                tsv.write(f"entity/{head}\trelation/{relation}\tentity/{tail}\n")
                nt.write(f"<http://kg.example/entity/{head}> <http://kg.example/relation/{relation}> <http://kg.example/entity/{tail}> .\n")


def measured(command: list[str]) -> tuple[float, int]:
    """Run a command; return its seconds and the most bytes that it held."""
    began = time.monotonic()
    wrapped = (
        "import json, resource, subprocess, sys\n"
        "done = subprocess.run(json.loads(sys.argv[1]), stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)\n"
        "sys.exit(done.returncode)"
    )
    done = subprocess.run(
        [sys.executable, "-c", wrapped, json.dumps(command)], stdout=subprocess.PIPE, text=True, check=False, cwd=ROOT, env=dict(os.environ)
    )
    if done.returncode:
        raise SystemExit(f"failed: {' '.join(command)[:300]}")
    return time.monotonic() - began, int(done.stdout.strip().splitlines()[-1])


def show(name: str, triples: int, seconds: float, memory: int) -> float:
    """Print a row of the table and return triples a second."""
    print(f"| {name} | {triples:,} | {seconds:.1f} | {triples / seconds:,.0f} | {memory / 2**30:.2f} |", flush=True)
    return triples / seconds


if __name__ == "__main__":
    main()
