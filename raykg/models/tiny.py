"""Tiny language models and encoders with random weights and a byte-level tokenizer, made on the spot: for tests and dry runs.

They have the architecture, the file format and the interfaces of the real thing and answer nothing sensibly. The same name gives the same
weights on every machine (seed 0). Tokens are bytes, so any text can be tokenised and every token is one byte long.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerFast

VERSION = 1
"""Raised whenever the models below change, so that cached folders of older ones are not taken for them."""

END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VOCABULARY = 3 + 256  # three special tokens and the bytes

_SHAPE: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2}
_ENCODER: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
_TOKENS: dict[str, Any] = {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}


def _llama() -> "PretrainedConfig":
    """Llama: rotary positions, gated feed-forward, tied embeddings as SmolLM2 has."""
    from transformers import LlamaConfig

    return LlamaConfig(**_SHAPE, **_TOKENS, intermediate_size=64, max_position_embeddings=1024, tie_word_embeddings=True)


def _qwen2() -> "PretrainedConfig":
    """Qwen2: as Llama, with biases on queries, keys and values and a head of its own."""
    from transformers import Qwen2Config

    return Qwen2Config(**_SHAPE, **_TOKENS, intermediate_size=64, max_position_embeddings=1024, tie_word_embeddings=False)


def _gpt2() -> "PretrainedConfig":
    """GPT-2: learnt positions, layer norm, and linear layers stored transposed (`Conv1D`)."""
    from transformers import GPT2Config

    no_dropout: dict[str, Any] = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    return GPT2Config(**_TOKENS, n_embd=32, n_layer=3, n_head=4, n_positions=1024, **no_dropout)


ARCHITECTURES = {"llama": _llama, "qwen2": _qwen2, "gpt2": _gpt2}
"""What may stand behind `tiny:` for language models."""


def _bert() -> "PretrainedConfig":
    """BERT: learnt positions, normalisation after each part."""
    from transformers import BertConfig

    return BertConfig(**_ENCODER, vocab_size=VOCABULARY, pad_token_id=2, max_position_embeddings=256)


def _clip() -> "PretrainedConfig":
    """CLIP's vision tower: normalisation before each part, a class token first."""
    from transformers import CLIPVisionConfig

    return CLIPVisionConfig(**_ENCODER, image_size=32, patch_size=8)


def _vit() -> "PretrainedConfig":
    """ViT: as CLIP's, with a last normalisation of all states."""
    from transformers import ViTConfig

    return ViTConfig(**_ENCODER, image_size=32, patch_size=8)


ENCODERS = {"bert": _bert, "clip": _clip, "vit": _vit}
"""What may stand behind `tiny:` for encoders of texts and pictures."""


def tokenizer() -> "PreTrainedTokenizerFast":
    """Return the byte-level tokenizer of all tiny models; it adds no start token, as SmolLM2's adds none."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = [END, START, STOP, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    fast = Tokenizer(models.BPE(vocab={word: number for number, word in enumerate(words)}, merges=[]))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=fast, unk_token=END, bos_token=START, eos_token=STOP, pad_token=STOP)  # type: ignore[no-untyped-call]


def write(architecture: str, folder: Path) -> None:
    """Write config, weights (float32 safetensors) and tokenizer of a tiny model into a folder."""
    import torch
    from transformers import AutoModel, AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    kind, config = (
        (AutoModel, ENCODERS[architecture]()) if architecture in ENCODERS else (AutoModelForCausalLM, ARCHITECTURES[architecture]())
    )
    with torch.random.fork_rng(devices=[]):  # the caller's random state is none of our business
        torch.manual_seed(0)
        model = kind.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    disable_progress_bar()  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    tokenizer().save_pretrained(folder)
