import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from raykg.config.choice import names
from raykg.config.load import to_dict
from raykg.continual.course import CourseRun, run_course
from raykg.continual.stream import write_stream
from raykg.train import checkpoint
from raykg.train.errors import CheckpointError
from raykg.train.ranks import Ranks
from tests.continual.small_streams import config, entity_stream, features, relation_stream
from tests.train.gloo_group import run_group

STRATEGIES = names("raykg.continual.strategies")
JOINED = {name: {"name": name, "memory": {"share": 0.5}} for name in ("replay", "emar", "rp_cre", "lmc")}  # remembered rows in each step
LEARN = {"epochs": 2, "batch": 8, "learning_rate": 1e-3, "checkpoint_every": 3}


def arguments(folder: Path, strategy="replay", kind="relations", **more):
    """What a course is called with, its stream and features written."""
    stream = relation_stream() if kind == "relations" else entity_stream()
    cfg = config(strategies=[strategy], learn=LEARN | more.pop("learn", {}), **more)
    told = write_stream(stream, folder / kind)
    place = folder / f"{kind}-features"
    features(stream, place, cfg)
    where = {"stream": str(folder / kind), "features": str(place), "identity": told["sha256"], "folder": str(folder / "course")}
    return {"config": to_dict(cfg), "strategy": 0, "seed": 3} | where


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(checkpoint.listed(folder / "tasks")[-1] / "export" / "model.safetensors")


def state(folder: Path) -> dict:
    return json.loads((checkpoint.listed(folder / "tasks")[-1] / "engine" / "state.json").read_text())


@pytest.mark.parametrize("kind", ["relations", "entities"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_learns_a_stream_and_goes_on_where_it_was(tmp_path, strategy, kind):
    given = arguments(tmp_path, {"name": strategy}, kind, learn={"epochs": 1})
    results = run_course(given)
    assert len(results) == 2 and np.array(results[1]["counts"]).shape[1] == 3
    assert all(np.isfinite(tensor).all() for tensor in weights(tmp_path / "course").values())
    first = state(tmp_path / "course")
    assert run_course(given) == results and state(tmp_path / "course") == first  # nothing is done twice


def test_a_memory_that_is_never_rehearsed_changes_nothing(tmp_path):
    """Killed between tasks or not: what a rehearsal would freeze stays free."""
    unused = {"name": "replay", "memory": {"rehearse": 0, "share": 0.0}}
    for name, strategy in (("vanilla", "vanilla"), ("whole", unused), ("killed", unused)):
        given = arguments(tmp_path / name, strategy)
        if name == "killed":
            CourseRun(given, Ranks())._learn(0)
        run_course(given)
    found = [weights(tmp_path / name / "course") for name in ("vanilla", "whole", "killed")]
    for other in found[1:]:
        assert all(torch.equal(value, other[name]) for name, value in found[0].items())


@pytest.mark.parametrize(
    ("strategy", "kind", "stop"),
    [
        ("lmc", "relations", 2),  # before the first checkpoint
        ("lmc", "relations", 15),  # within the second task
        ("rp_cre", "relations", 11),  # between the tasks
        pytest.param("emar", "entities", 7, marks=pytest.mark.story),
        ("ewc", "entities", 7),
    ],
)
def test_a_course_that_is_broken_off_ends_in_the_same_bytes(tmp_path, monkeypatch, strategy, kind, stop):
    whole = arguments(tmp_path / "whole", JOINED.get(strategy, strategy), kind)
    run_course(whole)
    broken = arguments(tmp_path / "broken", JOINED.get(strategy, strategy), kind)
    from raykg.train.engines.torch import TorchEngine

    step, done = TorchEngine.step, []

    def failing(self, rate):
        done.append(1)
        if len(done) == stop:
            raise KeyboardInterrupt
        return step(self, rate)

    with monkeypatch.context() as patch:
        patch.setattr(TorchEngine, "step", failing)
        with pytest.raises(KeyboardInterrupt):
            run_course(broken)
    run_course(broken)
    one, other = weights(Path(whole["folder"])), weights(Path(broken["folder"]))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert state(Path(whole["folder"])) == state(Path(broken["folder"]))


def test_to_find_what_a_sentence_was_not_looked_through_for_is_no_mistake_in_validation(tmp_path, monkeypatch):
    run = CourseRun(arguments(tmp_path, "replay", "entities"), Ranks())
    monkeypatch.setattr(run, "counts", lambda *told: np.array([[3, 0, 0], [0, 5, 0]]))  # each type's right, wrong and missed ones
    assert run.labels.types == ("PER", "LOC")
    assert run._tested(0)["validation"] == 1.0 and run._tested(0)["f1"] < 1.0


class Enough(Exception):
    """Ends a course where a test has seen what it wanted."""


def next_gradients(ranks, given):
    """Return the gradients of a course's next step, summed over the workers; what each process of a group runs."""
    from raykg.train.engines.torch import TorchEngine

    found = {}

    def look(self, rate):
        self._ranks.sum_gradients(list(self._trained.values()))
        found.update({name: parameter.grad.clone() for name, parameter in self._trained.items()})
        raise Enough

    step, TorchEngine.step = TorchEngine.step, look
    try:
        CourseRun(given, ranks).run()
    except Enough:
        return found
    finally:
        TorchEngine.step = step


@pytest.mark.parametrize(
    ("strategy", "kind"),
    [
        ("lmc", "relations"),
        pytest.param("rp_cre", "relations", marks=pytest.mark.story),
        pytest.param("ewc", "entities", marks=pytest.mark.story),
        pytest.param("lwf", "entities", marks=pytest.mark.story),
    ],
)
def test_two_workers_learn_what_one_learns(tmp_path, monkeypatch, strategy, kind):
    """Gradients are compared, not weights: where one is nearly zero, AdamW makes a whole step of its rounding."""
    given = arguments(
        tmp_path, JOINED.get(strategy, strategy), kind, model={"text": "tiny:bert", "top": 1, "positions": 64, "dropout": 0.0}
    )
    for _ in range(2):
        alone = next_gradients(Ranks(), given)
        for together in run_group(2, next_gradients, given):
            assert together.keys() == alone.keys()
            for name, gradient in alone.items():
                assert torch.allclose(together[name], gradient, atol=1e-6), name
        with monkeypatch.context() as patch:  # and the same after a task, with a teacher and a memory
            patch.setattr(CourseRun, "_learn", lambda run, task, learn=CourseRun._learn: learn(run, task) if task == 0 else _end())
            with pytest.raises(Enough):
                run_course(given)


def _end():
    raise Enough


def test_a_course_of_other_settings_is_refused(tmp_path):
    given = arguments(tmp_path)
    run_course(given)
    other = arguments(tmp_path, learn={"epochs": 3})
    with pytest.raises(CheckpointError, match="learn is another one now"):
        run_course(other)
    with pytest.raises(CheckpointError, match="seed is another one"):
        run_course(given | {"seed": 4})


def test_replay_remembers_what_vanilla_forgets(tmp_path):
    learn = {"epochs": 12, "learning_rate": 3e-3, "head_rate": 3.0, "checkpoint_every": 1000}
    found = {}
    for strategy in ("vanilla", "replay", "joint"):
        results = run_course(arguments(tmp_path / strategy, strategy, learn=learn))
        counts = np.array(results[-1]["counts"])
        found[strategy] = counts[1:3, 0].sum()  # right ones of the first task's types after the second
    assert found["vanilla"] < found["replay"] <= found["joint"] + 2
    assert found["joint"] >= 6  # of 8


def test_what_is_tested_before_it_is_learnt_is_counted(tmp_path):
    results = run_course(arguments(tmp_path, "vanilla", learn={"forward": True}))
    assert "before" not in results[0] and np.array(results[1]["before"]).shape == np.array(results[1]["untrained"]).shape == (5, 3)


def test_all_layers_may_be_trained(tmp_path):
    model = {"text": "tiny:bert", "top": 1, "positions": 64, "frozen": False, "dropout": 0.0}
    given = arguments(tmp_path, "vanilla", model=model)
    run = CourseRun(given, Ranks())
    before = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
    run.run()
    after = run.model.state_dict()
    assert any(name.startswith("lower_text") and not torch.equal(after[name], before[name]) for name in before)


def test_every_modality_learns_something_else_from_the_same_features(tmp_path):
    model = {"text": "tiny:bert", "image": "tiny:vit", "top": 1, "positions": 64}
    given, found = arguments(tmp_path, "lmc", model=model, learn={"epochs": 1}), {}
    for modality in ("text", "image", "shuffled", "both"):
        folder = tmp_path / modality
        results = run_course(given | {"modality": modality, "folder": str(folder)})
        assert len(results) == 2
        found[modality] = weights(folder)
        about = json.loads((folder / "model" / "model.json").read_text())
        assert about["model"]["modality"] == modality
    assert not any(name.startswith("streams.image.") or name.startswith("head.image") for name in found["text"])
    assert not any(name.startswith("head.text") for name in found["image"])
    assert len({tuple(one["head.bias"].tolist()) for one in found.values()}) == 4


def test_the_rehearsal_after_a_task_trains_the_head_alone_or_the_layers_too(tmp_path):
    found = []
    for number, memory in enumerate(({"rehearse": 0}, {"rehearse": 2}, {"rehearse": 2, "layers": True})):
        run = CourseRun(arguments(tmp_path / str(number), {"name": "replay", "memory": memory}), Ranks())
        run._learn(0)  # one task: what a memory does to the next one's steps is left out
        found.append(run.model.state_dict())
    without, head, layers = found
    for name, tensor in without.items():
        assert torch.equal(head[name], tensor) is not name.startswith("head."), name
    assert any(not torch.equal(layers[name], tensor) for name, tensor in without.items() if name.startswith("streams."))


def test_with_folds_each_seed_tests_other_rows(tmp_path):
    given = arguments(tmp_path, "vanilla", folds=3)
    courses = [CourseRun(given | {"seed": seed}, Ranks()) for seed in (0, 1, 3)]
    tests = [set(course.course.stream.tasks[-1].test.tolist()) for course in courses]
    assert not tests[0] & tests[1] and tests[0] == tests[2]  # fold 0, 1, and 0 again
    for course, test in zip(courses, tests, strict=True):
        assert not test & {row for task in course.course.stream.tasks for row in (*task.train.tolist(), *task.validation.tolist())}
    assert len(run_course(given | {"seed": 1})) == 2


@pytest.mark.parametrize(("settings", "keys"), [({}, "added"), ({"keys": "own"}, "own"), ({"compat": "reference"}, "reference")])
def test_a_strategy_may_set_the_keys_of_its_model(tmp_path, settings, keys):
    given = arguments(tmp_path, {"name": "lmc", **settings}, learn={"epochs": 0.25})
    run = CourseRun(given, Ranks())
    assert [bank.keys for bank in run.model.streams.banks] == [keys]
    run.run()
    assert json.loads((tmp_path / "course" / "model" / "model.json").read_text())["model"]["keys"] == keys
