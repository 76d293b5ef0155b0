"""The recipe's task on one process: what is learnt, what the filler adds, how the held-out slice is answered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from raykg.config.load import from_dict
from raykg.data.question_set import write_table
from raykg.data.questions import question_table
from raykg.data.tokenise import Tokeniser
from raykg.data.tokenise import micro_batch as pad
from raykg.kg.graph import KnowledgeGraph
from raykg.models.reference import base_sha256, resolve
from raykg.models.saved import SavedModel
from raykg.train.finetune_config import FinetuneConfig
from raykg.train.finetune_task import FinetuneTask, Inputs, trained_precision, watched_strategy
from raykg.train.ranks import Ranks
from tests.graphs import film_graph


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> KnowledgeGraph:
    return film_graph(tmp_path_factory.mktemp("films"))


def make(folder: Path, graph: KnowledgeGraph, **changes: object) -> FinetuneTask:
    cfg = from_dict(FinetuneConfig, {"model": {"reference": "tiny:llama"}, "train": {"steps": 1, "evaluate_rows": 3}, **changes})
    columns = {"question": [f"who directed {name}" for name in ("Alien", "Aliens", "Amélie", "Blade Runner")], "kind": ["1-hop"] * 4}
    rows = question_table({**columns, "answers": [["x"]] * 4, "answer_ids": [[0]] * 4}, kg_version=graph.version)
    questions = str(write_table(rows, folder / "questions", {"set": "validation"}).folder)
    base = resolve("tiny:llama")
    inputs = Inputs(str(graph.root), graph.version, questions, questions, str(base), base_sha256(base))
    return FinetuneTask(cfg, inputs, Ranks())


def test_the_filler_has_gradients_of_zero(tmp_path: Path, graph: KnowledgeGraph) -> None:
    task = make(tmp_path, graph)
    model = task.model()
    loss = task.loss(model, task.filler())
    assert loss.total.item() == 0.0
    loss.total.backward()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert trained
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in trained)


def test_the_loss_is_the_sum_over_the_completion(tmp_path: Path, graph: KnowledgeGraph) -> None:
    task = make(tmp_path, graph)
    model = task.model().eval()
    tokeniser = Tokeniser(resolve("tiny:llama"))
    examples = tokeniser.encode(["who directed Alien =>", "who? =>"], ["Alien > directed by", "Heat"])
    batch = pad(examples, tokeniser.end)
    ids = torch.from_numpy(batch["input_ids"])
    logits = model(input_ids=ids, attention_mask=torch.from_numpy(batch["attention_mask"])).logits
    each = torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
    places = torch.arange(1, ids.shape[1])
    prompts, lengths = torch.from_numpy(examples.prompts)[:, None], torch.from_numpy(examples.lengths)[:, None]
    expected = each[(places >= prompts) & (places < lengths)].sum()
    assert task.loss(model, batch).total.item() == pytest.approx(expected.item(), abs=1e-4)


def test_workers_share_the_held_out_rows(tmp_path: Path, graph: KnowledgeGraph) -> None:
    task = make(tmp_path, graph)
    found = task.evaluate(task.model().eval(), step=1)
    assert list(found) == ["set_match", "hits_at_1", "executable"]
    assert {count for _, count in found.values()} == {3.0}


def test_a_metric_that_does_not_apply_is_not_measured(tmp_path: Path, graph: KnowledgeGraph) -> None:
    reads = {"contenders": [{"strategy": {"name": "read", "max_tokens": 2}, "topics": "linked"}]}
    task = make(tmp_path, graph, evaluation=reads)
    found = task.evaluate(task.model().eval(), step=1)
    assert found["set_match"][1] == 3.0
    assert found["executable"] == (0.0, 0.0)  # there are no plans: the loop leaves it out, a rate of 0 would be a claim


def test_what_is_exported_opens(tmp_path: Path, graph: KnowledgeGraph) -> None:
    task = make(tmp_path, graph)
    task.export(task.model(), tmp_path / "export")
    saved = SavedModel.open(tmp_path / "export")
    assert saved.base == "tiny:llama"
    assert saved.graph["version"] == graph.version


def test_full_fine_tuning_trains_float32_weights(tmp_path: Path, graph: KnowledgeGraph) -> None:
    task = make(tmp_path, graph, lora={"enabled": False}, model={"reference": "tiny:llama", "dtype": "bfloat16"})
    parameters = list(task.model().parameters())
    assert all(parameter.requires_grad and parameter.dtype == torch.float32 for parameter in parameters)


def test_the_held_out_slice_is_answered_as_the_table_will_be() -> None:
    cfg = from_dict(FinetuneConfig, {"train": {"steps": 1}})
    assert watched_strategy(cfg)[0].name == "plan_execute"
    contenders = [{"strategy": "closed_book"}, {"strategy": {"name": "plan_execute", "beams": 3}, "topics": "given"}]
    chosen, topics = watched_strategy(from_dict(FinetuneConfig, {"train": {"steps": 1}, "evaluation": {"contenders": contenders}}))
    assert (chosen.name, chosen.config.beams, topics) == ("plan_execute", 3, "given")
    nobody = replace(cfg, evaluation=replace(cfg.evaluation, contenders=()), targets=replace(cfg.targets, plan=0.0, read=1.0))
    assert watched_strategy(nobody)[0].name == "read"


def test_precision_follows_the_config() -> None:
    cfg = from_dict(FinetuneConfig, {"train": {"steps": 1}})
    assert trained_precision(cfg, Ranks()) == "float32"
    assert trained_precision(replace(cfg, model=replace(cfg.model, dtype="bfloat16")), Ranks()) == "bfloat16"
