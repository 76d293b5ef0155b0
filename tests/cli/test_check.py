import pytest

from raykg.config.load import load
from raykg.train.finetune_config import FinetuneConfig
from tests.cli.run_raykg import raykg

WATCH = "import atexit, sys; atexit.register(lambda: print('LOADED', [n for n in ('torch', 'ray') if n in sys.modules]))"


@pytest.fixture
def config(tmp_path):
    """A small config that is right."""
    (tmp_path / "x.yaml").write_text("run: {name: small}\ntrain:\n  steps: 3\n  learning_rate: 1e-4\n")
    return tmp_path / "x.yaml"


def test_a_config_is_shown_with_where_each_value_comes_from(config):
    done = raykg("check", "x.yaml", "train.batch=64", cwd=config.parent, code=WATCH)
    assert done.returncode == 0, done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "name: small # x.yaml:1" in lines
    assert "learning_rate: 0.0001 # x.yaml:4" in lines
    assert "batch: 64 # command line" in lines
    assert any(line.startswith("seed: ") and line.endswith("# default") for line in lines)


def test_checking_needs_neither_torch_nor_ray(config):
    assert "LOADED []" in raykg("check", "x.yaml", cwd=config.parent, code=WATCH).stdout


def test_what_it_prints_is_a_config(config, tmp_path):
    plain = raykg("check", "x.yaml", "--plain", cwd=config.parent).stdout
    assert " # " not in plain
    (tmp_path / "resolved.yaml").write_text(plain)
    assert load(FinetuneConfig, tmp_path / "resolved.yaml") == load(FinetuneConfig, config)


def test_all_problems_of_a_file_are_shown_at_once(tmp_path):
    (tmp_path / "x.yaml").write_text("""\
run:
  name: ""
  resume: sometimes
  resume: auto
train:
  steps: 3.5
  bacth: 8
graph: {source: 3}
lora:
  rank: many
""")
    done = raykg("check", "x.yaml", "resources.workers=0", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert lines[0] == "raykg: 8 problems in the config:"
    starts = [
        'x.yaml:2: run.name (""): must be text that is not empty',
        'x.yaml:3: run.resume ("sometimes"): must be one of auto, never, must',
        "x.yaml:4: run.resume: written twice, first in line 3",
        "x.yaml:6: train.steps (3.5): must be a whole number above 0 or null",
        "x.yaml:7: train.bacth: no such key, did you mean 'batch'? (keys: ",
        'x.yaml:8: graph.source (3): must be text that is not empty: put it in quotes, "3"',
        'x.yaml:10: lora.rank ("many"): must be a whole number above 0',
        "command line: resources.workers (0): must be a whole number above 0",
    ]
    assert len(lines) == 9
    for line, start in zip(lines[1:], starts, strict=True):
        assert line.startswith(start)


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    done = raykg("check", "none.yaml", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, f"raykg: none.yaml: cannot be read: No such file or directory: {tmp_path} has no config\n")
