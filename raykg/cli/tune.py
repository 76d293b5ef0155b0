"""`raykg tune CONFIG`: the settings with which a job answers best; the same command goes on after any interruption."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    config: Annotated[Path, typer.Argument(help="The YAML file of a sweep.", show_default=False)],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Dotted overrides of the file.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Refuse to start anew: there must be a sweep of this name to go on with.")
    ] = False,
) -> None:
    """Search the settings of a job: trials, each a run of the job with other settings, compared on held-out questions.

    The space is a mapping from keys of the job's config to values, to a range, or to nothing, for the range that stands beside the method.
    As many trials run at a time as the machine or cluster has room for. Every decision is on disk before it acts: after Ctrl-C, a crash or
    kill -9 the same command goes on, no finished trial is run again, and those that were interrupted go on from their checkpoints.

    Examples:
        raykg tune jobs/configs/tune/movies.yaml
        raykg tune jobs/configs/tune/movies.yaml trials=16 search=tpe schedule=asha
        raykg tune jobs/configs/tune/movies.yaml 'space={lora.rank: [8, 16]}' search=grid schedule=full
        raykg tune jobs/configs/tune/movies.yaml --resume
        raykg submit jobs/specs/tune.yaml run.storage=/shared/runs
    """
    from rich.console import Console

    from raykg.cli.train_display import Display
    from raykg.config.load import resolve
    from raykg.config.show import to_yaml
    from raykg.kg.mirror import local, shown
    from raykg.train.run_folder import held
    from raykg.tune.sweep import Sweep
    from raykg.tune.tune_config import SweepConfig

    resolved = resolve(SweepConfig, config, [*(overrides or []), *(["run.resume=must"] if resume else [])])
    folder = local(resolved.config.run.storage) / resolved.config.run.name
    Console(stderr=True, highlight=False).print(f"sweep folder: {shown(folder)} (logs in {folder / 'logs'})", soft_wrap=True)
    with held(folder):
        display = Display(folder / "logs" / "driver.log")
        sweep = Sweep(resolved.config, display, to_yaml(resolved.config, resolved.provenance))
        with display:
            outcome = sweep.run()
    winner, model = (path and shown(path) for path in (outcome.config, outcome.model))
    if outcome.standing.winner is None:
        print("winner:     none, no trial keeps the constraints")
    else:
        print(f"winner:     trial {outcome.standing.winner.trial}, {winner}")
        print(f"model:      {model}")
    if outcome.tested is not None:
        tested = outcome.tested
        interval = f"{tested.difference:+.3f} [{tested.low:+.3f}, {tested.high:+.3f}]"
        print(f"test:       {tested.winner:.3f} against {tested.default:.3f}, {interval}")
        print(f"            {tested.verdict}")
    print(f"report:     {shown(outcome.report)}")
