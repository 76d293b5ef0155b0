from pathlib import Path

import pytest

from raykg.cli.main import find_command
from raykg.config.errors import RaykgError
from raykg.models.lora import LoraConfig, attach
from raykg.models.reference import base_sha256, load_model, resolve
from raykg.models.saved import write_model


def run(*arguments: str) -> None:
    find_command("export").main(args=list(arguments), standalone_mode=False)


def test_adapter_and_merged_model_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = resolve("tiny:llama", tmp_path)
    model = attach(load_model(base), LoraConfig(rank=2))
    about = {"reference": "tiny:llama", "base_sha256": base_sha256(base), "tokenizer": base}
    write_model(tmp_path / "run/model", model, **about, graph={}, config={}, settings={})
    target = tmp_path / "out"
    run(str(tmp_path / "run"), "--adapter", str(target / "a"), "--merged", str(target / "m"), "--cache", str(tmp_path))
    assert "adapter of tiny:llama" in capsys.readouterr().out
    assert (target / "a" / "adapter_model.safetensors").is_file()
    load_model(target / "m")


def test_what_to_write_must_be_said(tmp_path: Path) -> None:
    with pytest.raises(RaykgError, match="nothing to write: give --adapter FOLDER, --merged FOLDER or both"):
        run(str(tmp_path))
    with pytest.raises(RaykgError, match=r"no model.json there"):
        run(str(tmp_path), "--adapter", str(tmp_path / "a"))
