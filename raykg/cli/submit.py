"""`raykg submit SPEC [key=value ...]`: a job on a Ray cluster, followed until it ends."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from raykg.cluster.job_client import JobClient
    from raykg.cluster.job_spec import Job

_USERS_MISTAKE = 2  # the exit code with which raykg says that the same command would fail again


def command(
    spec: Annotated[Path, typer.Argument(help="A job's spec, jobs/specs/<job>.yaml.", show_default=False)],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Dotted overrides of the job's config.")] = None,
    config: Annotated[Path | None, typer.Option(help="In the place of the config that the spec's entrypoint runs.")] = None,
    address: Annotated[
        str | None,
        typer.Option(help="Of the cluster's dashboard, http(s)://HOST:8265; by default as Ray: RAY_API_SERVER_ADDRESS, RAY_ADDRESS."),
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for the job's end.")] = False,
    retries: Annotated[int, typer.Option(help="How often a failed job is submitted again while this command waits.", min=0)] = 0,
    print_only: Annotated[bool, typer.Option("--print", help="Submit nothing, print the equal `ray job submit` line.")] = False,
    submission_id: Annotated[str | None, typer.Option("--id", help="The job's id; by default the spec's name and the time.")] = None,
    runtime_env: Annotated[Path | None, typer.Option(help="In the place of the runtime_env.yaml beside the specs' folder.")] = None,
    verify: Annotated[str, typer.Option(help="Of https: true, false, or a file of trusted certificates.")] = "true",
) -> int:
    """Submit a job to a Ray cluster, and follow it until it ends.

    The overrides go to the config that the spec's entrypoint runs; the config is checked here before anything is sent. Ctrl-C leaves the
    job running. With --retries a job that failed is submitted again and goes on where it stopped; one that ended because of a mistake in
    its settings is not.

    Ray's token is taken from RAY_AUTH_TOKEN, the file of RAY_AUTH_TOKEN_PATH, or ~/.ray/auth_token.

    Examples:
        raykg submit jobs/specs/finetune.yaml run.storage=/shared/runs
        raykg submit jobs/specs/finetune.yaml train.steps=100 --address https://ray.example.org --retries 3
        raykg submit jobs/specs/finetune.yaml --config jobs/configs/finetune/smoke.yaml
        raykg submit jobs/specs/construct.yaml --detach
        raykg submit jobs/specs/finetune.yaml --print
    """
    from raykg.cli.jobs import connect
    from raykg.cluster.job_spec import JobError, read_job

    job = read_job(spec, overrides or [], config_file=config, runtime_env=runtime_env, submission_id=submission_id)
    _check(job)
    if detach and retries:
        raise JobError("--retries needs this command to wait: leave --detach out, or use a RayJob's backoffLimit (clusters/kuberay)")
    if print_only:
        print(job.command(address, wait=not detach))
        return 0
    client = connect(address, verify)
    if detach:
        _submitted(client, job)
        return 0
    return _until_done(client, job, retries)


def _check(job: Job) -> None:
    """Read the job's config as the job will, where it lies here.

    Raises:
        ConfigErrors: with all that is wrong with it.
    """
    from raykg.cli.check import section_of
    from raykg.config.load import resolve

    if job.config is None:
        return
    config, overrides = job.config
    if config.suffix in (".yaml", ".yml") and config.is_file():
        resolve(section_of(config), config, [each for each in overrides if not each.startswith("-")])


def _until_done(client: JobClient, job: Job, retries: int) -> int:
    """Follow a job, submit it again where it fails, and return the exit code: 0 where it succeeded in the end."""
    from raykg.cli.jobs import follow, say

    for attempt in range(retries + 1):
        job_id = _submitted(client, job if not attempt else job.again(attempt))
        details = follow(client, job_id)
        if details.status.value != "FAILED" or attempt == retries:
            break
        if details.driver_exit_code == _USERS_MISTAKE:
            say("not submitted again: the same settings would fail again")
            break
        say(f"submitted again, {attempt + 1} of {retries} retries: a run goes on where it stopped")
    return 0 if details.status.value == "SUCCEEDED" else 1


def _submitted(client: JobClient, job: Job) -> str:
    from raykg.cli.jobs import say

    job_id = client.submit(job)
    say(f"submitted {job_id} to {client.address} (raykg jobs logs {job_id}, raykg jobs stop {job_id})")
    return job_id
