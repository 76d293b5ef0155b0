"""From `resources:` to Ray Train: the only file of this room that knows Ray.

    start_ray(resources, logs)                                # a laptop is a one-node cluster
    fit("raykg.train.finetune:train_worker", arguments, resources, folder, on_record)
    tables = map_shards("raykg.train.finetune:evaluate_shard", [arguments, ...], resources)

The truth of a run is its own folder: a worker group that Ray Train starts anew, a second `fit()` after a lost controller and a second
`raykg train` all go on from the newest checkpoint whose hashes are right. Ray's own list of checkpoints would be a second truth (a run
refuses to start when it names one that is gone), so nothing is registered there, and each attempt is a Ray run of its own.

What crosses to the workers is a function's name and a small dictionary. What workers print goes to `<folder>/logs`; the driver reads
`metrics.jsonl` as it grows.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from raykg.config.errors import RaykgError
from raykg.kg import mirror
from raykg.kg.store import write_atomically
from raykg.train.beside import run_beside
from raykg.train.errors import TrainError
from raykg.train.own_ray import start_own
from raykg.train.run_folder import follow
from raykg.train.settings import ResourcesConfig
from raykg.train.token import PLACES, use_token

_log = logging.getLogger(__name__)
_OBJECT_STORE = 1 << 30  # bytes; token batches are small, and Ray's default of 30 % of the memory is the model's
_POLL = 0.3  # seconds between looks at metrics.jsonl,
_LOOK = 5.0  # and at what a bucket has of it
_FAILURE = "failure.json"
_PLACES = "placement-group.json"
_API_SERVER = "RAY_API_SERVER_ADDRESS"  # unlike RAY_ADDRESS it does not change what ray.init() joins
_NOBODY = "http://127.0.0.1:9"  # the discard port: refused at once
_NOT_RETRIED = (RaykgError, TypeError, ValueError, LookupError, AttributeError, ImportError, NotImplementedError)

Arguments = Mapping[str, Any]  # JSON-like
OnRecord = Callable[[Mapping[str, Any]], None]


def start_ray(resources: ResourcesConfig, logs: Path, times: int = 1) -> None:
    """Connect to `resources.address`, or to RAY_ADDRESS, or start Ray here with the logical CPUs that so many such runs need.

    A Ray that this process is connected to already is kept.

    Token authentication stays as Ray sets it up: on, for a cluster that starts here.

    Raises:
        TrainError: the Ray that is there has too few CPUs or GPUs; the arithmetic is in the message. Or none answers at the address.
    """
    logs.mkdir(parents=True, exist_ok=True)
    address = resources.address or os.environ.get("RAY_ADDRESS")  # Ray sets the variable for submitted jobs
    token = use_token(os.environ) if address else None
    quieten(logs)
    import ray

    if not ray.is_initialized():
        if address:
            try:
                ray.init(address=address, log_to_driver=False, configure_logging=False)
            except (ConnectionError, ValueError, RuntimeError) as error:
                where = f"resources.address ({address})" if resources.address else f"RAY_ADDRESS ({address})"
                reason = f"no Ray cluster answers there ({_last_line(error)})"
                shown = f"the token of {token}" if token else f"no token was found ({PLACES})"
                raise TrainError(f"{where}: {reason}; {shown}: start one, or leave the address out to start Ray here") from error
        else:
            start_own(times * resources.logical_cpus, _OBJECT_STORE)
    take_sigterm_back()
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    check_size(resources, dict(ray.cluster_resources()))  # type: ignore[no-untyped-call]


def check_size(resources: ResourcesConfig, cluster: Mapping[str, float]) -> None:
    """Refuse a cluster in which the workers would leave no CPU for Ray Data, or would wait for GPUs for ever.

    Raises:
        TrainError: with the arithmetic.
    """
    cpus, gpus = int(cluster.get("CPU", 0)), cluster.get("GPU", 0.0)
    fewest, key = resources.fewest, "resources.workers" if resources.min_workers is None else "resources.min_workers"
    if resources.least_cpus > cpus:
        data, why = "", ""
        if not resources.elastic:
            data, why = f" + {resources.data_cpus} for Ray Data", "without its own the data would never arrive; "
        raise TrainError(
            f"resources: {fewest} workers x {resources.cpus_per_worker} CPUs{data} = {resources.least_cpus} logical CPUs, Ray has {cpus}: "
            f"{why}start Ray with more logical CPUs (ray start --num-cpus={resources.least_cpus}) or lower {key}"
        )
    if (asked := fewest * resources.gpus_per_worker) > gpus:
        raise TrainError(
            f"resources: {fewest} workers x {resources.gpus_per_worker:g} GPUs = {asked:g}, Ray has {gpus:g}: "
            f"lower {key} or resources.gpus_per_worker"
        )


def fit(function: str, arguments: Arguments, resources: ResourcesConfig, folder: Path, on_record: OnRecord) -> None:
    """Run `function(arguments)` on every worker under Ray Train until it ends, and hand on what the first worker records.

    Lost workers are replaced up to `max_failures` times by Ray Train, a lost controller by a new `fit()`. Mistakes that would only happen
    again (wrong values, wrong types) end the run at once. Ctrl-C stops the workers; the run's folder stays as it is.

    Raises:
        TrainError: the workers failed too often or for good; the message is the first failure's, and names the log.
    """
    folder = folder.absolute()
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    job = {"function": function, "arguments": dict(arguments), "folder": str(folder), "threads": _threads(resources)}
    for attempt in range(resources.max_failures + 1):
        name = f"attempt-{time.strftime('%Y%m%d-%H%M%S')}-{attempt}"
        error = _fit_once(job | {"attempt": name}, resources, folder, name, on_record)
        if (failure := _failure(folder, name)) is not None:
            raise TrainError(f"{failure} (details in {folder / 'logs'})")
        if error is None:
            return
        if not _controller_lost(error):
            raise TrainError(f"training failed: {_last_line(error)} (details in {folder / 'logs'}; the same command resumes)") from error
        _log.warning("Ray Train's controller was lost; starting it again from the newest checkpoint")
        _release_places(folder, name)
    raise TrainError(f"training failed: Ray Train's controller was lost {resources.max_failures + 1} times (details in {folder / 'logs'})")


def map_shards(
    function: str, shards: Sequence[Arguments], resources: ResourcesConfig, logs: Path, meanwhile: Callable[[], None] = lambda: None
) -> list[Any]:
    """Call `function(arguments)` once per shard as Ray tasks beside each other, and return the results in order.

    `meanwhile` is called every second, to show how far they are.

    Raises:
        TrainError: a shard failed, or its process was lost more than `max_failures` times; the message is its error's.
    """
    import ray

    task = ray.remote(num_cpus=resources.cpus_per_worker, num_gpus=resources.gpus_per_worker, max_retries=resources.max_failures)(_shard)
    calls = [task.remote(function, dict(shard), str(logs.absolute()), number, _threads(resources)) for number, shard in enumerate(shards)]
    waiting = calls
    while waiting:
        _, waiting = ray.wait(waiting, num_returns=len(waiting), timeout=1.0)
        meanwhile()
    try:
        return list(ray.get(calls))
    except ray.exceptions.RayError as error:  # the task's own error, or that its process was lost once too often
        cause = getattr(error, "cause", None)
        if isinstance(cause, RaykgError):
            raise cause from None
        raise TrainError(f"{function} failed: {_last_line(error)} (details in {logs}; the same command resumes)") from error


def quieten(logs: Path) -> None:
    """Send what Ray, DeepSpeed and transformers log in this process to `<logs>/driver.log`, and nothing of it to the console."""
    import ray._private.worker
    import ray.data  # it sets its own handlers up when it is imported: before, ours would be one more

    ray._private.worker._worker_logs_enabled = False  # "a worker died" comes without a logger; the session's own logs have it too
    logs.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(logs / "driver.log", encoding="utf-8")
    handler.setLevel(logging.INFO)  # Ray Data tells at DEBUG, with a traceback each time, that no Prometheus answers
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    for name in ("ray", "ray.data", "ray.train", "ray.tune", "DeepSpeed", "transformers", "py.warnings"):
        logger = logging.getLogger(name)
        for old in [*logger.handlers]:
            logger.removeHandler(old)
        logger.addHandler(handler)
        logger.propagate = False
    logging.captureWarnings(True)
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what the next Ray does anyway; silences its warning
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def take_sigterm_back() -> None:
    """Let SIGTERM end this process as Ctrl-C does; to be called in the main thread, after Ray has started.

    Ray's C++ puts a handler before Python's, which sets an alarm of three seconds: who takes longer to end cleanly is aborted.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))


def _fit_once(config: dict[str, Any], resources: ResourcesConfig, folder: Path, name: str, on_record: OnRecord) -> BaseException | None:
    """Run Ray Train beside the loop that reads the metrics."""
    reader = follow(folder / "metrics.jsonl")
    next(reader)  # what an earlier attempt wrote is not news
    _name_own_cluster()

    looked = time.monotonic()

    def read_on() -> None:
        nonlocal looked
        if time.monotonic() - looked > _LOOK:
            with mirror.best_effort():
                mirror.follow(folder / "metrics.jsonl")
            looked = time.monotonic()
        for record in next(reader):
            on_record(record)

    error = run_beside(lambda: _trainer(config, resources, folder, name).fit(), "ray-train", _POLL, read_on)
    mirror.fetch(folder, without=["checkpoints", "driver.log"])
    read_on()
    return error


def _name_own_cluster() -> None:
    """Tell Ray Train's placement-group cleaner which cluster is its own.

    It asks Ray's state API every second whether the controller lives, at port 8265 of this machine unless told otherwise. A Ray without a
    dashboard, as we start it, does not answer there; that of another Ray on the machine does, has never heard of the controller, and the
    cleaner takes the workers' places away in the middle of training. Controller and cleaner inherit what Ray Train propagates.
    """
    from ray._private.worker import get_dashboard_url
    from ray.train.v2._internal import constants

    dashboard = get_dashboard_url()  # type: ignore[no-untyped-call]
    os.environ[_API_SERVER] = f"http://{dashboard}" if dashboard else _NOBODY
    constants.ENV_VARS_TO_PROPAGATE.add(_API_SERVER)


def _trainer(config: dict[str, Any], resources: ResourcesConfig, folder: Path, name: str) -> Any:  # noqa: ANN401 - Ray is untyped
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer

    class LeanTrainer(TorchTrainer):  # without what is a process, seconds of the start and 200 MB for nothing
        def _create_default_callbacks(self) -> list[Any]:
            made = super()._create_default_callbacks()  # type: ignore[misc]
            return [callback for callback in made if type(callback).__name__ not in idle]

    idle = {"DatasetsCallback"}  # deals datasets out; our workers read theirs themselves
    if os.environ[_API_SERVER] == _NOBODY:
        idle.add("PlacementGroupCleanerCallback")  # only a dashboard tells it that the controller is lost: `_release_places` does its work
    gpus = resources.gpus_per_worker
    share = {"CPU": resources.cpus_per_worker} | ({"GPU": gpus} if gpus else {})
    return LeanTrainer(
        _worker,
        train_loop_config=config,
        torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=(resources.fewest, resources.workers) if resources.elastic else resources.workers,  # type: ignore[arg-type]
            use_gpu=gpus > 0,
            resources_per_worker=share,
            elastic_resize_monitor_interval_s=resources.resize_seconds,  # type: ignore[call-arg]
        ),
        run_config=RunConfig(
            name=name, storage_path=str(folder / "ray"), failure_config=FailureConfig(max_failures=resources.max_failures)
        ),
    )


def _worker(config: dict[str, Any]) -> None:
    """Run on each of Ray Train's workers: logs to a file, threads pinned, then the recipe's own function."""
    import ray.train

    folder = Path(config["folder"])
    rank = ray.train.get_context().get_world_rank()
    if _failure(folder, config["attempt"]) is not None:
        return  # Ray Train starts the group again after any error; this one would only happen again
    _redirect(folder / "logs" / f"worker-{rank}.log")
    if rank == 0:
        _note_places(folder, config["attempt"])
    _pin(config["threads"])
    _take_device()
    try:
        _resolve(config["function"])(config["arguments"])
    except _NOT_RETRIED as error:
        message = str(error) if isinstance(error, RaykgError) else f"{type(error).__name__}: {error}"
        partial = folder / "logs" / f"{_FAILURE}.{rank}"
        with suppress(OSError):  # a full disk, say, is what it was about
            partial.write_text(json.dumps({"attempt": config["attempt"], "message": message}), encoding="utf-8")
            partial.rename(folder / "logs" / _FAILURE)
            traceback.print_exc()
        _keep(folder / "logs" / _FAILURE)
        raise
    finally:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        _keep(folder / "logs" / f"worker-{rank}.log")


def _keep(file: Path) -> None:
    with mirror.best_effort():
        mirror.keep(file)


def _note_places(folder: Path, attempt: str) -> None:
    """Write down which placement group the workers stand in."""
    import ray.util

    group = ray.util.get_current_placement_group()
    if group is not None:
        write_atomically(folder / "logs" / _PLACES, json.dumps({"attempt": attempt, "group": group.id.hex()}) + "\n")
        _keep(folder / "logs" / _PLACES)


def _release_places(folder: Path, attempt: str) -> None:
    """Give back the places that a lost controller's workers had.

    Ray keeps them reserved until this driver ends, because the cleaner that Ray Train starts for the purpose needs a dashboard to notice
    that the controller is gone. On a cluster of just the run's size the next controller would wait for them for ever.
    """
    import ray
    from ray.util.placement_group import PlacementGroup, remove_placement_group

    with suppress(OSError):  # none of its workers had begun
        noted = json.loads((folder / "logs" / _PLACES).read_text(encoding="utf-8"))
        if noted["attempt"] == attempt:
            remove_placement_group(PlacementGroup(ray.PlacementGroupID(bytes.fromhex(noted["group"]))))


def _shard(function: str, arguments: dict[str, Any], logs: str, number: int, threads: int) -> Any:  # noqa: ANN401
    log = Path(logs) / f"{function.partition(':')[2]}-{number}.log"
    _redirect(log)
    _pin(threads)
    try:
        return _resolve(function)(arguments)
    finally:
        _keep(log)


def _resolve(function: str) -> Callable[[Arguments], Any]:
    module, _, name = function.partition(":")
    found: Callable[[Arguments], Any] = getattr(importlib.import_module(module), name)
    return found


def _redirect(file: Path) -> None:
    """Let everything that this process prints, C++ included, be appended to a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)


def _pin(threads: int) -> None:
    """Keep torch to its share of the cores: two workers with a thread per core each are slower than one."""
    import torch

    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)


def _take_device() -> None:
    """Make the GPU that Ray gave this worker torch's current one, where there is one."""
    import ray.train.torch
    import torch

    device = ray.train.torch.get_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)


def _threads(resources: ResourcesConfig) -> int:
    return resources.threads or resources.cpus_per_worker


def _failure(folder: Path, attempt: str) -> str | None:
    with mirror.best_effort():
        mirror.fetch(folder / "logs" / _FAILURE)
    try:
        failure = json.loads((folder / "logs" / _FAILURE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return str(failure["message"]) if failure["attempt"] == attempt else None


def _controller_lost(error: BaseException) -> bool:
    import ray

    return isinstance(error, ray.exceptions.RayActorError)


def _last_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
