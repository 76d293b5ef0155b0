"""Measuring a fine-tuned model against its base: contenders x test sets, dealt over Ray tasks in chunks that are kept.

Each task loads a model once and asks its share of every contender's questions. What is done is a file, so a stopped evaluation goes on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykg.config.load import from_dict
from raykg.train.finetune_config import FinetuneConfig

if TYPE_CHECKING:
    from raykg.data.question_set import QuestionSet
    from raykg.eval.evaluation_config import Contender
    from raykg.eval.suites.kgqa import Evaluation


def evaluate_shard(arguments: Mapping[str, Any]) -> list[tuple[str, Evaluation]]:
    """Ask one share of the questions; return (label, evaluation) in the order of `asked`.

    The base's rows are asked first, so that only one model is in memory at a time.
    """
    from raykg.answer.generation import Generator
    from raykg.data.question_set import QuestionSet
    from raykg.eval.suites.kgqa import evaluate
    from raykg.kg.graph import KnowledgeGraph
    from raykg.kg.linking import Linker

    cfg = from_dict(FinetuneConfig, arguments["config"])
    graph = KnowledgeGraph.open(arguments["graph_root"], arguments["graph_version"], verify=False)
    linker = Linker(graph)
    tests = {name: QuestionSet.open(folder) for name, folder in arguments["tests"].items()}
    results: dict[int, tuple[str, Evaluation]] = {}
    rows = asked(cfg, tests)
    for which in ("base", "tuned"):
        mine = [number for number, (_, contender, _) in enumerate(rows) if contender.model == which]
        if not mine:
            continue
        model, tokenizer, identity = _load(which, cfg, arguments)
        generator = Generator(model, tokenizer, cfg.evaluation.batch)
        for number in mine:
            label, contender, table = rows[number]
            strategy = contender.strategy.method()(contender.strategy.config, graph, linker, generator)
            evaluation = evaluate(
                strategy,
                table,
                contender.topics,
                folder=Path(arguments["folder"]),
                identity=identity,
                share=(arguments["share"][0], arguments["share"][1]),
                chunk=cfg.evaluation.batch,
            )
            results[number] = label, evaluation
    return [results[number] for number in range(len(rows))]


def asked(cfg: FinetuneConfig, tests: Mapping[str, QuestionSet]) -> list[tuple[str, Contender, Any]]:
    """Return (label, contender, rows) of every row of the table; labels name the test set where there are several."""
    from raykg.eval.suites.kgqa import sample

    rows = []
    for name, questions in tests.items():
        table = questions.to_table()
        for contender in cfg.evaluation.contenders:
            label = contender.label if len(tests) == 1 else f"{name}: {contender.label}"
            rows.append((label, contender, sample(table, contender.questions, cfg.evaluation.seed)))
    return rows


def chunks(cfg: FinetuneConfig, tests: Mapping[str, str]) -> int:
    """Return how many files a whole evaluation of these question sets leaves."""
    from raykg.data.question_set import QuestionSet

    rows = asked(cfg, {name: QuestionSet.open(folder) for name, folder in tests.items()})
    return sum(-(-table.num_rows // cfg.evaluation.batch) for _, _, table in rows)


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
        table = pa.ipc.open_file(pa.memory_map(row["file"])).read_all()
        topics: Any = row["topics"]
        found.append((row["label"], Evaluation(table, row["strategy"], topics, row["kg_version"])))
    return found


def _load(which: str, cfg: FinetuneConfig, arguments: Mapping[str, Any]) -> tuple[Any, Any, str]:
    """Return model, tokenizer and the identity that kept answers are found by."""
    from raykg.models.reference import base_sha256, load_model, load_tokenizer
    from raykg.models.saved import load_for_answering

    device = "cuda" if cfg.resources.gpus_per_worker else "cpu"
    base = Path(arguments["base"])
    if which == "base":
        return load_model(base, cfg.model.dtype, device), load_tokenizer(base), base_sha256(base)
    model, tokenizer, _ = load_for_answering(Path(arguments["model"]), wheel=cfg.model.wheel, dtype=cfg.model.dtype, device=device)
    return model, tokenizer, str(arguments["model_identity"])
