"""`raykg plan` without a calibration: arithmetic, and refusals."""

from tests.architecture.source import ROOT
from tests.cli.run_raykg import raykg

SMOKE = str(ROOT / "jobs/configs/finetune/smoke.yaml")


def test_memory_by_what_it_is_for(tmp_path):
    done = raykg("plan", SMOKE, f"run.storage={tmp_path}", "--steps", "0", "--memory", "2")
    assert done.returncode == 0, done.stderr
    rows = [line.split()[0] for line in done.stdout.splitlines() if line]
    assert rows[1:] == ["a", "weights", "gradients", "optimiser", "activations", "logits", "process", "graph", "together", "with"]
    assert done.stdout.startswith("tiny:llama: ") and "of them trained" in done.stdout
    assert not any(tmp_path.iterdir()), "nothing was run"


def test_what_cannot_fit_names_the_key(tmp_path):
    asked = ("plan", SMOKE, f"run.storage={tmp_path}", "--steps", "0", "--memory", "1.5")
    done = raykg(*asked, "train.micro_batch=4000", "train.batch=4000", "targets.max_tokens=4096")
    assert done.returncode == 2 and "lower train.micro_batch (4000), which changes nothing of what is learnt" in done.stderr
    no_gpu = raykg("plan", SMOKE, "--steps", "0", "resources.gpus_per_worker=1")
    assert no_gpu.returncode == 2 and "there is no GPU here: say by --memory how much one has, in GiB" in no_gpu.stderr
