import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from raykg.data.errors import PictureError
from raykg.data.pictures import picture, scaled


def save(file, size=(40, 20), mode="RGB", **more):
    Image.fromarray((np.arange(size[0] * size[1] * 3) % 251).astype(np.uint8).reshape(size[1], size[0], 3)).convert(mode).save(file, **more)
    return file


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1"])
def test_every_kind_of_picture_becomes_a_square(tmp_path, mode):
    found = picture(save(tmp_path / "a.png", mode=mode), 16)
    assert found.shape == (16, 16, 3) and found.dtype == np.uint8


def test_the_whole_picture_is_squeezed_and_turned_upright(tmp_path):
    wide = np.zeros((10, 40, 3), dtype=np.uint8)
    wide[:, -4:] = 255  # at its edge
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.fromarray(wide).save(tmp_path / "a.jpg", quality=95, exif=exif)
    found = picture(tmp_path / "a.jpg", 20)
    assert found[-1].mean() > 150 and found[:15].mean() < 30


def bomb(pixels):
    """A PNG whose header tells of many pixels, and that has next to no bytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", pixels, pixels, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def cut_short():
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)).save(whole, "JPEG")
    return whole.getvalue()[:3000]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no picture", "is no picture"),
        (b"", "is no picture"),
        (bomb(9_000), "has 9,000 x 9,000 pixels"),
        (bomb(100_000), "cannot be read .*decompression bomb"),
        (cut_short(), "cannot be read"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(tmp_path, content, why):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(PictureError, match=why):
        picture(tmp_path / "a.jpg", 16)


def test_a_missing_picture_and_a_folder_are_refused(tmp_path):
    with pytest.raises(PictureError, match="is missing"):
        picture(tmp_path / "a.jpg", 16)
    with pytest.raises(PictureError, match="cannot be read"):
        picture(tmp_path, 16)


def test_colours_are_brought_to_what_an_encoder_knows():
    found = scaled(np.full((2, 4, 4, 3), 255, dtype=np.uint8), (0.5, 0.25, 1.0), (0.5, 0.5, 1.0))
    assert found.shape == (2, 3, 4, 4) and found[0, :, 0, 0].tolist() == [1.0, 1.5, 0.0]
