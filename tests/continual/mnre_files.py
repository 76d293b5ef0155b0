"""A small stream in MNRE's files, for tests of whole jobs."""

from __future__ import annotations

from pathlib import Path

from tests.continual.small_streams import relation_stream


def write_mnre(folder: Path) -> Path:
    """Write `relation_stream` as MNRE's files with a split of two tasks, and return the folder."""
    stream = relation_stream()
    rows = [_row(post) for post in stream.posts.to_pylist()]
    names = {"train": "train", "validation": "val", "test": "test"}
    (folder / "sep2").mkdir(parents=True)
    for split, name in names.items():
        own = [row for row, post in zip(rows, stream.posts["split"].to_pylist(), strict=True) if post == split]
        (folder / f"{name}.txt").write_text("\n".join(own) + "\n", encoding="utf-8")
        for number, task in enumerate(stream.tasks):
            text = "\n".join(rows[row] for row in task.rows(split)) + "\n"  # type: ignore[arg-type]
            (folder / "sep2" / f"ours_{name}_{number}.txt").write_text(text, encoding="utf-8")
    return folder


def _row(post: dict) -> str:
    mentions = {short: {"name": "", "pos": [post[side]["start"], post[side]["end"]]} for short, side in (("h", "head"), ("t", "tail"))}
    return repr({"token": post["tokens"], **mentions, "img_id": post["id"], "relation": post["relation"]})
