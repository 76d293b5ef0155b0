"""The fine-tuning recipe: graph, questions, model, train, evaluate, report.

    outcome = run_finetune(load(FinetuneConfig, "jobs/configs/finetune/quickstart.yaml"), LogListener())

Read `Finetune.run` from top to bottom: it is the whole job. Each stage is skipped when it is done for the same settings, and training goes
on from its newest checkpoint, so the same call after any interruption ends in the same model.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykg.config.load import from_dict, to_dict
from raykg.kg.mirror import best_effort, fetch, keep, local, shown
from raykg.kg.store import write_atomically
from raykg.train import launch
from raykg.train.checkpoint import is_whole
from raykg.train.dead_letters import telling
from raykg.train.errors import StageChanged, TrainError
from raykg.train.finetune_config import FinetuneConfig
from raykg.train.run_folder import RunFolder, digest, held, read_metrics
from raykg.train.story import Listener, LogListener

if TYPE_CHECKING:
    from raykg.eval.suites.kgqa import Evaluation
    from raykg.eval.tables import ComparisonTable

_log = logging.getLogger(__name__)
Done = dict[str, Any]  # what a stage leaves, JSON-like
_UNBOUND = (  # sections and fields that may change when a run goes on: they do not change what is learnt, or the graph that is read
    "run.name",
    "run.storage",
    "run.resume",
    "resources",
    "evaluation",  # its own stage looks at it
    "budgets",
    "graph.store",
    "graph.wheel",  # where a package is found; its hash says what it is
    "model.wheel",
    "train.keep",
    "train.max_left_out",
    "train.checkpoint_every",
    "train.log_every",
    "train.evaluate_every",  # train.evaluate_rows is bound: scores on different rows say nothing about which checkpoint is best
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a run has made."""

    folder: Path
    model: Path
    table: ComparisonTable | None  # None without contenders
    report: Path
    example: str  # a test question
    evaluations: Sequence[tuple[str, Evaluation]] = ()  # the rows of the table, with every answer


class Finetune:
    """Fine-tunes a language model on questions over a knowledge graph, and measures it.

    Abilities: LoRA or all weights; engines torch and deepspeed (ZeRO 0, 2, 3); CPUs and GPUs, one node or a cluster; every stage and every
    training step resumable; lost workers replaced.
    Storage is a folder that every node sees, or a bucket (raykg/kg/mirror.py).

    Raises:
        StageChanged: a run of this name has other settings, or a file that it was made from has changed.
        TrainError: the machine is too small, training failed for good, or another command is at work in the run's folder.
        KgError, DataError, ModelReferenceError: an input is not what it must be.
    """

    def __init__(self, cfg: FinetuneConfig, listener: Listener, config_text: str) -> None:
        self.cfg = cfg
        self.listener = listener
        self.storage = local(cfg.run.storage)
        self.folder = RunFolder(self.storage / cfg.run.name, to_dict(cfg), cfg.run.resume, _UNBOUND, _completed)
        self.config_text = config_text
        write_atomically(self.folder / "config.yaml", config_text)

    def run(self) -> Outcome:
        """Do the whole job, or what is left of it."""
        self.setup_machine()
        graph = self.setup_graph()
        questions = self.setup_questions(graph)
        model = self.setup_model()
        trained = self.train(graph, questions, model)
        evaluations = self.evaluate(questions, model, trained)
        return self.report(graph, questions, model, trained, evaluations)

    def setup_machine(self) -> None:
        """Start Ray or join it, and refuse a size in which the data would starve."""
        launch.start_ray(self.cfg.resources, self.folder / "logs")

    def setup_graph(self) -> Done:
        """Import or open the graph, and build its index of names before many processes would."""

        def run() -> Done:
            from raykg.kg.linking import Linker
            from raykg.kg.source import open_graph

            graph = open_graph(self.cfg.graph, self.storage)
            Linker(graph).link("warm up")
            keep(graph.root)  # the index too
            sizes = {"nodes": graph.num_entities, "relations": graph.num_relations, "triples": graph.num_triples}
            return {"root": str(graph.root), "version": graph.version, **sizes, "files": files}

        from raykg.kg.source import file_hashes

        files = file_hashes(self.cfg.graph)
        done = self._stage(
            "graph", self.cfg.budgets.graph, self._bound("graph"), run, lambda it: f"{it['triples']:,} triples, version {it['version']}"
        )
        return self._unchanged("graph", done, files)

    def setup_questions(self, graph: Done) -> Done:
        """Make the question sets: tests, then what training may see."""

        def run() -> Done:
            from raykg.answer.paraphrase import Paraphraser
            from raykg.kg.graph import KnowledgeGraph

            opened = KnowledgeGraph.open(graph["root"], graph["version"])
            sets = prepare_questions(self.cfg.questions, opened, self.cfg.run.seed, self.folder / "questions", Paraphraser)
            return {
                "train": str(sets.train.folder),
                "validation": str(sets.validation.folder) if sets.validation else None,
                "tests": {name: str(test.folder) for name, test in sets.tests.items()},
                "version": digest([sets.train.version, *(test.version for test in sets.tests.values())])[:16],
                "rows": sets.train.num_rows,
                "test_rows": sum(test.num_rows for test in sets.tests.values()),
                "left_out": dict(sets.train.about.get("left_out", {})),
                "findings": list(sets.train.about.get("findings", [])),
                "files": sets.train.about["files"],
            }

        from raykg.data.prepare import file_hashes, prepare_questions

        depends_on = [self._bound("questions"), graph["version"], self.cfg.run.seed]
        done = self._stage(
            "questions",
            self.cfg.budgets.questions,
            depends_on,
            run,
            lambda it: f"{it['rows']:,} to train on, {it['test_rows']:,} to be tested on",
        )
        return self._unchanged("questions", done, file_hashes([self.cfg.questions.train, *self.cfg.questions.test]))

    def setup_model(self) -> Done:
        """Get the base model once for all workers of this node, and its tokenizer into the run's folder, which all nodes see."""

        def run() -> Done:
            from raykg.models.reference import base_sha256, resolve
            from raykg.models.saved import copy_tokenizer

            base = resolve(self.cfg.model.reference, wheel=self.cfg.model.wheel)
            copy_tokenizer(base, self.folder / "tokenizer")
            return {"tokenizer": str(self.folder / "tokenizer"), "sha256": base_sha256(base)}

        return self._stage("model", self.cfg.budgets.model, self._bound("model"), run, lambda it: self.cfg.model.reference)

    def train(self, graph: Done, questions: Done, model: Done) -> Done:
        """Train under Ray Train and copy the best checkpoint's model."""
        from raykg.train import checkpoint

        arguments = self._training(graph, questions, model)

        def run() -> Done:
            launch.fit("raykg.train.finetune:train_worker", arguments, self.cfg.resources, self.folder.path, self.listener.record)
            best = checkpoint.best(self.folder / "checkpoints", self.cfg.train.evaluate_rows)
            if best is None:
                raise TrainError(f"{self.folder / 'checkpoints'}: training ended and left no whole checkpoint: run the same command again")
            folder, position = best
            weights = checkpoint.take_export(folder, self.folder / "model")
            return {"model": str(self.folder / "model"), "identity": weights, "step": position.step, "metrics": dict(position.metrics)}

        with self.telling_left_out(questions):
            taken = "checkpoint of step {step} taken"
            return self._stage("train", self.cfg.budgets.train, arguments["identity"], run, lambda it: taken.format(**it))

    def telling_left_out(self, questions: Mapping[str, Any]) -> AbstractContextManager[None]:
        """Return what a training is to run in: it tells which rows of `questions["train"]` could not be learnt, however that ends."""
        return telling(lambda: self._left_out(questions), self.listener.note)

    def _left_out(self, questions: Mapping[str, Any]) -> list[str]:
        """Write down which rows could not be learnt, and say how many."""
        from raykg.data.question_set import QuestionSet
        from raykg.data.slicer import reasons
        from raykg.train import dead_letters

        fetch(self.folder / "metrics.jsonl")
        file, records = self.folder / dead_letters.FILE, read_metrics(self.folder / "metrics.jsonl")
        found = dead_letters.write(file, records, QuestionSet.open(questions["train"]), reasons(self.cfg.targets))
        return [f"{rows:,} training rows were left out of their batches: {reason} ({shown(file)})" for reason, rows in found.items()]

    def prepare(self) -> Done:
        """Do what comes before training, and return what its workers are told: `steps`, the length, is among it."""
        self.setup_machine()
        graph = self.setup_graph()
        return self._training(graph, self.setup_questions(graph), self.setup_model())

    def advance(self, share: float, start: Path | None = None) -> Path:
        """Train up to a share of the steps, which is how a sweep's trials go on in legs; return the checkpoint that is there.

        It holds an evaluation of the held-out rows. The schedule is that of the whole training, and the last leg ends where `run` would.

        Args:
            share: of the whole training, above 0.
            start: another run's checkpoint to begin with, where this run has none yet.
        """
        arguments, folder = self.leg(share, start)
        if not is_whole(folder):
            with self.telling_left_out(arguments["inputs"]):
                launch.fit("raykg.train.finetune:train_worker", arguments, self.cfg.resources, self.folder.path, self.listener.record)
        fetch(folder)
        return folder

    def leg(self, share: float, start: Path | None = None) -> tuple[Done, Path]:
        """Prepare a leg, and return what its workers are told and the checkpoint that they will leave."""
        from raykg.train import checkpoint

        arguments = self.prepare()
        root = self.folder / "checkpoints"
        until = max(1, round(share * arguments["steps"]))
        if start is not None and checkpoint.newest(root) is None:
            checkpoint.adopt(start, root, arguments["identity"])
        return arguments | {"until": until}, checkpoint.folder_of(root, until)

    def _training(self, graph: Done, questions: Done, model: Done) -> Done:
        """Return what the workers are told."""
        from raykg.data.order import Order
        from raykg.models import saved

        order = Order(questions["rows"], self.cfg.train.batch, self.cfg.run.seed)
        identity = self.folder.settings | {
            "graph version": graph["version"],
            "questions version": questions["version"],
            "base sha256": model["sha256"],
            "model format": saved.FORMAT,  # no training goes on with other prompts than it began with
        }
        return {
            "config": to_dict(self.cfg),
            "folder": str(self.folder.path),
            "steps": self.cfg.train.total_steps(order.steps_per_epoch),
            "rows": questions["rows"],
            "inputs": {
                "graph_root": graph["root"],
                "graph_version": graph["version"],
                "train": questions["train"],
                "validation": questions["validation"],
                "tokenizer": model["tokenizer"],
                "base_sha256": model["sha256"],
            },
            "identity": identity,
        }

    def evaluate(self, questions: Done, model: Done, trained: Done) -> list[tuple[str, Evaluation]]:
        """Ask every contender, in as many tasks as there are workers."""
        from raykg.train import measure

        folder = self.folder / measure.KEPT
        shares = self.cfg.resources.workers

        def run() -> Done:
            total = measure.chunks(self.cfg, questions["tests"])
            before = len(list(folder.glob("*.arrow")))

            def look() -> None:
                with best_effort():
                    fetch(folder)
                self.listener.progress("evaluate", min(len(list(folder.glob("*.arrow"))) - before, total), total)

            common = {"config": to_dict(self.cfg), "run": str(self.folder.path), "tests": questions["tests"]}
            shards = [{**common, "share": [number, shares]} for number in range(shares)]
            parts = launch.map_shards("raykg.train.measure:evaluate_shard", shards, self.cfg.resources, self.folder / "logs", look)
            return {"rows": measure.keep(parts, folder / "tables")}

        if not self.cfg.evaluation.contenders:
            return []
        depends_on = [to_dict(self.cfg.evaluation), trained["identity"], model["sha256"], questions["version"]]
        done = self._stage("evaluate", self.cfg.budgets.evaluate, depends_on, run, lambda it: f"{len(it['rows'])} contenders")
        return measure.kept(done["rows"])

    def report(self, graph: Done, questions: Done, model: Done, trained: Done, evaluations: Sequence[tuple[str, Evaluation]]) -> Outcome:
        """Write the report with everything that the run was."""
        from raykg.data.question_set import QuestionSet
        from raykg.eval.contest import prompt_words
        from raykg.eval.majority import Majority
        from raykg.eval.report import ReportFacts, write_report
        from raykg.eval.tables import ComparisonTable
        from raykg.train.summary import training_facts

        self.listener.stage("report", self.cfg.budgets.report)
        started = time.monotonic()
        settings = self.cfg.evaluation
        records = read_metrics(self.folder / "metrics.jsonl")
        majority = Majority.of(QuestionSet.open(questions["train"]).to_table(["kind", "answers"]))
        table = ComparisonTable.of(evaluations, majority, settings.resamples, settings.seed)
        facts = ReportFacts(
            title=self.cfg.run.name,
            config=self.config_text,
            graph={"source": self.cfg.graph.source, **{key: graph[key] for key in ("version", "nodes", "relations", "triples")}},
            model={"base": self.cfg.model.reference, "weights sha256": model["sha256"]},
            seeds={"run": self.cfg.run.seed, "evaluation": settings.seed},
            training=training_facts(records) | {"engine": self.cfg.engine.name, "checkpoint taken": f"step {trained['step']}"},
            notes=[
                *questions["findings"],
                *(f"{rows:,} rows left out of training: {reason}" for reason, rows in questions["left_out"].items() if rows),
                *self._left_out(questions),
            ],
            prompts={contender.label: prompt_words(contender) for contender in settings.contenders},
            records=records,
        )
        path = write_report(self.folder.path, facts, table, evaluations, settings.failures)
        self.folder.keep()
        self.listener.done("report", time.monotonic() - started, "", True)
        example = QuestionSet.open(next(iter(questions["tests"].values()))).take([0])["question"][0].as_py()
        return Outcome(
            folder=self.folder.path,
            model=Path(trained["model"]),
            table=table if evaluations else None,
            report=path,
            example=str(example),
            evaluations=evaluations,
        )

    def _unchanged(self, name: str, done: Done, now: Mapping[str, str]) -> Done:
        """Return what a stage left, if the files that it read are still the same; files that are gone do not matter any more.

        Raises:
            StageChanged: naming the file.
        """
        for file, hashed in done.get("files", {}).items():
            if now.get(file, hashed) != hashed:
                raise StageChanged(
                    f"{file}: has changed since {self.folder.path} read it ({name}): "
                    "restore it, choose another run.name, or start anew with run.resume=never"
                )
        return done

    def _bound(self, section: str) -> dict[str, Any]:
        return {key: value for key, value in self.folder.settings.items() if key.startswith(f"{section}.")}

    def _stage(self, name: str, minutes: float | None, depends_on: object, run: Callable[[], Done], note: Callable[[Done], str]) -> Done:
        self.listener.stage(name, minutes)
        started = time.monotonic()
        result, ran = self.folder.stage(name, depends_on, run)
        self.listener.done(name, time.monotonic() - started, note(result), ran)
        done: Done = result
        return done


def run_finetune(cfg: FinetuneConfig, listener: Listener | None = None, config_text: str | None = None) -> Outcome:
    """Do the whole job, or what is left of it, with the run's folder held; see `Finetune` for what it can do and what it raises."""
    from raykg.config.show import to_yaml

    with held(local(cfg.run.storage) / cfg.run.name):
        return Finetune(cfg, listener or LogListener(), config_text or to_yaml(cfg)).run()


def _completed(settings: Mapping[str, Any]) -> dict[str, Any]:
    return to_dict(from_dict(FinetuneConfig, settings))


def train_worker(arguments: Mapping[str, Any]) -> None:
    """Run the training on one of Ray Train's workers."""
    from raykg.train.draining import Draining
    from raykg.train.finetune_task import FinetuneTask, Inputs, trained_precision
    from raykg.train.loop import Plan
    from raykg.train.worker import own_ranks, train_task

    cfg = from_dict(FinetuneConfig, arguments["config"])
    folder = Path(arguments["folder"])
    fetch(folder / "metrics.jsonl")
    ranks = own_ranks(cfg.resources.gpus_per_worker > 0)
    task = FinetuneTask(cfg, Inputs(**arguments["inputs"]), ranks)
    plan = Plan(
        settings=cfg.train,
        steps=arguments["steps"],
        seed=cfg.run.seed,
        engine=cfg.engine.name,
        checkpoints=folder / "checkpoints",
        identity=arguments["identity"],
        until=arguments.get("until"),
    )
    with Draining() as leaving:
        train_task(task, cfg.engine, plan, folder, ranks, trained_precision(cfg, ranks), leaving=leaving)
