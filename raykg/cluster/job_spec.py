"""Job specs: what `raykg submit` hands to Ray, in the argument names of `JobSubmissionClient.submit_job`.

    entrypoint: python jobs/finetune.py jobs/configs/finetune/quickstart.yaml
    entrypoint_num_cpus: 1

A spec holds no runtime environment: `jobs/runtime_env.yaml`, two folders above a spec, is the only owner of one.
"""

from __future__ import annotations

import json
import re
import secrets
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from raykg.config.document import read_file
from raykg.config.errors import RaykgError
from raykg.config.load import load
from raykg.config.schema import NonNegativeFloat, PositiveInt, Text, config, field

RUNTIME_ENV = "runtime_env.yaml"
_OVERRIDE = re.compile(r"[A-Za-z_][\w.\[\]-]*=", re.ASCII)  # questions.test[0].count=20


class JobError(RaykgError):
    """A job cannot be submitted, found or followed; the message says why and what to do."""


@config
class JobSpec:
    """The arguments of `submit_job` but for the runtime environment."""

    entrypoint: Text
    """The command; it runs in the runtime environment's working_dir, on the cluster."""
    submission_id: Text | None = None
    """By default a new one for each submission."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """What Ray shall remember beside the job."""
    entrypoint_num_cpus: NonNegativeFloat | None = None
    """CPUs of the command itself, beside what it asks of Ray; without any it runs on the head."""
    entrypoint_num_gpus: NonNegativeFloat | None = None
    entrypoint_memory: PositiveInt | None = None
    """Bytes."""
    entrypoint_resources: Mapping[str, float] | None = None
    entrypoint_label_selector: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Job:
    """A spec with its overrides, and the runtime environment that it is submitted with.

    Attributes:
        name: of the spec's file, such as `finetune`.
        spec: with the overrides at the end of its entrypoint.
        runtime_env: as its file has it.
        runtime_env_file: where it was read.
    """

    name: str
    spec: JobSpec
    runtime_env: Mapping[str, Any]
    runtime_env_file: Path

    @property
    def words(self) -> list[str]:
        """The entrypoint as a shell would split it."""
        return shlex.split(self.spec.entrypoint)

    @property
    def config(self) -> tuple[Path, list[str]] | None:
        """The config that the entrypoint runs, and its overrides; None where the command is not one of jobs/."""
        return (Path(self.words[2]), self.words[3:]) if _runs_a_config(self.words) else None

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `submit_job`."""
        spec = self.spec
        given: dict[str, Any] = {
            "entrypoint": spec.entrypoint,
            "submission_id": spec.submission_id,
            "metadata": spec.metadata or None,
            "entrypoint_num_cpus": spec.entrypoint_num_cpus,
            "entrypoint_num_gpus": spec.entrypoint_num_gpus,
            "entrypoint_memory": spec.entrypoint_memory,
            "entrypoint_resources": spec.entrypoint_resources,
            "entrypoint_label_selector": spec.entrypoint_label_selector,
            "runtime_env": self.runtime_env,
        }
        return {name: dict(value) if isinstance(value, Mapping) else value for name, value in given.items() if value is not None}

    def again(self, attempt: int) -> Job:
        """Return the job as it is submitted after `attempt` failures: under another id, with the first one's beside it."""
        first = self.spec.submission_id
        metadata = {**self.spec.metadata, "retry": str(attempt), "retry_of": str(first)}
        return replace(self, spec=replace(self.spec, submission_id=f"{first}-retry-{attempt}", metadata=metadata))

    def command(self, address: str | None = None, *, wait: bool = True) -> str:
        """Return the line of Ray's own command that submits the same."""
        words = ["ray", "job", "submit"]
        words += ["--address", address] if address else []
        words += [] if wait else ["--no-wait"]
        words += ["--runtime-env", str(self.runtime_env_file)]
        for name, value in self.arguments().items():
            if name not in ("entrypoint", "runtime_env"):
                option = "--metadata-json" if name == "metadata" else f"--{name.replace('_', '-')}"
                words += [option, json.dumps(value) if isinstance(value, dict) else f"{value}"]
        return shlex.join([*words, "--", *self.words])


def read_job(
    spec: Path,
    overrides: Sequence[str] = (),
    *,
    config_file: Path | None = None,
    runtime_env: Path | None = None,
    submission_id: str | None = None,
) -> Job:
    """Read a spec and its runtime environment, and check what can be known before they are submitted.

    Args:
        spec: a file such as jobs/specs/finetune.yaml.
        overrides: `key=value`, for the config that the entrypoint runs.
        config_file: in the place of that config; what the spec overrides in it stays.
        runtime_env: in the place of the spec's own.
        submission_id: in the place of the spec's own, or of a new one.

    Raises:
        ConfigErrors: the spec is none.
        JobError: an override is no `key=value`; the entrypoint runs no config that could be replaced; no runtime environment, or its
            working_dir lacks the entrypoint's script.
    """
    wanted = load(JobSpec, spec)
    for each in overrides:
        if not _OVERRIDE.match(each):
            raise JobError(f"{each!r}: overrides are key=value, such as train.steps=100")
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", spec.stem)
    chosen = submission_id or wanted.submission_id or f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    entrypoint = _with(wanted.entrypoint, config_file, overrides)
    file = runtime_env or spec.parent.parent / RUNTIME_ENV
    if not file.is_file():
        raise JobError(f"{file}: no such runtime environment: specs lie in a folder beside {RUNTIME_ENV}, or name one with --runtime-env")
    job = Job(name, replace(wanted, entrypoint=entrypoint, submission_id=chosen), read_file(file).value, file)
    _check_script(job)
    return job


def _with(entrypoint: str, config_file: Path | None, overrides: Sequence[str]) -> str:
    """Return an entrypoint with another config and more overrides.

    Raises:
        JobError: it runs no config.
    """
    if config_file is None:
        return " ".join([entrypoint, *map(shlex.quote, overrides)])
    words = shlex.split(entrypoint)
    if not _runs_a_config(words):
        raise JobError(f"--config ({config_file}): the spec's entrypoint ({entrypoint}) is no `python jobs/<job>.py CONFIG`")
    return shlex.join([*words[:2], str(config_file), *words[3:], *overrides])


def _runs_a_config(words: Sequence[str]) -> bool:
    return len(words) > 2 and Path(words[0]).name in ("python", "python3") and Path(words[1]).parent.name == "jobs"


def _check_script(job: Job) -> None:
    """Refuse to send a folder that the job's script is not in.

    Raises:
        JobError: with the folder.
    """
    folder = job.runtime_env.get("working_dir")
    if job.config is None or not isinstance(folder, str) or "://" in folder:
        return
    script = Path(folder) / job.words[1]
    if not script.is_file():
        raise JobError(
            f"{job.runtime_env_file}: working_dir ({folder}) is {Path(folder).absolute()}, which has no {job.words[1]}: "
            "submit from the folder that jobs/ is in"
        )
