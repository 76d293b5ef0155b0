"""Contenders are asked in shares, and what they said is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from raykg.config.load import from_dict
from raykg.data.question_set import write_table
from raykg.data.questions import question_table
from raykg.eval.suites.kgqa import RESULT_SCHEMA, Evaluation
from raykg.train import measure
from raykg.train.finetune_config import FinetuneConfig


@pytest.fixture
def cfg() -> FinetuneConfig:
    contenders = [{"strategy": "plan_execute", "questions": 5}, {"model": "base", "strategy": "closed_book", "questions": 50}]
    return from_dict(FinetuneConfig, {"train": {"steps": 1}, "evaluation": {"contenders": contenders, "batch": 4}})


def sets(folder: Path, *names: str) -> dict[str, str]:
    rows = question_table({"question": [f"who directed film {number}" for number in range(10)]}, kg_version="v1")
    return {name: str(write_table(rows, folder / name, {"name": name}).folder) for name in names}


def test_labels_name_the_set_where_there_are_several(cfg: FinetuneConfig, tmp_path: Path) -> None:
    one = measure.asked(cfg, sets(tmp_path, "generated"))
    assert [label for label, _, _ in one] == ["fine-tuned, plan_execute, topics linked", "base, closed_book"]
    two = measure.asked(cfg, sets(tmp_path, "generated", "metaqa"))
    assert two[3][0] == "metaqa: base, closed_book"


def test_chunks_are_counted(cfg: FinetuneConfig, tmp_path: Path) -> None:
    assert measure.chunks(cfg, sets(tmp_path, "generated")) == 2 + 3  # 5 and 10 questions, 4 at once


def test_shares_are_merged_kept_and_read(tmp_path: Path) -> None:
    def share(*rows: int) -> Evaluation:
        columns = {field.name: [None] * len(rows) for field in RESULT_SCHEMA} | {"row": list(rows)}
        import pyarrow as pa

        return Evaluation(pa.table(columns, schema=RESULT_SCHEMA), "plan_execute", "linked", "v1")

    rows = measure.keep([[("a, b", share(0, 2))], [("a, b", share(1))]], tmp_path)
    assert Path(rows[0]["file"]).name == "00-a-b.arrow"
    ((label, evaluation),) = measure.kept(rows)
    assert label == "a, b"
    assert evaluation.table["row"].to_pylist() == [0, 1, 2]
    assert (evaluation.strategy, evaluation.topics, evaluation.kg_version) == ("plan_execute", "linked", "v1")
