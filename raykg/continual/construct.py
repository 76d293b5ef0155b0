"""New posts -> extractions: what a learnt model finds in a file of posts, on as many processes as there are.

    counts = extract(learnt, Path("posts.jsonl"), Path("runs/found"), threshold=0.8, workers=2, images=None)

    runs/found/
      extractions.parquet    `EXTRACTIONS`, what is at least as sure as the threshold, in the order of the posts
      dead-letters.jsonl     rows that are no posts, with line and reason
      extractions.json       counts; written last

Ray Data hands parts of the file to processes that each hold the model; no process holds the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from raykg.kg.store import write_atomically

if TYPE_CHECKING:
    from raykg.continual.learnt import LearntModel, Reader

EXTRACTIONS = pa.schema(
    [
        pa.field("post", pa.string(), nullable=False),
        pa.field("line", pa.int64(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("image", pa.string()),  # null: none was read
        pa.field("head", pa.string(), nullable=False),  # a mention, as the post writes it
        pa.field("head_start", pa.int32(), nullable=False),  # words
        pa.field("head_end", pa.int32(), nullable=False),
        pa.field("relation", pa.string()),  # null: the tail is the mention's type
        pa.field("tail", pa.string(), nullable=False),
        pa.field("tail_start", pa.int32()),
        pa.field("tail_end", pa.int32()),
        pa.field("confidence", pa.float64(), nullable=False),
    ]
)
_PART = 256  # posts that a process reads at once
COUNTS = ("posts", "dead", "unreadable", "pictures", "lost", "told", "kept")


def extract(
    learnt: LearntModel,
    posts: Path,
    folder: Path,
    threshold: float,
    workers: int,
    images: Path | None = None,
    advance: Callable[[int, int], None] = lambda done, parts: None,
) -> dict[str, int]:
    """Write what a model finds in posts; return how many posts, dead letters and extractions there are (`COUNTS`).

    Args:
        learnt: the model.
        posts: .jsonl or .parquet (`raykg.data.new_posts`).
        folder: where to write.
        threshold: least confidence of what is kept.
        workers: processes that read beside each other, a thread each.
        images: folder of the pictures that posts name.
        advance: is called with the number of parts that were read, and that of all.

    Raises:
        PostError: the file cannot be read, or has no row.
        LearntModelError, OtherWeightsError: the model's files have been changed.
    """
    import ray.data

    from raykg.data.errors import PostError
    from raykg.data.post_rows import parts

    listed = [{"start": one.start, "stop": one.stop, "line": one.line} for one in parts(posts, _PART)]
    if not listed:
        raise PostError(f"{posts}: has no row")
    learnt.check()  # here, so that what is wrong is said once and not by every process
    folder.mkdir(parents=True, exist_ok=True)
    given = {
        "model": str(learnt.folder.absolute()),
        "posts": str(posts.absolute()),
        "images": None if images is None else str(images.absolute()),
    }
    listed_parts = ray.data.from_items(listed, override_num_blocks=len(listed))
    listed_parts.context.execution_options.preserve_order = True  # of the posts, whichever part is read first
    told: Any = listed_parts.map_batches(
        _Extract, fn_constructor_kwargs=given | {"threshold": threshold}, batch_size=1, batch_format="pyarrow",
        concurrency=min(workers, len(listed)), num_cpus=1,
    )  # fmt: skip
    counts = dict.fromkeys(COUNTS, 0)
    with (
        pq.ParquetWriter(folder / "extractions.parquet", EXTRACTIONS) as writer,
        (folder / "dead-letters.jsonl").open("w", encoding="utf-8") as dead,
    ):
        for done, batch in enumerate(told.iter_batches(batch_size=1, batch_format="pyarrow"), start=1):
            for counted, letters, table in zip(*(batch[name].to_pylist() for name in ("counts", "dead", "found")), strict=True):
                for name, count in zip(COUNTS, counted, strict=True):
                    counts[name] += count
                dead.write(letters)
                writer.write_table(pa.ipc.open_stream(table).read_all())
            advance(done, len(listed))
    write_atomically(folder / "extractions.json", json.dumps(counts) + "\n")
    return counts


class _Extract:
    """Reads parts of a file with a model: what a Ray Data actor runs."""

    def __init__(self, model: str, posts: str, images: str | None, threshold: float) -> None:
        import torch

        from raykg.continual.learnt import LearntModel

        torch.set_num_threads(1)
        self.reader: Reader = LearntModel.open(Path(model)).reader()
        self.posts, self.images, self.threshold = Path(posts), None if images is None else Path(images), threshold

    def __call__(self, batch: pa.Table) -> pa.Table:
        from raykg.data.post_rows import Part

        made = [self._part(Part(self.posts, row["start"], row["stop"], row["line"])) for row in batch.to_pylist()]
        counts, dead, found = zip(*made, strict=True)
        return pa.table({"counts": list(counts), "dead": list(dead), "found": pa.array(found, pa.large_binary())})

    def _part(self, part: Any) -> tuple[list[int], str, bytes]:  # noqa: ANN401 - named in __call__
        from raykg.data.new_posts import new_posts

        posts, lines, bad = new_posts(part, self.reader.learnt.kind)
        rows: list[dict[str, Any]] = []
        told: list[Any] = []
        readable = pictured = named = 0
        if posts.num_rows:
            told, usable, seen = self.reader.tell(posts, self.images)
            readable, pictured, named = int(usable.sum()), int(seen.sum()), posts.num_rows - posts["image"].null_count
            kept = sorted((one for one in told if one.confidence >= self.threshold), key=lambda one: (one.row, one.start))
            written = posts.to_pylist()
            rows = [_row(written[one.row], lines[one.row], one, pictured=bool(seen[one.row])) for one in kept]
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, EXTRACTIONS) as writer:
            writer.write_table(pa.Table.from_pylist(rows, EXTRACTIONS))
        counts = [posts.num_rows + len(bad), len(bad), posts.num_rows - readable, pictured, named - pictured, len(told), len(rows)]
        letters = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in bad)
        return counts, letters, sink.getvalue().to_pybytes()


def _row(post: dict[str, Any], line: int, one: Any, *, pictured: bool) -> dict[str, Any]:  # noqa: ANN401 - Told
    """Return a row of `EXTRACTIONS`."""
    words = post["tokens"]
    base = {
        "post": post["id"],
        "line": line,
        "text": " ".join(words),
        "image": post["image"] if pictured else None,
        "confidence": one.confidence,
    }
    if post["head"] is None:
        return base | {
            "head": " ".join(words[one.start : one.end]), "head_start": one.start, "head_end": one.end,
            "relation": None, "tail": one.kind, "tail_start": None, "tail_end": None,
        }  # fmt: skip
    spans = {f"{side}_{end}": post[side][end] for side in ("head", "tail") for end in ("start", "end")}
    names = {side: " ".join(words[post[side]["start"] : post[side]["end"]]) for side in ("head", "tail")}
    return base | spans | names | {"relation": one.kind}
