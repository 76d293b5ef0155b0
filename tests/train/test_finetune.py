"""The whole recipe once under Ray Train with a tiny model: what it leaves, what a second call skips, what it refuses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raykg.config.load import from_dict, to_dict
from raykg.data import prepare
from raykg.data.question_set import write_table
from raykg.data.questions import question_table
from raykg.data.questions_config import QuestionsConfig
from raykg.train import finetune, launch
from raykg.train.errors import StageChanged, TrainError
from raykg.train.finetune import run_finetune
from raykg.train.finetune_config import FinetuneConfig
from raykg.train.run_folder import flatten, held, read_metrics
from raykg.train.story import LogListener
from tests.graphs import film_graph

STAGES = ["graph", "questions", "model", "train", "evaluate", "report"]


class Told(LogListener):
    """Remembers which stages ran."""

    def __init__(self) -> None:
        self.ran: dict[str, bool] = {}
        self.steps: list[int] = []
        self.notes: list[str] = []

    def done(self, name: str, seconds: float, note: str, ran: bool) -> None:
        self.ran[name] = ran

    def record(self, record: Mapping[str, Any]) -> None:
        if record["kind"] == "step":
            self.steps.append(record["step"])

    def note(self, text: str) -> None:
        self.notes.append(text)


def config(tmp_path: Path, **changes: Any) -> FinetuneConfig:
    settings: dict[str, Any] = {
        "run": {"name": "first", "storage": str(tmp_path / "runs")},
        "graph": {"source": str(tmp_path / "films")},
        "questions": {
            "train": {"name": "generated", "split": "train", "count": 80},
            "test": [{"name": "generated", "split": "test", "count": 40, "test_share": 0.4}],
            "validation": 6,
        },
        "targets": {"plan": 0.5, "read": 0.5},
        "model": {"reference": "tiny:llama"},
        "lora": {"rank": 4},
        "train": {"steps": 4, "batch": 7, "micro_batch": 2, "evaluate_rows": 4, "checkpoint_every": 2},
        "engine": {"name": "deepspeed", "zero": 3, "persistence_threshold": 0},
        "evaluation": {
            "contenders": [{"strategy": "plan_execute", "questions": 6}, {"model": "base", "strategy": "closed_book", "questions": 4}]
        },
    }
    settings["questions"]["train"]["test_share"] = 0.4
    return from_dict(FinetuneConfig, settings | changes)


@pytest.mark.usefixtures("ray_session")
def test_the_recipe_ends_resumes_and_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film_graph(tmp_path / "films")
    cfg = config(tmp_path, targets={"plan": 0.5, "read": 0.5, "max_tokens": 90})  # for some rows too few
    told = Told()
    outcome = run_finetune(cfg, told)
    run = tmp_path / "runs" / "first"
    assert list(told.ran) == STAGES
    assert told.steps == [1, 2, 3, 4]
    assert outcome.folder == run
    assert outcome.table is not None
    for name in ("config.yaml", "metrics.jsonl", "report.md", "plot.png", "model/adapter/adapter_model.safetensors", "logs/worker-1.log"):
        assert (run / name).exists(), name
    manifest = json.loads((run / "checkpoints" / "step-00000004" / "manifest.json").read_text())
    assert manifest["identity"]["lora.rank"] == 4
    assert manifest["identity"]["graph version"]
    records = read_metrics(run / "metrics.jsonl")
    assert {record["kind"] for record in records} == {"start", "step", "evaluation", "checkpoint", "left_out"}
    letters = [json.loads(line) for line in (run / "dead-letters.jsonl").read_text().splitlines()]
    assert sum(letter["times"] for letter in letters) == sum(record["left_out"] for record in records if record["kind"] == "step") < 28
    note = f"{len(letters)} training rows were left out of their batches: longer than targets.max_tokens (90)"
    assert note in told.notes[-1] and note in outcome.report.read_text()
    assert "tiny:llama" in outcome.report.read_text()

    from raykg.models.saved import load_for_answering

    load_for_answering(outcome.model)

    def no_training(*arguments: object) -> None:
        raise AssertionError("training was done")

    monkeypatch.setattr(launch, "fit", no_training)
    again = Told()
    assert run_finetune(cfg, again).example == outcome.example
    assert again.ran == dict.fromkeys(STAGES, False) | {"report": True}

    fewer = replace(cfg, evaluation=replace(cfg.evaluation, contenders=cfg.evaluation.contenders[:1]))
    third = Told()
    run_finetune(fewer, third)
    assert third.ran == dict.fromkeys(STAGES, False) | {"evaluate": True, "report": True}

    with pytest.raises(StageChanged, match=r"lora.rank was 4, is 8\)"):
        run_finetune(replace(cfg, lora=replace(cfg.lora, rank=8)), Told())

    monkeypatch.setattr("raykg.models.saved.FORMAT", 99)  # a release with other prompts trains anew
    with pytest.raises(AssertionError, match="training was done"):
        run_finetune(cfg, Told())


def test_a_graph_file_that_has_changed_since_is_not_ignored(tmp_path: Path) -> None:
    file = tmp_path / "kb.tsv"
    file.write_text("a\tr\tb\n")
    cfg = config(tmp_path, graph={"source": str(file)})
    first = finetune.Finetune(cfg, LogListener(), "").setup_graph()
    assert finetune.Finetune(cfg, LogListener(), "").setup_graph() == first
    file.write_text("a\tr\tc\n")
    with pytest.raises(StageChanged, match=r"kb.tsv: has changed since .*first read it \(graph\): restore it, choose another run.name"):
        finetune.Finetune(cfg, LogListener(), "").setup_graph()
    file.unlink()  # what is gone cannot have changed: the version is in the store
    assert finetune.Finetune(cfg, LogListener(), "").setup_graph() == first


def test_a_question_file_that_has_changed_since_is_not_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph, file = film_graph(tmp_path / "films"), tmp_path / "mine.csv"
    file.write_text("question,answers\nwho?,x\n")
    questions = {"train": {"name": "file", "path": str(file)}, "test": [{"name": "generated", "split": "test"}], "validation": 0}
    job = finetune.Finetune(config(tmp_path, questions=questions), LogListener(), "")

    def prepared(cfg: QuestionsConfig, *others: object) -> prepare.QuestionSets:
        rows = question_table({"question": ["who?"]}, source="file")
        return prepare.QuestionSets(write_table(rows, tmp_path / "set", {"files": prepare.file_hashes([cfg.train])}), None, {})

    monkeypatch.setattr(prepare, "prepare_questions", prepared)
    opened = {"root": str(graph.root), "version": graph.version}
    assert job.setup_questions(opened)["files"].keys() == {str(file)}
    assert job.setup_questions(opened)["rows"] == 1
    file.write_text("question,answers\nwho?,y\n")
    with pytest.raises(StageChanged, match=r"mine.csv: has changed since .*\(questions\)"):
        job.setup_questions(opened)


def test_what_changes_nothing_that_is_learnt_may_change_in_a_run(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    folder = finetune.Finetune(cfg, LogListener(), "").folder
    folder.stage("graph", None, dict)
    began = folder.settings
    other = replace(
        cfg,
        graph=replace(cfg.graph, store=str(tmp_path / "store"), wheel="wheels"),
        model=replace(cfg.model, wheel="wheels"),
        train=replace(cfg.train, keep=9, checkpoint_every=1, log_every=3, evaluate_every=1),
    )
    assert finetune.Finetune(other, LogListener(), "").folder.settings == began
    with pytest.raises(StageChanged, match=r"\(train.evaluate_rows was 4, is 5\)"):
        finetune.Finetune(replace(cfg, train=replace(cfg.train, evaluate_rows=5)), LogListener(), "")


def test_every_unbound_setting_is_one(tmp_path: Path) -> None:
    known = flatten(to_dict(config(tmp_path)))
    assert [key for key in finetune._UNBOUND if not any(f"{each}.".startswith(f"{key}.") for each in known)] == []


def test_a_run_of_a_release_with_fewer_settings_goes_on(tmp_path: Path) -> None:
    stored = tmp_path / "runs" / "first" / "settings.json"
    finetune.Finetune(config(tmp_path), LogListener(), "").folder.stage("graph", None, dict)
    began = json.loads(stored.read_text()) | {"train.keep": 7}
    for key in ("train.clip", "targets.max_tokens", "engine.persistence_threshold"):
        del began[key]
    del began["questions.test"][0]["max_answers"]
    stored.write_text(json.dumps(began))
    engine = {"name": "deepspeed", "zero": 3}
    assert finetune.Finetune(config(tmp_path, engine=engine), LogListener(), "").folder.settings == began
    with pytest.raises(StageChanged, match=r"\(engine.persistence_threshold was \S+, is 0\)"):
        finetune.Finetune(config(tmp_path), LogListener(), "")


def test_a_second_command_on_a_run_is_refused_before_it_touches_anything(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    run = Path(finetune.Finetune(cfg, LogListener(), "kept").folder.path)
    never = replace(cfg, run=replace(cfg.run, resume="never"))
    with held(run), pytest.raises(TrainError, match=r"runs/first: another command is at work in this run's folder"):
        run_finetune(never, Told())
    assert (run / "config.yaml").read_text() == "kept"


def test_only_machine_and_evaluation_may_change_in_a_run(tmp_path: Path) -> None:
    cfg = config(tmp_path)
    job = finetune.Finetune(cfg, LogListener(), "")
    sections = {key.split(".")[0] for key in job.folder.settings}
    assert sections == set(to_dict(cfg)) - {"resources", "evaluation", "budgets"}
    assert [key for key in job.folder.settings if key.startswith("run.")] == ["run.seed"]
