"""`raykg verify answer.json`: checks an answer record against the graph that it names, without the model."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from raykg.kg.graph import KnowledgeGraph

DOES_NOT_HOLD = 1


def command(
    record: Annotated[Path, typer.Argument(help="A file with an answer record; - reads standard input.", show_default=False)],
    graph: Annotated[
        Path | None, typer.Option(help="Store of the graph, or a version's folder; by default the run's.", show_default=False)
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="The run whose graph it is; the newest finished run in runs/ by default.", show_default=False)
    ] = None,
    live: Annotated[
        str | None, typer.Option(help="Folder or URI of the log, for an answer of a live graph (version BASE+NUMBER).", show_default=False)
    ] = None,
) -> int:
    """Check an answer record: the proof, the answers, the facts, and what it says in words.

    The graph's version that the record names is opened, the proof is checked and the plan executed again. The exit code is 0 where all of
    it holds, 1 where anything does not (every such thing is named), and 2 where there is nothing to check.

    Examples:
        raykg ask "who directed Alien?" --json > answer.json
        raykg verify answer.json
        raykg verify answer.json --graph runs/graphs/movies
        raykg verify answer.json --graph runs/graphs/movies --live runs/live/movies
        curl -s localhost:8000/v1/answers -d '{"question": "who directed Alien?"}' | raykg verify - --graph runs/graphs/movies
    """
    from raykg.answer.record_check import problems, shape_problems

    found = read_record(record)
    wrong = list(shape_problems(found))
    if not wrong:
        wrong = problems(found, open_version(found["kg"]["version"], graph, model, live))
    for line in wrong:
        print(f"{record}: {line}", file=sys.stderr)
    if wrong:
        print(f"{record}: DOES NOT HOLD", file=sys.stderr)
        return DOES_NOT_HOLD
    print(verdict(found))
    return 0


def read_record(path: Path) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Return the JSON of a file or of standard input.

    Raises:
        AnswerError: it cannot be read, or is not JSON.
    """
    from raykg.answer.question import AnswerError

    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AnswerError(f"record ({path}): cannot be read: {error}") from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise AnswerError(f"record ({path}): is not JSON ({error}): give what `raykg ask --json` printed") from error


def open_version(version: str, store: Path | None, run: Path | None, live: str | None) -> KnowledgeGraph:
    """Open the version of the graph that a record names, of a live graph from its log; files are compared with their hashes.

    Raises:
        AnswerError: no run to take the store from, or a live graph's version without its log.
        KgError: no such store, version or log, or it is damaged.
    """
    from raykg.answer.opening import open_saved
    from raykg.answer.question import AnswerError
    from raykg.cli.ask import newest_run
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.live.log import read_log
    from raykg.kg.live.opening import view_at
    from raykg.kg.live.overlay import parse_version
    from raykg.kg.live.storage import Storage

    base, sequence = parse_version(version)
    if sequence and live is None:
        raise AnswerError(f"kg.version ({version}): is the state of a live graph after edit {sequence}: name its log with --live FOLDER")
    if store is None:
        store = Path(open_saved(run or newest_run(Path("runs"))).graph["store"])
    graph = KnowledgeGraph.open(store, base)
    return graph if not sequence or live is None else view_at(read_log(Storage.open(live)), graph, version)


def verdict(record: Mapping[str, Any]) -> str:
    """Return in a line what held."""
    version = record["kg"]["version"]
    if record["status"] != "answered":
        return f"holds: nothing is claimed ({record['status']}), graph version {version}"
    proof, answers = record["proof"], len(record["answers"])
    if isinstance(proof, str):
        return f"holds, unproven: {len(record['facts'])} cited facts are in graph version {version}; answers: {record['text']}"
    shown = f", the proof covers {len(proof['answers'])}" if record["count"] is None and len(proof["answers"]) < answers else ""
    return f"holds: {record['text']} ({_triples(len(proof['triples']))}{shown}), graph version {version}"


def _triples(count: int) -> str:
    return f"{count} proving triple{'' if count == 1 else 's'}"
