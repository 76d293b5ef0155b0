"""The identity of a model's weights: one hash over every tensor, whatever files they lie in.

Format: safetensors, 8 bytes of header length, a JSON header with the place of each tensor, then the tensors,
https://github.com/huggingface/safetensors. Only headers and bytes are read, so hashing costs no more than reading the disk.
"""

import hashlib
import json
import mmap
from pathlib import Path

_LENGTH = 8  # bytes that hold the length of the header, little-endian


def weights_sha256(folder: Path) -> str:
    """Return the SHA-256 over name, type, shape and bytes of all tensors in the folder's safetensors files, in the order of their names.

    Raises:
        ValueError: a file is not safetensors.
    """
    places: dict[str, tuple[Path, int, int, str]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        places |= {name: (path, *place) for name, place in _tensors(path).items()}
    digest = hashlib.sha256()
    maps: dict[Path, mmap.mmap] = {}
    try:
        for name in sorted(places):
            path, start, end, kind = places[name]
            if path not in maps:
                with path.open("rb") as stream:
                    maps[path] = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            digest.update(f"{name}\0{kind}\0{end - start}\0".encode())
            with memoryview(maps[path]) as view, view[start:end] as tensor:
                digest.update(tensor)
    finally:
        for opened in maps.values():
            opened.close()
    return digest.hexdigest()


def _tensors(path: Path) -> dict[str, tuple[int, int, str]]:
    """Return (first byte, last byte + 1, type and shape) of each tensor of a file."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(_LENGTH), "little")
        if not 0 < length <= size - _LENGTH:
            raise ValueError(f"{path}: not a safetensors file: its header would be {length} bytes long")
        try:
            header = json.loads(stream.read(length))
            found = {
                name: (*(_LENGTH + length + offset for offset in tensor["data_offsets"]), f"{tensor['dtype']}{tensor['shape']}")
                for name, tensor in header.items()
                if name != "__metadata__"
            }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: not a safetensors file: {error!r} in its header") from error
    if any(len(place) != 3 or not 0 <= place[0] <= place[1] <= size for place in found.values()):
        raise ValueError(f"{path}: a tensor lies outside of the file: it is cut short")
    return found
