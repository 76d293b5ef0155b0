"""`raykg jobs list | logs | stop`: the jobs of a Ray cluster."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ray.job_submission import JobDetails

    from raykg.cluster.job_client import JobClient

app = typer.Typer(add_completion=False, no_args_is_help=True)

Address = Annotated[
    str | None,
    typer.Option(help="Of the cluster's dashboard, http(s)://HOST:8265; by default as Ray: RAY_API_SERVER_ADDRESS, RAY_ADDRESS."),
]
Verify = Annotated[str, typer.Option(help="Of https: true, false, or a file of trusted certificates.")]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.", show_default=False)]


@app.callback()
def group() -> None:
    """List, follow and stop the jobs of a Ray cluster.

    Examples:
        raykg jobs list
        raykg jobs logs finetune-20261122-101500-3f2a --follow
        raykg jobs stop finetune-20261122-101500-3f2a
    """


@app.command("list")
def list_jobs(address: Address = None, verify: Verify = "true") -> None:
    """List the jobs that were submitted to the cluster, the oldest first.

    Examples:
        raykg jobs list
        raykg jobs list --address https://ray.example.org
    """
    from rich.console import Console
    from rich.table import Table

    table = Table()
    for name, width in (("job", 30), ("state", 9), ("began", 11), ("took", 7)):
        table.add_column(name, no_wrap=True, overflow="ignore", min_width=width)  # a part of an id is of no use
    table.add_column("command", no_wrap=True, overflow="ellipsis")
    for job in connect(address, verify).list():
        began = time.strftime("%m-%d %H:%M", time.localtime(job.start_time / 1000)) if job.start_time else ""
        table.add_row(job.submission_id, job.status.value, began, _took(job), job.entrypoint)
    Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(table)


@app.command()
def logs(
    job: JobId,
    follow_it: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
    address: Address = None,
    verify: Verify = "true",
) -> int:
    """Print what a job has printed.

    Examples:
        raykg jobs logs finetune-20261122-101500-3f2a
        raykg jobs logs finetune-20261122-101500-3f2a --follow
    """
    client = connect(address, verify)
    if not follow_it:
        print(client.logs(job), end="")
        return 0
    return 0 if follow(client, job).status.value == "SUCCEEDED" else 1


@app.command()
def stop(job: JobId, address: Address = None, verify: Verify = "true") -> None:
    """Ask a job to end; a run that it was at can be gone on with.

    Examples:
        raykg jobs stop finetune-20261122-101500-3f2a
    """
    client = connect(address, verify)
    print(f"{job}: is stopping" if client.stop(job) else f"{job}: was not running ({client.details(job).status.value})")


def connect(address: str | None, verify: str) -> JobClient:
    """Return a client of the cluster.

    Raises:
        JobError: nothing answers, or the token is wrong.
    """
    from raykg.cluster.job_client import JobClient

    checks = {"true": True, "false": False}.get(verify.lower(), verify)
    return JobClient(address, verify=checks, told=say)


def follow(client: JobClient, job: str) -> JobDetails:
    """Print what a job prints until it ends, above a line that says how it stands, and return what became of it.

    Ctrl-C ends the command and not the job.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    errors = Console(stderr=True, highlight=False)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    try:
        with Progress(*columns, console=errors, transient=True, redirect_stdout=True, disable=not errors.is_terminal) as progress:
            progress.add_task(job)
            for text in client.follow(job):
                print(text, end="", flush=True)
    except KeyboardInterrupt:
        say(f"{job} goes on (raykg jobs logs {job} --follow, raykg jobs stop {job})")
        raise
    details = client.details(job)
    with suppress(BrokenPipeError):
        say(f"{job} {details.status.value.lower()} after {_took(details)}" + _why(details))
    return details


def say(line: str) -> None:
    """Print a line of raykg's own beside what jobs print."""
    print(f"raykg: {line}", file=sys.stderr, flush=True)


def _why(details: JobDetails) -> str:
    if details.status.value != "FAILED":
        return ""
    first = (details.message or "").strip().splitlines()[:1]  # what follows it has been printed
    return f": {first[0].partition(', last available logs')[0]}" if first else ""


def _took(job: JobDetails) -> str:
    if not job.start_time:
        return ""
    seconds = (job.end_time or time.time() * 1000) / 1000 - job.start_time / 1000
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
