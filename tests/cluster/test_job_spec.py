"""Specs and what is made of them; those of jobs/ are what Ray's client and raykg's configs take."""

import dataclasses
import inspect
import shlex
from pathlib import Path

import pytest
import yaml

from raykg.cli.check import section_of
from raykg.cluster.job_spec import JobError, JobSpec, read_job
from raykg.config.errors import ConfigErrors
from raykg.config.load import load
from tests.architecture.source import ROOT

SPECS = sorted((ROOT / "jobs" / "specs").glob("*.yaml"))
each = pytest.mark.parametrize("file", SPECS, ids=lambda file: file.stem)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder like the project's: a job, its config, its spec, the runtime environment."""
    for name in ("jobs/specs", "jobs/configs/finetune"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "jobs" / "finetune.py").write_text("")
    (tmp_path / "jobs" / "runtime_env.yaml").write_text("working_dir: .\nexcludes: [runs]\n")
    (tmp_path / "jobs" / "specs" / "finetune.yaml").write_text(
        "entrypoint: python jobs/finetune.py jobs/configs/finetune/a.yaml run.storage=/shared\nentrypoint_num_cpus: 1\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


SPEC = Path("jobs/specs/finetune.yaml")


def test_overrides_stand_at_the_end_of_the_entrypoint_as_one_word_each(project):
    overrides = ["run.name=my run", "evaluation.contenders=[]", "questions.test[0].count=2"]
    job = read_job(SPEC, overrides)
    assert job.words == ["python", "jobs/finetune.py", "jobs/configs/finetune/a.yaml", "run.storage=/shared", *overrides]
    assert job.config == (Path("jobs/configs/finetune/a.yaml"), ["run.storage=/shared", *overrides])


def test_another_config_keeps_what_the_spec_overrides(project):
    job = read_job(SPEC, ["train.steps=5"], config_file=Path("b.yaml"))
    assert job.spec.entrypoint == "python jobs/finetune.py b.yaml run.storage=/shared train.steps=5"


def test_what_is_submitted_has_ray_s_names_and_an_id(project):
    given = read_job(SPEC).arguments()
    assert set(given) == {"entrypoint", "submission_id", "entrypoint_num_cpus", "runtime_env"}
    assert given["runtime_env"] == {"working_dir": ".", "excludes": ["runs"]} and given["submission_id"].startswith("finetune-")
    assert read_job(SPEC).spec.submission_id != read_job(SPEC).spec.submission_id
    assert read_job(SPEC, submission_id="mine").spec.submission_id == "mine"


def test_a_retry_is_another_submission_that_names_the_first(project):
    again = read_job(SPEC, submission_id="mine").again(2)
    assert again.spec.submission_id == "mine-retry-2" and again.spec.metadata == {"retry": "2", "retry_of": "mine"}
    assert again.spec.entrypoint == read_job(SPEC).spec.entrypoint


def test_the_printed_line_is_one_that_ray_s_command_takes(project):
    from ray.dashboard.modules.job.cli import submit

    (project / SPEC).write_text(
        "entrypoint: python jobs/finetune.py a.yaml\nentrypoint_num_cpus: 1.5\nentrypoint_memory: 1000\nmetadata: {a: b c}\n"
        "entrypoint_resources: {tpu: 1}\nentrypoint_label_selector: {zone: '!us'}\nsubmission_id: mine\n"
    )
    job = read_job(SPEC, ["run.name=my run"])
    words = shlex.split(job.command("http://host:8265", wait=False))
    assert words[:3] == ["ray", "job", "submit"]
    given = submit.make_context("submit", words[3:]).params
    assert given["entrypoint"] == ("python", "jobs/finetune.py", "a.yaml", "run.name=my run")
    assert (given["address"], given["no_wait"], given["submission_id"]) == ("http://host:8265", True, "mine")
    assert (given["entrypoint_num_cpus"], given["entrypoint_memory"], given["runtime_env"]) == (1.5, 1000, "jobs/runtime_env.yaml")
    assert (given["metadata_json"], given["entrypoint_resources"]) == ('{"a": "b c"}', '{"tpu": 1.0}')
    assert given["entrypoint_label_selector"] == '{"zone": "!us"}'


@pytest.mark.parametrize(
    ("overrides", "options", "says"),
    [
        (["steps"], {}, "'steps': overrides are key=value"),
        (["--retries=3"], {}, "'--retries=3': overrides are key=value"),
        ([], {"runtime_env": Path("none.yaml")}, "none.yaml: no such runtime environment"),
    ],
)
def test_what_cannot_be_submitted_is_refused(project, overrides, options, says):
    with pytest.raises(JobError, match=says.replace("'", ".")):
        read_job(SPEC, overrides, **options)


def test_a_folder_without_the_script_is_not_sent(project, monkeypatch):
    monkeypatch.chdir(project / "jobs")
    with pytest.raises(JobError, match=r"working_dir \(\.\) is .*/jobs, which has no jobs/finetune.py: submit from the folder"):
        read_job(project / SPEC)


def test_an_entrypoint_that_runs_no_config_has_none_to_replace(project):
    (project / SPEC).write_text("entrypoint: bash -c 'echo hi'\n")
    assert read_job(SPEC).config is None
    with pytest.raises(JobError, match="is no `python jobs/<job>.py CONFIG`"):
        read_job(SPEC, config_file=Path("a.yaml"))


def test_a_spec_with_a_runtime_environment_is_refused(project):
    (project / SPEC).write_text("entrypoint: echo\nruntime_env: {}\n")
    with pytest.raises(ConfigErrors, match="runtime_env: no such key"):
        read_job(SPEC)


def test_a_spec_has_the_names_of_ray_s_client_and_no_others():
    from ray.job_submission import JobSubmissionClient

    names = set(inspect.signature(JobSubmissionClient.submit_job).parameters) - {"self", "job_id", "runtime_env"}  # job_id is its old name
    assert {each.name for each in dataclasses.fields(JobSpec)} == names


def test_every_job_has_a_spec_and_every_spec_a_job():
    assert {file.stem for file in SPECS} == {file.stem for file in (ROOT / "jobs").glob("*.py")}


@each
def test_a_spec_of_the_project_runs_a_config_that_is_there(file, monkeypatch):
    monkeypatch.chdir(ROOT)
    job = read_job(file)
    config, overrides = job.config
    assert job.words[1] == f"jobs/{file.stem}.py" and config.is_file()
    load(section_of(config), config, overrides)
    assert not (runs := config.parts[:2]) or runs == ("jobs", "configs")


@each
def test_a_spec_opens_with_the_command_that_submits_it(file):
    text = file.read_text()
    assert text.startswith("# ") and f"raykg submit {file.relative_to(ROOT)}" in text


def test_the_runtime_environment_is_one_that_ray_takes():
    from ray.runtime_env import RuntimeEnv

    plain = yaml.safe_load((ROOT / "jobs" / "runtime_env.yaml").read_text())
    assert RuntimeEnv(**{name: value for name, value in plain.items() if name != "working_dir"}).to_dict()["excludes"] == plain["excludes"]
    assert plain["working_dir"] == "."
