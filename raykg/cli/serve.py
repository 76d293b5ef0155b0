"""`raykg serve CONFIG`: a model behind HTTP, on this machine or on the Ray cluster of RAY_ADDRESS."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from raykg.serve.running import Request
    from raykg.serve.serve_config import ServeConfig
    from raykg.serve.updates import Deployed


def command(
    config: Annotated[Path, typer.Argument(help="The YAML file of a service.", show_default=False)],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Dotted overrides of the file.")] = None,
    update: Annotated[bool, typer.Option("--update", help="Let the service that runs at this port go by the config.")] = False,
) -> None:
    """Serve models over HTTP, as OpenAI's clients speak it: answers that the graph proves.

    Starts Ray here, or joins the one of RAY_ADDRESS. The address is printed when every replica has loaded its model and its graph. Ctrl-C
    lets running requests end; a second Ctrl-C does not wait.

    With --update nothing is started: the service that runs already takes the config over while requests go on, and none is cut off. What
    it cannot take over is refused, and it goes on as before.

    Examples:
        raykg serve jobs/configs/serve/quickstart.yaml
        raykg serve jobs/configs/serve/quickstart.yaml http.port=8001 replicas.count=2
        raykg serve jobs/configs/serve/quickstart.yaml http.host=0.0.0.0 keys=keys.json
        raykg serve jobs/configs/serve/quickstart.yaml limits.per_minute=600 --update
    """
    from raykg.cli.quiet import quiet_libraries
    from raykg.config.load import load
    from raykg.serve.serve_config import ServeConfig

    cfg = load(ServeConfig, config, overrides or [])
    if update:
        from raykg.serve.running import ask

        print(f"raykg: {ask(cfg)}")
        return
    quiet_libraries()
    run_serve(cfg)


def run_serve(cfg: ServeConfig, stop: threading.Event | None = None) -> None:
    """Serve until Ctrl-C, a termination signal or `stop`.

    Raises:
        RaykgError: a model cannot be served, or the port is taken.
    """
    from raykg.cli.quiet import printing_to
    from raykg.serve.launch import address_of, check_port, checked, drained, first_words, serving, start_ray
    from raykg.serve.updates import Deployed

    logs = Path(cfg.storage) / "logs"
    cfg, hosted = checked(cfg)
    check_port(cfg)
    log = logs / "driver.log"
    with printing_to(log):
        start_ray(cfg, logs, hosted)
    stop = stop or threading.Event()
    with _stopping(stop), _listening(cfg.http.port) as asked:
        print(f"loading {', '.join(cfg.models)} (logs in {logs})", flush=True)
        try:
            with printing_to(log):
                deployed = Deployed(cfg, serving(cfg, hosted))
            print(first_words(cfg), flush=True)
            deployed = _until(stop, asked, deployed, log)
            cfg = deployed.cfg
            print(f"\nraykg: {address_of(cfg)} takes no more requests; those that run have {cfg.replicas.drain:g} seconds", flush=True)
        finally:
            with printing_to(log):
                drained(cfg)
    print("raykg: stopped")


def _until(stop: threading.Event, asked: SimpleQueue[Request], deployed: Deployed, log: Path) -> Deployed:
    """Let the service go by what is asked for, until it is to stop; return it as it runs then."""
    from raykg.serve.running import next_asked

    while not stop.is_set():
        request = next_asked(asked, 0.5)
        if request is not None:
            deployed = _updated(request, deployed, log)
    return deployed


def _updated(request: Request, deployed: Deployed, log: Path) -> Deployed:
    """Let the service go by what is asked for, or leave it as it is, and say so here and to the caller."""
    from raykg.cli.quiet import printing_to
    from raykg.config.errors import RaykgError
    from raykg.config.load import from_dict
    from raykg.serve.serve_config import ServeConfig
    from raykg.serve.updates import update

    since = time.monotonic()
    try:
        with printing_to(log):
            deployed, changed = update(deployed, from_dict(ServeConfig, request.settings))
    except RaykgError as error:
        print(f"raykg: no update: {error}", flush=True)
        request.reply({"refused": str(error)})
    else:
        what = "; ".join(str(change) for change in changed) or "no setting is another one; runs that were written anew are loaded"
        said = f"updated in {time.monotonic() - since:.1f} s: {what}"
        print(f"raykg: {said}", flush=True)
        request.reply({"done": said})
    return deployed


@contextmanager
def _listening(port: int) -> Iterator[SimpleQueue[Request]]:
    """Take requests for updates, where they can be taken."""
    from raykg.serve.running import NoServiceError, listening

    with ExitStack() as stack:
        try:
            asked = stack.enter_context(listening(port))
        except NoServiceError as error:
            print(f"raykg: this service cannot be updated while it runs: {error}", flush=True)
            asked = SimpleQueue()
        yield asked


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
