"""The continual recipe: posts, features, every strategy with every seed, one table.

    outcome = ContinualStudy(cfg, LogListener(), yaml_text).run()

Read `ContinualStudy.run` from top to bottom: it is the whole job. Each stage is skipped when it is done for the same settings; a course
that was interrupted goes on from the task, or the step, that it had come to. Strategies, modalities and seeds may be added to a study
that is there: only what is new is run.

    runs/mnre5/
      config.yaml  stream/  features/  courses/<modality>/<strategy>/seed-0/  report.md  plot.png  results.json  logs/
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raykg.config.load import from_dict, to_dict
from raykg.config.schema import Chosen
from raykg.continual.continual_config import ContinualConfig
from raykg.eval.courses import Comparison
from raykg.eval.forgetting import Course
from raykg.kg.mirror import best_effort, exists, local, stands_for_a_bucket
from raykg.kg.store import sha256, write_atomically
from raykg.models.dual_stream_config import Modality
from raykg.train import checkpoint, launch
from raykg.train.errors import StageChanged, TrainError
from raykg.train.run_folder import RunFolder, digest, flatten
from raykg.train.settings import ResourcesConfig
from raykg.train.story import Listener

if TYPE_CHECKING:
    from raykg.continual.labels import Labels
    from raykg.data.post_table import PostStream

Done = dict[str, Any]
_UNBOUND = (
    "run.name",
    "run.storage",
    "run.resume",
    "resources",
    "side_by_side",
    "strategies",
    "modalities",
    "seeds",
    "model.wheel",
    "posts.images",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a study has made."""

    folder: Path
    comparison: Comparison
    report: Path
    models: Mapping[str, Path]  # of each strategy the learnt model, with the first seed


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the table: a strategy, and what it is given of the posts."""

    modality: Modality | None  # None: as the model says
    strategy: int
    label: str

    @property
    def title(self) -> str:
        """What it is called in the table."""
        return self.label if self.modality is None else f"{self.label}, {self.modality}"


class ContinualStudy:
    """Learns a stream of tasks by every strategy with every seed, and compares them.

    Abilities: the same with the text, the picture, or another post's picture; courses beside each other, a process of one thread each, or
    each course under Ray Train, on many workers, with the engines torch and deepspeed; every stage, task and step resumable.
    Storage is a folder that every node sees, or a bucket on one node.

    Raises:
        StageChanged: a run of this name has other settings, or a file that it was made from has changed.
        TrainError: the machine is too small, a course failed for good, or another command is at work in the run's folder.
        PostError, EncoderError: an input is not what it must be.
    """

    def __init__(self, cfg: ContinualConfig, listener: Listener, config_text: str) -> None:
        self.cfg, self.listener, self.config_text = cfg, listener, config_text
        self.folder = RunFolder(local(cfg.run.storage) / cfg.run.name, to_dict(cfg), cfg.run.resume, _UNBOUND, _completed)
        write_atomically(self.folder / "config.yaml", config_text)
        self.entries = [
            Entry(modality, place, label)
            for modality in (cfg.modalities or (None,))
            for place, label in enumerate(labels_of(cfg.strategies))
        ]

    def run(self) -> Outcome:
        """Do the whole job, or what is left of it."""
        launch.start_ray(self._machine(), self.folder / "logs")
        self._refuse_a_bucket_of_several_nodes()
        stream = self.setup_stream()
        features = self.setup_features(stream)
        self.learn(stream)
        return self.report(stream, features)

    def _refuse_a_bucket_of_several_nodes(self) -> None:
        """Refuse what would fail later: whichever node computes features maps one file of all of them."""
        import ray

        nodes = sum(bool(node["Alive"]) for node in ray.nodes())  # type: ignore[no-untyped-call]
        if stands_for_a_bucket(self.folder.path) and nodes > 1:
            raise TrainError(
                f"run.storage ({self.cfg.run.storage}): posts are learnt from a bucket on one node, and Ray has {nodes}: "
                "name a folder that all of them see, or leave resources.address out"
            )

    def setup_stream(self) -> Done:
        """Read the posts and deal them to tasks."""
        from raykg.continual.stream import write_stream

        source = self.cfg.posts.method()(self.cfg.posts.config)
        files = {str(file): sha256(file) for file in source.files() if file.exists()}

        def run() -> Done:
            stream = source.stream(self.cfg.run.seed)
            _check_rows(stream, self.cfg.folds, self.cfg.run.seed)
            return {**write_stream(stream, self.folder / "stream"), "files": files}

        done = self._stage("stream", self._bound("posts"), run, lambda it: f"{it['posts']:,} posts, {len(it['tasks'])} tasks")
        for file, hashed in done["files"].items():
            if files.get(file, hashed) != hashed:
                raise StageChanged(f"{file}: has changed since {self.folder.path} read it: restore it, or start anew with run.resume=never")
        return done

    def setup_features(self, stream: Done) -> Done:
        """Tokenise the posts, and compute what the layers that are not trained make of them."""
        from raykg.continual.features import write_features
        from raykg.continual.stream import open_stream

        def run() -> Done:
            opened, source = open_stream(self.folder / "stream"), self.cfg.posts.method()(self.cfg.posts.config)
            images = None if self.cfg.model.image is None else source.images(opened, self.folder / "images", self.cfg.run.seed)
            return write_features(opened.posts, self.cfg.model, self.folder / "features", self.cfg.side_by_side, images)

        return self._stage("features", [self._bound("model"), stream["sha256"]], run, _left_out)

    def learn(self, stream: Done) -> None:
        """Run every course that is not at its end."""
        courses = [self._arguments(entry, seed, stream) for entry in self.entries for seed in self.cfg.seeds]
        tasks = len(stream["tasks"])
        left = [one for one in courses if _done(Path(one["folder"])) < tasks or not exists(Path(one["folder"]) / "model" / "model.json")]
        total = tasks * len(courses)

        def look() -> None:
            self.listener.progress("tasks", sum(_done(Path(one["folder"])) for one in courses), total)

        self.listener.stage("courses", None)
        started = time.monotonic()
        if self.cfg.resources.workers > 1 or self.cfg.engine.name != "torch":
            for one in left:
                launch.fit("raykg.continual.course:run_worker", one, self.cfg.resources, Path(one["folder"]), self.listener.record)
                look()
        elif left:
            launch.map_shards("raykg.continual.course:run_course", left, self._share(), self.folder / "logs", look)
        modalities = f"{len(self.cfg.modalities)} modalities, " if self.cfg.modalities else ""
        note = f"{modalities}{len(self.cfg.strategies)} strategies, {len(self.cfg.seeds)} seeds, {tasks} tasks"
        self.listener.done("courses", time.monotonic() - started, note, bool(left))

    def report(self, stream: Done, features: Done) -> Outcome:
        """Write the table, the plot and every number."""
        from raykg.continual.labels import Labels
        from raykg.continual.stream import open_stream

        labels = Labels(open_stream(self.folder / "stream"))
        groups = labels.groups()
        courses = {
            entry.title: {seed: _course(groups, results(self._place(entry, seed))) for seed in self.cfg.seeds} for entry in self.entries
        }
        comparison = Comparison(courses, {entry.title: (entry.modality or "", entry.label) for entry in self.entries})
        comparison.plot(self.folder / "plot.png")
        sizes = _sizes(labels.stream, self.cfg.folds, self.cfg.seeds[0], self.cfg.run.seed)
        text = "\n\n".join(
            (
                f"# {self.cfg.run.name}",
                f"![{'F1 and forgetting of each modality' if self.cfg.modalities else 'F1 after each task'}](plot.png)",
                f"## Results\n\n{self._least(labels)}{comparison.markdown()}",
                f"## Tasks\n\n{stream['posts']:,} posts, {_left_out(features)}.\n\n{sizes}",
                f"## Config\n\n```yaml\n{self.config_text}```\n",
            )
        )
        write_atomically(self.folder / "report.md", text)
        write_atomically(self.folder / "results.json", json.dumps(comparison.to_dict(), indent=1) + "\n")
        models = {entry.title: self._place(entry, self.cfg.seeds[0]) / "model" for entry in self.entries}
        self.folder.keep()
        return Outcome(self.folder.path, comparison, self.folder / "report.md", models)

    def _least(self, labels: Labels) -> str:
        """Return what is reached by telling every pair the most frequent relation of the tests, as a line; nothing for entities."""
        from raykg.data.folds import held_out
        from raykg.eval.extraction import constant_f1

        if not labels.relations:
            return ""
        stream, folds = labels.stream, self.cfg.folds
        dealt = [held_out(stream, seed % folds, folds, self.cfg.run.seed) for seed in self.cfg.seeds] if folds else [stream]
        found = [constant_f1(labels.relation_of[one.tasks[-1].test], len(labels.names), 0) for one in dealt]
        return f"The most frequent type for every row: final F1 {float(np.mean(found)):.3f}.\n\n"

    def _arguments(self, entry: Entry, seed: int, stream: Done) -> Done:
        return {
            "config": to_dict(self.cfg),
            "modality": entry.modality,
            "strategy": entry.strategy,
            "seed": seed,
            "folder": str(self._place(entry, seed)),
            "stream": str(self.folder / "stream"),
            "features": str(self.folder / "features"),
            "identity": stream["sha256"],
        }

    def _place(self, entry: Entry, seed: int) -> Path:
        """Return the folder of a course; a strategy with other settings is another one."""
        chosen = self.cfg.strategies[entry.strategy]
        settings = digest(to_dict(chosen.config))[:8]
        return self.folder / "courses" / (entry.modality or "") / f"{chosen.name}-{settings}" / f"seed-{seed}"

    def _machine(self) -> ResourcesConfig:
        """Return what Ray is started with: room for the courses that run at a time, or for one course's workers."""
        given = to_dict(self.cfg.resources)
        several = self.cfg.resources.workers > 1 or self.cfg.engine.name != "torch"
        return from_dict(ResourcesConfig, given if several else given | {"workers": self.cfg.side_by_side})

    def _share(self) -> ResourcesConfig:
        """Return what one course asks of Ray, so that as many run at a time as are wanted."""
        import ray

        cpus = int(ray.cluster_resources().get("CPU", 1))  # type: ignore[no-untyped-call]
        if self.cfg.model.image is not None and not self.cfg.model.frozen:
            cpus -= self.cfg.side_by_side  # of each course, one for the task that decodes its pictures
        share = {"cpus_per_worker": max(1, cpus // self.cfg.side_by_side), "threads": self.cfg.resources.threads or 1}
        return from_dict(ResourcesConfig, to_dict(self.cfg.resources) | share)

    def _bound(self, section: str) -> dict[str, Any]:
        return {key: value for key, value in self.folder.settings.items() if key.startswith(f"{section}.")}

    def _stage(self, name: str, depends_on: object, run: Callable[[], Done], note: Callable[[Done], str]) -> Done:
        self.listener.stage(name, None)
        started = time.monotonic()
        result, ran = self.folder.stage(name, depends_on, run)
        self.listener.done(name, time.monotonic() - started, note(result), ran)
        done: Done = result
        return done


def labels_of(strategies: tuple[Chosen, ...]) -> list[str]:
    """Return what each strategy is called: its name, and where that stands several times, what sets it apart."""
    often = Counter(one.name for one in strategies)
    found = []
    for one in strategies:
        if often[one.name] == 1:
            found.append(one.name)
            continue
        plain = flatten(to_dict(type(one.config)()))
        changed = [f"{key} {value}" for key, value in flatten(to_dict(one.config)).items() if value != plain.get(key)]
        found.append(f"{one.name} ({', '.join(changed)})" if changed else one.name)
    return found


def results(folder: Path) -> list[Done]:
    """Return what was counted after each task of a course that is at its end.

    Raises:
        TrainError: it has left nothing.
    """
    found = checkpoint.newest(folder / "tasks")
    if found is None:
        raise TrainError(f"{folder}: the course has left no task: run the same command again")
    told: list[Done] = json.loads((found[0] / "engine" / "state.json").read_text(encoding="utf-8"))["results"]
    return told


def _left_out(features: Done) -> str:
    """Return how much was read and what was not."""
    pictures = f", {features['pictures']:,} pictures, {features['left_out']:,} left out" if "pictures" in features else ""
    unreadable = f"{features['unreadable']:,} left out with a mention cut off"
    return f"{features['tokens']:,} tokens, {features['cut']:,} texts cut, {unreadable}{pictures}"


def _sizes(stream: PostStream, folds: int, seed: int, dealt_by: int) -> str:
    """Return the table of the tasks, with folds as the first seed has them."""
    from raykg.data.folds import held_out

    if folds:
        stream = held_out(stream, seed % folds, folds, dealt_by)
    rows = ["| task | new types | training | validation | test so far |", "|---:|---|---:|---:|---:|"]
    for number, task in enumerate(stream.tasks, start=1):
        sizes = " | ".join(f"{len(some):,}" for some in (task.train, task.validation, task.test))
        rows.append(f"| {number} | {', '.join(task.types)} | {sizes} |")
    return "\n".join(rows)


def _check_rows(stream: PostStream, folds: int, seed: int) -> None:
    """Refuse a stream that cannot be learnt or tested.

    Raises:
        PostError: a task has no post to learn from, or nothing is tested; or the folds cannot be dealt.
    """
    from raykg.data.errors import PostError
    from raykg.data.folds import held_out

    if folds:
        stream = held_out(stream, 0, folds, seed)
    for number, task in enumerate(stream.tasks, start=1):
        for split, rows in (("train", task.train), ("test", task.test)):
            if not len(rows):
                raise PostError(
                    f"posts: task {number} ({', '.join(task.types)}) has no post with the split {split}: give some, "
                    "or let `folds` deal posts to training, validation and test"
                )


def _course(groups: list[list[int]], told: list[Done]) -> Course:
    def counts(name: str) -> list[np.ndarray]:
        return [np.array(one[name], dtype=np.int64) for one in told if name in one]

    return Course(groups, counts("counts"), counts("before"), counts("untrained"))


def _done(folder: Path) -> int:
    """Return how many tasks of a course are done."""
    with best_effort():
        checkpoint.settle(folder / "tasks")
    found = checkpoint.listed(folder / "tasks")
    return int(found[-1].name.rpartition("-")[2]) if found else 0


def _completed(settings: Mapping[str, Any]) -> dict[str, Any]:
    return to_dict(from_dict(ContinualConfig, settings))
