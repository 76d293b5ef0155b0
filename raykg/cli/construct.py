"""`raykg construct MODEL POSTS --live LOG --store STORE`: what new posts say becomes proposals in a live graph."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from raykg.continual.growing import Growing, Growth
    from raykg.continual.learnt import LearntModel


def command(
    model: Annotated[Path, typer.Argument(help="A learnt model: courses/<strategy>/seed-0/model of a study.", show_default=False)],
    posts: Annotated[Path, typer.Argument(help="New posts, .jsonl or .parquet.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Folder for what was found and for dead letters.")] = Path("runs/construct"),
    live: Annotated[str | None, typer.Option(help="Folder or URI of the live graph's log; without it nothing is proposed.")] = None,
    store: Annotated[Path | None, typer.Option(help="Folder of the graph's versions; goes with --live.")] = None,
    precision: Annotated[float, typer.Option(help="How many of the extractions shall be right.", min=0.0, max=1.0)] = 0.9,
    threshold: Annotated[float | None, typer.Option(help="Least confidence, in the place of --precision.", min=0.0, max=1.0)] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the pictures that posts name.")] = None,
    relations: Annotated[Path | None, typer.Option(help="JSON file: the model's relation -> the graph's.")] = None,
    type_relation: Annotated[str, typer.Option(help="Relation from a mention to its type, for models that find entities.")] = "type",
    link: Annotated[float, typer.Option(help="Least score with which a mention means an entity of the graph.", min=0.0, max=1.0)] = 0.9,
    accept: Annotated[bool, typer.Option("--accept", help="Accept the proposals and write a new version of the graph.")] = False,
    workers: Annotated[int, typer.Option(help="Processes that read beside each other.", min=1)] = 2,
) -> None:
    """Read new posts with a learnt model, and propose what they say to a live graph.

    A post has `tokens` (or `text`), for models of relations also `head` and `tail` ({"start": 0, "end": 2}, words), and if it likes `id`,
    `image` and `crops`. Extractions count from a confidence on that was found on validation posts for the wanted precision; the model's
    README.md shows what others give, and how they hold on test posts. A mention that is no entity of the graph is proposed as a new one.
    Each proposal cites post, words, picture, model and confidence, and waits for a reviewer. A second run over the same posts proposes
    nothing twice.

    While the command edits the log, a service on the same log is fenced off; it goes on by itself, its next edit may be answered with 503
    once.

    Examples:
        raykg construct runs/mnre5/courses/lmc-1a2b3c4d/seed-0/model posts.jsonl
        raykg construct MODEL posts.jsonl --live runs/live/people --store runs/graphs/people --precision 0.8
        raykg construct MODEL posts.parquet --images pictures --live runs/live/people --store runs/graphs/people --accept
    """
    from rich.console import Console

    from raykg.config.errors import RaykgError
    from raykg.continual.growing import Growing
    from raykg.continual.learnt import LearntModel

    if (live is None) != (store is None):
        raise RaykgError("--live and --store go together: the log of the live graph, and the versions that it builds on")
    if accept and live is None:
        raise RaykgError("--accept needs --live and --store: without a graph there is nothing to accept")
    learnt, mapping = LearntModel.open(model), _relations(relations)
    least = learnt.calibration.threshold(precision) if threshold is None else threshold
    growing = Growing(
        model=learnt.name, threshold=least, link=link, relations=mapping, type_relation=type_relation
    )  # fmt: skip
    console = Console(highlight=False)
    if live is not None and store is not None:
        _open(live, store)  # what is wrong with them is said before the posts are read
    counts = _extract(learnt, posts, out, least, workers, images)
    for line in _read(learnt, posts, counts, least, images is not None):
        console.print(line, soft_wrap=True)
    console.print(f"found:    {out / 'extractions.parquet'}", soft_wrap=True)
    if live is not None and store is not None:
        _grow(console, live, store, out, growing, accept=accept)


def _read(learnt: LearntModel, posts: Path, counts: dict[str, int], threshold: float, given: bool) -> list[str]:  # noqa: FBT001
    """Return what is said of the posts that were read; `given`: a folder of pictures."""
    held = learnt.calibration.precision(threshold)
    good = counts["posts"] - counts["dead"]
    lines = [f"{posts}: {good:,} posts, {counts['dead']:,} dead letters, {counts['unreadable']:,} cut within a mention"]
    if learnt.pictures:
        lost = "" if given else ": give --images the folder that they are in"
        lines.append(f"pictures: {counts['pictures']:,} read, {counts['lost']:,} missing or broken{lost}")
    sure = f"{counts['told']:,} extractions, {counts['kept']:,} with confidence {threshold:.3f} and above"
    return [*lines, f"{sure} (on test posts {held.right:,} of {held.all:,} such were right)"]


def _extract(learnt: LearntModel, posts: Path, out: Path, threshold: float, workers: int, images: Path | None) -> dict[str, int]:
    """Read the posts, with a Ray of its own where there is none."""
    from raykg.cli.quiet import start_ray
    from raykg.cli.train_display import Display
    from raykg.continual.construct import extract

    start_ray(workers + 1, out / "logs")  # one more for the list of the file's parts
    started = time.monotonic()
    with Display(out / "logs" / "driver.log") as display:
        display.stage("posts", None)
        counts = extract(learnt, posts, out, threshold, workers, images, lambda done, parts: display.progress("parts", done, parts))
        display.done("posts", time.monotonic() - started, f"{counts['posts']:,} rows", ran=True)
    return counts


def _grow(console: Any, live: str, store: Path, out: Path, growing: Growing, *, accept: bool) -> None:  # noqa: ANN401 - Rich's
    """Propose what was found, print what became of it, and accept it where that is wanted."""
    import pyarrow.parquet as pq

    from raykg.continual import growing as rules
    from raykg.kg.live.graph import LiveGraph

    graph = LiveGraph.open(*_open(live, store), who="raykg construct")
    growth = rules.grow(graph, pq.read_table(out / "extractions.parquet", memory_map=True), growing)
    (out / "growth.json").write_text(json.dumps(growth.to_dict(), indent=1) + "\n", encoding="utf-8")
    for line in _told(growth):
        console.print(line, soft_wrap=True)
    if accept:
        count = rules.accept(graph, growing)
        made = graph.snapshot()
        console.print(f"accepted: {count:,}; {store}: version {made.version}, {made.num_triples:,} triples", soft_wrap=True)


def _open(live: str, store: Path) -> tuple[Any, Any]:
    """Return where the log is, and the version that it builds on."""
    from raykg.kg.live.log import read_log
    from raykg.kg.live.opening import base_in
    from raykg.kg.live.storage import Storage

    place = Storage.open(live)
    return place, base_in(store, read_log(place))


def _told(growth: Growth) -> list[str]:
    lines = [
        f"proposed: {growth.proposed:,} new, {growth.supported:,} one more time, {growth.held:,} hold already, "
        f"{growth.known:,} known from the same post, {growth.refused:,} refused",
        f"mentions: {growth.linked:,} linked to entities, {growth.new:,} proposed as new ones",
    ]
    return lines + [f"refused:  {reason}" for reason in growth.reasons[:3]]


def _relations(file: Path | None) -> dict[str, str]:
    """Read the mapping of relations.

    Raises:
        RaykgError: it is none.
    """
    from raykg.config.errors import RaykgError

    if file is None:
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RaykgError(f"--relations {file}: cannot be read ({error})") from error
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise RaykgError(f'--relations {file}: expected an object such as {{"/per/per/peer": "knows"}}')
    return found
