"""A checkpoint is complete or absent, and a broken one is named before anything opens its files."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from raykg.kg import mirror
from raykg.train import checkpoint
from raykg.train.checkpoint import Position
from raykg.train.errors import CheckpointError
from tests.buckets import another_machine


def write(root: Path, step: int, metrics: dict[str, float] | None = None) -> Path:
    partial = checkpoint.begin(root, step)
    (partial / "engine" / "state.safetensors").write_bytes(b"weights" * step)
    (partial / "export" / "adapter.json").write_text("{}")
    return checkpoint.commit(root, Position(step, "torch", 2, 3, {"kg": "v1"}, metrics or {}))


def test_what_was_written_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path, 5, {"exact": 0.5})
    assert checkpoint.read(folder) == Position(5, "torch", 2, 3, {"kg": "v1"}, {"exact": 0.5})
    assert checkpoint.newest(tmp_path) == (folder, checkpoint.read(folder))
    assert set(json.loads((folder / "manifest.json").read_text())["files"]) == {"engine/state.safetensors", "export/adapter.json"}


def best_step(root: Path) -> int | None:
    found = checkpoint.best(root)
    return found[1].step if found else None


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def alter(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[0] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "file", "message"),
    [
        (cut, "engine/state.safetensors", r"engine/state.safetensors: has 62 bytes, the manifest says 63$"),
        (alter, "engine/state.safetensors", r"engine/state.safetensors: was altered: its sha256 is not the manifest's$"),
        (Path.unlink, "export/adapter.json", r"export/adapter.json: is missing from the checkpoint$"),
        (Path.unlink, "manifest.json", r"manifest.json: is missing: the checkpoint was never finished$"),
        (cut, "manifest.json", r"manifest.json: is not a checkpoint's manifest"),
        (lambda file: file.write_text("[]"), "manifest.json", r"manifest.json: is not a checkpoint's manifest"),
        (lambda file: file.write_text('{"files": {}, "format": 99}'), "manifest.json", r"has format 99, this raykg reads 2$"),
        (lambda file: file.write_text("print()"), "engine/evil.pt", r"engine/evil.pt: is not in the manifest"),
    ],
)
def test_every_damage_is_named_and_the_one_before_is_taken(
    tmp_path: Path, damage: Callable[[Path], object], file: str, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    before, broken = write(tmp_path, 6), write(tmp_path, 9)
    damage(broken / file)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.read(broken)
    with caplog.at_level(logging.WARNING):
        found = checkpoint.newest(tmp_path)
    assert found is not None
    assert found[0] == before
    assert "step-00000009" in caplog.text


def test_no_byte_of_a_manifest_can_change_unseen(tmp_path: Path) -> None:
    """A step, a metric or an identity that is another one by a bit would resume somewhere else, or be refused as another run's."""
    folder = write(tmp_path, 9, {"exact": 0.25})
    file, found = folder / "manifest.json", checkpoint.read(folder)
    whole = file.read_bytes()
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 1 << place % 7  # a bit of each byte; every bit of them, tried once by hand, is found too
        file.write_bytes(data)
        with pytest.raises(CheckpointError):
            checkpoint.read(folder)
        assert not checkpoint.is_whole(folder)
    file.write_bytes(whole)
    assert checkpoint.read(folder) == found
    assert checkpoint.is_whole(folder)
    assert not checkpoint.is_whole(tmp_path / "step-00000010")


def test_broken_ones_of_later_steps_go_when_the_run_has_saved_anew(tmp_path: Path) -> None:
    """They would take the place of those that are kept, and one of them could pass for the best."""
    for step, score in ((1, 0.5), (2, 0.25), (3, 0.9), (4, 0.1)):
        write(tmp_path, step, {"exact": score})
    for step in (3, 4):
        (checkpoint.folder_of(tmp_path, step) / "export/adapter.json").write_text("")
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert found[1].step == 2
    write(tmp_path, 3, {"exact": 0.4})
    checkpoint.prune(tmp_path, keep=1, newest=3)
    assert [path.name for path in checkpoint.listed(tmp_path)] == ["step-00000001", "step-00000003"]
    assert best_step(tmp_path) == 1


def test_a_bucket_s_error_is_said_though_it_has_no_number(tmp_path: Path) -> None:
    said = r"cannot be written \(AWS Error NETWORK_CONNECTION: no such host\): free space"
    with pytest.raises(CheckpointError, match=said), checkpoint.writing(tmp_path, 3):
        raise OSError("AWS Error NETWORK_CONNECTION: no such host")


def test_an_unfinished_save_is_absent(tmp_path: Path) -> None:
    write(tmp_path, 2)
    checkpoint.begin(tmp_path, 4)
    found = checkpoint.newest(tmp_path)
    assert found is not None
    assert found[1].step == 2
    checkpoint.prune(tmp_path, keep=1, newest=2)
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000002"]


def test_a_save_over_a_broken_one_replaces_it(tmp_path: Path) -> None:
    cut(write(tmp_path, 2) / "engine/state.safetensors")
    assert checkpoint.newest(tmp_path) is None
    assert checkpoint.read(write(tmp_path, 2)).step == 2


def test_the_best_and_the_last_are_kept(tmp_path: Path) -> None:
    for step, metrics in enumerate([{"exact": 0.1}, {"exact": 0.9}, {}, {"exact": 0.4}, {}], start=1):
        write(tmp_path, step, metrics)
    assert best_step(tmp_path) == 2
    assert checkpoint.is_best(tmp_path, {"exact": 0.9}, 9)
    assert not checkpoint.is_best(tmp_path, {"exact": 0.8}, 9)
    assert not checkpoint.is_best(tmp_path, {}, 9)
    assert checkpoint.is_best(tmp_path, {"exact": 0.0}, 1), "what is there of later steps was broken when the run resumed"
    checkpoint.prune(tmp_path, keep=2, newest=5)
    assert [path.name for path in checkpoint.listed(tmp_path)] == ["step-00000002", "step-00000004", "step-00000005"]


def test_of_losses_the_smallest_is_best_and_of_equals_the_latest(tmp_path: Path) -> None:
    for step, loss in [(1, 0.5), (2, 0.25), (3, 0.25)]:
        write(tmp_path, step, {"held_out_loss": loss, "exact": 1.0 / step})
    assert best_step(tmp_path) == 3


def test_a_few_rows_more_or_less_are_luck_and_the_later_one_is_taken(tmp_path: Path) -> None:
    for step, share in [(1, 0.5), (2, 0.875), (3, 0.84375), (4, 0.8)]:
        write(tmp_path, step, {"set_match": share})
    steps = {}
    for rows in (None, 0, 20, 32, 100, 10_000):
        found = checkpoint.best(tmp_path, rows)
        steps[rows] = found[1].step if found else None
    assert steps == {None: 2, 0: 2, 20: 3, 32: 3, 100: 3, 10_000: 2}  # errors: 0.074, 0.058, 0.033, 0.003
    write(tmp_path, 5)
    assert best_step(tmp_path) == 2
    shutil.rmtree(tmp_path)
    for step, loss in [(1, 0.25), (2, 0.26)]:
        write(tmp_path, step, {"held_out_loss": loss})
    found = checkpoint.best(tmp_path, 4)
    assert found is not None
    assert found[1].step == 1


def test_without_evaluations_the_newest_is_best(tmp_path: Path) -> None:
    assert checkpoint.best(tmp_path) is None
    write(tmp_path, 1)
    last = write(tmp_path, 2)
    assert checkpoint.best(tmp_path) == (last, checkpoint.read(last))


def test_a_broken_best_is_named_once_and_the_next_best_is_taken(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for step, metrics in enumerate([{"exact": 0.5}, {"exact": 0.9}, {"exact": 0.1}, {}], start=1):
        write(tmp_path, step, metrics)
    alter(checkpoint.folder_of(tmp_path, 2) / "export/adapter.json")
    with caplog.at_level(logging.WARNING):
        assert best_step(tmp_path) == 1
    assert len(caplog.messages) == 1
    assert "step-00000002/export/adapter.json: was altered" in caplog.text
    cut(checkpoint.folder_of(tmp_path, 1) / "manifest.json")
    cut(checkpoint.folder_of(tmp_path, 3) / "engine/state.safetensors")
    assert best_step(tmp_path) == 4  # never evaluated: better than nothing
    (checkpoint.folder_of(tmp_path, 4) / "manifest.json").write_text("[]")
    assert best_step(tmp_path) is None


def test_a_machine_believes_the_bucket_and_not_what_an_earlier_run_left_here(bucket_uri: str) -> None:
    root = mirror.local(bucket_uri) / "stale" / "checkpoints"
    old = write(root, 6)
    mirror.rename(root.parent, root.parent.with_name("stale.1"))  # as run.resume=never does on the driver's machine
    shutil.copytree(root.parent.with_name("stale.1"), root.parent)  # and not on this one
    new = write(root, 2)
    assert mirror.children(root) == ["step-00000002"] and old.exists()
    assert checkpoint.newest(root) == (new, checkpoint.read(new)) and not old.exists()


def test_a_checkpoint_that_was_cut_on_its_way_counts_as_none(bucket_uri: str) -> None:
    root = mirror.local(bucket_uri) / "cut" / "checkpoints"
    whole, cut = write(root, 2), write(root, 4)
    mirror.drop(cut / "manifest.json")  # which goes last
    assert checkpoint.newest(root) == (whole, checkpoint.read(whole)) and not cut.exists()
    another_machine(bucket_uri)
    assert best_step(root) == 2
    (whole / "engine" / "state.safetensors").unlink()
    assert checkpoint.newest(root) is not None, "what is missing here is brought again"
