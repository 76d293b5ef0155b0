"""Finished runs whose models are strong random adapters of one base, over the film graph."""

from pathlib import Path

from raykg.answer.generation import Generator
from raykg.kg.graph import KnowledgeGraph
from raykg.models import lora, saved
from raykg.models.reference import base_sha256, load_model, resolve
from raykg.models.saved import load_for_answering
from tests.answer.adapted import strong_adapter
from tests.graphs import film_graph


def write_adapter_run(folder: Path, seed: int, base: str = "tiny:llama", store: Path | None = None, **settings) -> Path:
    """Write a run and return its folder; runs of one store are over the same version of the graph."""
    store = folder.parent / "store" if store is None else store
    graph = KnowledgeGraph.open(store) if store.is_dir() else film_graph(store)
    where = resolve(base)
    plain = load_model(where, "float32")
    adapter = strong_adapter(plain, folder / "made", seed, lora.LoraConfig(**{"rank": 4, "alpha": 4} | settings))
    model = lora.load_adapter(plain, adapter)
    told = {"reference": base, "base_sha256": base_sha256(where), "tokenizer": where}
    version = {"store": str(graph.root), "version": graph.version}
    saved.write_model(folder / "model", model, graph=version, config={}, settings={"facts_tokens": 40}, **told)
    (folder / "config.yaml").write_text("run: {}\n")
    return folder


def weights_of(run: Path) -> str:
    """Return the hash of what a run trained."""
    from raykg.models.adapters import announced

    return announced(run / "model" / "adapter").weights


def text_of(run: Path, prompt: str, tokens: int) -> str:
    """Return what a run's model writes, merged and alone."""
    model, tokenizer, _ = load_for_answering(run, dtype="float32")
    return str(Generator(model, tokenizer).generate([prompt], tokens)[0])
