"""Measuring a fine-tuned model against its base: contenders x test sets, dealt over Ray tasks in chunks that are kept.

Each task loads a model once and asks its share of every contender's questions. What is done is a file, so a stopped evaluation goes on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykg.config.load import from_dict
from raykg.kg.mirror import best_effort, fetch
from raykg.kg.mirror import keep as keep_in_bucket
from raykg.train.finetune_config import FinetuneConfig

if TYPE_CHECKING:
    import pyarrow as pa

    from raykg.eval.evaluation_config import Contender
    from raykg.eval.suites.kgqa import Evaluation

KEPT = "evaluation"
"""Folder of finished answers below the run's, where `raykg evaluate` finds them too."""


def evaluate_shard(arguments: Mapping[str, Any]) -> list[tuple[str, Evaluation]]:
    """Ask one share of the questions; return (label, evaluation) in the order of `asked`.

    The base's rows are asked first, so that only one model is in memory at a time.
    """
    from raykg.answer.opening import open_base, open_model
    from raykg.eval.contest import ask_contender

    cfg = from_dict(FinetuneConfig, arguments["config"])
    run = Path(arguments["run"])
    rows = asked(cfg, arguments["tests"])
    device = "cuda" if cfg.resources.gpus_per_worker else "cpu"
    fetch(run / KEPT)
    results: dict[int, tuple[str, Evaluation]] = {}
    for which, opener in (("base", open_base), ("tuned", open_model)):
        mine = [number for number, (_, contender, _) in enumerate(rows) if contender.model == which]
        if not mine:
            continue
        opened = opener(run, batch=cfg.evaluation.batch, device=device, dtype=cfg.model.dtype, wheel=cfg.model.wheel)
        for number in mine:
            label, contender, table = rows[number]
            share = (arguments["share"][0], arguments["share"][1])
            try:
                results[number] = label, ask_contender(contender, cfg.evaluation, opened, table, run / KEPT, share)
            finally:
                with best_effort():
                    keep_in_bucket(run / KEPT)
    return [results[number] for number in range(len(rows))]


def asked(cfg: FinetuneConfig, tests: Mapping[str, str]) -> list[tuple[str, Contender, pa.Table]]:
    """Return (label, contender, test rows) of every row of the table; labels name the test set where there are several."""
    from raykg.data.question_set import QuestionSet

    rows = []
    for name, folder in tests.items():
        table = QuestionSet.open(folder).to_table()
        for contender in cfg.evaluation.contenders:
            rows.append((contender.label if len(tests) == 1 else f"{name}: {contender.label}", contender, table))
    return rows


def chunks(cfg: FinetuneConfig, tests: Mapping[str, str]) -> int:
    """Return how many files a whole evaluation of these question sets leaves."""
    sizes = [min(contender.questions, table.num_rows) for _, contender, table in asked(cfg, tests)]
    return sum(-(-size // cfg.evaluation.batch) for size in sizes)


def keep(parts: Sequence[Sequence[tuple[str, Evaluation]]], folder: Path) -> list[dict[str, str]]:
    """Merge the shares and write one Arrow file per contender; return what `kept` reads them by."""
    import pyarrow as pa

    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, same in enumerate(zip(*parts, strict=True)):
        label, first = same[0]
        whole = first.merge(*(evaluation for _, evaluation in same[1:]))
        file = folder / f"{number:02d}-{re.sub('[^a-z0-9]+', '-', label.lower()).strip('-')}.arrow"
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, whole.table.schema) as writer:
            writer.write_table(whole.table)
        rows.append({"label": label, "file": str(file), "strategy": whole.strategy, "topics": whole.topics, "kg_version": whole.kg_version})
    return rows


def kept(rows: Sequence[Mapping[str, str]]) -> list[tuple[str, Evaluation]]:
    """Read what `keep` wrote."""
    import pyarrow as pa

    from raykg.eval.suites.kgqa import Evaluation

    found = []
    for row in rows:
        fetch(Path(row["file"]))
        table = pa.ipc.open_file(pa.memory_map(row["file"])).read_all()
        topics: Any = row["topics"]
        found.append((row["label"], Evaluation(table, row["strategy"], topics, row["kg_version"])))
    return found
