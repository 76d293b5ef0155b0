"""`raykg plan` without a calibration: arithmetic, and refusals."""

import pytest

from raykg.cli.main import main
from tests.architecture.source import ROOT

SMOKE = str(ROOT / "jobs/configs/finetune/smoke.yaml")


def plan(capsys, *arguments):
    """Return the exit code and what is printed, of results or of what is wrong."""
    with pytest.raises(SystemExit) as exit_:
        main(["plan", *map(str, arguments)])
    printed = capsys.readouterr()
    return exit_.value.code or 0, printed.err if exit_.value.code else printed.out


def test_memory_by_what_it_is_for(tmp_path, capsys):
    code, said = plan(capsys, SMOKE, f"run.storage={tmp_path}", "--steps", "0", "--memory", "2")
    assert code == 0, said
    rows = [line.split()[0] for line in said.splitlines() if line]
    assert rows[1:] == ["a", "weights", "gradients", "optimiser", "activations", "logits", "process", "graph", "together", "with"]
    assert said.startswith("tiny:llama: ") and "of them trained" in said
    assert not any(tmp_path.iterdir()), "nothing was run"


def test_what_cannot_fit_names_the_key(tmp_path, capsys):
    asked = (SMOKE, f"run.storage={tmp_path}", "--steps", "0", "--memory", "1.5")
    code, said = plan(capsys, *asked, "train.micro_batch=4000", "train.batch=4000", "targets.max_tokens=4096")
    assert code == 2 and "lower train.micro_batch (4000), which changes nothing of what is learnt" in said
    code, said = plan(capsys, SMOKE, "--steps", "0", "resources.gpus_per_worker=1")
    assert code == 2 and "there is no GPU here: say by --memory how much one has, in GiB" in said
