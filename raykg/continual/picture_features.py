"""What a picture encoder makes of posts' pictures: computed once with Ray Data, on as many processes as there are workers.

Where the encoder is trained from its first layer on nothing can be computed beforehand; each picture is then looked at once, and
`raykg.continual.picture_stream` reads it when it is shown.

Each picture is computed once, however many posts show it. One that is missing or broken is left out, counted and written down with the
reason; its posts are learnt from their text alone. Nothing stands for a picture that is not there.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raykg.continual.picture_stream import PictureStream, inside, unreadable
from raykg.data.errors import PictureError, PostError
from raykg.data.pictures import picture, scaled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from raykg.models.dual_stream_config import DualStreamConfig
    from raykg.models.encoders import Encoder

_ROWS = 64  # pictures of one task
_BATCH = 16  # that are computed together


def write_pictures(posts: pa.Table, cfg: DualStreamConfig, folder: Path, workers: int, images: Path | None) -> dict[str, int]:
    """Write `image.npy` or `names.arrow`, `pictures.arrow` and `left-out.jsonl`; return how many pictures there are and were left out.

    Args:
        posts: rows of `raykg.data.post_table.POSTS`.
        cfg: the model.
        folder: where to write.
        workers: processes that compute beside each other, a thread each.
        images: folder of the pictures; None: there is none.

    Raises:
        PostError: no picture at all can be read.
    """
    import ray.data

    from raykg.config.load import to_dict
    from raykg.continual.building import encoder_of_images

    unique = shown(posts, cfg.crops)
    if images is None or not len(unique):
        raise _no_picture(images, {})
    encoder = encoder_of_images(cfg)
    if encoder is None:
        raise ValueError("write_pictures: the model has no encoder of pictures")
    table = pa.table({"row": np.arange(len(unique)), "name": unique})
    blocks = -(-len(unique) // _ROWS)
    listed, workers = ray.data.from_arrow(table).repartition(blocks), min(workers, blocks)
    if cfg.frozen:
        shape = (len(unique), encoder.tokens, encoder.width)
        np.lib.format.open_memmap(folder / "image.npy", mode="w+", dtype=np.float32, shape=shape).flush()
        given = {"folder": str(folder), "model": to_dict(cfg), "images": str(images.absolute())}
        done = listed.map_batches(_Encode, fn_constructor_kwargs=given, batch_size=None, concurrency=workers, num_cpus=1)
    else:
        PictureStream(images, unique, encoder.pixels).write(folder)
        done = listed.map_batches(partial(_look, images.absolute(), encoder.pixels), batch_size=None, num_cpus=1)
    reasons = {row["name"]: row["reason"] for row in done.take_all() if row["reason"]}
    if len(reasons) == len(unique):
        raise _no_picture(images, reasons)
    rows, crops = places(posts, cfg.crops, unique, np.array([name not in reasons for name in unique.to_pylist()], dtype=np.bool_))
    listing = pa.FixedSizeListArray.from_arrays(crops.ravel(), cfg.crops) if cfg.crops else pa.nulls(len(rows), pa.list_(pa.int64(), 0))
    found = pa.table({"row": rows, "crops": listing})
    with pa.OSFile(str(folder / "pictures.arrow"), "wb") as sink, pa.ipc.new_file(sink, found.schema) as writer:
        writer.write_table(found)
    lines = (json.dumps({"picture": name, "reason": reason}, ensure_ascii=False) + "\n" for name, reason in sorted(reasons.items()))
    (folder / "left-out.jsonl").write_text("".join(lines), encoding="utf-8")
    return {"pictures": len(unique), "left_out": len(reasons)}


def _no_picture(images: Path | None, reasons: dict[str, str]) -> PostError:
    """Return why a model of pictures has none to learn from."""
    if images is None:
        return PostError("model.image is set and posts.images is not: give the folder of the pictures, or leave model.image out")
    if not reasons:
        return PostError("model.image is set and no post names a picture: leave it out")
    name, reason = min(reasons.items())
    return PostError(f"posts.images ({images}): none of {len(reasons):,} pictures can be read; first: {name} {reason}")


def _look(images: Path, size: int, block: dict[str, NDArray[Any]]) -> dict[str, list[Any]]:
    """Look at some pictures that are computed later: what a Ray Data task runs."""
    names = block["name"].tolist()
    return {"name": names, "reason": unreadable(images, size, names)}


class _Encode:
    """Reads and computes some pictures: what a Ray Data actor runs."""

    def __init__(self, folder: str, model: dict[str, Any], images: str) -> None:
        import torch

        from raykg.config.load import from_dict
        from raykg.continual.building import encoder_of_images
        from raykg.models.dual_stream_config import DualStreamConfig

        torch.set_num_threads(1)
        encoder = encoder_of_images(from_dict(DualStreamConfig, model))
        if encoder is None:
            raise ValueError("the model has no encoder of pictures")
        self.encoder, self.images = encoder, Path(images)
        encoder.lower.eval()
        self.file = np.load(Path(folder) / "image.npy", mmap_mode="r+")

    def __call__(self, block: dict[str, NDArray[Any]]) -> dict[str, list[Any]]:
        names, rows = block["name"].tolist(), block["row"].tolist()
        reasons = encode(self.encoder, self.images, names, lambda place, state: self.file.__setitem__(rows[place], state))
        self.file.flush()
        return {"name": names, "reason": reasons}


def encode(encoder: Encoder, folder: Path, names: Sequence[str], keep: Callable[[int, NDArray[np.float32]], None]) -> list[str]:
    """Compute the states of some pictures; return of each why it could not be read, "" where it could.

    Args:
        encoder: in evaluation mode.
        folder: where the pictures are.
        names: theirs.
        keep: is given each one's place among the names and its states, `[patches, width]`.
    """
    import torch

    reasons = [""] * len(names)
    for start in range(0, len(names), _BATCH):
        pixels, kept = [], []
        for place in range(start, min(start + _BATCH, len(names))):
            try:
                pixels.append(picture(inside(folder, names[place]), encoder.pixels))
                kept.append(place)
            except PictureError as error:
                reasons[place] = str(error)
        if kept:
            given = scaled(np.stack(pixels), encoder.mean, encoder.deviation)
            with torch.inference_mode():
                states = encoder.lower(torch.from_numpy(given)).numpy()
            for place, state in zip(kept, states, strict=True):
                keep(place, state)
    return reasons


def shown(posts: pa.Table, crops: int) -> pa.StringArray:
    """Return the names of all pictures and crops that posts show, each once.

    Args:
        posts: rows of `raykg.data.post_table.POSTS`.
        crops: of a post, at most.
    """
    names = [posts["image"].combine_chunks()]
    if crops:
        names.append(pc.list_slice(posts["crops"].combine_chunks(), 0, crops).flatten())
    return pc.unique(pc.drop_null(pa.concat_arrays(names)))


def places(posts: pa.Table, crops: int, names: pa.StringArray, good: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each post's place in a list of pictures, `[posts]`, and those of its crops, `[posts, crops]`; -1: none that can be read.

    Args:
        posts: rows of `raykg.data.post_table.POSTS`.
        crops: of a post, at most.
        names: of the pictures.
        good: which of them can be read, `[names]`.
    """
    rows = _place(posts["image"].combine_chunks(), names, good)
    found = np.full((posts.num_rows, crops), -1, dtype=np.int64)
    if crops:
        named = pc.list_slice(posts["crops"].combine_chunks(), 0, crops)
        counts = pc.fill_null(pc.list_value_length(named), 0).to_numpy()
        owner = np.repeat(np.arange(posts.num_rows), counts)
        found[owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)] = _place(named.flatten(), names, good)
    return rows, found


def _place(wanted: pa.StringArray, names: pa.StringArray, good: NDArray[np.bool_]) -> NDArray[np.int64]:
    found = pc.fill_null(pc.index_in(wanted, value_set=names), -1).to_numpy().astype(np.int64)
    known = np.append(good, False)  # noqa: FBT003 - where a name is none, -1 reads the last one
    return np.where(known[found], found, -1)
