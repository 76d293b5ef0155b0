"""Contenders are asked their sample, in shares, and what is kept is not asked again."""

import pytest

from raykg.answer.opening import open_model
from raykg.config.schema import chosen
from raykg.eval.contest import ask_contender
from raykg.eval.evaluation_config import STRATEGIES, Contender, EvaluationConfig
from tests.answer.runs import questions, write_run


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contest")
    write_run(folder)
    return open_model(folder / "run", batch=2)


def test_shares_merge_and_kept_results_are_read(opened, tmp_path):
    contender = Contender(strategy=chosen(STRATEGIES, "closed_book", max_tokens=4), questions=3)
    cfg, rows = EvaluationConfig(contenders=(contender,), batch=2), questions(opened.graph)
    whole = ask_contender(contender, cfg, opened, rows, tmp_path / "a")
    assert whole.table.num_rows == 3
    shares = [ask_contender(contender, cfg, opened, rows, tmp_path / "b", share=(i, 2)) for i in range(2)]
    columns = [name for name in whole.table.schema.names if name != "seconds"]
    assert shares[0].merge(shares[1]).table.select(columns).equals(whole.table.select(columns))
    told = []
    before = opened.generator.rows
    again = ask_contender(contender, cfg, opened, rows, tmp_path / "b", progress=lambda done, total: told.append((done, total)))
    assert opened.generator.rows == before
    assert told == [(2, 3), (3, 3)]
    assert again.table.num_rows == 3
