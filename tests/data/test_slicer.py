import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raykg.data.errors import DamagedQuestionSet
from raykg.data.order import Order
from raykg.data.packing import by_beginning, pack
from raykg.data.slicer import Slicer, tokeniser
from raykg.data.targets import TargetsConfig
from raykg.data.tokenise import PLAN, READ
from tests.data.question_rows import FILM_QUESTIONS, film_files

TIMES, TOGETHER = 4, 7
ROWS = TIMES * len(FILM_QUESTIONS)


@pytest.fixture(scope="module")
def slicer(tmp_path_factory: pytest.TempPathFactory) -> Slicer:
    folder = tmp_path_factory.mktemp("slicer")
    graph = film_files(folder, TIMES)
    targets = TargetsConfig(plan=0.5, read=0.5, max_tokens=1500, facts_tokens=1200, questions_per_context=TOGETHER)
    return Slicer(str(folder / "questions"), str(folder / "tokenizer"), Order(ROWS, 2 * TOGETHER, 3, TOGETHER), targets, graph)


def test_neighbours_get_one_target_and_share_their_facts(slicer: Slicer) -> None:
    kinds = set()
    for step in range(6):
        one = slicer.slice_of(step)
        group = one.row_ids // TOGETHER
        for number in np.unique(group):
            here = np.flatnonzero(group == number)
            assert len(set(one.kinds[here].tolist())) == 1
            kinds.add(int(one.kinds[here[0]]))
            rows = one.examples.select(here)
            rows = rows.select(by_beginning(rows))
            size = len(pack(rows, sharing=True)["input_ids"][0])
            assert size < rows.lengths.sum() * (0.4 if one.kinds[here[0]] == READ else 1.1)
    assert kinds == {PLAN, READ}


@pytest.mark.parametrize("world", [1, 2, 3])
def test_workers_get_whole_groups_and_together_the_batch(slicer: Slicer, world: int) -> None:
    for step in range(4):
        whole = slicer.slice_of(step)
        parts = [_of(slicer, rank, world).slice_of(step) for rank in range(world)]
        assert sorted(row for part in parts for row in part.row_ids.tolist()) == sorted(whole.row_ids.tolist())
        groups = [set((part.row_ids // TOGETHER).tolist()) for part in parts]
        assert sum(map(len, groups)) == len(set.union(*groups)), "a group was torn apart"
        assert _texts(slicer, parts) == _texts(slicer, [whole]), "what a row says depends on the number of workers"


def _of(slicer: Slicer, rank: int, world: int) -> Slicer:
    return Slicer(slicer.questions, slicer.tokenizer, slicer.order, slicer.targets, slicer.graph, rank, world)


def _texts(slicer: Slicer, parts: list) -> list[str]:
    decode = tokeniser(slicer.tokenizer).backend.decode
    found = []
    for part in parts:
        starts = part.examples.starts
        found += [decode(part.examples.tokens[at : at + n].tolist()) for at, n in zip(starts, part.examples.lengths, strict=True)]
    return sorted(found)


def test_a_folder_without_a_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no tokenizer.json there"):
        tokeniser(str(tmp_path))


def test_a_run_that_starts_anew_is_read_anew(tmp_path: Path, slicer: Slicer) -> None:
    """Ray keeps its processes, and a new run has other files by the names of the old one's."""
    there = tmp_path / "run"
    shutil.copytree(Path(slicer.tokenizer), there / "tokenizer")
    shutil.copytree(Path(slicer.questions), there / "questions")
    moved = replace(slicer, tokenizer=str(there / "tokenizer"), questions=str(there / "questions"))
    assert moved.slice_of(0).row_ids.tolist() == slicer.slice_of(0).row_ids.tolist()
    first = tokeniser(moved.tokenizer)
    assert tokeniser(moved.tokenizer) is first
    there.rename(tmp_path / "old")
    shutil.copytree(tmp_path / "old" / "tokenizer", there / "tokenizer")
    assert tokeniser(moved.tokenizer) is not first
    with pytest.raises(DamagedQuestionSet, match="no readable question set there"):
        moved.slice_of(0)
