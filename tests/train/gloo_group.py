"""Real groups of processes over gloo, without Ray: forked from a server that has torch, PEFT and DeepSpeed imported once."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

_MODELS = ["peft", "transformers.models.llama.modeling_llama"]  # which tests.train.tiny_task imports late
_PRELOADED = ["tests.train.gloo_group", "tests.train.tiny_task", "tests.train.group_jobs", "deepspeed", *_MODELS]


def run_group(world: int, job: Callable[..., Any], *arguments: Any, timeout: float = 180) -> list[Any]:
    """Run `job(ranks, *arguments)` in `world` processes that form a group; return what each returned, by rank."""
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    with tempfile.TemporaryDirectory() as folder:
        processes = [context.Process(target=_member, args=(rank, world, folder, job, arguments)) for rank in range(world)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(timeout)
        stuck = [process for process in processes if process.is_alive()]
        for process in stuck:
            process.kill()
        outcomes = [_outcome(Path(folder) / str(rank), process.exitcode) for rank, process in enumerate(processes)]
    errors = [error for ok, error in outcomes if not ok]
    if errors:
        raise AssertionError("\n".join(str(error) for error in errors))
    return [value for _, value in outcomes]


def _outcome(file: Path, code: int | None) -> tuple[bool, Any]:
    if not file.exists():
        return False, f"rank {file.name} ended with {code} and no result"
    return pickle.loads(file.read_bytes())  # noqa: S301 - written by our own child


def _member(rank: int, world: int, folder: str, job: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    import torch
    import torch.distributed as dist

    from raykg.train.ranks import Ranks

    gc.freeze()  # DeepSpeed collects garbage whenever it builds an engine
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world)
    try:
        outcome = True, job(Ranks(), *arguments)
    except BaseException:  # noqa: B036 - everything is reported to the parent
        outcome = False, f"rank {rank}: {traceback.format_exc()}"
    (Path(folder) / f"{rank}.partial").write_bytes(pickle.dumps(outcome))
    (Path(folder) / f"{rank}.partial").rename(Path(folder) / str(rank))
    os._exit(0)  # threads of DeepSpeed and gloo need no farewell
