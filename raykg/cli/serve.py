"""`raykg serve CONFIG`: a model behind HTTP, on this machine or on the Ray cluster of RAY_ADDRESS."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from raykg.serve.serve_config import ServeConfig


def command(
    config: Annotated[Path, typer.Argument(help="The YAML file of a service.", show_default=False)],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Dotted overrides of the file.")] = None,
) -> None:
    """Serve models over HTTP, as OpenAI's clients speak it: answers that the graph proves.

    Starts Ray here, or joins the one of RAY_ADDRESS. The address is printed when every replica has loaded its model and its graph. Ctrl-C
    lets running requests end; a second Ctrl-C does not wait.

    Examples:
        raykg serve jobs/configs/serve/quickstart.yaml
        raykg serve jobs/configs/serve/quickstart.yaml http.port=8001 replicas.count=2
        raykg serve jobs/configs/serve/quickstart.yaml http.host=0.0.0.0 keys=keys.json
    """
    from raykg.cli.quiet import quiet_libraries
    from raykg.config.load import load
    from raykg.serve.serve_config import ServeConfig

    cfg = load(ServeConfig, config, overrides or [])
    quiet_libraries()
    run_serve(cfg)


def run_serve(cfg: ServeConfig, stop: threading.Event | None = None) -> None:
    """Serve until Ctrl-C, a termination signal or `stop`.

    Raises:
        RaykgError: a model cannot be served, or the port is taken.
    """
    from raykg.cli.quiet import printing_to
    from raykg.serve.app import absolute, check_models
    from raykg.serve.launch import address_of, check_port, drained, first_words, serving, start_ray

    check_models(absolute(cfg))  # what can be wrong is said before Ray starts
    check_port(cfg)
    logs = Path(cfg.storage) / "logs"
    log = logs / "driver.log"
    with printing_to(log):
        start_ray(cfg, logs)
    stop = stop or threading.Event()
    with _stopping(stop):
        print(f"loading {', '.join(cfg.models)} (logs in {logs})", flush=True)
        try:
            with printing_to(log):
                serving(cfg)
            print(first_words(cfg), flush=True)
            while not stop.wait(1.0):
                pass
            print(f"\nraykg: {address_of(cfg)} takes no more requests; those that run have {cfg.replicas.drain:g} seconds", flush=True)
        finally:
            with printing_to(log):
                drained(cfg)
    print("raykg: stopped")


@contextmanager
def _stopping(stop: threading.Event) -> Iterator[None]:
    """Let the first Ctrl-C or termination signal set an event, and the second one interrupt."""

    def heard(number: int, _: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, heard) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
