"""Turns a GGUF file into an ordinary model folder: safetensors weights, config and a fast tokenizer.

Format: GGUF, the container of llama.cpp, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

Reading GGUF means reading the vocabulary word by word and de-quantising every tensor: 10 to 20 seconds for SmolLM2-135M, each time, in each
process. And a model that transformers loaded from GGUF refuses `save_pretrained` and training, because its config says that it is
quantised. So the weights are copied once into a model that is built from the same config without that mark; loading the folder takes about
a second, memory-mapped.
The weights stay float32: a Q4_1 block is `scale * q + minimum` with 16-bit scale and minimum, which bfloat16 could not hold.
"""

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)


class GgufError(ValueError):
    """A file is not a GGUF language model that transformers can read."""


def write(source: Path, folder: Path) -> None:
    """Write the model of one GGUF file as a folder.

    Raises:
        GgufError: the file is no GGUF, or of an architecture that transformers does not read.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    with source.open("rb") as stream:
        if (magic := stream.read(4)) != b"GGUF":
            raise GgufError(f"{source}: starts with {magic!r}, not b'GGUF': it is not a GGUF file")
    log.info("de-quantising %s once (about 15 s for 135 million weights)", source.name)
    try:
        with tensors_named_once():
            loaded = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name, local_files_only=True)
    except Exception as error:  # a parser of a foreign binary file raises whatever the bytes lead it to
        raise GgufError(f"{source}: transformers cannot read it ({error})") from error
    settings = {key: value for key, value in loaded.config.to_dict().items() if key not in ("quantization_config", "_name_or_path")}
    config = type(loaded.config)(**settings)
    config.dtype = torch.float32
    with torch.device("meta"):  # no time spent on random weights that are replaced at once
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    model.to_empty(device="cpu")
    model.load_state_dict(loaded.state_dict(), strict=True)
    model.tie_weights()
    model.generation_config = GenerationConfig(  # type: ignore[no-untyped-call]
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@contextmanager
def tensors_named_once() -> Iterator[None]:
    """Keep gguf's table of tensor names: transformers has it made anew for every module of a model, which takes half of the reading."""
    import gguf

    make = gguf.get_tensor_name_map
    gguf.get_tensor_name_map = functools.cache(make)
    try:
        yield
    finally:
        gguf.get_tensor_name_map = make
