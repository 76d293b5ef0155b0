from pathlib import Path

import pytest
import torch

from raykg.train import state_files
from raykg.train.errors import CheckpointError
from raykg.train.state_files import StateWriter, read_states


def states(count: int) -> dict[str, dict[str, torch.Tensor]]:
    random = torch.Generator().manual_seed(count)
    return {
        f"layer.{number}": {"weight": torch.randn(3, number + 1, generator=random), "step": torch.tensor(4.0)} for number in range(count)
    }


@pytest.mark.parametrize("size", [1, 100, 1 << 30])
def test_what_is_written_is_read_whatever_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(state_files, "FILE_BYTES", size)
    expected = states(7)
    with StateWriter(tmp_path) as files:
        for name, state in expected.items():
            files.add(name, state)
    assert len(list(tmp_path.iterdir())) == {1: 7, 100: 3, 1 << 30: 1}[size]
    found = dict(read_states(tmp_path, expected))
    assert found.keys() == expected.keys()
    for name, state in expected.items():
        assert found[name].keys() == state.keys()
        assert all(torch.equal(found[name][kind], value) for kind, value in state.items())


def test_what_is_written_stays_as_it_was(tmp_path: Path) -> None:
    weight = torch.zeros(2)
    with StateWriter(tmp_path) as files:
        files.add("a", {"weight": weight})
        weight += 1
    assert dict(read_states(tmp_path, {"a": None}))["a"]["weight"].tolist() == [0.0, 0.0]


def test_other_workers_and_broken_writes_leave_nothing(tmp_path: Path) -> None:
    with StateWriter(tmp_path, write=False) as files:
        files.add("a", {"weight": torch.zeros(2)})
    with pytest.raises(KeyError), StateWriter(tmp_path) as files:
        files.add("a", {"weight": torch.zeros(2)})
        raise KeyError
    assert not list(tmp_path.iterdir())
    with pytest.raises(CheckpointError, match=r"holds no state-\*.safetensors: another version of raykg"):
        list(read_states(tmp_path, {}))


def test_other_parameters_are_refused(tmp_path: Path) -> None:
    with StateWriter(tmp_path) as files:
        files.add("a", {"weight": torch.zeros(2)})
    with pytest.raises(CheckpointError, match="2 trained parameters differ from the model's, the first is a"):
        list(read_states(tmp_path, {"b": None}))
