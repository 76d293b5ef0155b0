"""The model folder that a training run leaves: an adapter (or full weights) and what it takes to answer with it.

    <run>/model/
      model.json       base, its hash, graph, config, settings of the strategy
      adapter/         a plain PEFT adapter, or
      weights/         a plain transformers model, after full fine-tuning

Whoever wants to leave raykg takes `adapter/` to PEFT, or `raykg export --merged` to anything that reads transformers' folders.

    write_model(run / "model", model, reference=cfg.model.reference, base_sha256=..., tokenizer=folder, ...)
    model, tokenizer, saved = load_for_answering(run / "model")
"""

import json
import logging
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raykg.config.errors import Plain, RaykgError
from raykg.models import lora
from raykg.models.reference import OtherWeightsError, load_model, load_tokenizer, verified

if TYPE_CHECKING:
    from peft import PeftModel
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

log = logging.getLogger(__name__)

FORMAT = 2
"""Of the folder, and of the prompts that its model was trained on (`raykg.data.prompts`): others would be answered worse, unnoticed."""
DESCRIPTION = "model.json"
ADAPTER, WEIGHTS = "adapter", "weights"
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")


class SavedModelError(RaykgError):
    """A model folder is missing, incomplete, of another format, or was trained on another base."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedModel:
    """A model folder that is complete.

    Attributes:
        folder: Where it lies.
        base: The reference of the model that was fine-tuned, as `raykg.models.reference` reads it.
        base_sha256: The identity of the base's weights.
        adapter: Its plain PEFT adapter; None after full fine-tuning.
        weights: Its plain transformers folder; None where there is an adapter.
        graph: The graph it was trained on: `store` and `version`.
        config: The resolved config of the run.
        settings: What its answering strategies need to know, such as token budgets.
    """

    folder: Path
    base: str
    base_sha256: str
    adapter: Path | None
    weights: Path | None
    graph: Mapping[str, str]
    config: Mapping[str, Plain]
    settings: Mapping[str, Plain]

    @classmethod
    def open(cls, folder: Path) -> "SavedModel":
        """Read a model folder, or the one of a run folder.

        Raises:
            SavedModelError: it is not there, not complete, or of a format that this release does not know.
        """
        folder = folder / "model" if (folder / "model" / DESCRIPTION).is_file() else folder
        try:
            content = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
            found = content["format"]
            if found != FORMAT:
                raise SavedModelError(
                    f"model {folder}: format {found}, this release of raykg reads {FORMAT}: use the release that wrote it, or train again"
                )
            kind = content["kind"]
            saved = cls(
                folder=folder,
                adapter=folder / ADAPTER if kind == ADAPTER else None,
                weights=folder / WEIGHTS if kind == WEIGHTS else None,
                **{name: content[name] for name in ("base", "base_sha256", "graph", "config", "settings")},
            )
        except FileNotFoundError:
            raise SavedModelError(f"model {folder}: no {DESCRIPTION} there: name a run folder or its model/ folder") from None
        except (ValueError, KeyError, TypeError) as error:
            raise SavedModelError(f"model {folder}: {DESCRIPTION} is damaged ({error!r})") from error
        needed = saved.adapter / "adapter_model.safetensors" if saved.adapter else folder / WEIGHTS / "config.json"
        if not needed.is_file():
            raise SavedModelError(f"model {folder}: {needed.relative_to(folder)} is missing: copy the whole folder")
        return saved


def write_model(
    folder: Path,
    model: "PeftModel | PreTrainedModel",
    *,
    reference: str,
    base_sha256: str,
    tokenizer: Path,
    graph: Mapping[str, str],
    config: Mapping[str, Plain],
    settings: Mapping[str, Plain],
    state: "Mapping[str, Tensor] | None" = None,
) -> SavedModel:
    """Write a model folder, complete or not at all; an older one at that place is replaced.

    Args:
        folder: Where to write.
        model: What `lora.attach` returned, after training.
        reference: The reference of the base.
        base_sha256: The identity of the base's weights, as `raykg.models.reference.base_sha256` gives it.
        tokenizer: A folder with the base's tokenizer, which goes with full weights.
        graph: `store` and `version` of the graph.
        config: The resolved config, as plain JSON.
        settings: What strategies need to know.
        state: Gathered tensors, where the model holds only shards (ZeRO-3).
    """
    from peft import PeftModel

    folder.parent.mkdir(parents=True, exist_ok=True)
    kind = ADAPTER if isinstance(model, PeftModel) else WEIGHTS
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
        made = Path(scratch) / "new"
        made.mkdir()
        if isinstance(model, PeftModel):
            lora.save_adapter(model, made / ADAPTER, base=reference.removeprefix("hub:"), state=state)
        else:
            model.save_pretrained(str(made / WEIGHTS), state_dict=dict(state) if state is not None else None)
            copy_tokenizer(tokenizer, made / WEIGHTS)
        content = {
            "format": FORMAT,
            "kind": kind,
            "base": reference,
            "base_sha256": base_sha256,
            "graph": dict(graph),
            "config": dict(config),
            "settings": dict(settings),
        }
        (made / DESCRIPTION).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        for path in made.rglob("*"):
            if path.is_file():
                with path.open("rb") as stream:
                    os.fsync(stream.fileno())
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        made.rename(folder)
    return SavedModel.open(folder)


def load_for_answering(
    folder: Path, *, cache: Path | None = None, wheel: str | None = None, dtype: str = "auto", device: str = "cpu"
) -> "tuple[PreTrainedModel, PreTrainedTokenizerFast, SavedModel]":
    """Load a saved model ready to generate: the adapter is merged, which makes generation about a third faster on CPUs.

    Args:
        folder: A model folder or a run folder.
        cache: Where resolved bases are kept.
        wheel: A local wheel of the base.
        dtype: As in `ModelConfig`.
        device: A torch device.

    Raises:
        SavedModelError: the folder is not complete, or the base's weights are not those that it was trained on.
        ModelReferenceError: the base cannot be had.
    """
    saved = SavedModel.open(folder)
    if saved.weights is not None:
        return load_model(saved.weights, dtype, device), load_tokenizer(saved.weights), saved
    base = verified_base(saved, cache, wheel)
    merged = lora.merge(lora.load_adapter(load_model(base, dtype, device), _present(saved.adapter)))
    return merged, load_tokenizer(base), saved


def export_adapter(saved: SavedModel, target: Path) -> None:
    """Copy the plain PEFT adapter to a new folder.

    Raises:
        SavedModelError: there is none, or the target exists.
    """
    if saved.adapter is None:
        raise SavedModelError(f"model {saved.folder}: all weights were trained, so there is no adapter: export it merged")
    _refuse_existing(target)
    lora.copy_adapter(saved.adapter, target)


def export_merged(saved: SavedModel, target: Path, *, cache: Path | None = None, wheel: str | None = None) -> None:
    """Write the merged model and its tokenizer to a new folder, in float32.

    Raises:
        SavedModelError: the target exists, or the base's weights are not those that the adapter was trained on.
    """
    _refuse_existing(target)
    if saved.weights is not None:
        shutil.copytree(saved.weights, target)
        return
    base = verified_base(saved, cache, wheel)
    merged = lora.merge(lora.load_adapter(load_model(base, "float32"), _present(saved.adapter)))
    merged.save_pretrained(target)
    copy_tokenizer(base, target)


def verified_base(saved: SavedModel, cache: Path | None = None, wheel: str | None = None) -> Path:
    """Return the folder of the base that a model was trained on.

    Raises:
        SavedModelError: what its reference leads to here has other weights.
        ModelReferenceError: the base cannot be had.
    """
    try:
        return verified(saved.base, saved.base_sha256, cache=cache, wheel=wheel)
    except OtherWeightsError as error:
        raise SavedModelError(f"model {saved.folder}: its base {error}") from error


def copy_tokenizer(source: Path, target: Path) -> None:
    """Copy a tokenizer's files to a folder, which is made if it is not there."""
    target.mkdir(parents=True, exist_ok=True)
    for name in _TOKENIZER_FILES:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def _refuse_existing(target: Path) -> None:
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise SavedModelError(f"{target}: exists already: name a new folder")


def _present(adapter: Path | None) -> Any:  # noqa: ANN401 - a Path: SavedModel has an adapter wherever it has no weights
    return adapter
