"""Pictures that are decoded while a model trains, for models whose picture encoder is trained from its first layer on.

    pictures = PictureStream.open(folder)
    for pixels in pictures.ahead([rows_of_step_0, rows_of_step_1, ...]):       # uint8 [rows, height, width, 3]
        ...

Which pictures a step shows is known before it comes, so Ray Data tasks decode and resize those of the next steps while this one is
computed, in order. Nothing but names is kept: the decoded pictures of a data set would not fit a disk, its files do.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raykg.data.errors import PictureError
from raykg.data.pictures import picture

Pixels = NDArray[np.uint8]
_FILE = "names.arrow"
_STEPS = 4  # of one task: a task costs about 10 ms on top of its work
FEW = 256
"""Pictures that are decoded before a pipeline of Ray Data would have started, which takes about a second."""


@dataclass(frozen=True)
class PictureStream:
    """Named pictures in a folder, all of which could be read when the features were written.

    Attributes:
        folder: where they are.
        names: of the files, by number.
        size: height and width that they are brought to.
    """

    folder: Path
    names: pa.StringArray
    size: int

    @classmethod
    def open(cls, folder: Path) -> PictureStream | None:
        """Open what `write` wrote into a folder; None: nothing was."""
        if not (folder / _FILE).exists():
            return None
        with pa.memory_map(str(folder / _FILE)) as source:
            found = pa.ipc.open_file(source).read_all()
        told = json.loads(found.schema.metadata[b"raykg"])
        return cls(Path(told["folder"]), found["name"].combine_chunks(), told["size"])

    def write(self, folder: Path) -> None:
        """Write names, folder and size."""
        told = json.dumps({"folder": str(self.folder.absolute()), "size": self.size})
        schema = pa.schema([("name", pa.string())], metadata={"raykg": told})
        with pa.OSFile(str(folder / _FILE), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            writer.write_table(pa.Table.from_arrays([self.names], schema=schema))

    def take(self, places: NDArray[np.int64]) -> Pixels:
        """Decode some pictures here and now, `[places, size, size, 3]`; where a place is -1 there is none and all is zero.

        Raises:
            PictureError: one cannot be read any more; its name is in the message.
        """
        found = np.zeros((len(places), self.size, self.size, 3), dtype=np.uint8)
        for row, place in enumerate(places.tolist()):
            if place >= 0:
                file = inside(self.folder, self.names[place].as_py())
                try:
                    found[row] = picture(file, self.size)
                except PictureError as error:
                    again = "restore it, or start anew with run.resume=never"
                    raise PictureError(f"{file}: {error}, but could be read before: {again}") from error
        return found

    def ahead(self, groups: Iterable[NDArray[np.int64]]) -> Iterator[Pixels]:
        """Yield the pictures of one group of places after another, decoded by Ray Data ahead of time; here if they are few.

        Raises:
            PictureError: one cannot be read any more, or Ray Data ended too soon.
        """
        import ray

        wanted = list(groups)
        if not ray.is_initialized() or sum(map(len, wanted)) <= FEW:
            yield from map(self.take, wanted)
            return
        count = 0
        for block in self._blocks(wanted):
            for step, reason, pixels in zip(block["step"].to_pylist(), block["reason"].to_pylist(), block["pixels"], strict=True):
                if reason:
                    raise PictureError(reason)
                if step != count:
                    raise PictureError(f"pictures of step {count}: Ray Data gave those of step {step} in their place")
                count += 1
                yield np.frombuffer(pixels.as_buffer(), dtype=np.uint8).reshape(-1, self.size, self.size, 3)
        if count != len(wanted):
            raise PictureError(f"pictures of step {count}: Ray Data ended before step {len(wanted)}")

    def _blocks(self, wanted: Sequence[NDArray[np.int64]]) -> Iterator[pa.Table]:
        import ray.data
        from ray.data import ExecutionResources

        starts = np.cumsum([0, *map(len, wanted)], dtype=np.int32)
        listed = pa.table({"step": np.arange(len(wanted)), "places": pa.ListArray.from_arrays(starts, np.concatenate(wanted))})
        dataset = ray.data.from_arrow([listed.slice(start, _STEPS) for start in range(0, len(wanted), _STEPS)])
        options = dataset.context.execution_options
        options.preserve_order = True
        options.resource_limits = ExecutionResources(cpu=1)  # decoding is far faster than training, and the cores are the training's
        dataset.context.enable_progress_bars = False
        dataset.context.print_on_execution_start = False
        decoded = dataset.map_batches(_Decode(self), batch_size=None, batch_format="pyarrow", num_cpus=1)
        blocks: Any = decoded.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1)
        yield from blocks


class _Decode:
    """Decodes the pictures of some steps: what a Ray Data task runs."""

    def __init__(self, pictures: PictureStream) -> None:
        self.pictures = pictures

    def __call__(self, block: pa.Table) -> pa.Table:
        made = [self._step(np.array(one, dtype=np.int64)) for one in block["places"].to_pylist()]
        pixels, reasons = pa.array([one for one, _ in made], pa.large_binary()), pa.array([reason for _, reason in made], pa.string())
        return pa.table({"step": block["step"], "pixels": pixels, "reason": reasons})

    def _step(self, places: NDArray[np.int64]) -> tuple[bytes, str]:
        """Return a step's pictures, or why there are none: of an exception Ray Data would keep a text that nobody can catch."""
        try:
            return self.pictures.take(places).tobytes(), ""
        except PictureError as error:
            return b"", str(error)


def unreadable(folder: Path, size: int, names: Sequence[str]) -> list[str]:
    """Return of each picture why it cannot be read, "" where it can."""
    return [_reason(folder, name, size) for name in names]


def inside(folder: Path, name: str) -> Path:
    """Return the file of a name, which must stay in the folder.

    Raises:
        PictureError: it leads out.
    """
    file = folder / name
    if not file.resolve().is_relative_to(folder.resolve()):
        raise PictureError("its name leads out of the folder of pictures")
    return file


def _reason(folder: Path, name: str, size: int) -> str:
    try:
        picture(inside(folder, name), size)
    except PictureError as error:
        return str(error)
    return ""
