"""Pictures of posts: read, checked and brought to one size, or refused with a reason.

    pixels = picture(Path("images/1.jpg"), 224)         # uint8 [224, 224, 3]

A picture is looked at before it is unpacked: one that would fill the memory is refused by the size that its header tells. Nothing is cut
off: the whole picture is squeezed into a square, for what a post is about may stand at its edge.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raykg.data.errors import PictureError

MOST_PIXELS = 50_000_000  # a large photo; four bytes each are 200 MB
_MOST_BYTES = 100 << 20


def picture(file: Path, size: int) -> NDArray[np.uint8]:
    """Read a picture as a square, `[size, size, 3]`.

    Raises:
        PictureError: there is none of this name, it is no picture, is cut short, or is too large; the message is the reason alone.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        if file.stat().st_size > _MOST_BYTES:
            raise PictureError(f"has {file.stat().st_size:,} bytes, at most {_MOST_BYTES:,} are read")
        with Image.open(file) as opened:
            wide, high = opened.size
            if wide * high > MOST_PIXELS:
                raise PictureError(f"has {wide:,} x {high:,} pixels, at most {MOST_PIXELS:,} are unpacked")
            return _square(opened, size)
    except FileNotFoundError as error:
        raise PictureError("is missing") from error
    except UnidentifiedImageError as error:
        raise PictureError("is no picture") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise PictureError(f"cannot be read ({str(error)[:120]})") from error


def scaled(pixels: NDArray[np.uint8], mean: tuple[float, float, float], deviation: tuple[float, float, float]) -> NDArray[np.float32]:
    """Return pictures as an encoder takes them, `[pictures, 3, size, size]`.

    Args:
        pixels: `[pictures, size, size, 3]`.
        mean: of each colour, from 0 to 1.
        deviation: of each colour.
    """
    shifted = (pixels.astype(np.float32) / 255.0 - np.array(mean, dtype=np.float32)) / np.array(deviation, dtype=np.float32)
    return np.ascontiguousarray(shifted.transpose(0, 3, 1, 2))


def _square(opened: Any, size: int) -> NDArray[np.uint8]:  # noqa: ANN401 - Pillow's
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(opened) or opened
    found: NDArray[np.uint8] = np.asarray(upright.convert("RGB").resize((size, size), Image.Resampling.BICUBIC))
    return found
