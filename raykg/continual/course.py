"""One strategy's way through a stream with one seed: learn a task, test on everything seen so far, keep what the next one needs.

    results = run_course({"config": ..., "stream": "runs/mnre5/stream", "folder": "runs/mnre5/lmc-0", "strategy": 2, "seed": 0, ...})

    folder/
      tasks/step-00000001/    complete or absent: the model after the task, what the strategy keeps, what was counted so far
      model/                  the model after the last task (`raykg.continual.learnt`)
      learning/01/            checkpoints within a task while it is learnt, and what the loop measured

Killed at any point, the same call goes on from the newest of them and ends in the same bytes: everything random comes from
(seed, task, step).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raykg.config.load import from_dict, to_dict
from raykg.continual.batches import Batches
from raykg.continual.building import build, set_rates
from raykg.continual.continual_config import ContinualConfig, LearnConfig
from raykg.continual.features import Features
from raykg.continual.labels import Labels
from raykg.continual.learnt import write_learnt
from raykg.continual.looking import predictions
from raykg.continual.strategies import Course, Strategy
from raykg.continual.stream import open_stream
from raykg.continual.task import WEIGHTS, ContinualTask, load_weights, save_weights
from raykg.data.folds import held_out
from raykg.eval.extraction import Ints, entity_counts, macro_f1, micro_f1, relation_counts
from raykg.kg import mirror
from raykg.train import checkpoint
from raykg.train.checkpoint import Position
from raykg.train.draining import Draining
from raykg.train.loop import Plan, seed_step
from raykg.train.worker import own_ranks, train_task

if TYPE_CHECKING:
    from raykg.continual.labels import Flags
    from raykg.data.post_table import PostStream, Rows
    from raykg.models.dual_stream import DualStream
    from raykg.train.ranks import Ranks

_KEPT = "kept.safetensors"
_STATE = "state.json"
Result = dict[str, Any]  # JSON-like


class CourseRun:
    """Runs a course from where it stands to its end.

    Abilities: any number of workers; killed between or inside tasks, it goes on and ends in the same bytes; 2 workers learn what 1 learns.
    Not supported: another number of workers under DeepSpeed's ZeRO 2 or 3 within a task.

    Raises:
        CheckpointError: what lies in the folder belongs to other settings.
    """

    def __init__(self, arguments: Mapping[str, Any], ranks: Ranks) -> None:
        """Open what a course is made of."""
        self.cfg: ContinualConfig = from_dict(ContinualConfig, arguments["config"])
        self.folder, self.seed, self.ranks = Path(arguments["folder"]), int(arguments["seed"]), ranks
        for needed in ("stream", "features"):
            mirror.fetch(Path(arguments[needed]))
        self._chosen = chosen = self.cfg.strategies[arguments["strategy"]]
        self.labels = Labels(self._stream(Path(arguments["stream"])))
        self._model_config = model = chosen.method().model(chosen.config, self.cfg.modality(arguments.get("modality")))
        batches = Batches(self.labels, Features.open(Path(arguments["features"])), model)
        self.course = Course(self.labels.stream, self.labels, batches, self.seed, self.cfg.learn.batch, ranks)
        self.strategy: Strategy = chosen.method()(chosen.config, self.course)
        self.identity = {
            "model": to_dict(model),
            "learn": to_dict(self.cfg.learn),
            "strategy": {"name": chosen.name, **to_dict(chosen.config)},
            "engine": to_dict(self.cfg.engine.config) | {"name": self.cfg.engine.name},
            "stream": arguments["identity"],
        }
        self._untrained = build(model, self.labels.names, self.labels.stream.kind, chosen, self.seed)
        self.model = self._fresh()
        self.results: list[Result] = []

    def run(self) -> list[Result]:
        """Learn every task that is left; return what was counted after each task."""
        for task in range(self._resume(), len(self.labels.stream.tasks)):
            self._learn(task)
        if self.ranks.first:
            counts = np.array(self.results[-1]["counts"])
            tested = {"micro F1": micro_f1(counts), "macro F1": macro_f1(counts)}
            write_learnt(self.folder / "model", self.model.eval(), self.course, self._model_config, self._chosen, tested)
            mirror.keep(self.folder / "model")
        self.ranks.barrier()
        return self.results

    def _stream(self, folder: Path) -> PostStream:
        """Return the posts and tasks, with folds as this seed has them."""
        stream, folds = open_stream(folder), self.cfg.folds
        return held_out(stream, self.seed % folds, folds, self.cfg.run.seed) if folds else stream

    def _resume(self) -> int:
        """Take back the newest whole task, and return how many are done."""
        found = checkpoint.newest(self.folder / "tasks") if self.ranks.first else None
        chosen = self.ranks.agree(str(found[0]) if found else None)
        if chosen is None:
            return 0
        mirror.fetch(Path(chosen))
        folder, position = Path(chosen), found[1] if found else checkpoint.read(Path(chosen))
        self._check(folder, position)
        from safetensors.torch import load_file

        load_weights(self.model, folder / "export" / WEIGHTS)
        told = json.loads((folder / "engine" / _STATE).read_text(encoding="utf-8"))
        self.strategy.load(told["strategy"], load_file(folder / "engine" / _KEPT) if (folder / "engine" / _KEPT).exists() else {})
        self.results = told["results"]
        return position.step

    def _learn(self, task: int) -> None:
        """Learn one task, test, and write what the next one needs."""
        strategy, model = self.strategy, self.model
        strategy.task = task
        before = self._before(task)
        teacher = deepcopy(model).eval().requires_grad_(False) if strategy.keeps_teacher and task else None
        model.eval()
        strategy.begin(model)
        learning = self.folder / "learning" / f"{task:02d}"
        steps = self._train(ContinualTask(model, strategy, teacher, self.cfg.learn.micro_batch), learning, self.cfg.learn)
        seed_step(self.seed, task, 0)  # what is chosen for the memory is drawn alike on all workers
        strategy.end(self.model.eval())
        rehearsed, epochs = strategy.rehearsed(self.model)
        after = learning / "rehearsal"
        if epochs and len(rehearsed):
            work = ContinualTask(self.model, strategy, teacher, self.cfg.learn.micro_batch, rehearsed)
            steps += self._train(work, after, replace(self.cfg.learn, epochs=epochs))
        self.results.append(self._tested(task) | before | {"steps": steps})
        self._save(task)
        if self.ranks.first:
            for folder in (*checkpoint.listed(after), *checkpoint.listed(learning)):
                mirror.drop(folder)
                shutil.rmtree(folder)
        self.ranks.barrier()

    def _train(self, work: ContinualTask, folder: Path, learn: LearnConfig) -> int:
        """Run the loop from where it stands to its end and take the weights; return its steps."""
        settings = learn.settings()
        steps = settings.total_steps(work.steps_per_epoch)
        seed = self.seed * 1021 + self.strategy.task
        plan = Plan(settings, steps, seed, self.cfg.engine.name, folder, self.identity | {"task": self.strategy.task})
        work.model().train()
        with Draining() as leaving:
            train_task(work, self.cfg.engine, plan, folder / "log", self.ranks, tensorboard=False, leaving=leaving)
        self.model = self._fresh()  # plain weights, whatever the engine had made of the model
        mirror.fetch(saved := checkpoint.folder_of(folder, steps))
        load_weights(self.model, saved / "export" / WEIGHTS)
        self.model.eval()
        return steps

    def _tested(self, task: int) -> Result:
        """Return what is counted on everything seen so far, and on the task's own validation rows."""
        own, open_ = self.labels.stream.tasks[task], self.labels.open(task)
        counts = self.counts(self.model, own.test, open_, self.labels.stream.seen(task))
        validation = self.counts(self.model, own.validation, open_, own.types)
        if not self.labels.relations:  # other types are not marked there: to find one is no mistake
            validation = validation[[self.labels.types.index(kind) for kind in own.types]]
        return {"counts": counts.tolist(), "f1": micro_f1(counts), "validation": micro_f1(validation)}

    def _before(self, task: int) -> Result:
        """Return what is counted of a task's types before it is learnt, by the model as it stands and by the untrained one."""
        if not self.cfg.learn.forward or not task:
            return {}
        test, open_, types = self.labels.stream.tasks[task].test, self.labels.open(task), self.labels.stream.seen(task)
        self.model.eval()
        now, untrained = (self.counts(model, test, open_, types).tolist() for model in (self.model, self._fresh().eval()))
        return {"before": now, "untrained": untrained}

    def _fresh(self) -> DualStream:
        """Return a copy of the untrained model on this worker's device."""
        copied = deepcopy(self._untrained)
        set_rates(copied, self.cfg.learn.head_rate)
        return copied.to(self.ranks.device)

    def counts(self, model: DualStream, rows: Rows, open_: Flags, types: tuple[str, ...]) -> Ints:
        """Count right, wrong and missed ones on some rows, shared by the workers, `[types of the stream, 3]`.

        Args:
            model: in evaluation mode.
            rows: numbers of posts.
            open_: which labels may be told.
            types: that are marked in these rows.
        """
        mine = rows[self.ranks.rank :: self.ranks.world]
        told = predictions(model, self.course, mine, open_)
        names, labels = self.labels.types, self.labels
        if labels.relations:
            counts = relation_counts(labels.relation_of[mine], np.array([one[0] for one in told], dtype=np.int64), len(names), none=0)
        else:
            gold = [[labels.names[tag] for tag in labels.tags(row, types)] for row in mine.tolist()]
            found = [[labels.names[tag] for tag in one] + ["O"] * (len(want) - len(one)) for one, want in zip(told, gold, strict=True)]
            counts = entity_counts(gold, found, names)
        return self.ranks.sum(counts.ravel().tolist()).reshape(counts.shape).astype(np.int64)

    def _save(self, task: int) -> None:
        """Write the state after a task: complete or absent."""
        from safetensors.torch import save_file

        root = self.folder / "tasks"
        if self.ranks.first:
            with checkpoint.writing(root, task + 1):
                partial = checkpoint.begin(root, task + 1)
                save_weights(self.model, partial / "export" / WEIGHTS)
                tensors = self.strategy.tensors()
                if tensors:
                    save_file({name: value.contiguous() for name, value in tensors.items()}, partial / "engine" / _KEPT)
                told = {"strategy": self.strategy.state(), "results": self.results}
                (partial / "engine" / _STATE).write_text(json.dumps(told), encoding="utf-8")
                position = Position(task + 1, self.cfg.engine.name, self.ranks.world, self.seed, self.identity, {})
                checkpoint.commit(root, position)
            checkpoint.prune(root, 1, task + 1)
        self.ranks.barrier()

    def _check(self, folder: Path, position: Position) -> None:
        from raykg.train.errors import CheckpointError

        if position.seed != self.seed or position.identity != self.identity:
            differing = [key for key in self.identity if position.identity.get(key) != self.identity[key]] or ["seed"]
            raise CheckpointError(f"{folder}: {differing[0]} is another one now: restore it, or start anew with run.resume=never")


def run_course(arguments: Mapping[str, Any]) -> list[Result]:
    """Run a course in this process, or with the others of its group, and return what was counted after each task."""
    cfg = from_dict(ContinualConfig, arguments["config"])
    return CourseRun(arguments, own_ranks(cfg.resources.gpus_per_worker > 0)).run()


def run_worker(arguments: Mapping[str, Any]) -> None:
    """Run a course on one of Ray Train's workers."""
    run_course(arguments)
