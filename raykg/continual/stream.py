"""A stream of posts in a run's folder, as every worker opens it.

stream/
  posts.arrow     `raykg.data.post_table.POSTS`
  tasks.json      kind, and of each task its types and the numbers of its rows
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from raykg.data.post_table import SPLITS, PostStream, StreamTask
from raykg.kg.store import sha256, write_atomically


def write_stream(stream: PostStream, folder: Path) -> dict[str, Any]:
    """Write a stream; return its sizes and identity."""
    folder.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(folder / "posts.arrow"), "wb") as sink, pa.ipc.new_file(sink, stream.posts.schema) as writer:
        writer.write_table(stream.posts.combine_chunks())
    tasks = [{"types": task.types} | {split: task.rows(split).tolist() for split in SPLITS} for task in stream.tasks]
    write_atomically(folder / "tasks.json", json.dumps({"kind": stream.kind, "none": stream.none, "tasks": tasks}) + "\n")
    return {
        "posts": stream.posts.num_rows,
        "tasks": [{"types": list(task.types)} | {split: len(task.rows(split)) for split in SPLITS} for task in stream.tasks],
        "sha256": sha256(folder / "posts.arrow")[:16] + sha256(folder / "tasks.json")[:16],
    }


def open_stream(folder: Path) -> PostStream:
    """Map a stream's posts into memory and read its tasks."""
    with pa.memory_map(str(folder / "posts.arrow")) as source:
        posts = pa.ipc.open_file(source).read_all()
    told = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    tasks = [StreamTask(tuple(one["types"]), *(np.array(one[split], dtype=np.int64) for split in SPLITS)) for one in told["tasks"]]
    return PostStream(posts, tasks, told["kind"], told["none"])
