"""The service scores what offline evaluation scores: the same held-out questions, once through HTTP and once without it.

    python benchmarks/serve_scores.py runs/quickstart --questions 300 --clients 16

The run's own test questions, drawn as evaluations draw them, are asked by the strategy and settings of the run's evaluation: of a
`raykg serve` over HTTP, by many clients at once, and of the same code in this process. Both are scored by `raykg.eval`. Printed are the
table of both and every question that is answered differently; the exit code is 1 where more than one is scored differently. Batches differ
between the two, so the last bit of a logit may, and with it, once in thousands of questions, a near-tie.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from served import post, served

if TYPE_CHECKING:
    import pyarrow as pa

    from raykg.eval.evaluation_config import Contender, EvaluationConfig
    from raykg.eval.suites.kgqa import Evaluation

ALLOWED = 1  # questions that may be scored differently
COMPARED = ("hits_at_1", "set_match")


def main() -> None:
    """Score both and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--replicas", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--strategy", default="plan_execute")
    given = parser.parse_args()
    from raykg.eval.suites.kgqa import sample
    from raykg.eval.tables import ComparisonTable

    cfg, contender = evaluated(given.run, given.strategy)
    rows = sample(test_questions(given.run), given.questions, cfg.seed)
    if rows.num_rows < given.questions:
        print(f"the run has {rows.num_rows} test questions")
    through = over_http(given, contender, rows)
    offline = in_this_process(given.run, cfg, contender, rows)
    from rich.console import Console

    tables = ComparisonTable.of(
        [(f"HTTP, {contender.label}", through), (f"offline, {contender.label}", offline)], None, cfg.resamples, cfg.seed
    )
    Console(highlight=False).print(tables.console_table())
    different = compare(through, offline)
    print(f"\nquestions scored differently: {different} of {rows.num_rows} (allowed: {ALLOWED})")
    sys.exit(different > ALLOWED)


def evaluated(run: Path, strategy: str) -> tuple[EvaluationConfig, Contender]:
    """Return the run's evaluation and, of its contenders, the fine-tuned model with this strategy; with default settings if it has none."""
    from raykg.answer.opening import choose_strategy, open_saved
    from raykg.config.load import from_dict
    from raykg.eval.evaluation_config import Contender, EvaluationConfig

    saved = open_saved(run)
    cfg = from_dict(EvaluationConfig, saved.config.get("evaluation", {}))
    known = [one for one in cfg.contenders if one.model == "tuned" and one.strategy.name == strategy]
    return cfg, known[0] if known else Contender(strategy=choose_strategy(strategy, saved))


def test_questions(run: Path) -> pa.Table:
    """Return the run's test questions, as `raykg evaluate` reads them."""
    import pyarrow as pa

    from raykg.answer.opening import open_saved
    from raykg.cli.evaluate import question_sets

    return pa.concat_tables(question_sets(run, [], open_saved(run)).values())


def over_http(given: argparse.Namespace, contender: Contender, rows: pa.Table) -> Evaluation:
    """Ask a service everything and score what it answers."""
    from raykg.config.load import to_dict
    from raykg.eval.suites.kgqa import Evaluation, questions_of, score

    strategy = {"name": contender.strategy.name, **to_dict(contender.strategy.config)}
    settings = {
        "models": {"m": str(given.run.absolute())},
        "strategy": contender.strategy.name,
        "strategies": [strategy],
        "replicas": {"count": given.replicas},
    }
    questions = questions_of(rows, contender.topics)
    bodies = [{"question": one.text} | ({"topics": list(one.topics)} if one.topics else {}) for one in questions]
    with tempfile.TemporaryDirectory(prefix="serve-scores-") as folder, served(settings, Path(folder)) as url:
        started = time.perf_counter()
        with ThreadPoolExecutor(given.clients) as pool:
            records = list(pool.map(lambda body: post(url, "/v1/answers", body), bodies))
        seconds = time.perf_counter() - started
    print(f"{len(records)} answers over HTTP in {seconds:.1f} s, {len(records) / seconds:.1f} a second, {given.clients} clients")
    answers = [answer_of(record) for record in records]
    supported = [answer.status == "answered" for answer in answers]  # what is not, records hold apart
    table = score(answers, supported, rows, range(rows.num_rows))
    return Evaluation(table, contender.strategy.name, contender.topics, str(records[0]["kg"]["version"]))


def answer_of(record: Mapping[str, Any]) -> Any:  # noqa: ANN401 - an Answer, whose module is imported when it is needed
    """Return an answer record as the answer that it is of, as far as scoring looks at it."""
    from raykg.answer.question import Answer
    from raykg.kg.logical_form import Proof

    told: Sequence[Mapping[str, Any]] = record["answers"]
    nodes = [one["node"] for one in told if one["node"] is not None]
    return Answer(
        strategy=record["strategy"],
        status=record["status"],
        answers=tuple(one["text"] for one in told),
        ids=tuple(nodes) if len(nodes) == len(told) else (),
        count=record["count"],
        plan=record["plan"],
        proof=None if isinstance(record["proof"], str) else Proof.from_dict(record["proof"]),
        error=record["error"],
        unverified=tuple(record["unverified"]),
        version=record["kg"]["version"],
    )


def in_this_process(run: Path, cfg: EvaluationConfig, contender: Contender, rows: pa.Table) -> Evaluation:
    """Ask the same of the model in this process, as `raykg evaluate` does."""
    from raykg.answer.opening import open_model
    from raykg.cli.quiet import quiet_libraries
    from raykg.eval.suites.kgqa import evaluate

    quiet_libraries()
    started = time.perf_counter()
    opened = open_model(run, batch=cfg.batch)
    found = evaluate(opened.strategy(contender.strategy), rows, contender.topics, chunk=cfg.batch)
    print(f"{rows.num_rows} answers offline in {time.perf_counter() - started:.1f} s, the model's loading included")
    return found


def compare(through: Evaluation, offline: Evaluation) -> int:
    """Print the questions whose answers differ; return how many are scored differently."""
    different = 0
    for one, other in zip(through.table.to_pylist(), offline.table.to_pylist(), strict=True):
        scored = [name for name in COMPARED if one[name] != other[name]]
        different += bool(scored)
        if scored or one["answers"] != other["answers"]:
            print(f"{'DIFFERENT' if scored else 'same score'}: {one['question']}")
            for where, row in (("HTTP", one), ("offline", other)):
                print(f"    {where:8}{row['status']}: {'; '.join(row['answers'])[:200]}   plan {row['plan']}")
    return different


if __name__ == "__main__":
    main()
