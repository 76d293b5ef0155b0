"""`raykg tune` as a command: what it says of mistakes."""

from tests.architecture.source import ROOT
from tests.cli.run_raykg import raykg


def test_mistakes_are_told_with_their_places(tmp_path):
    file = tmp_path / "sweep.yaml"
    file.write_text(f"job: {ROOT}/jobs/configs/finetune/smoke.yaml\nspace: {{lora.rnk: [1, 2]}}\n")
    done = raykg("tune", str(file), f"run.storage={tmp_path}")
    assert (done.returncode, done.stdout) == (2, "") and "space.lora.rnk: lora has no key rnk, did you mean 'rank'?" in done.stderr
    file.write_text("job: nowhere.yaml\nspace: {lora.rank: [1, 2]}\nshedule: asha\n")
    done = raykg("tune", str(file), f"run.storage={tmp_path}")
    assert done.returncode == 2 and f"{file}:3: shedule" in done.stderr and "did you mean 'schedule'" in done.stderr
    done = raykg("tune", str(ROOT / "jobs/configs/tune/smoke.yaml"), f"run.storage={tmp_path}", "--resume")
    assert done.returncode == 1 or done.returncode == 2
    assert "there is no run to resume" in done.stderr
