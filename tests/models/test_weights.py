from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from raykg.models.weights import weights_sha256


def write(folder: Path, **files: dict[str, torch.Tensor]) -> Path:
    folder.mkdir()
    for name, tensors in files.items():
        save_file(tensors, folder / f"{name}.safetensors")
    return folder


def test_the_hash_depends_on_tensors_not_on_files(tmp_path: Path) -> None:
    a, b = torch.arange(6.0), torch.ones(2, 3)
    one = weights_sha256(write(tmp_path / "one", model={"a": a, "b": b}))
    assert weights_sha256(write(tmp_path / "two", x={"b": b}, y={"a": a})) == one
    for number, other in enumerate(
        [{"a": a + 1, "b": b}, {"a": a.reshape(2, 3), "b": b}, {"c": a, "b": b}, {"a": a}, {"a": a.half(), "b": b}]
    ):
        assert weights_sha256(write(tmp_path / f"other{number}", model=other)) != one


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "its header would be 0 bytes long"),
        (b"\xff" * 20, "its header would be"),
        (b"\x02" + b"\0" * 7 + b"[]", "in its header"),
        (b"\x02" + b"\0" * 7 + b"{x", "in its header"),
    ],
)
def test_what_is_no_safetensors_file(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        weights_sha256(tmp_path)


def test_a_file_cut_short(tmp_path: Path) -> None:
    folder = write(tmp_path / "one", model={"a": torch.arange(100.0)})
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match="lies outside of the file: it is cut short"):
        weights_sha256(folder)
