"""Graphs with nasty names, tokenizers of three kinds and models with random weights: what the tests of constrained decoding share."""

from random import Random

from raykg.kg.build import from_triples

NASTY = [
    "directed by",
    "directed",
    "direct",
    "max x",
    "max",
    "min",
    "minister of",
    'say "hi"',
    "a - b",
    "a > b",
    "a >b",
    "<",
    "=",
    "-1",
    "2.5",
    "1999-01-01",
    "(sub) of",
    "f(x)",
    "x)",
    "count(y)",
    "counted",
    "~near",
    "back\\slash",
    "tab\tbed",
    "[sic]",
    "größer als",
    "出演者",
    "出演",
    "🎬 by",
    " padded ",
    "non\u00a0breaking\u00a0",
    "x  y",
    "&",
    "|",
]


def nasty_graph(folder, seed=0, relations=8):
    """Build a small graph whose relations have names that are hard to write."""
    rng = Random(seed)
    names = rng.sample(NASTY, relations)
    keys = {name: f"p{place}" for place, name in enumerate(names)}
    nodes = ["A", "B - C", "Heat (1995)", 'the "x"', "Amélie", "1984", "(Untitled)", "~", "count(z)"]
    triples = [(rng.choice(nodes), keys[rng.choice(names)], rng.choice(nodes)) for _ in range(30)]
    triples += [("A", key, "Amélie") for key in keys.values()]  # each relation occurs
    triples += [(node, "year", str(1990 + place)) for place, node in enumerate(nodes)]
    labels = {key: name for name, key in keys.items()}
    return from_triples(folder, triples, literals={"year": "integer"}, relation_labels=labels)


def merged_tokenizer():
    """Return a byte-level tokenizer that has learnt merges, so that one token holds a sign and half a name."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    fast = Tokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    fast.decoder = decoders.ByteLevel()
    texts = [
        " Heat (1995) < directed by",
        " A > directed by & B < a",
        ") - (~A > r)",
        " [max runtime]]",
        ' "x" [x >= 1.5]\n\n',
        "出演者 🎬é",
        " count(A | B))\n",
    ]
    trainer = trainers.BpeTrainer(
        vocab_size=460, special_tokens=["<end>", "<more>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    fast.train_from_iterator(texts * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=fast, eos_token="<end>", pad_token="<end>", additional_special_tokens=["<more>"])


def sentence_piece_tokenizer(bytes_too=True):
    """Return a tokenizer that decodes as SentencePiece's do, with or without tokens for single bytes."""
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    letters = [chr(code) for code in range(33, 127)] + ["\u2581", "é", "–", "«", "»", "ç", "東", "京", "🎬"]
    merges = [("\u2581", "A"), ("\u2581", ">"), ("\u2581>", "\u2581"), ("r", ")"), ("d", "i"), ("di", "r"), ("\u2581", "("), (")", ")")]
    words = (
        ["<unk>", "</s>"] + ([f"<0x{byte:02X}>" for byte in range(256)] if bytes_too else []) + letters + ["".join(pair) for pair in merges]
    )
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    fast = Tokenizer(models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", byte_fallback=bytes_too, fuse_unk=True))
    fast.normalizer = normalizers.Replace(" ", "\u2581")
    parts = [decoders.Replace("\u2581", " "), *([decoders.ByteFallback()] if bytes_too else []), decoders.Fuse()]
    fast.decoder = decoders.Sequence(parts)
    return PreTrainedTokenizerFast(tokenizer_object=fast, eos_token="</s>", pad_token="</s>", unk_token="<unk>")


def random_model(tokenizer, seed=0, scale=1.0):
    """Return a small Llama with random weights for a tokenizer; a larger scale gives more decided logits."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    size = len(tokenizer) + 5  # models often have more rows than the tokenizer has tokens
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64}
    end = tokenizer.eos_token_id
    config = LlamaConfig(vocab_size=size, max_position_embeddings=512, eos_token_id=end, bos_token_id=end, pad_token_id=end, **shape)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(torch.randn_like(weight) * 0.2 * scale)
    return model
