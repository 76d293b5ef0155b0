"""Training goes on while a checkpoint is brought to a bucket, and the checkpoint is there when all of it is."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from raykg.kg import mirror
from raykg.train import checkpoint
from raykg.train.errors import CheckpointError
from raykg.train.ranks import Ranks
from raykg.train.uploads import Uploads
from tests.train.line_task import LineTask, run_line

STEPS = [[1.0, 1.0]] * 6


class Watched(LineTask):
    """Lets the bucket have the first checkpoint only once a later step has begun."""

    free = threading.Event()
    begun: list[int] = []

    def batches(self, start_step, stop_step):
        for number, step in enumerate(super().batches(start_step, stop_step), start_step + 1):
            self.begun.append(number)
            if number == 4:
                self.free.set()
            yield step


def names(root: Path) -> set[str]:
    return {name for name in mirror.listing(root) if name.endswith("manifest.json")}


def test_steps_go_on_while_a_checkpoint_is_on_its_way(bucket_uri, tmp_path, monkeypatch):
    root = mirror.local(bucket_uri) / tmp_path.name / "checkpoints"
    kept, when = mirror.keep, []
    Watched.free.clear()
    Watched.begun.clear()

    def slow(path, without=()):
        if path.name == "step-00000002":
            assert Watched.free.wait(60), "training waited for the bucket"
            assert not names(root), "a manifest must go last"
            when.append(list(Watched.begun))
        kept(path, without)

    monkeypatch.setattr(mirror, "keep", slow)
    records = run_line(root, STEPS, Watched, checkpoint_every=2, keep=9)
    assert when == [[1, 2, 3, 4]]
    assert names(root) == {f"step-0000000{step}/manifest.json" for step in (2, 4, 6)}
    assert [record["step"] for record in records if record["kind"] == "checkpoint"] == [2, 4, 6]
    for step in (2, 4, 6):
        assert checkpoint.read(checkpoint.folder_of(root, step)).step == step


def test_what_the_bucket_refuses_ends_the_run_with_the_checkpoint_before_it(bucket_uri, tmp_path, monkeypatch):
    root = mirror.local(bucket_uri) / tmp_path.name / "checkpoints"
    kept = mirror.keep

    def refuse(path, without=()):
        if path.name == "step-00000004":
            raise PermissionError(13, "access denied")
        kept(path, without)

    with monkeypatch.context() as patched:
        patched.setattr(mirror, "keep", refuse)
        with pytest.raises(CheckpointError, match=r"/step-00000004: cannot be written \(access denied\).* from step-00000002$"):
            run_line(root, STEPS, checkpoint_every=2, keep=9)
    assert names(root) == {"step-00000002/manifest.json"}
    records = run_line(root, STEPS, checkpoint_every=2, keep=9)
    assert [record["step"] for record in records if record["kind"] == "step"] == [3, 4, 5, 6], "it goes on from what the bucket has"


def test_whatever_goes_wrong_on_the_way_no_manifest_follows(bucket_uri, tmp_path, monkeypatch):
    root = mirror.local(bucket_uri) / tmp_path.name / "checkpoints"
    kept = mirror.keep

    def fail(path, without=()):
        if path.name == "step-00000004":
            raise RuntimeError("can't start new thread")
        kept(path, without)

    monkeypatch.setattr(mirror, "keep", fail)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        run_line(root, STEPS, checkpoint_every=2, keep=9)
    assert names(root) == {"step-00000002/manifest.json"}


def test_a_folder_needs_no_upload(tmp_path):
    uploads = Uploads(tmp_path, Ranks(), keep=1)
    uploads.begin(tmp_path / "step-00000001", leads=True)
    assert not uploads.open and not uploads.pending
    uploads.complete()
