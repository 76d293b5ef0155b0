"""`raykg export RUN`: a trained model as plain PEFT or transformers read it, without raykg."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from raykg.cli.place import place


def command(
    run: Annotated[Path, typer.Argument(parser=place, help="A run folder, or its model/ folder, or the URI of one.", show_default=False)],
    adapter: Annotated[Path | None, typer.Option(help="Write the plain PEFT adapter to this new folder.", show_default=False)] = None,
    merged: Annotated[Path | None, typer.Option(help="Write base and adapter, merged, to this new folder.", show_default=False)] = None,
    wheel: Annotated[str | None, typer.Option(help="A local wheel of the base, or its folder.", show_default=False)] = None,
    cache: Annotated[Path | None, typer.Option(help="Where bases are kept (default: ~/.cache/raykg).", show_default=False)] = None,
) -> None:
    """Write a trained model as a plain PEFT adapter, or merged into its base.

    The adapter is a few megabytes and needs the same base; the merged model is complete, in float32 safetensors, with its tokenizer.

    Examples:
        raykg export runs/quickstart --adapter adapter
        raykg export runs/quickstart --merged smollm2-movies
        python -c "from transformers import pipeline; print(pipeline('text-generation', 'smollm2-movies')('who directed Alien? =>'))"
    """
    from raykg.cli.quiet import quiet_libraries
    from raykg.kg.mirror import exists, fetch
    from raykg.models.saved import SavedModel, SavedModelError, export_adapter, export_merged

    quiet_libraries()
    if adapter is None and merged is None:
        raise SavedModelError("export: nothing to write: give --adapter FOLDER, --merged FOLDER or both")
    fetch(run / "model" if exists(run / "model") else run)
    saved = SavedModel.open(run)
    if adapter is not None:
        export_adapter(saved, adapter)
        print(f"adapter of {saved.base}: {adapter}")
    if merged is not None:
        export_merged(saved, merged, cache=cache, wheel=wheel)
        print(f"merged model: {merged}")
